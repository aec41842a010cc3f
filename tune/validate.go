package tune

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
)

// split is what strengths are learned on: training and validation rows, or the rows of a cross-validation.
// Features are scaled and have the intercept's column, targets of a ridge model are standardised.
type split struct {
	train  *dataset.Set // stacked, if the cross-validation is repeated
	val    *dataset.Set // nil with folds
	bounds []int        // with folds: train is sorted by fold
	times  int          // that the rows are divided into folds
	// all are the rows that the final model is fitted to, nil where those are the training rows.
	all *dataset.Set
}

// folds are the folds of all times together.
func (s split) folds() int { return max(len(s.bounds)-1, 0) }

// judges are the rows that judge, once each.
func (s split) judges() *dataset.Set {
	switch {
	case s.folds() == 0:
		return s.val
	case s.times == 1:
		return s.train
	}
	return s.train.Subset(upTo(s.bounds[s.folds()/s.times]))
}

// judged is how many they are.
func (s split) judged() int {
	if s.folds() == 0 {
		return len(s.val.Y)
	}
	return len(s.train.Y) / s.times
}

// learnedFrom is the number of rows that models are fitted to on the way: those that judge are left aside unless there
// are folds.
func (s split) learnedFrom() int { return len(s.train.Y) / max(s.times, 1) }

