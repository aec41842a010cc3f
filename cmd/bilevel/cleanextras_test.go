package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mislabelled is a table of two clouds, 200 rows each, of which every tenth "a" is called "b", with an id, and what
// another model says of the rows.
func mislabelled() (table, chances string, wrong map[string]bool) {
	r := rand.New(rand.NewPCG(1, 1))
	var rows, said strings.Builder
	rows.WriteString("who,x,\"the \"\"y\"\"\",label\r\n")
	said.WriteString("b,a\n")
	wrong = make(map[string]bool)
	for i := range 400 {
		class, at := "a", -2.0
		if i%2 == 1 {
			class, at = "b", 2
		}
		x, label := at+r.NormFloat64(), class
		if i%20 == 4 {
			label = "b"
			wrong[fmt.Sprint("r", i)] = true
		}
		fmt.Fprintf(&rows, "r%d, %.3f ,\"%.2f\",%s\r\n", i, x, r.NormFloat64(), label)
		p := .95
		if class == "a" {
			p = .05
		}
		fmt.Fprintf(&said, "%.2f,%.2f\n", p, 1-p)
	}
	return rows.String(), said.String(), wrong
}

// TestCleanedFile: without trusted rows the wrong labels are found, the noise is said, and the cleaned file has the
// other lines as they were.
func TestCleanedFile(t *testing.T) {
	table, chances, wrong := mislabelled()
	files(t, map[string]string{"t.csv": table, "p.csv": chances})
	for _, args := range []string{"--cleaned new.csv", "--cleaned new.csv --probabilities p.csv"} {
		o := mustCall(t, append(strings.Fields("clean --train t.csv --label label --id who --quiet"),
			strings.Fields(args)...)...)
		if !strings.Contains(o.stdout, "are labelled b (") || !strings.Contains(o.stdout, "wrote new.csv\n") ||
			strings.Contains(o.stdout, "trusted") {
			t.Errorf("%s:\n%s", args, o.stdout)
		}
		text, err := os.ReadFile("new.csv")
		if err != nil {
			t.Fatal(err)
		}
		missed, lost := len(wrong), 0
		lines := strings.SplitAfter(table, "\r\n")
		kept := strings.SplitAfter(string(text), "\r\n")
		if kept[0] != lines[0] {
			t.Errorf("the header is %q", kept[0])
		}
		k := 0
		for _, line := range lines {
			if k < len(kept) && kept[k] == line {
				k++
				continue
			}
			who, _, _ := strings.Cut(line, ",")
			if wrong[who] {
				missed--
			} else {
				lost++
			}
		}
		if k != len(kept) || missed > 2 || lost > 3 {
			t.Errorf("%s: %d of %d lines are as they were, %d wrong ones are left, %d right ones are not", args, k, len(kept),
				missed, lost)
		}
		weights, err := os.ReadFile(filepath.Join("bilevel-clean-out", "weights.csv"))
		if err != nil || !strings.HasPrefix(string(weights), "row,label,weight,kept,predicted,probability,rank,who\n1,a,") ||
			!strings.Contains(string(weights), "5,b,0.0") || !strings.Contains(string(weights), ",r4\n") {
			t.Errorf("%s: %.80s (%v)", args, weights, err)
		}
		page, err := os.ReadFile(filepath.Join("bilevel-clean-out", "report.html"))
		if err != nil || !strings.Contains(string(page), "Which class is taken for which") {
			t.Errorf("%s: the report does not show the noise (%v)", args, err)
		}
	}
}

// TestCleanTexts: the report shows how suspicious texts begin, of folders and of columns.
func TestCleanTexts(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	words := [][]string{{"ball", "goal", "team", "match", "score"}, {"bake", "oven", "flour", "salt", "dough"}}
	table := "label,body\n"
	content := make(map[string]string)
	for i := range 240 {
		topic := i % 2
		label := []string{"sport", "food"}[topic]
		if i%24 == 6 {
			label = "food"
		}
		text := ""
		for range 12 {
			text += words[topic][r.IntN(5)] + " "
		}
		table += fmt.Sprintf("%s,\"Begin %d: %s\"\n", label, i, text)
		content[fmt.Sprintf("texts/%s/%d.txt", label, i)] = fmt.Sprintf("Begin %d: %s", i, text)
	}
	files(t, map[string]string{"t.csv": table})
	for name, text := range content {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range []string{"--train t.csv --text body", "--train texts"} {
		mustCall(t, append(strings.Fields("clean --quiet"), strings.Fields(args)...)...)
		page, err := os.ReadFile(filepath.Join("bilevel-clean-out", "report.html"))
		if err != nil || !strings.Contains(string(page), "Begin 30: ") || strings.Contains(string(page), "Begin 31: ") {
			t.Errorf("%s: the report does not show the wrong texts (%v)", args, err)
		}
	}
}
