package main

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// coin labels rows at random.
func coin(r *rand.Rand, _ float64) string { return yesNo(r, 3*r.NormFloat64()) }

// noise is a price that has nothing to do with the columns.
func noise(r *rand.Rand, _ float64) string { return price(r, 3*r.NormFloat64()) }

// Sources whose labels have nothing to do with the columns are left out, for classes and for numbers, and the model is
// one that predict takes.
func TestMix(t *testing.T) {
	for _, c := range []struct {
		kind      string
		good, bad func(*rand.Rand, float64) string
		measured  string
		predicted string
	}{{"logistic", yesNo, coin, "log loss", "log loss "}, {"ridge", price, noise, "typical error", "RMSE "}} {
		files(t, map[string]string{
			"here.csv": table(300, 1, 1, c.good), "test.csv": table(1500, 1, 2, c.good), "north.csv": table(500, 1, 3, c.good),
			"east.csv": table(500, 1, 4, c.bad), "south.csv": table(400, 1, 5, c.good), "west.csv": table(600, 1, 6, c.bad),
		})
		args := []string{"mix", "here.csv", "--sources", "north.csv,east.csv", "--sources", "south.csv,west.csv", "--test",
			"test.csv", "--quiet"}
		text := mustCall(t, args...).stdout
		for _, want := range []string{"here.csv   300 target rows, 2,000 rows of 4 sources and 1,500 test rows, label y",
			"all rows alike", "baseline", "this mix", "better by more than chance", "Left out: east.csv (with it the " + c.measured,
			"and west.csv (with it", "wrote bilevel-mix-out: model.json weights.csv report.html"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", c.kind, want, text)
			}
		}
		j := decode(t, mustCall(t, append(args, "--json")...).stdout)
		if j["model"] != c.kind || j["verdict"] != "more than chance" || j["unseen"] != "test" || j.number(t, "n_test") != 1500 {
			t.Errorf("%v", j)
		}
		sources := j["sources"].([]any)
		for k, s := range sources {
			s := object(s.(map[string]any))
			bad := s["name"] == "east.csv" || s["name"] == "west.csv"
			if (s.number(t, "weight") == 0) != bad || s["left_out"] != bad || s["target"] != (k == 4) {
				t.Errorf("%s: %v", c.kind, s)
			}
		}
		raw, err := os.ReadFile("bilevel-mix-out/weights.csv")
		if err != nil {
			t.Fatal(err)
		}
		lines, err := csv.NewReader(strings.NewReader(string(raw))).ReadAll()
		if err != nil || len(lines) != 6 || lines[2][0] != "east.csv" || lines[2][2] != "0" || lines[2][5] != "true" {
			t.Errorf("%v %q", err, lines)
		}
		html, err := os.ReadFile("bilevel-mix-out/report.html")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"2 of 4 sources do not help to predict", "bilevel predict --model bilevel-mix-out/model.json",
			"bilevel mix here.csv --", "the target’s own rows"} {
			if !strings.Contains(string(html), want) {
				t.Errorf("%s: the report does not say %q", c.kind, want)
			}
		}
		// The last word of predict is the figure that the mix has on the same rows.
		o := mustCall(t, "predict", "--model", "bilevel-mix-out/model.json", "test.csv")
		ways := j["ways"].([]any)
		mix := ways[len(ways)-1].(map[string]any)["figures"].(map[string]any)
		key := map[string]string{"logistic": "log_loss", "ridge": "rmse"}[c.kind]
		want := mix[key].(map[string]any)["value"].(float64)
		words := strings.Fields(o.stderr)
		if got, err := strconv.ParseFloat(words[len(words)-1], 64); err != nil || got < .9999*want || got > 1.0001*want {
			t.Errorf("%s: predict says %q, and the mix has %v", c.kind, o.stderr, want)
		}
	}
}

// Without test rows the target judges; files of one name are told apart by their folders.
func TestMixWithoutTest(t *testing.T) {
	files(t, map[string]string{"here.csv": table(200, 1, 1, yesNo)})
	for k, dir := range []string{"a", "b"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/x.csv", []byte(table(300, 1, uint64(k+2), yesNo)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o := mustCall(t, "mix", "here.csv", "--sources", "a/x.csv,b/x.csv", "--sources-only", "--folds", "4", "--quiet")
	for _, want := range []string{"On unseen target rows", "x.csv alone", "No source is left out"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("no %q in\n%s", want, o.stdout)
		}
	}
	j := decode(t, mustCall(t, "mix", "here.csv", "--sources", "a/x.csv,b/x.csv", "--quiet", "--json").stdout)
	if name := j["sources"].([]any)[0].(map[string]any)["name"]; name != "a/x.csv" || j["unseen"] != "out-of-fold" {
		t.Errorf("%v %v", name, j["unseen"])
	}
}

