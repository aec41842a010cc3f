package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// completed is what the shell is told for the last of args, and the directive.
func completed(t *testing.T, args ...string) (values []string, directive string) {
	t.Helper()
	o := mustCall(t, append([]string{"__complete"}, args...)...)
	lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
	for _, l := range lines[:len(lines)-1] {
		value, _, _ := strings.Cut(l, "\t")
		values = append(values, value)
	}
	return values, lines[len(lines)-1]
}

func TestCompletion(t *testing.T) {
	files(t, map[string]string{
		"t.csv":    "size,weight,colour of it,price\nthis is,no table\n",
		"plain":    "1\t2\n3\t4\n",
		"t.svm":    "1 1:2\n-1 1:3\n",
		"odd.csv":  "a,\"b,c\",\"d\"\"e\",\"f\ng\",h\n1,2,3,4,5\n",
		"junk.csv": "\x00\x01",
	})
	columns := []string{"size", "weight", "colour of it", "price"}
	none := fmt.Sprintf(":%d", cobra.ShellCompDirectiveNoFileComp)
	list := fmt.Sprintf(":%d", cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)
	dirs := fmt.Sprintf(":%d", cobra.ShellCompDirectiveFilterDirs)
	anyFile := fmt.Sprintf(":%d", cobra.ShellCompDirectiveDefault)
	for _, c := range []struct {
		args      []string
		some      []string // of the values; all, where they are columns or none
		directive string
	}{
		{[]string{"tu"}, []string{"tune"}, none},
		{[]string{"tune", "--me"}, []string{"--method"}, none},
		{[]string{"tune", "--method", ""}, []string{"auto", "saba", "tpe"}, none},
		{[]string{"tune", "--method="}, []string{"auto", "saba", "tpe"}, none},
		{[]string{"clean", "--method", "s"}, []string{"saba"}, none},
		{[]string{"tune", "--set", ""}, []string{"digits", "mnist"}, none},
		{[]string{"tune", "--model", ""}, []string{"auto", "logistic", "ridge"}, none},
		{[]string{"tune", "--reg", ""}, []string{"auto", "feature-class", "elastic-net"}, none},
		{[]string{"tune", "--param", ""}, []string{"exp", "linear"}, none},
		{[]string{"tune", "--scale", ""}, []string{"auto", "on", "off"}, none},
		{[]string{"tune", "--scale", "o"}, []string{"on", "off"}, none},
		{[]string{"tune", "--task", ""}, []string{"classification", "regression"}, none},
		{[]string{"tune", "--format", ""}, []string{"csv", "parquet"}, none},
		{[]string{"tune", "--seed", ""}, nil, none},
		{[]string{"tune", "--train", ""}, nil, anyFile},
		{[]string{"tune", "--out", ""}, nil, dirs},
		{[]string{"figure", ""}, []string{"warm-start"}, none},
		{[]string{"data", "get", "mnist", ""}, []string{"ijcnn1"}, none},
		{[]string{"data", "path", "mnist", ""}, nil, none},
		{[]string{"bench", "run", ""}, []string{"smoke"}, anyFile},
		{[]string{"bench", "list", "--file", ""}, []string{"smoke"}, none},
		{[]string{"bench", "plot", ""}, nil, dirs},
		{[]string{"predict", ""}, nil, anyFile},
		{[]string{"predict", "--model", ""}, nil, anyFile},

		{[]string{"tune", "--train", "t.csv", "--label", ""}, columns, none},
		{[]string{"clean", "--train=t.csv", "--id", "x"}, columns, none},
		{[]string{"predict", "t.csv", "--label", ""}, columns, none},
		{[]string{"tune", "--train", "t.csv", "--drop", ""}, columns, list},
		{[]string{"tune", "--train", "t.csv", "--only", "size,"}, []string{"size,weight", "size,colour of it", "size,price"},
			list},
		{[]string{"tune", "--train", "plain", "--format", "tsv", "--no-header", "--label", ""}, []string{"f1", "f2"}, none},
		{[]string{"tune", "--train", "odd.csv", "--label", ""}, []string{"a", "b,c", `d"e`, "h"}, none},
		{[]string{"tune", "--train", "odd.csv", "--drop", ""}, []string{"a", "h"}, list},
		{[]string{"tune", "--label", ""}, nil, none},
		{[]string{"tune", "--train", "t.svm", "--label", ""}, nil, none},
		{[]string{"tune", "--train", "junk.csv", "--label", ""}, nil, none},
		{[]string{"tune", "--train", "nowhere", "--drop", ""}, nil, list},
		{[]string{"tune", "--train", ".", "--label", ""}, nil, none},
	} {
		got, directive := completed(t, c.args...)
		for _, v := range c.some {
			if !slices.Contains(got, v) {
				t.Errorf("%q: %q is not among %q", c.args, v, got)
			}
		}
		if exact := c.some == nil || c.directive == list || slices.Contains(c.args, "--label"); exact &&
			!slices.Equal(got, c.some) || directive != c.directive {
			t.Errorf("%q: %q %s, want %q %s", c.args, got, directive, c.some, c.directive)
		}
	}
	if got, _ := completed(t, "clean", "--method", ""); slices.Contains(got, "tpe") {
		t.Error("clean takes no searches")
	}
}

// The scripts are ones that the shells here take.
func TestCompletionScripts(t *testing.T) {
	files(t, nil)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		script := mustCall(t, "completion", shell).stdout
		if !strings.Contains(script, "__complete") {
			t.Errorf("%s: %.200s", shell, script)
		}
		path, err := exec.LookPath(shell)
		if err != nil || shell == "powershell" {
			continue
		}
		if err := os.WriteFile(shell, []byte(script), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(path, "-n", shell).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v, %s", shell, err, out)
		}
		if shell != "bash" {
			continue
		}
		alone := exec.Command(path, "--norc", "-c", "source ./bash; COMP_WORDS=(bilevel tune --me) COMP_CWORD=2; "+
			"_get_comp_words_by_ref -n =: cur prev words cword; echo $cur $prev $cword ${#words[@]}")
		if out, err := alone.CombinedOutput(); err != nil || string(out) != "--me tune 2 3\n" {
			t.Errorf("without bash-completion: %v, %s", err, out)
		}
	}
}
