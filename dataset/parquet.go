package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

func isParquet(head []byte) bool { return bytes.HasPrefix(head, []byte("PAR1")) }

// readParquet reads a flat table: booleans (0 and 1), integers and floats are numeric columns, and strings
// are columns like those of CSV. A null is a missing cell. A file is read in place; a stream, or a file that is
// compressed as a whole, is read into memory first.
func readParquet(in *input, o Options) (s *Set, err error) {
	// The decoder is not made for hostile input: what it does with such is an error.
	defer func() {
		if e := recover(); e != nil {
			fault, ok := e.(error)
			if !ok {
				fault = fmt.Errorf("%v", e)
			}
			s, err = nil, fail(in.name, "write the file again", "the Parquet file is damaged: %w", cause(fault))
		}
	}()
	var at io.ReaderAt
	var size int64
	if in.file != nil && in.compressed == "" {
		st, err := in.file.Stat()
		if err != nil {
			return nil, &Error{File: in.name, Err: bare(err)}
		}
		at, size = in.file, st.Size()
	} else {
		b, err := io.ReadAll(in)
		if err != nil {
			return nil, asError(in.name, err)
		}
		at, size = bytes.NewReader(b), int64(len(b))
	}
	untilDone := readAtFunc(func(p []byte, off int64) (int, error) {
		if err := in.ctx.Err(); err != nil {
			return 0, err
		}
		return at.ReadAt(p, off)
	})
	var f *parquet.File
	if err = checkParquet(untilDone, size); err == nil {
		f, err = parquet.OpenFile(untilDone, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	}
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			return nil, asError(in.name, e)
		}
		return nil, &Error{File: in.name, Err: fmt.Errorf("the Parquet file is damaged: %w", cause(err)),
			Hint: "write the file again"}
	}
	var names []string
	columns := f.Root().Columns()
	for _, c := range columns {
		names = append(names, c.Name())
	}
	if d := firstDuplicate(names); d != "" {
		return nil, &Error{File: in.name, Column: d, Err: errors.New("two columns have this name"),
			Hint: "give each column a name of its own"}
	}
	if len(names) == 0 {
		return nil, fail(in.name, "check how it was written", "there are no columns")
	}
	t, err := newTable(in.name, 0, names, "parquet", o, pandasIndices(f, names))
	if err != nil {
		return nil, err
	}
	convert := make([]func(*tableColumn, parquet.Value, int) error, len(columns))
	for j, c := range columns {
		t.columns[j].byRow = true
		if t.columns[j].drop && !t.columns[j].keep {
			continue
		}
		if convert[j], err = parquetCell(c); err != nil {
			return nil, &Error{File: in.name, Column: c.Name(), Err: err, Hint: "leave the column out, or make numbers or " +
				"strings of it"}
		}
	}
	for _, g := range f.RowGroups() {
		chunks := g.ColumnChunks()
		for j, c := range columns {
			if convert[j] == nil {
				continue
			}
			if err := readChunk(chunks[c.Index()], t.columns[j], convert[j]); err != nil {
				var e *Error
				if errors.As(err, &e) {
					return nil, e
				}
				return nil, &Error{File: in.name, Column: c.Name(), Err: fmt.Errorf("the Parquet file is damaged: %w", cause(err)),
					Hint: "write the file again"}
			}
		}
		t.n += int(g.NumRows())
		for _, c := range t.columns {
			if !c.drop && c.n != t.n {
				return nil, &Error{File: in.name, Column: c.name, Err: fmt.Errorf("the Parquet file is damaged: %d values in %d "+
					"rows", c.n, t.n), Hint: "write the file again"}
			}
		}
	}
	return t.set(o)
}

// pandasIndices finds the columns that pandas has written its index to.
func pandasIndices(f *parquet.File, names []string) []index {
	indices := make([]index, len(names))
	text, ok := f.Lookup("pandas")
	if !ok {
		return indices
	}
	var meta struct {
		Columns []any `json:"index_columns"` // a name, or an object for a range that is no column
	}
	if json.Unmarshal([]byte(text), &meta) != nil {
		return indices
	}
	for _, c := range meta.Columns {
		if j := slices.Index(names, fmt.Sprint(c)); j >= 0 {
			indices[j] = declared
		}
	}
	return indices
}

type readAtFunc func(p []byte, off int64) (int, error)

func (f readAtFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

// readChunk adds the values of one column of a row group.
func readChunk(chunk parquet.ColumnChunk, c *tableColumn, convert func(*tableColumn, parquet.Value, int) error) error {
	pages := chunk.Pages()
	defer pages.Close()
	var values [256]parquet.Value
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		r := page.Values()
		for {
			n, err := r.ReadValues(values[:])
			for _, v := range values[:n] {
				if v.IsNull() {
					c.hole("", c.n+1)
					continue
				}
				if e := convert(c, v, c.n+1); e != nil {
					return e
				}
			}
			if err == io.EOF {
				break
			} else if err != nil {
				return err
			}
		}
		parquet.Release(page)
	}
}

// parquetCell says how the values of a column are added to a table.
func parquetCell(c *parquet.Column) (func(*tableColumn, parquet.Value, int) error, error) {
	if !c.Leaf() || c.Repeated() {
		return nil, errors.New("the column is nested or repeated")
	}
	typ := c.Type()
	unsigned := false
	if l := typ.LogicalType(); l != nil {
		switch v := l.Value.(type) {
		case *format.StringType, *format.EnumType, *format.JsonType, nil:
		case *format.IntType:
			unsigned = !v.IsSigned
		default:
			return nil, fmt.Errorf("the column is of the type %v, which is not read", l)
		}
	} else if l := typ.ConvertedType(); l != nil {
		switch *l {
		case deprecated.UTF8, deprecated.Enum, deprecated.Json, deprecated.Int8, deprecated.Int16, deprecated.Int32,
			deprecated.Int64:
		case deprecated.Uint8, deprecated.Uint16, deprecated.Uint32, deprecated.Uint64:
			unsigned = true
		default:
			return nil, fmt.Errorf("the column is of the type %v, which is not read", *l)
		}
	}
	number := func(f func(parquet.Value) float64) func(*tableColumn, parquet.Value, int) error {
		return func(c *tableColumn, v parquet.Value, at int) error { return c.number(f(v), at) }
	}
	switch typ.Kind() {
	case parquet.Boolean:
		return number(func(v parquet.Value) float64 {
			if v.Boolean() {
				return 1
			}
			return 0
		}), nil
	case parquet.Int32:
		if unsigned {
			return number(func(v parquet.Value) float64 { return float64(v.Uint32()) }), nil
		}
		return number(func(v parquet.Value) float64 { return float64(v.Int32()) }), nil
	case parquet.Int64:
		if unsigned {
			return number(func(v parquet.Value) float64 { return float64(v.Uint64()) }), nil
		}
		return number(func(v parquet.Value) float64 { return float64(v.Int64()) }), nil
	case parquet.Float:
		return number(func(v parquet.Value) float64 { return float64(v.Float()) }), nil
	case parquet.Double:
		return number(func(v parquet.Value) float64 { return v.Double() }), nil
	case parquet.ByteArray:
		return func(c *tableColumn, v parquet.Value, at int) error {
			return c.text(strings.ToValidUTF8(string(v.ByteArray()), "\uFFFD"), at)
		}, nil
	}
	return nil, fmt.Errorf("the column is of the type %v, which is not read", typ)
}
