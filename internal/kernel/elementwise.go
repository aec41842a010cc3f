package kernel

// Exp sets dst_i = e^{x_i} within 2 ulp: NaN stays NaN, e^-∞ is 0, the result
// overflows to +∞ above 709.78 and underflows gradually below -708.4, to 0
// below -745.13. The lengths are equal; dst may be x.
func Exp(dst, x []float64) {
	if len(dst) != len(x) {
		panic(badLength)
	}
	expPlain(dst, x)
}

// Log1p sets dst_i = log(1+x_i) within 2 ulp: NaN, and x_i < -1, give NaN, -1
// gives -∞, +∞ stays and so do ±0. The lengths are equal; dst may be x.
func Log1p(dst, x []float64) {
	if len(dst) != len(x) {
		panic(badLength)
	}
	log1pPlain(dst, x)
}

// Sigmoid sets dst_i = σ(x_i) = 1/(1+e^{-x_i}) within 2 ulp, also in the left
// tail, which underflows gradually. NaN stays NaN. The lengths are equal; dst
// may be x.
func Sigmoid(dst, x []float64) {
	if len(dst) != len(x) {
		panic(badLength)
	}
	sigmoidPlain(dst, x)
}

// Softplus sets dst_i = log(1+e^{x_i}) within 2 ulp, also in the left tail,
// which underflows gradually; it does not overflow in the right one. NaN stays
// NaN. The lengths are equal; dst may be x.
func Softplus(dst, x []float64) {
	if len(dst) != len(x) {
		panic(badLength)
	}
	softplusPlain(dst, x)
}
