package model

import (
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/rows"
)

// NoiseOptions are the settings of [NewNoise].
type NoiseOptions struct {
	Classes int   // k, at least 2
	Labels  []int // of the rows, some of them wrong
	// Trusted says which labels are right; nil is none of them.
	Trusted []bool
	// Fold has the fold of each row, from 0 to Folds − 1. Without folds there is one model, of all rows.
	Fold  []int
	Folds int
	// Inner and Outer are the forms of T at the two levels, the same unless Inner is [RightLabels]: a model of the
	// labels as they are, whose errors only the outer loss explains by noise.
	Inner, Outer Transitions
	// Ridge is the λ that belongs to a zero among the outer variables, above zero.
	Ridge float64
	// Intercept says that the last feature is constant. Its coefficients are hardly penalised.
	Intercept bool
}

// Noise is a softmax model of the true class of rows whose labels passed a transition matrix T, with the matrix, the
// ridge and a temperature as outer variables, in cross-validation. With p = softmax(A_i z) and label y the loss of a
// row is
//
//	ℓ_i(z, T) = −log Σ_k p_k T_ky,   and −log p_y where the label is trusted,
//
// z stacks a model for each fold, and
//
//	inner  g(z, x) = mean over rows of Σ over the other folds f of ℓ_i(z_f, T)  +  λ/2n ‖z‖²,
//	outer  f(z, x) = mean over rows of ℓ_i(βz_f, T), f the row's own fold,  −  log prior(x)/n.
//
// The outer loss is a proper score of labels as they are: no label needs to be trusted. x has the variables of T (see
// [Transitions]), log λ relative to [NoiseOptions].Ridge, and log β. A temperature β above one undoes what a strong
// ridge does to probabilities; soft ones hide noise.
//
// ℓ is not convex in z unless T = I: its Hessian in the scores is cov(p) − cov(r) with r_k ∝ p_k T_ky, what is believed
// of the true class once the label is known.
//
// Patrini et al., Making deep neural networks robust to label noise: a loss correction approach, 2017, section 4.2
// (the forward loss, with T given).
type Noise struct {
	Inner, Outer *NoiseLoss // Outer is nil without folds
}

// NewNoise makes the objectives for the rows of a, which they keep, and labels.
func NewNoise(a rows.Matrix, o NoiseOptions) (*Noise, error) {
	n := len(o.Labels)
	switch {
	case o.Classes < 2:
		return nil, fmt.Errorf("model: noise needs at least 2 classes, not %d", o.Classes)
	case !o.Inner.known() || !o.Outer.known() || o.Inner != o.Outer && o.Inner != RightLabels:
		return nil, fmt.Errorf("model: noise of the forms %v and %v", o.Inner, o.Outer)
	case !(o.Ridge > 0) || math.IsInf(o.Ridge, 0):
		return nil, fmt.Errorf("model: a ridge of %v", o.Ridge)
	case o.Trusted != nil && len(o.Trusted) != n:
		return nil, fmt.Errorf("model: %d labels, and %d say whether they are trusted", n, len(o.Trusted))
	case o.Folds != 0 && (o.Folds < 2 || len(o.Fold) != n):
		return nil, fmt.Errorf("model: %d folds of %d rows, and %d labels", o.Folds, len(o.Fold), n)
	}
	for i, c := range o.Labels {
		if c < 0 || c >= o.Classes {
			return nil, fmt.Errorf("model: label %d is %d, of %d classes", i, c, o.Classes)
		}
		if o.Folds > 0 && (o.Fold[i] < 0 || o.Fold[i] >= o.Folds) {
			return nil, errors.New("model: a fold outside of the range of folds")
		}
	}
	l := noiseLink{k: o.Classes, copies: max(o.Folds, 1), y: o.Labels, trusted: o.Trusted}
	if o.Folds > 0 {
		l.fold = o.Fold
	}
	make1 := func(l noiseLink, form Transitions) (*NoiseLoss, error) {
		p := transitions[o.Outer].len(o.Classes) + 2
		l.t = make([]float64, o.Classes*o.Classes)
		l.columns = make([]float64, o.Classes*o.Classes)
		l.own = make([]float64, o.Classes*o.Classes)
		identity(l.own, o.Classes, 0)
		loss, err := newLoss(a, &l, n, l.k*l.copies, p)
		if err != nil {
			return nil, err
		}
		return &NoiseLoss{loss: loss, link: &l, a: a, o: o, form: transitions[form], kept: make([]float64, p)}, nil
	}
	inner, err := make1(l, o.Inner)
	if err != nil || o.Folds == 0 {
		return &Noise{Inner: inner}, err
	}
	l.held = true
	outer, err := make1(l, o.Outer)
	return &Noise{inner, outer}, err
}

