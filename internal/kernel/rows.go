package kernel

// Scores sets t_i = <a_i, z> for the len(t) rows a_i of a; d = len(z).
func Scores(t, a []float64, stride int, z []float64) {
	checkRows(a, stride, len(z), len(t))
	switch vectorTier(len(z)) {
	case AVX512:
		scoresAVX512(ptr(t), ptr(a), stride, ptr(z), len(t), len(z))
	case AVX2:
		scoresAVX2(ptr(t), ptr(a), stride, ptr(z), len(t), len(z))
	default:
		scoresPlain(t, a, stride, z)
	}
}

// Scores2 sets t_i = <a_i, z> and s_i = <a_i, v> for the rows a_i of a and
// reads each row once; len(s) = len(t) is the number of rows and
// d = len(z) = len(v).
func Scores2(t, s, a []float64, stride int, z, v []float64) {
	if len(s) != len(t) || len(v) != len(z) {
		panic(badLength)
	}
	checkRows(a, stride, len(z), len(t))
	switch vectorTier(len(z)) {
	case AVX512:
		scores2AVX512(ptr(t), ptr(s), ptr(a), stride, ptr(z), ptr(v), len(t), len(z))
	case AVX2:
		scores2AVX2(ptr(t), ptr(s), ptr(a), stride, ptr(z), ptr(v), len(t), len(z))
	default:
		scores2Plain(t, s, a, stride, z, v)
	}
}

// Combine computes a combination of the len(c) rows a_i of a:
//
//	dz = w Σ_i c_i a_i,    or with add    dz += w Σ_i c_i a_i
//
// d = len(dz). Meanwhile next, rows that are needed soon, is fetched into the
// second cache; it may be nil.
func Combine(dz, a []float64, stride int, c []float64, w float64, add bool, next []float64) {
	checkRows(a, stride, len(dz), len(c))
	switch tier {
	case AVX512:
		combineAVX512(ptr(dz), ptr(a), stride, ptr(c), len(c), len(dz), w, add,
			ptr(next), 8*len(next), lines(next, len(c), 1))
	case AVX2:
		combineAVX2(ptr(dz), ptr(a), stride, ptr(c), len(c), len(dz), w, add, ptr(next), 8*len(next), lines(next, len(c), 1))
	default:
		combinePlain(dz, a, stride, c, w, add)
	}
}

// Combine2 computes two combinations of the rows of a and reads each row once:
//
//	dz = w Σ_i cg_i a_i    hv = w Σ_i ch_i a_i
//
// or with add adds them to dz and hv. d = len(dz) = len(hv), and
// len(cg) = len(ch) is the number of rows.
func Combine2(dz, hv, a []float64, stride int, cg, ch []float64, w float64, add bool, next []float64) {
	if len(hv) != len(dz) || len(ch) != len(cg) {
		panic(badLength)
	}
	checkRows(a, stride, len(dz), len(cg))
	switch tier {
	case AVX512:
		combine2AVX512(ptr(dz), ptr(hv), ptr(a), stride, ptr(cg), ptr(ch), len(cg), len(dz), w, add,
			ptr(next), 8*len(next), lines(next, len(cg), 1))
	case AVX2:
		combine2AVX2(ptr(dz), ptr(hv), ptr(a), stride, ptr(cg), ptr(ch), len(cg), len(dz), w, add,
			ptr(next), 8*len(next), lines(next, len(cg), 1))
	default:
		combine2Plain(dz, hv, a, stride, cg, ch, w, add)
	}
}

// lines is how many lines a kernel asks for with four of its rows, or what is
// left of them, in each of its phases (scores, coefficients, combinations), to
// get all of next.
func lines(next []float64, rows, phases int) int {
	per := max(8, 8*((rows+3)/4)*phases)
	return (len(next) + per - 1) / per
}

// Gram computes the weighted Gram matrix of the len(c) rows a_i of a:
//
//	H = w Σ_i c_i a_i a_iᵀ,    or with add    H += w Σ_i c_i a_i a_iᵀ
//
// h is H, d×d, row-major. Only the lower triangle of H, elements j*d+l with
// l ≤ j, is defined afterwards; elements above the diagonal may be overwritten.
// The cost is d² multiplications a row.
func Gram(h, a []float64, stride, d int, c []float64, w float64, add bool) {
	if d < 0 || len(h) != d*d {
		panic(badLength)
	}
	checkRows(a, stride, d, len(c))
	switch tier {
	case AVX512:
		gramAVX512(ptr(h), ptr(a), stride, d, ptr(c), len(c), w, add)
	case AVX2:
		gramAVX2(ptr(h), ptr(a), stride, d, ptr(c), len(c), w, add)
	default:
		gramPlain(h, a, stride, d, c, w, add)
	}
}
