package outfile

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

const locks = true

// lock takes the lock of f's file for f, which is let go when f is closed. Locks keep others from reading and writing
// what they cover: it is a byte far behind the end of the file.
func lock(f *os.File) error {
	behind := windows.Overlapped{Offset: 0xffff_fff0, OffsetHigh: 0x7fff_ffff}
	const at = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	switch err := windows.LockFileEx(windows.Handle(f.Fd()), at, 0, 1, 0, &behind); {
	case err == nil:
		return nil
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION), errors.Is(err, windows.ERROR_IO_PENDING):
		return ErrLocked
	default:
		return fmt.Errorf("%w: %w", errNoLocks, err)
	}
}