// X are outer variables: those of a matrix t of the outer form near the given one, λ and β.
func (o *Noise) X(t []float64, ridge, beta float64) []float64 {
	g := o.Inner
	form := transitions[g.o.Outer]
	q := form.len(g.o.Classes)
	x := make([]float64, q+2)
	form.point(x[:q], t, g.o.Classes)
	x[q], x[q+1] = math.Log(ridge/g.o.Ridge), math.Log(beta)
	return x
}

// At are T (row by row), λ and β at x.
func (o *Noise) At(x []float64) (t []float64, ridge, beta float64) {
	g := o.Inner
	form := transitions[g.o.Outer]
	q := form.len(g.o.Classes)
	t = make([]float64, g.o.Classes*g.o.Classes)
	form.set(t, x[:q], g.o.Classes)
	return t, g.o.Ridge * math.Exp(x[q]), math.Exp(x[q+1])
}

// NoiseLoss is one level of [Noise].
type NoiseLoss struct {
	loss *Loss
	link *noiseLink
	a    rows.Matrix
	o    NoiseOptions
	form transition
	kept []float64 // x of Linearize
	dt   []float64 // scratch: a derivative with respect to T
}

var (
	_ bilevel.SecondOrder     = (*NoiseLoss)(nil)
	_ bilevel.Linearizer      = (*NoiseLoss)(nil)
	_ bilevel.ValueGradienter = (*NoiseLoss)(nil)
	_ bilevel.ColumnNormer    = (*NoiseLoss)(nil)
)

// Dims returns the lengths of the stacked z and of x.
func (o *NoiseLoss) Dims() (d, p int) { return o.loss.Dims() }

// Samples is the number of rows.
func (o *NoiseLoss) Samples() int { return o.loss.n }

// Layout says how z is laid out: class f·k + c is class c of the model of fold f.
func (o *NoiseLoss) Layout() Layout { return o.loss.layout }

// Ridge is the λ that belongs to a zero among the outer variables.
func (o *NoiseLoss) Ridge() float64 { return o.o.Ridge }

// ColumnNorms overwrites dst with those of the rows.
func (o *NoiseLoss) ColumnNorms(dst []float64) { o.loss.ColumnNorms(dst) }

// set fixes x.
func (o *NoiseLoss) set(x []float64) {
	l, q := o.link, len(x)-2
	if q > 0 {
		o.form.set(l.t, x[:q], l.k)
	} else {
		o.form.set(l.t, nil, l.k)
	}
	for c := range l.k {
		for j := range l.k {
			l.columns[j*l.k+c] = l.t[c*l.k+j]
		}
	}
	if l.beta = 1; l.held {
		l.beta = math.Exp(x[q+1])
	}
}

// strength is λ/n, and zero at the outer level.
func (o *NoiseLoss) strength(x []float64) float64 {
	if o.link.held {
		return 0
	}
	return o.o.Ridge * math.Exp(x[len(x)-2]) / float64(o.loss.n)
}

// interceptShare is what the penalty of an intercept is multiplied by: enough for a minimiser to be one.
const interceptShare = 1e-4

// eachIntercept calls see with the places of the intercepts.
func (o *NoiseLoss) eachIntercept(see func(i int)) {
	if !o.o.Intercept {
		return
	}
	l := o.loss.layout
	for c := range l.Classes {
		see(l.Index(c, l.Features-1))
	}
}

// shrunk is vᵀRw, with R the diagonal of shares of the penalty.
func (o *NoiseLoss) shrunk(v, w []float64) float64 {
	sum := kernel.Dot(v, w)
	o.eachIntercept(func(i int) { sum -= (1 - interceptShare) * v[i] * w[i] })
	return sum
}

