package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/bilevel-go/bilevel/internal/outfile"
)

// outFile is a file to write.
type outFile struct {
	path string
	data []byte
}

// bare is err without operation and path, which may be those of a temporary file.
func bare(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// isWithin says whether path is dir or lies in it.
func isWithin(path, dir string) bool {
	p, err1 := filepath.Abs(path)
	d, err2 := filepath.Abs(dir)
	rel, err := filepath.Rel(d, p)
	return err1 == nil && err2 == nil && err == nil && filepath.IsLocal(rel)
}

// checkFolder is an error if files cannot be written into dir, which need not exist yet. It leaves nothing behind.
func checkFolder(dir string) error {
	at := filepath.Clean(dir)
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			if at == filepath.Clean(dir) {
				return errors.New("this is a file; name a folder")
			}
			return fmt.Errorf("%s is a file; name another folder", at)
		}
		if err == nil {
			break
		}
		if parent := filepath.Dir(at); (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)) && parent != at {
			if _, err := os.Lstat(at); err == nil {
				return fmt.Errorf("%s is a link to nothing; name another folder", at)
			}
			at = parent
			continue
		}
		return fmt.Errorf("%w; name another folder", bare(err))
	}
	t, err := os.CreateTemp(at, ".bilevel-*")
	if err != nil {
		return fmt.Errorf("the folder %s cannot be written to: %w; name another one", at, bare(err))
	}
	t.Close()
	return bare(os.Remove(t.Name()))
}

// checkFile is an error if the file path cannot be written, or is one of the inputs. Its folder must be there; devices
// and pipes have none to write to.
func checkFile(path string, inputs ...string) error {
	if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
		dir := filepath.Dir(path)
		if info, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			return fmt.Errorf("the folder %s does not exist; make it, or name another file", dir)
		}
		if err := checkFolder(dir); err != nil {
			return err
		}
	}
	if err := checkTarget(path, inputs...); err != nil {
		return fmt.Errorf("this %w", err)
	}
	return nil
}

// checkTarget is an error if path is a folder or one of the inputs, so that writing it would fail or destroy it.
func checkTarget(path string, inputs ...string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	if info.IsDir() {
		return errors.New("is a folder; name another one, or remove it")
	}
	for _, in := range inputs {
		if other, err := os.Stat(in); in != "" && err == nil && os.SameFile(info, other) {
			return fmt.Errorf("is the input %s and would be overwritten; name another one", in)
		}
	}
	return nil
}

// writeFiles writes all files or none: each goes under another name first, and gets its own when all are there. A
// reader finds the old file or the new one. What is no regular file, such as a pipe, is written to directly.
func writeFiles(files []outFile) (err error) {
	temps := make([]string, len(files))
	defer func() {
		for _, t := range temps {
			if t != "" {
				os.Remove(t)
			}
		}
	}()
	fail := func(path string, err error) error {
		return fmt.Errorf("%s cannot be written: %w; make room or name another place", path, bare(err))
	}
	for k, f := range files {
		if info, err := os.Stat(f.path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
			w, err := os.OpenFile(f.path, os.O_WRONLY, 0)
			if err == nil {
				_, err = w.Write(f.data)
				err = errors.Join(err, w.Close())
			}
			if err != nil {
				return fail(f.path, err)
			}
			continue
		}
		if temps[k], err = outfile.Temp(f.path, f.data); err != nil {
			return fail(f.path, err)
		}
	}
	for k, t := range temps {
		if t == "" {
			continue
		}
		if err := os.Rename(t, files[k].path); err != nil {
			return fail(files[k].path, err)
		}
		temps[k] = ""
	}
	return nil
}
