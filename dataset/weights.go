package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// readWeights reads the numbers by which the rows of s count: from the file Options.Weights, which has one for each row
// of the file that s was read from, or from the column Options.Weight.
func (s *Set) readWeights(in *input, o *Options) error {
	n, _ := s.Dims()
	if o.Weights != "" {
		win, err := openFile(in.ctx, o.Weights, in.mem)
		if err != nil {
			return err
		}
		defer win.Close()
		a, err := readLabels(win)
		if err != nil {
			return err
		}
		all := make([]float64, a.n)
		a.cells(true, func(i, _ int, v float64) { all[i] = v })
		if s.Rows == nil && len(all) != n || s.Rows != nil && len(all) <= slices.Max(s.Rows) {
			return fail(o.Weights, "give one number a row", "there are %d weights for the %d rows of %s", len(all), n, in.name)
		}
		s.Weights = make([]float64, n)
		for i := range s.Weights {
			s.Weights[i] = all[s.RowNumber(i)-1]
		}
		return s.checkWeights(o.Weights, "")
	}
	if o.Weight == s.Schema.Label {
		return &Error{File: in.name, Column: o.Weight, Err: errors.New("the column is the label, and cannot be the weight"),
			Hint: "name another one"}
	}
	cells := s.Beside[o.Weight]
	if cells == nil {
		return nil // see Options.Weight
	}
	s.Weights = make([]float64, n)
	number := o.notation()
	for i, cell := range cells {
		v, ok := parseFloat(strings.TrimSpace(cell))
		if !ok {
			v, _, ok = number.number(strings.TrimSpace(cell))
		}
		if !ok {
			what := fmt.Errorf("the weight %s is not a number", quote(cell))
			if strings.TrimSpace(cell) == "" {
				what = errors.New("the weight is missing")
			}
			return &Error{File: in.name, Row: s.RowNumber(i), Column: o.Weight, Err: what,
				Hint: "give a number, 0 for a row that does not count"}
		}
		s.Weights[i] = v
	}
	return s.checkWeights(in.name, o.Weight)
}

// checkWeights is an error if some weight makes no sense.
func (s *Set) checkWeights(file, column string) error {
	sum := 0.0
	for i, v := range s.Weights {
		if !(v >= 0) || v > maxNumber {
			return &Error{File: file, Row: s.RowNumber(i), Column: column, Err: fmt.Errorf("the weight is %v", v),
				Hint: "weights are finite and not negative: 2 stands for two such rows, and 0 for none"}
		}
		sum += v
	}
	if sum == 0 {
		return &Error{File: file, Column: column, Err: errors.New("all weights are zero"),
			Hint: "give at least one row a weight above zero"}
	}
	return nil
}

// WeighClasses is the number of rows of each class, where rows count by their weights; nil for a numeric target.
func (s *Set) WeighClasses() []float64 {
	if s.Classes == nil {
		return nil
	}
	n := make([]float64, len(s.Classes))
	for i, c := range s.Y {
		n[int(c)] += s.Weight(i)
	}
	return n
}

// Weight is what row i counts by: 1 where there are no weights.
func (s *Set) Weight(i int) float64 {
	if s.Weights == nil {
		return 1
	}
	return s.Weights[i]
}

// Mass is the sum of the weights: the number of rows where there are none.
func (s *Set) Mass() float64 {
	if s.Weights == nil {
		n, _ := s.Dims()
		return float64(n)
	}
	sum := 0.0
	for _, w := range s.Weights {
		sum += w
	}
	return sum
}