// shrink adds sRv to dst, unless that is nil.
func (o *NoiseLoss) shrink(dst []float64, s float64, v []float64) {
	if dst == nil || s == 0 {
		return
	}
	kernel.Axpy(s, v, dst)
	o.eachIntercept(func(i int) { dst[i] -= (1 - interceptShare) * s * v[i] })
}

// penalty is the part of the value that depends on no row. It adds its derivative to dx unless that is nil.
func (o *NoiseLoss) penalty(dx, z, x []float64) float64 {
	q := len(x) - 2
	if s := o.strength(x); s > 0 {
		value := s / 2 * o.shrunk(z, z)
		if dx != nil {
			dx[q] += value
		}
		return value
	}
	prior := o.form.prior(nil, x[:q], o.link.k)
	if dx == nil {
		return (prior + normal(nil, x, q, 0, 3) + normal(nil, x, q+1, 0, 1)) / float64(o.loss.n)
	}
	d := make([]float64, len(x))
	prior = o.form.prior(d[:q], x[:q], o.link.k) + normal(d, x, q, 0, 3) + normal(d, x, q+1, 0, 1)
	kernel.Axpy(1/float64(o.loss.n), d, dx)
	return prior / float64(o.loss.n)
}

// Value is the mean loss over b, with penalties.
func (o *NoiseLoss) Value(z, x []float64, b bilevel.Batch) float64 {
	o.set(x)
	return o.loss.Value(z, nil, b) + o.penalty(nil, z, x)
}

// Grad overwrites dz and dx.
func (o *NoiseLoss) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	o.set(x)
	o.loss.Grad(dz, nil, z, nil, b)
	o.shrink(dz, o.strength(x), z)
	if dx != nil {
		o.slopes(dx, z, x, nil, b)
		o.penalty(dx, z, x)
	}
}

// ValueGrad is Value and Grad in one pass, and another one for dx.
func (o *NoiseLoss) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	o.set(x)
	value := o.loss.ValueGrad(dz, nil, z, nil, b)
	o.shrink(dz, o.strength(x), z)
	if dx != nil {
		o.slopes(dx, z, x, nil, b)
	}
	return value + o.penalty(dx, z, x)
}

// Products overwrites dz, hv and cv.
func (o *NoiseLoss) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	o.set(x)
	if dz != nil || hv != nil {
		o.loss.Products(dz, hv, nil, z, nil, v, b)
	}
	s := o.strength(x)
	o.shrink(dz, s, z)
	o.shrink(hv, s, v)
	if cv != nil {
		o.slopes(cv, z, x, v, b)
		if s > 0 {
			cv[len(x)-2] += s * o.shrunk(z, v)
		}
	}
}

// Linearize keeps what products with the Hessian at (z, x) over b need; those with the mixed derivative make a pass.
func (o *NoiseLoss) Linearize(z, x []float64, b bilevel.Batch) {
	copy(o.kept, x)
	o.set(x)
	o.link.kept = append(o.link.kept[:0], z...)
	o.loss.Linearize(z, nil, b)
}

// Apply overwrites hv and cv.
func (o *NoiseLoss) Apply(hv, cv, v []float64) {
	o.set(o.kept)
	if hv != nil {
		o.loss.Apply(hv, nil, v)
		o.shrink(hv, o.strength(o.kept), v)
	}
	if cv != nil {
		o.Products(nil, nil, cv, o.link.kept, o.kept, v, o.loss.lin)
	}
}

// part is the rows of b.
func part(a rows.Matrix, b bilevel.Batch) rows.Matrix {
	switch a := a.(type) {
	case *rows.Dense:
		return &rows.Dense{N: b.Len(), D: a.D, Stride: a.Stride, Data: a.Data[b.Lo*a.Stride : b.Hi*a.Stride]}
	case *rows.CSR:
		return &rows.CSR{N: b.Len(), D: a.D, Ptr: a.Ptr[b.Lo : b.Hi+1], Idx: a.Idx, Val: a.Val}
	}
	return a
}

