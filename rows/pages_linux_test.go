package rows

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestWholePages(t *testing.T) {
	page := unix.Getpagesize()
	all := make([]float64, 4*page/8+1)
	for lo := 0; lo <= page/8+1; lo += 37 {
		for _, n := range []int{0, 1, page/8 - 1, page / 8, page/8 + 1, 2 * page / 8, 2*page/8 + 9} {
			s := all[lo : lo+n]
			b := wholePages(s)
			if len(b)%page != 0 || len(b) > 8*n || len(b) < 8*n-2*page+8 {
				t.Fatalf("%d bytes of whole pages in %d", len(b), 8*n)
			}
			if len(b) == 0 {
				continue
			}
			first, last := uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&b[len(b)-1]))
			if first%uintptr(page) != 0 || first < uintptr(unsafe.Pointer(&s[0])) || last > uintptr(unsafe.Pointer(&s[n-1]))+7 {
				t.Fatalf("pages at %#x to %#x are not within s", first, last)
			}
		}
	}
}
