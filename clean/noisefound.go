package clean

import (
	"cmp"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel/internal/judge"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/model"
)

// Noise is what was learned of how labels become wrong.
type Noise struct {
	// Symmetric says that one rate explains the labels as well as one for each pair of classes does.
	Symmetric bool
	// T_kj is how often a row of class k is labelled j, and Low and High hold it with 95%.
	T, Low, High [][]float64
	// Pairs are those of two classes of which one is taken for the other, the one with most rows first; 50
	// at most.
	Pairs []Pair
	// Ridge is λ of the penalty λ/2‖z‖² of the sum of losses, and Temperature what scores are multiplied by.
	Ridge, Temperature float64
	// Loss is that of held-out labels, a row, with the noise, and LossWithout by a model of labels that are right.
	Loss, LossWithout float64
	// Rival is another noise that explains the labels nearly as well and is not like this one; nil if there is none.
	Rival [][]float64
}

// Pair is a class whose rows got the label of another.
type Pair struct {
	True, Given int
	Rows        float64 // expected number among the training rows
	Share       float64 // of the rows of the class, with an interval that holds 95%
	Low, High   float64
}

const (
	// nearly is how many nats of held-out likelihood do not tell two noises apart, and unlike how far a rate of them
	// differs that matters.
	nearly, unlike = 4, .15
	// mostInformation is the order of a matrix of information that is inverted as a whole.
	mostInformation = 900
	// Pairs are named that have so many rows, expected, and no more of them.
	leastOfPair, mostPairs = .5, 50
)

// found is the noise of the best candidate.
func (s *noisy) found(best *candidate, all []*candidate, n int) *Noise {
	k := s.k
	out := &Noise{Symmetric: best.form == model.SymmetricNoise, Ridge: best.ridge, Temperature: best.beta,
		Loss: best.loss / float64(s.n), LossWithout: s.first.loss / float64(s.n)}
	table := func() (t [][]float64) {
		for range k {
			t = append(t, make([]float64, k))
		}
		return t
	}
	out.T, out.Low, out.High = table(), table(), table()
	deviations, _ := s.deviations(best, true)
	for i, v := range best.t {
		a, b := i/k, i%k
		out.T[a][b] = v
		out.Low[a][b], out.High[a][b] = interval(v, deviations[i])
	}
	count := make([]float64, k*k) // expected, by true class and label
	for i := range n {
		for c, r := range s.posterior(best, i) {
			count[c*k+s.y[i]] += r
		}
	}
	for c := range k {
		for j := range k {
			if c != j && count[c*k+j] >= leastOfPair {
				out.Pairs = append(out.Pairs, Pair{c, j, count[c*k+j], out.T[c][j], out.Low[c][j], out.High[c][j]})
			}
		}
	}
	slices.SortStableFunc(out.Pairs, func(a, b Pair) int { return cmp.Compare(b.Rows, a.Rows) })
	out.Pairs = out.Pairs[:min(len(out.Pairs), mostPairs)]
	for _, c := range all {
		if c.form == best.form && c.score() < best.score()+nearly && furthest(c.t, best.t) > unlike {
			out.Rival = table()
			for i, v := range c.t {
				out.Rival[i/k][i%k] = v
			}
			break
		}
	}
	return out
}

func furthest(a, b []float64) (most float64) {
	for i, v := range a {
		most = max(most, math.Abs(v-b[i]))
	}
	return most
}

// interval is Wilson's for a share with a standard deviation: that of as many rows as give it.
func interval(share, deviation float64) (low, high float64) {
	if !(deviation > 0) {
		return share, share
	}
	v := min(max(share, deviation/2), 1-deviation/2)
	n := max(v*(1-v), 1e-12) / (deviation * deviation)
	return judge.Wilson(share*n, n)
}

// vague is the precision of a rate of which nothing is known: it lies between 0 and 1.
const vague = 16

