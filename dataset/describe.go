package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel/rows"
)

// Types of the columns of a Description, and what they are taken for.
const (
	TypeNumber     = "number"
	TypeCategory   = "category"
	TypeYesNo      = "yes/no"
	TypeDate       = "date"
	TypeTime       = "time"
	TypeText       = "text"
	TypeIdentifier = "identifier" // words, most of them different
	TypeEmpty      = "empty"
	TypeUnclear    = "unclear" // see Description.Problems
	TypeUnread     = ""        // it is left out

	RoleFeature = "feature"
	RoleLabel   = "label"
	RoleID      = "id"
	RoleBeside  = "beside the rows"
	RoleLeftOut = "left out"
)

// Description says what is in a file, and how it would be read.
type Description struct {
	File     string       `json:"file"`
	Format   string       `json:"format"`
	Rows     int          `json:"rows"`
	Used     int          `json:"used_rows"` // without those that are left out for missing cells
	Features int          `json:"features"`  // that the columns become
	Columns  []ColumnInfo `json:"columns"`   // empty for formats whose columns have no names
	Values   *ValueInfo   `json:"values"`    // of formats whose columns have no names; nil for others
	Label    *LabelInfo   `json:"label"`     // nil if there is none
	Notes    []string     `json:"notes"`     // what would be said of it
	Problems []string     `json:"problems"`  // why it would be refused; empty if it would not
	Prepared bool         `json:"prepared"`  // see Schema.Prepared
}

// ColumnInfo is a column of a table.
type ColumnInfo struct {
	Name     string       `json:"name"`
	Type     string       `json:"type"`
	Role     string       `json:"role"`
	Missing  int          `json:"missing"`
	Levels   int          `json:"levels"`         // different values; 0 for more than 20 numbers, and for dates and texts
	Min      *float64     `json:"min"`            // of numbers
	Max      *float64     `json:"max"`            //
	From     string       `json:"from,omitempty"` // of dates and times
	To       string       `json:"to,omitempty"`
	Top      []LevelCount `json:"top"`      // the most frequent levels, three at most
	Features int          `json:"features"` // that it becomes
	Oddities []string     `json:"oddities"`
}

// LevelCount is a level or class, and how many rows have it.
type LevelCount struct {
	Value string `json:"value"`
	Rows  int    `json:"rows"`
}

// ValueInfo is about the values of features without names.
type ValueInfo struct {
	Sparse   bool    `json:"sparse"`
	NonZero  float64 `json:"nonzero"` // their share
	Min      float64 `json:"min"`
	Max      float64 `json:"max"`
	Constant int     `json:"constant"` // features that are the same in every row
}

// LabelInfo is about the label.
type LabelInfo struct {
	Name    string       `json:"name"`
	How     string       `json:"how"`     // it was chosen, in words; "" where columns have no names
	Certain bool         `json:"certain"` // it was asked for, or has the name of a label
	Task    string       `json:"task"`    // as GuessTask says
	Classes []LevelCount `json:"classes"` // of a label of classes, most frequent first
	Min     *float64     `json:"min"`     // of a numeric label
	Max     *float64     `json:"max"`
	Missing int          `json:"missing"`
}

// Describe says what is in the file at path, and how Read would read it with the same options. What Read would refuse
// it for is in Problems, as far as the file can be read on.
func Describe(ctx context.Context, path string, o Options) (*Description, error) {
	return describe(path, o, func(o Options) (*Set, error) { return Read(ctx, path, o) })
}

// DescribeFrom is Describe for the content of a file, as ReadFrom reads it.
func DescribeFrom(ctx context.Context, r io.Reader, name string, o Options) (*Description, error) {
	return describe(name, o, func(o Options) (*Set, error) { return ReadFrom(ctx, r, name, o) })
}

