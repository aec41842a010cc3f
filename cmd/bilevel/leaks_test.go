package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// leaks are words of Go, which messages have none of.
var leaks = regexp.MustCompile(
	`strconv\.|(^|[ (])(json|yaml|csv|tune|clean|dataset|bench):|reflect|panic|goroutine|unmarshal|parse error|` +
		`invalid syntax|%!|<nil>`)

// checkWrong is a failure of the test unless o is that of wrong input, in one line without words of Go.
func checkWrong(t *testing.T, what string, o outcome) {
	t.Helper()
	text, _ := strings.CutPrefix(o.stderr, "bilevel: ")
	if o.code != exitUsage || strings.Count(text, "\n") != 1 || leaks.MatchString(text) {
		t.Errorf("%s: exit code %d, %s", what, o.code, o.stderr)
	}
}

// variants are texts of JSON with one value changed, with where that is.
func variants(t *testing.T, text []byte) map[string][]byte {
	t.Helper()
	var root any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	write := func(at string) {
		b, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		all[at] = b
	}
	wrong := []any{"x", -1.5, true, nil, []any{}, map[string]any{"a": 1.}, []any{nil}, 1e300}
	var walk func(v any, at string)
	walk = func(v any, at string) {
		try := func(key string, value any, set func(any)) {
			for _, w := range wrong {
				set(w)
				write(fmt.Sprintf("%s.%s = %v", at, key, w))
			}
			set(value)
			walk(value, at+"."+key)
		}
		switch v := v.(type) {
		case map[string]any:
			for k, value := range v {
				try(k, value, func(w any) { v[k] = w })
			}
		case []any:
			if len(v) > 0 { // others are alike
				try("0", v[0], func(w any) { v[0] = w })
			}
		}
	}
	walk(root, "")
	return all
}

// A damaged model is refused in words of the file, or reads as another model.
func TestDamagedModels(t *testing.T) {
	files(t, map[string]string{"t.csv": table(60, 1, 1, yesNo)})
	mustCall(t, "tune", "--train", "t.csv", "--quiet", "--missing", "impute")
	text, err := os.ReadFile("bilevel-out/model.json")
	if err != nil {
		t.Fatal(err)
	}
	all := variants(t, text)
	for _, n := range []int{0, 1, len(text) / 3, len(text) / 2, len(text) - 3} {
		all[fmt.Sprintf("cut at %d", n)] = text[:n]
	}
	all["a word"] = []byte(strings.Replace(string(text), `"task"`, `task`, 1))
	for at, model := range all {
		if err := os.WriteFile("m.json", model, 0o644); err != nil {
			t.Fatal(err)
		}
		if o := call(t, "predict", "--model", "m.json", "t.csv"); o.code != exitOK {
			checkWrong(t, at, o)
		}
	}
	if len(all) < 200 {
		t.Errorf("only %d models were tried", len(all))
	}
	broken := strings.Replace(string(text), `"scaler": {`, `"scaler": [`, 1)
	if err := os.WriteFile("m.json", []byte(broken), 0o644); err != nil {
		t.Fatal(err)
	}
	line := 1 + strings.Count(broken[:strings.Index(broken, "scaler")], "\n")
	if o := call(t, "predict", "--model", "m.json", "t.csv"); !strings.HasPrefix(o.stderr,
		fmt.Sprintf("bilevel: m.json:%d: this is no model", line+1)) {
		t.Errorf("the line is %d: %s", line, o.stderr)
	}
}

