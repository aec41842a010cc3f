package kernel

// The errors below are those of the assembly. Plain Go is bound by package
// math: σ errs by up to 3 ulp, and e^x may overflow from 709 on.

// Exp sets dst_i = e^{x_i} within 2 ulp: NaN stays NaN, e^-∞ is 0, the result
// overflows to +∞ above 709.78 and underflows gradually below -708.4, to 0
// below -745.13. The lengths are equal; dst may be x.
func Exp(dst, x []float64) {
	if len(dst) != len(x) {
		panic(badLength)
	}
	switch tier {
	case AVX512:
		expAVX512(ptr(dst), ptr(x), len(x))
	case AVX2:
		expAVX2(ptr(dst), ptr(x), len(x))
	default:
		expPlain(dst, x)
	}
}

// Log1p sets dst_i = log(1+x_i) within 2 ulp: NaN, and x_i < -1, give NaN, -1
// gives -∞, +∞ stays and so do ±0. The lengths are equal; dst may be x.
func Log1p(dst, x []float64) {
	if len(dst) != len(x) {
		panic(badLength)
	}
	switch tier {
	case AVX512:
		log1pAVX512(ptr(dst), ptr(x), len(x))
	case AVX2:
		log1pAVX2(ptr(dst), ptr(x), len(x))
	default:
		log1pPlain(dst, x)
	}
}

// Sigmoid sets dst_i = σ(x_i) = 1/(1+e^{-x_i}) within 2 ulp, also in the left
// tail, which underflows gradually. NaN stays NaN. The lengths are equal; dst
// may be x.
func Sigmoid(dst, x []float64) {
	if len(dst) != len(x) {
		panic(badLength)
	}
	switch tier {
	case AVX512:
		sigmoidAVX512(ptr(dst), ptr(x), len(x))
	case AVX2:
		sigmoidAVX2(ptr(dst), ptr(x), len(x))
	default:
		sigmoidPlain(dst, x)
	}
}

// Softplus sets dst_i = log(1+e^{x_i}) within 2 ulp, also in the left tail,
// which underflows gradually; it does not overflow in the right one. NaN stays
// NaN. The lengths are equal; dst may be x.
func Softplus(dst, x []float64) {
	if len(dst) != len(x) {
		panic(badLength)
	}
	switch tier {
	case AVX512:
		softplusAVX512(ptr(dst), ptr(x), len(x))
	case AVX2:
		softplusAVX2(ptr(dst), ptr(x), len(x))
	default:
		softplusPlain(dst, x)
	}
}
