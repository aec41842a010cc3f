package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// A file is described as tune reads it, or with what is in the way, on the terminal and as JSON.
func TestDescribe(t *testing.T) {
	plain := table(60, 1, 3, yesNo)
	lines := strings.Split(strings.TrimSpace(plain), "\n")
	var marked strings.Builder
	for i, l := range lines {
		mark := fmt.Sprintf("row-%d", i)
		if i == 0 {
			mark = "who"
		}
		fmt.Fprintf(&marked, "%s,%s\n", mark, l)
	}
	var wide [3][]string
	for i := range wide {
		for j := range 100 {
			wide[i] = append(wide[i], []string{fmt.Sprintf("x%d", j), fmt.Sprint(j), fmt.Sprint(j * j)}[i])
		}
	}
	files(t, map[string]string{"wide.csv": strings.Join(wide[0], ",") + "\n" + strings.Join(wide[1], ",") + "\n" +
		strings.Join(wide[2], ",") + "\n", "plain.csv": plain, "marked.csv": marked.String(),
		"price.csv": table(60, 0, 4, price),
		"a.svm":     "1 1:1 3:2\n0 2:1\n1 1:3\n0 2:4\n", "none.csv": "a,b\n"})
	for _, c := range []struct {
		args string
		says []string
		not  string
	}{
		{"plain.csv", []string{"plain.csv: csv, 60 rows, 6 columns, 0 missing cells", "COLUMN    TYPE      TAKEN FOR",
			"constant  number    feature             1       7 … 7", "constant\n", "y         yes/no    label",
			"label   y; 2 classes:", "tune    fits a logistic model of 7 features, features standardised",
			"by cross-validation with 5 folds, 4 times (", "clean   looks for wrong labels among 2 classes",
			`The column "constant" is the same`}, "guess"},
		{"marked.csv", []string{"who       identifier  feature", "tune    refuses the file: marked.csv:2: column \"who\"",
			"give --drop who", "clean   refuses the file as well"}, "What else"},
		{"marked.csv --id who", []string{"who                 id", "tune    fits a logistic"}, "refuses"},
		{"price.csv --label size", []string{"label   size; a number from", "which was asked for", "fits a ridge model",
			"clean   refuses the file: the label is a number"}, ""},
		{"price.csv", []string{"y         number    label", "chosen for its name"}, "guess"},
		{"price.csv --drop y", []string{"which is a guess: --label decides", "y                   left out"}, ""},
		{"wide.csv --label x0", []string{"x59 ", "\n… and 40 columns: --json has all\n", "label   x0; "}, "x60"},
		{"a.svm", []string{"a.svm: libsvm, 4 rows, 3 features", "values  0 … 4,", "features as they are, without an"}, ""},
	} {
		o := mustCall(t, append([]string{"data", "describe"}, strings.Fields(c.args)...)...)
		for _, says := range c.says {
			if !strings.Contains(o.stdout, says) {
				t.Errorf("%s: no %q in\n%s", c.args, says, o.stdout)
			}
		}
		if c.not != "" && strings.Contains(o.stdout, c.not) || strings.Contains(o.stdout, " \n") {
			t.Errorf("%s: %q or a space at the end of a line in\n%s", c.args, c.not, o.stdout)
		}
	}
	named := mustCall(t, "data", "describe", "plain.csv").stdout
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"data", "describe", "-"}, strings.NewReader(plain), &stdout, &stderr)
	if code != 0 || strings.ReplaceAll(stdout.String(), "standard input", "plain.csv") != named {
		t.Errorf("standard input: %s%s", &stdout, &stderr)
	}
	if o := call(t, "data", "describe", "plain.csv", "--memory", "1KB"); o.code != 2 ||
		!strings.Contains(o.stderr, "plain.csv") {
		t.Errorf("%d: %s", o.code, o.stderr)
	}
	j := decode(t, mustCall(t, "data", "describe", "marked.csv", "--json").stdout)
	columns, _ := j["columns"].([]any)
	label, _ := j["label"].(map[string]any)
	if j.number(t, "rows") != 60 || len(columns) != 7 || label["name"] != "y" || label["certain"] != true ||
		!strings.HasPrefix(fmt.Sprint(j["tune"]), "refuses") || len(j["problems"].([]any)) != 1 {
		t.Errorf("%v", j)
	}
	// What it says of the file is what tune says.
	words := fmt.Sprint(decode(t, mustCall(t, "tune", "--train", "plain.csv", "--reg", "shared", "--json",
		"--quiet").stdout)["words"])
	for _, note := range decode(t, mustCall(t, "data", "describe", "plain.csv", "--json").stdout)["notes"].([]any) {
		if !strings.Contains(words, note.(string)) {
			t.Errorf("tune does not say %q", note)
		}
	}
	for args, says := range map[string]string{"": "give one file", "none.csv": "no rows", "nothing.csv": "check the path",
		"plain.csv --label z": `no label column "z"`, "plain.csv --words log": "name columns of texts",
		"plain.csv --train plain.csv": "--train: there is no such flag"} {
		o := call(t, append([]string{"data", "describe"}, strings.Fields(args)...)...)
		if o.code != exitUsage || !strings.Contains(o.stderr, says) {
			t.Errorf("%s: exit code %d, %s", args, o.code, o.stderr)
		}
	}
}