// Bench files that are no YAML or say something else name their place.
func TestDamagedBenchFiles(t *testing.T) {
	const good = "name: a\nbudget: {steps: 2}\nproblems: [{problem: quadratic}]\nmethods: [{method: hoag}]\n"
	for _, text := range []string{
		"", "3\n", "- a\n", "name: a\n\tx: y\n", "name: a: b\n", "name: [a\n", "name: \"a\n", "name: \"\\q\"\n", "name: *x\n",
		"name: a\nname: b\n", "name: !!int x\n", "\x00\x01", "name: &a b\n", "? [a]\n: b\n", "<<: {a: b}\n",
		"%YAML 3\n---\na: b\n",
		"name: @a\n", "{name: a, problems: [}\n", good + "seeds: 1e999\n", good + "seeds: 99999999999999999999999\n",
		good + "seeds: x\n", good + "records: {kkt: x}\n", strings.Replace(good, "steps: 2", "time: soon", 1),
		strings.Replace(good, "steps: 2", "steps: x", 1), strings.Replace(good, "hoag}", "hoag, params: {tolerance: x}}", 1),
		strings.Replace(good, "hoag}", "hoag, params: {estimator: {aid: {solver: 3}}}}", 1),
		strings.Replace(good, "quadratic}", "quadratic, inner: x}", 1),
	} {
		files(t, map[string]string{"b.yaml": text})
		o := call(t, "bench", "run", "b.yaml")
		checkWrong(t, fmt.Sprintf("%q", text), o)
		if !strings.Contains(o.stderr, "b.yaml:") {
			t.Errorf("%q: no place in %s", text, o.stderr)
		}
	}
}

// Damaged traces name file and line.
func TestDamagedTraces(t *testing.T) {
	files(t, nil)
	for _, text := range []string{"", "x\n", "x\ny\n", "{}\n{}\n",
		"{\"format\":1,\"task\":3}\n{}\n", "{\"format\":\"x\"}\n{}\n",
		"{\"format\":1,\"no\":3}\n{}\n", "{\"format\":1,\"task\":{}}\n{\"status\":\"x\"}\n", "{\"format\":1\n", "[]\n[]\n",
		"{\"format\":1,\"task\":{\"seed\":-1}}\n{\"status\":\"done\"}\n"} {
		if err := os.MkdirAll("d/runs", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("d", "runs", "a.jsonl"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"show", "plot", "report", "export --out r.csv"} {
			o := call(t, append([]string{"bench"}, strings.Fields(strings.Replace(command+" ", " ", " d ", 1))...)...)
			checkWrong(t, fmt.Sprintf("%s of %q", command, text), o)
			if !strings.Contains(o.stderr, "a.jsonl:") {
				t.Errorf("%s of %q: no place in %s", command, text, o.stderr)
			}
		}
	}
}

// A message is one line that steers no terminal, whatever files are called.
func TestMessage(t *testing.T) {
	err := errors.New("dataset: a\x1b[31m\nb\t\xf6: größer")
	if got := message(err); got != "a\uFFFD[31m b \uFFFD: größer" {
		t.Errorf("%q", got)
	}
}

// What strangers try is answered with what to type.
func TestStrangers(t *testing.T) {
	files(t, map[string]string{"t.csv": "a,b,y\n1,2,0\n", "long.yaml": strings.Repeat("word ", 1000)})
	for _, c := range []struct{ args, want string }{
		{"t.csv", `has no command "t.csv"; to learn a model of this file: bilevel tune --train t.csv`},
		{"--train t.csv", "--train: there is no such flag; bilevel tune has it"},
		{"version x", `"x": bilevel version takes no arguments`},
		{"data list x", `"x": bilevel data list takes no arguments`},
		{"completion bash x", `"x": bilevel completion bash takes no arguments`},
		{"bench run .", "this is a folder"}, {"bench run long.yaml", `word word "…`},
		{"bench run t.csv", "must be keys and values"},
		{"data get", "bilevel data list has them"}, {"data path", "bilevel data list has them"},
		{"tune t.csv", "give files with --train"}, {"tune --train", "--train: a value is missing"},
		{"tune --train t.csv --folds two", `--folds "two": give a whole number`},
		{"tune --max-time 30", `--max-time "30": give a time with its unit, such as 30s`},
	} {
		o := call(t, strings.Fields(c.args)...)
		checkWrong(t, c.args, o)
		if !strings.Contains(o.stderr, c.want) {
			t.Errorf("%s: %q is not in %s", c.args, c.want, o.stderr)
		}
	}
}
