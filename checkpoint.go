package bilevel

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel/internal/outfile"
)

const checkpointMagic = "bilevel checkpoint 1\n"

// identity tells runs apart: a checkpoint of another method, seed, domain or size of problem is refused. Whether it
// is of other data is for sample.
func identity(p *Problem, m Method, seed uint64) string {
	d, q := p.Dims()
	n := 0
	if p.Inner != nil {
		n = p.Inner.Samples()
	} else {
		n = p.Fixed.Samples()
	}
	var b strings.Builder
	describe(&b, reflect.ValueOf(m), 0)
	config := b.String()
	if len(config) > 2000 { // a configuration that holds data
		config = fmt.Sprintf("%T %x", m, sha256.Sum256([]byte(config)))
	}
	domain := "all"
	switch {
	case p.Project != nil:
		domain = "projection"
	case p.Bounded():
		domain = fmt.Sprintf("box %.8x", sha256.Sum256(fmt.Appendf(nil, "%x %x", p.Lower, p.Upper)))
	}
	return fmt.Sprintf("%s d=%d p=%d n=%d m=%d domain=%s seed=%d", config, d, q, n, p.Outer.Samples(), domain, seed)
}

// describe writes v as fmt's %+v does, except that it follows pointers and leaves out addresses, which differ
// from process to process. Of a function it says only whether there is one.
func describe(b *strings.Builder, v reflect.Value, depth int) {
	if depth > 16 {
		b.WriteString("…")
		return
	}
	switch v.Kind() {
	case reflect.Invalid:
		b.WriteString("nil")
	case reflect.Pointer:
		if v.IsNil() {
			b.WriteString("nil")
			return
		}
		b.WriteByte('&')
		describe(b, v.Elem(), depth+1)
	case reflect.Interface:
		describe(b, v.Elem(), depth+1)
	case reflect.Struct:
		b.WriteString(v.Type().String())
		b.WriteByte('{')
		for i := range v.NumField() {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(v.Type().Field(i).Name)
			b.WriteByte(':')
			describe(b, v.Field(i), depth+1)
		}
		b.WriteByte('}')
	case reflect.Slice, reflect.Array:
		b.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				b.WriteByte(' ')
			}
			describe(b, v.Index(i), depth+1)
		}
		b.WriteByte(']')
	case reflect.Map:
		entries := make([]string, 0, v.Len())
		for it := v.MapRange(); it.Next(); {
			var e strings.Builder
			describe(&e, it.Key(), depth+1)
			e.WriteByte(':')
			describe(&e, it.Value(), depth+1)
			entries = append(entries, e.String())
		}
		slices.Sort(entries)
		fmt.Fprintf(b, "map%v", entries)
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		if v.IsNil() {
			b.WriteString("nil")
		} else {
			b.WriteString(v.Kind().String())
		}
	default:
		fmt.Fprintf(b, "%v", v)
	}
}

// A sample of the data is what f and ∇f, and g and ∇g, are at a fixed point on some of their terms.
const (
	sampledBlocks = 4   // of each level, spread evenly
	sampledTerms  = 512 // in a block, at most
)

// sample is a few numbers by which the data of p are known again: values, and products of gradients with the point.
// The point is near zero, where runs start by default.
func sample(p *Problem) (numbers []float64, err error) {
	d, q := p.Dims()
	rng := rand.New(rand.NewPCG(1, 1))
	z, x := make([]float64, d), make([]float64, q)
	for _, v := range [][]float64{z, x} {
		for i := range v {
			v[i] = (rng.Float64() - .5) / 16
		}
	}
	p.ProjectX(x)
	dz, dx := make([]float64, d), make([]float64, q)
	each := func(terms int, evaluate func(b Batch)) {
		n := min((terms+sampledBlocks-1)/sampledBlocks, sampledTerms)
		for i := range sampledBlocks { // the first has the first terms, and the last the last ones
			lo := i * (terms - n) / (sampledBlocks - 1)
			evaluate(Batch{Lo: lo, Hi: lo + n})
		}
	}
	level := func(o Objective) {
		f, ok := o.(*Func)
		each(o.Samples(), func(b Batch) {
			if !ok || f.Eval != nil {
				numbers = append(numbers, o.Value(z, x, b))
			}
			if !ok || f.Gradient != nil {
				o.Grad(dz, dx, z, x, b)
				numbers = append(numbers, floats.Dot(dz, z), floats.Dot(dx, x))
			}
		})
	}
	level(p.Outer)
	if p.Inner != nil {
		level(p.Inner)
	} else {
		each(p.Fixed.Samples(), func(b Batch) {
			p.Fixed.Map(dz, z, x, b)
			numbers = append(numbers, floats.Dot(dz, z))
		})
	}
	for _, o := range []any{p.Outer, p.Inner, p.Fixed} {
		if f, ok := o.(Failer); ok && f.Err() != nil {
			return nil, fmt.Errorf("bilevel: an objective failed near zero, where a checkpoint looks at the data: %w", f.Err())
		}
	}
	return numbers, nil
}

// alike says whether a and b are samples of the same data. They may differ by rounding, for a run may go on where
// other kernels are used; numbers that are no numbers are alike.
func alike(a, b []float64) bool {
	if len(a) != len(b) {
		return false
	}
	size := 0.0
	for _, v := range a {
		if !math.IsInf(v, 0) && !math.IsNaN(v) {
			size = max(size, math.Abs(v))
		}
	}
	for i, v := range a {
		if w := b[i]; v != w && !(math.IsNaN(v) && math.IsNaN(w)) && !(math.Abs(v-w) <= 1e-6*math.Abs(v)+1e-9*size) {
			return false
		}
	}
	return true
}

