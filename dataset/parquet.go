package dataset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

func isParquet(head []byte) bool { return bytes.HasPrefix(head, []byte("PAR1")) }

// readParquet reads a table: booleans (0 and 1), integers, floats and decimals are numeric columns, and strings are
// columns like those of CSV. Of a group, each field is a column a.b. A null is a missing cell. A file is read in place;
// a stream, or a file that is compressed as a whole, is read into memory first.
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
	at, size, err := in.anywhere()
	if err != nil {
		return nil, err
	}
	var f *parquet.File
	if at, size, err = checkParquet(at, size, in.mem); err == nil {
		f, err = parquet.OpenFile(at, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
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
	columns := parquetLeaves(nil, f.Root())
	for _, c := range columns {
		names = append(names, strings.Join(c.Path(), "."))
	}
	if d := firstDuplicate(names); d != "" {
		return nil, &Error{File: in.name, Column: d, Err: errors.New("two columns have this name"),
			Hint: hintNames}
	}
	if len(names) == 0 {
		return nil, fail(in.name, "check how it was written", "there are no columns")
	}
	indices := nameIndices(names)
	if text, ok := f.Lookup("pandas"); ok {
		declareIndices(indices, names, text)
	}
	if err := in.mem.takeEach(len(names), columnBytes); err != nil {
		return nil, err
	}
	t, err := newTable(in.name, 0, names, "parquet", o, indices)
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
			return nil, &Error{File: in.name, Column: names[j], Err: err, Hint: hintTypes}
		}
	}
	// All of it is looked for before anything is decoded.
	used := 0
	for _, c := range convert {
		if c != nil {
			used++
		}
	}
	if err := in.mem.takeEach(int(f.NumRows()), 8*used); err != nil {
		return nil, err
	}
	in.mem.give(8 * f.NumRows() * int64(used))
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
				return nil, &Error{File: in.name, Column: names[j], Err: fmt.Errorf("the Parquet file is damaged: %w", cause(err)),
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

// parquetLeaves appends the columns below c; one that is repeated is one, whatever is in it.
func parquetLeaves(leaves []*parquet.Column, c *parquet.Column) []*parquet.Column {
	for _, d := range c.Columns() {
		if d.Leaf() || d.Repeated() || len(d.Columns()) == 1 && d.Columns()[0].Repeated() { // a list or a map
			leaves = append(leaves, d)
		} else {
			leaves = parquetLeaves(leaves, d)
		}
	}
	return leaves
}

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
			if e := c.mem.err(); e != nil {
				return e
			}
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
		return nil, errors.New("the column holds lists")
	}
	typ := c.Type()
	unsigned := false
	var decimal *int32 // the scale
	if l := typ.LogicalType(); l != nil {
		switch v := l.Value.(type) {
		case *format.StringType, *format.EnumType, *format.JsonType, nil:
		case *format.IntType:
			unsigned = !v.IsSigned
		case *format.DateType:
			return instants(86400, "2006-01-02", false), nil
		case *format.TimestampType:
			return instants(unitOf(v.Unit), time.RFC3339Nano, false), nil
		case *format.TimeType:
			return instants(unitOf(v.Unit), "15:04:05.999999999", true), nil
		case *format.NullType:
			return func(c *tableColumn, _ parquet.Value, at int) error { c.hole("", at); return nil }, nil
		case *format.DecimalType:
			decimal = &v.Scale
		case *format.Float16Type:
			return func(c *tableColumn, v parquet.Value, at int) error {
				return c.number(half(binary.LittleEndian.Uint16(v.ByteArray())), at)
			}, nil
		default:
			return nil, fmt.Errorf("the column is of the type %v, which is not read", l)
		}
	} else if l := typ.ConvertedType(); l != nil {
		switch *l {
		case deprecated.UTF8, deprecated.Enum, deprecated.Json, deprecated.Int8, deprecated.Int16, deprecated.Int32,
			deprecated.Int64:
		case deprecated.Uint8, deprecated.Uint16, deprecated.Uint32, deprecated.Uint64:
			unsigned = true
		case deprecated.Date:
			return instants(86400, "2006-01-02", false), nil
		case deprecated.TimestampMillis:
			return instants(1e-3, time.RFC3339Nano, false), nil
		case deprecated.TimestampMicros:
			return instants(1e-6, time.RFC3339Nano, false), nil
		default:
			return nil, fmt.Errorf("the column is of the type %v, which is not read", *l)
		}
	}
	if decimal != nil {
		return parquetDecimal(typ, *decimal)
	}
	number := func(f func(parquet.Value) float64) func(*tableColumn, parquet.Value, int) error {
		return func(c *tableColumn, v parquet.Value, at int) error { return c.number(f(v), at) }
	}
	switch typ.Kind() {
	case parquet.Boolean:
		return func(c *tableColumn, v parquet.Value, at int) error { return c.boolean(v.Boolean(), at) }, nil
	case parquet.Int32:
		if unsigned {
			return func(c *tableColumn, v parquet.Value, at int) error { return c.unsigned(uint64(v.Uint32()), at) }, nil
		}
		return func(c *tableColumn, v parquet.Value, at int) error { return c.integer(int64(v.Int32()), at) }, nil
	case parquet.Int64:
		if unsigned {
			return func(c *tableColumn, v parquet.Value, at int) error { return c.unsigned(v.Uint64(), at) }, nil
		}
		return func(c *tableColumn, v parquet.Value, at int) error { return c.integer(v.Int64(), at) }, nil
	case parquet.Int96: // timestamps of old: nanoseconds of a day, and its Julian number
		return func(c *tableColumn, v parquet.Value, at int) error {
			d := v.Int96()
			t := unix(86400*(float64(d[2])-2440588) + 1e-9*float64(uint64(d[1])<<32|uint64(d[0])))
			return c.instant(seconds(t), false, t.Format(time.RFC3339Nano), at)
		}, nil
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

// instants adds dates or, with clock, times, which are stored in units of so many seconds. layout writes them as
// levels.
func instants(unit float64, layout string, clock bool) func(*tableColumn, parquet.Value, int) error {
	return func(c *tableColumn, v parquet.Value, at int) error {
		n := v.Int64()
		if v.Kind() == parquet.Int32 {
			n = int64(v.Int32())
		}
		per := int64(math.Round(1 / unit)) // 0 for days
		s := float64(n) * unit
		if per > 1 { // free of rounding in the seconds
			s = float64(n/per) + float64(n%per)*unit
		}
		return c.instant(s, clock, unix(s).Format(layout), at)
	}
}

// unitOf is the unit of a time in seconds.
func unitOf(u format.TimeUnit) float64 {
	switch u.Value.(type) {
	case *format.MilliSeconds:
		return 1e-3
	case *format.MicroSeconds:
		return 1e-6
	}
	return 1e-9
}

// parquetDecimal adds decimals with so many places.
func parquetDecimal(typ parquet.Type, scale int32) (func(*tableColumn, parquet.Value, int) error, error) {
	if scale < 0 || scale > 100 {
		return nil, fmt.Errorf("the column holds decimals of scale %d", scale)
	}
	return func(c *tableColumn, v parquet.Value, at int) error {
		n := new(big.Int)
		switch typ.Kind() {
		case parquet.Int32:
			n.SetInt64(int64(v.Int32()))
		case parquet.Int64:
			n.SetInt64(v.Int64())
		default: // two's complement, high bytes first
			b := v.ByteArray()
			if n.SetBytes(b); len(b) > 0 && b[0] >= 0x80 {
				n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
			}
		}
		return c.decimal(n, scale, at)
	}, nil
}
