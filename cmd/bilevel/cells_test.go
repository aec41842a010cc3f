package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Cells as people write them: per cent, currencies, dates and texts are read, said, and read alike by predict.
func TestCells(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	start := time.Date(2022, 3, 1, 8, 0, 0, 0, time.UTC)
	var plain, written strings.Builder
	plain.WriteString("share,price,y\n")
	written.WriteString("share,price,sold,review,again,y\n")
	for i := range 160 {
		share, price := r.IntN(90), 1000+r.IntN(9000)
		day := start.Add(time.Duration(37*i) * time.Hour)
		y, word := "no", "poor"
		if float64(share)/90+.3*r.NormFloat64() > .5 {
			y = "yes"
		}
		if r.IntN(3) > 0 && y == "yes" || r.IntN(4) == 0 {
			word = "great"
		}
		fmt.Fprintf(&plain, "%d,%d.5,%s\n", share, price, y)
		fmt.Fprintf(&written, "%d%%,\"$%d,%03d.50\",%s,a %s thing %d,%t,%s\n", share, price/1000, price%1000,
			day.Format("2006-01-02 15:04"), word, i, y == "yes", y)
	}
	files(t, map[string]string{"plain.csv": plain.String(), "written.csv": written.String(),
		"mixed.csv": "a,y\n5%,p\nmuch,q\n", "open.csv": "a,y\n03/04/2021,p\n04/05/2021,q\n"})
	tune := func(args string) object {
		return decode(t, mustCall(t, strings.Fields("tune --json --quiet --reg shared "+args)...).stdout)
	}
	want := tune("--train plain.csv --out p")
	got := tune("--train written.csv --only share,price --out w")
	if got.number(t, "value") != want.number(t, "value") {
		t.Errorf("h = %v, of plain numbers %v", got["value"], want["value"])
	}
	a := mustCall(t, "predict", "--quiet", "--model", "p/model.json", "plain.csv").stdout
	if b := mustCall(t, "predict", "--quiet", "--model", "w/model.json", "written.csv").stdout; a != b {
		t.Error("predictions of the two notations differ")
	}

	all := tune("--train written.csv --text review --out all")
	words := fmt.Sprint(all["words"])
	for _, says := range []string{`"share" (`, `"price" ("$`, `The column "sold" holds dates, which become`,
		`The column "review" holds texts`, `"again" alone tells the label in every row`, "--drop again"} {
		if !strings.Contains(words, says) {
			t.Errorf("nothing says %s: %s", says, words)
		}
	}
	less := tune("--train written.csv --text review --drop again --out less")
	if words := fmt.Sprint(less["words"]); strings.Contains(words, "alone") ||
		less.number(t, "value") <= all.number(t, "value") {
		t.Errorf("h = %v, with the column %v: %s", less["value"], all["value"], words)
	}
	if o := mustCall(t, "predict", "--model", "less/model.json", "written.csv"); strings.Count(o.stdout, "\n") != 161 ||
		!strings.Contains(o.stderr, "160 rows with labels") {
		t.Errorf("%s", o.stderr)
	}
	mustCall(t, "clean", "--quiet", "--train", "written.csv", "--text", "review", "--trusted", "written.csv")

	for args, says := range map[string]string{
		"--train mixed.csv":                          `"5%" is a number with what stands around it, and "much"`,
		"--train open.csv":                           "--date-order dmy to read it as 3 April 2021",
		"--train written.csv --text none":            `no column "none"`,
		"--train written.csv":                        "--text",
		"--train open.csv --dates months":            "features or drop",
		"--train open.csv --date-order day":          "dmy, mdy or ymd",
		"--train open.csv --dates drop":              "no feature column",
		"--train open.csv --date-order dmy --text y": "the label cannot be a text",
	} {
		o := call(t, strings.Fields("tune --quiet "+args)...)
		if o.code != exitUsage || !strings.Contains(o.stderr, says) {
			t.Errorf("%s: exit code %d, %s", args, o.code, o.stderr)
		}
	}
}
