package kernel

// LogisticProducts computes the gradient at z and the Hessian-vector product
// with v of the logistic loss over the rows a_i of a with labels y_i = ±1:
//
//	t_i = <a_i, z>    s_i = <a_i, v>
//	dz  = -w Σ_i y_i σ(-y_i t_i) a_i
//	hv  =  w Σ_i σ(y_i t_i) σ(-y_i t_i) s_i a_i
//
// len(y) is the number of rows and d = len(dz) = len(hv) = len(z) = len(v).
// dz and hv are overwritten. The rows are read from memory once. Meanwhile next
// is fetched as by [Combine], but not with a single row.
func LogisticProducts(dz, hv, a []float64, stride int, y, z, v []float64, w float64, next []float64) {
	if len(dz) != len(z) || len(hv) != len(z) || len(v) != len(z) {
		panic(badLength)
	}
	checkRows(a, stride, len(z), len(y))
	switch vectorTier(len(z)) {
	case AVX512:
		logisticProductsAVX512(ptr(dz), ptr(hv), ptr(a), stride, ptr(y), ptr(z), ptr(v), len(y), len(z), logisticRows(stride),
			w, false, ptr(next), 8*len(next), lines(next, len(y), 3))
	case AVX2:
		logisticProductsAVX2(ptr(dz), ptr(hv), ptr(a), stride, ptr(y), ptr(z), ptr(v), len(y), len(z), logisticRows(stride),
			w, false, ptr(next), 8*len(next), lines(next, len(y), 3))
	default:
		logisticProductsPlain(dz, hv, a, stride, y, z, v, w)
	}
}

// LogisticGrad computes the gradient part of LogisticProducts:
//
//	dz = -w Σ_i y_i σ(-y_i <a_i, z>) a_i
//
// len(y) is the number of rows and d = len(dz) = len(z). dz is overwritten, next
// fetched as by LogisticProducts.
func LogisticGrad(dz, a []float64, stride int, y, z []float64, w float64, next []float64) {
	if len(dz) != len(z) {
		panic(badLength)
	}
	checkRows(a, stride, len(z), len(y))
	switch vectorTier(len(z)) {
	case AVX512:
		logisticGradAVX512(ptr(dz), ptr(a), stride, ptr(y), ptr(z), len(y), len(z), logisticRows(stride), w, false,
			ptr(next), 8*len(next), lines(next, len(y), 3))
	case AVX2:
		logisticGradAVX2(ptr(dz), ptr(a), stride, ptr(y), ptr(z), len(y), len(z), logisticRows(stride), w, false,
			ptr(next), 8*len(next), lines(next, len(y), 3))
	default:
		logisticGradPlain(dz, a, stride, y, z, w)
	}
}

// LogisticHess computes the Hessian-vector product of LogisticProducts alone:
//
//	hv = w Σ_i σ(t_i) σ(-t_i) <a_i, v> a_i
//
// for n rows, the same numbers as there. d = len(hv) = len(z) = len(v). hv is
// overwritten, next fetched as there.
func LogisticHess(hv, a []float64, stride, n int, z, v []float64, w float64, next []float64) {
	if len(hv) != len(z) || len(v) != len(z) {
		panic(badLength)
	}
	checkRows(a, stride, len(z), n)
	switch vectorTier(len(z)) {
	case AVX512:
		logisticHessAVX512(ptr(hv), ptr(a), stride, ptr(z), ptr(v), n, len(z), logisticRows(stride), w, false,
			ptr(next), 8*len(next), lines(next, n, 3))
	case AVX2:
		logisticHessAVX2(ptr(hv), ptr(a), stride, ptr(z), ptr(v), n, len(z), logisticRows(stride), w, false,
			ptr(next), 8*len(next), lines(next, n, 3))
	default:
		logisticHessPlain(hv, a, stride, n, z, v, w)
	}
}

// LogisticValueGrad returns the logistic loss
//
//	w Σ_i log(1 + e^{-y_i <a_i, z>})
//
// and stores its gradient in dz, or with add adds it to dz. With a nil dz it
// computes the loss only. len(y) is the number of rows and d = len(z), also
// the length of dz. The rows are read from memory once. next is fetched as by
// LogisticProducts.
func LogisticValueGrad(dz, a []float64, stride int, y, z []float64, w float64, add bool,
	next []float64) (loss float64) {
	if dz != nil && len(dz) != len(z) {
		panic(badLength)
	}
	checkRows(a, stride, len(z), len(y))
	switch vectorTier(len(z)) {
	case AVX512:
		return logisticValueGradAVX512(ptr(dz), ptr(a), stride, ptr(y), ptr(z), len(y), len(z), logisticRows(stride), w, add,
			ptr(next), 8*len(next), lines(next, len(y), 3))
	case AVX2:
		return logisticValueGradAVX2(ptr(dz), ptr(a), stride, ptr(y), ptr(z), len(y), len(z), logisticRows(stride), w, add,
			ptr(next), 8*len(next), lines(next, len(y), 3))
	}
	return logisticValueGradPlain(dz, a, stride, y, z, w, add)
}

