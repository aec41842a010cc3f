package kernel

import "math"

// The plain twins: straightforward scalar Go, the meaning of every kernel and
// its implementation where no vector unit is known.

func dotPlain(x, y []float64) (sum float64) {
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}

func axpyPlain(a float64, x, y []float64) {
	for i, v := range x {
		y[i] += a * v
	}
}

func axpbyPlain(a float64, x []float64, b float64, y []float64) {
	if b == 0 {
		for i, v := range x {
			y[i] = a * v
		}
		return
	}
	for i, v := range x {
		y[i] = a*v + b*y[i]
	}
}

func axpy2Plain(a float64, x1, x2, y []float64) {
	for i := range y {
		y[i] += a * (x1[i] + x2[i])
	}
}

func scalePlain(a float64, x []float64) {
	for i := range x {
		x[i] *= a
	}
}

func sagaStepPlain(y, avg, delta []float64, rho, c, w, keep float64) {
	for i, v := range delta {
		g := avg[i]
		y[i] = keep*y[i] - rho*(c*v+g)
		avg[i] = g + w*v
	}
}

func swapDiffPlain(mem, next []float64) {
	for i, v := range next {
		mem[i], next[i] = v, v-mem[i]
	}
}

func expPlain(dst, x []float64) {
	for i, v := range x {
		dst[i] = math.Exp(v)
	}
}

func log1pPlain(dst, x []float64) {
	for i, v := range x {
		dst[i] = math.Log1p(v)
	}
}

func sigmoidPlain(dst, x []float64) {
	for i, v := range x {
		dst[i] = sigmoid(v)
	}
}

func softplusPlain(dst, x []float64) {
	for i, v := range x {
		dst[i] = softplus(v)
	}
}

// sigmoid returns 1/(1+e^-u) through e^-|u|, which neither overflows nor
// cancels.
func sigmoid(u float64) float64 {
	if u >= 0 {
		return 1 / (1 + math.Exp(-u))
	}
	e := math.Exp(u)
	return e / (1 + e)
}

// softplus returns log(1+e^u).
func softplus(u float64) float64 {
	if u > 0 {
		return u + math.Log1p(math.Exp(-u))
	}
	return math.Log1p(math.Exp(u))
}

// logistic returns σ(-u) and σ(u)σ(-u).
func logistic(u float64) (p, pq float64) {
	e := math.Exp(-math.Abs(u))
	q := 1 / (1 + e)
	small := e * q
	if u >= 0 {
		return small, small * q
	}
	return q, small * q
}

// logisticLoss returns log(1+e^-u) and σ(-u).
func logisticLoss(u float64) (loss, p float64) {
	e := math.Exp(-math.Abs(u))
	q := 1 / (1 + e)
	loss = math.Log1p(e)
	if u >= 0 {
		return loss, e * q
	}
	return loss - u, q
}

func scoresPlain(t, a []float64, stride int, z []float64) {
	for i := range t {
		t[i] = dotPlain(z, a[i*stride:])
	}
}

func scores2Plain(t, s, a []float64, stride int, z, v []float64) {
	for i := range t {
		row := a[i*stride:][:len(z)]
		var x, y float64
		for j, f := range row {
			x += f * z[j]
			y += f * v[j]
		}
		t[i], s[i] = x, y
	}
}

func combinePlain(dz, a []float64, stride int, c []float64, w float64, add bool) {
	if !add {
		clear(dz)
	}
	for i, f := range c {
		axpyPlain(w*f, a[i*stride:][:len(dz)], dz)
	}
}

func combine2Plain(dz, hv, a []float64, stride int, cg, ch []float64, w float64, add bool) {
	if !add {
		clear(dz)
		clear(hv)
	}
	for i := range cg {
		g, h := w*cg[i], w*ch[i]
		for j, f := range a[i*stride:][:len(dz)] {
			dz[j] += g * f
			hv[j] += h * f
		}
	}
}

func logisticProductsPlain(dz, hv, a []float64, stride int, y, z, v []float64, w float64) {
	clear(dz)
	clear(hv)
	for i, label := range y {
		row := a[i*stride:][:len(z)]
		var t, s float64
		for j, f := range row {
			t += f * z[j]
			s += f * v[j]
		}
		p, pq := logistic(label * t)
		g, h := -w*label*p, w*pq*s
		for j, f := range row {
			dz[j] += g * f
			hv[j] += h * f
		}
	}
}

func logisticHessPlain(hv, a []float64, stride, n int, z, v []float64, w float64) {
	clear(hv)
	for i := range n {
		row := a[i*stride:][:len(z)]
		_, pq := logistic(dotPlain(row, z))
		axpyPlain(w*pq*dotPlain(row, v), row, hv)
	}
}

