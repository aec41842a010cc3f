package dataset

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxWindow is the most bytes that a decompressor looks back on, and makes room for at once.
const maxWindow = 1 << 29

// compressions are those that are read.
var compressions = []struct {
	name, magic string
	extensions  []string
	open        func(io.Reader) (io.Reader, func(), error)
}{
	{"gzip", "\x1f\x8b", []string{".gz"}, func(r io.Reader) (io.Reader, func(), error) {
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	}},
	{"bzip2", "BZh", []string{".bz2"}, func(r io.Reader) (io.Reader, func(), error) {
		return newBzip2Reader(r), func() {}, nil
	}},
	{"xz", "\xfd7zXZ\x00", []string{".xz"}, func(r io.Reader) (io.Reader, func(), error) {
		head, _ := r.(*bufio.Reader).Peek(64)
		if n := xzDictionary(head); n > maxWindow {
			return nil, nil, fmt.Errorf("it needs a dictionary of %d MB, and %d are the most", n>>20, maxWindow>>20)
		}
		t := &xzTail{r: r}
		var err error
		t.z, err = xz.NewReader(t.source())
		return t, func() {}, err
	}},
	{"zstd", "\x28\xb5\x2f\xfd", []string{".zst", ".zstd"}, func(r io.Reader) (io.Reader, func(), error) {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}},
}

func compressionNames() []string {
	var names []string
	for _, c := range compressions {
		names = append(names, c.name)
	}
	return names
}

// cutCompression divides a name into what is in front of the extension of a compression, and that extension.
func cutCompression(name string) (plain, extension string) {
	ext := filepath.Ext(name)
	for _, c := range compressions {
		if slices.Contains(c.extensions, strings.ToLower(ext)) {
			return strings.TrimSuffix(name, ext), ext
		}
	}
	return name, ""
}

// input is a file's content, decompressed. Reading it is an error when ctx has ended.
type input struct {
	*bufio.Reader
	ctx        context.Context
	name       string   // as the user named it
	path       string   // of the file; "" if it is none
	file       *os.File // its bytes as they are; nil if it is no regular file
	base       string   // name without folder and without the extension of a compression
	compressed string   // compression, "" if none
	close      []func()
}

// Close releases what the input holds; it may be called more than once.
func (in *input) Close() {
	for i := len(in.close) - 1; i >= 0; i-- {
		in.close[i]()
	}
	in.close = nil
}

// openFile opens the file at path and decompresses it.
func openFile(ctx context.Context, path string) (*input, error) {
	st, err := os.Stat(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, &Error{File: path, Err: os.ErrNotExist, Hint: "check the path"}
		}
		return nil, &Error{File: path, Err: bare(err)}
	}
	if st.IsDir() {
		return nil, fail(path, "name a file in it", "is a directory")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &Error{File: path, Err: bare(err)}
	}
	in, err := openReader(ctx, f, path)
	if err != nil {
		f.Close()
		return nil, err
	}
	if in.path = path; st.Mode().IsRegular() {
		in.file = f
	}
	in.close = append([]func(){func() { f.Close() }}, in.close...)
	return in, nil
}

// bare strips the operation and path that package os puts around an error: the message has the path.
func bare(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// openReader decompresses r, as its first bytes ask for, in a goroutine of its own.
func openReader(ctx context.Context, r io.Reader, name string) (*input, error) {
	in := &input{ctx: ctx, name: name, Reader: bufio.NewReaderSize(untilDone(ctx, r), 1<<17)}
	in.base, _ = cutCompression(filepath.Base(name))
	head, err := in.Peek(6)
	if len(head) == 0 {
		if err != nil && err != io.EOF {
			return nil, &Error{File: name, Err: cause(bare(err))}
		}
		return nil, fail(name, "check how it was written", "the file is empty")
	}
	for _, c := range compressions {
		if !bytes.HasPrefix(head, []byte(c.magic)) {
			continue
		}
		z, stop, err := c.open(in.Reader)
		if err != nil {
			return nil, broken(name, c.name, err)
		}
		in.compressed = c.name
		ahead := newReadAhead(&decompressed{r: z, file: name, kind: c.name})
		in.close = append(in.close, stop, ahead.stop)
		in.Reader = bufio.NewReaderSize(ahead, 1<<16)
		if _, err := in.Peek(1); err != nil {
			in.Close()
			if err != io.EOF {
				return nil, err
			}
			return nil, fail(name, "check how it was written", "the %s stream holds no data", c.name)
		}
		break
	}
	return in, nil
}

// broken is the error of a stream that does not decompress.
func broken(file, kind string, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fail(file, "fetch or write the file again", "the %s stream ends early: the file is truncated", kind)
	}
	return &Error{File: file, Err: fmt.Errorf("the %s stream is damaged: %w", kind, cause(err)),
		Hint: "fetch or write the file again"}
}

