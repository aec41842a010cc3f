package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// commands are all commands that the help lists, as run makes them.
func commands() (all []*cobra.Command) {
	root := newRoot()
	root.InitDefaultCompletionCmd()
	var add func(c *cobra.Command)
	add = func(c *cobra.Command) {
		if c.IsAvailableCommand() || !c.HasParent() {
			all = append(all, c)
		}
		for _, sub := range c.Commands() {
			add(sub)
		}
	}
	add(root)
	return all
}

// Every flag has a place in the help, one alone, and a kind of value where it takes one.
func TestFlagGroups(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range flagGroups {
		names, _ := flagKinds(g)
		for _, n := range names {
			if seen[n] {
				t.Errorf("%s has two places", n)
			}
			seen[n] = true
		}
	}
	used := map[string]bool{}
	for _, c := range commands() {
		for _, part := range flagParts(c) {
			for _, f := range part.flags {
				used[f.name] = true
				if part.title == other {
					t.Errorf("%s: --%s has no place: add it to flagGroups", c.CommandPath(), f.name)
				}
				if takes := c.Flag(f.name).Value.Type() != "bool"; takes != (f.kind != "") {
					t.Errorf("%s: --%s is shown with the value %q", c.CommandPath(), f.name, f.kind)
				}
				if kind := f.kind; kind != "" && kind != "FILE" && kinds[kind] == nil && !strings.Contains(kind, "|") {
					t.Errorf("%s: nothing is said of the completion of --%s %s", c.CommandPath(), f.name, kind)
				}
			}
		}
	}
	for n := range seen {
		if !used[n] {
			t.Errorf("no command has --%s", n)
		}
	}
}

// Nothing is too wide, and nothing is listed twice.
func TestHelpPages(t *testing.T) {
	for _, c := range commands() {
		p := pageOf(c)
		for _, width := range []int{minWidth, maxWidth} {
			var b bytes.Buffer
			if err := p.writeHelp(&b, width); err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, line := range strings.Split(b.String(), "\n") {
				if n := utf8.RuneCountInString(line); n > width {
					t.Errorf("%s: %d columns: %s", p.name, n, line)
				}
				if f, ok := strings.CutPrefix(line, "  --"); ok {
					name, _, _ := strings.Cut(f, " ")
					if seen[name] {
						t.Errorf("%s: --%s twice", p.name, name)
					}
					seen[name] = true
				}
			}
		}
		if n := len(p.example); (n == 0 || n > 2) && !strings.HasPrefix(p.name, "bilevel completion") {
			t.Errorf("%s: %d examples", p.name, n)
		}
		for _, e := range p.example {
			args, ok := strings.CutPrefix(e, "bilevel ")
			if err := parses(strings.Fields(args)); !ok || err != nil {
				t.Errorf("%s: the example %q: %v", p.name, e, err)
			}
		}
	}
	var b bytes.Buffer
	writeItem(&b, "--a VALUE", "one two three", 14, 22)
	writeItem(&b, "--much-longer VALUE", "four", 14, 22)
	writeBlock(&b, "Words that\nare filled.\n  a   name and more\n\tindented words too", 14)
	want := "  --a VALUE   one two\n              three\n  --much-longer VALUE\n              four\n" +
		"Words that are\nfilled.\n  a   name and\n      more\n  indented\n    words too\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// Examples run, where they need no files from elsewhere.
func TestExamples(t *testing.T) {
	train := strings.Replace(table(80, 1, 1, price), ",y\n", ",price\n", 1)
	labels := strings.Replace(table(80, 1, 2, yesNo), ",y\n", ",species\n", 1)
	files(t, map[string]string{"train.csv": train, "noisy.csv": labels, "clean.csv": labels, "new.csv": labels})
	ran := 0
	for _, c := range commands() {
		if c.Name() == "predict" { // the last model is one of numbers
			mustCall(t, "tune", "--train", "noisy.csv", "--label", "species", "--quiet")
		}
		for _, e := range pageOf(c).example {
			args := strings.Fields(e)[1:]
			switch {
			case len(args) == 1, args[0] == "man", args[0] == "figure" && args[1] != "list",
				args[0] == "data" && args[1] != "list":
				continue // they are in other tests, are long, write to the user's home, or need a download
			}
			ran++
			mustCall(t, args...)
		}
	}
	if ran < 15 {
		t.Errorf("only %d examples ran", ran)
	}
}

// docs/commands.md is what the commands say now.
func TestCommandsFile(t *testing.T) {
	files(t, nil)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(sourceDir)
	mustCall(t, "man", "--markdown", dir)
	got, err := os.ReadFile(filepath.Join(dir, "commands.md"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../../docs/commands.md")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/commands.md is not what --help says; run go generate ./cmd/bilevel (%v)", err)
	}
}

// sourceDir is where the tests start.
var sourceDir, _ = os.Getwd()

func TestManPages(t *testing.T) {
	files(t, map[string]string{"file": ""})
	listed := strings.Fields(mustCall(t, "man", "pages/man1").stdout)
	if len(listed) != len(commands()) {
		t.Errorf("%d pages of %d commands", len(listed), len(commands()))
	}
	formatter, missing := exec.LookPath("groff")
	for _, path := range listed {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{".TH ", ".SH NAME\n", ".SH SYNOPSIS\n"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s: no %q", path, want)
			}
		}
		if missing != nil {
			continue
		}
		out, err := exec.Command(formatter, "-k", "-man", "-ww", "-Tutf8", "-z", path).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%s: %v, %s", path, err, out)
		}
	}
	text, err := os.ReadFile("pages/man1/bilevel-tune.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`\fB\-\-label\fR \fICOLUMN\fR`, ".SS Columns", `bilevel tune \-\-set breast\-cancer`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in the page of tune", want)
		}
	}
	if got := roff(`.a\b-c'd`); got != `\&.a\eb\-c\(aqd` {
		t.Error(got)
	}
	for _, args := range [][]string{{"man"}, {"man", ""}, {"man", "file"}, {"man", "file/deep"}, {"man", "a", "b"}} {
		if o := call(t, args...); o.code != exitUsage || o.stdout != "" {
			t.Errorf("%v: %+v", args, o)
		}
	}
}

