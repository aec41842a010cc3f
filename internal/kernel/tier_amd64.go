package kernel

import (
	"os"

	"golang.org/x/sys/cpu"
)

// tier is compared in every wrapper: with direct calls of assembly this is
// cheaper than function variables, whose calls convert the arguments.
var tier, envError = choose(os.Getenv("BILEVEL_KERNELS"), Supported)

// Supported reports whether this processor has tier t.
func Supported(t Tier) bool {
	switch t {
	case Plain:
		return true
	case AVX2:
		return cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasBMI2
	case AVX512:
		return Supported(AVX2) && cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ &&
			cpu.X86.HasAVX512VL && cpu.X86.HasAVX512BW
	}
	return false
}

// SetTier makes t the tier in use and returns the previous one. It is meant
// for tests and benchmarks, panics if the processor lacks t, and must not be
// called while other goroutines compute.
func SetTier(t Tier) (old Tier) {
	if !Supported(t) {
		panic("kernel: tier " + t.String() + " is not supported")
	}
	old, tier = tier, t
	return old
}
