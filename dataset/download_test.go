package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestMain makes a process of the test program that downloads a set where a test asks for one.
func TestMain(m *testing.M) {
	if job := os.Getenv("BILEVEL_TEST_GET"); job != "" {
		if err := getApart(job); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// apart is what a process is to download.
type apart struct {
	url, dir string
	pinned   bool // no checksum is published
	alone    bool // locks do not work between machines
}

func (a apart) String() string { return fmt.Sprintf("%s %s %t %t", a.url, a.dir, a.pinned, a.alone) }

// set is what is downloaded, always the same.
func (a apart) set() (*Public, []byte) {
	content := svmText(300 << 10)
	p := toy(content)
	if a.pinned {
		s, err := ReadFrom(context.Background(), bytes.NewReader(content), "toy", Options{Format: "libsvm"})
		if err != nil {
			panic(err)
		}
		n, d := s.Dims()
		p.Features, p.Classes = d, len(distinct(s.Y, maxClasses))
		p.Files[0].MD5, p.Files[0].rows = "", n
	}
	return p, content
}

func getApart(job string) error {
	var a apart
	if _, err := fmt.Sscan(job, &a.url, &a.dir, &a.pinned, &a.alone); err != nil {
		return err
	}
	p, content := a.set()
	publics = append(publics, p)
	f, err := Get(context.Background(), "toy", GetOptions{Dir: a.dir, DataDir: a.dir, BaseURL: a.url, alone: a.alone})
	if err != nil {
		return err
	}
	got, err := os.ReadFile(f.Paths[0])
	if err == nil && !bytes.Equal(got, content) {
		err = fmt.Errorf("a wrong file of %d bytes", len(got))
	}
	return err
}

func (a apart) start(t *testing.T) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	var words bytes.Buffer
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "BILEVEL_TEST_GET="+a.String(), "GOMAXPROCS=1")
	c.Stderr = &words
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, &words
}

// faulty is a server that breaks two of three connections off, in order or not, and pauses. It sends the validator that
// it has, if any.
func faulty(t *testing.T, content []byte) *httptest.Server {
	var requests atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k := requests.Add(1)
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(content)))
		cut := &cutWriter{ResponseWriter: w, left: 1 << 30}
		if k%3 != 0 {
			cut.left, cut.reset = 1+rand.IntN(len(content)/2), k%2 == 0
		}
		http.ServeContent(cut, r, "", time.Time{}, bytes.NewReader(content))
	}))
	t.Cleanup(s.Close)
	return s
}

// cutWriter breaks a connection off after so many bytes.
type cutWriter struct {
	http.ResponseWriter
	left  int
	reset bool
}

func (c *cutWriter) Write(b []byte) (int, error) {
	time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
	n, err := c.ResponseWriter.Write(b[:min(len(b), c.left)])
	if c.left -= n; c.left > 0 || err != nil {
		return n, err
	}
	http.NewResponseController(c.ResponseWriter).Flush()
	if c.reset {
		if conn, _, err := http.NewResponseController(c.ResponseWriter).Hijack(); err == nil {
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
	}
	panic(http.ErrAbortHandler)
}

// TestGetAtOnce: processes that download into one cache at once all get the right file, and leave nothing else. With
// BILEVEL_TEST_LONG these are 200 pairs and 20 groups of eight, else a few.
func TestGetAtOnce(t *testing.T) {
	rounds := map[int]int{2: 6, 8: 2}
	if os.Getenv("BILEVEL_TEST_LONG") != "" {
		rounds = map[int]int{2: 200, 8: 20}
	}
	for size, n := range rounds {
		for k := range n {
			a := apart{dir: t.TempDir(), pinned: k%2 == 1, alone: k/2%2 == 1}
			_, content := a.set()
			server := faulty(t, content)
			a.url = server.URL
			var wg sync.WaitGroup
			for range size {
				c, words := a.start(t)
				wg.Go(func() {
					if err := c.Wait(); err != nil {
						t.Errorf("%v: %v: %s", a, err, words)
					}
				})
			}
			wg.Wait()
			server.Close()
			names := []string{"toy.bin"}
			if a.pinned {
				names = append(names, "toy.bin.sha256")
				is := sha256.Sum256(content)
				checkContent(t, filepath.Join(a.dir, "toy", names[1]), fmt.Appendf(nil, "%x  toy.bin\n", is))
			}
			noLeftovers(t, filepath.Join(a.dir, "toy"), names...)
		}
	}
}

// A killed process leaves a file that the next one removes, and no lock that keeps it waiting.
func TestGetAfterKill(t *testing.T) {
	a := apart{dir: t.TempDir()}
	_, content := a.set()
	begun := make(chan bool)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(content[:1000])
		w.(http.Flusher).Flush()
		begun <- true
		<-r.Context().Done()
	}))
	defer slow.Close()
	a.url = slow.URL
	c, _ := a.start(t)
	<-begun
	folder := filepath.Join(a.dir, "toy")
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 2 {
		t.Fatalf("a lock and a file are there: %v, %v", entries, err)
	}
	c.Process.Kill()
	c.Wait()
	a.url = newServer(t, map[string][]byte{"toy.bin": content}).URL
	c, words := a.start(t)
	if err := c.Wait(); err != nil {
		t.Fatalf("%v: %s", err, words)
	}
	noLeftovers(t, folder, "toy.bin")
}

