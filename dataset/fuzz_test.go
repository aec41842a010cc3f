package dataset

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/rows"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
)

// readBounded reads b, and checks that the result is a set or an *Error and that what was allocated on the way
// is in proportion to b, whatever sizes b declares: at most base bytes and a thousand times b, which compresses.
func readBounded(t *testing.T, b []byte, base uint64, o Options) *Set {
	t.Helper()
	var before, after runtime.MemStats
	o.Memory = NewMemory(fuzzMemory)
	runtime.ReadMemStats(&before)
	s, err := ReadFrom(t.Context(), bytes.NewReader(b), "fuzz", o)
	runtime.ReadMemStats(&after)
	for _, c := range compressions {
		if bytes.HasPrefix(b, []byte(c.magic)) && (c.name == "xz" || c.name == "zstd") {
			base += 2 * fuzzMemory / windowShare // which these decompressors make room for, as their streams ask for it
		}
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > base+1000*uint64(len(b)) {
		t.Fatalf("%d MB were allocated for %d bytes (%v)", n>>20, len(b), err)
	}
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.File == "" || s != nil) {
		t.Fatalf("error %v (%T)", err, err)
	}
	return s
}

// fuzzMemory bounds what is read.
const fuzzMemory = 1 << 30

// readBase is what reading takes whatever is read: buffers, and blocks that are read ahead.
const readBase = 16 << 20

