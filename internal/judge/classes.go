package judge

import (
	"cmp"
	"math"
	"slices"

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
	mass, squares, rows := make([]float64, k), make([]float64, k), make([]int, k)
	w := weights(u.Weights)
	for i, y := range u.Y {
		c := int(y)
		rows[c]++
		mass[c] += w.at(i)
		squares[c] += w.at(i) * w.at(i)
	}
	shares := func(s tune.Judged) (share []float64, found []int) {
		share, found = make([]float64, k), make([]int, k)
		for i, y := range u.Y {
			if c := int(y); s.Predicted[i] == y {
				share[c] += w.at(i) / mass[c]
				found[c]++
			}
		}
		for c, m := range mass {
			if m == 0 {
				share[c] = math.NaN()
			}
		}
		return share, found
	}
	trivial, _ := shares(u.Trivial)
	base, _ := shares(u.Baseline)
	model, found := shares(u.Model)
	said := make([]int, k)
	for _, c := range u.Model.Predicted {
		said[int(c)]++
	}
	j.Smallest = 1
	for c := range classes {
		r := Recall{Class: classes[c], Rows: rows[c], Trivial: trivial[c], Baseline: base[c], Found: found[c],
			Mistaken: said[c] - found[c]}
		r.Model.Value = model[c] // NaN without rows
		n := 0.0
		if mass[c] > 0 {
			n = mass[c] * mass[c] / squares[c]
			j.Smallest = min(j.Smallest, mass[c]/float64(len(u.Y)))
		}
		r.Model.Low, r.Model.High = Wilson(model[c]*n, n)
		j.Recalls[c] = r
	}
	if task(u).Odds() {
		j.Calibration = calibration(u, k, sorted.of(u.Model.LogOdds))
	}
	if k == 2 && mass[0] > 0 && mass[1] > 0 {
		j.ROC = &ROC{w.cuts(u.Y, u.Baseline.LogOdds, sorted), w.cuts(u.Y, u.Model.LogOdds, sorted)}
	}
}

// calibration groups rows by probability.
func calibration(u *tune.Unseen, k int, order []int) []Group {
	n, w := len(u.Y), weights(u.LossWeights)
	many := min(groups, n/leastGroup)
	var out []Group
	for g := range many {
		part := order[g*n/many : (g+1)*n/many]
		p, hits, mass, squares := 0.0, 0.0, 0.0, 0.0
		for _, row := range part {
			mass += w.at(row)
			squares += w.at(row) * w.at(row)
			p += w.at(row) / (1 + math.Exp(-u.Model.LogOdds[row]))
			if k == 2 && u.Y[row] == 1 || k > 2 && u.Y[row] == u.Model.Predicted[row] {
				hits += w.at(row)
			}
		}
		if mass == 0 {
			continue
		}
		group := Group{Rows: len(part), Predicted: p / mass}
		effective := mass * mass / squares
		group.Observed.Value = hits / mass
		group.Observed.Low, group.Observed.High = Wilson(hits/mass*effective, effective)
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
func (w weights) cuts(y, odds []float64, sorted orders) []Cut {
	order := slices.Clone(sorted.of(odds))
	slices.Reverse(order)
	total, seen := [2]float64{}, [2]float64{}
	for i, c := range y {
		total[int(c)] += w.at(i)
	}
	out := []Cut{{}}
	step := max(len(y)/mostCuts, 1)
	last := 0
	for at, i := range order {
		seen[int(y[i])] += w.at(i)
		end := at+1 == len(order)
		if !end && odds[order[at+1]] == odds[i] || !end && at+1-last < step {
			continue
		}
		out, last = append(out, Cut{seen[0] / total[0], seen[1] / total[1]}), at+1
	}
	return out
}
