package dataset

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A description has the types, roles and oddities of all columns, and what reading would say or refuse.
func TestDescribe(t *testing.T) {
	var b strings.Builder
	b.WriteString(",who,sold,rate,colour,member,age,const,empty,mixed,y\n")
	for i := range 40 {
		age, mixed := fmt.Sprint(20+i%9), "5%"
		if i < 3 {
			age = ""
		}
		if i == 39 {
			mixed = "much"
		}
		fmt.Fprintf(&b, "%d,w%d,2021-%02d-01,%d%%,%s,%s,%s,7,,%s,%d\n", i, i, 1+i%4, i*i%13, []string{"red", "blue",
			"green"}[i*i%3], []string{"yes", "no"}[i/7%2], age, mixed, i*i*i%5/2)
	}
	path := writeFile(t, t.TempDir(), "f.csv", []byte(b.String()))
	d, err := Describe(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range d.Columns {
		got = append(got, fmt.Sprint(c.Name, " ", c.Type, " ", c.Role, " ", c.Missing, c.Levels, c.Features, " ",
			strings.Join(c.Oddities, ", ")))
	}
	want := []string{
		"column1 number left out 0 0 0 numbers the rows",
		"who identifier feature 0 40 0 ",
		"sold date feature 0 0 8 ",
		"rate number feature 0 7 1 written as 0%",
		"colour category feature 0 2 2 ",
		"member yes/no feature 0 2 2 ",
		"age number feature 3 9 1 ",
		"const number feature 0 1 1 constant",
		"empty empty feature 40 0 1 ",
		"mixed unclear feature 0 2 0 ",
		"y number label 0 3 0 ",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if c := d.Columns[2]; c.From != "2021-01-01" || c.To != "2021-04-01" {
		t.Errorf("%+v", c)
	}
	if c := d.Columns[4]; len(c.Top) != 2 || c.Top[0] != (LevelCount{"blue", 27}) && c.Top[0] != (LevelCount{"blue", 26}) {
		t.Errorf("%+v", c)
	}
	if l := d.Label; l.Name != "y" || !l.Certain || l.Task != "softmax" || len(l.Classes) != 3 || d.Rows != 40 ||
		d.Used != 40 {
		t.Errorf("%+v, %d rows", l, d.Rows)
	}
	problems := strings.Join(d.Problems, "\n")
	for _, says := range []string{`"who": 40 rows have 40 different values`, `"mixed": "5%" is a number`,
		`one of 43 of 40 rows ("age" 3, "empty" 40)`} {
		if !strings.Contains(problems, says) {
			t.Errorf("no problem %q in %s", says, problems)
		}
	}
	// Without what is in the way there are no problems, and it is read.
	o := Options{ID: "who", Drop: []string{"mixed", "empty"}, Missing: DropMissing}
	d, err = Describe(t.Context(), path, o)
	if err != nil || len(d.Problems) > 0 || d.Used != 37 || d.Rows != 40 {
		t.Fatalf("%v %+v", err, d)
	}
	s := readFile(t, path, o)
	if cmp.Diff(s.Notes, d.Notes) != "" || d.Features != s.Schema.Width {
		t.Errorf("%q %q", s.Notes, d.Notes)
	}
	if d, err = Describe(t.Context(), path, Options{Label: "none"}); err == nil {
		t.Errorf("%+v", d)
	}
}

// A label that is open is a problem; more levels than are counted are an identifier; other formats have values.
func TestDescribeOthers(t *testing.T) {
	dir := t.TempDir()
	describe := func(name string, text []byte) *Description {
		d, err := Describe(t.Context(), writeFile(t, dir, name, text), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := describe("f.csv", []byte("class,a,b\n1,2,3\n4,5,6\n"))
	if len(d.Problems) != 1 || !strings.Contains(d.Problems[0], "--label class or --label b") {
		t.Errorf("%q", d.Problems)
	}
	var b strings.Builder
	b.WriteString("who,when,a,label\n")
	for i := range 2 * maxLevels {
		fmt.Fprintf(&b, "w%d,03/04/%d,%d,%d\n", i, 1000+i, i%3, i%2)
	}
	d = describe("g.csv", []byte(b.String()))
	if d.Columns[0].Type != TypeIdentifier || d.Columns[1].Type != TypeUnclear || len(d.Problems) != 2 ||
		!d.Label.Certain {
		t.Errorf("%+v %q", d.Columns, d.Problems)
	}
	d = describe("f.svm", []byte("1 1:2 3:5\n0 1:2\n0 1:2 3:-1\n"))
	if v := d.Values; v == nil || v.Min != -1 || v.Max != 5 || v.Constant != 2 || d.Rows != 3 || d.Features != 3 ||
		cmp.Diff(d.Label.Classes, []LevelCount{{"0", 2}, {"1", 1}}) != "" || !d.Prepared {
		t.Errorf("%+v %+v %+v", d, v, d.Label)
	}
	d = describe("f.npy", npyFile("<f8", false, "(2, 3)", []float64{1, 2, .5, 3, 2, 1.5}))
	if v := d.Values; v == nil || v.Constant != 1 || d.Label.Task != "logistic" {
		t.Errorf("%+v %+v", v, d.Label)
	}
	if _, err := Describe(t.Context(), filepath.Join(dir, "none"), Options{}); err == nil {
		t.Error("no error")
	}
}
