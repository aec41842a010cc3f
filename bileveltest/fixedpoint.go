package bileveltest

import (
	"fmt"
	"testing"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
)

// FixedPoint tests the map f as [Objective] tests objectives: Pull against finite differences of Map, in z and
// in x; batches that add up; nil destinations; overwriting; no writes elsewhere; the same bits when asked again
// and for every GOMAXPROCS.
func FixedPoint(t *testing.T, f bilevel.FixedPoint, opts ObjectiveOptions) {
	t.Helper()
	subtests(t, fixedPointChecks(f, opts))
}

// CheckFixedPoint makes the checks of [FixedPoint] and returns what they found, joined.
func CheckFixedPoint(f bilevel.FixedPoint, opts ObjectiveOptions) error {
	return join(fixedPointChecks(f, opts))
}

func fixedPointChecks(f bilevel.FixedPoint, opts ObjectiveOptions) []check {
	fail := func(err error) []check {
		return []check{{"start", func(r *report) { r.errorf("%v", err) }}}
	}
	pr := &probe{opts: opts.withDefaults(), n: f.Samples()}
	pr.d, pr.p = f.Dims()
	if pr.n < 1 {
		return fail(fmt.Errorf("Samples() = %d, less than 1", pr.n))
	}
	var err error
	if pr.points, err = drawPoints(pr.d, pr.p, pr.opts, pr.rng(0)); err != nil {
		return fail(err)
	}
	pr.batches = drawBatches(pr.n, pr.d+pr.p, pr.rng(1))
	pr.oracles = []oracle{
		{"Map", func(bilevel.Batch) []slot { return []slot{{name: "dst", n: pr.d}} },
			func(at point, _ bilevel.Batch) [][]float64 { return [][]float64{at.z, at.x} },
			func(dst, in [][]float64, b bilevel.Batch) float64 {
				if dst[0] != nil {
					f.Map(dst[0], in[0], in[1], b)
				}
				return 0
			}},
		{"Pull", func(bilevel.Batch) []slot { return []slot{{name: "uz", n: pr.d}, {name: "ux", n: pr.p}} },
			func(at point, _ bilevel.Batch) [][]float64 { return [][]float64{at.z, at.x, at.v} },
			func(dst, in [][]float64, b bilevel.Batch) float64 {
				f.Pull(dst[0], dst[1], in[0], in[1], in[2], b)
				return 0
			}},
	}
	return []check{
		{"Pull", func(r *report) { pr.checkPull(r, f) }},
		{"batches add up", func(r *report) { pr.checkMapBatches(r, f) }},
		{"memory", pr.checkMemory},
		{"nil destinations", pr.checkNil},
		{"empty batch", pr.checkEmpty},
		{"same bits again", pr.checkRepeat},
		{"same bits for every GOMAXPROCS", pr.checkProcs},
	}
}

func (pr *probe) checkPull(r *report, f bilevel.FixedPoint) {
	rng := pr.rng(2)
	for i, at := range pr.points {
		for _, b := range pr.batches {
			uz, ux := make([]float64, pr.d), make([]float64, pr.p)
			f.Pull(uz, ux, at.z, at.x, at.v, b)
			phi := func(z, x []float64) []float64 {
				dst := make([]float64, pr.d)
				f.Map(dst, z, x, b)
				return []float64{floats.Dot(dst, at.v)}
			}
			for _, dir := range pr.directions(at.z, false, 0, 0, rng) {
				want, slack := difference(func(s float64) []float64 { return phi(along(at.z, dir.u, s), at.x) }, dir.h)
				if got := floats.Dot(uz, dir.u); pr.far(got, want[0], slack[0]) {
					r.errorf("over %v at point %d: %s = %.10g, finite differences of ⟨Φ, u⟩ %.10g ± %.1g", b, i, dir.name("uz"), got, want[0], slack[0])
				}
			}
			for _, dir := range pr.directions(at.x, true, 0, 0, rng) {
				want, slack := difference(func(s float64) []float64 { return phi(at.z, along(at.x, dir.u, s)) }, dir.h)
				if got := floats.Dot(ux, dir.u); pr.far(got, want[0], slack[0]) {
					r.errorf("over %v at point %d: %s = %.10g, finite differences of ⟨Φ, u⟩ %.10g ± %.1g", b, i, dir.name("ux"), got, want[0], slack[0])
				}
			}
		}
	}
}

func (pr *probe) checkMapBatches(r *report, f bilevel.FixedPoint) {
	at := pr.points[0]
	names := []string{"Φ", "uz", "ux"}
	quantities := func(b bilevel.Batch) [][]float64 {
		dst, uz, ux := make([]float64, pr.d), make([]float64, pr.d), make([]float64, pr.p)
		f.Map(dst, at.z, at.x, b)
		f.Pull(uz, ux, at.z, at.x, at.v, b)
		return [][]float64{dst, uz, ux}
	}
	pr.addUp(r, names, quantities)
}