// Of processes whose locks do not work, and that get different files without a published checksum, one says what is
// right, and nothing else is in the cache.
func TestGetPinsOne(t *testing.T) {
	files := [][]byte{[]byte("1 1:2\n-1 2:3\n"), []byte("1 1:3\n-1 2:2\n")}
	var requests atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Millisecond)
		w.Write(files[requests.Add(1)%2])
	}))
	defer s.Close()
	register(t, &Public{Name: "toy", Rows: 2, Features: 2, Classes: 2, Files: []PublicFile{{Name: "toy.svm", rows: 2}}})
	for range 20 {
		o := GetOptions{Dir: t.TempDir(), DataDir: t.TempDir(), BaseURL: s.URL, alone: true}
		var wg sync.WaitGroup
		var got atomic.Int64
		for range 4 {
			wg.Go(func() {
				_, err := Get(t.Context(), "toy", o)
				if err == nil {
					got.Add(1)
				} else if !strings.Contains(err.Error(), "at first use") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		path := filepath.Join(o.Dir, "toy", "toy.svm")
		f, err := PublicFile{}.withPin(path)
		if err != nil || got.Load() == 0 {
			t.Fatal(err, got.Load())
		}
		if wrong, err := f.differs(t.Context(), path); wrong != "" || err != nil {
			t.Error(wrong, err)
		}
		noLeftovers(t, filepath.Dir(path), "toy.svm", "toy.svm.sha256")
	}
}

// A server that stalls, takes too long or sends too much ends with an error that says so, and a context with its cause.
func TestGetBounds(t *testing.T) {
	old := patience
	t.Cleanup(func() { patience = old })
	content := svmText(4 << 20)
	drip := func(pause time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			for i := 0; r.Context().Err() == nil; i++ {
				w.Write(content[i : i+1])
				w.(http.Flusher).Flush()
				select {
				case <-time.After(pause):
				case <-r.Context().Done():
				}
			}
		}
	}
	for name, c := range map[string]struct {
		handler      http.HandlerFunc
		stall, least time.Duration
		size         int64
		want         string
	}{
		"stalled": {drip(time.Hour), 20 * time.Millisecond, time.Hour, 0, "the server sent nothing for 20ms"},
		"silent": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 20 * time.Millisecond, time.Hour, 0,
			"the server sent nothing for 20ms"},
		"slow": {drip(time.Millisecond), time.Hour, 50 * time.Millisecond, 0, "it took longer than"},
		"long": {func(w http.ResponseWriter, _ *http.Request) { w.Write(content) }, time.Hour, time.Hour, 1000,
			"is declared with 1000 bytes"},
		"declared long": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "5000000") },
			time.Hour, time.Hour, 1000, "sends 5000000 bytes"},
		"cancelled": {drip(time.Hour), time.Hour, time.Hour, 0, "enough"},
	} {
		t.Run(name, func(t *testing.T) {
			patience.stall, patience.least = c.stall, c.least
			s := httptest.NewServer(c.handler)
			defer s.Close()
			p := toy(content)
			p.Files[0].Size = c.size
			register(t, p)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			o := GetOptions{Dir: t.TempDir(), DataDir: t.TempDir(), BaseURL: s.URL}
			if name == "cancelled" {
				o.Progress = func(_ string, done, _ int64) {
					if done > 0 {
						time.AfterFunc(10*time.Millisecond, func() { cancel(errors.New("enough")) })
					}
				}
			}
			if _, err := Get(ctx, "toy", o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			noLeftovers(t, filepath.Join(o.Dir, "toy"))
		})
	}
}

// One process downloads while others wait, whose context may end before.
func TestGetWaits(t *testing.T) {
	content := svmText(10 << 10)
	register(t, toy(content))
	begun, go1 := make(chan bool), make(chan bool)
	var requests atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		begun <- true
		<-go1
		w.Write(content)
	}))
	defer s.Close()
	o := GetOptions{Dir: t.TempDir(), DataDir: t.TempDir(), BaseURL: s.URL}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := Get(t.Context(), "toy", o); err != nil {
			t.Error(err)
		}
	})
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	waits := o
	waits.Waiting = func(string) { cancel() }
	if _, err := Get(ctx, "toy", waits); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	waits.Waiting = func(string) { close(go1) }
	if _, err := Get(t.Context(), "toy", waits); err != nil || requests.Load() != 1 {
		t.Error(err, requests.Load())
	}
	wg.Wait()
}
