package bilevel

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

const checkpointMagic = "bilevel checkpoint 1\n"

// identity tells runs apart: a checkpoint of another method, seed, domain or size of problem is refused.
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

// state lists the driver's own variables and those of the run.
func (d *driver) state(s *State) {
	id := []string{d.id}
	s.Strings(&id)
	if s.err != nil {
		return
	}
	if len(id) != 1 || id[0] != d.id {
		s.Fail(fmt.Errorf("bilevel: the checkpoint is of another run: it has %q, this is %q", id, d.id))
		return
	}
	s.Int64(&d.step)
	s.Int64((*int64)(&d.elapsed))
	s.Int64(&d.recorded)
	s.Float(&d.res.Value)
	s.Float(&d.res.GradNorm)
	for _, at := range []*Point{&d.res.Point, &d.res.Last} {
		s.Floats(&at.Z)
		s.Floats(&at.X)
		s.Floats(&at.V)
	}
	n := s.length(len(d.res.Trace), 8)
	if s.err != nil {
		return
	}
	if s.loading {
		d.res.Trace = make([]Record, n)
	}
	for i := range d.res.Trace {
		r := &d.res.Trace[i]
		s.Int64(&r.Step)
		s.Int64((*int64)(&r.Time))
		for _, c := range []*int64{&r.Counts.ValueF, &r.Counts.ValueG, &r.Counts.GradF, &r.Counts.GradG, &r.Counts.HessG, &r.Counts.CrossG} {
			s.Int64(c)
		}
		s.Float(&r.Value)
		s.Float(&r.GradNorm)
		s.Strings(&r.Notes)
	}
	d.evaluatorState(s)
	d.run.(Stateful).State(s)
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
	}
	if part.err != nil {
		s.Fail(part.err)
	}
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
	if err := writeAtomic(d.s.Checkpoint, append(data, state...)); err != nil {
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

// writeAtomic writes data to path so that a reader, or a crash, finds the old file or the new one.
func writeAtomic(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
