package dataset

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	arrays "github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	flatbuffers "github.com/google/flatbuffers/go"
)

const (
	arrowMagic   = "ARROW1"           // at both ends of a file, whose stream of messages begins behind it and two zeros
	arrowMessage = "\xff\xff\xff\xff" // in front of the length of a message
)

func isArrow(head []byte) bool {
	return bytes.HasPrefix(head, []byte(arrowMagic)) || bytes.HasPrefix(head, []byte(arrowMessage))
}

// readArrow reads an Arrow IPC file, which Feather is since version 2, or a stream. Numbers and booleans (0 and 1) are
// numeric columns, strings are columns like those of CSV, dates and times are their ISO 8601 text, and a column that is
// coded by a dictionary holds the values that are in it. Of a struct, each field is a column a.b. A null is a missing
// cell.
func readArrow(in *input, o Options) (s *Set, err error) {
	damaged := func(why any) error {
		if err := in.mem.err(); err != nil { // the decoder says something else
			return asError(in.name, err)
		}
		return fail(in.name, "write the file again", "the Arrow file is damaged: %v", why)
	}
	// The decoder is not made for hostile input: what it does with such is an error.
	defer func() {
		if e := recover(); e != nil {
			s, err = nil, damaged(e)
		}
	}()
	at, size, err := in.anywhere()
	if err != nil {
		return nil, err
	}
	m := &arrowMessages{r: bufio.NewReader(io.NewSectionReader(at, 0, size)), left: size}
	if head, _ := m.r.Peek(len(arrowMagic)); string(head) == arrowMagic {
		end := make([]byte, len(arrowMagic))
		if _, err := at.ReadAt(end, max(size-int64(len(end)), 0)); string(end) != arrowMagic {
			if err == nil || errors.Is(err, io.EOF) {
				err = errors.New("it does not end as such a file: it is truncated")
			}
			return nil, damaged(err)
		}
		m.r.Discard(8)
	}
	r, err := ipc.NewReaderFromMessageReader(m, ipc.WithAllocator(&arrowMemory{left: room(size), mem: in.mem}))
	if err != nil {
		return nil, damaged(err)
	}
	var leaves []arrowLeaf
	for i, f := range r.Schema().Fields() {
		leaves = appendLeaves(leaves, f, f.Name, i)
	}
	var names []string
	for _, l := range leaves {
		names = append(names, l.name)
	}
	indices := nameIndices(names)
	if d := firstDuplicate(names); d != "" {
		return nil, &Error{File: in.name, Column: d, Err: errors.New("two columns have this name"), Hint: hintNames}
	}
	if len(names) == 0 {
		return nil, fail(in.name, "check how it was written", "there are no columns")
	}
	if meta := r.Schema().Metadata(); meta.FindKey("pandas") >= 0 {
		declareIndices(indices, names, meta.Values()[meta.FindKey("pandas")])
	}
	if err := in.mem.takeEach(len(names), columnBytes); err != nil {
		return nil, err
	}
	t, err := newTable(in.name, 0, names, "arrow", o, indices)
	if err != nil {
		return nil, err
	}
	for j, l := range leaves {
		if c := t.columns[j]; !c.drop || c.keep {
			if err := checkArrow(l.typ); err != nil {
				return nil, &Error{File: in.name, Column: c.name, Err: err, Hint: hintTypes}
			}
		}
		t.columns[j].byRow = true
	}
	for r.Next() {
		batch := r.RecordBatch()
		n := int(batch.NumRows())
		if int64(n) > room(size)-int64(t.n) {
			return nil, damaged(fmt.Errorf("%d rows in %d bytes", n, size))
		}
		for j, l := range leaves {
			if c := t.columns[j]; !c.drop || c.keep {
				if err := l.read(batch, t.n+1, n, c); err != nil {
					return nil, err
				}
			}
		}
		if t.n += n; in.mem.err() != nil {
			return nil, damaged(nil)
		}
	}
	if err := r.Err(); err != nil {
		if in.ctx.Err() != nil {
			return nil, err
		}
		return nil, damaged(err)
	}
	if !m.ended {
		return nil, damaged("the stream has no end mark: it is truncated")
	}
	return t.set(o)
}

