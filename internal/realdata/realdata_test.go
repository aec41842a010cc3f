package realdata

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "toy"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BILEVEL_DATA", dir)
	if got := File(t, "toy"); got != filepath.Join(dir, "toy") {
		t.Errorf("found %s", got)
	}
	if _, ok := find("other"); ok {
		t.Error("found what is not there")
	}
	var r recorder
	if Folder(&r, "other"); !strings.HasPrefix(r.reason, "other is not there: set BILEVEL_DATA") {
		t.Errorf("absent data: %q", r.reason)
	}
	t.Setenv("BILEVEL_DATA", "")
	if got, _ := find("toy"); filepath.Base(filepath.Dir(got)) != "shared" {
		t.Errorf("without BILEVEL_DATA: %s", got)
	}
}

// recorder is a test that keeps the reason for which it would be skipped.
type recorder struct {
	testing.TB
	reason string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) { r.reason = fmt.Sprintf(format, args...) }