func describe(name string, o Options, read func(Options) (*Set, error)) (*Description, error) {
	d := &Description{File: name, Columns: []ColumnInfo{}, Notes: []string{}, Problems: []string{}}
	o.describe = d
	s, err := read(o)
	if err != nil {
		return nil, err
	}
	d.Format, d.Prepared, d.Features = s.Schema.Format, s.Schema.Prepared(), s.Schema.Width
	d.Notes = append(d.Notes, s.Notes...)
	if s.X != nil {
		d.Rows, _ = s.Dims()
		d.Used = d.Rows
		d.Values = valuesOf(s.X)
	}
	if s.Y != nil {
		if d.Label == nil {
			d.Label = &LabelInfo{Name: s.Schema.Label, Certain: true}
		}
		d.Label.of(s)
	}
	if d.Label != nil && d.Label.Classes == nil {
		d.Label.Classes = []LevelCount{}
	}
	return d, nil
}

// problem notes why the file would be refused. It returns err if it is of another kind.
func (d *Description) problem(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	d.Problems = append(d.Problems, err.Error())
	return nil
}

// valuesOf is about the values of x.
func valuesOf(x rows.Matrix) *ValueInfo {
	n, d := x.Dims()
	info := &ValueInfo{Min: math.Inf(1), Max: math.Inf(-1)}
	first, varies, count := make([]float64, d), make([]bool, d), make([]int, d)
	nonzero := 0
	see := func(j int, v float64) {
		if v != 0 {
			nonzero++
		}
		if count[j] == 0 {
			first[j] = v
		}
		count[j]++
		varies[j] = varies[j] || v != first[j]
		info.Min, info.Max = min(info.Min, v), max(info.Max, v)
	}
	for i := range n {
		switch x := x.(type) {
		case *rows.Dense:
			for j, v := range x.Row(i) {
				see(j, v)
			}
		case *rows.CSR:
			info.Sparse = true
			idx, val := x.Row(i)
			for k, j := range idx {
				see(int(j), val[k])
			}
		}
	}
	for j, k := range count {
		if k < n { // the others are zero
			info.Min, info.Max = min(info.Min, 0), max(info.Max, 0)
			varies[j] = varies[j] || first[j] != 0
		}
		if !varies[j] {
			info.Constant++
		}
	}
	info.NonZero = float64(nonzero) / (float64(n) * float64(d))
	return info
}

// of fills in what the targets of s say.
func (l *LabelInfo) of(s *Set) {
	l.Task = s.GuessTask()
	if l.Task == "ridge" {
		lo, hi := slices.Min(s.Y), slices.Max(s.Y)
		l.Min, l.Max = &lo, &hi
		return
	}
	count := make(map[float64]int)
	for _, v := range s.Y {
		count[v]++
	}
	for v, n := range count {
		name := formatNumber(v)
		if s.Classes != nil {
			name = s.Classes[int(v)]
		}
		l.Classes = append(l.Classes, LevelCount{name, n})
	}
	slices.SortFunc(l.Classes, mostFirst)
}

func mostFirst(a, b LevelCount) int { return cmp.Or(b.Rows-a.Rows, strings.Compare(a.Value, b.Value)) }

// tolerate takes err for a problem of the column, which is read over from there on, if the file is only described.
func (c *tableColumn) tolerate(err error) error {
	if err == nil || c.describe == nil {
		return err
	}
	if err := c.describe.problem(err); err != nil {
		return err
	}
	c.drop, c.problem = true, true
	return nil
}

// odd notes in a word or two what is odd about the column.
func (c *tableColumn) odd(format string, args ...any) {
	c.oddities = append(c.oddities, fmt.Sprintf(format, args...))
}

// describe fills in what is known of the columns before any row is left out.
func (t *table) describe(d *Description) {
	d.Rows = t.n
	for j, c := range t.columns {
		info := ColumnInfo{Name: c.name, Role: RoleLeftOut, Top: []LevelCount{}}
		switch {
		case j == t.label:
			info.Role = RoleLabel
		case j == t.id:
			info.Role = RoleID
		case slices.Contains(t.beside, j):
			info.Role = RoleBeside
		case slices.Contains(t.of, j):
			info.Role = RoleFeature
		}
		c.describeTo(&info)
		d.Columns = append(d.Columns, info)
	}
	t.of = slices.DeleteFunc(t.of, func(j int) bool { return t.columns[j].problem })
	if t.label >= 0 {
		c := t.columns[t.label]
		d.Label = &LabelInfo{Name: c.name, How: t.how, Missing: c.holes, Certain: t.how != labelLast}
	}
}

