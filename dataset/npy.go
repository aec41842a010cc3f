package dataset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/sbinet/npyio/npy"
)

func isNPY(head []byte) bool { return bytes.HasPrefix(head, []byte("\x93NUMPY")) }

// readNPY reads a NumPy array: samples along the first dimension, features along the others. The label is
// in the file Options.Labels, or else the column Options.Label, by default the last.
func readNPY(in *input, o Options) (*Set, error) {
	x, err := readNPYArray(in)
	if err != nil {
		return nil, err
	}
	return withLabels(in, "npy", x, o)
}

// withLabels makes a set of an array, with labels from a file of their own or from a column.
func withLabels(in *input, format string, x *array, o Options) (*Set, error) {
	var y *array
	if o.Labels != "" {
		lin, err := openFile(in.ctx, o.Labels, in.mem)
		if err != nil {
			return nil, err
		}
		defer lin.Close()
		if y, err = readLabels(lin); err != nil {
			return nil, err
		}
	}
	return numbersSet(in.name, o.Labels, format, x, y, o)
}

// readNPYArray reads an NPY file.
func readNPYArray(in *input) (*array, error) {
	head, err := npyHeader(in)
	if err != nil {
		return nil, &Error{File: in.name, Err: fmt.Errorf("the NPY header cannot be read: %w", cause(err)),
			Hint: "write the file again with numpy.save"}
	}
	descr := head.Descr
	typ, ok := npyType(descr.Type)
	if !ok {
		hint := "save numbers: numpy.save(name, array.astype('float64'))"
		switch {
		case strings.HasPrefix(descr.Type, "("):
			hint = "save a plain array: numpy.save(name, numpy.lib.recfunctions.structured_to_unstructured(array))"
		case strings.ContainsAny(descr.Type, "US"):
			hint = "save numbers, of classes with numpy.unique(array, return_inverse=True)[1], or write a CSV table of words"
		}
		return nil, fail(in.name, hint, "the NPY array is of type %s, which is not read", quote(descr.Type))
	}
	if len(descr.Shape) == 0 {
		return nil, fail(in.name, "save a two-dimensional array", "the NPY array has no dimension")
	}
	n, d := descr.Shape[0], 1
	for _, v := range descr.Shape[1:] {
		if v < 0 || v > 0 && d > maxValues/v {
			return nil, fail(in.name, "write the file again with numpy.save", "the NPY header declares the shape %v",
				descr.Shape)
		}
		d *= v
	}
	if n < 0 {
		return nil, fail(in.name, "write the file again with numpy.save", "the NPY header declares the shape %v", descr.Shape)
	}
	if err := checkShape(in.name, n, d); err != nil {
		return nil, err
	}
	if descr.Fortran && len(descr.Shape) > 2 {
		return nil, fail(in.name, "save it with numpy.ascontiguousarray", "the NPY array has %d dimensions in Fortran order",
			len(descr.Shape))
	}
	return readArray(in, n, d, descr.Fortran, typ)
}

// npyHeader reads the header. The parser is not made for hostile input: what it does with such is an error.
func npyHeader(in *input) (h npy.Header, err error) {
	// Its length is in the file: not more than is there to peek at, which no real header exceeds.
	head, _ := in.Peek(12)
	if len(head) < 12 {
		return h, fmt.Errorf("it is cut off")
	}
	size := 10 + int(binary.LittleEndian.Uint16(head[8:]))
	if head[6] >= 2 {
		size = 12 + int(min(binary.LittleEndian.Uint32(head[8:]), 1<<20))
	}
	if size > in.Size() {
		return h, fmt.Errorf("it is longer than %d bytes", in.Size())
	}
	if head, _ = in.Peek(size); len(head) < size {
		return h, fmt.Errorf("it is cut off")
	}
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("it is not well-formed")
		}
	}()
	if head = bytes.Clone(head); head[6] == 3 { // as version 2, but that names of fields may be in UTF-8
		head[6] = 2
	}
	in.Discard(size)
	r, err := npy.NewReader(bytes.NewReader(head))
	if err != nil {
		return h, err
	}
	return r.Header, nil
}

// npyType is the type of a descr like "<f8".
func npyType(descr string) (t valueType, ok bool) {
	if len(descr) != 3 {
		return t, false
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch descr[0] {
	case '<', '|', '=':
	case '>':
		order = binary.BigEndian
	default:
		return t, false
	}
	switch descr[1:] {
	case "b1", "u1":
		return byteType, true
	case "i1":
		return decoder(1, func(b []byte) float64 { return float64(int8(b[0])) }), true
	case "u2":
		return decoder(2, func(b []byte) float64 { return float64(order.Uint16(b)) }), true
	case "i2":
		return decoder(2, func(b []byte) float64 { return float64(int16(order.Uint16(b))) }), true
	case "f2":
		return decoder(2, func(b []byte) float64 { return half(order.Uint16(b)) }), true
	case "u4":
		return decoder(4, func(b []byte) float64 { return float64(order.Uint32(b)) }), true
	case "i4":
		return decoder(4, func(b []byte) float64 { return float64(int32(order.Uint32(b))) }), true
	case "f4":
		return decoder(4, func(b []byte) float64 { return float64(math.Float32frombits(order.Uint32(b))) }), true
	case "u8":
		return decoder(8, func(b []byte) float64 { return float64(order.Uint64(b)) }), true
	case "i8":
		return decoder(8, func(b []byte) float64 { return float64(int64(order.Uint64(b))) }), true
	case "f8":
		return decoder(8, func(b []byte) float64 { return math.Float64frombits(order.Uint64(b)) }), true
	}
	return t, false
}

// half is the value of an IEEE 754 half-precision number.
func half(h uint16) float64 {
	sign, exp, frac := 1.0, int(h>>10&0x1f), float64(h&0x3ff)
	if h>>15 != 0 {
		sign = -1
	}
	switch {
	case exp == 0x1f && frac != 0:
		return math.NaN()
	case exp == 0x1f:
		return math.Inf(int(sign))
	case exp == 0:
		return sign * math.Ldexp(frac, -24)
	}
	return sign * math.Ldexp(1024+frac, exp-25)
}
