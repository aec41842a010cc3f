package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sort"
	"strconv"
	"sync"

	"github.com/bilevel-go/bilevel/rows"
)

const (
	chunkSize = 1 << 20 // bytes of text parsed at once, more if a line is longer
	svmFactor = 32      // bytes that one of a line takes in memory, at most
	maxIndex  = 1 << 26 // largest feature index: beyond it, it is a slip or an identifier
)

// svmChunk is a run of whole lines and what was read from it.
type svmChunk struct {
	text  []byte // ends with '\n'
	lines int

	y   []float64
	end []int // end of each row in idx and val
	idx []int32
	val []float64
	top int32 // largest index, counted from 0; -1 if none
	// The number of values beyond the features of Options.Like, and the largest of their indices.
	nBeyond int
	beyond  int32
	queries int // words qid:
	bare    int // local line (from 1) of the first row without a label; 0 if none
	label   int // local line of the first row with a label; 0 if none

	err *Error // Line counts from the chunk's start
}

// svmReader holds what is the same for all chunks of a file.
type svmReader struct {
	name     string
	base     int // index of the first feature in the file: 0 or 1
	like     *Schema
	optional bool      // rows may lack their label
	ignore   bool      // labels are passed over
	classes  []float64 // labels become indices into these; nil for numbers
	likeName string    // what like is of
	mem      *ledger
	line     int64 // most bytes of a line
}

// readLIBSVM reads lines of the form
//
//	label index:value index:value … # comment
//
// Indices count from 1, or from 0 with ZeroBased, and need not be in order; an index that comes twice in a
// row is an error. Explicit zeros count for the width and are stored only in dense rows. Blank lines and
// comments are passed over, and so are qid:group pairs, which are counted. Labels are numbers.
//
// The text is cut into chunks at line ends, which GOMAXPROCS goroutines parse; results are put together in
// the order of the file.
func readLIBSVM(in *input, o Options) (*Set, error) {
	r := &svmReader{name: in.name, base: 1, like: o.Like, optional: o.NoLabel || o.OptionalLabel, ignore: o.NoLabel,
		likeName: o.likeName(), mem: o.mem, line: max(o.mem.part(svmFactor), chunkSize)}
	if head, _ := in.Peek(3); string(head) == "\xef\xbb\xbf" { // a byte order mark
		in.Discard(3)
	}
	zeroBased := o.ZeroBased || o.Like != nil && o.Like.ZeroBased
	if zeroBased {
		r.base = 0
	}
	if o.Like != nil && o.Target != NumericTarget {
		if r.classes = classValues(o.Like.Classes); r.classes == nil && o.Like.Classes != nil && !o.NoLabel &&
			!o.OptionalLabel {
			return nil, fail(in.name, "LIBSVM labels are numbers", "%s's classes are %s", o.likeName(),
				listNames(o.Like.Classes))
		}
	}
	chunks, err := r.readAll(in)
	if err != nil {
		return nil, err
	}
	return r.assemble(in.ctx, chunks, o, zeroBased)
}

// readAll parses all chunks and returns them in order; on an error, the first in the file.
func (r *svmReader) readAll(in *input) ([]*svmChunk, error) {
	workers := runtime.GOMAXPROCS(0)
	work := make(chan *svmChunk)
	free := make(chan []byte, workers+2) // texts to use again: bounds what is in memory
	for range cap(free) {
		free <- nil
	}
	failed := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	for range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for c := range work {
				r.parse(c)
				r.mem.take(int64(4*cap(c.idx) + 8*cap(c.val) + 8*cap(c.end) + 8*cap(c.y)))
				if c.err != nil {
					once.Do(func() { close(failed) })
				}
				text := c.text
				c.text = nil
				free <- text
			}
		}()
	}

	var chunks []*svmChunk
	var rest []byte // start of a line whose end is not read yet
	var readErr error
