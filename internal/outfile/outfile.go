// Package outfile writes files so that a reader, or a crash, finds the old file or the new one, never a part.
package outfile

import (
	"errors"
	"os"
	"path/filepath"
)

// Write writes data to path.
func Write(path string, data []byte) error {
	temp, err := Temp(path, data)
	if err == nil {
		if err = os.Rename(temp, path); err != nil {
			os.Remove(temp)
		}
	}
	return err
}

// Temp writes data to a file beside path, to be renamed to it or removed, and returns its name.
func Temp(path string, data []byte) (string, error) {
	t, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return "", err
	}
	_, err = t.Write(data)
	if err == nil {
		err = errors.Join(t.Chmod(0o644), t.Sync())
	}
	if err = errors.Join(err, t.Close()); err != nil {
		os.Remove(t.Name())
		return "", err
	}
	return t.Name(), nil
}
