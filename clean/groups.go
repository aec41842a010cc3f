package clean

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel/internal/judge"
	"github.com/bilevel-go/bilevel/mix"
	"github.com/bilevel-go/bilevel/tune"
)

// Group is what was learned of the rows of one annotator, source, sensor or month.
type Group struct {
	Name  string
	Rows  int
	Wrong int // rows that are not kept
	// Share is Wrong of Rows, and Low and High its 95% interval. Excess is how much larger it is than that of the rows of
	// all other groups, with its 95% interval.
	Share, Low, High              float64
	Excess, ExcessLow, ExcessHigh float64
	// Weight is the weight of the group's rows, where those of the best group have 1: zero for a group without which
	// trusted rows are predicted better. WeightLow and WeightHigh are the 95% interval of a learned one. Change is the
	// relative change of the loss of the trusted rows by training on the group too, beside those that have a weight, with
	// its 95% interval. They are NaN where they are not known: without trusted rows, for one group.
	Weight, WeightLow, WeightHigh float64
	Change, ChangeLow, ChangeHigh float64
}

// Worse says whether labels of g look wrong more often than those of the others by more than chance, or trusted rows are
// predicted worse with it by more than chance.
func (g Group) Worse() bool { return g.ExcessLow > 0 || g.ChangeLow > 0 }

// MostGroups is how many groups are told apart, and leastRows how many rows each of them has; all others are one group.
const (
	MostGroups = 30
	leastRows  = 20
)

// Lumped is the name of the group of those that are small, with their number.
func Lumped(n int) string { return fmt.Sprintf("%d others", n) }

// lump puts the rows of small groups together, and of those beyond the most.
func lump(groups []string) []string {
	count := map[string]int{}
	for _, g := range groups {
		count[g]++
	}
	names := make([]string, 0, len(count))
	for g := range count {
		names = append(names, g)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b)) })
	kept := 0
	for kept < min(len(names), MostGroups) && count[names[kept]] >= leastRows {
		kept++
	}
	small := len(names) - kept
	if small < 2 && len(names) <= MostGroups {
		return groups
	}
	out := slices.Clone(groups)
	for i, g := range groups {
		if !slices.Contains(names[:kept], g) {
			out[i] = Lumped(small)
		}
	}
	return out
}

// byGroup finds what there is to say of each group, from the rows of r and, where there are trusted rows, from weights
// of the groups as sources of a model of these, see package mix. The worst comes first.
func byGroup(ctx context.Context, data Data, o Options, r *Result) ([]Group, error) {
	names := lump(data.Groups)
	place := map[string]int{}
	var all []Group
	var rows [][]int
	wrong := 0
	for i, name := range names {
		k, ok := place[name]
		if !ok {
			k = len(all)
			place[name] = k
			g := Group{Name: name}
			for _, v := range []*float64{&g.Weight, &g.WeightLow, &g.WeightHigh, &g.Change, &g.ChangeLow, &g.ChangeHigh} {
				*v = math.NaN()
			}
			all, rows = append(all, g), append(rows, nil)
		}
		all[k].Rows++
		rows[k] = append(rows[k], i)
		if !r.Rows[i].Kept {
			all[k].Wrong++
			wrong++
		}
	}
	for k := range all {
		g := &all[k]
		a, n, b, m := float64(g.Wrong), float64(g.Rows), float64(wrong-g.Wrong), float64(len(names)-g.Rows)
		g.Share, g.Excess = a/n, a/n-b/max(m, 1)
		g.Low, g.High = judge.Wilson(a, n)
		e := judge.Unpaired(a, n, b, m)
		g.ExcessLow, g.ExcessHigh = e.Low, e.High
	}
	if len(all) > 1 && data.Trusted != nil && ctx.Err() == nil {
		if err := weighGroups(ctx, data, o, all, rows); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}

// weighGroups learns the weights of groups with the help of the trusted rows.
func weighGroups(ctx context.Context, data Data, o Options, all []Group, rows [][]int) error {
	train := *data.Train
	if err := train.AsClasses(); err != nil {
		return err
	}
	trusted, err := data.Trusted.Conform("trusted", &train)
	if err != nil {
		return err
	}
	counts := trusted.ClassCounts()
	if slices.Min(counts) < 2 {
		return nil // a class whose rows cannot be in several folds: there are no weights
	}
	m := mix.Data{Target: trusted}
	for k, g := range all {
		m.Sources = append(m.Sources, train.Subset(rows[k]))
		m.Names = append(m.Names, g.Name)
	}
	w, err := mix.Fit(ctx, m, mix.Options{Task: task(len(counts)), Scale: o.Scale, Intercept: o.Intercept, Seed: o.Seed})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	most := 0.0 // of a row
	for k, g := range all {
		most = max(most, w.Sources[k].Weight/float64(g.Rows))
	}
	if most == 0 { // the trusted rows alone are best
		most = math.Inf(1)
	}
	for k := range all {
		g, s := &all[k], w.Sources[k]
		of := func(v float64) float64 { return min(v/float64(g.Rows)/most, 1) }
		g.Weight, g.WeightLow, g.WeightHigh = of(s.Weight), of(s.Low), of(s.High)
		if math.IsNaN(s.Low) {
			g.WeightLow, g.WeightHigh = math.NaN(), math.NaN()
		}
		g.Change, g.ChangeLow, g.ChangeHigh = s.Change, s.ChangeLow, s.ChangeHigh
	}
	return nil
}

// task is that of so many classes.
func task(classes int) tune.Task {
	if classes == 2 {
		return tune.Logistic
	}
	return tune.Softmax
}
