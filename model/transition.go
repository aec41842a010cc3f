package model

import (
	"fmt"
	"math"
)

// Transitions is the form of the matrix T of label noise: T_kj is how often a row of class k is labelled j.
type Transitions int

const (
	// RightLabels is T = I.
	RightLabels Transitions = iota
	// SymmetricNoise has one rate ρ: a label is wrong with probability ρ, and is then each other class alike.
	SymmetricNoise
	// FullNoise has a rate ρ_k for each class and, with more than two, a distribution over the others.
	FullNoise
)

// transition is how outer variables become T, row by row in t.
type transition struct {
	name string
	len  func(k int) int
	set  func(t, x []float64, k int)
	// pull adds (∂T/∂x)ᵀdt to dx.
	pull func(dx, dt, t, x []float64, k int)
	// prior is −log of a weak prior, whose derivative it adds to dx unless that is nil.
	prior func(dx, x []float64, k int) float64
	// point overwrites x with the variables of the matrix of this form that is nearest to t.
	point func(x, t []float64, k int)
}

var transitions = [...]transition{
	RightLabels: {
		name:  "right labels",
		len:   func(int) int { return 0 },
		set:   func(t, _ []float64, k int) { identity(t, k, 0) },
		pull:  func(_, _, _, _ []float64, _ int) {},
		prior: func(_, _ []float64, _ int) float64 { return 0 },
		point: func(_, _ []float64, _ int) {},
	},
	SymmetricNoise: {
		name: "symmetric noise",
		len:  func(int) int { return 1 },
		set:  func(t, x []float64, k int) { identity(t, k, mostSymmetric(k)*sigmoid(x[0])) },
		pull: func(dx, dt, _, x []float64, k int) {
			sum := 0.0
			for i, v := range dt {
				if i%(k+1) == 0 {
					sum -= v
				} else {
					sum += v / float64(k-1)
				}
			}
			s := sigmoid(x[0])
			dx[0] += sum * mostSymmetric(k) * s * (1 - s)
		},
		prior: func(dx, x []float64, _ int) float64 { return normal(dx, x, 0, -1.5, 2) },
		point: func(x, t []float64, k int) {
			rho := 0.0
			for c := range k {
				rho += (1 - t[c*(k+1)]) / float64(k)
			}
			x[0] = logit(rho / mostSymmetric(k))
		},
	},
	FullNoise: {
		name:  "full noise",
		len:   func(k int) int { return k + k*fullShape(k) },
		set:   setFull,
		pull:  pullFull,
		prior: priorFull,
		point: pointFull,
	},
}

// String names t.
func (t Transitions) String() string {
	if !t.known() {
		return fmt.Sprintf("Transitions(%d)", int(t))
	}
	return transitions[t].name
}

func (t Transitions) known() bool { return t >= 0 && int(t) < len(transitions) }

// The largest rates. With two classes rates above one half would swap their names.
func mostSymmetric(k int) float64 { return .9 * float64(k-1) / float64(k) }

func mostFull(k int) float64 {
	if k == 2 {
		return .5
	}
	return .6
}

// fullShape is how many logits say where the wrong labels of a class go.
func fullShape(k int) int {
	if k == 2 {
		return 0
	}
	return k - 1
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// logit is the inverse of sigmoid, of what lies well between 0 and 1.
func logit(s float64) float64 {
	s = min(max(s, .02), .97)
	return math.Log(s / (1 - s))
}

// normal is −log of a normal density of x_j without its constant.
func normal(dx, x []float64, j int, mean, sd float64) float64 {
	r := (x[j] - mean) / sd
	if dx != nil {
		dx[j] += r / sd
	}
	return r * r / 2
}

// identity is (1 − ρ)I + ρ/(k − 1)(11ᵀ − I).
func identity(t []float64, k int, rho float64) {
	for i := range t {
		if t[i] = rho / float64(k-1); i%(k+1) == 0 {
			t[i] = 1 - rho
		}
	}
}

// eachOther calls see with the classes other than c and their places among its logits.
func eachOther(c, k int, see func(j, place int)) {
	for j := range k {
		if j != c {
			see(j, j-b2i(j > c))
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// setFull: ρ_c = r σ(u_c), T_cc = 1 − ρ_c, T_cj = ρ_c softmax(v_c)_j; x has the k numbers u and then the rows v_c.
func setFull(t, x []float64, k int) {
	shape := fullShape(k)
	for c := range k {
		rho := mostFull(k) * sigmoid(x[c])
		row := t[c*k : (c+1)*k]
		row[c] = 1 - rho
		if shape == 0 {
			row[1-c] = rho
			continue
		}
		v := x[k+c*shape : k+(c+1)*shape]
		top, sum := math.Inf(-1), 0.0
		for _, a := range v {
			top = max(top, a)
		}
		eachOther(c, k, func(j, p int) {
			row[j] = math.Exp(v[p] - top)
			sum += row[j]
		})
		eachOther(c, k, func(j, _ int) { row[j] *= rho / sum })
	}
}

func pullFull(dx, dt, t, x []float64, k int) {
	shape := fullShape(k)
	for c := range k {
		row, g := t[c*k:(c+1)*k], dt[c*k:(c+1)*k]
		rho := 1 - row[c]
		mean := 0.0 // of g over where wrong labels go
		eachOther(c, k, func(j, _ int) { mean += g[j] * row[j] / rho })
		s := sigmoid(x[c])
		dx[c] += (mean - g[c]) * mostFull(k) * s * (1 - s)
		if shape == 0 {
			continue
		}
		d := dx[k+c*shape : k+(c+1)*shape]
		eachOther(c, k, func(j, p int) { d[p] += row[j] * (g[j] - mean) })
	}
}

// priorFull holds the rates together, with a standard deviation of one on the scale of logits, and their mean loosely
// near small ones, and is a Dirichlet prior of one row for where the wrong labels of each class go.
func priorFull(dx, x []float64, k int) float64 {
	mean := 0.0
	for _, u := range x[:k] {
		mean += u / float64(k)
	}
	r := (mean + 1.5) / 2
	sum := r * r / 2
	for c, u := range x[:k] {
		sum += (u - mean) * (u - mean) / 2
		if dx != nil {
			dx[c] += u - mean + r/2/float64(k)
		}
	}
	shape := fullShape(k)
	if shape == 0 {
		return sum
	}
	for c := range k {
		v := x[k+c*shape : k+(c+1)*shape]
		top, total := math.Inf(-1), 0.0
		for _, a := range v {
			top = max(top, a)
		}
		for _, a := range v {
			total += math.Exp(a - top)
		}
		even := 1 / float64(shape)
		for p, a := range v {
			sum -= even * (a - top - math.Log(total))
			if dx != nil {
				dx[k+c*shape+p] += math.Exp(a-top)/total - even
			}
		}
	}
	return sum
}

func pointFull(x, t []float64, k int) {
	shape := fullShape(k)
	for c := range k {
		row := t[c*k : (c+1)*k]
		rho := max(1-row[c], 1e-9)
		x[c] = logit(rho / mostFull(k))
		if shape > 0 {
			eachOther(c, k, func(j, p int) { x[k+c*shape+p] = math.Log(max(row[j]/rho, .01)) })
		}
	}
}
