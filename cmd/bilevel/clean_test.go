package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// readWeights reads weights.csv and returns its columns by name.
func readWeights(t *testing.T, path string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(records[0], ","); got != "row,label,weight,kept,predicted,rank" {
		t.Fatalf("header %s", got)
	}
	columns := make(map[string][]string)
	for _, r := range records[1:] {
		for j, name := range records[0] {
			columns[name] = append(columns[name], r[j])
		}
	}
	return columns
}

// TestCleanDefault: without arguments there are wrong labels to find, and all files tell of them.
func TestCleanDefault(t *testing.T) {
	files(t, nil)
	o := mustCall(t, "clean")
	for _, want := range []string{"digits (embedded)   1,078 rows, 270 trusted rows and 449 test rows, label digit (10 ",
		"About 45% of the labels look wrong (42 to 48%)", "of 1,078 rows.\n", "--corrupt 0.5", "F1 0.9",
		"the trusted rows only ", "more than chance (+", "Look first at: row ", "% likely)",
		"wrote bilevel-clean-out: weights.csv report.html\n"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("%q is not in\n%s", want, o.stdout)
		}
	}
	if got := listing(t); got != ". bilevel-clean-out bilevel-clean-out/report.html bilevel-clean-out/weights.csv" {
		t.Errorf("files: %s", got)
	}
	html, err := os.ReadFile("bilevel-clean-out/report.html")
	if err != nil {
		t.Fatal(err)
	}
	page := string(html)
	if n := strings.Count(page, `<img src="data:image/png;base64,`); n != shownSuspects+closeToCut {
		t.Errorf("%d pictures", n)
	}
	for _, bad := range []string{"http://", "https://", "<script", "ZgotmplZ"} {
		if strings.Contains(page, bad) {
			t.Errorf("%s in the report", bad)
		}
	}
	w := readWeights(t, "bilevel-clean-out/weights.csv")
	seen := make(map[string]bool)
	for i := range w["row"] {
		weight, err := strconv.ParseFloat(w["weight"][i], 64)
		if err != nil || !(weight >= 0 && weight <= 1) || w["row"][i] != strconv.Itoa(i+1) || seen[w["rank"][i]] {
			t.Fatalf("line %d: weight %v, row %s, rank %s", i+2, weight, w["row"][i], w["rank"][i])
		}
		seen[w["rank"][i]] = true
		if suspicious := w["kept"][i] == "false"; suspicious && weight >= .5 {
			t.Errorf("row %d is suspicious with a weight of %v", i+1, weight)
		}
	}
}

func TestCleanJSON(t *testing.T) {
	files(t, nil)
	o := mustCall(t, "clean", "--json", "--quiet", "--corrupt", "0.4", "--seed", "2", "--out", "deep/er")
	if o.stderr != "" {
		t.Errorf("not quiet: %s", o.stderr)
	}
	j := decode(t, o.stdout)
	for _, key := range []string{"f1", "precision", "recall", "kept", "test_accuracy", "test_accuracy_before", "seconds",
		"method", "steps", "n_train", "n_trusted", "n_test", "wrong_share", "files"} {
		if _, ok := j[key]; !ok {
			t.Errorf("%s is absent", key)
		}
	}
	f1, p, r := j.number(t, "f1"), j.number(t, "precision"), j.number(t, "recall")
	if f1 < .88 || math.Abs(f1-2*p*r/(p+r)) > 1e-12 {
		t.Errorf("f1 %v, precision %v, recall %v", f1, p, r)
	}
	if j.number(t, "test_accuracy") < j.number(t, "test_accuracy_before")+.02 {
		t.Errorf("%v", j)
	}
	w := readWeights(t, "deep/er/weights.csv")
	kept := 0
	for _, k := range w["kept"] {
		if k == "true" {
			kept++
		}
	}
	if float64(kept) != j.number(t, "kept") || float64(len(w["row"])) != j.number(t, "n_train") {
		t.Errorf("%d of %d kept, %v", kept, len(w["row"]), j)
	}
	// Nothing is known of labels that were not made wrong; the same seed gives the same weights.
	again := decode(t, mustCall(t, "clean", "--set", "breast-cancer", "--json", "--quiet").stdout)
	if v, ok := again["f1"]; v != nil || !ok {
		t.Errorf("f1 is %v", v)
	}
	third := decode(t, mustCall(t, "clean", "--json", "--quiet", "--corrupt", "0.4", "--seed", "2").stdout)
	if third["f1"] != j["f1"] || third["test_loss"] != j["test_loss"] {
		t.Errorf("%v, then %v", j["f1"], third["f1"])
	}
}

