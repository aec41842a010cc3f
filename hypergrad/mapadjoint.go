package hypergrad

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/linsolve"
	"gonum.org/v1/gonum/floats"
)

// mapAdjoint is the adjoint (I − ∂sΦᵀ)u = (∇z f, 0) of a map Φ at its state at rest.
type mapAdjoint struct {
	process     inner.Process
	op          linsolve.Operator
	own         bool // Φ is the problem's fixed-point map
	work        linsolve.Workspace
	s, b, u     []float64 // the state; the right-hand side; the adjoint
	scratch, ux []float64
	x, v        []float64 // at.X and at.V
	err         error     // of a product with the transpose
}

// lateStep is the step k of a process that has run for long.
const lateStep = math.MaxInt32

func newMapAdjoint(p *bilevel.Problem, dyn inner.Dynamics, linear linsolve.Solver, q int,
	counts *bilevel.Counts) (*mapAdjoint, error) {
	if _, ok := dyn.(inner.Adam); ok {
		return nil, errors.New("hypergrad: AID.Map is inner.Adam, whose derivative does not exist at rest: " +
			"use inner.GradientDescent, or ITD")
	}
	process, err := dyn.Begin(p, counts)
	if err != nil {
		return nil, err
	}
	n := process.StateLen()
	a := &mapAdjoint{process: process, own: p.Fixed != nil, ux: make([]float64, q)}
	for _, v := range []*[]float64{&a.s, &a.b, &a.u, &a.scratch} {
		*v = make([]float64, n)
	}
	a.op = mapOperator{a}
	_, pushes := p.Fixed.(bilevel.Pusher)
	if pushes || p.Fixed == nil {
		a.op = pushedMap{mapOperator{a}}
	} else if _, ok := linear.(linsolve.NormalEquations); ok {
		return nil, fmt.Errorf("hypergrad: linsolve.NormalEquations needs products with ∂zΦ, "+
			"and %T has no Push method (bilevel.Pusher): use linsolve.GMRES or BiCGSTAB", p.Fixed)
	}
	return a, nil
}

func (a *mapAdjoint) at(at bilevel.Point) error {
	a.x, a.v, a.err = at.X, at.V, nil
	return a.process.Init(a.s, at.Z, at.X)
}

func (a *mapAdjoint) preferred() linsolve.Solver { return linsolve.GMRES{} }

// solve solves (I − ∂sΦᵀ)u = b.
func (a *mapAdjoint) solve(ctx context.Context, fz []float64, linear linsolve.Solver,
	tol float64) (linsolve.Result, error) {
	if linear == nil {
		linear = a.preferred()
	}
	d := len(fz)
	copy(a.b, fz)
	clear(a.u[d:])
	copy(a.u, a.v)
	extra := 0
	if len(a.u) > d && floats.Norm(a.v, 2) > 0 {
		a.process.Pull(a.scratch, nil, a.s, a.x, a.u, lateStep)
		copy(a.u[d:], a.scratch[d:]) // the equation of these entries, u = ∂sΦᵀu
		extra = 1
	}
	res, err := linear.Solve(ctx, a.op, a.u, a.b, tol, &a.work)
	res.Products += extra
	copy(a.v, a.u)
	if a.err != nil {
		err = a.err
	}
	return res, err
}

// correction is ⟨u, Φ(s) − s⟩.
func (a *mapAdjoint) correction(rest []float64) (sum, size float64) {
	if a.own {
		return -floats.Dot(a.u, rest), sizes(a.u, rest) // rest = z − Φ(z)
	}
	a.process.Step(a.scratch, a.s, a.x, lateStep)
	floats.Sub(a.scratch, a.s)
	return floats.Dot(a.u, a.scratch), sizes(a.u, a.scratch)
}

func (a *mapAdjoint) cross(grad []float64) {
	a.process.Pull(nil, a.ux, a.s, a.x, a.u, lateStep)
	floats.Add(grad, a.ux) // ∇h = ∇x f + ∂xΦᵀu
}

// mapOperator is I − ∂sΦᵀ.
type mapOperator struct{ a *mapAdjoint }

var (
	_ linsolve.Scaler     = mapOperator{}
	_ linsolve.Transposer = pushedMap{}
)

// MulVec is described at [linsolve.Operator].
func (m mapOperator) MulVec(dst, v []float64) {
	m.a.process.Pull(dst, nil, m.a.s, m.a.x, v, lateStep)
	floats.SubTo(dst, v, dst)
}

// Scale is described at [linsolve.Scaler].
func (mapOperator) Scale() float64 { return 1 }

// pushedMap is a mapOperator with forward products.
type pushedMap struct{ mapOperator }

// MulTransVec is described at [linsolve.Transposer].
func (m pushedMap) MulTransVec(dst, v []float64) {
	if err := m.a.process.Push(dst, m.a.s, m.a.x, v, nil, lateStep); err != nil {
		m.a.err = err
	}
	floats.SubTo(dst, v, dst)
}
