// Package outfile writes files so that a reader, or a crash, finds the old file or the new one, never a part. It
// removes what killed processes left on the way, and keeps processes apart that write to one folder.
package outfile

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"time"
)

// ErrLocked says that another process holds a lock.
var ErrLocked = errors.New("another process holds the lock")

// errNoLocks says that the system, or the file's file system, has no locks.
var errNoLocks = errors.New("there are no locks here")

// closesFirst says that the system neither renames nor removes a file that is open.
var closesFirst = runtime.GOOS == "windows" || !locks

// remove closes f and removes it, while the lock is held where it can be.
func remove(f *os.File) {
	if closesFirst {
		f.Close()
	}
	os.Remove(f.Name())
	f.Close()
}

// File is a temporary file beside the one that it becomes. The process holds a lock on it as long as it is open: the
// system lets go of it when the process ends, however it ends, and Sweep knows by it what nobody needs.
type File struct {
	*os.File
	path string
	done bool
}

// Create makes a temporary file that becomes path, in the same folder. Its name is its own.
func Create(path string) (*File, error) {
	for {
		f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-"+host()+"-*.tmp")
		if err != nil {
			return nil, err
		}
		if hold(f) {
			return &File{File: f, path: path}, nil
		}
		f.Close() // a sweep came between
	}
}

// hold locks f, where there are locks, and says whether f is still what its name stands for.
func hold(f *os.File) bool {
	if err := lock(f); err != nil {
		return errors.Is(err, errNoLocks)
	}
	mine, err1 := f.Stat()
	there, err2 := os.Stat(f.Name())
	return err1 == nil && err2 == nil && os.SameFile(mine, there)
}

// Adopt makes the file from, of the same folder, a temporary file that becomes path. Of several processes one succeeds.
func Adopt(from, path string) (*File, error) {
	f, err := Create(path)
	if err != nil {
		return nil, err
	}
	f.Close()
	if err := os.Rename(from, f.Name()); err != nil {
		os.Remove(f.Name())
		return nil, err
	}
	t, err := os.OpenFile(f.Name(), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if !hold(t) {
		t.Close()
		return nil, ErrLocked
	}
	return &File{File: t, path: path}, nil
}

// Commit writes f out, and puts it in the place of its path. After an error f is gone.
func (f *File) Commit() error { return f.CommitAs(f.path) }

// CommitAs is Commit with another path, in the same folder.
func (f *File) CommitAs(path string) error {
	err := errors.Join(f.Chmod(0o644), f.Sync())
	if closesFirst {
		err = errors.Join(err, f.Close())
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		f.Discard()
		return err
	}
	f.done = true
	f.Close()
	return nil
}

// Discard removes f. It does nothing after Commit.
func (f *File) Discard() {
	if !f.done {
		f.done = true
		remove(f.File)
	}
}

// Write writes data to path.
func Write(path string, data []byte) error {
	f, err := With(path, data)
	if err != nil {
		return err
	}
	return f.Commit()
}

// With is a temporary file that holds data and becomes path.
func With(path string, data []byte) (*File, error) {
	f, err := Create(path)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(data); err != nil {
		f.Discard()
		return nil, err
	}
	return f, nil
}

// WriteNew is Write, except that it is an error, fs.ErrExist, if path is there: of several writers one succeeds.
func WriteNew(path string, data []byte) error {
	f, err := With(path, data)
	if err != nil {
		return err
	}
	defer f.Discard()
	if err := errors.Join(f.Chmod(0o644), f.Sync()); err != nil {
		return err
	}
	err = os.Link(f.Name(), path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := os.Lstat(path); err == nil { // the file system has no links
		return fs.ErrExist
	}
	return f.Commit()
}

// CheckWritable is an error if no file can be made in dir. It leaves nothing behind.
func CheckWritable(dir string) error {
	f, err := Create(filepath.Join(dir, "bilevel"))
	if err == nil {
		f.Discard()
	}
	return err
}

// leftover matches names of temporary files; the parts are the name of the file and the machine.
var leftover = regexp.MustCompile(`^\.(.+)-([0-9a-f]{8})-[0-9]+\.tmp$`)

// old is the age of a temporary file whose process does not live, where a lock cannot tell: of another machine, whose
// locks a file system may keep to itself, or without locks. Files in use are written to more often.
const old = 24 * time.Hour

// fresh is the age below which a file without a lock may be one that is about to be renamed, where files are closed
// before.
const fresh = time.Minute

// Sweep removes the temporary files of dir that no process holds: at once those of this machine, and of others when
// they are a day old. It passes over what it cannot remove.
func Sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		m := leftover.FindStringSubmatch(e.Name())
		if m == nil || !e.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		age := time.Duration(0)
		if info, err := e.Info(); err == nil {
			age = time.Since(info.ModTime())
		}
		aged := age > old
		if m[2] != host() {
			if aged {
				os.Remove(path)
			}
			continue
		}
		if closesFirst && age < fresh {
			continue
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if err := lock(f); err == nil || aged && errors.Is(err, errNoLocks) {
			remove(f)
		}
		f.Close()
	}
}

// host stands for the name of this machine.
func host() string {
	name, _ := os.Hostname()
	h := fnv.New32a()
	h.Write([]byte(name))
	return fmt.Sprintf("%08x", h.Sum32())
}

// Lock makes the file path and locks it; it is ErrLocked if another process, or another part of this one, holds the
// lock. It is held until release, which removes the file, or until the process ends. Where there are no locks, it is
// nobody's.
func Lock(path string) (release func(), err error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return nil, err
		}
		if err := lock(f); errors.Is(err, ErrLocked) {
			f.Close()
			return nil, err
		}
		if hold(f) {
			return func() { remove(f) }, nil
		}
		f.Close() // it was removed between
	}
}
