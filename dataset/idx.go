package dataset

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bilevel-go/bilevel/rows"
)

// isIDX says whether head starts an IDX file: two zeros, a type and a number of dimensions.
func isIDX(head []byte) bool {
	return len(head) >= 4 && head[0] == 0 && head[1] == 0 && idxTypes[head[2]].size > 0 && head[3] >= 1 && head[3] <= 8
}

// valueType is how numbers are stored in a binary file.
type valueType struct {
	size   int
	decode func(dst []float64, b []byte) // len(dst)·size bytes
}

// decoder is a valueType of size bytes a value.
func decoder(size int, value func(b []byte) float64) valueType {
	return valueType{size, func(dst []float64, b []byte) {
		for i := range dst {
			dst[i] = value(b[i*size : i*size+size])
		}
	}}
}

// byteType is one unsigned byte a value, the type of images.
var byteType = valueType{1, func(dst []float64, b []byte) {
	for i, v := range b[:len(dst)] {
		dst[i] = float64(v)
	}
}}

// idxTypes are the types of IDX, by code; the numbers are big-endian.
var idxTypes = map[byte]valueType{
	0x08: byteType,
	0x09: decoder(1, func(b []byte) float64 { return float64(int8(b[0])) }),
	0x0b: decoder(2, func(b []byte) float64 { return float64(int16(binary.BigEndian.Uint16(b))) }),
	0x0c: decoder(4, func(b []byte) float64 { return float64(int32(binary.BigEndian.Uint32(b))) }),
	0x0d: decoder(4, func(b []byte) float64 { return float64(math.Float32frombits(binary.BigEndian.Uint32(b))) }),
	0x0e: decoder(8, func(b []byte) float64 { return math.Float64frombits(binary.BigEndian.Uint64(b)) }),
}

// array is n × d values of a binary file, stored as in the file.
type array struct {
	n, d    int
	fortran bool // column after column
	typ     valueType
	blocks  [][]byte // blockBytes each but the last
}

const blockBytes = 1 << 20 // a multiple of every value's size

// maxValues is the most values that a binary file may declare: more do not fit an address space.
const maxValues = 1 << 40

// readArray reads n·d values. Memory grows with what is there, not with what a header declares.
func readArray(in *input, n, d int, fortran bool, typ valueType) (*array, error) {
	file := in.name
	a := &array{n: n, d: d, fortran: fortran, typ: typ}
	for left := int64(n) * int64(d) * int64(typ.size); left > 0; {
		if err := in.mem.take(min(left, blockBytes)); err != nil {
			return nil, err
		}
		b := make([]byte, min(left, blockBytes))
		k, err := io.ReadFull(in, b)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			got := int64(n)*int64(d)*int64(typ.size) - left + int64(k)
			return nil, fail(file, "fetch or write the file again", "the file is truncated: the header declares %d × %d "+
				"values in %d bytes, and %d bytes follow",
				n, d, int64(n)*int64(d)*int64(typ.size), got)
		} else if err != nil {
			return nil, asError(file, err)
		}
		a.blocks = append(a.blocks, b)
		left -= int64(len(b))
	}
	var one [1]byte
	if k, err := io.ReadFull(in, one[:]); k > 0 {
		return nil, fail(file, "check how it was written", "more data follows than the %d × %d values that the header "+
			"declares", n, d)
	} else if err != io.EOF {
		return nil, asError(file, err)
	}
	return a, nil
}

// each calls f for runs of values in the order of the file: v[k] is the value of row i and column j+k, or,
// column after column, of row i+k and column j. With last, the blocks are given up on the way.
func (a *array) each(last bool, f func(i, j int, v []float64)) {
	var scratch [2048]float64
	i, j := 0, 0
	for k, b := range a.blocks {
		for len(b) > 0 {
			left := a.d - j
			if a.fortran {
				left = a.n - i
			}
			v := scratch[:min(left, len(scratch), len(b)/a.typ.size)]
			a.typ.decode(v, b)
			b = b[len(v)*a.typ.size:]
			f(i, j, v)
			if a.fortran {
				if i += len(v); i == a.n {
					i = 0
					j++
				}
			} else if j += len(v); j == a.d {
				j = 0
				i++
			}
		}
		if last {
			a.blocks[k] = nil
		}
	}
}