reading:
	for {
		if readErr = r.mem.err(); readErr != nil {
			break
		}
		var buf []byte
		select {
		case buf = <-free:
		case <-failed:
			break reading
		}
		size := chunkSize
		if len(chunks) == 0 && rest == nil {
			size /= 16 // a small file needs no large buffer
		}
		need := len(rest) + max(size, len(rest))
		if cap(buf) < need+1 { // one more for a last '\n'
			buf = make([]byte, need+1+size/8)
		}
		buf = buf[:need]
		copy(buf, rest)
		n, err := io.ReadFull(in, buf[len(rest):])
		buf = buf[:len(rest)+n]
		last := err != nil
		if last && err != io.EOF && err != io.ErrUnexpectedEOF {
			readErr = err
		}
		cut := len(buf)
		if readErr != nil { // the last line is not whole
			cut = bytes.LastIndexByte(buf, '\n') + 1
		} else if !last {
			if cut = bytes.LastIndexByte(buf, '\n') + 1; cut == 0 {
				// A line longer than the buffer: read on.
				if int64(len(buf)) > r.line {
					readErr = in.longLine(r.line)
					break
				}
				rest = buf
				free <- nil
				continue
			}
		}
		rest = buf[cut:] // copied before the buffer is read into again
		text := buf[:cut]
		if last && cut > 0 && text[cut-1] != '\n' {
			text = append(text, '\n')
		}
		if len(text) > 0 {
			c := &svmChunk{text: text}
			chunks = append(chunks, c)
			select {
			case work <- c:
			case <-failed:
				c.text = nil
				chunks = chunks[:len(chunks)-1]
				break reading
			}
		}
		if last {
			break
		}
	}
	close(work)
	wg.Wait()

	// Chunks before the first failing one were all parsed: its error is the first in the file.
	lines := 0
	for _, c := range chunks {
		if c.err != nil {
			c.err.Line += lines
			c.err.File = r.name
			return nil, c.err
		}
		lines += c.lines
	}
	if readErr != nil {
		var e *Error
		if errors.As(readErr, &e) {
			return nil, e
		}
		return nil, &Error{File: r.name, Err: bare(readErr)}
	}
	// Either every row has a label or none has.
	bareAt, labelAt := 0, 0
	lines = 0
	for _, c := range chunks {
		if c.bare > 0 && bareAt == 0 {
			bareAt = lines + c.bare
		}
		if c.label > 0 && labelAt == 0 {
			labelAt = lines + c.label
		}
		lines += c.lines
	}
	if bareAt > 0 && labelAt > 0 && !r.ignore {
		return nil, &Error{File: r.name, Line: max(bareAt, labelAt), Hint: "label every row or none",
			Err: fmt.Errorf("line %d has a label and line %d has none", labelAt, bareAt)}
	}
	return chunks, nil
}