// arrowLeaf is a column, or a field of a column of structs.
type arrowLeaf struct {
	name string
	path []int // of the column, and of fields of structs in it
	typ  arrow.DataType
}

// appendLeaves appends the leaves of a field.
func appendLeaves(leaves []arrowLeaf, f arrow.Field, name string, path ...int) []arrowLeaf {
	s, ok := f.Type.(*arrow.StructType)
	if !ok {
		return append(leaves, arrowLeaf{name, path, f.Type})
	}
	for i, g := range s.Fields() {
		leaves = appendLeaves(leaves, g, name+"."+g.Name, append(slices.Clone(path), i)...)
	}
	return leaves
}

// read adds the n cells of the leaf in a batch whose first row is this one.
func (l *arrowLeaf) read(batch arrow.RecordBatch, first, n int, c *tableColumn) error {
	a := batch.Column(l.path[0])
	above := []arrow.Array{a} // what a cell is in, and the cell
	for _, k := range l.path[1:] {
		a = a.(*arrays.Struct).Field(k)
		above = append(above, a)
	}
	add := arrowCells(a)
	for i := range n {
		at := first + i
		if slices.ContainsFunc(above, func(a arrow.Array) bool { return a.IsNull(i) }) {
			c.hole("", at)
			continue
		}
		if err := add(c, i, at); err != nil {
			return err
		}
	}
	return nil
}

// checkArrow is an error if values of a type make no cells.
func checkArrow(t arrow.DataType) error {
	switch t := t.(type) {
	case *arrow.DictionaryType:
		return checkArrow(t.ValueType)
	case arrow.DecimalType:
		if t.GetScale() < 0 || t.GetScale() > 100 {
			return fmt.Errorf("the column holds decimals of scale %d", t.GetScale())
		}
		return nil
	}
	switch t.ID() {
	case arrow.NULL, arrow.BOOL, arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16,
		arrow.UINT32, arrow.UINT64, arrow.FLOAT16, arrow.FLOAT32, arrow.FLOAT64, arrow.STRING, arrow.LARGE_STRING,
		arrow.STRING_VIEW, arrow.DATE32, arrow.DATE64, arrow.TIMESTAMP, arrow.TIME32, arrow.TIME64:
		return nil
	}
	return fmt.Errorf("the column is of the type %v, which is not read", t)
}

// hintTypes is what to do with columns of types that are not read.
const hintTypes = "give --drop with the column's name, or make numbers or strings of it"

// Layouts of dates and times in ISO 8601.
const (
	dateLayout  = "2006-01-02"
	clockLayout = "15:04:05.999999999"
)

