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
	scoresKPlain(t, a, stride, z, k, d, rows)
}

// CombineK computes k combinations of the rows a_i of a:
//
//	dz_c = w Σ_i c[c*rows+i] a_i,    or with add    dz_c += w Σ_i c[c*rows+i] a_i
//
// dz is class-major, dz_c = dz[c*d:(c+1)*d]; len(dz) = k d and
// len(c) = k rows.
func CombineK(dz, a []float64, stride int, c []float64, k, d, rows int, w float64, add bool) {
	checkK(c, dz, k, d, rows)
	checkRows(a, stride, d, rows)
	combineKPlain(dz, a, stride, c, k, d, rows, w, add)
}

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
	sparseScoresPlain(t, idx, val, z, k)
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
	sparseCombinePlain(dz, idx, val, c, k)
}
