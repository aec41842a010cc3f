package kernel

import "unsafe"

// Dot returns Σ x_i y_i. The lengths are equal.
func Dot(x, y []float64) float64 {
	if len(x) != len(y) {
		panic(badLength)
	}
	switch tier {
	case AVX512:
		return dotAVX512(ptr(x), ptr(y), len(x))
	case AVX2:
		return dotAVX2(ptr(x), ptr(y), len(x))
	}
	return dotPlain(x, y)
}

// Axpy adds a x to y:
//
//	y += a x
//
// The lengths are equal; y may be x.
func Axpy(a float64, x, y []float64) {
	if len(x) != len(y) {
		panic(badLength)
	}
	switch tier {
	case AVX512:
		axpyAVX512(ptr(y), ptr(x), len(y), a)
	case AVX2:
		axpyAVX2(ptr(y), ptr(x), len(y), a)
	default:
		axpyPlain(a, x, y)
	}
}

// Axpby sets y to a combination of x and itself:
//
//	y = a x + b y
//
// The lengths are equal; y may be x. With b = 0 what y held does not matter,
// not even NaN.
func Axpby(a float64, x []float64, b float64, y []float64) {
	if len(x) != len(y) {
		panic(badLength)
	}
	switch tier {
	case AVX512:
		axpbyAVX512(ptr(y), ptr(x), len(y), a, b)
	case AVX2:
		axpbyAVX2(ptr(y), ptr(x), len(y), a, b)
	default:
		axpbyPlain(a, x, b, y)
	}
}

// Axpy2 adds a multiple of a sum of two vectors to y:
//
//	y += a (x1 + x2)
//
// The lengths are equal; y may be x1 or x2.
func Axpy2(a float64, x1, x2, y []float64) {
	if len(x1) != len(y) || len(x2) != len(y) {
		panic(badLength)
	}
	switch tier {
	case AVX512:
		axpy2AVX512(ptr(y), ptr(x1), ptr(x2), len(y), a)
	case AVX2:
		axpy2AVX2(ptr(y), ptr(x1), ptr(x2), len(y), a)
	default:
		axpy2Plain(a, x1, x2, y)
	}
}

// Scale multiplies x by a.
func Scale(a float64, x []float64) {
	switch tier {
	case AVX512:
		scaleAVX512(ptr(x), len(x), a)
	case AVX2:
		scaleAVX2(ptr(x), len(x), a)
	default:
		scalePlain(a, x)
	}
}

// SagaStep moves y along a variance-reduced direction and then updates the
// average of the stored gradients, of which delta is the change of one:
//
//	y    = keep y - rho (c delta + avg)
//	avg += w delta
//
// The lengths are equal and the vectors do not overlap. One pass instead of
// three: five loads and stores an element.
func SagaStep(y, avg, delta []float64, rho, c, w, keep float64) {
	if len(avg) != len(y) || len(delta) != len(y) {
		panic(badLength)
	}
	switch tier {
	case AVX512:
		sagaStepAVX512(ptr(y), ptr(avg), ptr(delta), len(y), rho, c, w, keep)
	case AVX2:
		sagaStepAVX2(ptr(y), ptr(avg), ptr(delta), len(y), rho, c, w, keep)
	default:
		sagaStepPlain(y, avg, delta, rho, c, w, keep)
	}
}

// SwapDiff replaces a stored vector by its next value and leaves the change:
//
//	mem, next = next, next - mem
//
// The lengths are equal and the vectors do not overlap.
func SwapDiff(mem, next []float64) {
	if len(mem) != len(next) {
		panic(badLength)
	}
	switch tier {
	case AVX512:
		swapDiffAVX512(ptr(mem), ptr(next), len(mem))
	case AVX2:
		swapDiffAVX2(ptr(mem), ptr(next), len(mem))
	default:
		swapDiffPlain(mem, next)
	}
}

// Prefetch asks for the cache lines of p. It is a hint and changes no value.
func Prefetch(p []float64) {
	if tier == Plain || len(p) == 0 {
		return
	}
	const line = 64
	first := unsafe.SliceData(p)
	bytes := int(uintptr(unsafe.Pointer(first))%line) + 8*len(p)
	prefetch(first, (bytes+line-1)/line)
}
