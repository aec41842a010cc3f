package dataset

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel/internal/jsonwords"
	"github.com/bilevel-go/bilevel/internal/outfile"
)

// GetOptions of Get, Find and Load. The zero value looks in BILEVEL_DATA, then in the user's cache, and
// downloads what is in neither.
type GetOptions struct {
	Dir     string // cache; "" is the folder bilevel in os.UserCacheDir()
	DataDir string // folder of copies to use first; "" is the environment variable BILEVEL_DATA
	// Progress is told how far the download of a file is, in bytes; total is 0 if the server does not say.
	// It is called often, from one goroutine.
	Progress func(file string, done, total int64)
	Text     *Vectorizer // how Load makes rows of documents, as Options.Text
	BaseURL  string      // downloads come from BaseURL/set/file instead of the public addresses
}

// Files is where the files of a public set are.
type Files struct {
	Public *Public
	Dir    string   // folder that holds them
	Paths  []string // in the order of Public.Files, unless it is a copy of other files
	Copy   bool     // they are a copy in a data folder
	Sample bool     // the copy holds other rows or features than the public set
	Notes  []string // what a user should know about the copy, a sentence each

	text *Vectorizer // of GetOptions
}

// stallTimeout is how long a server may send nothing.
const stallTimeout = time.Minute

var client = &http.Client{Transport: func() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = stallTimeout
	return t
}()}

// dirs fills in the folders.
func (o *GetOptions) dirs() error {
	if o.DataDir == "" {
		o.DataDir = os.Getenv("BILEVEL_DATA")
	}
	if o.Dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("dataset: there is no cache folder: %w", err)
		}
		o.Dir = filepath.Join(cache, "bilevel")
	}
	return nil
}

