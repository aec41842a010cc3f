package model

// link is a loss of the k scores of a row. Scores of rows lo, lo+1, … come in t: row lo+i, score c is at
// t[c*cs+i*is]. Second-order arguments come in s, laid out alike. tmp has room for 2m numbers, and for (3+k)m
// where a [weighted] link is meant.
type link interface {
	// loss is the sum of the losses of m rows; it may overwrite t.
	loss(t, tmp []float64, lo, m, cs, is int) float64
	// coefs replaces t by ∂ℓ/∂t and s, unless nil, by ∂²ℓ/∂t²·s.
	coefs(t, s, tmp []float64, lo, m, cs, is int)
	// lossCoefs is loss and coefs (without s) in one.
	lossCoefs(t, tmp []float64, lo, m, cs, is int) float64
	// curvature replaces t by what apply needs.
	curvature(t, tmp []float64, lo, m, cs, is int)
	// apply replaces s by ∂²ℓ/∂t²·s, where w is what curvature left.
	apply(s, w, tmp []float64, lo, m, cs, is int)
	// weight is the entry (c, c') of ∂²ℓ/∂t² of m rows, from w.
	weight(dst, w []float64, c, c2, lo, m, cs, is int)
}

// rowLink is a link that gives the losses of rows one by one.
type rowLink interface {
	link
	// losses overwrites dst with the losses of m rows and replaces t by ∂ℓ/∂t.
	losses(dst, t, tmp []float64, lo, m, cs, is int)
}
