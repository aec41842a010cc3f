package dataset

import "golang.org/x/sys/unix"

// systemMemory are the bounds that the system has, in bytes: that of the machine.
func systemMemory() []int64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return nil
	}
	return []int64{int64(n)}
}
