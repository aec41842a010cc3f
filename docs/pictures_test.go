package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/internal/palette"
)

var source = regexp.MustCompile(`(?:src|srcset)="([^"]*\.svg)"`)

// Every drawing is there, is shown, follows the reader's choice of dark, and has a twin for narrow screens.
func TestPictures(t *testing.T) {
	shown := map[string]bool{}
	for file, text := range read(t, "../README.md", "*.md") {
		for _, m := range source.FindAllStringSubmatch(text, -1) {
			path := filepath.Join(filepath.Dir(file), m[1])
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			shown[filepath.Clean(strings.TrimPrefix(path, "../docs/"))] = true
		}
		if strings.Contains(text, ".svg)") {
			t.Errorf("%s shows a drawing that is not in a picture element", file)
		}
	}
	for path, text := range read(t, "*.svg", "narrow/*.svg") {
		if !shown[path] {
			t.Errorf("no document shows %s", path)
		}
		if !shown[filepath.Join("narrow", filepath.Base(path))] {
			t.Errorf("%s has no twin for narrow screens", path)
		}
		if !strings.Contains(text, "prefers-color-scheme:dark") || !strings.Contains(text, palette.Hex(palette.Paper.Dark)) {
			t.Errorf("%s is never dark", path)
		}
	}
}
