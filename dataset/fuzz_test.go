package dataset

import (
	"bytes"
	"errors"
	"testing"

	"github.com/bilevel-go/bilevel/rows"
)

// checkRead reads b and checks that the result is a sound set or an *Error, and the same twice.
func checkRead(t *testing.T, b []byte, o Options) {
	s, err := ReadFrom(t.Context(), bytes.NewReader(b), "fuzz", o)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) || e.File == "" || s != nil {
			t.Fatalf("error %v (%T)", err, err)
		}
		return
	}
	if err := rows.Check(s.X); err != nil {
		t.Fatal(err)
	}
	n, d := s.Dims()
	if n == 0 || d == 0 || s.Y != nil && len(s.Y) != n || s.Schema.Width != d || s.Features != nil && len(s.Features) != d {
		t.Fatalf("%d × %d, %d targets, %d names, schema of %d", n, d, len(s.Y), len(s.Features), s.Schema.Width)
	}
	if err := s.Schema.Check(); err != nil {
		t.Fatal(err)
	}
	for i, v := range s.Y {
		if v-v != 0 || s.Classes != nil && (v < 0 || int(v) >= len(s.Classes) || v != float64(int(v))) {
			t.Fatalf("target %d is %v", i, v)
		}
	}
	s.GuessTask()
	// What was read fits its own schema.
	o.Like = s.Schema
	if o.Label == "" && o.NoLabel {
		o.Like.Label = ""
	}
	u, err := ReadFrom(t.Context(), bytes.NewReader(b), "fuzz", o)
	if err != nil {
		t.Fatalf("does not fit its own schema: %v", err)
	}
	if m, e := u.Dims(); m != n || e != d || (u.Y == nil) != (s.Y == nil) {
		t.Fatalf("%d × %d, then %d × %d", n, d, m, e)
	}
	for i := range s.Y {
		if s.Y[i] != u.Y[i] {
			t.Fatalf("target %d is %v, then %v", i, s.Y[i], u.Y[i])
		}
	}
}

func FuzzLIBSVM(f *testing.F) {
	for _, s := range []string{"1 1:2 3:4\n-1 2:5e-1 # c\n", "+1 2:1 1:2\n", "1:2\n3:4\n", "1 qid:3 1:1", "1 0:1\n", "\n#\n0 \t5:1e400\r\n", "1 1:1 1:1", "1 9999999:1"} {
		f.Add([]byte(s), byte(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, flags byte) {
		checkRead(t, b, Options{Format: "libsvm", ZeroBased: flags&1 != 0, OptionalLabel: flags&2 != 0, Storage: Storage(flags >> 2 & 1 * 2)})
	})
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b,y\n1,2,0\n3,4,1\n", "a;y\n\"x;1\";2\n", "a,y\nNA,1\nx,2\n", "a\ty\n1\tp\n2\tq\n", "\xef\xbb\xbfa,label\n1,\"q\"\"r\"\n", "1,2\n3,4", "a,y\n01,1\n1.0,x\n"} {
		f.Add([]byte(s), byte(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, flags byte) {
		o := Options{Format: "csv", NoHeader: flags&1 != 0, NoLabel: flags&2 != 0, Storage: Storage(flags >> 2 & 1 * 2)}
		if flags&8 != 0 {
			o.Format = "tsv"
		}
		checkRead(t, b, o)
	})
}

func FuzzIDX(f *testing.F) {
	f.Add(idx(0x08, []uint32{2, 2, 1}, []byte{1, 2, 3, 4}), byte(0))
	f.Add(idx(0x0d, []uint32{1, 2}, []float32{1, 2}), byte(1))
	f.Add(idx(0x0e, []uint32{1, 1}, []float64{1}), byte(1))
	f.Add(idx(0x0c, []uint32{1 << 31, 1 << 31}, []byte{}), byte(0))
	f.Add(idx(0x08, []uint32{3}, []byte{1, 2, 3}), byte(0))
	f.Fuzz(func(t *testing.T, b []byte, flags byte) {
		checkRead(t, b, Options{Format: "idx", NoLabel: true, Storage: Storage(flags & 1 * 2)})
	})
}

func FuzzNPY(f *testing.F) {
	f.Add(npyFile("<f8", false, "(2, 2)", []float64{1, 2, 3, 4}))
	f.Add(npyFile(">i2", true, "(2, 3)", []int16{1, 2, 3, 4, 5, 6}))
	f.Add(npyFile("|b1", false, "(3, 1)", []byte{0, 1, 1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkRead(t, b, Options{Format: "npy", NoLabel: true})
	})
}

// FuzzAny reads anything as what it looks like.
func FuzzAny(f *testing.F) {
	f.Add([]byte("1 1:2\n"))
	f.Add([]byte("a,y\n1,2\n"))
	f.Add(parquetFile(f, []parquetRow{{Age: 1, Name: "a", Y: "x"}}))
	for _, b := range compressed(f, []byte("1 1:2\n")) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ReadFrom(t.Context(), bytes.NewReader(b), "fuzz", Options{OptionalLabel: true})
		var e *Error
		if err != nil && !errors.As(err, &e) || err == nil && rows.Check(s.X) != nil {
			t.Fatalf("%v, %v", s, err)
		}
	})
}
