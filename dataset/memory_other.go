//go:build !linux && !darwin

package dataset

// systemMemory are the bounds that the system has, in bytes: none are known.
func systemMemory() []int64 { return nil }
