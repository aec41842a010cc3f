package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// tableOf is a table of so many rows, each with the cells that row says.
func tableOf(header string, n int, row func(i int, r *rand.Rand) string) string {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	b.WriteString(header + "\n")
	for i := range n {
		b.WriteString(row(i, r) + "\n")
	}
	return b.String()
}

// Columns that are the same in every row, that repeat others, and that tell the label are said, and no others.
func TestOddities(t *testing.T) {
	class := func(r *rand.Rand) int { return r.IntN(2) }
	for _, c := range []struct {
		name, text string
		o          Options
		want       string // notes, "" for none
	}{
		{"constant", tableOf("a,b,y", 10, func(i int, r *rand.Rand) string { return fmt.Sprintf("%d,x,%d", i, class(r)) }),
			Options{}, `"b" is the same in every row`},
		{"constants", tableOf("a,b,c,y", 10, func(i int, r *rand.Rand) string {
			return fmt.Sprintf("%d,x,7,%d", i, class(r))
		}), Options{}, `2 columns are the same in every row, and tell nothing: "b", "c"`},
		{"duplicates", tableOf("a,b,c,d,e,y", 30, func(i int, r *rand.Rand) string {
			return fmt.Sprintf("%d,%d.0,%d,%s,%s,%d", i, i, i%3, "pqr"[i%3:i%3+1], "xyz"[i%3:i%3+1], class(r))
		}), Options{}, `others in every row: "b" repeats "a", "d" repeats "c", "e" repeats "c".`},
		{"few rows of duplicates", tableOf("a,b,c,d,e,y", 5, func(i int, r *rand.Rand) string {
			return fmt.Sprintf("%d,%d,%s,%s,%s,%d", i, i, "pqr"[i%3:i%3+1], "xyz"[i%3:i%3+1], "pqr"[i%3:i%3+1], i*i%7)
		}), Options{}, `others in every row: "b" repeats "a", "e" repeats "c".`},
		{"id", tableOf("id,b,y", 10, func(i int, r *rand.Rand) string {
			return fmt.Sprintf("%d,%d,%d", i*7%10, i*i%3, class(r))
		}), Options{}, `"id" has a whole number of its own in each row, and is a feature: leave it out with --drop id, or`},
		{"another word", tableOf("paid,b,y", 10, func(i int, r *rand.Rand) string {
			return fmt.Sprintf("%d,%d,%d", i*7%10, i*i%3, class(r))
		}), Options{}, ""},
		{"ids of groups", tableOf("shop_id,b,y", 10, func(i int, r *rand.Rand) string {
			return fmt.Sprintf("%d,%d,%d", i*7%9, i*i%3, class(r))
		}), Options{}, ""},
		{"counted", tableOf("case,b,y", 100, func(i int, r *rand.Rand) string {
			return fmt.Sprintf("%d,%d,%d", i+1, i*i%3, class(r))
		}), Options{}, `--id case`},
		{"another unit is another column", tableOf("a,b,c,y", 30, func(i int, r *rand.Rand) string {
			return fmt.Sprintf("%d,%d,%s,%d", i, 2*i, "pqr"[i%3:i%3+1], class(r))
		}), Options{}, ""},
		{"level", tableOf("alive,a,y", 40, func(i int, r *rand.Rand) string {
			k := class(r)
			return fmt.Sprintf("%s,%d,%d", []string{"no", "yes"}[k], i%7, k)
		}), Options{}, `"alive" alone tells the label in every row: each of its levels has one label. If it is not known ` +
			`before the label is, leave it out with --drop alive.`},
		{"level of another name", tableOf("my alive,a,y", 40, func(i int, r *rand.Rand) string {
			k := class(r)
			return fmt.Sprintf("%s,%d,%d", []string{"no", "yes"}[k], i%7, k)
		}), Options{}, `--drop 'my alive'`},
		{"nearly", tableOf("alive,a,y", 40, func(i int, r *rand.Rand) string {
			k := class(r)
			return fmt.Sprintf("%s,%d,%d", []string{"no", "yes"}[k], i%7, k^(i/39))
		}), Options{}, ""},
		{"threshold", tableOf("a,b,y", 5000, func(i int, r *rand.Rand) string {
			v := r.NormFloat64()
			return fmt.Sprintf("%v,%d,%v", v, i%7, v > .5)
		}), Options{}, `"a" alone tells the label in every row: each label has a range`},
		{"threshold but for one row", tableOf("a,b,y", 5000, func(i int, r *rand.Rand) string {
			v := r.NormFloat64()
			return fmt.Sprintf("%v,%d,%v", v, i%7, (v > .5) != (i == 4321))
		}), Options{}, ""},
		{"three ranges", tableOf("a,b,y", 90, func(i int, r *rand.Rand) string {
			return fmt.Sprintf("%v,%d,%d", float64(i%3)+r.Float64(), i%7, []int{2, 0, 1}[i%3])
		}), Options{}, `"a" alone`},
		{"few rows", tableOf("a,b,y", 19, func(i int, r *rand.Rand) string {
			return fmt.Sprintf("%d,%d,%d", i, i*i%5, i/10)
		}), Options{}, ""},
		{"few rows of one class", tableOf("a,b,y", 30, func(i int, r *rand.Rand) string {
			return fmt.Sprintf("%d,%d,%d", i, i*i%5, i/29)
		}), Options{}, ""},
		{"many levels", tableOf("a,b,y", 40, func(i int, r *rand.Rand) string {
			return fmt.Sprintf("n%d,%d,%d", i, i*i%5, class(r))
		}), Options{Categorical: []string{"a"}}, ""},
		{"line", tableOf("cm,b,y", 25, func(i int, r *rand.Rand) string {
			v := 100 * r.Float64()
			return fmt.Sprintf("%v,%d,%v", v, i%7, 3+v/2.54)
		}), Options{}, `"cm" alone tells the label in every row: the label is a linear function`},
		{"missing cells", tableOf("cm,b,y", 60, func(i int, r *rand.Rand) string {
			v := 100 * r.Float64()
			cell := fmt.Sprint(v)
			if i%6 == 5 {
				cell = ""
			}
			return fmt.Sprintf("%s,%d,%v", cell, i%7, 3+v/2.54)
		}), Options{Missing: ImputeMissing}, `"cm" alone`},
		{"curve", tableOf("a,b,y", 120, func(i int, r *rand.Rand) string {
			v := r.NormFloat64()
			return fmt.Sprintf("%v,%d,%v", v, i%7, math.Exp(-v))
		}), Options{}, `"a" alone tells the label in every row: the label rises or falls`},
		{"rounded", tableOf("a,b,y", 120, func(i int, r *rand.Rand) string {
			v := 500 * r.Float64()
			return fmt.Sprintf("%v,%d,%v.5", v, i%7, math.Round(v))
		}), Options{}, `"a" alone`},
		{"growth", tableOf("year,b,y", 60, func(i int, r *rand.Rand) string {
			return fmt.Sprintf("%d,%d,%v", 1950+i, i%7, 3*float64(i)+2*r.Float64())
		}), Options{}, ""},
		{"noise", tableOf("a,b,y", 120, func(i int, r *rand.Rand) string {
			v := r.NormFloat64()
			return fmt.Sprintf("%v,%d,%v", v, i%7, v+.01*r.NormFloat64())
		}), Options{}, ""},
	} {
		s := readString(t, "f.csv", c.text, c.o)
		notes := strings.Join(s.Notes, "\n")
		if !strings.Contains(notes, c.want) || c.want == "" && notes != "" || strings.Contains(notes, `"b" alone`) {
			t.Errorf("%s: notes %q, want %q", c.name, notes, c.want)
		}
		u := readString(t, "u.csv", c.text, Options{Like: s.Schema})
		if len(u.Notes) > 0 {
			t.Errorf("%s: notes of another file %q", c.name, u.Notes)
		}
	}
}
