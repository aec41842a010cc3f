// Package docs tests what the documentation says.
package docs

import (
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is a fenced block of a Markdown file.
type block struct {
	place    string // file:line
	language string
	text     string
}

// read returns the text of every file that a pattern matches.
func read(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || files == nil {
			t.Fatalf("%s: %v, %d files", pattern, err, len(files))
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts[file] = string(text)
		}
	}
	return texts
}

// documentation is the README and the files here.
func documentation(t *testing.T) map[string]string {
	t.Helper()
	return read(t, "*.md", "../README.md")
}

// blocks are the fenced blocks of the documentation.
func blocks(t *testing.T) (all []block) {
	t.Helper()
	for file, text := range documentation(t) {
		var inside *block
		for i, line := range strings.Split(text, "\n") {
			fence, isFence := strings.CutPrefix(line, "```")
			switch {
			case isFence && inside == nil:
				all = append(all, block{place: fmt.Sprintf("%s:%d", file, i+1), language: fence})
				inside = &all[len(all)-1]
			case isFence:
				inside = nil
			case inside != nil:
				inside.text += line + "\n"
			}
		}
		if inside != nil {
			t.Errorf("%s: the block does not end", inside.place)
		}
	}
	return all
}

// A Go block is a program, which is run and prints the text block after it, or a part of what compiles with the tests:
// of fragments_test.go here or of an example of the package.
func TestGoBlocks(t *testing.T) {
	compiled := ""
	for _, source := range read(t, "fragments_test.go", "../example*_test.go") {
		compiled += plain(source)
	}
	all := blocks(t)
	programs, fragments := 0, 0
	for i, b := range all {
		switch {
		case b.language != "go":
		case strings.HasPrefix(b.text, "package "):
			programs++
			if i+1 == len(all) || all[i+1].language != "text" {
				t.Errorf("%s: no block of text with the program's output follows", b.place)
				continue
			}
			runProgram(t, b, all[i+1].text)
		default:
			fragments++
			if !strings.Contains(compiled, plain(b.text)) {
				t.Errorf("%s: not a part of fragments_test.go or ../example*_test.go:\n%s", b.place, b.text)
			}
		}
	}
	if programs == 0 || fragments == 0 {
		t.Errorf("%d programs and %d fragments", programs, fragments)
	}
}

func runProgram(t *testing.T, b block, want string) {
	t.Helper()
	if formatted, err := format.Source([]byte(b.text)); err != nil || string(formatted) != b.text {
		t.Errorf("%s: gofmt would change it (%v)", b.place, err)
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(b.text), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := exec.Command("go", "run", file).CombinedOutput(); err != nil || string(got) != want {
		t.Errorf("%s: %v, prints\n%s\nand not\n%s", b.place, err, got, want)
	}
}

var (
	errorCheck = regexp.MustCompile(`\nif err != nil \{(\n[^}]*)?\n\}`)
	spaces     = regexp.MustCompile(`[ \t]+`)
)

// plain is Go source without indentation, empty lines and checks of errors, which documentation leaves out.
func plain(source string) string {
	var lines []string
	for line := range strings.Lines(source) {
		if line = strings.TrimSpace(spaces.ReplaceAllString(line, " ")); line != "" {
			lines = append(lines, line)
		}
	}
	return errorCheck.ReplaceAllString("\n"+strings.Join(lines, "\n")+"\n", "")
}
