package judge

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/bilevel-go/bilevel/tune"
)

// Recall is how many rows of a class are found.
type Recall struct {
	Class           string
	Rows            int
	Trivial         float64 // shares of the rows
	Baseline        float64
	Model           Estimate
	Found, Mistaken int // rows that the model takes for the class: of it, and of others
}

// Rarest is the recall of the smallest class that has rows.
func (j *Judgement) Rarest() *Recall {
	at := 0
	for c, r := range j.Recalls {
		if r.Rows > 0 && (j.Recalls[at].Rows == 0 || r.Rows < j.Recalls[at].Rows) {
			at = c
		}
	}
	return &j.Recalls[at]
}

// Group is some rows of like probability: of the second of two classes, or of more, of the one that is predicted.
type Group struct {
	Rows      int
	Predicted float64  // mean probability
	Observed  Estimate // share of the rows that are of the class
}

// Astray says whether the mean probability is outside of the interval of what was observed.
func (g Group) Astray() bool { return g.Predicted < g.Observed.Low || g.Predicted > g.Observed.High }

// ROC is the share of the second class found against the share of the first taken for it, at every cut.
type ROC struct{ Baseline, Model []Cut }

// Cut is a point of a ROC.
type Cut struct{ False, True float64 }

// groups are how many of like probability there are at most, of leastGroup rows at least.
const (
	groups     = 8
	leastGroup = 10
	mostCuts   = 200
)

// byClass finds what there is to say about classes.
func (j *Judgement) byClass(u *tune.Unseen, classes []string, sorted orders) {
	k := len(classes)
	j.Recalls = make([]Recall, k)
	counts := make([]float64, k)
	shares := func(s tune.Judged) []float64 {
		found := make([]float64, k)
		for i, c := range u.Y {
			if s.Predicted[i] == c {
				found[int(c)]++
			}
		}
		return found
	}
	for _, c := range u.Y {
		counts[int(c)]++
	}
	trivial, base, model := shares(u.Trivial), shares(u.Baseline), shares(u.Model)
	said := make([]int, k)
	for _, c := range u.Model.Predicted {
		said[int(c)]++
	}
	j.Smallest = 1
	for c := range classes {
		n := counts[c]
		r := Recall{Class: classes[c], Rows: int(n), Trivial: trivial[c] / n, Baseline: base[c] / n,
			Found: int(model[c]), Mistaken: said[c] - int(model[c])}
		r.Model.Value = model[c] / n // NaN without rows
		r.Model.Low, r.Model.High = Wilson(model[c], n)
		j.Recalls[c] = r
		if n > 0 {
			j.Smallest = min(j.Smallest, n/float64(len(u.Y)))
		}
	}
	j.Calibration = calibration(u, k, sorted.of(u.Model.LogOdds))
	if k == 2 && counts[0] > 0 && counts[1] > 0 {
		j.ROC = &ROC{cuts(u.Y, u.Baseline.LogOdds, sorted), cuts(u.Y, u.Model.LogOdds, sorted)}
	}
}

// calibration groups rows by probability.
func calibration(u *tune.Unseen, k int, order []int) []Group {
	n := len(u.Y)
	many := min(groups, n/leastGroup)
	var out []Group
	for g := range many {
		part := order[g*n/many : (g+1)*n/many]
		p := make([]float64, len(part))
		hits := 0.0
		for i, row := range part {
			p[i] = 1 / (1 + math.Exp(-u.Model.LogOdds[row]))
			if k == 2 && u.Y[row] == 1 || k > 2 && u.Y[row] == u.Model.Predicted[row] {
				hits++
			}
		}
		group := Group{Rows: len(part), Predicted: stat.Mean(p, nil)}
		group.Observed.Value = hits / float64(len(part))
		group.Observed.Low, group.Observed.High = Wilson(hits, float64(len(part)))
		out = append(out, group)
	}
	return out
}

// orders are the orders of rows by odds, found once.
type orders map[*float64][]int

// of is the order by these odds.
func (o orders) of(odds []float64) []int {
	if len(odds) == 0 {
		return nil
	}
	if o[&odds[0]] == nil {
		o[&odds[0]] = byOdds(odds)
	}
	return o[&odds[0]]
}

// byOdds are the rows by their odds, and by their place where these are equal.
func byOdds(odds []float64) []int {
	type at struct {
		odds float64
		row  int
	}
	sorted := make([]at, len(odds))
	for i, v := range odds {
		sorted[i] = at{v, i}
	}
	compare := func(a, b at) int { return cmp.Or(cmp.Compare(a.odds, b.odds), cmp.Compare(a.row, b.row)) }
	if !slices.IsSortedFunc(sorted, compare) {
		slices.SortFunc(sorted, compare)
	}
	order := make([]int, len(odds))
	for k, s := range sorted {
		order[k] = s.row
	}
	return order
}

// cuts are the points of a ROC, not all of them where there are many.
func cuts(y, odds []float64, sorted orders) []Cut {
	order := slices.Clone(sorted.of(odds))
	slices.Reverse(order)
	total, seen := [2]float64{}, [2]float64{}
	for _, c := range y {
		total[int(c)]++
	}
	out := []Cut{{}}
	step := max(len(y)/mostCuts, 1)
	last := 0
	for at, i := range order {
		seen[int(y[i])]++
		end := at+1 == len(order)
		if !end && odds[order[at+1]] == odds[i] || !end && at+1-last < step {
			continue
		}
		out, last = append(out, Cut{seen[0] / total[0], seen[1] / total[1]}), at+1
	}
	return out
}
