//go:build !amd64

package kernel

import "os"

// tier is a constant here, so that calls of assembly compile to nothing.
const tier = Plain

var _, envError = choose(os.Getenv("BILEVEL_KERNELS"), Supported)

// Supported reports whether this processor has tier t.
func Supported(t Tier) bool { return t == Plain }

// SetTier makes t the tier in use and returns the previous one. It is meant
// for tests and benchmarks, panics if the processor lacks t, and must not be
// called while other goroutines compute.
func SetTier(t Tier) (old Tier) {
	if !Supported(t) {
		panic("kernel: tier " + t.String() + " is not supported")
	}
	return Plain
}
