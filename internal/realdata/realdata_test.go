package realdata

import (
	"os"
	"path/filepath"
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
	skipped := false
	t.Run("absent", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		Folder(t, "other")
	})
	if !skipped {
		t.Error("not skipped")
	}
	t.Setenv("BILEVEL_DATA", "")
	if got, _ := find("toy"); filepath.Base(filepath.Dir(got)) != "shared" {
		t.Errorf("without BILEVEL_DATA: %s", got)
	}
}
