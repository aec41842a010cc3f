package dataset

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// register adds a set to the registry for a test.
func register(t *testing.T, p *Public) {
	t.Helper()
	old := publics
	publics = append(slices.Clone(publics), p)
	t.Cleanup(func() { publics = old })
}

// server serves content at /toy/name and remembers requests.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	ranges   []string // Range header of each request
	content  map[string][]byte
	cut      int  // answer breaks off after so many bytes, once
	noRanges bool // ignores Range
	noIf     bool // ignores If-Range
	etag     string
	header   map[string]string // of answers to a Range, in place of others
}

func newServer(t *testing.T, content map[string][]byte) *server {
	s := &server{content: content, etag: `"1"`}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	cut := s.cut
	s.cut = 0
	s.mu.Unlock()
	b, ok := s.content[strings.TrimPrefix(r.URL.Path, "/toy/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if s.noRanges {
		r.Header.Del("Range")
	}
	if cut > 0 {
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		w.Header().Set("ETag", s.etag)
		w.Write(b[:cut])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	if s.noIf {
		r.Header.Del("If-Range")
	}
	w.Header().Set("ETag", s.etag)
	if s.header != nil && r.Header.Get("Range") != "" {
		w = &headers{w, s.header}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// headers changes what is set at last.
type headers struct {
	http.ResponseWriter
	set map[string]string
}

func (h *headers) WriteHeader(code int) {
	for k, v := range h.set {
		h.Header().Set(k, v)
	}
	h.ResponseWriter.WriteHeader(code)
}

func toy(content []byte) *Public {
	sum := md5.Sum(content)
	return &Public{Name: "toy", Rows: 1, Features: 1, Classes: 2,
		Files: []PublicFile{{Name: "toy.bin", URLs: []string{"https://example.org/toy.bin"},
			MD5: hex.EncodeToString(sum[:])}}}
}

func TestGet(t *testing.T) {
	content := svmText(300 << 10)
	register(t, toy(content))
	s := newServer(t, map[string][]byte{"toy.bin": content})
	o := GetOptions{Dir: t.TempDir(), DataDir: t.TempDir(), BaseURL: s.URL}
	if f, err := Find(t.Context(), "toy", o); f != nil || err != nil {
		t.Fatalf("found before it is there: %v, %v", f, err)
	}
	var last int64
	o.Progress = func(file string, done, total int64) {
		if file != "toy.bin" || total != int64(len(content)) || done < last {
			t.Errorf("progress %s %d of %d after %d", file, done, total, last)
		}
		last = done
	}
	for range 2 { // the second finds it in the cache
		f, err := Get(t.Context(), "TOY", o)
		if err != nil {
			t.Fatal(err)
		}
		checkContent(t, f.Paths[0], content)
	}
	if len(s.ranges) != 1 || last != int64(len(content)) {
		t.Errorf("%d requests, progress up to %d", len(s.ranges), last)
	}
	if f, err := Find(t.Context(), "toy", o); err != nil || f == nil || f.Copy {
		t.Errorf("not found: %v, %v", f, err)
	}
	noLeftovers(t, filepath.Join(o.Dir, "toy"), "toy.bin")

	// A damaged file in the cache is fetched again.
	path := filepath.Join(o.Dir, "toy", "toy.bin")
	if err := os.WriteFile(path, content[:100], 0o644); err != nil {
		t.Fatal(err)
	}
	o.Progress = nil
	if _, err := Get(t.Context(), "toy", o); err != nil {
		t.Fatal(err)
	}
	checkContent(t, path, content)
}

func checkContent(t *testing.T, path string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s has %d bytes, want %d the same; %v", path, len(got), len(want), err)
	}
}

// noLeftovers checks that a folder holds just these files.
func noLeftovers(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, names) {
		t.Errorf("%s holds %q, want %q", dir, got, names)
	}
}

// A connection that breaks is taken up again with a Range, within a call and by the next.
func TestGetResumes(t *testing.T) {
	content := svmText(300 << 10)
	register(t, toy(content))
	s := newServer(t, map[string][]byte{"toy.bin": content})
	s.cut = 100_000
	o := GetOptions{Dir: t.TempDir(), DataDir: t.TempDir(), BaseURL: s.URL}
	f, err := Get(t.Context(), "toy", o)
	if err != nil {
		t.Fatal(err)
	}
	checkContent(t, f.Paths[0], content)
	if want := []string{"", "bytes=100000-"}; !slices.Equal(s.ranges, want) {
		t.Errorf("ranges %q, want %q", s.ranges, want)
	}

	// The context ends on the way: an error that says so, and the next call goes on.
	o.Dir = t.TempDir()
	s.ranges = nil
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(_ string, done, _ int64) {
		if done > 50_000 {
			cancel()
		}
	}
	_, err = Get(ctx, "toy", o)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "goes on from there") {
		t.Fatalf("error %v", err)
	}
	kept := parts(filepath.Join(o.Dir, "toy", "toy.bin"), s.URL+"/toy/toy.bin")
	if len(kept) != 1 {
		t.Fatalf("kept %q", kept)
	}
	noLeftovers(t, filepath.Join(o.Dir, "toy"), filepath.Base(kept[0]))
	st, err := os.Stat(kept[0])
	if err != nil || st.Size() == 0 {
		t.Fatal("nothing was kept", err)
	}
	o.Progress = nil
	if f, err = Get(t.Context(), "toy", o); err != nil {
		t.Fatal(err)
	}
	checkContent(t, f.Paths[0], content)
	if want := []string{"", fmt.Sprintf("bytes=%d-", st.Size())}; !slices.Equal(s.ranges, want) {
		t.Errorf("ranges %q, want %q", s.ranges, want)
	}
	noLeftovers(t, filepath.Join(o.Dir, "toy"), "toy.bin")
}

// A part is gone on with only where the server says that it is of the file that it has now.
func TestGetPart(t *testing.T) {
	content := svmText(100 << 10)
	register(t, toy(content))
	part := string(content[:5000])
	for name, c := range map[string]struct {
		behave    func(s *server)
		part, tag string
		ranges    []string
	}{
		"the same file":                     {nil, part, `"1"`, []string{"bytes=5000-"}},
		"a server that ignores ranges":      {func(s *server) { s.noRanges = true }, part, `"1"`, []string{"bytes=5000-"}},
		"a part of a file that has changed": {nil, strings.Repeat("x", 5000), `"old"`, []string{"bytes=5000-"}},
		"a server that ignores If-Range": {func(s *server) { s.noIf = true }, strings.Repeat("x", 5000), `"old"`,
			[]string{"bytes=5000-", ""}},
		"a part that is whole":    {nil, string(content), `"1"`, []string{"bytes=%d-", ""}},
		"a part that is too long": {nil, string(content) + "x", `"1"`, []string{"bytes=%d-", ""}},
		"an empty part":           {nil, "", `"1"`, []string{""}},
		"another range": {func(s *server) { s.header = map[string]string{"Content-Range": "bytes 4999-102399/102400"} },
			part, `"1"`, []string{"bytes=5000-", ""}},
		"another length": {func(s *server) { s.header = map[string]string{"Content-Range": "bytes 5000-6000/102400"} },
			part, `"1"`, []string{"bytes=5000-", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, map[string][]byte{"toy.bin": content})
			if c.behave != nil {
				c.behave(s)
			}
			o := GetOptions{Dir: t.TempDir(), DataDir: t.TempDir(), BaseURL: s.URL}
			dir := filepath.Join(o.Dir, "toy")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			word := strings.ReplaceAll(base64.RawURLEncoding.EncodeToString([]byte(c.tag)), "-", "~")
			writeFile(t, dir, partName("toy.bin", s.URL+"/toy/toy.bin", word), []byte(c.part))
			o.Progress = func(_ string, done, total int64) {
				if total != int64(len(content)) || done > total {
					t.Errorf("progress %d of %d", done, total)
				}
			}
			f, err := Get(t.Context(), "toy", o)
			if err != nil {
				t.Fatal(err)
			}
			checkContent(t, f.Paths[0], content)
			noLeftovers(t, dir, "toy.bin")
			for i, r := range c.ranges {
				if strings.Contains(r, "%") {
					c.ranges[i] = fmt.Sprintf(r, len(c.part))
				}
			}
			if !slices.Equal(s.ranges, c.ranges) {
				t.Errorf("ranges %q, want %q", s.ranges, c.ranges)
			}
		})
	}
}

