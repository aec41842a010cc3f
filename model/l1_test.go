package model_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

func TestL1ByDefinition(t *testing.T) {
	const outer = 40
	l := model.Layout{Features: 6, Classes: 3, FeatureMajor: true}
	rng := rand.New(rand.NewPCG(4, 2))
	for _, kind := range []model.Strengths{model.Shared, model.PerFeature, model.PerClass, model.PerFeatureClass,
		model.PerGroup} {
		for _, linear := range []bool{false, true} {
			o := model.PenaltyOptions{Linear: linear, Intercept: true, Groups: []string{"a", "b", "a", "b", "c"}, Scale: 1.5,
				Copies: 2, First: 3, Outer: outer}
			n := must(model.NewL1(l, kind, o))(t)
			d, p := n.Dims()
			if d != 2*l.Len() || p != outer {
				t.Fatalf("d = %d, p = %d", d, p)
			}
			x, c, w := normal(p, rng), normal(d, rng), normal(p, rng)
			lambda, push, pull := make([]float64, d), make([]float64, d), make([]float64, p)
			n.Weights(lambda, x)
			n.Pull(pull, x, c)
			n.Push(push, x, w)
			own := make([]float64, n.P())
			n.Strengths(own, x)
			wantPull := make([]float64, p)
			penalised := 0
			for i := range d {
				j := n.Strength(i)
				if j < 0 {
					if lambda[i] != 0 || push[i] != 0 {
						t.Errorf("%v: coefficient %d is not penalised, and has weight %v", kind, i, lambda[i])
					}
					continue
				}
				penalised++
				weight, slope := 1.5*math.Exp(x[j]), 1.5*math.Exp(x[j])
				if linear {
					weight, slope = 1.5*x[j], 1.5
				}
				wantPull[j] += slope * c[i]
				if math.Abs(lambda[i]-weight) > 1e-14*math.Abs(weight) ||
					math.Abs(push[i]-slope*w[j]) > 1e-14*math.Abs(slope*w[j]) ||
					math.Abs(own[j-3]*1.5-weight) > 1e-14*math.Abs(weight) {
					t.Errorf("%v, linear %v: weight %v, want %v; push %v, want %v",
						kind, linear, lambda[i], weight, push[i], slope*w[j])
				}
			}
			if penalised != 2*5*3 {
				t.Errorf("%v: %d coefficients are penalised", kind, penalised)
			}
			if diff := maxDiff(pull, wantPull); diff > 1e-13 {
				t.Errorf("%v, linear %v: Pull is %v off", kind, linear, diff)
			}
		}
	}
	for _, o := range []model.PenaltyOptions{{First: -1}, {First: 2, Outer: 7}} {
		if _, err := model.NewL1(l, model.PerFeature, o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

// A restricted objective is the whole one at points that are zero elsewhere.
func TestRestrict(t *testing.T) {
	const n, d = 23, 9
	dense, csr := table(n, d, 8)
	rng := rand.New(rand.NewPCG(2, 3))
	for _, c := range lossCases(n) {
		for _, a := range []rows.Matrix{dense, csr} {
			t.Run(fmt.Sprintf("%s/%T", c.name, a), func(t *testing.T) {
				loss := must(c.make(a, d+2))(t)
				l := loss.Layout()
				o := model.PenaltyOptions{Intercept: true, First: 1, Outer: d + 2, Copies: 3}
				folds := must(model.NewFolds(loss, []int{0, 7, 15, n}))(t)
				for name, g := range map[string]bilevel.SecondOrder{
					"plain":       loss,
					"folds":       folds.Inner,
					"regularised": must(model.Regularize(folds.Inner, must(model.NewPenalty(l, model.PerFeature, o))(t)))(t),
				} {
					dim, p := g.Dims()
					set := []int{l.Index(0, 2), l.Index(0, 5), l.Index(l.Classes-1, 7)}
					if name != "plain" {
						set = append(set, l.Len()+l.Index(0, 8))
					}
					slices.Sort(set)
					sub, super := g.(interface {
						Restrict([]int) (bilevel.SecondOrder, []int)
					}).Restrict(set)
					ds, ps := sub.Dims()
					if ps != p || ds != len(super) || ds >= dim || !slices.IsSorted(super) {
						t.Fatalf("%s: d = %d, p = %d, super = %v", name, ds, ps, super)
					}
					for _, i := range set {
						if !slices.Contains(super, i) {
							t.Fatalf("%s: %d is not in %v", name, i, super)
						}
					}
					z, v, x := normal(ds, rng), normal(ds, rng), normal(p, rng)
					fz, fv := make([]float64, dim), make([]float64, dim)
					for e, i := range super {
						fz[i], fv[i] = z[e], v[e]
					}
					for _, b := range []bilevel.Batch{bilevel.All(g), {Lo: 3, Hi: 17}} {
						dz, hv, cv := make([]float64, ds), make([]float64, ds), make([]float64, p)
						wz, wh, wc := make([]float64, dim), make([]float64, dim), make([]float64, p)
						sub.Products(dz, hv, cv, z, x, v, b)
						g.Products(wz, wh, wc, fz, x, fv, b)
						for e, i := range super {
							if math.Abs(dz[e]-wz[i]) > 1e-13 || math.Abs(hv[e]-wh[i]) > 1e-13 {
								t.Fatalf("%s: gradient %v and product %v of coefficient %d, want %v and %v",
									name, dz[e], hv[e], i, wz[i], wh[i])
							}
						}
						if maxDiff(cv, wc) > 1e-13 {
							t.Errorf("%s: mixed product %v, want %v", name, cv, wc)
						}
						if got, want := sub.Value(z, x, b), g.Value(fz, x, b); math.Abs(got-want) > 1e-13 {
							t.Errorf("%s: value %v, want %v", name, got, want)
						}
						h, wantH := make([]float64, ds*ds), make([]float64, dim*dim)
						sub.(bilevel.HessianMatrix).Hessian(context.Background(), h, z, x, b)
						g.(bilevel.HessianMatrix).Hessian(context.Background(), wantH, fz, x, b)
						for e, i := range super {
							for f, j := range super[:e+1] {
								if math.Abs(h[e*ds+f]-wantH[i*dim+j]) > 1e-13 {
									t.Fatalf("%s: Hessian (%d, %d) is %v, want %v", name, i, j, h[e*ds+f], wantH[i*dim+j])
								}
							}
						}
					}
				}
			})
		}
	}
}
