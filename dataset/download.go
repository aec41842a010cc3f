package dataset

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel/internal/outfile"
)

// patience is how long a download may take.
var patience = struct {
	stall time.Duration // without a byte
	least time.Duration // for any file, and in addition
	rate  int64         // bytes in a second
	poll  time.Duration // between looks at a lock
}{time.Minute, 10 * time.Minute, 64 << 10, 50 * time.Millisecond}

// undeclared is the most bytes of a file whose size is not declared.
const undeclared = 4 << 30

// most is the most bytes that a download brings: sizes are declared roughly.
func (f *PublicFile) most() int64 {
	if f.Size == 0 {
		return undeclared
	}
	return 2*f.Size + 1<<20
}

// limit is the longest that a download takes.
func (f *PublicFile) limit() time.Duration {
	return patience.least + time.Duration(f.Size/patience.rate)*time.Second
}

// await takes the lock of the file at path, so that one process downloads it. It waits as long as a download may take,
// and then goes on without: the lock saves work, and nothing depends on it.
func (f *PublicFile) await(ctx context.Context, path string, o GetOptions) (release func(), err error) {
	if o.alone {
		return func() {}, nil
	}
	name := filepath.Join(filepath.Dir(path), "."+f.Name+".lock")
	for end := time.Now().Add(f.limit()); ; {
		release, err := outfile.Lock(name)
		switch {
		case err == nil:
			return release, nil
		case !errors.Is(err, outfile.ErrLocked):
			return nil, fmt.Errorf("dataset: cache: %w", err)
		case time.Now().After(end):
			return func() {}, nil
		}
		if o.Waiting != nil {
			o.Waiting(f.Name)
			o.Waiting = nil
		}
		select {
		case <-time.After(patience.poll):
		case <-ctx.Done():
			return nil, fmt.Errorf("dataset: waiting for the download of %s: %w", f.Name, context.Cause(ctx))
		}
	}
}