// checkRead reads b and checks that the result is a sound set or an *Error, and the same twice.
func checkRead(t *testing.T, b []byte, o Options) {
	t.Helper()
	s := readBounded(t, b, readBase, o)
	if s == nil {
		return
	}
	if err := rows.Check(s.X); err != nil {
		t.Fatal(err)
	}
	n, d := s.Dims()
	if n == 0 || d == 0 || s.Y != nil && len(s.Y) != n || s.Schema.Width != d || s.Features != nil &&
		len(s.Features) != d {
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
	for _, s := range []string{"1 1:2 3:4\n-1 2:5e-1 # c\n", "+1 2:1 1:2\n", "1:2\n3:4\n", "1 qid:3 1:1", "1 0:1\n",
		"\n#\n0 \t5:1e400\r\n", "1 1:1 1:1", "1 9999999:1"} {
		f.Add([]byte(s), byte(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, flags byte) {
		checkRead(t, b, Options{Format: "libsvm", ZeroBased: flags&1 != 0, OptionalLabel: flags&2 != 0,
			Storage: Storage(flags >> 2 & 1 * 2)})
	})
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b,y\n1,2,0\n3,4,1\n", "a;y\n\"x;1\";2\n", "a,y\nNA,1\nx,2\n", "a\ty\n1\tp\n2\tq\n",
		"\xef\xbb\xbfa,label\n1,\"q\"\"r\"\n", "1,2\n3,4", "a,y\n01,1\n1.0,x\n"} {
		f.Add([]byte(s), byte(0), byte(0))
		f.Add([]byte(s), byte(32), byte(0))
		f.Add([]byte(s), byte(64), byte(0))
	}
	f.Add([]byte("a;b;y\n1,5;x;0\n;y;1\nNA;;1\n1.234,5;x;\n"), byte(16+64+128), byte(0))
	f.Add([]byte("a;b;y\n1,5;x;0\n;y;1\nNA;;1\n1.234,5;x;\n"), byte(32+64+128), byte(0))
	for _, s := range []string{"a,b,y\n7%,$5,0\n8 %,($1.5),1\n", "a;b;y\n4,50 €;(5);0\n1 €;\u22121;1\n"} {
		f.Add([]byte(s), byte(0), byte(0))
		f.Add([]byte(s), byte(16), byte(8))
	}
	for order := range byte(8) {
		f.Add([]byte("a,b,y\n2021-03-31,2021-03-31T06:00:00.5Z,0\n2020-01-01,1999-12-31 23:59Z,1\n,NA,1\n"), byte(32), order)
		f.Add([]byte("a,b,y\n31/3/21,9:30 am,0\n1.4.20,23:59:59+01:00,1\n"), byte(0), order)
	}
	f.Fuzz(func(t *testing.T, b []byte, flags, more byte) {
		o := Options{Format: "csv", NoHeader: flags&1 != 0, NoLabel: flags&2 != 0, Storage: Storage(flags >> 2 & 1 * 2)}
		if flags&8 != 0 {
			o.Format = "tsv"
		}
		o.Missing = []Missing{"", DropMissing, ImputeMissing, ""}[flags>>4&3]
		if flags&64 != 0 {
			o.Decimal = ','
		}
		if flags&128 != 0 {
			o.Thousands = '.'
		}
		o.DateOrder = append([]string{""}, DateOrders...)[more&3]
		o.Dates = []Dates{"", DropDates}[more>>2&1]
		if more&8 != 0 {
			o.Texts = []string{"a"}
		}
		// A description has problems where reading is refused, and only there.
		d := o
		d.describe = new(Description)
		_, told := ReadFrom(t.Context(), bytes.NewReader(b), "fuzz", d)
		_, refused := ReadFrom(t.Context(), bytes.NewReader(b), "fuzz", o)
		if (told != nil || len(d.describe.Problems) > 0) != (refused != nil) {
			t.Fatalf("described with %v %q, and read with %v", told, d.describe.Problems, refused)
		}
		checkRead(t, b, o)
	})
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":1,"y":"p"}` + "\n" + `{"y":"q","a":null}`, `[{"a":{"b":true,"c":[1]},"y":2.5e1}]`,
		`{"":0,"a":"x","y":1}{"":1,"a":"y","y":1}`, `{"a":NaN}`, "{\n", `[[1]]`, `{"a":1,"a":2}`} {
		for flags := range byte(4) {
			f.Add([]byte(s), flags<<2)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, flags byte) {
		checkRead(t, b, Options{Format: "json", NoLabel: flags&1 != 0, Storage: Storage(flags >> 1 & 1 * 2),
			Missing: []Missing{"", DropMissing, ImputeMissing, ""}[flags>>2&3]})
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
	f.Add(npyFile("<f8", false, "(2, 2)", []float64{1, 2, 3, 4}), byte(0))
	f.Add(npyFile(">i2", true, "(2, 3)", []int16{1, 2, 3, 4, 5, 6}), byte(1))
	f.Add(npyFile("|b1", false, "(3, 1)", []byte{0, 1, 1}), byte(1))
	f.Add(npyFile("<f2", true, "(1152921504606846976, 1)", []int16{}), byte(0))
	f.Add(npyFile("<f4", false, "(2, 4294967296, 4294967296)", []float32{1}), byte(2))
	f.Fuzz(func(t *testing.T, b []byte, flags byte) {
		checkRead(t, b, Options{Format: "npy", NoLabel: flags&1 != 0, Storage: Storage(flags >> 1 & 1 * 2)})
	})
}

func FuzzParquet(f *testing.F) {
	score := 0.5
	rows := []parquetRow{{30, "b", &score, true, 1 << 63, "no"}, {-4, "a", &score, false, 3, "yes"},
		{7, "b", &score, true, 0, "yes"}}
	f.Add(parquetFile(f, rows), byte(0))
	f.Add(parquetFile(f, rows, parquet.MaxRowsPerRowGroup(2)), byte(1))
	codecs := []compress.Codec{&parquet.Zstd, &parquet.Snappy, &parquet.Gzip, &parquet.Brotli, &parquet.Lz4Raw}
	for i, c := range codecs {
		f.Add(parquetFile(f, rows[:1], parquet.Compression(c), parquet.DataPageVersion(1+i%2)), byte(2))
	}
	for _, files := range columnarFiles(f) {
		for name, b := range files {
			if isParquet(b) && len(b) < 4000 && strings.Contains(name, "lz4") {
				f.Add(b, byte(8))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, flags byte) {
		checkRead(t, b, Options{Format: "parquet", NoLabel: flags&1 != 0, Storage: Storage(flags >> 1 & 1 * 2),
			Missing: []Missing{"", DropMissing, ImputeMissing, ""}[flags>>2&3]})
	})
}

func FuzzArrow(f *testing.F) {
	for _, files := range columnarFiles(f) {
		for name, b := range files {
			if isArrow(b) && len(b) < 6000 {
				f.Add(b, byte(len(name)))
				f.Add(b, byte(8))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, flags byte) {
		checkRead(t, b, Options{Format: "arrow", NoLabel: flags&1 != 0, Storage: Storage(flags >> 1 & 1 * 2),
			Missing: []Missing{"", DropMissing, ImputeMissing, ""}[flags>>2&3]})
	})
}

// FuzzArchive reads tar and zip archives of documents.
func FuzzArchive(f *testing.F) {
	files := map[string]string{"a/1.txt": "one two two", "a/2.txt": "two", "b/3.txt": "three one"}
	f.Add(tarOf(f, files), byte(0))
	f.Add(zipOf(f, files), byte(0))
	f.Add(zipOf(f, inside("top/train", files)), byte(1))
	f.Add(compressed(f, tarOf(f, inside("top", files)))["gzip"], byte(2))
	f.Fuzz(func(t *testing.T, b []byte, flags byte) {
		checkRead(t, b, Options{Format: "text", NoLabel: flags&1 != 0, OptionalLabel: flags&3 == 2})
	})
}

// FuzzAny reads anything as what it looks like, decompressed.
func FuzzAny(f *testing.F) {
	f.Add([]byte("1 1:2\n"))
	f.Add([]byte("a,y\n1,2\n"))
	f.Add(parquetFile(f, []parquetRow{{Age: 1, Name: "a", Y: "x"}}))
	for _, text := range []string{"1 1:2\n", "a,y\n1,2\n3,4\n"} {
		for _, b := range compressed(f, []byte(text)) {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := readBounded(t, b, readBase, Options{OptionalLabel: true}); s != nil {
			if err := rows.Check(s.X); err != nil {
				t.Fatal(err)
			}
		}
	})
}