// readIDX reads the IDX format of MNIST: samples along the first dimension, features along the others, the
// values as they are stored. Labels come from a file of one dimension.
func readIDX(in *input, o Options) (*Set, error) {
	x, dims, err := readIDXArray(in)
	if err != nil {
		return nil, err
	}
	if dims == 1 {
		return nil, fail(in.name, "name the file of images; labels are found beside it",
			"an IDX file of one dimension holds labels, not features")
	}
	labels := o.Labels
	if labels == "" && !o.NoLabel {
		if in.path != "" {
			labels = idxLabels(in.path)
		}
		if labels == "" && !o.OptionalLabel {
			return nil, fail(in.name, "name the file of labels, or call it like the images with labels-idx1 for images-idx3",
				"there is no file of labels beside it")
		}
	}
	var y *array
	if labels != "" && !o.NoLabel {
		lin, err := openFile(in.ctx, labels, in.mem)
		if err != nil {
			return nil, err
		}
		defer lin.Close()
		if y, err = readLabels(lin); err != nil {
			return nil, err
		}
	}
	return numbersSet(in.name, labels, "idx", x, y, o)
}

// readIDXArray reads an IDX file; dims is its number of dimensions.
func readIDXArray(in *input) (a *array, dims int, err error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil || !isIDX(head[:]) {
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return nil, 0, asError(in.name, err)
		}
		return nil, 0, fail(in.name, "check that it is the right file", "does not start like an IDX file")
	}
	size := make([]byte, 4*int(head[3]))
	if _, err := io.ReadFull(in, size); err != nil {
		return nil, 0, fail(in.name, "fetch or write the file again", "the file is truncated within its header")
	}
	n, d := 0, 1
	for k := range int(head[3]) {
		v := int(binary.BigEndian.Uint32(size[4*k:]))
		if k == 0 {
			n = v
			continue
		}
		if v > 0 && d > maxValues/v || d == 0 {
			return nil, 0, fail(in.name, "check that it is an IDX file", "the header declares more values than any file has")
		}
		d *= v
	}
	if err := checkShape(in.name, n, d); err != nil {
		return nil, 0, err
	}
	a, err = readArray(in, n, d, false, idxTypes[head[2]])
	return a, int(head[3]), err
}

// checkShape is an error if n × d values make no set.
func checkShape(file string, n, d int) error {
	switch {
	case n == 0:
		return noRows(file)
	case d == 0:
		return fail(file, "check how it was written", "there are no features")
	case n > maxValues/d:
		return fail(file, "check how it was written", "the header declares %d × %d values, more than any file has", n, d)
	}
	return nil
}

// idxLabels is the file of labels beside a file of images; "" if there is none.
func idxLabels(path string) string {
	dir, base := filepath.Split(path)
	name := strings.NewReplacer("images-idx3", "labels-idx1", "images.idx3", "labels.idx1").Replace(base)
	if name == base {
		return ""
	}
	name, _ = cutCompression(name)
	_, same := cutCompression(base)
	extensions := []string{same, ""}
	for _, c := range compressions {
		extensions = append(extensions, c.extensions...)
	}
	for _, ext := range extensions {
		if st, err := os.Stat(dir + name + ext); err == nil && !st.IsDir() {
			return dir + name + ext
		}
	}
	return ""
}

// readLabels reads a file of labels, IDX or NPY.
func readLabels(in *input) (*array, error) {
	head, _ := in.Peek(6)
	var y *array
	var err error
	if isNPY(head) {
		y, err = readNPYArray(in)
	} else {
		y, _, err = readIDXArray(in)
	}
	if err != nil {
		return nil, err
	}
	if y.d != 1 {
		return nil, fail(in.name, "give a file of one label a row", "a file of labels has %d values a row", y.d)
	}
	return y, nil
}