// slopes overwrites dx with the derivative of the loss over b with respect to x, or, unless v is nil, with that of its
// derivative along v. The penalties are up to others.
func (o *NoiseLoss) slopes(dx, z, x, v []float64, b bilevel.Batch) {
	clear(dx)
	n := b.Len()
	if n <= 0 {
		return
	}
	l := o.link
	k, width := l.k, l.k*l.copies
	rows := part(o.a, b)
	t := ScoreRows(rows, z, width)
	var u []float64
	if v != nil {
		u = ScoreRows(rows, v, width)
	}
	o.dt = grow(o.dt, k*k)
	clear(o.dt)
	p := make([]float64, k)
	temperature := 0.0
	for i := range n {
		row := b.Lo + i
		own := l.ownColumn(row)
		for f := range l.copies {
			if l.out(row, f) {
				continue
			}
			at := i*width + f*k
			score := t[at : at+k]
			q := l.one(p, score, own)
			if q == 0 {
				continue
			}
			var along []float64
			mean, tilt, bend := 0.0, 0.0, 0.0 // ⟨r, u⟩; derivatives of the loss along log β
			if u != nil {
				along = u[at : at+k]
				for c, pc := range p {
					mean += pc * own[c] / q * along[c]
				}
				if l.held {
					tilt, bend = l.bend(p, own, score, along, q)
				}
			} else if l.held {
				for c, pc := range p {
					tilt += (pc - pc*own[c]/q) * l.beta * score[c]
				}
			}
			temperature += tilt + bend
			if l.isTrusted(row) {
				continue
			}
			y := l.y[row]
			for c, pc := range p {
				s := 1.0
				if u != nil {
					s = l.beta * (along[c] - mean)
				}
				o.dt[c*k+y] -= pc / q * s / float64(n)
			}
		}
	}
	m := len(x) - 2
	if m > 0 && o.form.len(k) > 0 {
		o.form.pull(dx[:m], o.dt, l.t, x[:m], k)
	}
	if l.held {
		dx[m+1] = temperature / float64(n)
	}
}

// Probabilities overwrites dst (n·k numbers, row by row) with what the model of each row's own fold says of its true
// class, not knowing the label. β counts at the outer level only.
func (o *NoiseLoss) Probabilities(dst, z, x []float64) {
	o.set(x)
	l := o.link
	width := l.k * l.copies
	t := ScoreRows(o.a, z, width)
	for i := range o.loss.n {
		f := 0
		if l.fold != nil {
			f = l.fold[i]
		}
		l.one(dst[i*l.k:(i+1)*l.k], t[i*width+f*l.k:i*width+(f+1)*l.k], l.own[:l.k])
	}
}

// noiseLink is the loss of the scores of all copies of the model.
type noiseLink struct {
	k, copies int
	y         []int
	trusted   []bool
	fold      []int // or nil
	held      bool  // rows count for the model of their own fold, and else for all others

	t, columns []float64 // T, and its columns one after the other
	own        []float64 // I, likewise
	beta       float64
	kept       []float64 // z of Linearize
}

func (l *noiseLink) isTrusted(row int) bool { return l.trusted != nil && l.trusted[row] }

// ownColumn is how likely the row's label is, by true class.
func (l *noiseLink) ownColumn(row int) []float64 {
	y := l.y[row]
	if l.isTrusted(row) {
		return l.own[y*l.k : (y+1)*l.k]
	}
	return l.columns[y*l.k : (y+1)*l.k]
}

// out says that the row does not count for the model of fold f.
func (l *noiseLink) out(row, f int) bool { return l.fold != nil && (l.fold[row] == f) != l.held }

// one overwrites p with softmax(βt) and returns Σ p_c a_c.
func (l *noiseLink) one(p, t, a []float64) (q float64) {
	top, sum := math.Inf(-1), 0.0
	for _, v := range t {
		top = max(top, v)
	}
	for c, v := range t {
		p[c] = math.Exp(l.beta * (v - top))
		sum += p[c]
	}
	for c := range p {
		p[c] /= sum
		q += p[c] * a[c]
	}
	return q
}

// bend is the derivative along log β of that of the loss along scores u: ⟨β(p − r), u⟩ once more, and β²⟨(cov(p) −
// cov(r))t, u⟩.
func (l *noiseLink) bend(p, a, t, u []float64, q float64) (first, second float64) {
	var pt, pu, ptu, rt, ru, rtu float64
	for c, pc := range p {
		r := pc * a[c] / q
		pt, pu, ptu = pt+pc*t[c], pu+pc*u[c], ptu+pc*t[c]*u[c]
		rt, ru, rtu = rt+r*t[c], ru+r*u[c], rtu+r*t[c]*u[c]
	}
	return l.beta * (pu - ru), l.beta * l.beta * ((ptu - pt*pu) - (rtu - rt*ru))
}