// assemble makes a set of parsed chunks, which it empties.
func (r *svmReader) assemble(ctx context.Context, chunks []*svmChunk, o Options, zeroBased bool) (*Set, error) {
	n, nnz, stored, d, queries := 0, 0, 0, 0, 0
	labelled := false
	for _, c := range chunks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n += len(c.end)
		stored += len(c.val)
		queries += c.queries
		d = max(d, int(c.top)+1)
		labelled = labelled || c.label > 0 && !r.ignore
		for _, v := range c.val {
			if v != 0 {
				nnz++
			}
		}
	}
	if n == 0 {
		return nil, noRows(r.name)
	}
	var notes []string
	if queries > 0 {
		notes = append(notes, fmt.Sprintf("%d query ids (qid:) are left out: rows are not compared within queries.", queries))
	}
	if d = max(d, o.Width); r.like != nil {
		d = r.like.Width
		count, largest := 0, int32(0)
		for _, c := range chunks {
			count += c.nBeyond
			largest = max(largest, c.beyond)
		}
		if count > 0 {
			notes = append(notes, fmt.Sprintf("%d values of features beyond the %d of %s, up to feature %d, are left out: it "+
				"knows nothing of them.", count, d, r.likeName, int(largest)+r.base))
		}
	}
	if d == 0 {
		return nil, fail(r.name, "check that it is LIBSVM text: label index:value …", "no row has a feature")
	}
	s := &Set{Schema: &Schema{Format: "libsvm", Width: d, ZeroBased: zeroBased}, Notes: notes}
	if r.like != nil {
		s.Schema = r.like.clone()
	}
	sparse := o.sparse(n, d, nnz)
	s.Schema.Sparse = sparse
	if err := o.mem.takeEach(n, 8*2); err != nil {
		return nil, err
	}
	if sparse {
		if err := o.mem.takeEach(nnz, 12); err != nil {
			return nil, err
		}
	} else if err := o.mem.takeDense(n, d); err != nil {
		return nil, err
	}
	if labelled {
		s.Y = make([]float64, 0, n)
	}
	if sparse {
		m := &rows.CSR{N: n, D: d, Ptr: make([]int, 1, n+1), Idx: make([]int32, 0, nnz), Val: make([]float64, 0, nnz)}
		for k, c := range chunks {
			lo := 0
			for _, hi := range c.end {
				for ; lo < hi; lo++ {
					if c.val[lo] != 0 {
						m.Idx = append(m.Idx, c.idx[lo])
						m.Val = append(m.Val, c.val[lo])
					}
				}
				m.Ptr = append(m.Ptr, len(m.Idx))
			}
			if labelled {
				s.Y = append(s.Y, c.y...)
			}
			chunks[k] = nil
		}
		s.X = m
	} else {
		m := rows.NewDense(n, d)
		i := 0
		for k, c := range chunks {
			lo := 0
			for _, hi := range c.end {
				row := m.Row(i)
				for ; lo < hi; lo++ {
					row[c.idx[lo]] = c.val[lo]
				}
				i++
			}
			if labelled {
				s.Y = append(s.Y, c.y...)
			}
			chunks[k] = nil
		}
		s.X = m
	}
	if labelled && r.classes != nil {
		s.Classes = s.Schema.Classes
	}
	if s.Y != nil && s.Classes == nil && o.Target == ClassTarget {
		if err := s.AsClasses(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// sparse says whether n × d features with nnz values that are not zero are kept as CSR.
func (o *Options) sparse(n, d, nnz int) bool {
	switch {
	case o.Storage != AutoStorage:
		return o.Storage == Sparse
	case o.Like != nil:
		return o.Like.Sparse
	}
	return d > 64 && float64(nnz) < float64(n)*float64(d)/8
}

// fault sets the chunk's error; the line is the one being parsed.
func (c *svmChunk) fault(column, hint, format string, args ...any) {
	c.err = &Error{Line: c.lines, Column: column, Err: fmt.Errorf(format, args...), Hint: hint}
}

// word is the text from b[i] to the next space, '#' or line end, for messages and slow ways.
func word(b []byte, i int) string {
	j := i
	for b[j] != ' ' && b[j] != '\t' && b[j] != '\n' && b[j] != '\r' && b[j] != '#' {
		j++
	}
	return string(b[i:j])
}

// parse reads the lines of c.text. It stops at the first error.
func (r *svmReader) parse(c *svmChunk) {
	b := c.text
	// Rooms for about what such text holds: twelve bytes a pair.
	c.idx = make([]int32, 0, len(b)/12)
	c.val = make([]float64, 0, len(b)/12)
	c.top = -1
	limit := int32(math.MaxInt32)
	if r.like != nil {
		limit = int32(r.like.Width)
	}
	base := int64(r.base)
	for i := 0; i < len(b); {
		c.lines++
		for b[i] == ' ' || b[i] == '\t' || b[i] == '\r' {
			i++
		}
		switch b[i] {
		case '\n':
			i++
			continue
		case '#':
			i += bytes.IndexByte(b[i:], '\n') + 1
			continue
		}

		// Label.
		y, next, ok := scanFloat(b, i)
		if ok && b[next] == ':' || !ok && bytes.HasPrefix(b[i:], []byte("qid:")) {
			// The row starts with a feature.
			if !r.optional {
				c.fault("", "start each line with a label, or read the file as one without labels",
					"the label is missing: the line starts with %s", quote(word(b, i)))
				return
			}
			if c.bare == 0 {
				c.bare = c.lines
			}
		} else {
			if !ok || b[next] > ' ' && b[next] != '#' {
				c.faultLabel(word(b, i))
				return
			}
			i = next
			if c.label == 0 {
				c.label = c.lines
			}
			if r.classes != nil && !r.ignore {
				k := 0
				for k < len(r.classes) && r.classes[k] != y {
					k++
				}
				if k == len(r.classes) {
					c.fault("", "label it as one of these, or leave the row out", "the label %s is none of %s's classes %s",
						formatNumber(y), r.likeName, listNames(r.like.Classes))
					return
				}
				y = float64(k)
			} else if tooLarge(y) && !r.ignore {
				c.err = tooLargeError("the label", y)
				c.err.Line = c.lines
				return
			}
			c.y = append(c.y, y)
		}

		// Features.
		start := len(c.idx)
		last := int32(-1)
		sorted := true
		for {
			for b[i] == ' ' || b[i] == '\t' || b[i] == '\r' {
				i++
			}
			if b[i] == '\n' {
				i++
				break
			}
			if b[i] == '#' {
				i += bytes.IndexByte(b[i:], '\n') + 1
				break
			}
			at := i
			index := int64(0)
			for d := b[i] - '0'; d <= 9; d = b[i] - '0' {
				index = index*10 + int64(d)
				i++
				if index > math.MaxInt32 {
					break
				}
			}
			if i == at || b[i] != ':' || index > maxIndex {
				if bytes.HasPrefix(b[at:], []byte("qid:")) {
					c.queries++
					for b[i] > ' ' && b[i] != '#' {
						i++
					}
					continue
				}
				c.faultPair(word(b, at), index > maxIndex)
				return
			}
			i++
			j := int32(index - base)
			if j < 0 {
				c.fault("0", "say that indices start at 0 (--zero-based)", "feature indices of LIBSVM text start at 1")
				return
			}
			v, next, ok := scanFloat(b, i)
			if !ok || b[next] > ' ' && b[next] != '#' {
				c.faultValue(strconv.FormatInt(index, 10), word(b, i))
				return
			}
			if tooLarge(v) {
				c.err = tooLargeError("the value", v)
				c.err.Line, c.err.Column = c.lines, strconv.FormatInt(index, 10)
				return
			}
			i = next
			if j >= limit {
				c.beyond = max(c.beyond, j)
				c.nBeyond++
				continue
			}
			if j <= last {
				sorted = false
			}
			last = j
			if j > c.top {
				c.top = j
			}
			c.idx = append(c.idx, j)
			c.val = append(c.val, v)
		}
		if !sorted {
			row := pairs{c.idx[start:], c.val[start:]}
			sort.Stable(row)
			for k := 1; k < len(row.idx); k++ {
				if row.idx[k] == row.idx[k-1] {
					c.fault(strconv.Itoa(int(row.idx[k])+r.base), "leave one of them out", "the feature comes twice in the row")
					return
				}
			}
		}
		c.end = append(c.end, len(c.idx))
	}
}

// faultLabel says why a label is none.
func (c *svmChunk) faultLabel(w string) {
	if isMissing(w) {
		c.fault("", "give a number or leave the row out", "the label %s is missing or not finite", quote(w))
		return
	}
	c.fault("", "LIBSVM labels are numbers: give each class one", "the label %s is not a finite number", quote(w))
}

// faultPair says why a word is no index:value.
func (c *svmChunk) faultPair(w string, beyond bool) {
	if beyond {
		c.fault("", fmt.Sprintf("number the features from 1 without large gaps: the largest index is %d", maxIndex),
			"the feature index in %s is too large", quote(w))
		return
	}
	c.fault("", "write each feature as index:value", "%s is not index:value", quote(w))
}

// faultValue says why a value is none.
func (c *svmChunk) faultValue(column, w string) {
	if isMissing(w) {
		c.fault(column, "fill in a number or leave the feature out", "the value %s is missing or not finite", quote(w))
		return
	}
	c.fault(column, "values are finite decimal numbers", "the value %s is not a finite number", quote(w))
}

// pairs sorts a row by index.
type pairs struct {
	idx []int32
	val []float64
}

func (p pairs) Len() int           { return len(p.idx) }
func (p pairs) Less(i, j int) bool { return p.idx[i] < p.idx[j] }
func (p pairs) Swap(i, j int) {
	p.idx[i], p.idx[j] = p.idx[j], p.idx[i]
	p.val[i], p.val[j] = p.val[j], p.val[i]
}
