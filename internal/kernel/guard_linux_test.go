package kernel

import (
	"syscall"
	"testing"
	"unsafe"
)

// guarded returns n elements that end where readable memory ends, so that
// reads and writes beyond them fault.
func guarded(t testing.TB, n int) []float64 {
	page := syscall.Getpagesize()
	size := (8*n + page - 1) / page * page
	mem, err := syscall.Mmap(-1, 0, size+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mprotect(mem[size:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(mem) })
	start := size - 8*n
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(mem[start:]))), n)[:n:n]
}
