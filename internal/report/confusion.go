package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

const (
	// mostClasses is how many classes the matrix shows; of more, the pairs
	// confused most often are listed.
	mostClasses = 30
	mostPairs   = 20
	// manyClasses is where the cells get small.
	manyClasses = 12
)

// confusion is the section on a classifier's errors.
type confusion struct {
	On      string
	Caption []string
	Dense   bool // small cells
	Upright bool // class names over the columns are long
	Classes []string
	Rows    []confusionRow
	Pairs   []confusedPair
}

type confusionRow struct {
	Class string
	Total string
	Cells []confusionCell
}

// confusionCell is empty when nothing was counted.
type confusionCell struct {
	Count, Share string
	Shade        string // opacity of the cell's colour
	Hit          bool
}

type confusedPair struct {
	True, Predicted, Count, Share string
}

func viewConfusion(c *Confusion) *confusion {
	if c == nil || len(c.Classes) == 0 {
		return nil
	}
	classes := make([]string, len(c.Classes))
	for i, class := range c.Classes {
		classes[i] = name(class)
	}
	totals := make([]int, len(classes))
	all, right := 0, 0
	for i, row := range c.Counts {
		for _, n := range row {
			totals[i] += n
		}
		all += totals[i]
		right += row[i]
	}
	v := &confusion{On: clean(c.On), Dense: len(classes) > manyClasses}
	if all > 0 {
		v.Caption = append(v.Caption, fmt.Sprintf("%s of %s rows are classified correctly, %s.",
			count(right), count(all), percent(float64(right)/float64(all), 2)))
	} else {
		v.Caption = append(v.Caption, "No rows were counted.")
	}
	if len(classes) > mostClasses {
		v.Pairs = confusedMost(c.Counts, classes, totals)
		if len(v.Pairs) > 0 {
			v.Caption = append(v.Caption, fmt.Sprintf("With %s classes the matrix is not drawn; these are the pairs confused "+
				"most often.", count(len(classes))))
		} else {
			v.Caption = append(v.Caption, fmt.Sprintf("No pair of the %s classes is confused.", count(len(classes))))
		}
		return v
	}
	v.Caption = append(v.Caption, "Under each count is its share of the true class, in per cent.")
	v.Classes = classes
	for i, row := range c.Counts {
		v.Upright = v.Upright || utf8.RuneCountInString(classes[i]) > 4
		r := confusionRow{Class: classes[i], Total: count(totals[i])}
		for j, n := range row {
			var cell confusionCell
			if n > 0 {
				share := float64(n) / float64(totals[i])
				cell = confusionCell{
					Count: count(n),
					Share: shareText(share),
					// The root lets rare errors be seen beside a full diagonal.
					Shade: short(max(math.Sqrt(share), 0.1)),
					Hit:   i == j,
				}
			}
			r.Cells = append(r.Cells, cell)
		}
		v.Rows = append(v.Rows, r)
	}
	return v
}

// shareText is a percentage without its sign, exact 0 and 100 excepted.
func shareText(share float64) string {
	switch {
	case share == 1:
		return "100"
	case share > 0.99:
		return ">99"
	case share < 0.01:
		return "<1"
	}
	return fmt.Sprintf("%.0f", 100*share)
}

func confusedMost(counts [][]int, classes []string, totals []int) []confusedPair {
	type pair struct {
		i, j, n int
		share   float64
	}
	var pairs []pair
	for i, row := range counts {
		for j, n := range row {
			if i != j && n > 0 {
				pairs = append(pairs, pair{i, j, n, float64(n) / float64(totals[i])})
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(b.share, a.share))
	})
	var list []confusedPair
	for _, p := range pairs[:min(len(pairs), mostPairs)] {
		list = append(list, confusedPair{classes[p.i], classes[p.j], count(p.n), percent(p.share, 1)})
	}
	return list
}
