package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/bilevel-go/bilevel/rows"
)

// generator is the random source of seed; stream keeps different uses of one seed apart.
func generator(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

const (
	streamShuffle = 1 + iota
	streamSplit
	streamFolds
)

// Subset returns the rows named by order, which may repeat; names and schema are shared.
func (s *Set) Subset(order []int) *Set { return s.subset(order, s.X.Take(order)) }

// Permute is Subset of all rows in another order, in the memory of s.X where that is dense: s is not to be used any
// more.
func (s *Set) Permute(order []int) *Set {
	if m, ok := s.X.(*rows.Dense); ok {
		m.Permute(order)
		return s.subset(order, m)
	}
	return s.Subset(order)
}

// Slice returns rows lo to hi−1, whose features share memory with s.
func (s *Set) Slice(lo, hi int) *Set {
	order := make([]int, hi-lo)
	for i := range order {
		order[i] = lo + i
	}
	return s.subset(order, s.X.Slice(lo, hi))
}

// subset is Subset with the features x.
func (s *Set) subset(order []int, x rows.Matrix) *Set {
	t := *s
	t.X = x
	if s.Y != nil {
		t.Y = make([]float64, len(order))
		for i, o := range order {
			t.Y[i] = s.Y[o]
		}
	}
	take := func(cells []string) []string {
		if cells == nil {
			return nil
		}
		out := make([]string, len(order))
		for i, o := range order {
			out[i] = cells[o]
		}
		return out
	}
	t.Names = take(s.Names)
	if s.Weights != nil {
		t.Weights = make([]float64, len(order))
		for i, o := range order {
			t.Weights[i] = s.Weights[o]
		}
	}
	if s.Beside != nil {
		t.Beside = make(map[string][]string)
		for name, cells := range s.Beside {
			t.Beside[name] = take(cells)
		}
	}
	t.Rows = make([]int, len(order))
	for i, o := range order {
		t.Rows[i] = s.RowNumber(o) - 1
	}
	return &t
}

// Shuffle returns the rows in an order drawn from seed. Samplers read blocks of stored order, so a set is
// shuffled once after it is read.
func (s *Set) Shuffle(seed uint64) *Set {
	n, _ := s.Dims()
	return s.Subset(generator(seed, streamShuffle).Perm(n))
}

// byClass returns the rows of each class in an order drawn from g; one group of all rows where the target
// is not of classes or stratified is false.
func (s *Set) byClass(stratified bool, g *rand.Rand) [][]int {
	n, _ := s.Dims()
	var groups [][]int
	if stratified && s.Classes != nil {
		groups = make([][]int, len(s.Classes))
		for i, v := range s.Y {
			groups[int(v)] = append(groups[int(v)], i)
		}
	} else {
		groups = make([][]int, 1)
		for i := range n {
			groups[0] = append(groups[0], i)
		}
	}
	for _, rows := range groups {
		g.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	}
	return groups
}

// Split divides the rows at random into rest and part, which gets fraction of them, rounded to the nearest
// row; both are in random order. Stratified, each class is divided in this proportion, with at least one
// row of each class on both sides. It is an error if a side would have no rows, or if one would lack a
// class that the set has rows of.
func (s *Set) Split(fraction float64, seed uint64, stratified bool) (rest, part *Set, err error) {
	in, out, err := s.SplitRows(fraction, seed, stratified)
	if err != nil {
		return nil, nil, err
	}
	return s.Subset(in), s.Subset(out), nil
}

// SplitRows is Split of the places of the rows.
func (s *Set) SplitRows(fraction float64, seed uint64, stratified bool) (rest, part []int, err error) {
	n, _ := s.Dims()
	if !(fraction > 0 && fraction < 1) {
		return nil, nil, fail("", "choose 0.3, say", "a fraction of %v is not between 0 and 1", fraction)
	}
	if k := int(math.Round(fraction * float64(n))); k == 0 || k == n {
		return nil, nil, fail(s.Source, "give more rows or another fraction",
			"a fraction of %v of %d rows leaves one side without rows", fraction, n)
	}
	g := generator(seed, streamSplit)
	groups := s.byClass(stratified, g)

	// The share of each group is rounded so that the running total stays nearest to the exact one.
	var in, out []int
	exact, taken := 0.0, 0
	for c, group := range groups {
		if len(group) == 0 {
			continue
		}
		exact += fraction * float64(len(group))
		k := int(math.Round(exact)) - taken
		if len(groups) > 1 {
			if len(group) < 2 {
				return nil, nil, fail(s.Source, "give more rows of it, or leave it out",
					"the class %s has a single row and cannot be on both sides of a split", quote(s.Classes[c]))
			}
			k = min(max(k, 1), len(group)-1)
		}
		taken += k
		out = append(out, group[:k]...)
		in = append(in, group[k:]...)
	}
	if !stratified {
		for _, side := range [][]int{in, out} {
			if c := s.lacking(side); c >= 0 {
				return nil, nil, fail(s.Source, "split stratified, or try another seed",
					"one side of the split would have no row of the class %s", quote(s.Classes[c]))
			}
		}
	}
	for _, side := range [][]int{in, out} {
		g.Shuffle(len(side), func(i, j int) { side[i], side[j] = side[j], side[i] })
	}
	return in, out, nil
}

// lacking is a class that the set has rows of and side has not; -1 if there is none.
func (s *Set) lacking(side []int) int {
	if s.Classes == nil {
		return -1
	}
	counts := s.ClassCounts()
	for _, i := range side {
		counts[int(s.Y[i])] = 0
	}
	return slices.IndexFunc(counts, func(n int) bool { return n > 0 })
}

// Folds draws for each row the fold, 0 to k-1, that it is held out in. Fold sizes differ by at most one,
// and with classes so do each class's counts in the folds. It is an error if k < 2 or k > n, or if a class
// has a single row, which would be missing from training when its fold is held out.
func (s *Set) Folds(k int, seed uint64) ([]int, error) {
	n, _ := s.Dims()
	if k < 2 || k > n {
		return nil, fail(s.Source, fmt.Sprintf("choose 2 to %d folds", n), "%d folds cannot be made of %d rows", k, n)
	}
	fold := make([]int, n)
	next := 0
	for c, rows := range s.byClass(true, generator(seed, streamFolds)) {
		if s.Classes != nil && len(rows) == 1 {
			return nil, fail(s.Source, "give more rows of it, or leave it out",
				"the class %s has a single row and would be missing when its fold is held out", quote(s.Classes[c]))
		}
		for _, i := range rows {
			fold[i] = next
			next = (next + 1) % k
		}
	}
	return fold, nil
}

// GroupFolds draws for each row the fold, 0 to k-1, that it is held out in, where rows of one group, of one name, are
// in one fold. Groups go, from the largest, to the fold that makes the folds' sizes and, with classes, their
// shares of each class most alike. It is an error if there are fewer groups than folds, or if a class is in one group
// only, so that it would be missing from training when its fold is held out.
func (s *Set) GroupFolds(groups []string, k int, seed uint64) ([]int, error) {
	n, _ := s.Dims()
	of := make(map[string]int)
	var members [][]int
	for i := range n {
		g, ok := of[groups[i]]
		if !ok {
			g = len(members)
			of[groups[i]] = g
			members = append(members, nil)
		}
		members[g] = append(members[g], i)
	}
	if k < 2 || k > len(members) {
		return nil, fail(s.Source, fmt.Sprintf("choose 2 to %d folds, or another column of groups", len(members)),
			"%d folds cannot be made of %d groups", k, len(members))
	}
	g := generator(seed, streamFolds)
	g.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	slices.SortStableFunc(members, func(a, b []int) int { return len(b) - len(a) })

	class := func(i int) int { return 0 }
	classes := 1
	if s.Classes != nil {
		class, classes = func(i int) int { return int(s.Y[i]) }, len(s.Classes)
	}
	total := make([]float64, classes)
	for i := range n {
		total[class(i)]++
	}
	fold := make([]int, n)
	counts := make([][]float64, k) // of classes, as shares of all rows of the class
	for f := range counts {
		counts[f] = make([]float64, classes)
	}
	groupsOf := make([]int, classes)
	for _, rows := range members {
		add := make([]float64, classes)
		for _, i := range rows {
			add[class(i)] += 1 / total[class(i)]
		}
		// The sum of squares is least where the folds are alike.
		to, least := 0, math.Inf(1)
		for f := range counts {
			rise := 0.0
			for c, a := range add {
				rise += a * (2*counts[f][c] + a)
			}
			if rise < least {
				to, least = f, rise
			}
		}
		for c, a := range add {
			if counts[to][c] += a; a > 0 {
				groupsOf[c]++
			}
		}
		for _, i := range rows {
			fold[i] = to
		}
	}
	for c, m := range groupsOf {
		if s.Classes != nil && total[c] > 0 && m == 1 {
			return nil, fail(s.Source, "choose another column of groups, or leave the class out",
				"all rows of the class %s are in one group and would be missing when it is held out", quote(s.Classes[c]))
		}
	}
	// Every fold has rows: where some had none, an empty one would have been the best place for the group.
	return fold, nil
}
