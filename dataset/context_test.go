package dataset

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
)

// endless gives first, and then the same rows for ever. It ends ctx at the limit, and counts what is read beyond.
type endless struct {
	first, again []byte
	at, limit    int
	end          context.CancelFunc
	n            atomic.Int64
}

func (e *endless) Read(p []byte) (int, error) {
	k := copy(p, e.first)
	e.first = e.first[k:]
	for k < len(p) {
		k += e.repeat(p[k:])
	}
	if e.n.Add(int64(k)) > int64(e.limit) {
		e.end()
	}
	return k, nil
}

func (e *endless) repeat(p []byte) int {
	k := copy(p, e.again[e.at:])
	e.at = (e.at + k) % len(e.again)
	return k
}

// TestReadEnds: when the context ends in the middle of a file of any format and compression, the reader stops there.
func TestReadEnds(t *testing.T) {
	zeros := make([]byte, 1<<20)
	squeezed := compressed(t, svmText(1<<18))
	for name, c := range map[string]struct{ first, again []byte }{
		"libsvm":       {nil, []byte("1 1:0.25 2:3\n")},
		"libsvm, line": {[]byte("1 1:0.25"), []byte(" ")},
		"csv":          {[]byte("a,y\n"), []byte("1,0.5\n")},
		"csv, cell":    {[]byte("a,y\n\""), []byte("1,0.5\n")},
		"npy":          {npyFile("<f8", false, "(1000000000, 2)", []float64{1}), zeros},
		"idx":          {idx(0x08, []uint32{1 << 30, 4}, []byte{1}), zeros},
		"parquet":      {[]byte("PAR1"), zeros},
		"zip":          {[]byte("PK\x03\x04"), zeros},
		"gzip":         {nil, squeezed["gzip"]},
		"zstd":         {nil, squeezed["zstd"]},
		"xz":           {nil, squeezed["xz"]},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		e := &endless{first: c.first, again: c.again, limit: 1 << 20, end: cancel}
		if len(c.again) == 0 {
			t.Fatal(name)
		}
		_, err := ReadFrom(ctx, e, name, Options{Label: map[bool]string{true: "1"}[name == "npy"], NoLabel: name == "idx"})
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if n := int(e.n.Load()); n > e.limit+(2<<20) {
			t.Errorf("%s: %d bytes were read, %d when the context had ended", name, n, e.limit)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	docs := fstest.MapFS{"a/1": {Data: []byte("some words")}, "b/2": {Data: []byte("others")}}
	if _, err := ReadText(ctx, docs, "docs", Options{}); !errors.Is(err, cause) {
		t.Errorf("documents: %v", err)
	}
	if _, err := ReadFrom(ctx, io.MultiReader(), "empty", Options{}); !errors.Is(err, cause) {
		t.Errorf("a context that has ended: %v", err)
	}
}

// TestGetEnds: a file of the cache whose check was stopped is not taken for a damaged one.
func TestGetEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	folder := filepath.Join(dir, "toy")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	p := &Public{Name: "toy", Rows: 1, Features: 2, Classes: 2, Files: []PublicFile{{Name: "toy.svm", rows: 2}}}
	path := writeFile(t, folder, "toy.svm", []byte("1 1:2\n-1 2:3\n"))
	for _, file := range []PublicFile{{Name: "toy.svm", rows: 2}, {Name: "toy.svm", SHA256: "00"}} {
		if _, err := p.get(ctx, &file, GetOptions{Dir: dir}); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if !isFile(path) {
			t.Fatal("it is gone")
		}
	}
}
