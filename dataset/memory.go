package dataset

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/bilevel-go/bilevel/rows"
)

// Memory bounds what is read, so that a file that is too large, or that claims or decompresses to more than it should,
// is an error and not the end of the process. Everything that is read with one Memory shares it: sets that were read
// keep their part. A quarter is left for what is not counted.
type Memory struct {
	most int64
	used atomic.Int64
}

// NewMemory is a bound of so many bytes; 0 is DefaultMemory.
func NewMemory(bytes int64) *Memory {
	if bytes <= 0 {
		bytes = DefaultMemory()
	}
	return &Memory{most: bytes}
}

// Bytes is the bound.
func (m *Memory) Bytes() int64 { return m.most }

// Check is an error if bytes more than what is there are beyond the bound. what needs them, and file is what it is made
// of.
func (m *Memory) Check(file, what string, bytes float64) error {
	if bytes <= float64(m.most-m.used.Load()) {
		return nil
	}
	e := tooMuch(m.most)
	e.File, e.Err = file, memoryError(fmt.Sprintf("%s takes about %s, and with what was read that is more than the %s of "+
		"memory that may be used", what, sizeText(bytes), sizeText(float64(m.most))))
	return e
}

// DefaultMemory is half of what the machine has, or the process may have where that is less (by a control group or
// ulimit -v); half of 8 GiB where that is not known.
func DefaultMemory() int64 {
	least := int64(math.MaxInt64)
	for _, n := range systemMemory() {
		least = min(least, n)
	}
	if least == math.MaxInt64 {
		least = 8 << 30
	}
	return least / 2
}

