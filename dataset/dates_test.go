package dataset

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Dates become year, month, weekday, hour and elapsed days, whatever they are written like, and later files alike.
func TestDates(t *testing.T) {
	const spring = "2021-03-31" // a Wednesday
	for _, c := range []struct {
		cells    []string
		features string
		want     []float64 // of the second row
		o        Options
	}{
		{[]string{"2021-03-30", spring}, "weekday=Tue weekday=Wed days", []float64{0, 1, 1}, Options{}},
		{[]string{"2021-04-01", spring, "2020-04-01"},
			"year month=3 month=4 weekday=Wed weekday=Thu days", []float64{2021, 1, 0, 1, 0, 364}, Options{}},
		{[]string{"2021/3/31", "2021.03.31"}, "days", []float64{0}, Options{}},
		{[]string{"30/03/2021", "31/03/2021"}, "weekday=Tue weekday=Wed days", []float64{0, 1, 1}, Options{}},
		{[]string{"3-30-2021", "3-31-2021"}, "weekday=Tue weekday=Wed days", []float64{0, 1, 1}, Options{}},
		{[]string{"02.03.2021", "03.03.2021"}, "weekday=Tue weekday=Wed days", []float64{0, 1, 1},
			Options{DateOrder: "dmy"}},
		{[]string{"3/2/21", "3/3/21"}, "weekday=Tue weekday=Wed days", []float64{0, 1, 1}, Options{DateOrder: "mdy"}},
		{[]string{"21-03-30", "21-03-31"}, "weekday=Tue weekday=Wed days", []float64{0, 1, 1}, Options{DateOrder: "ymd"}},
		{[]string{"30 Mar 2021", "March 31, 2021"}, "weekday=Tue weekday=Wed days", []float64{0, 1, 1}, Options{}},
		{[]string{spring + "T06:00:00Z", spring + " 18:00:00.0+00:00"}, "hour=6 hour=18 days", []float64{0, 1, .5},
			Options{}},
		{[]string{spring + "T00:30+01:00", spring + " 12:30:00,5+0100"},
			"weekday=Tue weekday=Wed hour=11 hour=23 days", []float64{0, 1, 1, 0, .5 + .5/86400}, Options{}},
		{[]string{spring, spring + " 6:00 pm"}, "hour=0 hour=18 days", []float64{0, 1, .75}, Options{}},
		{[]string{"08:00", "14:00:00"}, "hour=8 hour=14 days", []float64{0, 1, .25}, Options{}},
		{[]string{"Tue, 30 Mar 2021 00:00:00 GMT", "Wednesday, 31 March 2021 06:00 GMT"},
			"weekday=Tue weekday=Wed hour=0 hour=6 days", []float64{0, 1, 0, 1, 1.25}, Options{}},
		{[]string{"Mar 2021", "April 2021"}, "month=3 month=4 weekday=Mon weekday=Thu days", []float64{0, 1, 0, 1, 31},
			Options{}},
		{[]string{"2021-03", "2021-04"}, "month=3 month=4 weekday=Mon weekday=Thu days", []float64{0, 1, 0, 1, 31},
			Options{}},
	} {
		text := columnOf(c.cells...)
		s, err := ReadFrom(t.Context(), strings.NewReader(text), "f.csv", c.o)
		if err != nil {
			t.Errorf("%q: %v", c.cells, err)
			continue
		}
		var names []string
		for _, f := range strings.Fields(c.features) {
			part, level, is := strings.Cut(f, "=")
			if f = fmt.Sprintf("a (%s)", part); is {
				f += "=" + level
			}
			names = append(names, f)
		}
		if d := cmp.Diff(names, s.Features) + cmp.Diff(c.want, values(s)[1]); d != "" {
			t.Errorf("%q: %s", c.cells, d)
		}
		if notes := strings.Join(s.Notes, " "); !strings.Contains(notes, `"a" holds dates`) {
			t.Errorf("%q: notes %q", c.cells, notes)
		}
		u := readString(t, "u.csv", text, Options{Like: stored(t, s.Schema)})
		if d := cmp.Diff(values(s), values(u)); d != "" {
			t.Errorf("%q with the schema: %s", c.cells, d)
		}
	}

	for _, c := range []struct {
		cells []string
		want  string
	}{
		{[]string{"03/04/2021", "04/03/2021"}, `what is day, month and year in "03/04/2021"; give --date-order dmy ` +
			"to read it as 3 April 2021 or --date-order mdy to read it as 4 March 2021"},
		{[]string{"31/03/21", "30/03/21"}, "--date-order dmy"},
		{[]string{"31/03/2021", "03/31/2021"}, "no order of day and month"},
		{[]string{spring, "soon"}, `"2021-03-31" is a date, and "soon"`},
		{[]string{spring, "2021-02-30"}, `and "2021-02-30", in the same column, is none`},
		{[]string{spring, "2021"}, `and "2021"`},
		{[]string{spring + " 10:00", spring + " 10:00Z"}, `10:00Z" has a date or a zone`},
	} {
		_, err := ReadFrom(t.Context(), strings.NewReader(columnOf(c.cells...)), "f.csv", Options{})
		wantError(t, err, `f.csv:2: column "a"`, c.want)
	}
	for _, o := range []Options{{Dates: "days"}, {DateOrder: "ydm"}} {
		_, err := ReadFrom(t.Context(), strings.NewReader(columnOf("1", "2")), "f.csv", o)
		wantError(t, err, "choose")
	}
	_, err := ReadFrom(t.Context(), strings.NewReader("a,when\n1,2021-03-31\n"), "f.csv", Options{})
	wantError(t, err, `column "when"`, "the labels are dates", "--label")

	// What looks like a time, and is none everywhere, is a level.
	s := readString(t, "f.csv", columnOf("16:10", "4:3"), Options{})
	if s.Schema.Columns[0].Kind != Categorical {
		t.Errorf("%+v", s.Schema.Columns[0])
	}
	// Dates are left out before they are missing or ambiguous.
	s = readString(t, "f.csv", "a,b,y\n03/04/2021,1,p\n,2,q\n", Options{Dates: DropDates})
	if d := cmp.Diff([]string{"b"}, s.Features); d != "" || !strings.Contains(s.Notes[0], "left out") {
		t.Error(d, s.Notes)
	}
}

