package dataset

import (
	"bufio"
	"bytes"
	"context"
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

// windowShare is the share of the memory that a decompressor may take to look back: it makes room for it at once.
const windowShare = 8

// compressions are those that are read.
var compressions = []struct {
	name, magic string
	extensions  []string
	open        func(*input) (io.Reader, func(), error)
}{
	{"gzip", "\x1f\x8b", []string{".gz"}, func(r *input) (io.Reader, func(), error) {
		z, err := gzip.NewReader(r.Reader)
		return z, func() {}, err
	}},
	{"bzip2", "BZh", []string{".bz2"}, func(r *input) (io.Reader, func(), error) {
		return newBzip2Reader(r.Reader), func() {}, nil
	}},
	{"xz", "\xfd7zXZ\x00", []string{".xz"}, func(r *input) (io.Reader, func(), error) {
		z, err := xz.NewReader(newXZWalk(r.Reader, r.mem.part(windowShare), tooMuch(r.mem.m.most)))
		return z, func() {}, err
	}},
	{"zstd", "\x28\xb5\x2f\xfd", []string{".zst", ".zstd"}, func(r *input) (io.Reader, func(), error) {
		window := zstd.WithDecoderMaxWindow(max(uint64(r.mem.part(windowShare)), zstd.MinWindowSize))
		z, err := zstd.NewReader(r.Reader, zstd.WithDecoderConcurrency(1), window)
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

	mem     *ledger
	metered *metered // what Reader reads from
}

// lines bounds the lines or records that are read from here on, each of which begins with a call of the function that
// it returns. A byte of one takes up to factor bytes in memory.
func (in *input) lines(factor int64) (begin func()) {
	in.metered.most = max(in.mem.part(factor), 1<<18)
	return func() { in.metered.run = 0 }
}

// longLine is the error of a line beyond that.
func (in *input) longLine(most int64) *Error {
	e := tooMuch(in.mem.m.most)
	e.File, e.Err = in.name, memoryError(fmt.Sprintf("a line, or a cell in quotes, goes on for more than %s, where %s of "+
		"memory may be used", sizeText(float64(most)), sizeText(float64(in.mem.m.most))))
	e.Hint = "check that it is text with lines, and that quotes are closed, or allow more with --memory"
	return e
}

// Close releases what the input holds; it may be called more than once.
func (in *input) Close() {
	for i := len(in.close) - 1; i >= 0; i-- {
		in.close[i]()
	}
	in.close = nil
}

// openFile opens the file at path and decompresses it.
func openFile(ctx context.Context, path string, mem *ledger) (*input, error) {
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
	in, err := openReader(ctx, f, path, mem)
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
func openReader(ctx context.Context, r io.Reader, name string, mem *ledger) (*input, error) {
	in := &input{ctx: ctx, name: name, mem: mem, metered: &metered{r: untilDone(ctx, r)}}
	in.Reader = bufio.NewReaderSize(in.metered, 1<<17)
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
		z, stop, err := c.open(in)
		if err != nil {
			return nil, broken(name, c.name, err)
		}
		in.compressed = c.name
		ahead := newReadAhead(&decompressed{r: z, file: name, kind: c.name, most: mem.m.most})
		in.close = append(in.close, stop, ahead.stop)
		in.metered = &metered{r: ahead}
		in.Reader = bufio.NewReaderSize(in.metered, 1<<16)
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
	if e := (*Error)(nil); errors.As(err, &e) { // of the memory
		return asError(file, e)
	}
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
	most       int64 // memory
}

func (d *decompressed) Read(p []byte) (n int, err error) {
	n, err = d.r.Read(p)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		err = tooMuch(d.most)
	}
	if err != nil && err != io.EOF {
		err = broken(d.file, d.kind, err)
	}
	return n, err
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
