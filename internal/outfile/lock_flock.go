//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package outfile

import (
	"fmt"
	"os"
	"syscall"
)

const locks = true

// lock takes the lock of f's file for f, which is let go when f is closed.
func lock(f *os.File) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err {
		case nil:
			return nil
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			return ErrLocked
		default:
			return fmt.Errorf("%w: %w", errNoLocks, err)
		}
	}
}
