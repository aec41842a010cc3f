package bileveltest

import (
	"fmt"
	"math"
	"testing"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
)

// FixedPoint tests the map f as [Objective] tests objectives: Pull, and Push where f is a [bilevel.Pusher], against
// finite differences of Map, in z and in x; batches that add up; nil destinations; overwriting; no writes
// elsewhere; the same bits when asked again and for every GOMAXPROCS.
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
	checks := []check{
		{"Pull", func(r *report) { pr.checkPull(r, f) }},
		{"batches add up", func(r *report) { pr.checkMapBatches(r, f) }},
		{"memory", pr.checkMemory},
		{"nil destinations", pr.checkNil},
		{"empty batch", pr.checkEmpty},
		{"same bits again", pr.checkRepeat},
		{"same bits for every GOMAXPROCS", pr.checkProcs},
	}
	if m, ok := f.(bilevel.Pusher); ok {
		checks = append(checks, check{"Push", func(r *report) { pr.checkPush(r, f, m) }})
		pr.oracles = append(pr.oracles, oracle{"Push", func(bilevel.Batch) []slot { return []slot{{name: "dst", n: pr.d}} },
			func(at point, _ bilevel.Batch) [][]float64 { return [][]float64{at.z, at.x, at.v, at.y} },
			func(dst, in [][]float64, b bilevel.Batch) float64 {
				if dst[0] != nil {
					m.Push(dst[0], in[0], in[1], in[2], in[3], b)
				}
				return 0
			}})
	}
	return checks
}

// checkPush compares Push, whole and with a nil direction, with its transpose in Pull and with differences of Map.
func (pr *probe) checkPush(r *report, f bilevel.FixedPoint, m bilevel.Pusher) {
	rng := pr.rng(8)
	for i, at := range pr.points {
		for _, b := range pr.batches {
			got, uz, ux := make([]float64, pr.d), make([]float64, pr.d), make([]float64, pr.p)
			f.Pull(uz, ux, at.z, at.x, at.w, b)
			compare := func(name string, vz, vx []float64, right float64) {
				m.Push(got, at.z, at.x, vz, vx, b)
				left := floats.Dot(got, at.w)
				scale := math.Abs(right) + floats.Norm(got, 2)*floats.Norm(at.w, 2)
				if !(math.Abs(left-right) <= pr.opts.Round*scale) {
					r.errorf("over %v at point %d: ⟨Push(%s), w⟩ = %.10g, Pull gives %.10g", b, i, name, left, right)
				}
			}
			compare("v, y", at.v, at.y, floats.Dot(uz, at.v)+floats.Dot(ux, at.y))
			compare("v, nil", at.v, nil, floats.Dot(uz, at.v))
			compare("nil, y", nil, at.y, floats.Dot(ux, at.y))
			compare("nil, nil", nil, nil, 0)
			for _, dir := range pr.directions(at.x, true, 0, 0, rng) {
				m.Push(got, at.z, at.x, at.v, dir.u, b)
				want, slack := difference(func(s float64) []float64 {
					dst := make([]float64, pr.d)
					f.Map(dst, along(at.z, at.v, s), along(at.x, dir.u, s), b)
					return dst
				}, dir.h)
				for k := range got {
					if pr.far(got[k], want[k], slack[k]) {
						r.errorf("over %v at point %d: Push[%d] along v and %s is %.10g, finite differences of Map %.10g ± %.1g", b, i, k,
							dir.name("x"), got[k], want[k], slack[k])
					}
				}
			}
		}
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
					r.errorf("over %v at point %d: %s = %.10g, finite differences of ⟨Φ, u⟩ %.10g ± %.1g",
						b, i, dir.name("uz"), got, want[0], slack[0])
				}
			}
			for _, dir := range pr.directions(at.x, true, 0, 0, rng) {
				want, slack := difference(func(s float64) []float64 { return phi(at.z, along(at.x, dir.u, s)) }, dir.h)
				if got := floats.Dot(ux, dir.u); pr.far(got, want[0], slack[0]) {
					r.errorf("over %v at point %d: %s = %.10g, finite differences of ⟨Φ, u⟩ %.10g ± %.1g",
						b, i, dir.name("ux"), got, want[0], slack[0])
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