// More dates than a column may have levels, missing ones, months that training rows had not, and one wrong cell.
func TestManyDates(t *testing.T) {
	var b strings.Builder
	b.WriteString("a,b,y\n")
	start := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	n := 3 * maxLevels
	for i := range n {
		cell := start.Add(time.Duration(i) * time.Hour).Format(time.RFC3339)
		if i == 7 || i == n-7 {
			cell = "NA"
		}
		fmt.Fprintf(&b, "%s,%d,%d\n", cell, i%5, i%2)
	}
	s := readString(t, "f.csv", b.String(), Options{Missing: ImputeMissing, Storage: Dense})
	last := s.Features[len(s.Features)-3:]
	if d := cmp.Diff([]string{"a (days)", "a (days) missing", "b"}, last); d != "" {
		t.Error(d)
	}
	if row := values(s)[8]; row[len(row)-3] != 8./24 || row[len(row)-2] != 0 {
		t.Errorf("%v", row)
	}
	u := readString(t, "u.csv", "b,a\n1,2020-12-02T01:00:00Z\n2,\n", Options{Like: stored(t, s.Schema),
		OptionalLabel: true})
	got := values(u)
	if !slices.Contains(u.Features, "a (month)=1") || slices.Contains(u.Features, "a (month)=12") || len(u.Notes) != 1 ||
		!strings.Contains(u.Notes[0], "1 times a month") {
		t.Errorf("%q %q", u.Features, u.Notes)
	}
	median := (float64(n)/2 - 1) / 24
	if v := got[1][len(got[1])-3:]; v[0] < median-.1 || v[0] > median+.1 || v[1] != 1 {
		t.Errorf("%v, median %v", v, median)
	}
	_, err := ReadFrom(t.Context(), strings.NewReader("b,a\n1,soon\n"), "u.csv", Options{Like: s.Schema,
		OptionalLabel: true})
	wantError(t, err, `u.csv:2: column "a"`, `"soon" is not a date`, "zone")
	_, err = ReadFrom(t.Context(), strings.NewReader(b.String()+"later,1,1\n"), "f.csv", Options{Missing: DropMissing})
	wantError(t, err, fmt.Sprintf(`f.csv:%d: column "a"`, n+2), `"later" is not a date`)
	_, err = ReadFrom(t.Context(), strings.NewReader(b.String()), "f.csv", Options{})
	wantError(t, err, `f.csv:9: column "a": the cell "NA" is missing`, "one of 2 of 3000 rows")
}

