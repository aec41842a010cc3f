package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFigure(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "new", "folder")
	r := call(t, "figure", "hypergrad-rates", "--out", out, "--repeats", "1", "--quiet")
	if r.code != exitOK || r.stderr != "" {
		t.Fatalf("code %d, %s", r.code, r.stderr)
	}
	for _, ext := range []string{".csv", ".svg", ".png"} {
		file := filepath.Join(out, "hypergrad-rates"+ext)
		if data, err := os.ReadFile(file); err != nil || len(data) < 1000 || !strings.Contains(r.stdout, file) {
			t.Errorf("%s: %d bytes, %v; the command says %s", file, len(data), err, r.stdout)
		}
	}
	light, _ := os.ReadFile(filepath.Join(out, "hypergrad-rates.png"))
	wide, _ := os.ReadFile(filepath.Join(out, "hypergrad-rates.svg"))
	before, _ := os.ReadFile(filepath.Join(out, "hypergrad-rates.csv"))
	if r := call(t, "figure", "hypergrad-rates", "--out", out, "--numbers", filepath.Join(out, "hypergrad-rates.csv"),
		"--dark", "--narrow", "--highlight", "AID-CG"); r.code != exitOK {
		t.Errorf("code %d, %s", r.code, r.stderr)
	}
	dark, _ := os.ReadFile(filepath.Join(out, "hypergrad-rates.png"))
	narrow, _ := os.ReadFile(filepath.Join(out, "hypergrad-rates.svg"))
	if bytes.Equal(light, dark) || !strings.Contains(string(wide), `width="990"`) ||
		!strings.Contains(string(narrow), `width="360"`) {
		t.Errorf("--dark and --narrow do not show: %.150s", narrow)
	}
	numbers, _ := os.ReadFile(filepath.Join(out, "hypergrad-rates.csv"))
	if !bytes.Equal(before, numbers) {
		t.Error("numbers that were read are written in another way")
	}
	if header, _, _ := strings.Cut(string(numbers), "\n"); header != "problem,method,t,error_mean,error_std" {
		t.Errorf("the header is %s", header)
	}
	if r := call(t, "figure", "list"); r.code != exitOK || !strings.Contains(r.stdout, "hypergrad-rates") ||
		!strings.Contains(r.stdout, "bome-coreset      none ") {
		t.Errorf("list: code %d, %s", r.code, r.stdout)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	rates := filepath.Join(out, "hypergrad-rates.csv")
	wrong, few := filepath.Join(dir, "wrong.csv"), filepath.Join(dir, "few.csv")
	for name, text := range map[string]string{wrong: "strengths,step,seconds,loss\na,1,1,x\n",
		few: "strengths,step,seconds,loss\n"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for want, args := range map[string][]string{
		"give the name of one figure":             {"figure"},
		"bilevel: no figure is called \"rates\"":  {"figure", "rates"},
		"number above zero":                       {"figure", "hypergrad-rates", "--repeats", "0"},
		"--out":                                   {"figure", "hypergrad-rates", "--out", file},
		"none.csv: no such file":                  {"figure", "hypergrad-rates", "--numbers", "none.csv"},
		"rates.csv: line 1: columns problem,":     {"figure", "ijcnn1", "--numbers", rates},
		`line 2: "x" of column loss is no number`: {"figure", "ijcnn1", "--numbers", wrong},
		"rows are missing that ijcnn1 needs":      {"figure", "ijcnn1", "--numbers", few},
		`--highlight: none is called "ITP", there are ITD, AID-FP, AID-CG`: {
			"figure", "hypergrad-rates", "--out", out, "--repeats", "1", "--quiet", "--highlight", "ITD,ITP"},
	} {
		if r := call(t, args...); r.code != exitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("%v: code %d, %s", args, r.code, r.stderr)
		}
	}
}
