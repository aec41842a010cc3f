package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

const bits = 300

func bigFloat(x float64) *big.Float { return new(big.Float).SetPrec(bits).SetFloat64(x) }

// ln2 = Σ 1/(k 2^k)
var ln2 = func() *big.Float {
	sum, p := bigFloat(0), bigFloat(1)
	for k := 1; k < bits+20; k++ {
		p.Mul(p, bigFloat(0.5))
		sum.Add(sum, new(big.Float).Quo(p, bigFloat(float64(k))))
	}
	return sum
}()

func bigExp(x *big.Float) *big.Float {
	f, _ := x.Float64()
	n := math.Round(f / math.Ln2)
	r := new(big.Float).Sub(x, new(big.Float).Mul(ln2, bigFloat(n)))
	const halvings = 16
	r.SetMantExp(r, -halvings)
	sum, term := bigFloat(1), bigFloat(1)
	for k := 1; k < 16; k++ {
		term.Mul(term, r)
		term.Quo(term, bigFloat(float64(k)))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return sum.SetMantExp(sum, int(n))
}

func bigLog1p(x *big.Float) *big.Float {
	f, _ := x.Float64()
	if math.Abs(f) < 0x1p-60 {
		// x - x²/2 + x³/3
		s := new(big.Float).Quo(x, bigFloat(3))
		s.Sub(s, bigFloat(0.5))
		s.Mul(s, x)
		s.Add(s, bigFloat(1))
		return s.Mul(s, x)
	}
	// One step of Halley's method from 53 bits.
	y := bigFloat(math.Log1p(f))
	v, e := new(big.Float).Add(x, bigFloat(1)), bigExp(y)
	num, den := new(big.Float).Sub(v, e), new(big.Float).Add(v, e)
	num.Mul(num, bigFloat(2))
	return y.Add(y, num.Quo(num, den))
}

func bigSigmoid(x *big.Float) *big.Float {
	d := bigExp(new(big.Float).Neg(x))
	return d.Quo(bigFloat(1), d.Add(d, bigFloat(1)))
}

// ulps returns the error of got in units in the last place of want.
func ulps(got float64, want *big.Float) float64 {
	w, _ := want.Float64()
	if math.IsInf(w, 0) || math.IsInf(got, 0) {
		if w == got {
			return 0
		}
		return math.Inf(1)
	}
	unit := math.Nextafter(math.Abs(w), math.Inf(1)) - math.Abs(w)
	e, _ := new(big.Float).Sub(bigFloat(got), want).Float64()
	return math.Abs(e) / unit
}

func TestUlps(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	uniform := func(a, b float64) func() float64 {
		return func() float64 { return a + (b-a)*rng.Float64() }
	}
	// Points of either sign with an exponent between two bounds.
	spread := func(lo, hi float64) func() float64 {
		return func() float64 {
			return math.Copysign(math.Exp2(lo+(hi-lo)*rng.Float64()), rng.Float64()-0.5)
		}
	}
	points := 4000
	if testing.Short() {
		points = 400
	}
	for _, f := range []struct {
		name    string
		f       func(dst, x []float64)
		ref     func(x *big.Float) *big.Float
		regions []func() float64
	}{
		{"Exp", Exp, bigExp, []func() float64{uniform(-1, 1), uniform(-745, 709.7), uniform(-750, -700), uniform(709, 710),
			spread(-80, 8)}},
		{"Log1p", Log1p, bigLog1p, []func() float64{uniform(-0.5, 1), uniform(-1, 0), uniform(0, 10), spread(-200, -1),
			func() float64 { return math.Exp2(1000 * rng.Float64()) }}},
		{"Sigmoid", Sigmoid, bigSigmoid, []func() float64{uniform(-2, 2), uniform(-40, 40), uniform(-745, 0),
			spread(-80, 8)}},
		{"Softplus", Softplus, func(x *big.Float) *big.Float { return bigLog1p(bigExp(x)) },
			[]func() float64{uniform(-2, 2), uniform(-40, 40), uniform(-745, 0), spread(-80, 8)}},
	} {
		t.Run(f.name, func(t *testing.T) {
			var x []float64
			for _, r := range f.regions {
				for range points {
					x = append(x, r())
				}
			}
			want := make([]*big.Float, len(x))
			for i := range x {
				want[i] = f.ref(bigFloat(x[i]))
			}
			eachTier(t, func(t *testing.T) {
				got := make([]float64, len(x))
				for i, n := 0, 1; i < len(x); i, n = i+n, n%17+1 { // full vectors and tails
					end := min(i+n, len(x))
					f.f(got[i:end], x[i:end])
				}
				limit, worst, at := 2.0, 0.0, 0.0
				if Active() == Plain {
					limit = 3 // math.Exp and math.Log1p err by 1 each
				}
				for i := range got {
					if Active() == Plain && f.name == "Exp" && x[i] > 709 {
						continue // math.Exp may overflow early
					}
					if e := ulps(got[i], want[i]); e > worst {
						worst, at = e, x[i]
					}
				}
				t.Logf("%.3f ulp at %v", worst, at)
				if worst > limit {
					t.Errorf("error of %.3f ulp at %v", worst, at)
				}
			})
		})
	}
}

func TestElementwiseSpecial(t *testing.T) {
	inf, nan, negZero := math.Inf(1), math.NaN(), math.Copysign(0, -1)
	for _, f := range []struct {
		name string
		f    func(dst, x []float64)
		x, y []float64
	}{
		{"Exp", Exp, []float64{nan, inf, -inf, 0, negZero, 709.79, 1e300, -1e300, -746, 5e-324},
			[]float64{nan, inf, 0, 1, 1, inf, inf, 0, 0, 1}},
		{"Log1p", Log1p, []float64{nan, inf, -inf, 0, negZero, -1, -1.5, 5e-324, -5e-324, math.MaxFloat64},
			[]float64{nan, inf, nan, 0, negZero, -inf, nan, 5e-324, -5e-324, math.Log(math.MaxFloat64)}},
		{"Sigmoid", Sigmoid, []float64{nan, inf, -inf, 0, negZero, 1e300, -1e300, 40},
			[]float64{nan, 1, 0, 0.5, 0.5, 1, 0, 1}},
		{"Softplus", Softplus, []float64{nan, inf, -inf, 0, negZero, 1e300, -1e300, 1e4},
			[]float64{nan, inf, 0, math.Ln2, math.Ln2, 1e300, 0, 1e4}},
	} {
		t.Run(f.name, func(t *testing.T) {
			eachTier(t, func(t *testing.T) {
				for n := 1; n <= 17; n++ { // every lane, full vectors and tails
					for i, x := range f.x {
						in, out := make([]float64, n), make([]float64, n)
						in[n-1] = x
						f.f(out, in)
						got, want := out[n-1], f.y[i]
						if math.Float64bits(got) != math.Float64bits(want) && !(math.IsNaN(got) && math.IsNaN(want)) {
							t.Errorf("n %d: f(%v) = %v, want %v", n, x, got, want)
						}
					}
				}
			})
		})
	}
}
