package kernel

// Softmax replaces the k scores of each of m rows by probabilities:
//
//	t_c = e^{t_c} / Σ_j e^{t_j}
//
// Class c of row i is t[c*m+i]; len(t) = k m. Exponentials are of differences
// from the row's largest score and do not overflow; where a score is NaN or +∞,
// or all are -∞, the row becomes NaN.
func Softmax(t []float64, k, m int) {
	if k < 0 || m < 0 || len(t) != k*m {
		panic(badLength)
	}
	if k == 0 {
		return
	}
	switch tier {
	case AVX512:
		softmaxAVX512(ptr(t), k, m)
	case AVX2:
		softmaxAVX2(ptr(t), k, m)
	default:
		softmaxPlain(t, k, m)
	}
}

// SoftmaxProduct multiplies the second derivative of log Σ e^t of each of m rows
// with probabilities p by its vector s:
//
//	s_c = p_c (s_c - Σ_j p_j s_j)
//
// Class c of row i is at c*m+i; len(s) = len(p) = k m.
func SoftmaxProduct(s, p []float64, k, m int) {
	if k < 0 || m < 0 || len(s) != k*m || len(p) != k*m {
		panic(badLength)
	}
	if k == 0 {
		return
	}
	switch tier {
	case AVX512:
		softmaxProductAVX512(ptr(s), ptr(p), k, m)
	case AVX2:
		softmaxProductAVX2(ptr(s), ptr(p), k, m)
	default:
		softmaxProductPlain(s, p, k, m)
	}
}