// TestCleanStory: a table with some labels exchanged and a small one that is right.
func TestCleanStory(t *testing.T) {
	sign := func(_ *rand.Rand, score float64) string {
		if score > 0 {
			return "yes"
		}
		return "no"
	}
	lines := strings.SplitAfter(table(400, 2, 1, sign), "\n")
	wrong := make(map[int]bool)
	for i := 1; i <= 400; i += 5 { // every fifth row
		old, other := "yes\n", "no\n"
		if strings.HasSuffix(lines[i], other) {
			old, other = other, old
		}
		lines[i] = strings.TrimSuffix(lines[i], old) + other
		wrong[i] = true
	}
	files(t, map[string]string{"noisy.csv": strings.Join(lines, ""), "right.csv": table(100, 2, 2, sign),
		"test.csv": table(200, 2, 3, sign)})
	o := mustCall(t, "clean", "--train", "noisy.csv", "--trusted", "right.csv", "--test", "test.csv", "--label", "y",
		"--categorical", "colour")
	if !strings.Contains(o.stdout, "400 rows, 100 trusted rows and 200 test rows, label y (2 classes, by --label), 6 ") ||
		strings.Contains(o.stdout, "F1") {
		t.Errorf("%s", o.stdout)
	}
	w := readWeights(t, "bilevel-clean-out/weights.csv")
	hits := 0
	for i, rank := range w["rank"] {
		if r, _ := strconv.Atoi(rank); r <= 60 && wrong[i+1] {
			hits++
		}
	}
	if hits < 55 {
		t.Errorf("%d of the 60 most suspicious rows have a wrong label", hits)
	}
	html, err := os.ReadFile("bilevel-clean-out/report.html")
	if err != nil {
		t.Fatal(err)
	}
	if page := string(html); strings.Contains(page, "<img") || !strings.Contains(page, "size\u00a0") ||
		!strings.Contains(page, "colour\u00a0red") {
		t.Error("the report does not show the values of rows")
	} else if !strings.Contains(page, "bilevel tune --train noisy.csv --label y --categorical colour<") {
		t.Error("the report does not say how to tune again")
	}
}

func TestCleanWrong(t *testing.T) {
	good, small := table(60, 1, 1, yesNo), table(40, 1, 2, yesNo)
	one := func(*rand.Rand, float64) string { return "yes" }
	content := map[string]string{
		"good.csv": good, "small.csv": small,
		"nan.csv":    strings.Replace(good, ",7,", ",NaN,", 1),
		"one.csv":    table(30, 1, 3, one),
		"empty.csv":  good[:strings.Index(good, "\n")+1],
		"wide.csv":   table(40, 2, 4, yesNo),
		"maybe.csv":  strings.Replace(small, ",yes\n", ",maybe\n", 1),
		"number.csv": table(60, 1, 5, price),
		"file":       "x",
	}
	for _, c := range []struct{ args, want string }{
		{"--train no.csv --trusted small.csv", "no.csv"},
		{"--train good.csv --trusted no.csv", "no.csv"},
		{"--train good.csv --trusted small.csv --test no.csv", "no.csv"},
		{"--train nan.csv --trusted small.csv", "nan.csv"},
		{"--train good.csv --trusted nan.csv", "nan.csv"},
		{"--train good.csv --trusted small.csv --label colour9", "colour9"},
		{"--train one.csv --trusted small.csv", "only one class"},
		{"--train good.csv --trusted one.csv", "class \"yes\""},
		{"--train empty.csv --trusted small.csv", "no rows"},
		{"--train good.csv --trusted empty.csv", "no rows"},
		{"--train good.csv --trusted maybe.csv", "maybe"},
		{"--train good.csv --trusted small.csv --test maybe.csv", "maybe"},
		{"--train number.csv --trusted small.csv", "number"},
		{"--train good.csv", "--trusted"},
		{"--trusted small.csv", "need --train"},
		{"--test small.csv", "need --train"},
		{"--train good.csv --trusted small.csv --set digits", "one of them"},
		{"--train good.csv --trusted small.csv --by colour9", "there is no column \"colour9\""},
		{"--train good.csv --trusted small.csv --by constant", "all rows have the same constant"},
		{"--train good.csv --trusted small.csv --by colour --id colour", "no groups"},
		{"--set digits --by colour", "give --train"},
		{"--train good.csv --trusted -", "standard input: the file is empty"},
		{"--train - --trusted -", "one file"},
		{"--train good.csv --trusted small.csv --trusted-fraction 0.2", "--set"},
		{"--trusted-fraction 1.5", "share"},
		{"--set nothing", "nothing"},
		{"--corrupt 1.5", "probability"},
		{"--corrupt NaN", "probability"},
		{"--method magic", "magic"},
		{"--max-time 0s", "time"},
		{"--scale much", "much"},
		{"--label y", "--train"},
		{"--words count", "folder"},
		{"--out file", "file"},
		{"--unknown", "unknown"},
		{"good.csv", "--train"},
	} {
		files(t, content)
		before := listing(t)
		o := call(t, append([]string{"clean", "--quiet"}, strings.Fields(c.args)...)...)
		if o.code != exitUsage || !strings.Contains(o.stderr, c.want) || strings.Count(o.stderr, "\n") != 1 ||
			o.stdout != "" {
			t.Errorf("%s: exit code %d, %q, %q", c.args, o.code, o.stderr, o.stdout)
		}
		if after := listing(t); after != before {
			t.Errorf("%s: left %s", c.args, after)
		}
	}
}

