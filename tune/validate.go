package tune

import (
	"math/rand/v2"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
)

// split is what strengths are learned on: training and validation rows, or the rows of a cross-validation.
// Features are scaled and have the intercept's column, targets of a ridge model are standardised.
type split struct {
	train  *dataset.Set
	val    *dataset.Set // nil with folds
	bounds []int        // with folds: train is sorted by fold
}

func (s split) folds() int { return max(len(s.bounds)-1, 0) }

// rows are the places of the rows that judge.
func (s split) rows() []int {
	if s.folds() > 0 {
		return s.train.Rows
	}
	return s.val.Rows
}

// byFold sorts rows by fold, in random order within a fold, because stochastic methods take consecutive rows.
// of names the fold of each row; negative folds are left out.
func byFold(t *dataset.Set, of []int, k int) split {
	var order []int
	bounds := make([]int, 1, k+1)
	rng := rand.New(rand.NewPCG(uint64(len(of)), uint64(k)))
	for fold := range k {
		for i, g := range of {
			if g == fold {
				order = append(order, i)
			}
		}
		part := order[bounds[fold]:]
		rng.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
		bounds = append(bounds, len(order))
	}
	return split{train: t.Subset(order), bounds: bounds}
}

// pass is the number of multiplications of one pass over all rows of s.
func (f *fit) pass(s split) float64 {
	size := values(s.train.X) * float64(max(s.folds(), 1))
	if s.val != nil {
		size += values(s.val.X)
	}
	return size * float64(f.scores)
}

// values is how many m has stored.
func values(m rows.Matrix) float64 {
	if m, ok := m.(*rows.CSR); ok {
		return float64(len(m.Val))
	}
	n, d := m.Dims()
	return float64(n) * float64(d)
}

// heldOut is one comparison: where a kind learns, and the rows that judge it.
type heldOut struct {
	learn split
	judge *dataset.Set
	refit bool // on learn.train, before judging
}

// leastHeldOut is on how many held-out rows kinds are compared, at least: two standard errors of a few rows are no
// bound of chance, and one row has none.
const leastHeldOut = 6

// cheapComparison is the number of multiplications of all passes with which kinds are judged on every fold.
const cheapComparison = 2e6

// heldOuts divides the rows for the comparison of kinds; none if there are too few.
func (f *fit) heldOuts() []heldOut {
	s := f.main
	classes := f.loss.classes
	k := s.folds()
	if k == 0 {
		rest, part, err := s.val.Split(.25, f.o.Seed, classes)
		if err != nil && classes {
			rest, part, err = s.val.Split(.25, f.o.Seed, false) // a class with a single row
		}
		if err != nil {
			return nil
		}
		return []heldOut{{learn: split{train: s.train, val: rest}, judge: part}}
	}
	judged := min(k, max(2, int(cheapComparison*float64(k)/f.pass(s))))
	var out []heldOut
	for h := range judged {
		of := make([]int, s.bounds[k])
		part := make([]int, 0, s.bounds[h+1]-s.bounds[h])
		rest := make([]int, 0, len(of))
		for g := range k {
			for i := s.bounds[g]; i < s.bounds[g+1]; i++ {
				switch {
				case g == h:
					of[i] = -1
					part = append(part, i)
				case g > h:
					of[i] = g - 1
				default:
					of[i] = g
				}
				if g != h {
					rest = append(rest, i)
				}
			}
		}
		var learn split
		if k == 2 { // two new folds in the one that is left
			t := s.train.Subset(rest)
			folds, err := t.Folds(2, f.o.Seed)
			if err != nil {
				return nil
			}
			learn = byFold(t, folds, 2)
		} else {
			learn = byFold(s.train, of, k-1)
		}
		out = append(out, heldOut{learn: learn, judge: s.train.Subset(part), refit: true})
	}
	return out
}