func logisticGradPlain(dz, a []float64, stride int, y, z []float64, w float64) {
	clear(dz)
	for i, label := range y {
		row := a[i*stride:][:len(z)]
		p, _ := logistic(label * dotPlain(row, z))
		axpyPlain(-w*label*p, row, dz)
	}
}

func logisticValueGradPlain(dz, a []float64, stride int, y, z []float64, w float64, add bool) (loss float64) {
	if !add {
		clear(dz)
	}
	for i, label := range y {
		row := a[i*stride:][:len(z)]
		l, p := logisticLoss(label * dotPlain(row, z))
		loss += l
		if dz != nil {
			axpyPlain(-w*label*p, row, dz)
		}
	}
	return w * loss
}

func logisticLinkPlain(cg, ch, t, s, y []float64) {
	if ch == nil {
		for i, label := range y {
			p, _ := logistic(label * t[i])
			cg[i] = -label * p
		}
		return
	}
	for i, label := range y {
		p, pq := logistic(label * t[i])
		cg[i], ch[i] = -label*p, pq*s[i]
	}
}

func logisticLossPlain(t, y []float64) (loss float64) {
	for i, label := range y {
		loss += softplus(-label * t[i])
	}
	return loss
}

func logisticLossLinkPlain(cg, t, y []float64) (loss float64) {
	for i, label := range y {
		l, p := logisticLoss(label * t[i])
		loss += l
		cg[i] = -label * p
	}
	return loss
}

func softmaxPlain(t []float64, k, m int) {
	for i := range m {
		top, sum := math.Inf(-1), 0.0
		for c := range k {
			top = max(top, t[c*m+i])
		}
		for c := range k {
			e := math.Exp(t[c*m+i] - top)
			t[c*m+i] = e
			sum += e
		}
		inv := 1 / sum
		for c := range k {
			t[c*m+i] *= inv
		}
	}
}

func softmaxProductPlain(s, p []float64, k, m int) {
	for i := range m {
		mean := 0.0
		for c := range k {
			mean += p[c*m+i] * s[c*m+i]
		}
		for c := range k {
			s[c*m+i] = p[c*m+i] * (s[c*m+i] - mean)
		}
	}
}

func scoresKPlain(t, a []float64, stride int, z []float64, k, d, rows int) {
	for i := range rows {
		row := a[i*stride:][:d]
		for c := range k {
			t[c*rows+i] = dotPlain(row, z[c*d:])
		}
	}
}

func combineKPlain(dz, a []float64, stride int, c []float64, k, d, rows int, w, keep float64) {
	if keep == 0 {
		clear(dz)
	} else {
		scalePlain(keep, dz)
	}
	for i := range rows {
		row := a[i*stride:][:d]
		for m := range k {
			axpyPlain(w*c[m*rows+i], row, dz[m*d:])
		}
	}
}

func gramPlain(h, a []float64, stride, d int, c []float64, w float64, add bool) {
	if !add {
		for j := range d {
			clear(h[j*d:][:j+1])
		}
	}
	for i, f := range c {
		row := a[i*stride:][:d]
		for j, x := range row {
			axpyPlain(w*f*x, row[:j+1], h[j*d:])
		}
	}
}

func sparseScoresPlain(t []float64, idx []int32, val []float64, z []float64, k int) {
	clear(t)
	for j, f := range val {
		axpyPlain(f, z[int(idx[j])*k:][:k], t)
	}
}

func sparseCombinePlain(dz []float64, idx []int32, val []float64, c []float64, k int) {
	for j, f := range val {
		axpyPlain(f, c, dz[int(idx[j])*k:][:k])
	}
}

// ridgeMax bounds the exponents of the regulariser: e^709 is finite.
const ridgeMax = 709

func ridgeExp(x float64) float64 {
	if x > ridgeMax {
		x = ridgeMax
	}
	return math.Exp(x)
}

func expRidgePlain(dz, hv, cv, z, x, v []float64, scale float64, add bool) {
	for j, u := range x {
		e := scale * ridgeExp(u)
		ez := e * z[j]
		if cv != nil {
			cv[j] = ez * v[j]
		}
		if hv != nil {
			ev := e * v[j]
			if add {
				ev += hv[j]
			}
			hv[j] = ev
		}
		if dz != nil {
			if add {
				ez += dz[j]
			}
			dz[j] = ez
		}
	}
}

func expRidgeValuePlain(z, x []float64, scale float64) (sum float64) {
	for j, u := range x {
		sum += ridgeExp(u) * z[j] * z[j]
	}
	return 0.5 * scale * sum
}