// state lists the driver's own variables and those of the run.
func (d *driver) state(s *State) {
	id := []string{d.id}
	s.Strings(&id)
	data := d.sample
	if s.loading {
		data = nil
	}
	s.Floats(&data)
	switch {
	case s.err != nil:
		return
	case len(id) != 1 || id[0] != d.id:
		s.Fail(fmt.Errorf("bilevel: the checkpoint is of another run: it has %q, this is %q", id, d.id))
		return
	case !alike(d.sample, data):
		s.Fail(errors.New("bilevel: the checkpoint is of a run on other data: f or g differs at the same point"))
		return
	}
	s.Count64(&d.step)
	s.Count64((*int64)(&d.elapsed))
	s.Float(&d.res.Value)
	s.Float(&d.res.GradNorm)
	dz, dx := d.p.Dims()
	for _, at := range []*Point{&d.res.Point, &d.res.Last} {
		s.vector(&at.Z, dz)
		s.vector(&at.X, dx)
		s.vector(&at.V, dz)
	}
	n := s.length(len(d.res.Trace), recordBytes)
	if s.err != nil {
		return
	}
	if s.loading {
		d.res.Trace = make([]Record, n)
	}
	next := int64(0)
	for i := range d.res.Trace {
		r := &d.res.Trace[i]
		s.Count64(&r.Step)
		s.Count64((*int64)(&r.Time))
		s.Counts(&r.Counts)
		s.Float(&r.Value)
		s.Float(&r.GradNorm)
		s.Strings(&r.Notes)
		if r.Step < next || r.Step > d.step {
			s.Fail(fmt.Errorf("bilevel: record %d of the checkpoint is of step %d out of %d", i+1, r.Step, d.step))
		}
		next = r.Step + 1
	}
	if s.loading {
		d.recorded = next
	}
	d.evaluatorState(s)
	d.run.(Stateful).State(s)
}

// recordBytes is the least length of a saved record.
const recordBytes = 8 * (2 + 6 + 2 + 1)

// vector is Floats for one of length n or, where it is not known, none.
func (s *State) vector(p *[]float64, n int) {
	if s.Floats(p); len(*p) != 0 && len(*p) != n {
		s.Fail(fmt.Errorf("bilevel: the checkpoint has a vector of length %d where this run has %d", len(*p), n))
	}
}

// evaluatorState carries the evaluator's variables, where it has any, as one piece: the resumed run may have
// another evaluator or none.
func (d *driver) evaluatorState(s *State) {
	e, ok := d.s.Evaluator.(Stateful)
	part := &State{}
	if ok && !s.loading {
		e.State(part)
	}
	s.bytes(&part.buf)
	if ok && s.loading && s.err == nil && len(part.buf) > 0 {
		part.loading = true
		e.State(part)
		if len(part.buf) > 0 {
			part.Fail(fmt.Errorf("bilevel: %d bytes behind the end of the checkpoint's evaluator", len(part.buf)))
		}
	}
	if part.err != nil {
		s.Fail(part.err)
	}
}

// identify makes sure, before a run starts, that it can be saved, and says what tells it and its data apart.
func identify(p *Problem, m Method, s Settings) (id string, data []float64, err error) {
	if s.Checkpoint == "" {
		return "", nil, nil
	}
	if err := checkWritable(s.Checkpoint); err != nil {
		return "", nil, fmt.Errorf("bilevel: there can be no checkpoint: %w", err)
	}
	data, err = sample(p)
	return identity(p, m, s.Seed), data, err
}

// checkWritable reports what would keep a checkpoint from being written to path, where it removes what
// killed processes left.
func checkWritable(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("%s is a folder", path)
	}
	outfile.Sweep(filepath.Dir(path))
	return outfile.CheckWritable(filepath.Dir(path))
}

// encode is the state of driver and run.
func (d *driver) encode() ([]byte, error) {
	s := &State{}
	d.state(s)
	return s.buf, s.err
}

// save writes the state to the checkpoint: that before the last step if that was cut short, and nothing if none was
// kept.
func (d *driver) save() error {
	var state []byte
	if d.before == nil {
		var err error
		if state, err = d.encode(); err != nil {
			return err
		}
	} else if state = d.before.state; state == nil {
		return nil
	}
	sum := sha256.Sum256(state)
	data := append([]byte(checkpointMagic), sum[:]...)
	if err := outfile.Write(d.s.Checkpoint, append(data, state...)); err != nil {
		return fmt.Errorf("bilevel: saving the checkpoint: %w", err)
	}
	return nil
}

func (d *driver) load() error {
	data, err := os.ReadFile(d.s.Checkpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("bilevel: reading the checkpoint: %w", err)
	}
	rest, ok := bytes.CutPrefix(data, []byte(checkpointMagic))
	if !ok || len(rest) < sha256.Size {
		return fmt.Errorf("bilevel: %s is no checkpoint of this version", d.s.Checkpoint)
	}
	if sum := sha256.Sum256(rest[sha256.Size:]); !bytes.Equal(sum[:], rest[:sha256.Size]) {
		return fmt.Errorf("bilevel: the checkpoint %s is damaged: its checksum does not fit", d.s.Checkpoint)
	}
	s := &State{buf: rest[sha256.Size:], loading: true}
	d.state(s)
	if s.err == nil && len(s.buf) > 0 {
		s.Fail(fmt.Errorf("bilevel: %d bytes behind the end of the checkpoint", len(s.buf)))
	}
	if s.err != nil {
		return fmt.Errorf("%s: %w", d.s.Checkpoint, s.err)
	}
	return nil
}