// probabilities replaces scores by p = softmax(βt), for each copy.
func (l *noiseLink) probabilities(t, tmp []float64, m, cs, is int) {
	width := l.k * l.copies
	if l.beta != 1 {
		kernel.Scale(l.beta, t[:width*m])
	}
	if cs == m && is == 1 {
		for f := range l.copies {
			kernel.Softmax(t[f*l.k*m:(f+1)*l.k*m], l.k, m)
		}
		return
	}
	s := softmax{k: l.k}
	s.probabilities(t, tmp, m*l.copies, 1, l.k) // copies of a row stand one behind the other, as rows do
}

// least keeps logarithms finite.
const least = 1e-300

// pass replaces probabilities p in t by β(p − r) and s, unless nil, by β²(cov(p) − cov(r))s. It returns the sum of the
// losses.
func (l *noiseLink) pass(t, s []float64, lo, m, cs, is int) (sum float64) {
	for f := range l.copies {
		for i := range m {
			at := f*l.k*cs + i*is
			if l.out(lo+i, f) {
				for c := range l.k {
					t[at+c*cs] = 0
					if s != nil {
						s[at+c*cs] = 0
					}
				}
				continue
			}
			a := l.ownColumn(lo + i)
			q := 0.0
			for c, v := range a {
				q += t[at+c*cs] * v
			}
			q = max(q, least)
			sum -= math.Log(q)
			if s != nil {
				l.product(t, s, a, q, at, cs)
			}
			for c, v := range a {
				p := t[at+c*cs]
				t[at+c*cs] = l.beta * (p - p*v/q)
			}
		}
	}
	return sum
}

// product replaces s by β²(cov(p) − cov(r))s, for the row and copy at at.
func (l *noiseLink) product(p, s, a []float64, q float64, at, cs int) {
	meanP, meanR := 0.0, 0.0
	for c, v := range a {
		j := at + c*cs
		meanP += p[j] * s[j]
		meanR += p[j] * v / q * s[j]
	}
	for c, v := range a {
		j := at + c*cs
		s[j] = l.beta * l.beta * (p[j]*(s[j]-meanP) - p[j]*v/q*(s[j]-meanR))
	}
}

func (l *noiseLink) loss(t, tmp []float64, lo, m, cs, is int) float64 {
	return l.lossCoefs(t, tmp, lo, m, cs, is)
}

func (l *noiseLink) coefs(t, s, tmp []float64, lo, m, cs, is int) {
	l.probabilities(t, tmp, m, cs, is)
	l.pass(t, s, lo, m, cs, is)
}

func (l *noiseLink) lossCoefs(t, tmp []float64, lo, m, cs, is int) float64 {
	l.probabilities(t, tmp, m, cs, is)
	return l.pass(t, nil, lo, m, cs, is)
}

func (l *noiseLink) curvature(t, tmp []float64, _, m, cs, is int) { l.probabilities(t, tmp, m, cs, is) }

func (l *noiseLink) apply(s, w, _ []float64, lo, m, cs, is int) {
	for f := range l.copies {
		for i := range m {
			at := f*l.k*cs + i*is
			if l.out(lo+i, f) {
				for c := range l.k {
					s[at+c*cs] = 0
				}
				continue
			}
			a := l.ownColumn(lo + i)
			q := 0.0
			for c, v := range a {
				q += w[at+c*cs] * v
			}
			l.product(w, s, a, max(q, least), at, cs)
		}
	}
}

func (l *noiseLink) weight(dst, w []float64, c, c2, lo, m, cs, is int) {
	unit := make([]float64, l.k)
	for i := range dst[:m] {
		dst[i] = 0
		f := c / l.k
		if f != c2/l.k || l.out(lo+i, f) {
			continue
		}
		p := make([]float64, l.k)
		a, q := l.ownColumn(lo+i), 0.0
		for j := range p {
			p[j] = w[(f*l.k+j)*cs+i*is]
			q += p[j] * a[j]
		}
		clear(unit)
		unit[c2%l.k] = 1
		l.product(p, unit, a, max(q, least), 0, 1)
		dst[i] = unit[c%l.k]
	}
}
