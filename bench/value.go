package bench

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/bilevel-go/bilevel/internal/nearest"
)

// ConfigError says what is wrong with a bench file or the folder of a bench, and where.
type ConfigError struct {
	File         string
	Line, Column int // from 1; 0 if no place is known
	Err          error
}

// Error is file:line:column: what is wrong. A place that is not known is left out.
func (e *ConfigError) Error() string {
	place := e.File
	if e.Line > 0 {
		place += fmt.Sprintf(":%d", e.Line)
	}
	if e.Column > 0 {
		place += fmt.Sprintf(":%d", e.Column)
	}
	return place + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *ConfigError) Unwrap() error { return e.Err }

// value is a node of a YAML file: nil, bool, float64, string, []value or []entry, and where it is.
type value struct {
	line, column int
	v            any
}

// entry is a key of a map and its value.
type entry struct {
	key          string
	line, column int
	value        value
}

// errorf is an error at v. The file is filled in by parse's caller, see inFile.
func (v value) errorf(format string, args ...any) error {
	return &ConfigError{Line: v.line, Column: v.column, Err: fmt.Errorf(format, args...)}
}

func (e entry) errorf(format string, args ...any) error {
	return value{line: e.line, column: e.column}.errorf(format, args...)
}

// inFile names the file in an error about a place of it.
func inFile(file string, err error) error {
	var c *ConfigError
	if errors.As(err, &c) && c.File == "" {
		c.File = file
	}
	return err
}

// parse reads one YAML document.
func parse(text []byte) (value, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		var at yaml.Error
		if errors.As(err, &at) && at.GetToken() != nil {
			p := at.GetToken().Position
			return value{}, value{line: p.Line, column: p.Column}.errorf("%s", at.GetMessage())
		}
		return value{}, &ConfigError{Err: err}
	}
	var docs []ast.Node
	for _, d := range file.Docs {
		if d.Body != nil {
			docs = append(docs, d.Body)
		}
	}
	switch len(docs) {
	case 0:
		return value{}, &ConfigError{Err: errors.New("there is nothing in it")}
	case 1:
		return convert(docs[0])
	}
	return value{}, at(docs[1].GetToken()).errorf("a second document; a bench file is one")
}

func at(t *token.Token) value {
	if t == nil || t.Position == nil {
		return value{}
	}
	return value{line: t.Position.Line, column: t.Position.Column}
}