func TestMixWrong(t *testing.T) {
	good, small := table(60, 1, 1, yesNo), table(40, 1, 2, yesNo)
	content := map[string]string{
		"t.csv": good, "a.csv": small, "b.csv": table(40, 1, 3, yesNo),
		"empty.csv":  good[:strings.Index(good, "\n")+1],
		"wide.csv":   table(40, 2, 4, yesNo),
		"narrow.csv": table(40, 0, 4, yesNo),
		"maybe.csv":  strings.Replace(small, ",yes\n", ",maybe\n", 1),
		"label.csv":  strings.Replace(small, ",y\n", ",z\n", 1),
		"level.csv":  strings.Replace(small, ",red,", ",pink,", 1),
		"number.csv": table(60, 1, 5, price),
		"one.csv":    table(30, 1, 3, func(*rand.Rand, float64) string { return "yes" }),
		"single.csv": table(30, 1, 3, func(r *rand.Rand, s float64) string { return "yes" }) + "1,100,red,7,1,no\n",
		"file":       "x",
	}
	for _, c := range []struct{ args, want string }{
		{"", "give one target file"},
		{"t.csv", "--sources"},
		{"t.csv --sources a.csv", "two files or more"},
		{"t.csv b.csv --sources a.csv", "give one target file"},
		{"t.csv --sources a.csv,no.csv", "no.csv"},
		{"no.csv --sources a.csv,b.csv", "no.csv"},
		{"t.csv --sources a.csv,a.csv", "named twice"},
		{"t.csv --sources a.csv,./t.csv", "this is the target"},
		{"t.csv --sources a.csv,,b.csv", "empty"},
		{"t.csv --sources a.csv,empty.csv", "empty.csv: there are no rows"},
		{"empty.csv --sources a.csv,b.csv", "no rows"},
		{"t.csv --sources a.csv,narrow.csv", "narrow.csv"},
		{"t.csv --sources a.csv,maybe.csv", "maybe.csv"},
		{"t.csv --sources a.csv,label.csv", "label.csv"},
		{"t.csv --sources a.csv,level.csv", "level.csv"},
		{"t.csv --sources a.csv,number.csv", "number.csv"},
		{"number.csv --sources a.csv,b.csv", "a.csv"},
		{"one.csv --sources a.csv,b.csv", "only one class"},
		{"single.csv --sources a.csv,b.csv", "single row"},
		{"t.csv --sources a.csv,b.csv --test maybe.csv", "maybe.csv"},
		{"t.csv --sources a.csv,b.csv --label colour9", "colour9"},
		{"t.csv --sources a.csv,b.csv --folds 2", "folds"},
		{"t.csv --sources a.csv,b.csv --folds 0", "folds"},
		{"t.csv --sources a.csv,b.csv --folds 1000", "1000 folds"},
		{"t.csv --sources a.csv,b.csv --task magic", "magic"},
		{"t.csv --sources a.csv,b.csv --max-time 0s", "time"},
		{"t.csv --sources a.csv,b.csv --scale much", "much"},
		{"t.csv --sources a.csv,b.csv --out file", "file"},
		{"t.csv --sources a.csv,-", "standard input: the file is empty"},
		{"- --sources a.csv,-", "standard input is one file"},
		{"t.csv --sources a.csv,b.csv --method saba", "no such flag"},
	} {
		files(t, content)
		before := listing(t)
		o := call(t, append([]string{"mix", "--quiet"}, strings.Fields(c.args)...)...)
		if o.code != exitUsage || !strings.Contains(o.stderr, c.want) || strings.Count(o.stderr, "\n") != 1 ||
			o.stdout != "" || listing(t) != before {
			t.Errorf("mix %s: exit code %d, want %q in\n%s%s%s", c.args, o.code, c.want, o.stderr, o.stdout, listing(t))
		}
	}
	files(t, content)
	if o := mustCall(t, strings.Fields("mix t.csv --sources wide.csv,level.csv --unknown zero --quiet")...); !strings.Contains(
		o.stderr, "wide.csv: ") {
		t.Errorf("nothing is said of a column too many: %q", o.stderr)
	}
	for _, name := range []string{"report.html", "model.json", "weights.csv"} {
		if !exists("bilevel-mix-out/" + name) {
			t.Error(fmt.Sprint("no ", name))
		}
	}
}
