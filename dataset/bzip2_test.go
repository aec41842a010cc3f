package dataset

import (
	"bytes"
	"compress/bzip2"
	"errors"
	"io"
	"os"
	"runtime"
	"testing"
)

// blocksFile is two streams, of two blocks and of one, and an empty one between them.
func blocksFile(t testing.TB) []byte {
	b, err := os.ReadFile("testdata/blocks.svm.bz2")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBzip2IsThatOfTheStandardLibrary(t *testing.T) {
	file := blocksFile(t)
	small, err := os.ReadFile("testdata/small.svm.bz2")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"blocks": file, "small": small, "twice": append(bytes.Clone(file), file...),
		"zeros after": append(bytes.Clone(small), 0, 0, 0, 0, 0), "text after": append(bytes.Clone(small), "some text"...),
		"empty": {}, "text": []byte("no bzip2 at all")}
	for i := 0; i < len(file); i += 29 {
		files["cut"+string(rune(i))] = file[:i]
		damaged := bytes.Clone(file)
		damaged[i] ^= 1 << (i % 8)
		files["damaged"+string(rune(i))] = damaged
	}
	for i := 0; i < len(small); i += 3 {
		files["small cut"+string(rune(i))] = small[:i]
	}
	old := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(old)
	for name, b := range files {
		runtime.GOMAXPROCS(1 + len(b)%3)
		want, wantErr := io.ReadAll(bzip2.NewReader(bytes.NewReader(b)))
		got, err := io.ReadAll(newBzip2Reader(bytes.NewReader(b)))
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Errorf("%q: %d bytes and %v, want %d and %v", name, len(got), err, len(want), wantErr)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(wantErr, io.ErrUnexpectedEOF) && name[0] != 'd' {
			t.Errorf("%q: %v, want %v", name, err, wantErr)
		}
	}
}

// Bits within a block that look like a mark.
func TestBzip2MarkByChance(t *testing.T) {
	file := blocksFile(t)
	want, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(file)))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{20*8 + 3, 45 * 8, 350*8 + 7, 800*8 + 6} {
		mark := wholeBytes(file).at(at, 48)
		r := newBzip2Reader(bytes.NewReader(file))
		r.cutAt(mark)
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("a mark at bit %d: %d bytes and %v, want %d", at, len(got), err, len(want))
		}
	}
}

// What the input's own error is comes out.
func TestBzip2PassesErrorsOn(t *testing.T) {
	file, broken := blocksFile(t), errors.New("broken")
	for _, n := range []int{0, 3, 40, 400, 895} {
		in := io.MultiReader(bytes.NewReader(file[:n]), readFunc(func([]byte) (int, error) { return 0, broken }))
		if _, err := io.ReadAll(newBzip2Reader(in)); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v, want %v", n, err, broken)
		}
	}
}
