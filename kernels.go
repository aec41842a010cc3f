package bilevel

import "github.com/bilevel-go/bilevel/internal/kernel"

// Kernels is the tier of the vector kernels in use: plain, avx2 or avx512. The error says that the environment variable
// BILEVEL_KERNELS asks for one that is unknown or that this processor lacks; in use is the fastest then.
func Kernels() (tier string, err error) {
	return kernel.Active().String(), kernel.EnvError()
}
