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
	k := jsonKeys{at: make(map[string]int)}
	if err := walkJSON(in, b, k.row, k.cell); err != nil {
		return nil, err
	}
	names, err := k.names(in.name)
	if err != nil {
		return nil, err
	}
	if k.rows > 0 && len(names) > 0 && 8*int64(k.rows) > room(int64(len(b)))/int64(len(names)) {
		return nil, fail(in.name, "give all rows the same keys", "%d rows have %d different keys: nearly all cells are missing",
			k.rows, len(names))
	}
	columns := slices.Clone(names)
	indices := nameIndices(columns)
	if d := firstDuplicate(columns); d != "" {
		return nil, &Error{File: in.name, Column: d, Err: errors.New("two columns have this name"), Hint: hintNames}
	}
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
		if !ok { // a null where other rows have an object
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
	at     map[string]int // where a path first has a value that is no object; 0 if it is null everywhere so far
	paths  []string       // in the order of their first values
	nested bool           // all cells of the first row are of objects in it
	line   int            // of the first object
}

func (k *jsonKeys) row(line int) error {
	if k.rows++; k.rows == 1 {
		k.line, k.nested = line, true
	}
	return nil
}

func (k *jsonKeys) cell(path string, depth int, v any, line int) error {
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
	inside := make(map[string]string) // paths of objects, and one of a value in each
	for _, p := range k.paths {
		for i, c := range p {
			if c == '.' {
				inside[p[:i]] = p
			}
		}
	}
	var names []string
	for _, p := range k.paths {
		if in, ok := inside[p]; ok {
			if line := k.at[p]; line > 0 {
				return nil, &Error{File: file, Line: line, Column: p, Err: fmt.Errorf("is a value here, and elsewhere an object "+
					"with %s in it", quote(in)), Hint: "write values or objects in all rows"}
			}
			continue
		}
		names = append(names, p)
	}
	if k.rows == 1 && k.nested && len(k.paths) > 1 {
		return nil, &Error{File: file, Line: k.line, Err: errors.New("the only object holds objects alone: columns, and no rows"),
			Hint: hintLines}
	}
	if len(names) == 0 {
		return nil, noRows(file)
	}
	return names, nil
}

// jsonDepth is how deep objects and lists may be nested.
const jsonDepth = 32

// jsonList stands for a list where a cell should be.
type jsonList struct{}

// jsonWalk goes through the objects of b and says where things are.
type jsonWalk struct {
	file string
	b    []byte
	d    *json.Decoder
	line int // of b[:seen]
	seen int
	cell func(path string, depth int, v any, line int) error
}

// walkJSON calls row at the beginning of each object, and cell for each value in it: nil, a bool, a json.Number, a string
// or a jsonList, so deep in objects within objects.
func walkJSON(in *input, b []byte, row func(line int) error,
	cell func(path string, depth int, v any, line int) error) error {
	w := &jsonWalk{file: in.name, b: b, d: json.NewDecoder(bytes.NewReader(b)), line: 1, cell: cell}
	w.d.UseNumber()
	inArray := false
	for {
		if err := in.ctx.Err(); err != nil {
			return err
		}
		v, line, err := w.next()
		switch {
		case err == io.EOF && !inArray:
			return nil
		case err != nil:
			return w.failed(err)
		case v == json.Delim('[') && !inArray:
			inArray = true
		case v == json.Delim(']'):
			inArray = false
		case v == json.Delim('{'):
			if err := row(line); err != nil {
				return err
			}
			if err := w.object("", 0); err != nil {
				return err
			}
		default:
			return &Error{File: in.name, Line: line, Err: errors.New("an object is expected here, and this is none"), Hint: hintLines}
		}
	}
}

// next returns a token and its line.
func (w *jsonWalk) next() (json.Token, int, error) {
	v, err := w.d.Token()
	return v, w.at(int(w.d.InputOffset())), err
}

// at is the line of an offset, which only grows.
func (w *jsonWalk) at(offset int) int {
	w.line += bytes.Count(w.b[w.seen:offset], []byte("\n"))
	w.seen = offset
	return w.line
}

// object reads to the end of an object; prefix is in front of the names of its keys.
func (w *jsonWalk) object(prefix string, depth int) error {
	for {
		key, _, err := w.next()
		if err != nil {
			return w.failed(err)
		}
		name, ok := key.(string)
		if !ok {
			return nil // its end
		}
		if prefix != "" {
			name = prefix + "." + name
		}
		v, line, err := w.next()
		if err != nil {
			return w.failed(err)
		}
		switch v {
		case json.Delim('{'):
			if depth == jsonDepth {
				return w.tooDeep(line)
			}
			if err := w.object(name, depth+1); err != nil {
				return err
			}
			continue
		case json.Delim('['):
			if err := w.skipList(); err != nil {
				return err
			}
			v = jsonList{}
		}
		if err := w.cell(name, depth, v, line); err != nil {
			return err
		}
	}
}

// skipList reads to the end of a list.
func (w *jsonWalk) skipList() error {
	for depth := 1; depth > 0; {
		v, line, err := w.next()
		if err != nil {
			return w.failed(err)
		}
		switch v {
		case json.Delim('['), json.Delim('{'):
			if depth++; depth > jsonDepth {
				return w.tooDeep(line)
			}
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
	}
	return nil
}

func (w *jsonWalk) tooDeep(line int) error {
	return &Error{File: w.file, Line: line, Err: fmt.Errorf("objects and lists are nested deeper than %d", jsonDepth),
		Hint: hintLines}
}

// failed is the error of what is no JSON. The decoder stands behind the last token that is some.
func (w *jsonWalk) failed(err error) error {
	rest := bytes.TrimLeft(w.b[w.seen:], " \t\r\n,:")
	e := &Error{File: w.file, Line: w.at(len(w.b) - len(rest)), Err: fmt.Errorf("it is no JSON: %w", err),
		Hint: hintLines}
	switch {
	case len(rest) == 0 || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		e.Err, e.Hint = errors.New("the text ends within an object or a list: the file is truncated"), "fetch or write the "+
			"file again"
	case slices.ContainsFunc([]string{"NaN", "-NaN", "Infinity", "-Infinity"}, func(s string) bool {
		return bytes.HasPrefix(rest, []byte(s))
	}):
		e.Err, e.Hint = errors.New("NaN and Infinity are no values of JSON"), "write null where a value is missing"
	}
	return e
}
