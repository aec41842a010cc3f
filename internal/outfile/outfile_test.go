package outfile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	for _, text := range []string{"old", "new"} {
		if err := Write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); string(b) != text || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
	folder := filepath.Join(dir, "folder", "full")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Dir(folder), filepath.Join(dir, "none", "a")} {
		if err := Write(path, []byte("text")); err == nil {
			t.Errorf("%s was written", path)
		}
	}
	if entries, err := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}
