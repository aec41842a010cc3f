package hypergrad_test

import (
	"context"
	"fmt"
	"log"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// shrinkage is the smallest bilevel problem: z*(x) = 3/(1 + eˣ) shrinks 3, and 2 is wanted, so that x* = −log 2.
func shrinkage() *bilevel.Problem {
	return &bilevel.Problem{
		Outer: &bilevel.Func{ // f = ½(z − 2)²
			InnerDim: 1, OuterDim: 1,
			Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return (z[0] - 2) * (z[0] - 2) / 2 },
			Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) { dz[0], dx[0] = z[0]-2, 0 },
		},
		Inner: &bilevel.Func{ // g = ½(z − 3)² + ½eˣz²
			InnerDim: 1, OuterDim: 1,
			Eval: func(z, x []float64, _ bilevel.Batch) float64 {
				return (z[0]-3)*(z[0]-3)/2 + exp(x[0])*z[0]*z[0]/2
			},
			Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
				dz[0], dx[0] = z[0]-3+exp(x[0])*z[0], exp(x[0])*z[0]*z[0]/2
			},
			HessVec:  func(hv, z, x, v []float64, _ bilevel.Batch) { hv[0] = (1 + exp(x[0])) * v[0] },
			CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) { cv[0] = exp(x[0]) * z[0] * v[0] },
		},
	}
}

var exp = math.Exp

func ExampleHOAG() {
	res, err := bilevel.Minimize(context.Background(), shrinkage(), hypergrad.HOAG{}, bilevel.Settings{
		MaxSteps: 100,
		GradTol:  1e-9,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("x = %.4f, z = %.4f, %v\n", res.Point.X[0], res.Point.Z[0], res.Reason)
	// Output: x = -0.6931, z = 2.0000, gradient target reached
}

func ExampleEvaluator() {
	e, err := hypergrad.NewEvaluator(shrinkage(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	grad := make([]float64, 1)
	h, err := e.Evaluate(context.Background(), grad, []float64{0}) // z* = 3/2, v* = 1/4
	fmt.Printf("h = %.4f, ∇h = %.4f, v* = %.4f, %v\n", h, grad[0], e.Point().V[0], err)
	// Output: h = 0.1250, ∇h = 0.3750, v* = 0.2500, <nil>
}

// The hypergradient of a ridge regression with one strength e^{x_j} per feature, and its closed form
// ∇h = e^x∘z∘v with z = (AᵀA/n + B)⁻¹Aᵀy/n and v = −(AᵀA/n + B)⁻¹A'ᵀ(A'z − y')/m.
func ExampleAID() {
	const n, m, d = 40, 30, 5
	rng := rand.New(rand.NewPCG(1, 1))
	a, y := rows.NewDense(n+m, d), make([]float64, n+m)
	for i := range y {
		for j := range d {
			a.Row(i)[j] = rng.NormFloat64()
		}
		y[i] = a.Row(i)[0] - a.Row(i)[1] + rng.NormFloat64()
	}
	train := &rows.Dense{N: n, D: d, Stride: a.Stride, Data: a.Data[:n*a.Stride]}
	val := &rows.Dense{N: m, D: d, Stride: a.Stride, Data: a.Data[n*a.Stride:]}
	loss, err := model.NewSquared(train, y[:n], d)
	if err != nil {
		log.Fatal(err)
	}
	penalty, err := model.NewPenalty(loss.Layout(), model.PerFeature, model.PenaltyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	g, err := model.Regularize(loss, penalty)
	if err != nil {
		log.Fatal(err)
	}
	f, err := model.NewSquared(val, y[n:], d)
	if err != nil {
		log.Fatal(err)
	}

	x := []float64{-3, -2, -1, 0, 1}
	h, err := hypergrad.AID{}.Start(&bilevel.Problem{Inner: g, Outer: f}, nil)
	if err != nil {
		log.Fatal(err)
	}
	grad := make([]float64, d)
	at := bilevel.Point{Z: make([]float64, d), X: x, V: make([]float64, d)}
	report, err := h.At(context.Background(), grad, at, hypergrad.Effort{Inner: 1e-12, LinearTol: 1e-12})
	if err != nil {
		log.Fatal(err)
	}

	// The closed form, with dense matrices.
	matrix := func(r *rows.Dense) *mat.Dense {
		c := mat.NewDense(r.N, d, nil)
		for i := range r.N {
			c.SetRow(i, r.Row(i))
		}
		return c
	}
	var normal mat.Dense
	normal.Mul(matrix(train).T(), matrix(train))
	normal.Scale(1./n, &normal)
	for j := range d {
		normal.Set(j, j, normal.At(j, j)+math.Exp(x[j]))
	}
	var z, v, r mat.VecDense
	r.MulVec(matrix(train).T(), mat.NewVecDense(n, y[:n]))
	r.ScaleVec(1./n, &r)
	if err := z.SolveVec(&normal, &r); err != nil {
		log.Fatal(err)
	}
	var residual, b mat.VecDense
	residual.MulVec(matrix(val), &z)
	residual.SubVec(&residual, mat.NewVecDense(m, y[n:]))
	b.MulVec(matrix(val).T(), &residual)
	b.ScaleVec(-1./m, &b)
	if err := v.SolveVec(&normal, &b); err != nil {
		log.Fatal(err)
	}
	worst := 0.0
	for j := range d {
		worst = max(worst, math.Abs(grad[j]-math.Exp(x[j])*z.AtVec(j)*v.AtVec(j)))
	}
	fmt.Println("within 1e-12 of the closed form:", worst < 1e-12)
	fmt.Println("the linear system was solved:", report.Linear.Converged, report.Warning)
	// Output:
	// within 1e-12 of the closed form: true
	// the linear system was solved: true <nil>
}

// A step size for each of five steps of gradient descent, learned so that h is small after so few.
func ExampleITD() {
	problem := shrinkage() // its optimum is h = 0 at x = −log 2
	const t = 5
	extended := hypergrad.Extend(problem, t)
	dynamics := inner.GradientDescent{Learned: inner.Learned{Step: []int{1, 2, 3, 4, 5}}} // x[0] is the problem's own
	start := []float64{0, .1, .1, .1, .1, .1}
	result, err := bilevel.Minimize(context.Background(), extended, hypergrad.Descent{
		Estimator: hypergrad.ITD{Dynamics: dynamics, Steps: t},
		ColdStart: true, // every solve takes the same five steps, from z = 0
	}, bilevel.Settings{Start: bilevel.Point{X: start}, MaxSteps: 200, GradTol: 1e-6})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("h = %.4f after %d inner steps; it was %.4f\n", result.Value, t, result.Trace[1].Value)
	// Output: h = 0.0000 after 5 inner steps; it was 0.4916
}