// What is day and month may show after more dates than a column may have levels, or never.
func TestLateOrder(t *testing.T) {
	cells := func(layout string, days int) []string {
		var out []string
		for i := range days * 100 {
			at := time.Date(2021, 4, 1, 0, 14*i, 0, 0, time.UTC) // 100 a day and more
			out = append(out, at.Format(layout))
		}
		return out
	}
	iso := readString(t, "f.csv", columnOf(cells("2006-01-02 15:04", 14)...), Options{})
	for _, layout := range []string{"02/01/2006 15:04", "01/02/2006 15:04"} {
		text := columnOf(cells(layout, 14)...)
		s := readString(t, "f.csv", text, Options{})
		if d := cmp.Diff(values(iso), values(s)); d != "" {
			t.Errorf("%s: %s", layout, d)
		}
		u := readString(t, "u.csv", text, Options{Like: stored(t, s.Schema)})
		if d := cmp.Diff(values(iso), values(u)); d != "" {
			t.Errorf("%s with the schema: %s", layout, d)
		}
		_, err := ReadFrom(t.Context(), strings.NewReader(columnOf(cells(layout, 11)...)), "f.csv", Options{})
		wantError(t, err, `f.csv:2: column "a"`, "it is open", "--date-order dmy")
		_, err = ReadFrom(t.Context(), strings.NewReader(columnOf(append(cells(layout, 11), "2021-04-15")...)), "f.csv",
			Options{})
		wantError(t, err, `column "a"`, `"2021-04-15" is not a date as the others`)
	}
}

// Dates and times that Parquet stores become what their text becomes, in either direction.
func TestParquetDates(t *testing.T) {
	type row struct {
		Day  int32     `parquet:"day,date"`
		At   time.Time `parquet:"at,timestamp(microsecond)"`
		Size float64   `parquet:"size"`
		Y    int64     `parquet:"y"`
	}
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	file := parquetFile(t, []row{{18717, at("2021-03-31T06:00:00Z"), 1, 0}, {18718, at("2021-04-01T18:00:00Z"), 2, 1}})
	s, err := ReadFrom(t.Context(), bytes.NewReader(file), "f.parquet", Options{})
	if err != nil {
		t.Fatal(err)
	}
	text := readString(t, "f.csv", "day,at,size,y\n2021-03-31,2021-03-31 06:00:00,1,0\n2021-04-01,2021-04-01T18:00,2,1\n",
		Options{})
	if d := cmp.Diff(values(text), values(s)) + cmp.Diff(text.Features, s.Features); d != "" {
		t.Error(d)
	}
	for _, like := range []*Set{s, text} {
		u, err := ReadFrom(t.Context(), bytes.NewReader(file), "f.parquet", Options{Like: stored(t, like.Schema)})
		if err != nil || cmp.Diff(values(u), values(s)) != "" {
			t.Errorf("%v", err)
		}
	}
	levels, err := ReadFrom(t.Context(), bytes.NewReader(file), "f.parquet", Options{Categorical: []string{"day", "at"}})
	if err != nil || levels.Features[0] != "day=2021-03-31" {
		t.Errorf("%v %q", err, levels.Features)
	}
	_, err = ReadFrom(t.Context(), bytes.NewReader(file), "f.parquet", Options{Label: "day"})
	wantError(t, err, `row 1: column "day"`, "the labels are dates")
	number := readString(t, "f.csv", "day,at,size,y\n1,2,1,0\n2,3,2,1\n", Options{})
	_, err = ReadFrom(t.Context(), bytes.NewReader(file), "f.parquet", Options{Like: number.Schema})
	wantError(t, err, `row 1: column "day"`, "is a date or time")
}
