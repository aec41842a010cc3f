package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
)

// runData runs `bilevel data` with args and returns what it prints.
func runData(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("BILEVEL_DATA", "")
	c := newDataCommand()
	c.SilenceErrors, c.SilenceUsage = true, true
	var out, errs bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&errs)
	c.SetArgs(args)
	err = c.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func TestDataCommand(t *testing.T) {
	dir := t.TempDir()
	sample := filepath.Join(dir, "covtype", "covtype-sample.csv.gz")
	if err := os.MkdirAll(filepath.Dir(sample), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sample, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}

	out, _, err := runData(t, "list", "--data", dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range dataset.Publics() {
		if !strings.Contains(out, p.Name) {
			t.Errorf("the list lacks %s:\n%s", p.Name, out)
		}
	}
	if !strings.Contains(out, filepath.Dir(sample)+" (copy, differs)") {
		t.Errorf("the list does not say where covtype is:\n%s", out)
	}

	for _, verb := range []string{"path", "get"} {
		out, errs, err := runData(t, verb, "covtype", "--data", dir)
		if err != nil || out != sample+"\n" {
			t.Errorf("%s prints %q, %v", verb, out, err)
		}
		if (verb == "get") != strings.Contains(errs, "16 % sample") {
			t.Errorf("%s says %q", verb, errs)
		}
	}

	var e *dataset.Error
	for _, args := range [][]string{{"path", "a9a"}, {"get", "covtype", "irises"},
		{"list", "--data", filepath.Join(dir, "none")}} {
		if out, _, err := runData(t, args...); !errors.As(err, &e) || out != "" {
			t.Errorf("%q: printed %q, error %v", args, out, err)
		}
	}
}
