package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Instants are the cells of a column that stands beside the rows (see Options.Beside) as numbers that grow with time:
// numbers as they are, or dates and times in seconds since 1970. order is that of Options.DateOrder; "" takes the one
// in which all cells are dates. It is an error if a cell is neither, or if the order is open.
func (s *Set) Instants(column, order string) ([]float64, error) {
	cells, ok := s.Beside[column]
	if !ok {
		return nil, &Error{File: s.Source, Err: fmt.Errorf("there is no column %q beside the rows", column)}
	}
	out := make([]float64, len(cells))
	bad := func(i int, err error, hint string) ([]float64, error) {
		return nil, &Error{File: s.Source, Column: column, Row: s.RowNumber(i), Err: err, Hint: hint}
	}
	numbers := true
	for i, cell := range cells {
		v, err := strconv.ParseFloat(strings.TrimSpace(cell), 64)
		if numbers = err == nil && v-v == 0; !numbers {
			break
		}
		out[i] = v
	}
	if numbers {
		return out, nil
	}
	moments := make([]moment, len(cells))
	open := -1 // a cell in which day and month may be each other
	for i, cell := range cells {
		m, ok := parseMoment(cell)
		if !ok || m.dated != moments[0].dated && i > 0 {
			return bad(i, fmt.Errorf("%s is no time as the other cells are", quote(cell)),
				"write numbers, or dates such as 2021-04-03, in every row")
		}
		if moments[i] = m; m.front {
			open = i
		}
	}
	orders := DateOrders
	if order != "" {
		orders = []string{order}
	} else if open < 0 {
		orders = DateOrders[:1]
	}
	var fit []string
	for _, o := range orders {
		if !slices.ContainsFunc(moments, func(m moment) bool { _, ok := m.at(o); return !ok }) {
			fit = append(fit, o)
		}
	}
	switch {
	case len(fit) == 0:
		return bad(max(open, 0), errors.New("no order of day and month makes dates of all cells"),
			"write dates such as 2021-04-03")
	case len(fit) > 1:
		return bad(open, fmt.Errorf("it is open what is day, month and year in %s", quote(cells[open])),
			"say it with --date-order "+list(fit, "or"))
	}
	for i, m := range moments {
		out[i], _ = m.at(fit[0])
	}
	return out, nil
}
