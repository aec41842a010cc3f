package toy

import (
	"context"
	"math"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/hypergrad"
)

func TestDerivatives(t *testing.T) {
	for name, p := range map[string]*bilevel.Problem{
		"coreset": Coreset(), "no singleton": NoSingleton(), "adversarial": Adversarial(), "waves": Waves(),
	} {
		t.Run(name+" f", func(t *testing.T) { bileveltest.Objective(t, p.Outer, bileveltest.ObjectiveOptions{}) })
		t.Run(name+" g", func(t *testing.T) { bileveltest.Objective(t, p.Inner, bileveltest.ObjectiveOptions{}) })
	}
}

func TestAnswers(t *testing.T) {
	// The closest point lies on the edge from the second to the fourth vertex.
	a, b := Vertices[1], Vertices[3]
	var s, l float64
	for i := range a {
		s += (Goal[i] - a[i]) * (b[i] - a[i])
		l += (b[i] - a[i]) * (b[i] - a[i])
	}
	z := []float64{a[0] + s/l*(b[0]-a[0]), a[1] + s/l*(b[1]-a[1])}
	if math.Abs(z[0]-1.8) > 1e-14 || math.Abs(z[1]-.4) > 1e-14 {
		t.Errorf("the closest point of the hull is %v", z)
	}
	if f := Coreset().Outer.Value(z, make([]float64, 4), bilevel.Batch{Hi: 1}); math.Abs(f-.72) > 1e-14 {
		t.Errorf("f = %v there", f)
	}
	// No vertex is closer than the line through that edge.
	for _, v := range Vertices {
		if d := (v[0]-z[0])*(Goal[0]-z[0]) + (v[1]-z[1])*(Goal[1]-z[1]); d > 1e-12 {
			t.Errorf("the vertex %v lies on the goal's side of the edge", v)
		}
	}
	// Weights that tend to those of the edge.
	x := []float64{-40, math.Log(.8), -40, math.Log(.2)}
	if _, c := combine(x); math.Hypot(c[0]-z[0], c[1]-z[1]) > 1e-14 {
		t.Errorf("c(x) = %v", c)
	}
	for _, c := range []struct {
		p    *bilevel.Problem
		z, x []float64
	}{{NoSingleton(), []float64{1, 1}, []float64{1}}, {Adversarial(), []float64{3}, []float64{0}}} {
		dz := make([]float64, len(c.z))
		c.p.Inner.Grad(dz, nil, c.z, c.x, bilevel.Batch{Hi: 1})
		for _, d := range dz {
			if d != 0 {
				t.Errorf("∇z g = %v at the answer", dz)
			}
		}
		if f := c.p.Outer.Value(c.z, c.x, bilevel.Batch{Hi: 1}); f != 0 {
			t.Errorf("f = %v at the answer", f)
		}
	}
}

// The answer of Waves is where ∇h = 0.
func TestWavesAnswer(t *testing.T) {
	p := Waves()
	e, err := hypergrad.NewEvaluator(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	x, grad := WavesAnswer(), make([]float64, 3)
	if _, err := e.Evaluate(context.Background(), grad, x); err != nil {
		t.Fatal(err)
	}
	for _, d := range grad {
		if math.Abs(d) > 1e-9 {
			t.Errorf("∇h = %v at x = %v", grad, x)
		}
	}
}
