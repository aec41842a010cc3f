package main

import (
	"fmt"
	"strings"
	"testing"
)

// Small tables, and what is said about them.
func TestSmallTables(t *testing.T) {
	var lines, barred strings.Builder
	lines.WriteString("size,grade,y\n")
	barred.WriteString("size|grade|y\n")
	for i := range 60 {
		grade := []string{"\"good\none\"", "bad"}[i%2]
		fmt.Fprintf(&lines, "%d,%s,%s\n", i*7%11, grade, []string{"yes", "no", "no", "yes", "yes"}[i%5])
		fmt.Fprintf(&barred, "%d|%d|%s\n", i*7%11, i%2, []string{"yes", "no", "no", "yes", "yes"}[i%5])
	}
	files(t, map[string]string{"levels.csv": lines.String(), "bars.txt": barred.String(),
		"three.csv": "a,b,y\n1,2,0.5\n2,3,1.7\n4,4,2.2\n", "spaces.txt": "a b y\n1 2 3\n4 5\n"})
	for _, c := range []struct {
		args string
		code int
		says []string
		not  string
	}{
		{"--train levels.csv", 0, []string{"grade bad → good one "}, ""},
		{"--train bars.txt", 0, []string{"label y (2 classes, chosen for its name), 2 columns"}, ""},
		{"--train three.csv", 0, []string{"(a number", "On the 1 validation row "}, "1 validation rows"},
		{"--train spaces.txt", 2, []string{"commas, semicolons, tabs, bars or blanks"}, ""},
	} {
		o := call(t, append([]string{"tune", "--quiet", "--out", "small"}, strings.Fields(c.args)...)...)
		for _, says := range c.says {
			if said := o.stdout + o.stderr; o.code != c.code || !strings.Contains(said, says) ||
				c.not != "" && strings.Contains(said, c.not) {
				t.Errorf("%s: exit code %d, %s", c.args, o.code, said)
			}
		}
	}
}

// Every row has a prediction, whether it has a label or not, and one row is told in the singular.
func TestPredictLabels(t *testing.T) {
	table := func(labels ...string) string {
		text := "a,y\n"
		for i, l := range labels {
			text += fmt.Sprintf("%d,%s\n", i, l)
		}
		return text
	}
	yesno := strings.Split(strings.Repeat("yes no yes yes no ", 8), " ")[:40]
	values := make([]string, 40)
	for i := range values {
		values[i] = fmt.Sprint(float64(i) * 1.37)
	}
	files(t, map[string]string{"words.csv": table(yesno...), "numbers.csv": table(values...),
		"some.csv": table("yes", "", "no"), "numbers1.csv": table("3"), "words1.csv": table("yes"),
		"numbers2.csv": table("3", "", "4")})
	for _, c := range []struct {
		train, file string
		rows        int
		says        string
	}{
		{"words.csv", "some.csv", 3, "note: 1 of 3 rows have no label: figures are of the other 2.\nOf 2 rows with labels"},
		{"numbers.csv", "numbers2.csv", 3, "note: 1 of 3 rows have no label: figures are of the other 2.\nOn 2 rows with"},
		{"words.csv", "words1.csv", 1, "The row with a label is predicted"},
		{"numbers.csv", "numbers1.csv", 1, "On the row with a label, the prediction is off by"},
	} {
		for _, missing := range []string{"", "--missing=impute", "--missing=drop"} {
			args := []string{"tune", "--quiet", "--out", "m", "--train", c.train}
			if missing != "" {
				args = append(args, missing)
			}
			mustCall(t, args...)
			o := call(t, "predict", "--model", "m/model.json", c.file)
			if o.code != 0 || strings.Count(o.stdout, "\n") != c.rows+1 || !strings.HasPrefix(o.stderr, c.says) {
				t.Errorf("%s %s: exit code %d, %s%s", c.file, missing, o.code, o.stdout, o.stderr)
			}
		}
	}
}
