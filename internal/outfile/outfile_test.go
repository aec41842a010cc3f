package outfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestMain makes a process of the test program that holds a lock and a temporary file until it is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("OUTFILE_TEST_HOLD"); dir != "" {
		_, err1 := Lock(filepath.Join(dir, "lock"))
		_, err2 := With(filepath.Join(dir, "a"), []byte("half"))
		fmt.Println(errors.Join(err1, err2))
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	for _, text := range []string{"old", "new"} {
		if err := Write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); string(b) != text || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
	folder := filepath.Join(dir, "folder", "full")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Dir(folder), filepath.Join(dir, "none", "a")} {
		if err := Write(path, []byte("text")); err == nil {
			t.Errorf("%s was written", path)
		}
	}
	if err := CheckWritable(dir); err != nil {
		t.Error(err)
	}
	if err := CheckWritable(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there")
	}
	if names := list(t, dir); !slices.Equal(names, []string{"a", "folder"}) {
		t.Error(names)
	}
}

// Of several that write a new file at once, one does.
func TestWriteNew(t *testing.T) {
	dir := t.TempDir()
	for round := range 20 {
		path := filepath.Join(dir, fmt.Sprint(round))
		var won atomic.Int64
		var wg sync.WaitGroup
		for k := range 4 {
			wg.Go(func() {
				err := WriteNew(path, []byte{byte('a' + k)})
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, fs.ErrExist) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if b, err := os.ReadFile(path); won.Load() != 1 || len(b) != 1 || err != nil {
			t.Errorf("%d wrote %q, %v", won.Load(), b, err)
		}
	}
	if n := len(list(t, dir)); n != 20 {
		t.Errorf("%d files", n)
	}
}

func TestAdopt(t *testing.T) {
	dir := t.TempDir()
	part, path := filepath.Join(dir, "part"), filepath.Join(dir, "a")
	if err := os.WriteFile(part, []byte("one "), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Adopt(part, path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Adopt(part, path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("adopted twice: %v", err)
	}
	Sweep(dir) // this process lives
	f.Seek(0, io.SeekEnd)
	f.Write([]byte("two"))
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	f.Discard()
	if b, err := os.ReadFile(path); string(b) != "one two" || err != nil || len(list(t, dir)) != 1 {
		t.Errorf("%q, %v, %v", b, err, list(t, dir))
	}
}

// A process that is killed keeps nothing: its temporary file goes, and its lock is free. One that lives keeps both.
func TestKilled(t *testing.T) {
	if !locks {
		t.Skip("this system has no locks that end with their process")
	}
	dir := t.TempDir()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "OUTFILE_TEST_HOLD="+dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make([]byte, 6)
	if _, err := io.ReadFull(out, ready); err != nil || string(ready) != "<nil>\n" {
		t.Fatalf("%q, %v", ready, err)
	}
	Sweep(dir)
	if _, err := Lock(filepath.Join(dir, "lock")); !errors.Is(err, ErrLocked) || len(list(t, dir)) != 2 {
		t.Errorf("%v, %v", err, list(t, dir))
	}
	c.Process.Kill()
	c.Wait()
	then := time.Now().Add(-2 * fresh)
	for _, name := range list(t, dir) {
		if err := os.Chtimes(filepath.Join(dir, name), then, then); err != nil {
			t.Fatal(err)
		}
	}
	Sweep(dir)
	if names := list(t, dir); !slices.Equal(names, []string{"lock"}) {
		t.Error(names)
	}
	release, err := Lock(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	release()
	if names := list(t, dir); len(names) != 0 {
		t.Error(names)
	}
}

// What another machine may still write to is kept for a day, and what is called otherwise for ever.
func TestSweepNames(t *testing.T) {
	dir := t.TempDir()
	other := strings.Repeat("0", 8)
	if other == host() {
		other = strings.Repeat("1", 8)
	}
	for name, age := range map[string]time.Duration{
		".a-" + other + "-1.tmp": time.Hour, ".b-" + other + "-1.tmp": 2 * old, ".c-" + host() + "-1.tmp": 0,
		".d-" + host() + "-x.tmp": 2 * old, "e-" + host() + "-1.tmp": 2 * old, ".f-1.tmp": 2 * old,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	Sweep(dir)
	Sweep(filepath.Join(dir, "none"))
	names := list(t, dir)
	for k := range names {
		names[k] = strings.TrimLeft(names[k], ".")[:1]
	}
	want := []string{"a", "d", "f", "e"}
	if closesFirst {
		want = []string{"a", "c", "d", "f", "e"}
	}
	if !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

// Files that are closed before they are renamed or removed, as some systems need it, come to the same.
func TestClosedFirst(t *testing.T) {
	defer func(was bool) { closesFirst = was }(closesFirst)
	closesFirst = true
	for name, test := range map[string]func(*testing.T){"write": TestWrite, "new": TestWriteNew, "adopt": TestAdopt,
		"killed": TestKilled, "names": TestSweepNames} {
		t.Run(name, test)
	}
}

// Several that take and release one lock never hold it together.
func TestLock(t *testing.T) {
	if !locks {
		t.Skip("this system has no locks that end with their process")
	}
	path := filepath.Join(t.TempDir(), "lock")
	var holders, held atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				release, err := Lock(path)
				if errors.Is(err, ErrLocked) {
					continue
				} else if err != nil {
					t.Error(err)
					return
				}
				if holders.Add(1) != 1 {
					t.Error("two hold the lock")
				}
				held.Add(1)
				holders.Add(-1)
				release()
			}
		})
	}
	wg.Wait()
	if held.Load() == 0 {
		t.Error("nobody held the lock")
	}
}
