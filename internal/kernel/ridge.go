package kernel

// ExpRidge computes the derivatives of the regulariser
// ½ Σ_j scale e^{x_j} z_j², with e_j = scale e^{min(x_j, 709)}:
//
//	dz_j = e_j z_j       the gradient in z
//	hv_j = e_j v_j       the Hessian in z times v
//	cv_j = e_j z_j v_j   the cross derivative times v
//
// With add the first two are added to dz and hv; cv is always overwritten. The
// lengths are equal, except that any of dz, hv and cv may be nil, and v too if
// hv and cv are.
func ExpRidge(dz, hv, cv, z, x, v []float64, scale float64, add bool) {
	n := len(x)
	if len(z) != n || dz != nil && len(dz) != n || hv != nil && len(hv) != n ||
		cv != nil && len(cv) != n || len(v) != n && (v != nil || hv != nil || cv != nil) {
		panic(badLength)
	}
	switch tier {
	case AVX512:
		expRidgeAVX512(ptr(dz), ptr(hv), ptr(cv), ptr(z), ptr(x), ptr(v), n, scale, add)
	case AVX2:
		expRidgeAVX2(ptr(dz), ptr(hv), ptr(cv), ptr(z), ptr(x), ptr(v), n, scale, add)
	default:
		expRidgePlain(dz, hv, cv, z, x, v, scale, add)
	}
}

// ExpRidgeValue returns ½ Σ_j scale e^{min(x_j, 709)} z_j². The lengths are
// equal.
func ExpRidgeValue(z, x []float64, scale float64) float64 {
	if len(z) != len(x) {
		panic(badLength)
	}
	switch tier {
	case AVX512:
		return 0.5 * scale * expRidgeValueAVX512(ptr(z), ptr(x), len(x))
	case AVX2:
		return 0.5 * scale * expRidgeValueAVX2(ptr(z), ptr(x), len(x))
	}
	return expRidgeValuePlain(z, x, scale)
}
