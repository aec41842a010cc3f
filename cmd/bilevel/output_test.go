package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

// All files are written, or none; no temporary one is left.
func TestWriteFiles(t *testing.T) {
	files(t, map[string]string{"a": "old"})
	err := writeFiles([]outFile{{"a", []byte("new")}, {"nowhere/b", []byte("new")}})
	if err == nil || !strings.Contains(err.Error(), "nowhere/b cannot be written: no such file or directory;") ||
		!errors.Is(err, syscall.ENOENT) {
		t.Errorf("error %v", err)
	}
	if text, _ := os.ReadFile("a"); string(text) != "old" || listing(t) != ". a" {
		t.Errorf("%q; %s", text, listing(t))
	}
	if err := writeFiles([]outFile{{"a", []byte("new")}, {"b", nil}, {os.DevNull, []byte("new")}}); err != nil {
		t.Error(err)
	}
	if text, _ := os.ReadFile("a"); string(text) != "new" || listing(t) != ". a b" {
		t.Errorf("%q; %s", text, listing(t))
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%s is %v, %v", os.DevNull, info.Mode(), err)
	}
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("needs /dev/full, a device without room")
	}
	if err := writeFiles([]outFile{{"/dev/full", []byte("new")}}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v", err)
	}
}

func TestCheckFile(t *testing.T) {
	files(t, map[string]string{"input": "", "old": ""})
	for _, c := range []struct{ path, want string }{
		{"new", ""}, {"old", ""}, {"./input", "is the input"}, {".", "this is a folder"}, {"nowhere/x", "does not exist"},
		{"old/x", "does not exist"}, {os.DevNull, ""},
	} {
		if err := checkFile(c.path, "input"); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(),
			c.want) {
			t.Errorf("%s: %v, want %q", c.path, err, c.want)
		}
	}
}

func TestCategoricalFlag(t *testing.T) {
	files(t, map[string]string{"t.csv": "a,y\n" + strings.Repeat("1,no\n2,yes\n3,yes\n", 20) + "x,no\n"})
	j := decode(t, mustCall(t, "tune", "--train", "t.csv", "--val-fraction", ".4", "--categorical", "a", "--json",
		"--quiet").stdout)
	if j.number(t, "inner_dim") != 5 {
		t.Errorf("%v coefficients, want four levels and an intercept", j["inner_dim"])
	}
	mustCall(t, "predict", "--model", "bilevel-out/model.json", "t.csv", "--out", "p.csv")
}