func TestGetErrors(t *testing.T) {
	content := svmText(10 << 10)
	register(t, toy(content))
	o := GetOptions{Dir: t.TempDir(), DataDir: t.TempDir()}

	s := newServer(t, map[string][]byte{"toy.bin": append([]byte("x"), content...)})
	o.BaseURL = s.URL
	_, err := Get(t.Context(), "toy", o)
	sum := md5.Sum(append([]byte("x"), content...))
	wantError(t, err, "wrong checksum and was removed", "MD5 expected "+publics[len(publics)-1].Files[0].MD5,
		"got "+hex.EncodeToString(sum[:]))
	noLeftovers(t, filepath.Join(o.Dir, "toy"))

	s = newServer(t, nil)
	o.BaseURL = s.URL
	if _, err = Get(t.Context(), "toy", o); err == nil || !strings.Contains(err.Error(), "404 Not Found") ||
		!strings.Contains(err.Error(), s.URL+"/toy/toy.bin") {
		t.Errorf("error %v", err)
	}
	s.Close()
	if _, err = Get(t.Context(), "toy", o); err == nil || !strings.Contains(err.Error(), "failed") {
		t.Errorf("error %v", err)
	}
	// Without network: one line that names each address once, the cause and the remedy.
	p := publics[len(publics)-1]
	p.Files[0].URLs = []string{s.URL + "/first", s.URL + "/second"}
	o.BaseURL = ""
	_, err = Get(t.Context(), "toy", o)
	if err == nil || strings.Contains(err.Error(), "\n") || strings.Count(err.Error(), s.URL+"/first") != 1 ||
		strings.Count(err.Error(), s.URL+"/second") != 1 ||
		!strings.Contains(err.Error(), "refused") || !strings.HasSuffix(err.Error(),
		"; check the network, or put a copy in $BILEVEL_DATA/toy") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = Get(ctx, "toy", o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	noLeftovers(t, filepath.Join(o.Dir, "toy"))

	_, err = Get(t.Context(), "toys", o)
	wantError(t, err, `"toys"`, "ijcnn1", "omniglot")
	o.DataDir = filepath.Join(o.Dir, "none")
	_, err = Get(t.Context(), "toy", o)
	wantError(t, err, "none", "not a folder")
	_, _, _, err = Load(t.Context(), "omniglot", o)
	wantError(t, err, "omniglot", "data get")
}

// Without a published checksum, the shape is checked and the sum pinned.
func TestGetPins(t *testing.T) {
	good := []byte("1 1:2\n-1 2:3\n1 1:1\n")
	p := &Public{Name: "toy", Rows: 3, Features: 2, Classes: 2,
		Files: []PublicFile{{Name: "toy.svm", URLs: []string{"https://example.org/toy.svm"},
			rows: 3}}, load: func(_ context.Context, f *Files) (*Set, *Set, error) {
			s, err := Read(t.Context(), f.Paths[0], Options{Target: ClassTarget})
			return s, nil, err
		}}
	register(t, p)
	s := newServer(t, map[string][]byte{"toy.svm": good})
	o := GetOptions{Dir: t.TempDir(), DataDir: t.TempDir(), BaseURL: s.URL}
	for bad, want := range map[string]string{
		"1 1:2\n-1 2:3\n":        "2 rows, expected 3",
		"1 1:2\n2 2:3\n3 1:1\n":  "3 classes, expected 2",
		"1 1:2\n-1 3:3\n1 1:1\n": "beyond",
		"<html>sorry</html>":     "a page of the Web",
	} {
		s.content["toy.svm"] = []byte(bad)
		_, err := Get(t.Context(), "toy", o)
		wantError(t, err, "not the declared file and was removed", want)
		noLeftovers(t, filepath.Join(o.Dir, "toy"))
	}
	s.content["toy.svm"] = good
	train, test, f, err := Load(t.Context(), "toy", o)
	if err != nil || test != nil || len(train.Y) != 3 {
		t.Fatal(err)
	}
	is := sha256.Sum256(good)
	checkContent(t, pinPath(f.Paths[0]), []byte(hex.EncodeToString(is[:])+"  toy.svm\n"))
	// Another file of the right shape is refused, whether it comes from the server or lay in the cache.
	s.content["toy.svm"] = []byte("1 1:2\n-1 2:3\n1 1:7\n")
	if err := os.WriteFile(f.Paths[0], s.content["toy.svm"], 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Get(t.Context(), "toy", o)
	wantError(t, err, "wrong checksum", "at first use", pinPath(f.Paths[0]))
	// A file put into the cache by hand is taken if it has the shape.
	o.Dir, o.BaseURL = t.TempDir(), "http://127.0.0.1:1"
	if err := os.MkdirAll(filepath.Join(o.Dir, "toy"), 0o755); err != nil {
		t.Fatal(err)
	}
	path := writeFile(t, filepath.Join(o.Dir, "toy"), "toy.svm", good)
	if _, err := Get(t.Context(), "toy", o); err != nil {
		t.Fatal(err)
	}
	checkContent(t, path, good)
	if err := os.WriteFile(pinPath(path), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Get(t.Context(), "toy", o)
	wantError(t, err, pinPath(path), "remove it")
}

func TestRegistry(t *testing.T) {
	for _, p := range Publics() {
		if p.Licence == "" || p.Page == "" || p.Title == "" || p.Rows == 0 || p.Classes < 2 || p.Size() == 0 {
			t.Errorf("%s lacks something: %+v", p.Name, p)
		}
		for _, f := range p.Files {
			if f.SHA256 != "" && len(f.SHA256) != 64 || f.MD5 != "" && len(f.MD5) != 32 || f.SHA256 == "" && f.MD5 == "" &&
				f.rows == 0 {
				t.Errorf("%s/%s has neither checksum nor shape", p.Name, f.Name)
			}
			for _, u := range f.URLs {
				if !strings.HasPrefix(u, "http") || strings.Contains(u[8:], "//") {
					t.Errorf("address %q", u)
				}
			}
		}
		for _, name := range append([]string{strings.ToUpper(p.Name)}, p.Aliases...) {
			if q, err := Lookup(name); err != nil || q != p {
				t.Errorf("%q gives %v, %v", name, q, err)
			}
		}
	}
}