// posterior is what is believed of the class of row i, whose label is known.
func (s *noisy) posterior(c *candidate, i int) []float64 {
	r := make([]float64, s.k)
	if s.trusted[i] {
		r[s.y[i]] = 1
		return r
	}
	sum := 0.0
	for j := range r {
		r[j] = c.p[i*s.k+j] * c.t[j*s.k+s.y[i]]
		sum += r[j]
	}
	for j := range r {
		r[j] /= max(sum, 1e-300)
	}
	return r
}

// deviations are standard deviations of the entries of T: of the inverse information of held-out labels, with
// probabilities of classes as they are. Expected information is that of labels that rows might have, which knows that a
// rate near zero would show soon. freedom is half the logarithm of the information, relative
// to that of before.
func (s *noisy) deviations(c *candidate, expected bool) (out []float64, freedom float64) {
	k := s.k
	out = make([]float64, k*k)
	if c.form == model.RightLabels {
		return out, 0
	}
	if c.form == model.SymmetricNoise {
		info := float64(vague)
		for i, y := range s.y {
			if p := c.p[i*k+y]; !s.trusted[i] {
				rho := 1 - c.t[0]
				slope := (1-p)/float64(k-1) - p
				q := p*(1-rho) + (1-p)*rho/float64(k-1)
				info += slope * slope / (q * q)
			}
		}
		for i := range out {
			if out[i] = 1 / math.Sqrt(info) / float64(k-1); i%(k+1) == 0 {
				out[i] *= float64(k - 1)
			}
		}
		return out, math.Log(info/vague) / 2
	}
	// Free are the entries off the diagonal: (a, b) is number a(k − 1) + b, less one behind the diagonal.
	place := func(a, b int) int {
		if b > a {
			b--
		}
		return a*(k-1) + b
	}
	m := k * (k - 1)
	whole := m <= mostInformation
	info := make([]float64, m)
	if whole {
		info = make([]float64, m*m)
	}
	at, slope := make([]int, 0, 2*k), make([]float64, 0, 2*k)
	for i, y := range s.y {
		if s.trusted[i] {
			continue
		}
		p := c.p[i*k : (i+1)*k]
		first, last := y, y
		if expected {
			first, last = 0, k-1
		}
		for y := first; y <= last; y++ {
			q, weight := 0.0, 1.0
			for a, v := range p {
				q += v * c.t[a*k+y]
			}
			q = max(q, 1e-9)
			if expected {
				weight = q
			}
			at, slope = at[:0], slope[:0]
			for j := range k {
				if j != y {
					at, slope = append(at, place(j, y), place(y, j)), append(slope, p[j]/q, -p[y]/q)
				}
			}
			for e, a := range at {
				if !whole {
					info[a] += weight * slope[e] * slope[e]
					continue
				}
				row := info[a*m : (a+1)*m]
				for g, b := range at {
					row[b] += weight * slope[e] * slope[g]
				}
			}
		}
	}
	variance := make([]float64, m)
	if !whole {
		for i, v := range info {
			variance[i] = 1 / (vague + v)
		}
	} else {
		for i := range m {
			info[i*m+i] += vague
		}
		var f linsolve.Cholesky
		if f.Factorize(m, info) != nil {
			return out, float64(m)
		}
		f.Inverse(info, m)
		for i := range m {
			variance[i] = info[i*m+i]
		}
	}
	for _, v := range variance {
		freedom -= math.Log(vague*v) / 2
	}
	for a := range k {
		sum := 0.0
		for b := range k {
			if a == b {
				continue
			}
			out[a*k+b] = math.Sqrt(variance[place(a, b)])
			if !whole {
				sum += variance[place(a, b)]
				continue
			}
			for g := range k {
				if g != a {
					sum += info[place(a, b)*m+place(a, g)]
				}
			}
		}
		out[a*k+a] = math.Sqrt(max(sum, 0)) // of 1 − Σ
	}
	return out, freedom
}