// arrowCells adds cell i of an array, which is none of the nulls.
func arrowCells(a arrow.Array) func(c *tableColumn, i, at int) error {
	clock := func(t time.Time, layout string) string { return t.UTC().Format(layout) }
	switch a := a.(type) {
	case *arrays.Boolean:
		return func(c *tableColumn, i, at int) error { return c.boolean(a.Value(i), at) }
	case *arrays.Int8:
		return func(c *tableColumn, i, at int) error { return c.integer(int64(a.Value(i)), at) }
	case *arrays.Int16:
		return func(c *tableColumn, i, at int) error { return c.integer(int64(a.Value(i)), at) }
	case *arrays.Int32:
		return func(c *tableColumn, i, at int) error { return c.integer(int64(a.Value(i)), at) }
	case *arrays.Int64:
		return func(c *tableColumn, i, at int) error { return c.integer(a.Value(i), at) }
	case *arrays.Uint8:
		return func(c *tableColumn, i, at int) error { return c.unsigned(uint64(a.Value(i)), at) }
	case *arrays.Uint16:
		return func(c *tableColumn, i, at int) error { return c.unsigned(uint64(a.Value(i)), at) }
	case *arrays.Uint32:
		return func(c *tableColumn, i, at int) error { return c.unsigned(uint64(a.Value(i)), at) }
	case *arrays.Uint64:
		return func(c *tableColumn, i, at int) error { return c.unsigned(a.Value(i), at) }
	case *arrays.Float16:
		return func(c *tableColumn, i, at int) error { return c.number(float64(a.Value(i).Float32()), at) }
	case *arrays.Float32:
		return func(c *tableColumn, i, at int) error { return c.number(float64(a.Value(i)), at) }
	case *arrays.Float64:
		return func(c *tableColumn, i, at int) error { return c.number(a.Value(i), at) }
	case *arrays.String:
		return func(c *tableColumn, i, at int) error { return c.text(a.Value(i), at) }
	case *arrays.LargeString:
		return func(c *tableColumn, i, at int) error { return c.text(a.Value(i), at) }
	case *arrays.StringView:
		return func(c *tableColumn, i, at int) error { return c.text(a.Value(i), at) }
	case *arrays.Date32:
		return func(c *tableColumn, i, at int) error { return c.text(clock(a.Value(i).ToTime(), dateLayout), at) }
	case *arrays.Date64:
		return func(c *tableColumn, i, at int) error { return c.text(clock(a.Value(i).ToTime(), dateLayout), at) }
	case *arrays.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return func(c *tableColumn, i, at int) error {
			return c.text(clock(a.Value(i).ToTime(unit), time.RFC3339Nano), at)
		}
	case *arrays.Time32:
		unit := a.DataType().(*arrow.Time32Type).Unit
		return func(c *tableColumn, i, at int) error { return c.text(clock(a.Value(i).ToTime(unit), clockLayout), at) }
	case *arrays.Time64:
		unit := a.DataType().(*arrow.Time64Type).Unit
		return func(c *tableColumn, i, at int) error { return c.text(clock(a.Value(i).ToTime(unit), clockLayout), at) }
	case *arrays.Decimal32:
		return decimalCells(a.DataType(), func(i int) *big.Int { return big.NewInt(int64(a.Value(i))) })
	case *arrays.Decimal64:
		return decimalCells(a.DataType(), func(i int) *big.Int { return big.NewInt(int64(a.Value(i))) })
	case *arrays.Decimal128:
		return decimalCells(a.DataType(), func(i int) *big.Int { return a.Value(i).BigInt() })
	case *arrays.Decimal256:
		return decimalCells(a.DataType(), func(i int) *big.Int { return a.Value(i).BigInt() })
	case *arrays.Dictionary:
		values := a.Dictionary()
		add := arrowCells(values)
		return func(c *tableColumn, i, at int) error {
			k := a.GetValueIndex(i)
			if values.IsNull(k) {
				c.hole("", at)
				return nil
			}
			return add(c, k, at)
		}
	}
	return func(c *tableColumn, _, at int) error { c.hole("", at); return nil } // nulls alone
}

// decimalCells adds decimals, of which value is that without the point.
func decimalCells(t arrow.DataType, value func(i int) *big.Int) func(c *tableColumn, i, at int) error {
	scale := t.(arrow.DecimalType).GetScale()
	return func(c *tableColumn, i, at int) error { return c.decimal(value(i), scale, at) }
}

// arrowMemory gives memory to the decoder, as much in all as a file of this size can need.
type arrowMemory struct {
	left int64
	mem  *ledger
}

func (m *arrowMemory) Allocate(size int) []byte {
	if m.left -= int64(size); size < 0 || m.left < 0 {
		panic("it unpacks to far more than its size")
	}
	if err := m.mem.take(int64(size)); err != nil {
		panic(err)
	}
	return make([]byte, size)
}

func (m *arrowMemory) Reallocate(size int, b []byte) []byte {
	if size <= cap(b) {
		return b[:size]
	}
	n := m.Allocate(size)
	copy(n, b)
	m.Free(b)
	return n
}

func (m *arrowMemory) Free(b []byte) { m.mem.give(int64(cap(b))) }

// arrowMessages cuts a stream into messages, which say how long their parts are, and makes sure that there is so much.
type arrowMessages struct {
	r     *bufio.Reader
	left  int64 // bytes at most
	ended bool  // there was an end mark
}

func (m *arrowMessages) Retain()  {}
func (m *arrowMessages) Release() {}

// Message returns the next message, and io.EOF at the end.
func (m *arrowMessages) Message() (*ipc.Message, error) {
	n, err := m.number()
	if err == nil && n == math.MaxUint32 { // before version 0.15 the length came at once
		n, err = m.number()
	}
	if err != nil {
		return nil, err
	}
	if n == 0 {
		m.ended = true
		return nil, io.EOF
	}
	meta, err := m.part(int64(n))
	if err != nil {
		return nil, err
	}
	length, err := checkMessage(meta)
	if err != nil {
		return nil, err
	}
	body, err := m.part(length)
	if err != nil {
		return nil, err
	}
	return ipc.NewMessage(memory.NewBufferBytes(meta), memory.NewBufferBytes(body)), nil
}