// decompressed turns errors of a decompressor into an *Error.
type decompressed struct {
	r          io.Reader
	file, kind string
}

func (d *decompressed) Read(p []byte) (n int, err error) {
	n, err = d.r.Read(p)
	if err != nil && err != io.EOF {
		err = broken(d.file, d.kind, err)
	}
	return n, err
}

// xzTail makes an end without the footer of xz, "YZ" and zeros, an error: the decompressor takes a stream
// that ends between two blocks for whole.
type xzTail struct {
	r    io.Reader
	z    io.Reader
	last [2]byte // that are not zero
}

// xzDictionary is the size of the dictionary that the first block of an xz stream asks for, 0 if that is not clear
// from head.
func xzDictionary(head []byte) int64 {
	const streamHeader, lzma2 = 12, 0x21
	if len(head) < streamHeader+2 {
		return 0
	}
	flags, b := head[streamHeader+1], head[streamHeader+2:]
	for _, known := range []byte{0x40, 0x80} { // the lengths of the block
		if flags&known != 0 {
			_, n := binary.Uvarint(b)
			if n <= 0 {
				return 0
			}
			b = b[n:]
		}
	}
	if len(b) < 3 || b[0] != lzma2 || b[2] > 40 {
		return 0
	}
	return (2 | int64(b[2]&1)) << (b[2]/2 + 11)
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// untilDone is r until ctx ends.
func untilDone(ctx context.Context, r io.Reader) io.Reader {
	return readFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}

func (t *xzTail) source() io.Reader {
	return readFunc(func(p []byte) (int, error) {
		n, err := t.r.Read(p)
		if b := bytes.TrimRight(p[:n], "\x00"); len(b) >= 2 {
			copy(t.last[:], b[len(b)-2:])
		} else if len(b) == 1 {
			t.last = [2]byte{t.last[1], b[0]}
		}
		return n, err
	})
}

func (t *xzTail) Read(p []byte) (int, error) {
	n, err := t.z.Read(p)
	if err == io.EOF && t.last != [2]byte{'Y', 'Z'} {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// readAhead reads in a goroutine, a few blocks ahead of its user.
type readAhead struct {
	full, free chan []byte
	quit, done chan struct{}
	err        error // set before full is closed
	block      []byte
	rest       []byte
}

const (
	aheadBlocks = 8
	aheadSize   = 256 << 10
)

func newReadAhead(r io.Reader) *readAhead {
	a := &readAhead{full: make(chan []byte, aheadBlocks), free: make(chan []byte, aheadBlocks),
		quit: make(chan struct{}), done: make(chan struct{})}
	for range aheadBlocks {
		a.free <- make([]byte, aheadSize)
	}
	go func() {
		defer close(a.done)
		defer close(a.full)
		for {
			var b []byte
			select {
			case b = <-a.free:
			case <-a.quit:
				a.err = io.ErrClosedPipe
				return
			}
			n, err := io.ReadFull(r, b[:cap(b)])
			if n > 0 {
				a.full <- b[:n] // never blocks: there are as many places as blocks
			}
			if err != nil {
				if err == io.ErrUnexpectedEOF {
					err = io.EOF // of ReadFull: the end came within a block
				}
				a.err = err
				return
			}
		}
	}()
	return a
}

func (a *readAhead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.block != nil {
			a.free <- a.block
			a.block = nil
		}
		b, ok := <-a.full
		if !ok {
			return 0, a.err
		}
		a.block, a.rest = b, b
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// stop ends the goroutine and waits for it.
func (a *readAhead) stop() {
	close(a.quit)
	<-a.done
}