func TestVersion(t *testing.T) {
	text := mustCall(t, "version").stdout
	if short := mustCall(t, "--version").stdout; short != text {
		t.Errorf("%q and %q", short, text)
	}
	j := decode(t, mustCall(t, "version", "--json").stdout)
	for _, key := range []string{"version", "go", "os", "arch", "kernels"} {
		if v := fmt.Sprint(j[key]); v == "" || !strings.Contains(text, v) {
			t.Errorf("%s is %q, and the text is\n%s", key, v, text)
		}
	}
	var b strings.Builder
	build{Version: "v1.2.3", Revision: "abc", Date: "2026-01-02T03:04:05Z", Modified: true, Go: "go1", OS: "o", Arch: "a",
		Kernels: "k"}.write(&b)
	want := "bilevel v1.2.3\nrevision  abc of 2026-01-02T03:04:05Z, with changes since\nbuilt by  go1 for o/a\n" +
		"kernels   k\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// No wrong value of a flag makes a message that speaks of Go.
func TestWrongFlagValues(t *testing.T) {
	const table = "a,b,y\n1,2,0\n2,3,1\n"
	files(t, map[string]string{"t.csv": table, "u.csv": table, "v.csv": table, "m.json": "{}"})
	values := []string{"x", "-1", "0", "nan", "1e999", "99999999999999999999", "1,2,3", `a"b`, "", "-",
		"\x00", "t.csv", "∞"}
	seen := 0
	for _, c := range commands() {
		base := strings.Fields(c.CommandPath())[1:]
		switch {
		case strings.Contains(c.Use, " ") && c.Name() != "man":
			base = append(base, "t.csv") // a file, no figure, no set, no folder
			if c.Name() == "mix" {
				base = append(base, "--sources=u.csv,v.csv", "--quiet", "--max-time=1ms")
			}
		case c.Name() == "tune" || c.Name() == "clean":
			base = append(base, "--train=t.csv", "--quiet", "--max-time=1ms")
		}
		for _, part := range flagParts(c) {
			for _, f := range part.flags {
				for _, v := range values {
					o := call(t, append(slices.Clone(base), "--"+f.name+"="+v)...)
					seen++
					if o.code != exitOK && f.name != "quiet" {
						checkWrong(t, fmt.Sprintf("%s --%s=%q", strings.Join(base, " "), f.name, v), o)
					}
				}
			}
		}
	}
	if seen < 500 {
		t.Errorf("only %d values were tried", seen)
	}
}

// Misspelled names of all kinds are answered by the nearest one.
func TestSuggestions(t *testing.T) {
	files(t, map[string]string{"t.csv": "size,colour,price\n1,red,2\n2,blue,1\n",
		"b.yaml": "name: b\nproblems: [{problem: quadratik}]\nmethods: [{method: hoag}]\n",
		"k.yaml": "nam: b\n", "v.csv": "Size,colour,more,price\n1,red,1,2\n"})
	for _, c := range []struct{ args, want string }{
		{"tuen", `"tune"`}, {"data gte", `"get"`}, {"help benhc", `"bench"`}, {"completion bsh", `"bash"`},
		{"tune --lable x", "--label"}, {"tune -label x", "--label"}, {"bench run --job 3", "--jobs"},
		{"tune --method sabba", `"saba"`}, {"clean --method sabba", `"saba"`}, {"tune --reg feture", `"feature"`},
		{"tune --model logstic", `"logistic"`}, {"tune --param expp", `"exp"`}, {"tune --set digts", `"digits"`},
		{"clean --set mnits", `"mnist"`}, {"data get mnits", `"mnist"`}, {"data path ijcnn", `"ijcnn1"`},
		{"figure warmstart", `"warm-start"`}, {"bench run smok", `"smoke"`}, {"bench list --file smok", `"smoke"`},
		{"bench plot . --y gradnorm", `"gradnorm2"`}, {"bench run b.yaml", `"quadratic"`}, {"bench run k.yaml", `"name"`},
		{"tune --train t.csv --label pricee", `"price"`}, {"tune --train t.csv --label price --id siz", `"size"`},
		{"tune --train t.csv --label price --drop color", `"colour"`}, {"tune --train t.csv --only pric,size", `"price"`},
		{"tune --train t.csv --categorical Colours", `"colour"`}, {"tune --train t.csv --format cvs", `"csv"`},
		{"tune --train t.csv --words tfdif", `"tfidf"`}, {"tune --train t.csv --task clasification", `"classification"`},
		{"tune --train t.csv --unknown eror", `"error"`}, {"tune --train t.csv --missing impte", `"impute"`},
		{"tune --train t.csv --scale autp", `"auto"`}, {"tune --train t.csv --start gird", `"grid"`},
		{"tune --train t.csv --prior of", `"off"`},
	} {
		o := call(t, strings.Fields(c.args)...)
		if want := "did you mean " + c.want + "?"; o.code != exitUsage || !strings.Contains(o.stderr, want) {
			t.Errorf("%s: %q is not in %s (exit code %d)", c.args, want, o.stderr, o.code)
		}
	}
	o := call(t, "tune", "--train", "t.csv", "--val", "v.csv")
	if want := `"size" is missing, which the training file has; rename "Size"`; !strings.Contains(o.stderr, want) {
		t.Error(o.stderr)
	}
}
