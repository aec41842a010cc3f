package dataset

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/parquet-go/parquet-go"
)

// squeeze is text over and over again, compressed by gzip.
func squeeze(t *testing.T, head, text string, times int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(head))
	for part := strings.Repeat(text, 1024); times > 0; times -= 1024 {
		w.Write([]byte(part))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Streams of bzip2: of the beginning of a table, within a cell in quotes, and of 45 MB of one letter.
const (
	bzip2Begin = "425a6839314159265359f0a027f5000003d9818010100430002000002000800008200031064c40d1a3269aca65f4a880" +
		"adb03c5dc914e14243c2809fd4"
	bzip2Letters = "425a68393141592653597076063a0158ab0120a00010000008200030cc0529a65248526c5492149e2ee48a70a120e0ec0c74"
)

// TestMemory: files that are small and become large are errors that name them and the flag, and what is held on the way
// is within the bound.
func TestMemory(t *testing.T) {
	const most = 8 << 20
	letters := strings.Repeat("a", 5<<20)
	var words strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&words, "%05x ", i)
	}
	bombs, err := hex.DecodeString(bzip2Begin + strings.Repeat(bzip2Letters, 200))
	if err != nil {
		t.Fatal(err)
	}
	many := make(map[string]string)
	for i := range 25_000 {
		many[fmt.Sprintf("a/%d", i)] = ""
	}
	sparse := append([]byte("1 1:1\n"), bytes.Repeat([]byte("1 2:1 60000000:3\n"), 10)...)
	type pair struct{ A, Y int32 }
	float8 := string(npyFile("<f8", false, "(1048576, 2)", []float64{}))
	packed := map[string]string{"x.npy": float8 + strings.Repeat("\x00", 16<<20)}
	images := func(n uint32) string { return string(idx(0x08, []uint32{n, 8}, []byte{})) }
	for name, c := range map[string]struct {
		file []byte
		o    Options
	}{
		"csv, cell":            {squeeze(t, "a,y\n1,2\n\"", "aaaaaaaa", 1<<20), Options{}},
		"csv, line":            {squeeze(t, "a,y\n1", "1", 8<<20), Options{}},
		"csv, cells":           {squeeze(t, "a", ",", 2<<20), Options{}},
		"csv, columns":         {squeeze(t, "a,y\n", "1,2\n", 1<<19), Options{}},
		"csv, names":           {squeeze(t, "a,b,y\n", "1,aaaaaaaaaaaaaaaa,2\n", 1<<18), Options{ID: "b"}},
		"libsvm, line":         {squeeze(t, "1 1:1", " ", 16<<20), Options{}},
		"libsvm, rows":         {squeeze(t, "", "1 1:1 2:2\n", 1<<19), Options{}},
		"libsvm, dense":        {sparse, Options{Storage: Dense}},
		"npy":                  {squeeze(t, float8, "\x00", 16<<20), Options{}},
		"npz":                  {zipOf(t, packed), Options{}},
		"idx":                  {squeeze(t, images(1<<21), "\x00", 16<<20), Options{NoLabel: true}},
		"idx of bytes, dense":  {squeeze(t, images(1<<18), "\x01", 2<<20), Options{NoLabel: true}},
		"parquet":              {parquetFile(t, make([]pair, 1<<20), parquet.Compression(&parquet.Zstd)), Options{}},
		"zip, letters":         {zipOf(t, map[string]string{"a/1": letters, "b/2": letters}), Options{}},
		"zip, entries":         {zipOf(t, many), Options{}},
		"tar, entries":         {squeeze(t, string(tarOf(t, many)), "", 0), Options{}},
		"zip, different words": {zipOf(t, map[string]string{"a/1": words.String(), "b/2": "xx"}), Options{}},
		"bzip2":                {bombs, Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			var before runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			c.o.Memory = NewMemory(most)
			_, err := ReadFrom(t.Context(), bytes.NewReader(c.file), "file", c.o)
			wantError(t, err, "file", "of memory", "--memory")
			if !errors.Is(err, errMemory) {
				t.Errorf("%T", errors.Unwrap(err))
			}
			if used := c.o.Memory.used.Load(); used != 0 {
				t.Errorf("%d bytes are kept", used)
			}
		})
	}
	// With more, some of them are read, and what is kept is what the set takes.
	m := NewMemory(256 << 20)
	s, err := ReadFrom(t.Context(), bytes.NewReader(squeeze(t, "a,y\n", "1,2\n", 1<<18)), "file", Options{Memory: m})
	if err != nil {
		t.Fatal(err)
	}
	if used := m.used.Load(); used != s.Bytes() || used < 16<<20 {
		t.Errorf("%d bytes are kept, and the set has %d", used, s.Bytes())
	}
	if err := m.Check("file", "a model", 1<<27); err != nil {
		t.Error(err)
	}
	wantError(t, m.Check("file", "a model", math.Inf(1)), "file", "a model takes about", "--memory")
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, make([]byte, 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	if b, err := ReadWithin(path, NewMemory(1000), 1); len(b) != 1000 || err != nil {
		t.Error(len(b), err)
	}
	_, err = ReadWithin(path, NewMemory(1000), 2)
	wantError(t, err, path, "1 kB of memory")
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"2GB": 2e9, "512MiB": 512 << 20, "1.5g": 15e8, " 7 kb ": 7000, "12": 12,
		"3b": 3, "1TiB": 1 << 40, "": 0, "GB": 0, "-1MB": 0, "1e300TB": 0, "NaN": 0, "Inf": 0, "1XB": 0, "0": 0} {
		got, err := ParseSize(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	for bytes, want := range map[float64]string{3: "3 bytes", 1500: "1.5 kB", 2e9: "2 GB", 1 << 30: "1.07 GB",
		3e15: "3e+03 TB"} {
		if got := sizeText(bytes); got != want {
			t.Errorf("%v is %q, want %q", bytes, got, want)
		}
	}
	if n := DefaultMemory(); n < 1<<20 {
		t.Errorf("half of the memory is %d", n)
	}
}

// TestMemoryAtOnce: several readers share one bound.
func TestMemoryAtOnce(t *testing.T) {
	file := squeeze(t, "a,b,c,d,e,f,g,h,y\n", "1,2,3,4,5,6,7,8,9\n", 1<<14)
	m := NewMemory(8 << 20)
	kept := 0
	for range 10 {
		if _, err := ReadFrom(t.Context(), bytes.NewReader(file), "file", Options{Memory: m}); err == nil {
			kept++
		} else if !errors.Is(err, errMemory) {
			t.Fatal(err)
		}
	}
	if kept < 2 || kept > 7 {
		t.Errorf("%d sets of 1.2 MB in 8", kept)
	}
}