// exponential is a number of YAML's core schema with an exponent.
var exponential = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$`)

// convert makes a value of a node.
func convert(n ast.Node) (value, error) {
	v := at(n.GetToken())
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.BoolNode:
		v.v = n.Value
	case *ast.StringNode:
		v.v = n.Value
		if n.Token.Type == token.StringType && exponential.MatchString(n.Value) { // the parser knows 1.0e-3 only
			f, err := strconv.ParseFloat(n.Value, 64)
			if err != nil {
				return v, v.errorf("%s is too large a number", n.Value)
			}
			v.v = f
		}
	case *ast.LiteralNode:
		v.v = n.Value.Value
	case *ast.IntegerNode:
		switch i := n.Value.(type) {
		case int64:
			v.v = float64(i)
		case uint64:
			v.v = float64(i)
		}
		if f, _ := v.v.(float64); math.Abs(f) > 1<<53 {
			return v, v.errorf("%s is too large a number", n.Token.Value)
		}
	case *ast.FloatNode:
		v.v = n.Value
	case *ast.InfinityNode:
		v.v = n.Value
	case *ast.SequenceNode:
		list := []value{}
		for _, item := range n.Values {
			w, err := convert(item)
			if err != nil {
				return v, err
			}
			list = append(list, w)
		}
		v.v = list
	case *ast.MappingNode:
		if len(n.Values) > 0 { // a block mapping's own token is a colon
			v = at(n.Values[0].Key.GetToken())
		}
		list := []entry{}
		for _, item := range n.Values {
			e, err := convertEntry(item)
			if err != nil {
				return v, err
			}
			list = append(list, e)
		}
		v.v = list
	case *ast.MappingValueNode:
		e, err := convertEntry(n)
		if err != nil {
			return v, err
		}
		v = value{e.line, e.column, []entry{e}}
	default:
		return v, v.errorf("a bench file has no %s", strings.ToLower(n.Type().String()))
	}
	return v, nil
}

func convertEntry(n *ast.MappingValueNode) (entry, error) {
	k := at(n.Key.GetToken())
	e := entry{key: n.Key.GetToken().Value, line: k.line, column: k.column}
	var err error
	e.value, err = convert(n.Value)
	return e, err
}

// longestText is the most letters of a text that messages repeat.
const longestText = 40

// kind names what v is.
func (v value) kind() string {
	switch x := v.v.(type) {
	case nil:
		return "nothing"
	case bool, float64:
		return fmt.Sprint(x)
	case string:
		if r := []rune(x); len(r) > longestText {
			return strconv.Quote(string(r[:longestText])) + "…"
		}
		return strconv.Quote(x)
	case []value:
		return "a list"
	}
	return "a map"
}

// entries are those of a map.
func (v value) entries(what string) ([]entry, error) {
	list, ok := v.v.([]entry)
	if !ok {
		return nil, v.errorf("%s must be keys and values, not %s", what, v.kind())
	}
	return list, nil
}

// items are those of a list.
func (v value) items(what string) ([]value, error) {
	list, ok := v.v.([]value)
	if !ok {
		return nil, v.errorf("%s must be a list, not %s", what, v.kind())
	}
	return list, nil
}

// text is a string.
func (v value) text(what string) (string, error) {
	s, ok := v.v.(string)
	if !ok || s == "" {
		return "", v.errorf("%s is a text, not %s", what, v.kind())
	}
	return s, nil
}

// whole is a whole number, at least least.
func (v value) whole(what string, least int64) (int64, error) {
	f, ok := v.v.(float64)
	if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, v.errorf("%s is a whole number, not %s", what, v.kind())
	}
	if f < float64(least) {
		return 0, v.errorf("%s is %v; it must be at least %d", what, f, least)
	}
	return int64(f), nil
}

// unknown is the error about a key that is none of known.
func (e entry) unknown(what string, known []string) error {
	list := append([]string(nil), known...)
	sort.Strings(list)
	if len(list) == 0 {
		return e.errorf("unknown key %q: %s has none", e.key, what)
	}
	return e.errorf("unknown key %q: %s has %s", e.key, what, strings.Join(list, ", ")+nearest.Hint(e.key, list))
}

// expand is the grid that v stands for: a list is its alternatives, and a map the product of its entries', the
// last of which changes first.
func (v value) expand() []value {
	switch x := v.v.(type) {
	case []value:
		var all []value
		for _, item := range x {
			all = append(all, item.expand()...)
		}
		return all
	case []entry:
		all := []value{{v.line, v.column, []entry{}}}
		for _, e := range x {
			var next []value
			for _, head := range all {
				for _, w := range e.value.expand() {
					longer := append(slices.Clone(head.v.([]entry)), entry{e.key, e.line, e.column, w})
					next = append(next, value{v.line, v.column, longer})
				}
			}
			all = next
		}
		return all
	}
	return []value{v}
}

// size is the number of values that expand returns, at most most+1: more are not counted.
func (v value) size(most int) int {
	n := 1
	switch x := v.v.(type) {
	case []value:
		n = 0
		for _, item := range x {
			n = min(n+item.size(most), most+1)
		}
	case []entry:
		for _, e := range x {
			n = min(n*e.value.size(most), most+1)
		}
	}
	return n
}

// grid is expand, or an error if that is too much.
func (v value) grid(what string) ([]value, error) {
	if v.size(maxTasks) > maxTasks {
		return nil, v.errorf("%s is a grid of more than %d; leave some of its values out", what, maxTasks)
	}
	return v.expand(), nil
}

// plain is v as encoding/json takes it: maps have sorted keys there, so that equal values have equal texts.
func (v value) plain() any {
	switch x := v.v.(type) {
	case []value:
		list := make([]any, len(x))
		for i, item := range x {
			list[i] = item.plain()
		}
		return list
	case []entry:
		m := make(map[string]any, len(x))
		for _, e := range x {
			m[e.key] = e.value.plain()
		}
		return m
	}
	return v.v
}