// numbersSet makes a set of an array of features and one of labels. Without y, the label is column
// o.Label of x (the last by default) where o asks for one.
func numbersSet(file, labels, format string, x, y *array, o Options) (*Set, error) {
	if y != nil && y.n != x.n {
		return nil, fail(labels, "give the labels of these samples", "there are %d labels for the %d rows of %s", y.n, x.n,
			file)
	}
	like := o.Like
	width := 0
	if like != nil {
		if width = like.Width; like.ofArray() {
			width = len(like.Columns)
		}
	}
	label := -1
	d := x.d
	if y == nil && !o.NoLabel && format != "idx" {
		switch {
		case o.Label != "":
			var err error
			if label, err = strconv.Atoi(o.Label); err != nil || label < 1 || label > x.d {
				return nil, fail(file, fmt.Sprintf("columns have no names here: give a number from 1 to %d", x.d),
					"there is no label column %q", o.Label)
			}
			label--
		case o.OptionalLabel && (like == nil || x.d != width+1):
		default:
			label = x.d - 1
		}
	}
	if label >= 0 {
		d--
	}
	if d == 0 {
		return nil, fail(file, "give features and labels, in one file or in two", "there is no feature column besides the "+
			"label")
	}
	if like != nil && d != width {
		if label >= 0 && x.d == width {
			return nil, fail(file, "give the file of its labels, as --labels, --val-labels, --trusted-labels or --test-labels",
				"the labels are missing: there are %d columns, as many as %s has features", x.d, o.likeName())
		}
		return nil, o.tooWide(file, d)
	}

	if o.Missing != "" && like == nil || like.ofArray() {
		return arrayTable(file, labels, format, x, y, label, o)
	}
	if err := x.finite(file, "the value", true); err != nil {
		return nil, err
	}
	s := &Set{Schema: &Schema{Format: format, Width: d}}
	if like != nil {
		s.Schema = like.clone()
	}
	if err := o.mem.takeEach(x.n, 8*3); err != nil { // targets, and ends of rows twice
		return nil, err
	}
	if y != nil || label >= 0 {
		s.Y = make([]float64, x.n)
	}
	// Number of values that are not zero of each row, for CSR.
	ptr := make([]int, x.n+1)
	x.cells(false, func(i, j int, v float64) {
		if v != 0 && j != label {
			ptr[i+1]++
		}
	})
	for i := range x.n {
		ptr[i+1] += ptr[i]
	}
	if s.Schema.Sparse = o.sparse(x.n, d, ptr[x.n]); s.Schema.Sparse {
		if err := o.mem.takeEach(ptr[x.n], 12); err != nil {
			return nil, err
		}
	} else if err := o.mem.takeDense(x.n, d); err != nil {
		return nil, err
	}
	feature := func(j int) int {
		if label >= 0 && j > label {
			return j - 1
		}
		return j
	}
	if s.Schema.Sparse {
		m := &rows.CSR{N: x.n, D: d, Ptr: ptr, Idx: make([]int32, ptr[x.n]), Val: make([]float64, ptr[x.n])}
		at := slices.Clone(ptr)
		x.cells(true, func(i, j int, v float64) {
			if j == label {
				s.Y[i] = v
			} else if v != 0 {
				m.Idx[at[i]], m.Val[at[i]] = int32(feature(j)), v
				at[i]++
			}
		})
		s.X = m
	} else {
		m := rows.NewDense(x.n, d)
		x.cells(true, func(i, j int, v float64) {
			if j == label {
				s.Y[i] = v
			} else {
				m.Data[i*m.Stride+feature(j)] = v
			}
		})
		s.X = m
	}
	s.Source = file
	if y != nil {
		s.Source = labels
		if err := y.finite(labels, "the label", false); err != nil {
			return nil, err
		}
		y.cells(true, func(i, _ int, v float64) { s.Y[i] = v })
	}
	if s.Y != nil {
		switch {
		case o.Target == NumericTarget:
		case like != nil && like.Classes != nil:
			if err := s.MapClasses(like.Classes); err != nil {
				return nil, err
			}
		case o.Target == ClassTarget:
			if err := s.AsClasses(); err != nil {
				return nil, err
			}
		}
	}
	s.Source = file
	return s, nil
}