// Find says where a public set's files are, without a download; nil if some are missing. The content of
// cached files is not checked.
func Find(ctx context.Context, name string, o GetOptions) (*Files, error) {
	p, err := Lookup(name)
	if err != nil {
		return nil, err
	}
	if err := o.dirs(); err != nil {
		return nil, err
	}
	if o.DataDir != "" {
		if st, err := os.Stat(o.DataDir); err != nil || !st.IsDir() {
			return nil, fail(o.DataDir, "check --data or BILEVEL_DATA", "the data folder is not a folder")
		}
	}
	if f, err := p.findCopy(ctx, o.DataDir); f != nil || err != nil {
		return f, err
	}
	f := &Files{Public: p, Dir: filepath.Join(o.Dir, p.Name)}
	for _, file := range p.Files {
		path := filepath.Join(f.Dir, file.Name)
		if !isFile(path) {
			return nil, nil
		}
		f.Paths = append(f.Paths, path)
	}
	return f, nil
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// findCopy looks for a copy of the set in a folder of the set's name in dir.
func (p *Public) findCopy(ctx context.Context, dir string) (*Files, error) {
	if dir == "" {
		return nil, nil
	}
	var own copySet
	for _, f := range p.Files {
		own.names = append(own.names, f.Name)
	}
	for _, folder := range append([]string{p.Name}, p.folders...) {
		for k, set := range append([]copySet{own}, p.copies...) {
			f := &Files{Public: p, Dir: filepath.Join(dir, folder), Copy: true, Sample: set.note != ""}
			for _, name := range set.names {
				if path := filepath.Join(f.Dir, name); isFile(path) {
					f.Paths = append(f.Paths, path)
				}
			}
			if len(f.Paths) < len(set.names) {
				continue
			}
			for i, path := range f.Paths {
				sum := ""
				if k == 0 {
					var err error
					if sum, err = p.Files[i].differs(ctx, path); err != nil {
						return nil, err
					}
					if sum == "" {
						continue
					}
				}
				f.Notes = append(f.Notes, fmt.Sprintf("%s is used as a copy of %s: its bytes are not those of the published file",
					path, p.Name))
			}
			if set.note != "" {
				f.Notes = append(f.Notes, fmt.Sprintf("this copy of %s differs: %s", p.Name, set.note))
			}
			return f, nil
		}
	}
	return nil, nil
}

// differs compares a file with the published checksum: "" if it agrees or none is published, else what is
// wrong.
func (f *PublicFile) differs(ctx context.Context, path string) (string, error) {
	var h hash.Hash
	want, kind := f.SHA256, "SHA-256"
	switch {
	case f.SHA256 != "":
		h = sha256.New()
	case f.MD5 != "":
		h, want, kind = md5.New(), f.MD5, "MD5"
	default:
		return "", nil
	}
	got, err := sum(ctx, path, h)
	if err != nil || got == want {
		return "", err
	}
	return fmt.Sprintf("%s expected %s, got %s", kind, want, got), nil
}

// sum is the hash of a file in hexadecimal.
func sum(ctx context.Context, path string, h hash.Hash) (string, error) {
	r, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer r.Close()
	if _, err := io.Copy(h, untilDone(ctx, r)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Get returns where a public set's files are. It takes copies in o.DataDir as they are, with a note where
// their bytes are not the published ones; then files of the cache, whose checksums it verifies; and
// downloads what is missing. A download that is interrupted leaves a file NAME.part, from which the next
// one goes on. A file with a wrong checksum is removed. Where no checksum is published, the first download
// must have the declared shape, and its SHA-256 is kept in checksums.json in the cache, for later ones.
func Get(ctx context.Context, name string, o GetOptions) (*Files, error) {
	p, err := Lookup(name)
	if err != nil {
		return nil, err
	}
	f, err := Find(ctx, name, o)
	if err != nil {
		return nil, err
	}
	if f != nil && f.Copy {
		return f, nil
	}
	if err := o.dirs(); err != nil {
		return nil, err
	}
	f = &Files{Public: p, Dir: filepath.Join(o.Dir, p.Name)}
	if err := os.MkdirAll(f.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("dataset: cache: %w", err)
	}
	for k := range p.Files {
		path, err := p.get(ctx, &p.Files[k], o)
		if err != nil {
			return nil, err
		}
		f.Paths = append(f.Paths, path)
	}
	return f, nil
}

// get returns the path of one file in the cache, downloaded if need be.
func (p *Public) get(ctx context.Context, file *PublicFile, o GetOptions) (string, error) {
	path := filepath.Join(o.Dir, p.Name, file.Name)
	key := p.Name + "/" + file.Name
	pins, err := readPins(o.Dir)
	if err != nil {
		return "", err
	}
	f := *file
	pinned := f.SHA256 == "" && f.MD5 == "" && pins[key] != ""
	if pinned {
		f.SHA256 = pins[key]
	}
	if isFile(path) {
		wrong, err := f.differs(ctx, path)
		if err != nil {
			return "", fmt.Errorf("dataset: cache: %w", err)
		}
		if wrong == "" && (f.SHA256 != "" || f.MD5 != "") {
			return path, nil
		}
		if f.SHA256 == "" && f.MD5 == "" { // put there by hand
			if err := p.checkFile(ctx, &f, path); err == nil {
				return path, p.pin(ctx, &f, path, o.Dir)
			} else if ctx.Err() != nil {
				return "", err
			}
		}
		// It is damaged.
		if err := os.Remove(path); err != nil {
			return "", fmt.Errorf("dataset: cache: %w", err)
		}
	}
	urls := f.URLs
	if o.BaseURL != "" {
		urls = []string{strings.TrimSuffix(o.BaseURL, "/") + "/" + key}
	}
	part := path + ".part"
	var failed []error
	for _, url := range urls {
		err := download(ctx, url, part, f.Name, o)
		if err == nil {
			failed = nil
			break
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(failed) > 0 {
		if err := ctx.Err(); err != nil {
			return "", fmt.Errorf("dataset: download of %s stopped; the next one goes on from there: %w", p.Name, err)
		}
		if p := (*os.PathError)(nil); errors.As(failed[0], &p) { // of the cache
			return "", fmt.Errorf("dataset: download of %s: %w", key, failed[0])
		}
		return "", fmt.Errorf("dataset: download of %s: %w; check the network, or put a copy in $BILEVEL_DATA/%s", key,
			oneLine(failed), p.Name)
	}
	remove := func() { os.Remove(part); os.Remove(part + ".etag") }
	wrong, err := f.differs(ctx, part)
	if err != nil {
		return "", fmt.Errorf("dataset: cache: %w", err)
	}
	if wrong != "" {
		remove()
		hint := "try again later; the publisher may have changed the file"
		if pinned {
			hint = fmt.Sprintf("the file differs from the one at first use; to accept it, remove %q from %s", key,
				pinsPath(o.Dir))
		}
		return "", fail(urls[0], hint, "the download has a wrong checksum and was removed: %s", wrong)
	}
	if f.SHA256 == "" && f.MD5 == "" {
		if err := p.checkFile(ctx, &f, part); ctx.Err() != nil {
			return "", err
		} else if err != nil {
			remove()
			return "", fail(urls[0], "try again later; the publisher may have changed the file",
				"the download is not the declared file and was removed: %w", err)
		}
		if err := p.pin(ctx, &f, part, o.Dir); err != nil {
			return "", err
		}
	}
	if err := os.Rename(part, path); err != nil {
		return "", fmt.Errorf("dataset: cache: %w", err)
	}
	os.Remove(part + ".etag")
	return path, nil
}

// pin remembers the SHA-256 of a file.
func (p *Public) pin(ctx context.Context, f *PublicFile, path, dir string) error {
	pins, err := readPins(dir)
	if err != nil {
		return err
	}
	if pins[p.Name+"/"+f.Name], err = sum(ctx, path, sha256.New()); err != nil {
		return fmt.Errorf("dataset: cache: %w", err)
	}
	return writePins(dir, pins)
}

// checkFile is an error if a LIBSVM file has not the declared shape.
func (p *Public) checkFile(ctx context.Context, f *PublicFile, path string) error {
	s, err := Read(ctx, path, Options{Format: "libsvm", Storage: Sparse})
	if err != nil {
		return err
	}
	switch n, d := s.Dims(); {
	case n != f.rows:
		return fmt.Errorf("%d rows, expected %d", n, f.rows)
	case d > p.Features:
		return fmt.Errorf("feature %d is beyond the expected %d", d, p.Features)
	}
	if k := len(distinct(s.Y, maxClasses)); k != p.Classes {
		return fmt.Errorf("%d classes, expected %d", k, p.Classes)
	}
	return nil
}

// Checksums at first use: "set/file" to SHA-256.

func pinsPath(dir string) string { return filepath.Join(dir, "checksums.json") }

func readPins(dir string) (map[string]string, error) {
	pins := make(map[string]string)
	b, err := os.ReadFile(pinsPath(dir))
	if errors.Is(err, os.ErrNotExist) {
		return pins, nil
	} else if err != nil {
		return nil, fmt.Errorf("dataset: cache: %w", err)
	}
	if err := json.Unmarshal(b, &pins); err != nil {
		_, err = jsonwords.Explain(b, err)
		return nil, fail(pinsPath(dir), "remove it: it is written anew", "the checksums cannot be read: %w", err)
	}
	return pins, nil
}

func writePins(dir string, pins map[string]string) error {
	b, err := json.MarshalIndent(pins, "", "  ")
	if err != nil {
		return err
	}
	if err := outfile.Write(pinsPath(dir), append(b, '\n')); err != nil {
		return fmt.Errorf("dataset: cache: %w", err)
	}
	return nil
}

// download fetches url into part, going on from what is there. A connection that breaks after it brought
// something is taken up again, up to five times.
func download(ctx context.Context, url, part, name string, o GetOptions) error {
	for attempt := 1; ; attempt++ {
		got, err := downloadOnce(ctx, url, part, name, o)
		if err == nil {
			return nil
		}
		if cause := ctx.Err(); cause != nil {
			return cause
		}
		if err == errAnew && attempt < 5 {
			continue
		}
		var broke *interrupted
		if !errors.As(err, &broke) {
			return err
		}
		if st, e := os.Stat(part); e != nil || st.Size() == 0 {
			return fmt.Errorf("%s failed: %w", url, broke.err)
		}
		if got == 0 || attempt == 5 {
			return fmt.Errorf("%s was interrupted, and the next download goes on from there: %w", url, broke.err)
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

// errAnew says that the part was of another file and is gone.
var errAnew = errors.New("the server refuses the range that is missing")

// downloadOnce makes one request and returns the number of bytes that it brought.
func downloadOnce(ctx context.Context, address, part, name string, o GetOptions) (got int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var have int64
	if st, err := os.Stat(part); err == nil {
		have = st.Size()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept-Encoding", "identity") // or the transport would decompress .gz files
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		if tag, err := os.ReadFile(part + ".etag"); err == nil && len(tag) > 0 {
			req.Header.Set("If-Range", string(tag))
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		var named *url.Error // names the address, which the caller does too
		if errors.As(err, &named) {
			err = named.Err
		}
		return 0, &interrupted{err}
	}
	defer resp.Body.Close()
	flags := os.O_CREATE | os.O_WRONLY
	switch resp.StatusCode {
	case http.StatusOK: // the whole file: the server has no ranges, or the file changed
		have = 0
		flags |= os.O_TRUNC
	case http.StatusPartialContent:
		var from int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-", &from); err != nil || from != have {
			os.Remove(part)
			return 0, fmt.Errorf("%s sent the range %q for bytes from %d; run it again to start anew", address,
				resp.Header.Get("Content-Range"), have)
		}
		flags |= os.O_APPEND
	case http.StatusRequestedRangeNotSatisfiable:
		// The part is the whole file, or of another file.
		if resp.Header.Get("Content-Range") == "bytes */"+strconv.FormatInt(have, 10) {
			return 0, nil
		}
		os.Remove(part)
		return 0, errAnew
	default:
		return 0, fmt.Errorf("%s failed: %s", address, resp.Status)
	}
	total := resp.ContentLength
	if total >= 0 {
		total += have
	} else {
		total = 0
	}
	tag := resp.Header.Get("ETag")
	if strings.HasPrefix(tag, "W/") || tag == "" {
		tag = resp.Header.Get("Last-Modified")
	}
	if err := os.WriteFile(part+".etag", []byte(tag), 0o644); err != nil {
		return 0, fmt.Errorf("cache: %w", err)
	}
	w, err := os.OpenFile(part, flags, 0o644)
	if err != nil {
		return 0, fmt.Errorf("cache: %w", err)
	}
	defer func() {
		if e := w.Close(); e != nil && err == nil {
			err = fmt.Errorf("cache: %w", e)
		}
	}()

	stalled := time.AfterFunc(stallTimeout, func() { cancel(fmt.Errorf("the server sent nothing for %v", stallTimeout)) })
	defer stalled.Stop()
	buf := make([]byte, 64<<10)
	for {
		if o.Progress != nil {
			o.Progress(name, have+got, total)
		}
		n, rerr := 0, ctx.Err() // what is buffered would come after a cancellation too
		if rerr == nil {
			n, rerr = resp.Body.Read(buf)
		}
		if n > 0 {
			stalled.Reset(stallTimeout)
			if _, err := w.Write(buf[:n]); err != nil {
				return got, fmt.Errorf("cache: %w", err)
			}
			got += int64(n)
		}
		switch {
		case rerr == io.EOF:
			if total > 0 && have+got != total {
				return got, &interrupted{io.ErrUnexpectedEOF}
			}
			if o.Progress != nil {
				o.Progress(name, have+got, max(total, have+got))
			}
			return got, nil
		case rerr != nil:
			if cause := context.Cause(ctx); cause != nil {
				rerr = cause
			}
			return got, &interrupted{rerr}
		}
	}
}

// Load gets a public set and reads it, with a target of classes. test is nil if the set is not divided.
// The declared shape is checked, except that a copy may have fewer rows. Archives of pictures (omniglot,
// cifar10) are not read.
func Load(ctx context.Context, name string, o GetOptions) (train, test *Set, f *Files, err error) {
	p, err := Lookup(name)
	if err != nil {
		return nil, nil, nil, err
	}
	if p.load == nil {
		return nil, nil, nil, fail("", "get its files with bilevel data get "+p.Name,
			"the set %s is not a table and is not read", p.Name)
	}
	if o.Text != nil && p.Features > 0 {
		return nil, nil, nil, fail("", "leave out how words are weighted", "the set %s is a table, and not a folder of "+
			"documents", p.Name)
	}
	if f, err = Get(ctx, name, o); err != nil {
		return nil, nil, nil, err
	}
	f.text = o.Text
	if train, test, err = p.load(ctx, f); err != nil {
		return nil, nil, nil, err
	}
	for k, s := range []*Set{train, test} {
		if s == nil {
			continue
		}
		want := []int{p.Rows, p.TestRows}[k]
		if n, d := s.Dims(); p.Features > 0 && d != p.Features || len(s.Classes) != p.Classes || n != want && !f.Sample {
			return nil, nil, nil, fail(s.Source, "remove it, and get the set again", "%d × %d with %d classes, where %s has "+
				"%d × %d with %d",
				n, d, len(s.Classes), p.Name, want, p.Features, p.Classes)
		}
	}
	return train, test, f, nil
}