func (m *arrowMessages) number() (uint32, error) {
	b, err := m.r.Peek(4)
	if err != nil {
		return 0, err
	}
	m.r.Discard(4)
	m.left -= 4
	return binary.LittleEndian.Uint32(b), nil
}

// part is the next n bytes.
func (m *arrowMessages) part(n int64) ([]byte, error) {
	if n < 0 || n > m.left {
		return nil, io.ErrUnexpectedEOF
	}
	m.left -= n
	b := make([]byte, n)
	if _, err := io.ReadFull(m.r, b); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return b, nil
}

// Places in the tables of Arrow's FlatBuffers: 4 and two more for each field before it in the format's definition.
const (
	messageHeaderType, messageHeader, messageBody, messageMetadata = 6, 8, 10, 12
	schemaFields, schemaMetadata                                   = 6, 8
	fieldChildren, fieldMetadata                                   = 14, 16
	batchVariadic                                                  = 12
	dictionaryData                                                 = 6
)

// Types of the headers of messages.
const (
	headerSchema = 1 + iota
	headerDictionary
	headerBatch
)

// checkMessage makes sure that the lists of a message, for which the decoder makes room by their lengths, are in it,
// and returns the length of what follows. Whatever is not in it panics.
func checkMessage(meta []byte) (body int64, err error) {
	v := flatVisitor{left: len(meta)}
	msg := &flatbuffers.Table{Bytes: meta, Pos: flatbuffers.GetUOffsetT(meta)}
	v.list(msg, messageMetadata)
	if header, ok := v.table(msg, messageHeader); ok {
		switch msg.GetByteSlot(messageHeaderType, 0) {
		case headerSchema:
			v.list(header, schemaMetadata)
			v.fields(header, schemaFields)
		case headerDictionary:
			if data, ok := v.table(header, dictionaryData); ok {
				v.variadic(data)
			}
		case headerBatch:
			v.variadic(header)
		}
	}
	if v.left < 0 {
		return 0, errors.New("a message declares more than it holds")
	}
	return msg.GetInt64Slot(messageBody, 0), nil
}

// flatVisitor goes through tables, which may be in several places at once, until more was seen than there are bytes.
type flatVisitor struct{ left int }

func (v *flatVisitor) table(t *flatbuffers.Table, slot flatbuffers.VOffsetT) (*flatbuffers.Table, bool) {
	o := flatbuffers.UOffsetT(t.Offset(slot))
	if v.left -= 4; o == 0 || v.left < 0 {
		return nil, false
	}
	return &flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(o + t.Pos)}, true
}

// list returns the place and the length of a list of tables.
func (v *flatVisitor) list(t *flatbuffers.Table, slot flatbuffers.VOffsetT) (at flatbuffers.UOffsetT, n int) {
	o := flatbuffers.UOffsetT(t.Offset(slot))
	if o == 0 {
		return 0, 0
	}
	at, n = t.Vector(o), t.VectorLen(o)
	if v.left -= 4 * n; v.left < 0 {
		return 0, 0
	}
	return at, n
}

func (v *flatVisitor) fields(t *flatbuffers.Table, slot flatbuffers.VOffsetT) {
	at, n := v.list(t, slot)
	for i := range n {
		f := &flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(at + flatbuffers.UOffsetT(4*i))}
		v.list(f, fieldMetadata)
		v.fields(f, fieldChildren)
	}
}

// variadic takes as many bytes as a batch says that it has buffers for views.
func (v *flatVisitor) variadic(batch *flatbuffers.Table) {
	o := flatbuffers.UOffsetT(batch.Offset(batchVariadic))
	if o == 0 {
		return
	}
	at, n := batch.Vector(o), batch.VectorLen(o)
	for i := range n {
		count := batch.GetInt64(at + flatbuffers.UOffsetT(8*i))
		if v.left -= 8; count < 0 || count > int64(v.left) {
			v.left = -1
		}
		if v.left < 0 {
			return
		}
	}
}
