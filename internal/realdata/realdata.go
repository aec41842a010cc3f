// Package realdata finds the public data sets that tests read.
package realdata

import (
	"os"
	"path/filepath"
	"testing"
)

// find is the folder of data sets, BILEVEL_DATA or else shared/data beside the repository, and whether it has elem.
func find(elem ...string) (dir string, ok bool) {
	dir = os.Getenv("BILEVEL_DATA")
	if dir == "" {
		root, err := repository()
		if err != nil {
			return "", false
		}
		dir = filepath.Join(root, "..", "shared", "data")
	}
	_, err := os.Stat(filepath.Join(append([]string{dir}, elem...)...))
	return dir, err == nil
}

// repository is the folder of go.mod, the nearest one at or above that of the package under test.
func repository() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			err = os.ErrNotExist
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// Folder is the folder of data sets. The test is skipped where that has no elem, a file or the folder of a set.
func Folder(t testing.TB, elem ...string) string {
	t.Helper()
	dir, ok := find(elem...)
	if !ok {
		t.Skipf("%[1]s is not there: set BILEVEL_DATA to a folder that holds %[1]s", filepath.Join(elem...))
	}
	return dir
}

// File is the path of elem, as in [Folder].
func File(t testing.TB, elem ...string) string {
	t.Helper()
	return filepath.Join(append([]string{Folder(t, elem...)}, elem...)...)
}

// Long skips a test that takes seconds on real data where the tests run with -short. It says what the test does.
func Long(t testing.TB, does string) {
	t.Helper()
	if testing.Short() {
		t.Skipf("-short leaves this out: it %s", does)
	}
}