// units of sizes, the longest names first.
var units = []struct {
	name  string
	bytes float64
}{
	{"KIB", 1 << 10}, {"MIB", 1 << 20}, {"GIB", 1 << 30}, {"TIB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"B", 1}, {"", 1},
}

// ParseSize reads a number of bytes such as 2GB, 512MiB or 1.5G, in any case.
func ParseSize(text string) (int64, error) {
	word := strings.ToUpper(strings.TrimSpace(text))
	for _, u := range units {
		number, ok := strings.CutSuffix(word, u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(v > 0) || v*u.bytes >= 1<<62 {
			break
		}
		return int64(v * u.bytes), nil
	}
	return 0, fmt.Errorf("%s is no size; write a number with a unit, such as 2GB or 512MiB", quote(text))
}

// sizeText is a number of bytes in words.
func sizeText(bytes float64) string {
	for _, u := range []struct {
		name  string
		bytes float64
	}{{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if bytes >= u.bytes {
			return strconv.FormatFloat(bytes/u.bytes, 'g', 3, 64) + " " + u.name
		}
	}
	return fmt.Sprintf("%.0f bytes", bytes)
}

// errMemory is what every error of a bound on memory is.
var errMemory = errors.New("too much memory")

// memoryError is such an error, in words.
type memoryError string

func (e memoryError) Error() string      { return string(e) }
func (memoryError) Is(target error) bool { return target == errMemory }

// tooMuch is the error of a bound of so many bytes, about no file yet.
func tooMuch(most int64) *Error {
	return &Error{Err: memoryError(fmt.Sprintf("reading it takes more than the %s of memory that may be used",
		sizeText(float64(most)))), Hint: "allow more with --memory, or give less data"}
}

// ledger is what one call of Read has taken of a Memory; nil is one without a bound. Its methods may be called at once.
type ledger struct {
	m     *Memory
	taken atomic.Int64
	over  atomic.Bool // more was asked for than there is
}

func newLedger(m *Memory) *ledger {
	if m == nil {
		m = NewMemory(0)
	}
	return &ledger{m: m}
}

// take takes n bytes, or is an error if there are not so many. The error stays: see err.
func (l *ledger) take(n int64) error {
	if l == nil {
		return nil
	}
	if n < 0 || l.m.used.Add(n) > l.m.most/4*3 { // the rest is for what is not counted, and for what is no more needed
		l.m.used.Add(-max(n, 0))
		l.over.Store(true)
		return tooMuch(l.m.most)
	}
	l.taken.Add(n)
	return nil
}

// takeEach is take for n things of so many bytes each.
func (l *ledger) takeEach(n, bytes int) error {
	if n > 0 && bytes > math.MaxInt64/n {
		return l.take(-1)
	}
	return l.take(int64(n) * int64(bytes))
}

// takeDense is take for a dense matrix, whose rows are padded to lines of 64 bytes.
func (l *ledger) takeDense(n, d int) error {
	if d > math.MaxInt64/128 {
		return l.take(-1)
	}
	return l.takeEach(n, 64*((d+7)/8))
}

// give gives n bytes back.
func (l *ledger) give(n int64) {
	if l == nil {
		return
	}
	l.taken.Add(-n)
	l.m.used.Add(-n)
}

// err is the error of what was taken in vain, for loops whose steps take little.
func (l *ledger) err() error {
	if l != nil && l.over.Load() {
		return tooMuch(l.m.most)
	}
	return nil
}

// settle gives everything back but what s keeps, which is nil after an error.
func (l *ledger) settle(s *Set) {
	if s == nil {
		l.give(l.taken.Load())
		return
	}
	l.give(l.taken.Load() - s.Bytes())
}

// part is a share of the bound, for what is not taken but kept below.
func (l *ledger) part(divisor int64) int64 { return l.m.most / divisor }

// Bytes is about what the set takes in memory: features and targets.
func (s *Set) Bytes() int64 {
	n := int64(8 * (len(s.Y) + len(s.Weights)))
	switch x := s.X.(type) {
	case *rows.Dense:
		n += 8 * int64(len(x.Data))
	case *rows.CSR:
		n += 8*int64(len(x.Ptr)) + 12*int64(len(x.Idx))
	}
	for _, cells := range append(slices.Collect(maps.Values(s.Beside)), s.Names) {
		for _, cell := range cells {
			n += 16 + int64(len(cell))
		}
	}
	return n
}

// readAll is io.ReadAll within the bound.
func (l *ledger) readAll(r io.Reader) ([]byte, error) {
	var b []byte
	for {
		if len(b) == cap(b) {
			grown := max(512, 2*cap(b))
			if err := l.take(int64(grown)); err != nil {
				return nil, err
			}
			old := cap(b)
			b = append(make([]byte, 0, grown), b...)
			l.give(int64(old))
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		} else if err != nil {
			return nil, err
		}
	}
}

// ReadWithin is the content of a file, each byte of which takes as many as factor says of what memory, or with nil
// NewMemory(0), has left.
func ReadWithin(path string, memory *Memory, factor int64) ([]byte, error) {
	l := newLedger(memory)
	most := (l.m.most - l.m.used.Load()) / factor
	f, err := os.Open(path)
	if err != nil {
		return nil, &Error{File: path, Err: bare(err)}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, &Error{File: path, Err: bare(err)}
	}
	if int64(len(b)) > most {
		return nil, asError(path, tooMuch(l.m.most))
	}
	return b, nil
}

// metered bounds the bytes that are read in a run, such as that of one record.
type metered struct {
	r    io.Reader
	run  int64 // since start
	most int64 // 0 for no bound
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if m.run += int64(n); m.most > 0 && m.run > m.most {
		return 0, errLongRun
	}
	return n, err
}

// errLongRun is the error of a run without end.
var errLongRun = errors.New("a run of bytes without an end")

// growBlock is the block of a column with room for one value more, which it takes.
func (l *ledger) growBlock(b []float64) []float64 {
	if len(b) < cap(b) {
		return b
	}
	room := min(max(16, 2*cap(b)), blockRows)
	if l.take(int64(8*(room-cap(b)))) != nil {
		return slices.Grow(b, 1) // err will say so
	}
	return append(make([]float64, 0, room), b...)
}
