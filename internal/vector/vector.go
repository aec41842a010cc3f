// Package vector does the passes over whole vectors that iterations consist of, each reading and writing as few
// vectors as it can. Long vectors are divided among cores.
//
// Sums over long vectors are those of fixed chunks, added in order, so that results do not depend on the number
// of cores. Calls allocate nothing with one core or a short vector. Lengths are equal, and outputs overlap inputs
// only where a comment says so.
package vector

import (
	"math"

	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/pool"
	"gonum.org/v1/gonum/floats"
)

const (
	long  = 1 << 15 // numbers from which on a vector is divided
	chunk = 1 << 13 // numbers whose sum is one term

	perNumber = 4 // multiplications that take as long as one element of a pass
)

// Dot returns Σ x_i y_i.
func Dot(x, y []float64) float64 { return run(dot, args{x: x, y: y}) }

// Norm returns ‖x‖₂, which does not overflow.
func Norm(x []float64) float64 { return root(Dot(x, x), x) }

// root is ‖x‖₂ where s is Σ x_i² unless that overflowed or lost digits to underflow.
func root(s float64, x []float64) float64 {
	if s > 1e-200 && s < 1e200 {
		return math.Sqrt(s)
	}
	return floats.Norm(x, 2) // scales
}

// Mul sets dst_i = x_i y_i. dst may be x or y.
func Mul(dst, x, y []float64) { run(mul, args{x: x, y: y, dst: dst}) }

// AddScaled sets y += a x.
func AddScaled(y []float64, a float64, x []float64) { run(addScaled, args{x: x, dst: y, a: a}) }

// AddScaledNorm sets y += a x and returns ‖y‖₂.
func AddScaledNorm(y []float64, a float64, x []float64) float64 {
	return root(run(addScaledNorm, args{x: x, dst: y, a: a}), y)
}

// AddScaledTo sets dst = y + a x. dst may be x or y.
func AddScaledTo(dst, y []float64, a float64, x []float64) {
	run(addScaledTo, args{x: x, y: y, dst: dst, a: a})
}

// Momentum sets dst = z + b (z − w) − a g and w⁺ = z. dst may be z, and w⁺ may be w or z.
func Momentum(dst, wNext, z, w, g []float64, a, b float64) {
	f := momentum
	if len(z) > 0 && &wNext[0] == &z[0] {
		f = momentumTo
	}
	run(f, args{x: z, y: w, z: g, dst: dst, dst2: wNext, a: a, b: b})
}

// MomentumPull is the transposed derivative of Momentum, with h = Hu and H the derivative of g at z:
//
//	uz = (1 + b) u − a h + uw,    uw⁺ = −b u.
func MomentumPull(uz, uwNext, u, uw, h []float64, a, b float64) {
	run(momentumPull, args{x: u, y: uw, z: h, dst: uz, dst2: uwNext, a: a, b: b})
}

// Richardson makes the step dst = x + a (b − ax), where dst is ax before, and returns Σ (c (b_i − ax_i))².
func Richardson(dst, x, b []float64, a, c float64) float64 {
	return run(richardson, args{x: x, y: b, dst: dst, a: a, b: c})
}

// Residual sets r = b − r − a x.
func Residual(r, b, x []float64, a float64) { run(residual, args{x: x, y: b, dst: r, a: a}) }

// args are the arguments of a pass; x is never nil.
type args struct {
	x, y, z, dst, dst2 []float64
	a, b               float64
}

func (v args) part(lo, hi int) args {
	for _, s := range []*[]float64{&v.x, &v.y, &v.z, &v.dst, &v.dst2} {
		if *s != nil {
			*s = (*s)[lo:hi]
		}
	}
	return v
}

// run is the sum of f over all chunks.
func run(f func(args) float64, v args) float64 {
	n := len(v.x)
	if n < long {
		return f(v)
	}
	chunks := (n + chunk - 1) / chunk
	if team := pool.For(perNumber * n); team.Size > 1 {
		return share(f, v, chunks, team)
	}
	sum := 0.0
	for i := range chunks {
		sum += f(v.part(i*chunk, min((i+1)*chunk, n)))
	}
	return sum
}

// share is run on several cores.
func share(f func(args) float64, v args, chunks int, team pool.Team) float64 {
	n, sums := len(v.x), make([]float64, chunks)
	team.Run(chunks, func(_, i int) {
		sums[i] = f(v.part(i*chunk, min((i+1)*chunk, n)))
	})
	sum := 0.0
	for _, s := range sums {
		sum += s
	}
	return sum
}

func dot(v args) float64 { return kernel.Dot(v.x, v.y) }

func mul(v args) float64 {
	y, dst := v.y[:len(v.x)], v.dst[:len(v.x)]
	for i, x := range v.x {
		dst[i] = x * y[i]
	}
	return 0
}

func addScaled(v args) float64 {
	kernel.Axpy(v.a, v.x, v.dst)
	return 0
}

// addScaledNorm goes through parts that stay in the first cache.
func addScaledNorm(v args) float64 {
	const step = 1024
	sum := 0.0
	for lo := 0; lo < len(v.x); lo += step {
		hi := min(lo+step, len(v.x))
		y := v.dst[lo:hi]
		kernel.Axpy(v.a, v.x[lo:hi], y)
		sum += kernel.Dot(y, y)
	}
	return sum
}

func addScaledTo(v args) float64 {
	floats.AddScaledTo(v.dst, v.y, v.a, v.x)
	return 0
}

func momentum(v args) float64 {
	z, w, dst, next := v.x, v.y[:len(v.x)], v.dst[:len(v.x)], v.dst2[:len(v.x)]
	for i, g := range v.z[:len(z)] {
		zi, wi := z[i], w[i]
		next[i] = zi
		dst[i] = zi + v.b*(zi-wi) - v.a*g
	}
	return 0
}

// momentumTo is momentum where w⁺ is z.
func momentumTo(v args) float64 {
	z, w, dst := v.x, v.y[:len(v.x)], v.dst[:len(v.x)]
	for i, g := range v.z[:len(z)] {
		dst[i] = z[i] + v.b*(z[i]-w[i]) - v.a*g
	}
	return 0
}

func momentumPull(v args) float64 {
	u, uw, uz, next := v.x, v.y[:len(v.x)], v.dst[:len(v.x)], v.dst2[:len(v.x)]
	for i, h := range v.z[:len(u)] {
		ui := u[i]
		uz[i] = (1+v.b)*ui - v.a*h + uw[i]
		next[i] = -v.b * ui
	}
	return 0
}

func richardson(v args) float64 {
	x, b, dst := v.x, v.y[:len(v.x)], v.dst[:len(v.x)]
	var even, odd float64
	i := 0
	for ; i+1 < len(x); i += 2 {
		r, s := b[i]-dst[i], b[i+1]-dst[i+1]
		dst[i], dst[i+1] = x[i]+v.a*r, x[i+1]+v.a*s
		r, s = v.b*r, v.b*s
		even += r * r
		odd += s * s
	}
	if i < len(x) {
		r := b[i] - dst[i]
		dst[i] = x[i] + v.a*r
		r *= v.b
		even += r * r
	}
	return even + odd
}

func residual(v args) float64 {
	b, r := v.y[:len(v.x)], v.dst[:len(v.x)]
	if v.a == 0 {
		for i, bi := range b {
			r[i] = bi - r[i]
		}
		return 0
	}
	for i, x := range v.x {
		r[i] = b[i] - r[i] - v.a*x
	}
	return 0
}
