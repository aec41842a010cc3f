package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel/bench"
)

// The command lines of the documentation are in lines of their own, or in the text as code.
var (
	commandLine = regexp.MustCompile(`(?m)^(?: {4})?(?:go run \./cmd/)?bilevel (\S.*)$`)
	commandCode = regexp.MustCompile("`bilevel ([^`]+)`")
	flagCode    = regexp.MustCompile("`--([a-z][a-z0-9-]*)")
	variable    = regexp.MustCompile(`\$\w+|(--\S+) …`) // of a shell, or a value left open: numbers
)

// Every command line of the documentation is one that the command takes, and every flag that it mentions is one.
func TestDocumentedCommands(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"help": true, "version": true}
	var learn func(c *cobra.Command)
	learn = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
		for _, sub := range c.Commands() {
			learn(sub)
		}
	}
	learn(newRoot())

	seen := 0
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []*regexp.Regexp{commandLine, commandCode} {
			for _, m := range form.FindAllStringSubmatch(string(text), -1) {
				seen++
				line, _, _ := strings.Cut(m[1], "  ") // an explanation follows
				line, _, _ = strings.Cut(line, " #")
				line = strings.TrimSuffix(variable.ReplaceAllString(line, "$1 1"), " …")
				if err := parses(strings.Fields(line)); err != nil {
					t.Errorf("%s: bilevel %s: %v", filepath.Base(file), line, err)
				}
			}
		}
		for _, m := range flagCode.FindAllStringSubmatch(string(text), -1) {
			if !known[m[1]] {
				t.Errorf("%s: no command has the flag --%s", filepath.Base(file), m[1])
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d command lines were found", seen)
	}
}

// parses is the error of a command line that the command would refuse before it reads anything.
func parses(args []string) error {
	c, rest, err := newRoot().Find(joinSwitches(args))
	if err != nil {
		return err
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	given := c.Flags().Args()
	if err := c.ValidateArgs(given); err != nil {
		return err
	}
	switch c.CommandPath() {
	case "bilevel figure":
		_, err = bench.Lookup(given[0])
	case "bilevel bench run":
		_, err = bench.ReadyFile(given[0])
	}
	return err
}

// The output that the README shows is that of the command, but for the numbers, whose last digits depend on the
// machine.
func TestDocumentedOutput(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), "$ bilevel tune --set breast-cancer\n")
	want, _, closed := strings.Cut(after, "```")
	if !ok || !closed {
		t.Fatal("no output in the README")
	}
	files(t, nil)
	shape := func(s string) string { return regexp.MustCompile(`[\d,.−]+`).ReplaceAllString(s, "#") }
	if got := mustCall(t, "tune", "--quiet", "--set", "breast-cancer").stdout; shape(got) != shape(want) {
		t.Errorf("the command prints\n%s\nand the README has\n%s", got, want)
	}
}
