package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// jsonLine matches the first line of objects, or of an array of objects.
var jsonLine = regexp.MustCompile(`^(\{\s*("|\}|$)|\[\s*(\{|\]|$))`)

// hintLines is how to write objects that are read.
const hintLines = "write one object for each row, as pandas' to_json(name, orient='records', lines=True) does"

// readJSON reads objects, one after the other (usually one a line) or in one array: a row each, and its keys are the
// columns. Numbers and booleans (0 and 1) are numbers, strings are cells like those of CSV, and a null or a key that is
// not there is a missing cell. Of an object in an object, a.b is a column. A list is no cell.
//
// All keys have to be known before the first row is: the text is in memory and read twice.
func readJSON(in *input, o Options) (*Set, error) {
	b, err := in.whole()
	if err != nil {
		return nil, err
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(b) {
		line := 1
		for l := range bytes.Lines(b) {
			if !utf8.Valid(l) {
				break
			}
			line++
		}
		return nil, &Error{File: in.name, Line: line, Err: errors.New("the line is not UTF-8 text"), Hint: hintUTF8}
	}
	k := jsonKeys{at: make(map[string]int), object: make(map[string]bool)}
	if err := walkJSON(in, b, k.row, k.cell); err != nil {
		return nil, err
	}
	names, err := k.names(in.name)
	if err != nil {
		return nil, err
	}
	if k.rows > 0 && len(names) > 0 && 8*int64(k.rows) > room(int64(len(b)))/int64(len(names)) {
		return nil, fail(in.name, "give all rows the same keys",
			"%d rows have %d different keys: nearly all cells are missing", k.rows, len(names))
	}
	columns := slices.Clone(names)
	indices := nameIndices(columns)
	if d := firstDuplicate(columns); d != "" {
		return nil, &Error{File: in.name, Column: d, Err: errors.New("two columns have this name"), Hint: hintNames}
	}
	if err := in.mem.takeEach(len(names), columnBytes+8*k.rows); err != nil { // of all columns, before there is one
		return nil, err
	}
	in.mem.give(8 * int64(k.rows) * int64(len(names)))
	t, err := newTable(in.name, 0, columns, "json", o, indices)
	if err != nil {
		return nil, err
	}
	of := make(map[string]int, len(names))
	for j, n := range names {
		of[n] = j
	}
	line := 0
	endRow := func() {
		for _, c := range t.columns {
			if c.seen < t.n {
				c.seen = t.n
				c.hole("", line)
			}
		}
	}
	err = walkJSON(in, b, func(l int) error {
		endRow()
		t.n++
		line = l
		return nil
	}, func(name string, _ int, v any, l int) error {
		j, ok := of[name]
		if !ok { // an object, or a null where other rows have one
			return nil
		}
		c := t.columns[j]
		if c.seen == t.n {
			return c.place(&Error{Err: errors.New("the object has this key twice"), Hint: "leave one of them out"}, l)
		}
		c.seen = t.n
		switch v := v.(type) {
		case nil:
			c.hole("", l)
		case bool:
			return c.boolean(v, l)
		case json.Number:
			x, err := v.Float64()
			if err != nil {
				x = math.Inf(1)
			}
			return c.literal(x, v.String(), l)
		case string:
			return c.text(v, l)
		default:
			if !c.drop || c.keep {
				hint := "give --drop with the column's name, or write columns of its elements"
				if k.rows == 1 { // all columns are lists
					hint = hintLines
				}
				return c.place(&Error{Err: errors.New("the cell is a list"), Hint: hint}, l)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	endRow()
	return t.set(o)
}

// jsonKeys finds the columns of objects.
type jsonKeys struct {
	rows   int
	at     map[string]int  // where a path first has a value that is no object; 0 if it is null everywhere so far
	paths  []string        // in the order of their first values
	object map[string]bool // paths of objects
	nested bool            // all cells of the first row are of objects in it
	line   int             // of the first object
}

func (k *jsonKeys) row(line int) error {
	if k.rows++; k.rows == 1 {
		k.line, k.nested = line, true
	}
	return nil
}

func (k *jsonKeys) cell(path string, depth int, v any, line int) error {
	if v == (jsonObject{}) {
		k.object[path] = true
		return nil
	}
	first, known := k.at[path]
	if !known {
		k.paths = append(k.paths, path)
	}
	if v != nil && first == 0 {
		first = line
	}
	k.at[path] = first
	k.nested = k.nested && depth > 0
	return nil
}

// names are the columns.
func (k *jsonKeys) names(file string) ([]string, error) {
	var names []string
	for _, p := range k.paths {
		if k.object[p] {
			if line := k.at[p]; line > 0 {
				return nil, &Error{File: file, Line: line, Column: p, Hint: "write values or objects in all rows",
					Err: errors.New("is a value here, and elsewhere an object")}
			}
			continue
		}
		names = append(names, p)
	}
	if k.rows == 1 && k.nested && len(k.paths) > 1 {
		return nil, &Error{File: file, Line: k.line, Hint: hintLines,
			Err: errors.New("the only object holds objects alone: columns, and no rows")}
	}
	if len(names) == 0 {
		return nil, noRows(file)
	}
	return names, nil
}

// jsonDepth is how deep objects may be nested.
const jsonDepth = 32

// jsonList stands for a list where a cell should be, and jsonObject for an object, whose values follow.
type (
	jsonList   struct{}
	jsonObject struct{}
)

// jsonWalk goes through the objects of b and says where things are.
type jsonWalk struct {
	file string
	b    []byte
	i    int // where it stands
	line int // of b[:seen]
	seen int
	keys map[string]string // to allocate each once
	cell func(path string, depth int, v any, line int) error
}

// walkJSON calls row at the beginning of each object, and cell for each value in it: nil, a bool, a json.Number, a
// string, a jsonList or a jsonObject, so deep in objects within objects.
func walkJSON(in *input, b []byte, row func(line int) error,
	cell func(path string, depth int, v any, line int) error) error {
	w := &jsonWalk{file: in.name, b: b, line: 1, keys: make(map[string]string), cell: cell}
	d := json.NewDecoder(bytes.NewReader(b))
	inArray := bytes.HasPrefix(bytes.TrimSpace(b), []byte("["))
	if inArray {
		d.Token()
	}
	for {
		if err := in.ctx.Err(); err != nil {
			return err
		}
		if inArray && !d.More() {
			if _, err := d.Token(); err != nil {
				return w.failed(int(d.InputOffset()), err)
			}
			inArray = false
		}
		var value json.RawMessage // which the decoder has found to be well-formed
		if err := d.Decode(&value); err == io.EOF && !inArray {
			return nil
		} else if err != nil {
			return w.failed(int(d.InputOffset()), err)
		}
		w.i = int(d.InputOffset()) - len(value)
		line := w.at(w.i)
		if value[0] != '{' {
			return &Error{File: in.name, Line: line, Err: errors.New("an object is expected here, and this is none"),
				Hint: hintLines}
		}
		if err := row(line); err != nil {
			return err
		}
		if err := w.object("", 0); err != nil {
			return err
		}
	}
}

// at is the line of an offset, which only grows.
func (w *jsonWalk) at(offset int) int {
	w.line += bytes.Count(w.b[w.seen:offset], []byte("\n"))
	w.seen = offset
	return w.line
}

// next passes over what is between values and returns the first byte of the next.
func (w *jsonWalk) next() byte {
	for {
		switch c := w.b[w.i]; c {
		case ' ', '\t', '\r', '\n', ',', ':':
			w.i++
		default:
			return c
		}
	}
}

// text reads a string, with its quotes.
func (w *jsonWalk) text() []byte {
	start, escaped := w.i, false
	for w.i++; w.b[w.i] != '"'; w.i++ {
		if w.b[w.i] == '\\' {
			escaped = true
			w.i++
		}
	}
	w.i++
	if !escaped {
		return w.b[start+1 : w.i-1]
	}
	var s string
	if json.Unmarshal(w.b[start:w.i], &s) != nil {
		panic("dataset: a string that was read before")
	}
	return []byte(s)
}

// object reads an object; prefix is in front of the names of its keys.
func (w *jsonWalk) object(prefix string, depth int) error {
	w.i++
	for w.next() != '}' {
		key := w.text()
		name, known := w.keys[string(key)]
		if !known {
			name = string(key)
			w.keys[name] = name
		}
		if prefix != "" {
			name = prefix + "." + name
		}
		c := w.next()
		line := w.at(w.i)
		var v any
		switch c {
		case '{':
			if depth == jsonDepth {
				return &Error{File: w.file, Line: line, Err: fmt.Errorf("objects are nested deeper than %d", jsonDepth),
					Hint: hintLines}
			}
			if err := w.cell(name, depth, jsonObject{}, line); err != nil {
				return err
			}
			if err := w.object(name, depth+1); err != nil {
				return err
			}
			continue
		case '[':
			w.skipList()
			v = jsonList{}
		case '"':
			v = string(w.text())
		default:
			start := w.i
			w.i += bytes.IndexAny(w.b[w.i:], " \t\r\n,}")
			switch word := string(w.b[start:w.i]); word {
			case "null":
			case "true", "false":
				v = word == "true"
			default:
				v = json.Number(word)
			}
		}
		if err := w.cell(name, depth, v, line); err != nil {
			return err
		}
	}
	w.i++
	return nil
}

// skipList passes over a list.
func (w *jsonWalk) skipList() {
	for depth := 0; ; {
		switch w.next() {
		case '"':
			w.text()
			continue
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		if w.i++; depth == 0 {
			return
		}
	}
}

// failed is the error of what is no JSON, behind the values that end at offset.
func (w *jsonWalk) failed(offset int, err error) error {
	rest := bytes.TrimLeft(w.b[offset:], " \t\r\n,")
	offset = len(w.b) - len(rest)
	var syntax *json.SyntaxError
	if e := json.Unmarshal(rest, new(json.RawMessage)); errors.As(e, &syntax) && syntax.Offset > 0 {
		offset = min(offset+int(syntax.Offset)-1, len(w.b))
		err = e
	}
	e := &Error{File: w.file, Line: w.at(offset), Err: fmt.Errorf("it is no JSON: %w", err), Hint: hintLines}
	switch rest = w.b[offset:]; {
	case len(bytes.TrimSpace(rest)) == 0 || errors.Is(err, io.EOF) || strings.Contains(err.Error(), "unexpected end"):
		e.Err, e.Hint = errors.New("the text ends within an object or a list: the file is truncated"), "fetch or write the "+
			"file again"
	case bytes.HasPrefix(rest, []byte("N")) || bytes.HasPrefix(rest, []byte("I")):
		e.Err, e.Hint = errors.New("NaN and Infinity are no values of JSON"), "write null where a value is missing"
	}
	return e
}
