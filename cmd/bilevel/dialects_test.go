package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"strings"
	"testing"
)

// One table as people have it: the same model whatever it was written by, or a refusal that says what to type.
func TestDialects(t *testing.T) {
	plain := table(120, 1, 3, yesNo)
	lines := strings.Split(strings.TrimSpace(plain), "\n")
	var indexed, european, named, holes strings.Builder
	for i, l := range lines {
		id, mark := fmt.Sprint(i*7%121), fmt.Sprintf("row-%d", i)
		if i == 0 {
			id, mark = "", "who"
		}
		fmt.Fprintf(&indexed, "%s,%s\n", id, l)
		fmt.Fprintln(&european, strings.ReplaceAll(strings.ReplaceAll(l, ",", ";"), ".", ","))
		fmt.Fprintf(&named, "%s,%s\n", l, mark)
		if i%10 == 3 {
			l = l[strings.Index(l, ","):]
		}
		fmt.Fprintln(&holes, l)
	}
	files(t, map[string]string{"plain.csv": plain, "indexed.csv": indexed.String(), "european.csv": european.String(),
		"named.csv": named.String(), "comments.csv": "# exported\n# today\n" + plain, "holes.csv": holes.String()})
	tune := func(args ...string) object {
		return decode(t, mustCall(t, append([]string{"tune", "--json", "--quiet", "--reg", "shared"}, args...)...).stdout)
	}
	want := tune("--train", "plain.csv")
	if want["label"] != "y" || !strings.Contains(fmt.Sprint(want["words"]), `The label is the column "y"`) {
		t.Errorf("label %v, words %v", want["label"], want["words"])
	}
	for _, c := range []struct{ args, says string }{
		{"--train indexed.csv", "no name"},
		{"--train european.csv --decimal ,", ""},
		{"--train named.csv --label y --id who", ""},
		{"--train named.csv --label y --drop who", ""},
		{"--train named.csv --label y --only size,weight,colour,constant,noise0", ""},
		{"--train comments.csv", "2 lines above the header"},
	} {
		got := tune(strings.Fields(c.args)...)
		if got.number(t, "value") != want.number(t, "value") || got["label"] != "y" {
			t.Errorf("%s: h = %v, of the plain table %v; label %v", c.args, got["value"], want["value"], got["label"])
		}
		if !strings.Contains(fmt.Sprint(got["words"]), c.says) {
			t.Errorf("%s: %v", c.args, got["words"])
		}
	}
	for args, says := range map[string]string{
		"--train european.csv":                     "--decimal ,",
		"--train named.csv":                        "--label y",
		"--train holes.csv":                        "--missing impute",
		"--train plain.csv --drop none":            `no column "none"`,
		"--train plain.csv --unknown maybe":        "error or zero",
		"--train plain.csv --width -1":             "--width",
		"--train plain.csv --missing guess":        "drop or impute",
		"--train plain.csv --decimal x":            "decimals",
		"--decimal ,":                              "--train",
		"--train european.csv --decimal comma":     "one character",
		"--train plain.csv --val indexed.csv --id": "id",
	} {
		o := call(t, append([]string{"tune", "--quiet"}, strings.Fields(args)...)...)
		if o.code != 2 || !strings.Contains(o.stderr, says) {
			t.Errorf("%s: exit code %d, %s", args, o.code, o.stderr)
		}
	}
	if got := tune("--train", "holes.csv", "--missing", "drop"); got.number(t, "n_train") != 108 {
		t.Errorf("%v rows", got["n_train"])
	}

	// Predictions know names, notation and what stands for missing cells without being told.
	tune("--train", "named.csv", "--label", "y", "--id", "who", "--missing", "impute", "--out", "m")
	rows, err := csv.NewReader(strings.NewReader(mustCall(t, "predict", "--model", "m/model.json",
		"named.csv").stdout)).ReadAll()
	if err != nil || strings.Join(rows[0], " ") != "who prediction" || rows[5][0] != "row-5" || len(rows) != 121 {
		t.Errorf("%v %v", rows[:2], err)
	}
	if o := mustCall(t, "predict", "--model", "m/model.json", "holes.csv"); strings.Count(o.stdout, "\n") != 121 {
		t.Errorf("%s", o.stdout)
	}
	tune("--train", "european.csv", "--decimal", ",", "--out", "e")
	a := mustCall(t, "predict", "--model", "e/model.json", "european.csv").stdout
	tune("--train", "plain.csv", "--out", "p")
	if b := mustCall(t, "predict", "--model", "p/model.json", "plain.csv").stdout; a != b {
		t.Error("predictions of the two notations differ")
	}
	// clean carries names as well.
	if err := os.WriteFile("trusted.csv", []byte(strings.Join(lines[:60], "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	mustCall(t, "clean", "--quiet", "--train", "named.csv", "--label", "y", "--id", "who", "--trusted", "trusted.csv",
		"--out", "c")
	if b, err := os.ReadFile("c/weights.csv"); err != nil || !strings.HasPrefix(string(b),
		"row,label,weight,kept,predicted,rank,who\n1,") || !strings.Contains(string(b), ",row-120\n") {
		t.Errorf("%.200s %v", b, err)
	}
}

// A number with few values says how it is taken, and how to have it otherwise.
func TestTask(t *testing.T) {
	var few strings.Builder
	few.WriteString("a,cyl\n")
	for i := range 40 {
		fmt.Fprintf(&few, "%d,%d\n", i*i%17, 4+2*(i%3))
	}
	files(t, map[string]string{"few.csv": few.String()})
	for args, want := range map[string]struct{ model, says string }{
		"":                      {"ridge", "only 3 different values and is predicted as a number: --task classification"},
		"--task classification": {"softmax", ""},
		"--task regression":     {"ridge", ""},
		"--model softmax":       {"softmax", ""},
	} {
		j := decode(t, mustCall(t, append([]string{"tune", "--json", "--quiet", "--reg", "shared", "--train", "few.csv"},
			strings.Fields(args)...)...).stdout)
		words := fmt.Sprint(j["words"])
		if j["model"] != want.model || !strings.Contains(words, want.says) || want.says == "" && strings.Contains(words,
			"--task") {
			t.Errorf("%s: %v, %s", args, j["model"], words)
		}
	}
	for args, says := range map[string]string{"--task guess": "classification or regression",
		"--task regression --model softmax": "contradict"} {
		o := call(t, append([]string{"tune", "--quiet", "--train", "few.csv"}, strings.Fields(args)...)...)
		if o.code != 2 || !strings.Contains(o.stderr, says) {
			t.Errorf("%s: exit code %d, %s", args, o.code, o.stderr)
		}
	}
}
