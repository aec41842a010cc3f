package kernel

// ScoresK computes k scores of each row a_i of a:
//
//	t[c*rows+i] = <a_i, z_c>
//
// z is class-major, z_c = z[c*d:(c+1)*d]; len(z) = k d and len(t) = k rows.
// Calls of 64 to 256 rows keep the rows in cache.
func ScoresK(t, a []float64, stride int, z []float64, k, d, rows int) {
	checkK(t, z, k, d, rows)
	checkRows(a, stride, d, rows)
	if k == 0 || rows == 0 {
		return
	}
	tier := vectorTier(d)
	if tier == Plain {
		scoresKPlain(t, a, stride, z, k, d, rows)
		return
	}
	// Blocks of about equal size, none for a row that is read once.
	size := d
	if rows >= 4 {
		most := min(400, max(128, scoresKCache/(k+4)))
		blocks := (d + most - 1) / most
		size = ((d+blocks-1)/blocks + 7) &^ 7
	}
	for j := 0; j < d; j += size {
		n := min(size, d-j)
		if tier == AVX512 {
			scoresKAVX512(ptr(t), ptr(a[j:]), stride, ptr(z[j:]), d, k, n, rows, j > 0)
		} else {
			scoresKAVX2(ptr(t), ptr(a[j:]), stride, ptr(z[j:]), d, k, n, rows, j > 0)
		}
	}
}

// CombineK computes k combinations of the rows a_i of a:
//
//	dz_c = keep dz_c + w Σ_i c[c*rows+i] a_i
//
// dz is class-major, dz_c = dz[c*d:(c+1)*d]; len(dz) = k d and
// len(c) = k rows. With keep = 0 what dz held does not matter, not even NaN.
func CombineK(dz, a []float64, stride int, c []float64, k, d, rows int, w, keep float64) {
	CombineKAhead(dz, a, stride, c, k, d, rows, w, keep, nil)
}

// CombineKAhead is [CombineK] and meanwhile asks for the cache lines of ahead,
// at the pace that memory delivers. It returns the part that it did not reach.
func CombineKAhead(dz, a []float64, stride int, c []float64, k, d, rows int, w, keep float64,
	ahead []float64) (rest []float64) {
	checkK(c, dz, k, d, rows)
	checkRows(a, stride, d, rows)
	bytes := 0
	switch {
	case tier == Plain:
		combineKPlain(dz, a, stride, c, k, d, rows, w, keep)
	case rows == 1 && tier == AVX512:
		bytes = combineRowAVX512(ptr(dz), ptr(a), ptr(c), k, d, w, keep, ptr(ahead), 8*len(ahead))
	case rows == 1:
		bytes = combineRowAVX2(ptr(dz), ptr(a), ptr(c), k, d, w, keep, ptr(ahead), 8*len(ahead))
	case tier == AVX512:
		bytes = combineKAVX512(ptr(dz), ptr(a), stride, ptr(c), k, d, rows, w, keep, ptr(ahead), 8*len(ahead))
	default:
		bytes = combineKAVX2(ptr(dz), ptr(a), stride, ptr(c), k, d, rows, w, keep, ptr(ahead), 8*len(ahead))
	}
	return ahead[min(bytes/8, len(ahead)):]
}

// scoresKCache is how many numbers of z and of four rows ScoresK works on at a
// time, so that they stay in the first-level cache.
const scoresKCache = 2800

func checkK(t, z []float64, k, d, rows int) {
	if k < 0 || d < 0 || rows < 0 || len(t) != k*rows || len(z) != k*d {
		panic(badLength)
	}
}

// SparseScores computes k scores of a sparse row with value val_j in column
// idx_j:
//
//	t = Σ_j val_j z[idx_j*k : idx_j*k+k]
//
// z is feature-major, len(t) = k and len(val) = len(idx). It panics if a
// column lies outside z.
func SparseScores(t []float64, idx []int32, val []float64, z []float64, k int) {
	if len(t) != k || len(val) != len(idx) {
		panic(badLength)
	}
	if k == 1 {
		var sum float64
		for j, f := range val {
			sum += f * z[idx[j]]
		}
		t[0] = sum
		return
	}
	ok := true
	switch vectorTier(k) {
	case AVX512:
		ok = sparseScoresAVX512(ptr(t), ptr(idx), ptr(val), len(val), ptr(z), k, len(z)/k)
	case AVX2:
		ok = sparseScoresAVX2(ptr(t), ptr(idx), ptr(val), len(val), ptr(z), k, len(z)/k)
	default:
		sparseScoresPlain(t, idx, val, z, k)
	}
	if !ok {
		panic(badColumn)
	}
}

// SparseCombine adds a multiple of a sparse row to each of k combinations:
//
//	dz[idx_j*k : idx_j*k+k] += val_j c
//
// dz is feature-major, len(c) = k and len(val) = len(idx). Columns may repeat.
// It panics if a column lies outside dz.
func SparseCombine(dz []float64, idx []int32, val []float64, c []float64, k int) {
	if len(c) != k || len(val) != len(idx) {
		panic(badLength)
	}
	if k == 1 {
		for j, f := range val {
			dz[idx[j]] += f * c[0]
		}
		return
	}
	ok := true
	switch vectorTier(k) {
	case AVX512:
		ok = sparseCombineAVX512(ptr(dz), ptr(idx), ptr(val), len(val), ptr(c), k, len(dz)/k)
	case AVX2:
		ok = sparseCombineAVX2(ptr(dz), ptr(idx), ptr(val), len(val), ptr(c), k, len(dz)/k)
	default:
		sparseCombinePlain(dz, idx, val, c, k)
	}
	if !ok {
		panic(badColumn)
	}
}