// cells calls f for every value in the order of the file.
func (a *array) cells(last bool, f func(i, j int, v float64)) {
	a.each(last, func(i, j int, run []float64) {
		if a.fortran {
			for k, v := range run {
				f(i+k, j, v)
			}
			return
		}
		for k, v := range run {
			f(i, j+k, v)
		}
	})
}

// finite is an error at the first value that is not, or that is beyond maxNumber.
func (a *array) finite(file, what string, columns bool) error {
	var bad *Error
	count := 0 // that are missing, or no numbers
	a.each(false, func(i, j int, run []float64) {
		for k, v := range run {
			if v-v != 0 {
				count++
			}
			if (v-v != 0 || tooLarge(v)) && bad == nil {
				if a.fortran {
					i += k
				} else {
					j += k
				}
				bad = &Error{Err: fmt.Errorf("%s is %v", what, v), Hint: fillNumber}
				if v-v == 0 {
					bad = tooLargeError(what, v)
				}
				bad.File, bad.Row = file, i+1
				if columns {
					bad.Column = strconv.Itoa(j + 1)
				}
			}
		}
	})
	if bad == nil {
		return nil
	}
	if columns && count > 0 && bad.Hint == fillNumber {
		bad.Hint += ", or give --missing drop to leave out such rows or --missing impute to fill in medians"
		if count > 1 {
			bad.Err = fmt.Errorf("%w, one of %d that are missing or not finite", bad.Err, count)
		}
	}
	return bad
}

const fillNumber = "fill in a number, or leave out the row"

// ofArray says that the columns of the schema are those of an array, which are called f1, f2, …
func (s *Schema) ofArray() bool {
	return s != nil && s.Columns != nil && slices.Contains([]string{"idx", "npy", "npz"}, s.Format)
}

// arrayTable is numbersSet by way of a table, which knows what to do about missing cells.
func arrayTable(file, labels, format string, x, y *array, label int, o Options) (*Set, error) {
	const called = "label"
	s := &Schema{}
	var names []string
	for j := range x.d {
		if j != label {
			names = append(names, s.unnamed(len(names)))
		}
	}
	o.Label, o.ID, o.Drop, o.Only = "", "", nil, nil
	if y != nil || label >= 0 {
		names, o.Label = append(names, called), called
	} else {
		o.OptionalLabel, o.NoLabel = false, true
	}
	if err := o.mem.takeEach(len(names), columnBytes); err != nil {
		return nil, err
	}
	t, err := newTable(file, 0, names, format, o, nil)
	if err != nil {
		return nil, err
	}
	last := t.columns[len(names)-1]
	for _, c := range t.columns {
		c.byRow = true
	}
	add := func(c *tableColumn, v float64, i int) {
		if err == nil {
			err = c.number(v, i+1)
		}
	}
	x.cells(true, func(i, j int, v float64) {
		switch {
		case j == label:
			add(last, v, i)
		case label >= 0 && j > label:
			add(t.columns[j-1], v, i)
		default:
			add(t.columns[j], v, i)
		}
	})
	if y != nil {
		last.file = labels
		y.cells(true, func(i, _ int, v float64) { add(last, v, i) })
	}
	if err != nil {
		return nil, err
	}
	t.n, t.how = x.n, ""
	made, err := t.set(o)
	if err == nil && o.Like == nil {
		made.Schema.Label, made.Schema.LabelNotation = "", nil // there are no names in the file
	}
	return made, err
}
