package rows

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// huge is the size from which on memory is worth pages of its own.
const huge = 4 << 20

// hugePages asks for large pages behind s, before s is written to for the first time. Batches are drawn from all over
// the rows, and with small pages half of the time to fetch one goes into finding it. Where the kernel has no large
// pages, nothing changes.
func hugePages(s []float64) {
	if b := wholePages(s); len(b) >= huge {
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	}
}

// wholePages is the memory of s without the pages at its ends that others may share.
func wholePages(s []float64) []byte {
	if len(s) == 0 {
		return nil
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), 8*len(s))
	page := unix.Getpagesize()
	lo := -int(uintptr(unsafe.Pointer(&s[0]))) & (page - 1)
	if lo >= len(b) {
		return nil
	}
	return b[lo : lo+(len(b)-lo)&^(page-1)]
}
