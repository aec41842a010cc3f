package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	codeSpan  = regexp.MustCompile("`[^`\n]+`")
	qualified = regexp.MustCompile(`\b([a-z]+)\.([A-Z]\w*)`)
	literal   = regexp.MustCompile(`\b([A-Z]\w*)\{([^{}]*)`) // its fields, as far as they hold no literals
	fieldName = regexp.MustCompile(`\b([A-Z]\w*):`)

	link     = regexp.MustCompile(`\[([^]\n]+)\]\(([^)#\n]+)[^)\n]*\)`)
	function = regexp.MustCompile("^`((?:Example|Test|Benchmark)\\w*)`$")
)

// Every link leads to a file that is there, and one whose text is the name of an example or a test to the file of it.
func TestLinks(t *testing.T) {
	seen := 0
	for file, text := range documentation(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[2], "://") {
				continue
			}
			seen++
			path := filepath.Join(filepath.Dir(file), m[2])
			info, err := os.Stat(path)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			if name := function.FindStringSubmatch(m[1]); name != nil && !info.IsDir() {
				target, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(string(target), "func "+name[1]+"(") {
					t.Errorf("%s: %s has no %s", file, path, name[1])
				}
			}
		}
	}
	if seen < 25 {
		t.Errorf("only %d links were found", seen)
	}
}

// What the documentation's text calls pkg.Name is there, and Type{Field: …} is a type of a public package with such a
// field.
func TestNames(t *testing.T) {
	names, fields := declared(t)
	seen := 0
	for file, text := range documentation(t) {
		for _, span := range codeSpan.FindAllString(text, -1) {
			for _, m := range qualified.FindAllStringSubmatch(span, -1) {
				seen++
				if pkg, name := m[1], m[2]; names[pkg] != nil && !names[pkg][name] {
					t.Errorf("%s: %s: package %s has no %s", file, span, pkg, name)
				}
			}
			for _, m := range literal.FindAllStringSubmatch(span, -1) {
				seen++
				if fields[m[1]] == nil {
					t.Errorf("%s: %s: no type is called %s", file, span, m[1])
					continue
				}
				for _, field := range fieldName.FindAllStringSubmatch(m[2], -1) {
					if !fields[m[1]][field[1]] {
						t.Errorf("%s: %s: %s has no field %s", file, span, m[1], field[1])
					}
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d names were found", seen)
	}
}

// declared are the exported names of every public package, and the fields of every type.
func declared(t *testing.T) (names, fields map[string]map[string]bool) {
	names, fields = map[string]map[string]bool{}, map[string]map[string]bool{}
	add := func(m map[string]map[string]bool, key, value string) {
		if m[key] == nil {
			m[key] = map[string]bool{}
		}
		m[key][value] = true
	}
	for path, source := range read(t, "../*.go", "../*/*.go") {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		pkg := file.Name.Name
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					add(names, pkg, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							add(names, pkg, name.Name)
						}
					case *ast.TypeSpec:
						add(names, pkg, spec.Name.Name)
						add(fields, spec.Name.Name, "")
						ast.Inspect(spec.Type, func(n ast.Node) bool {
							if f, ok := n.(*ast.Field); ok {
								for _, name := range f.Names {
									add(fields, spec.Name.Name, name.Name)
								}
							}
							return true
						})
					}
				}
			}
		}
	}
	return names, fields
}
