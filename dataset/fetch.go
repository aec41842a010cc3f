package dataset

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"

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
	// Waiting is told once of a file that another process is downloading, for which Get waits.
	Waiting func(file string)
	// Text says how Load makes rows of documents, and OptionalText that the set need not be of documents, as in Options.
	Text         *Vectorizer
	OptionalText bool
	Memory       *Memory // bounds what Load reads, as Options.Memory
	BaseURL      string  // downloads come from BaseURL/set/file instead of the public addresses

	alone bool // wait for no other process, as where locks do not work between machines
}

// Files is where the files of a public set are.
type Files struct {
	Public *Public
	Dir    string   // folder that holds them
	Paths  []string // in the order of Public.Files, unless it is a copy of other files
	Copy   bool     // they are a copy in a data folder
	Sample bool     // the copy holds other rows or features than the public set
	Notes  []string // what a user should know about the copy, a sentence each

	text   *Vectorizer // of GetOptions
	memory *Memory
}

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
// downloads what is missing or damaged, into a file of its own that takes the place when it is verified. Where no
// checksum is published, the first download must have the declared shape, and its SHA-256 is kept beside it in
// NAME.sha256, for later ones.
//
// Any number of processes may do so at once: one downloads, and the others wait for it. A download that is interrupted
// leaves a part, from which the next one goes on if the server says that its file is the same. It is an error if a
// server sends nothing for a minute, or less than 64 kB a second after the first ten minutes, or more than twice what
// is declared.
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
	if there, err := p.cached(ctx, file, path); there || err != nil {
		return path, err
	}
	release, err := file.await(ctx, path, o)
	if err != nil {
		return "", err
	}
	defer release()
	if there, err := p.cached(ctx, file, path); there || err != nil { // another process has got it
		return path, err
	}
	outfile.Sweep(filepath.Dir(path))
	urls := file.URLs
	if o.BaseURL != "" {
		urls = []string{strings.TrimSuffix(o.BaseURL, "/") + "/" + p.Name + "/" + file.Name}
	}
	var temp *outfile.File
	var failed []error
	for _, url := range urls {
		if temp, err = download(ctx, url, path, file, o); err == nil {
			break
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			return "", fmt.Errorf("dataset: download of %s stopped; the next one goes on from there: %w", p.Name,
				context.Cause(ctx))
		}
	}
	if temp == nil {
		if e := (*os.PathError)(nil); errors.As(failed[0], &e) { // of the cache
			return "", fmt.Errorf("dataset: download of %s/%s: %w", p.Name, file.Name, failed[0])
		}
		return "", fmt.Errorf("dataset: download of %s/%s: %w; check the network, or put a copy in $BILEVEL_DATA/%s", p.Name,
			file.Name, oneLine(failed), p.Name)
	}
	defer temp.Discard()
	if err := p.verify(ctx, file, temp.Name(), path, urls[0]); err != nil {
		return "", err
	}
	if err := temp.Commit(); err != nil {
		return "", fmt.Errorf("dataset: cache: %w", err)
	}
	for _, part := range parts(path, "") { // of other addresses, or of an earlier file
		os.Remove(part)
	}
	return path, nil
}

// cached says whether the file at path is the published one, or that of the first use. One without either checksum, put
// there by hand, is taken for the first if it has the declared shape.
func (p *Public) cached(ctx context.Context, file *PublicFile, path string) (bool, error) {
	if !isFile(path) {
		return false, nil
	}
	f, err := file.withPin(path)
	if err != nil {
		return false, err
	}
	if f.SHA256 != "" || f.MD5 != "" {
		wrong, err := f.differs(ctx, path)
		if err != nil {
			return false, fmt.Errorf("dataset: cache: %w", err)
		}
		return wrong == "", nil
	}
	is, err := sum(ctx, path, sha256.New())
	if err != nil {
		return false, fmt.Errorf("dataset: cache: %w", err)
	}
	if err := p.checkFile(ctx, file, path); err != nil {
		return false, ctx.Err()
	}
	pinned, err := pin(path, is)
	return pinned == is, err
}

// verify is an error unless the download at temp is what belongs at path. Nobody else writes to temp.
func (p *Public) verify(ctx context.Context, file *PublicFile, temp, path, url string) error {
	const changed = "try again later; the publisher may have changed the file"
	f, err := file.withPin(path)
	if err != nil {
		return err
	}
	if f.SHA256 == "" && f.MD5 == "" {
		if err := p.checkFile(ctx, file, temp); ctx.Err() != nil {
			return err
		} else if err != nil {
			return fail(url, changed, "the download is not the declared file and was removed: %w", err)
		}
		is, err := sum(ctx, temp, sha256.New())
		if err == nil {
			f.SHA256, err = pin(path, is) // another process may have been the first
		}
		if err != nil {
			return err
		}
	}
	wrong, err := f.differs(ctx, temp)
	if err != nil {
		return fmt.Errorf("dataset: cache: %w", err)
	}
	if wrong == "" {
		return nil
	}
	hint := changed
	if file.SHA256 == "" && file.MD5 == "" {
		hint = "the file differs from the one at first use; to accept it, remove " + pinPath(path)
	}
	return fail(url, hint, "the download has a wrong checksum and was removed: %s", wrong)
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

// pinPath is where the checksum at first use of the file at path is, as sha256sum writes and checks it.
func pinPath(path string) string { return path + ".sha256" }

// withPin is f with the checksum at first use where none is published.
func (f PublicFile) withPin(path string) (PublicFile, error) {
	if f.SHA256 != "" || f.MD5 != "" {
		return f, nil
	}
	b, err := os.ReadFile(pinPath(path))
	if errors.Is(err, os.ErrNotExist) {
		return f, nil
	} else if err != nil {
		return f, fmt.Errorf("dataset: cache: %w", err)
	}
	f.SHA256, _, _ = strings.Cut(string(b), " ")
	if _, err := hex.DecodeString(f.SHA256); err != nil || len(f.SHA256) != 2*sha256.Size {
		return f, fail(pinPath(path), "remove it: it is written anew", "the checksum cannot be read")
	}
	return f, nil
}

// pin keeps a checksum for the file at path, unless there is one already, and returns the one that is kept.
func pin(path, is string) (kept string, err error) {
	err = outfile.WriteNew(pinPath(path), []byte(is+"  "+filepath.Base(path)+"\n"))
	switch {
	case errors.Is(err, os.ErrExist):
		f, err := PublicFile{}.withPin(path)
		return f.SHA256, err
	case err != nil:
		return "", fmt.Errorf("dataset: cache: %w", err)
	}
	return is, nil
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
	if o.Text != nil && p.Features > 0 && !o.OptionalText {
		return nil, nil, nil, fail("", "leave out how words are weighted", "the set %s is a table, and not a folder of "+
			"documents", p.Name)
	}
	if f, err = Get(ctx, name, o); err != nil {
		return nil, nil, nil, err
	}
	f.text, f.memory = o.Text, o.Memory
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