// logisticRows is the number of rows that the fused kernels score and then
// combine while they are in the first-level cache: 64 or, of wide rows, a
// multiple of 8.
func logisticRows(stride int) int {
	const most, numbers = 64, 2048
	if stride*most <= numbers {
		return most
	}
	return max(8, numbers/stride&^7)
}

// LogisticLink turns scores into the coefficients of LogisticProducts:
//
//	cg_i = -y_i σ(-y_i t_i)
//	ch_i = σ(y_i t_i) σ(-y_i t_i) s_i
//
// The lengths are equal, except that ch and s may both be nil. cg may be t and
// ch may be s.
func LogisticLink(cg, ch, t, s, y []float64) {
	if len(cg) != len(y) || len(t) != len(y) || len(ch) != len(s) || ch != nil && len(ch) != len(y) {
		panic(badLength)
	}
	switch {
	case tier == AVX512 && ch == nil:
		logisticLinkAVX512(ptr(cg), ptr(t), ptr(y), len(y))
	case tier == AVX512:
		logisticLink2AVX512(ptr(cg), ptr(ch), ptr(t), ptr(s), ptr(y), len(y))
	case tier == AVX2 && ch == nil:
		logisticLinkAVX2(ptr(cg), ptr(t), ptr(y), len(y))
	case tier == AVX2:
		logisticLink2AVX2(ptr(cg), ptr(ch), ptr(t), ptr(s), ptr(y), len(y))
	default:
		logisticLinkPlain(cg, ch, t, s, y)
	}
}

// LogisticCoefs computes the scores of the rows a_i of a and turns them into
// the coefficients of LogisticLink, t = <a_i, z> and s = <a_i, v>. len(cg) =
// len(y) is the number of rows and d = len(z); ch and v may both be nil. next
// is fetched as by [Combine].
func LogisticCoefs(cg, ch, a []float64, stride int, y, z, v []float64, next []float64) {
	if len(cg) != len(y) || ch != nil && (len(ch) != len(y) || len(v) != len(z)) {
		panic(badLength)
	}
	checkRows(a, stride, len(z), len(y))
	switch t := vectorTier(len(z)); {
	case t == AVX512 && ch == nil:
		logisticCoefsAVX512(ptr(cg), ptr(a), stride, ptr(y), ptr(z), len(y), len(z),
			ptr(next), 8*len(next), lines(next, len(y), 2))
	case t == AVX512:
		logisticCoefs2AVX512(ptr(cg), ptr(ch), ptr(a), stride, ptr(y), ptr(z), ptr(v), len(y), len(z),
			ptr(next), 8*len(next), lines(next, len(y), 2))
	case t == AVX2 && ch == nil:
		logisticCoefsAVX2(ptr(cg), ptr(a), stride, ptr(y), ptr(z), len(y), len(z),
			ptr(next), 8*len(next), lines(next, len(y), 2))
	case t == AVX2:
		logisticCoefs2AVX2(ptr(cg), ptr(ch), ptr(a), stride, ptr(y), ptr(z), ptr(v), len(y), len(z),
			ptr(next), 8*len(next), lines(next, len(y), 2))
	default:
		scoresPlain(cg, a, stride, z)
		if ch != nil {
			scoresPlain(ch, a, stride, v)
		}
		logisticLinkPlain(cg, ch, cg, ch, y)
	}
}

// LogisticLoss returns Σ_i log(1 + e^{-y_i t_i}). Large margins neither
// overflow nor lose the value. The lengths are equal.
func LogisticLoss(t, y []float64) float64 {
	if len(t) != len(y) {
		panic(badLength)
	}
	switch tier {
	case AVX512:
		return logisticLossAVX512(ptr(t), ptr(y), len(y))
	case AVX2:
		return logisticLossAVX2(ptr(t), ptr(y), len(y))
	}
	return logisticLossPlain(t, y)
}

// LogisticLossLink returns LogisticLoss and sets cg_i = -y_i σ(-y_i t_i). The
// lengths are equal; cg may be t.
func LogisticLossLink(cg, t, y []float64) float64 {
	if len(cg) != len(y) || len(t) != len(y) {
		panic(badLength)
	}
	switch tier {
	case AVX512:
		return logisticLossLinkAVX512(ptr(cg), ptr(t), ptr(y), len(y))
	case AVX2:
		return logisticLossLinkAVX2(ptr(cg), ptr(t), ptr(y), len(y))
	}
	return logisticLossLinkPlain(cg, t, y)
}
