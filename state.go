package bilevel

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// State carries a run's variables to or from a checkpoint; see [Stateful]. Its methods write the variable
// when the run is being saved and set it when the run is being restored.
//
// A file may be damaged. Places, counts, orders and vectors of a length that the configuration determines have methods
// of their own, which refuse what cannot be, so that a run never fails on them; of other numbers a run that relies on
// them checks what it was given, and calls Fail.
type State struct {
	buf     []byte
	loading bool
	err     error
}

// Loading says whether variables are being set.
func (s *State) Loading() bool { return s.loading }

// Fail records the first error of loading.
func (s *State) Fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

var errShort = errors.New("bilevel: the checkpoint ends too early")

// maxCount is the largest number of steps, samples or nanoseconds that is restored: sums of a few of them, and the next
// step of a geometric sequence, are still within an int64.
const maxCount = 1 << 59

// number carries an integer and, when loading, leaves *p alone and fails unless 0 ≤ *p ≤ most.
func number[T int | int32 | int64](s *State, p *T, most int64) {
	u := uint64(*p)
	s.Uint64(&u)
	switch {
	case s.err != nil:
	case u > uint64(most):
		s.Fail(fmt.Errorf("bilevel: the checkpoint has the number %d where 0 … %d belongs", int64(u), most))
	default:
		*p = T(u)
	}
}

// Index carries a place in a list of length n, or any other of the numbers 0 … n − 1. Another saved one is an error.
func (s *State) Index(p *int, n int) { number(s, p, int64(n)-1) }

// Count carries a number of things that is not known beforehand. A negative or an absurd one is an error.
func (s *State) Count(p *int) { number(s, p, min(maxCount, math.MaxInt)) }

// Count64 is Count for a number of steps or samples.
func (s *State) Count64(p *int64) { number(s, p, maxCount) }

// Counts carries what a run has visited.
func (s *State) Counts(c *Counts) {
	for _, n := range []*int64{&c.ValueF, &c.ValueG, &c.GradF, &c.GradG, &c.HessG, &c.CrossG} {
		s.Count64(n)
	}
}

// Permutation carries an order of 0 … len(p) − 1. What is none is an error.
func (s *State) Permutation(p []int32) {
	seen := make([]bool, len(p))
	for i := range p {
		if number(s, &p[i], int64(len(p))-1); s.err != nil {
			return
		}
		if seen[p[i]] {
			s.Fail(fmt.Errorf("bilevel: the checkpoint has the number %d twice where a permutation belongs", p[i]))
			return
		}
		seen[p[i]] = true
	}
}

// Uint64 carries one unsigned number.
func (s *State) Uint64(p *uint64) {
	if !s.loading {
		s.buf = binary.LittleEndian.AppendUint64(s.buf, *p)
		return
	}
	if s.err != nil {
		return
	}
	if len(s.buf) < 8 {
		s.Fail(errShort)
		return
	}
	*p = binary.LittleEndian.Uint64(s.buf)
	s.buf = s.buf[8:]
}

// Int64 carries one integer.
func (s *State) Int64(p *int64) {
	u := uint64(*p)
	s.Uint64(&u)
	*p = int64(u)
}

// Int carries one integer.
func (s *State) Int(p *int) {
	u := uint64(*p)
	s.Uint64(&u)
	*p = int(u)
}

// Bool carries one truth value.
func (s *State) Bool(p *bool) {
	u := uint64(0)
	if *p {
		u = 1
	}
	s.Uint64(&u)
	*p = u != 0
}

// Float carries one number, bit for bit.
func (s *State) Float(p *float64) {
	u := math.Float64bits(*p)
	s.Uint64(&u)
	*p = math.Float64frombits(u)
}

// Floats carries a slice. When loading, a slice of the saved length is filled in place and one of another
// length replaced.
func (s *State) Floats(p *[]float64) {
	n := s.length(len(*p), 8)
	if s.loading {
		if s.err != nil {
			return
		}
		if len(*p) != n {
			*p = make([]float64, n)
		}
	}
	for i := range *p {
		s.Float(&(*p)[i])
	}
}

// Fixed carries slices whose length the configuration determines: another saved length is an error.
func (s *State) Fixed(slices ...[]float64) {
	for _, f := range slices {
		n := s.length(len(f), 8)
		if s.err != nil {
			return
		}
		if n != len(f) {
			s.Fail(fmt.Errorf("bilevel: the checkpoint has a vector of length %d where this run has %d", n, len(f)))
			return
		}
		for i := range f {
			s.Float(&f[i])
		}
	}
}

// Strings carries a slice of strings.
func (s *State) Strings(p *[]string) {
	n := s.length(len(*p), 8)
	if s.loading {
		if s.err != nil {
			return
		}
		*p = nil
		if n > 0 {
			*p = make([]string, n)
		}
	}
	for i := range *p {
		b := []byte((*p)[i])
		s.bytes(&b)
		(*p)[i] = string(b)
	}
}

// Binary carries anything with its own encoding, such as a *rand.PCG.
func (s *State) Binary(p interface {
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}) {
	var b []byte
	if !s.loading {
		var err error
		if b, err = p.MarshalBinary(); err != nil {
			s.Fail(err)
			return
		}
	}
	s.bytes(&b)
	if s.loading && s.err == nil {
		if err := p.UnmarshalBinary(b); err != nil {
			s.Fail(err)
		}
	}
}

func (s *State) bytes(p *[]byte) {
	n := s.length(len(*p), 1)
	if !s.loading {
		s.buf = append(s.buf, *p...)
		return
	}
	if s.err != nil {
		return
	}
	*p = append([]byte(nil), s.buf[:n]...)
	s.buf = s.buf[n:]
}

// length carries a length and, when loading, makes sure that so many elements can follow.
func (s *State) length(n, size int) int {
	s.Int(&n)
	if s.loading && s.err == nil && (n < 0 || n > len(s.buf)/size) {
		s.Fail(errShort)
	}
	return n
}