// parts are what interrupted downloads of the file at path have left; of one address, if it is not "". A part is called
// by a hash of the address and by the validator, the server's word for this version of the file: both come and go
// together, and only one process can rename it to a file of its own.
func parts(path, address string) []string {
	entries, _ := os.ReadDir(filepath.Dir(path))
	var found []string
	for _, e := range entries {
		if is, _ := filepath.Match(partName(path, address, "*"), e.Name()); is {
			found = append(found, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return found
}

func partName(path, address, validator string) string {
	from := "*"
	if address != "" {
		h := fnv.New32a()
		h.Write([]byte(address))
		from = fmt.Sprintf("%08x", h.Sum32())
	}
	return "." + filepath.Base(path) + "-" + from + "-" + validator + ".part"
}

// maxValidator is the longest validator that fits the name of a part.
const maxValidator = 120

// transfer is one file on its way from one address into a temporary file.
type transfer struct {
	url, path string
	file      *PublicFile
	o         GetOptions
	temp      *outfile.File
	have      int64
	validator string // of what is there; "" if the server has none that is exact
}

// download brings the file at address into a temporary file beside path. A connection that breaks after it brought
// something is taken up again, up to five times.
func download(ctx context.Context, address, path string, file *PublicFile, o GetOptions) (*outfile.File, error) {
	t := &transfer{url: address, path: path, file: file, o: o}
	if err := t.open(); err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	limit := file.limit()
	within, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %v", limit.Round(time.Second)))
	defer cancel()
	err := t.run(within)
	if err == nil {
		return t.temp, nil
	}
	if !t.keep() {
		t.temp.Discard()
	}
	return nil, err
}

// open takes over what an interrupted download has left, or begins.
func (t *transfer) open() (err error) {
	for _, part := range parts(t.path, t.url) {
		if t.temp, err = outfile.Adopt(part, t.path); err != nil {
			continue // another process has it
		}
		word := strings.TrimSuffix(part[strings.LastIndexByte(part, '-')+1:], ".part")
		validator, err1 := base64.RawURLEncoding.DecodeString(strings.ReplaceAll(word, "~", "-"))
		size, err2 := t.temp.Seek(0, io.SeekEnd)
		if err1 == nil && err2 == nil {
			t.validator, t.have = string(validator), size
			return nil
		}
		t.temp.Discard()
	}
	t.temp, err = outfile.Create(t.path)
	return err
}

// keep leaves what is there as a part, if it can be known again.
func (t *transfer) keep() bool {
	if t.have == 0 || t.validator == "" || len(t.validator) > maxValidator {
		return false
	}
	word := strings.ReplaceAll(base64.RawURLEncoding.EncodeToString([]byte(t.validator)), "-", "~")
	return t.temp.CommitAs(filepath.Join(filepath.Dir(t.path), partName(t.path, t.url, word))) == nil
}

// anew forgets what is there.
func (t *transfer) anew() error {
	t.have, t.validator = 0, ""
	if _, err := t.temp.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	if err := t.temp.Truncate(0); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	return nil
}

func (t *transfer) run(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		got, err := t.once(ctx)
		if err == nil {
			return nil
		}
		var broke *interrupted
		switch {
		case err == errAnew && attempt < 5:
			if err := t.anew(); err != nil {
				return err
			}
			continue
		case !errors.As(err, &broke):
			return err
		case t.have == 0:
			return fmt.Errorf("%s failed: %w", t.url, broke.err)
		case got == 0 || attempt == 5 || ctx.Err() != nil:
			return fmt.Errorf("%s was interrupted: %w", t.url, broke.err)
		}
	}
}

// oneLine is errors joined by "; ".
type oneLine []error

func (o oneLine) Error() string {
	words := make([]string, len(o))
	for k, err := range o {
		words[k] = err.Error()
	}
	return strings.Join(words, "; ")
}

func (o oneLine) Unwrap() []error { return o }

// interrupted is a fault of the connection, after which one may go on.
type interrupted struct{ err error }

func (i *interrupted) Error() string { return i.err.Error() }
func (i *interrupted) Unwrap() error { return i.err }

// errAnew says that the server does not go on with the version that is there.
var errAnew = errors.New("the server does not say that the file is unchanged")

// once makes one request and returns the number of bytes that it brought.
func (t *transfer) once(ctx context.Context) (got int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(patience.stall, func() {
		cancel(fmt.Errorf("the server sent nothing for %v", patience.stall))
	})
	defer stalled.Stop()
	broke := func(err error) error {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return &interrupted{err}
	}
	if t.validator == "" && t.have > 0 {
		if err := t.anew(); err != nil {
			return 0, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept-Encoding", "identity") // or the transport would decompress .gz files
	if t.have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", t.have))
		req.Header.Set("If-Range", t.validator)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		var named *url.Error // names the address, which the caller does too
		if errors.As(err, &named) {
			err = named.Err
		}
		return 0, broke(err)
	}
	defer resp.Body.Close()
	total := int64(-1)
	switch resp.StatusCode {
	case http.StatusOK: // the whole file: the server has no ranges, or the file changed
		if err := t.anew(); err != nil {
			return 0, err
		}
		total, t.validator = resp.ContentLength, validator(resp.Header)
	case http.StatusPartialContent:
		if total = t.follows(resp.Header); total < 0 {
			return 0, errAnew
		}
	case http.StatusRequestedRangeNotSatisfiable:
		return 0, errAnew
	default:
		return 0, fmt.Errorf("%s failed: %s", t.url, resp.Status)
	}
	tooLong := func(size string) error {
		t.have = 0 // not worth keeping
		return fmt.Errorf("%s sends %s, and the file is declared with %d bytes (at most %d are taken)", t.url, size,
			t.file.Size, t.file.most())
	}
	if total > t.file.most() {
		return 0, tooLong(fmt.Sprintf("%d bytes", total))
	}
	buf := make([]byte, 64<<10)
	for {
		if t.o.Progress != nil {
			t.o.Progress(t.file.Name, t.have, max(total, 0))
		}
		n, rerr := 0, ctx.Err() // what is buffered would come after a cancellation too
		if rerr == nil {
			n, rerr = resp.Body.Read(buf)
		}
		if n > 0 {
			stalled.Reset(patience.stall)
			if _, err := t.temp.Write(buf[:n]); err != nil {
				return got, fmt.Errorf("cache: %w", err)
			}
			got += int64(n)
			if t.have += int64(n); t.have > t.file.most() {
				return got, tooLong("more bytes than it should")
			}
		}
		switch {
		case rerr == io.EOF && total >= 0 && t.have != total:
			return got, broke(io.ErrUnexpectedEOF)
		case rerr == io.EOF:
			if t.o.Progress != nil {
				t.o.Progress(t.file.Name, t.have, t.have)
			}
			return got, nil
		case rerr != nil:
			return got, broke(rerr)
		}
	}
}

// validator is what tells this version of a file from all others: a strong ETag, or else the time of the last change if
// that is not so short ago that another change could bear the same. "" if there is none.
func validator(h http.Header) string {
	if tag := h.Get("ETag"); tag != "" {
		if strings.HasPrefix(tag, "W/") {
			return ""
		}
		return tag
	}
	changed, err1 := http.ParseTime(h.Get("Last-Modified"))
	now, err2 := http.ParseTime(h.Get("Date"))
	if err1 != nil || err2 != nil || now.Sub(changed) < time.Minute {
		return ""
	}
	return h.Get("Last-Modified")
}

// follows is the size of the whole file if what an answer brings follows what is there, and is of the same version;
// -1 if not.
func (t *transfer) follows(h http.Header) int64 {
	var from, to, total int64
	if _, err := fmt.Sscanf(h.Get("Content-Range"), "bytes %d-%d/%d", &from, &to, &total); err != nil {
		return -1
	}
	same := h.Get("ETag") == t.validator
	if !strings.HasPrefix(t.validator, `"`) { // a time, which such answers may leave out
		same = h.Get("Last-Modified") == "" || h.Get("Last-Modified") == t.validator
	}
	if !same || from != t.have || to != total-1 || from > to {
		return -1
	}
	return total
}
