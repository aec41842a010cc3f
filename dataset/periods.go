package dataset

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Periods are the cells of a column that stands beside the rows (see Options.Beside) as names of groups of rows. Dates
// become months, such as 2021-04, or years where there are more than most months; all else is as it stands, without space
// around it. order is that of [Set.Instants]. It is an error if a cell is empty, or if the order of dates is open.
func (s *Set) Periods(column, order string, most int) ([]string, error) {
	cells, ok := s.Beside[column]
	if !ok {
		return nil, &Error{File: s.Source, Err: fmt.Errorf("there is no column %q beside the rows", column)}
	}
	out := make([]string, len(cells))
	dates := true
	for i, cell := range cells {
		if out[i] = strings.TrimSpace(cell); out[i] == "" {
			return nil, &Error{File: s.Source, Column: column, Row: s.RowNumber(i), Err: fmt.Errorf("the cell is empty"),
				Hint: "write which group the row is of, or leave the row out"}
		}
		_, number := strconv.ParseFloat(out[i], 64)
		m, moment := parseMoment(cell)
		dates = dates && number != nil && moment && m.dated
	}
	if !dates {
		return out, nil
	}
	seconds, err := s.Instants(column, order)
	if err != nil {
		return nil, err
	}
	for _, layout := range []string{"2006-01", "2006"} {
		names := map[string]bool{}
		for i, v := range seconds {
			out[i] = time.Unix(int64(v), 0).UTC().Format(layout)
			names[out[i]] = true
		}
		if len(names) <= most {
			break
		}
	}
	return out, nil
}