func upTo(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

// Below so many rows strengths are validated by cross-validation with so many folds, and from there on with a share of
// the rows. Few rows are divided several times, until there are enough in all: how they are divided is chance.
const (
	fewRows      = 5000
	defaultFolds = 5
	defaultShare = .25
	enoughRows   = 300
	mostTimes    = 4
)

// Validation is how n rows are validated where nothing is said about it: by so many folds, so many times, or on a share
// of the rows, as they always are where the latest rows judge.
func Validation(n int, latest bool) (folds, times int, share float64) {
	if n >= fewRows || latest {
		return 0, 1, defaultShare
	}
	return max(2, min(defaultFolds, n)), min(max((enoughRows+n-1)/max(n, 1), 1), mostTimes), 0
}

// divide makes the split of prepared rows.
func (f *fit) divide(t, val *dataset.Set, data Data) (err error) {
	n, _ := t.Dims()
	if data.Groups != nil && len(data.Groups) != n {
		return fmt.Errorf("tune: %d groups of %d training rows", len(data.Groups), n)
	}
	if data.Times != nil && len(data.Times) != n {
		return fmt.Errorf("tune: %d times of %d training rows", len(data.Times), n)
	}
	folds, times, share := data.Folds, 1, data.Share
	if val == nil && folds == 0 && share == 0 {
		folds, times, share = Validation(n, data.Times != nil)
	}
	switch {
	case val != nil:
		f.main = split{train: t, val: val}
	case folds > 0:
		f.main, err = f.byFolds(t, folds, times, data.Groups)
		return err
	default:
		in, out, err := f.holdOut(t, share, data)
		if err != nil {
			return err
		}
		all := f.arrange(t, slices.Concat(in, out))
		f.main = split{train: all.Slice(0, len(in)), val: all.Slice(len(in), n), all: all}
		return f.bothSides(f.main.train, f.main.val)
	}
	if f.stochastic(f.main) { // batches are consecutive rows
		f.main.train, f.main.val = f.main.train.Shuffle(f.o.Seed), f.main.val.Shuffle(f.o.Seed+1)
	}
	return nil
}

// arrange is t with its rows in another order, without a copy of rows that were transformed and nobody else has.
func (f *fit) arrange(t *dataset.Set, order []int) *dataset.Set {
	if f.scaler != nil || f.intercept {
		return t.Permute(order)
	}
	return t.Subset(order)
}

// holdOut takes a share of the rows for validation: the last ones in time, or whole groups, or at random. Both sides are
// in random order, as batches are consecutive rows.
func (f *fit) holdOut(t *dataset.Set, share float64, data Data) (in, out []int, err error) {
	n, _ := t.Dims()
	switch {
	case data.Times != nil:
		order := upTo(n)
		slices.SortStableFunc(order, func(i, j int) int { return compareTimes(data.Times[i], data.Times[j]) })
		k := n - int(share*float64(n)+.5)
		for k > 0 && k < n && data.Times[order[k-1]] == data.Times[order[k]] {
			k-- // what happened at once is not divided
		}
		if k == 0 || k == n {
			return nil, nil, &dataset.Error{File: t.Source, Err: fmt.Errorf("the latest %v of %d rows cannot be told from the "+
				"others by their times", share, n), Hint: "choose another share or another column of times"}
		}
		in, out = order[:k], order[k:]
	case data.Groups != nil:
		of, err := t.GroupFolds(data.Groups, max(2, int(1/share+.5)), f.o.Seed)
		if err != nil {
			return nil, nil, err
		}
		for i, g := range of {
			if g == 0 {
				out = append(out, i)
			} else {
				in = append(in, i)
			}
		}
	default:
		return t.SplitRows(share, f.o.Seed, f.loss.classes)
	}
	rng := rand.New(rand.NewPCG(f.o.Seed, uint64(n)))
	for _, side := range [][]int{in, out} {
		rng.Shuffle(len(side), func(i, j int) { side[i], side[j] = side[j], side[i] })
	}
	return in, out, nil
}

func compareTimes(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// bothSides is an error if a class of the validation rows has no training row.
func (f *fit) bothSides(rest, part *dataset.Set) error {
	if !f.loss.classes {
		return nil
	}
	train := rest.ClassCounts()
	for c, n := range part.ClassCounts() {
		if n > 0 && train[c] == 0 {
			return &dataset.Error{File: rest.Source, Err: fmt.Errorf("all rows of the class %q are validation rows",
				f.classes[c]), Hint: "divide the rows otherwise"}
		}
	}
	return nil
}

// byFolds is a cross-validation of t.
func (f *fit) byFolds(t *dataset.Set, k, times int, groups []string) (split, error) {
	if times == 1 {
		of, err := f.foldsOf(t, k, f.o.Seed, groups)
		if err != nil {
			return split{}, err
		}
		order, bounds := sorted(of, k)
		return split{train: f.arrange(t, order), bounds: bounds, times: 1}, nil
	}
	s := split{bounds: []int{0}, times: times, all: t}
	var order []int
	for i := range times {
		of, err := f.foldsOf(t, k, f.o.Seed+uint64(i), groups)
		if err != nil {
			return split{}, err
		}
		part, bounds := sorted(of, k)
		for _, b := range bounds[1:] {
			s.bounds = append(s.bounds, len(order)+b)
		}
		order = append(order, part...)
	}
	s.train = t.Subset(order)
	return s, nil
}

func (f *fit) foldsOf(t *dataset.Set, k int, seed uint64, groups []string) ([]int, error) {
	if groups != nil {
		return t.GroupFolds(groups, k, seed)
	}
	return t.Folds(k, seed)
}

// byFold sorts rows by fold. of names the fold of each row; negative folds are left out.
func byFold(t *dataset.Set, of []int, k int) split {
	order, bounds := sorted(of, k)
	return split{train: t.Subset(order), bounds: bounds, times: 1}
}

// sorted are places of rows by fold, in random order within a fold, because stochastic methods take consecutive rows.
func sorted(of []int, k int) (order, bounds []int) {
	bounds = make([]int, 1, k+1)
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
	return order, bounds
}

// pass is the number of multiplications of one pass over all rows of s.
func (f *fit) pass(s split) float64 {
	size := values(s.train.X) * float64(max(s.folds()/max(s.times, 1), 1))
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

// heldOuts divides the rows for the comparison of kinds; none if there are too few. Of a repeated cross-validation only
// the first time counts.
func (f *fit) heldOuts() []heldOut {
	s := f.main
	classes := f.loss.classes
	if s.folds() == 0 {
		rest, part, err := s.val.Split(.25, f.o.Seed, classes)
		if err != nil && classes {
			rest, part, err = s.val.Split(.25, f.o.Seed, false) // a class with a single row
		}
		if err != nil {
			return nil
		}
		return []heldOut{{learn: split{train: s.train, val: rest}, judge: part}}
	}
	k := s.folds() / s.times
	bounds := s.bounds[:k+1]
	judged := min(k, max(2, int(cheapComparison*float64(k)/f.pass(s))))
	var out []heldOut
	for h := range judged {
		of := make([]int, bounds[k])
		part := make([]int, 0, bounds[h+1]-bounds[h])
		rest := make([]int, 0, len(of))
		for g := range k {
			for i := bounds[g]; i < bounds[g+1]; i++ {
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
