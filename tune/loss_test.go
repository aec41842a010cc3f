package tune

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// TestLosses: what an entry says about a row is what its objective minimises, its curvature is that of the row's loss,
// its probabilities are some, and the label that it predicts is one.
func TestLosses(t *testing.T) {
	for _, entry := range losses {
		l := *entry
		l.delta = .7
		rng := rand.New(rand.NewPCG(1, 2))
		const n, d = 40, 3
		classes := min(l.most, 4)
		k := l.scores(classes)
		x, y := rows.NewDense(n, d), make([]float64, n)
		for i := range y {
			for j := range d {
				x.Row(i)[j] = rng.NormFloat64()
			}
			if y[i] = rng.NormFloat64(); l.classes {
				y[i] = float64(rng.IntN(classes))
			} else if l.counts {
				y[i] = float64(rng.IntN(5))
			}
		}
		o, err := l.objective(&l, x, y, k, 1)
		if err != nil {
			t.Fatal(err)
		}
		z := make([]float64, o.Layout().Len())
		for i := range z {
			z[i] = rng.NormFloat64()
		}
		scores := model.ScoreRows(x, z, k)
		j := l.judge(scores, y, nil, k)
		if got, want := l.metrics(j).Loss, o.Value(z, []float64{0}, bilevel.All(o)); math.Abs(got-want) > 1e-12*want {
			t.Errorf("%s: the rows lose %v on average, and the objective is %v", l.task, got, want)
		}

		// Where all classes are as likely; the mean over the labels is that over the classes.
		curvature, at := 0.0, make([]float64, k)
		const h = 1e-4
		for c := range max(classes, 1) {
			at[0] = 0
			middle := l.value(&l, at, float64(c))
			at[0] = h
			right := l.value(&l, at, float64(c))
			at[0] = -h
			curvature += (right + l.value(&l, at, float64(c)) - 2*middle) / (h * h) / float64(max(classes, 1))
		}
		if want := l.curvature(k); math.Abs(curvature-want) > 1e-6 {
			t.Errorf("%s: curvature %v, %v by differences", l.task, want, curvature)
		}
		if l.classes == (l.mean != nil) || l.classes != l.score.Share || l.classes == (l.link != nil) {
			t.Errorf("%s: classes %t, means %t, score %s", l.task, l.classes, l.mean != nil, l.score.Name)
		}
		if k == 1 {
			for i, s := range scores {
				v := func(s float64) float64 { return l.value(&l, []float64{s}, y[i]) }
				slope, curvature := l.bend(&l, s, y[i])
				if e := math.Abs(slope - (v(s+h)-v(s-h))/(2*h)); e > 1e-6*(1+math.Abs(slope)) {
					t.Errorf("%s: slope %v, which is off by %v", l.task, slope, e)
				}
				if e := math.Abs(curvature - (v(s+h)+v(s-h)-2*v(s))/(h*h)); e > 1e-5*(1+curvature) {
					t.Errorf("%s: curvature %v, which is off by %v", l.task, curvature, e)
				}
			}
		}
		if !l.classes {
			if v := l.mean(l.link(1.5)); math.Abs(v-1.5) > 1e-12 {
				t.Errorf("%s: the mean of the score of 1.5 is %v", l.task, v)
			}
			continue
		}
		p := make([]float64, classes)
		for i := range n {
			if l.proba == nil {
				break
			}
			l.proba(p, scores[i*k:(i+1)*k])
			sum, likely := 0.0, 0
			for c, v := range p {
				if sum += v; v > p[likely] {
					likely = c
				}
			}
			if math.Abs(sum-1) > 1e-12 || float64(likely) != j.predicted[i] {
				t.Fatalf("%s: probabilities %v, and the prediction is %v", l.task, p, j.predicted[i])
			}
			if own := -math.Log(p[int(y[i])]); math.Abs(own-j.losses[i]) > 1e-9 {
				t.Fatalf("%s: the label has probability %v, and the loss is %v", l.task, p[int(y[i])], j.losses[i])
			}
		}
		names := make([]string, classes)
		for c := range names {
			names[c] = fmt.Sprint(c)
		}
		if err := l.check(names); err != nil || l.check(names[:1]) == nil || l.check(nil) == nil {
			t.Errorf("%s: which classes it can have: %v", l.task, err)
		}
	}
}
