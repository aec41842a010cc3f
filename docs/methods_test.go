package docs

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/clean"
	"github.com/bilevel-go/bilevel/methods"
)

// TestListed: the pages that list methods name each of the table, by its type or as commands do, and so do the tests of
// its package.
func TestListed(t *testing.T) {
	read := func(files ...string) string {
		var all []byte
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
		return string(all)
	}
	for _, m := range methods.All() {
		typ := reflect.TypeOf(m.Method)
		folder := filepath.Join("..", filepath.Base(typ.PkgPath()))
		for _, page := range []struct {
			file, word string
			lists      bool
		}{
			{"../README.md", typ.Name(), folder == "../stochastic" || folder == "../valuefn"}, // by family otherwise
			{"../docs/library.md", typ.Name(), true},
			{"../docs/stochastic.md", typ.Name(), folder == "../stochastic"},
			{"../docs/tune.md", m.Name, true},
			{"../docs/clean.md", m.Name, slices.Contains(clean.Methods(), m.Name)},
		} {
			text := strings.ReplaceAll(read(page.file), "-", "") // MA-SOBA is MASOBA
			if page.lists && !regexp.MustCompile(`\b`+page.word+`\b`).MatchString(text) {
				t.Errorf("%s does not name %s", page.file, page.word)
			}
		}
		tests, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil || !strings.Contains(read(tests...), typ.Name()+"{") {
			t.Errorf("no test in %s makes a %s: %v", folder, typ.Name(), err)
		}
	}
}