// describeTo fills in what the cells say.
func (c *tableColumn) describeTo(info *ColumnInfo) {
	info.Missing = c.holes
	switch {
	case c.kind == Categorical:
		c.describeLevels(info)
	case c.problem:
		info.Type = TypeUnclear
	case c.blocks == nil: // it was not read
	case c.kind == Text:
		info.Type = TypeText
	default:
		lo, hi := math.Inf(1), math.Inf(-1)
		const most = 20
		seen := make(map[float64]int)
		for _, b := range c.blocks {
			for _, v := range b {
				if !math.IsNaN(v) {
					lo, hi = min(lo, v), max(hi, v)
					if len(seen) <= most {
						seen[v]++
					}
				}
			}
		}
		switch {
		case lo > hi:
			info.Type = TypeEmpty
		case c.kind == Date:
			layout := time.DateOnly
			if info.Type = TypeDate; c.date.clock {
				info.Type, layout = TypeTime, time.TimeOnly
			} else if math.Mod(lo, 86400) != 0 || math.Mod(hi, 86400) != 0 {
				layout = time.DateTime
			}
			if !c.dropDates {
				info.From, info.To = unix(lo).Format(layout), unix(hi).Format(layout)
			}
		default:
			if info.Type = TypeNumber; lo == 0 && hi == 1 && len(seen) == 2 {
				info.Type = TypeYesNo
			}
			info.Min, info.Max = &lo, &hi
			if len(seen) <= most {
				info.Levels = len(seen)
			}
		}
	}
}

// yesNo are pairs of levels that mean it, in lower case and sorted.
var yesNo = [][2]string{{"no", "yes"}, {"false", "true"}, {"n", "y"}, {"f", "t"}, {"off", "on"}}

// describeLevels is describeTo for words.
func (c *tableColumn) describeLevels(info *ColumnInfo) {
	names := c.names()
	count := make([]LevelCount, len(names))
	for k, n := range names {
		count[k].Value = n
	}
	words := 0
	for _, b := range c.blocks {
		for _, v := range b {
			if v >= 0 {
				count[int(v)].Rows++
				words += 1 + strings.Count(names[int(v)], " ")
			}
		}
	}
	slices.SortFunc(count, mostFirst)
	info.Type, info.Levels = TypeCategory, len(count)
	switch {
	case c.distinct && words > 3*c.n:
		info.Type = TypeText
	case c.distinct:
		info.Type = TypeIdentifier
	case c.problem:
		info.Type = TypeUnclear
	case len(count) == 2:
		pair := [2]string{strings.ToLower(count[0].Value), strings.ToLower(count[1].Value)}
		slices.Sort(pair[:])
		if slices.Contains(yesNo, pair) {
			info.Type = TypeYesNo
		}
	}
	info.Top = append(info.Top, count[:min(len(count), 3)]...)
}

// describeRest fills in what the columns became.
func (t *table) describeRest(d *Description) {
	d.Used = t.n
	at := make(map[string]*ColumnInfo)
	for k := range d.Columns {
		at[d.Columns[k].Name] = &d.Columns[k]
	}
	for k, c := range t.columns {
		if info := at[c.source()]; info != nil {
			for _, o := range c.oddities {
				if c.from != nil {
					o = c.from.Part + " " + o
				}
				info.Oddities = append(info.Oddities, o)
			}
			if slices.Contains(t.of, k) {
				s := t.schemaColumn(k)
				info.Features += s.Width()
			}
		}
	}
	for k := range d.Columns {
		if d.Columns[k].Oddities == nil {
			d.Columns[k].Oddities = []string{}
		}
	}
}