// TestCleanInterrupted: what there is is written, and so it is when time is up.
func TestCleanInterrupted(t *testing.T) {
	files(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"clean", "--json", "--quiet"}, strings.NewReader(""), &stdout, &stderr)
	if code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
	j := decode(t, stdout.String())
	if j["interrupted"] != true || j["timed_out"] != false || !exists("bilevel-clean-out/report.html") {
		t.Errorf("%v", j)
	}
	if n := len(readWeights(t, "bilevel-clean-out/weights.csv")["row"]); float64(n) != j.number(t, "n_train") {
		t.Errorf("%d rows", n)
	}
	j = decode(t, mustCall(t, "clean", "--json", "--quiet", "--max-time", "1ms").stdout)
	if j["timed_out"] != true || j["interrupted"] != false {
		t.Errorf("%v", j)
	}
}

// TestCleanBy: the annotator whose labels are random is named, in the summary, in JSON, in weights.csv and in the report.
func TestCleanBy(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(table(600, 1, 1, yesNo)), "\n")
	for i, coin := range strings.Split(strings.TrimSpace(table(600, 1, 2, yesNo)), "\n") {
		switch {
		case i == 0:
			lines[i] = "annotator," + lines[i]
		case i%4 == 3: // the labels of other rows
			lines[i] = "dan," + lines[i][:strings.LastIndex(lines[i], ",")] + coin[strings.LastIndex(coin, ","):]
		default:
			lines[i] = []string{"ann", "bob", "cleo"}[i%4] + "," + lines[i]
		}
	}
	files(t, map[string]string{"noisy.csv": strings.Join(lines, "\n") + "\n", "right.csv": table(200, 1, 3, yesNo)})
	args := strings.Fields("clean --train noisy.csv --trusted right.csv --by annotator --quiet")
	if o := mustCall(t, args...); !strings.Contains(o.stdout, "Worse than the others, by annotator: dan (") {
		t.Error(o.stdout)
	}
	j := decode(t, mustCall(t, append(args, "--json")...).stdout)
	groups := j["groups"].([]any)
	for k, g := range groups {
		g := object(g.(map[string]any))
		if g["worse"] != (k == 0) || (g["name"] == "dan") != (k == 0) || g.number(t, "rows") != 150 {
			t.Errorf("%v", g)
		}
	}
	weights, err := os.ReadFile("bilevel-clean-out/weights.csv")
	if err != nil {
		t.Fatal(err)
	}
	if w := strings.Split(string(weights), "\n"); len(groups) != 4 || len(w) != 602 ||
		!strings.HasSuffix(w[0], ",rank,annotator") || !strings.HasSuffix(w[3], ",dan") {
		t.Errorf("%d groups, %q", len(groups), w[:4])
	}
	html, err := os.ReadFile("bilevel-clean-out/report.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Which annotator is worse", "bilevel tune --train noisy.csv --drop annotator<",
		"Labels that look wrong, by annotator"} {
		if !strings.Contains(string(html), want) {
			t.Errorf("the report does not say %q", want)
		}
	}
}
