package dataset

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// columnOf is a table of these cells beside a label of two classes.
func columnOf(cells ...string) string {
	var b strings.Builder
	b.WriteString("a;y\n")
	for i, c := range cells {
		fmt.Fprintf(&b, "%s;%s\n", c, "pq"[i%2:i%2+1])
	}
	return b.String()
}

// stored is a schema as a model file gives it back.
func stored(t *testing.T, s *Schema) *Schema {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	like := new(Schema)
	if err := json.Unmarshal(b, like); err != nil {
		t.Fatal(err)
	}
	if err := like.Check(); err != nil {
		t.Fatal(err)
	}
	return like
}

func firstColumn(s *Set) []float64 {
	var v []float64
	for _, row := range values(s) {
		v = append(v, row[0])
	}
	return v
}

// Numbers with something around them are read where the column agrees, which is said, and later files alike.
func TestDressedNumbers(t *testing.T) {
	for _, c := range []struct {
		cells []string
		want  []float64
		note  string
	}{
		{[]string{"7%", "12.5 %", "0"}, []float64{7, 12.5, 0}, `"a" ("7%" is 7)`},
		{[]string{"$4.50", "-$1", "$ 1,234.5", "($2)"}, []float64{4.5, -1, 1234.5, -2}, `"a" ("$4.50" is 4.5)`},
		{[]string{"4,50 €", "-1,25€", "1.234,50 €"}, []float64{4.5, -1.25, 1234.5}, `"a" ("4,50 €" is 4.5)`},
		{[]string{"£3", "£20"}, []float64{3, 20}, `"£3" is 3`},
		{[]string{"1\u00a0234,50 kr", "5 kr"}, []float64{1234.5, 5}, `kr" is 1234.5`},
		{[]string{"R$ 5", "R$ -7,25"}, []float64{5, -7.25}, `"R$ 5" is 5`},
		{[]string{"EUR 5", "7.5 EUR"}, []float64{5, 7.5}, `"EUR 5" is 5`},
		{[]string{"1", "\u22122", "3.5"}, []float64{1, -2, 3.5}, "\"a\" (\"\u22122\" is -2)"},
		{[]string{"1", "(5)", "2.25", "(0.5)"}, []float64{1, -5, 2.25, -.5}, `"a" ("(5)" is -5)`},
	} {
		text := columnOf(c.cells...)
		s := readString(t, "f.csv", text, Options{})
		if got := firstColumn(s); !slices.Equal(got, c.want) || len(s.Features) != 1 {
			t.Errorf("%q: %v of %q, want %v", c.cells, got, s.Features, c.want)
		}
		if notes := strings.Join(s.Notes, " "); !strings.Contains(notes, c.note) {
			t.Errorf("%q: notes %q", c.cells, notes)
		}
		u := readString(t, "u.csv", text, Options{Like: stored(t, s.Schema)})
		if d := cmp.Diff(values(s), values(u)); d != "" {
			t.Errorf("%q with the schema: %s", c.cells, d)
		}
		if s := readString(t, "f.csv", text, Options{Categorical: []string{"a"}}); s.Schema.Columns[0].Kind != Categorical {
			t.Errorf("%q: levels were asked for", c.cells)
		}
	}

	// What is doubtful is refused with what to type.
	for _, c := range []struct {
		cells []string
		want  string
	}{
		{[]string{"$1,234", "$5,678"}, "give --decimal , to read it as 1.234 or --thousands , to read it as 1234"},
		{[]string{"1.234 €", "5.678 €"}, "--decimal . to read it as 1.234 or --decimal , --thousands . to read it as 1234"},
		{[]string{"7%", "0.5"}, `different units: "0.5" and "7%"`},
		{[]string{"$4", "€4"}, "different units"},
		{[]string{"7%", "much"}, `"7%" is a number with what stands around it, and "much"`},
		{[]string{"(5)", "much"}, `"(5)" is a number in another notation, and "much"`},
		{[]string{"\u22125", "much"}, `and "much", in the same column, is none; write all cells of the column alike, or ` +
			"give --categorical"},
		{[]string{"\u22121,5", "2,5"}, "--decimal , to read it as -1.5"},
		{[]string{"1,5", "2,5", "3,5", "much"}, `"1,5" is a number in another notation, and "much", in the same column, is ` +
			"none; give --decimal , to read it as 1.5"},
		{[]string{"(1,5)", "(2,5)"}, "--decimal , to read it as 1.5"},
	} {
		_, err := ReadFrom(t.Context(), strings.NewReader(columnOf(c.cells...)), "f.csv", Options{})
		wantError(t, err, `f.csv:2: column "a"`, c.want)
	}
	s := readString(t, "f.csv", columnOf("$1,234", "$5"), Options{Thousands: ','})
	if got := firstColumn(s); got[0] != 1234 {
		t.Errorf("%v", got)
	}
	like := readString(t, "f.csv", columnOf("7%", "8%"), Options{}).Schema
	_, err := ReadFrom(t.Context(), strings.NewReader(columnOf("7", "8%")), "u.csv", Options{Like: like})
	wantError(t, err, `u.csv:2: column "a"`, `"7" is not a number`, "numbers of this column are written with %")
	like = readString(t, "f.csv", columnOf("7", "8"), Options{}).Schema
	_, err = ReadFrom(t.Context(), strings.NewReader(columnOf("7", "8%")), "u.csv", Options{Like: like})
	wantError(t, err, `u.csv:3: column "a"`, `"8%" is not a number`)

	// More different values than a column of levels may have, missing ones among them.
	cells := []string{"NA"}
	for i := range 3 * maxLevels / 2 {
		cells = append(cells, fmt.Sprintf("%d.5%%", i), "", "N/A")
	}
	s = readString(t, "f.csv", columnOf(cells...), Options{Missing: DropMissing})
	if got := firstColumn(s); len(got) != 3*maxLevels/2 || got[1400] != 1400.5 {
		t.Errorf("%d rows, %v", len(got), got[1400])
	}
	_, err = ReadFrom(t.Context(), strings.NewReader(columnOf(cells...)), "f.csv", Options{})
	wantError(t, err, fmt.Sprintf(`f.csv:2: column "a": the cell "NA" is missing or not finite, one of %d`, 3*maxLevels+1))
	_, err = ReadFrom(t.Context(), strings.NewReader(columnOf(append(cells, "much")...)), "f.csv",
		Options{Missing: DropMissing})
	wantError(t, err, `f.csv:4503: column "a"`, `"much" is not a number, and`)

	// Thousands show late, and then what stands between them may be open.
	var prices []string
	for i := range 2 * maxLevels {
		prices = append(prices, fmt.Sprintf("€%d.50", i%900), fmt.Sprintf("€%d.75", i%900))
	}
	late := append(prices, "€1,234.25", "(€2)", "€12,345,678.5")
	s = readString(t, "f.csv", columnOf(late...), Options{})
	if got := firstColumn(s); !slices.Equal(got[len(prices):], []float64{1234.25, -2, 12345678.5}) || got[1] != .75 {
		t.Errorf("%v", got[len(prices):])
	}
	for cell, hint := range map[string]string{"€1,234": "--thousands , to read it as 1234", "€1.234,5": "--decimal ,"} {
		var whole []string
		for i := range maxLevels + 1 {
			whole = append(whole, fmt.Sprintf("€%d", i))
		}
		_, err = ReadFrom(t.Context(), strings.NewReader(columnOf(append(whole, cell)...)), "f.csv", Options{})
		if cell == "€1.234,5" {
			if err != nil { // nothing says otherwise
				t.Error(err)
			}
			continue
		}
		wantError(t, err, fmt.Sprintf(`f.csv:%d: column "a"`, maxLevels+3), hint)
	}

	// A label is read alike, asked for or not.
	for _, target := range []Target{AutoTarget, NumericTarget} {
		s := readString(t, "f.csv", "a,y\n1,$5\n2,$7.5\n", Options{Target: target})
		u := readString(t, "u.csv", "a,y\n1,$8\n", Options{Like: stored(t, s.Schema), Target: target})
		if !slices.Equal(s.Y, []float64{5, 7.5}) || !slices.Equal(u.Y, []float64{8}) {
			t.Errorf("labels %v, %v", s.Y, u.Y)
		}
	}
	_, err = ReadFrom(t.Context(), strings.NewReader("a,y\n1,$5\n2,x\n"), "f.csv", Options{Target: NumericTarget})
	wantError(t, err, `column "y"`, `"x"`)
}

// A label of many different numbers in another notation is refused with the flag to type, as one of few is.
func TestManyForeignLabels(t *testing.T) {
	var b strings.Builder
	b.WriteString("a;wage\n")
	for i := range 1100 {
		fmt.Fprintf(&b, "%d;1,%04d\n", i%7, 1000+i)
	}
	_, err := ReadFrom(t.Context(), strings.NewReader(b.String()), "pay.csv", Options{Label: "wage"})
	if err == nil || !strings.Contains(err.Error(), "give --decimal , to read it as 1.1") {
		t.Error(err)
	}
	s, err := ReadFrom(t.Context(), strings.NewReader(b.String()), "pay.csv", Options{Label: "wage", Decimal: ','})
	if err != nil || s.Y[1] != 1.1001 {
		t.Error(err)
	}
}
