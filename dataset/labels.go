package dataset

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel/rows"
)

// maxClasses is the most classes that a label column may have: beyond it, it is no label.
const maxClasses = 1000

// classValues are the class names as numbers; nil if there are none or one is no number.
func classValues(classes []string) []float64 {
	if classes == nil {
		return nil
	}
	v := make([]float64, len(classes))
	for k, c := range classes {
		var ok bool
		if v[k], ok = parseFloat(c); !ok {
			return nil
		}
	}
	return v
}

// sortNames sorts levels or classes: by value if all are numbers, else as strings.
func sortNames(names []string) {
	for _, n := range names {
		if _, ok := parseFloat(n); !ok {
			slices.Sort(names)
			return
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		va, _ := parseFloat(a)
		vb, _ := parseFloat(b)
		switch {
		case va < vb:
			return -1
		case va > vb:
			return 1
		}
		return strings.Compare(a, b)
	})
}

// listNames is a short list for messages.
func listNames(names []string) string {
	const most = 8
	q := make([]string, 0, most+1)
	for k, n := range names {
		if k == most && len(names) > most+1 {
			q = append(q, fmt.Sprintf("… (%d in all)", len(names)))
			break
		}
		q = append(q, quote(n))
	}
	return strings.Join(q, ", ")
}

// distinct returns the different targets in increasing order, but nil if there are more than most.
func distinct(y []float64, most int) []float64 {
	seen := make(map[float64]bool)
	for _, v := range y {
		if v == 0 {
			v = 0 // -0
		}
		if !seen[v] {
			if len(seen) == most {
				return nil
			}
			seen[v] = true
		}
	}
	d := make([]float64, 0, len(seen))
	for v := range seen {
		d = append(d, v)
	}
	slices.Sort(d)
	return d
}

// GuessTask guesses the model that suits the target: "logistic" for two classes or two different numbers,
// "softmax" for more classes, and "ridge" for other numbers. Numbers count as classes if there are at most
// 100 different ones, all integers, and either at most one in twenty rows, or at most ten that count
// without a gap from 0 or 1 and at most one in five rows. A target with a single value is "logistic" too:
// AsClasses then says what is wrong. It returns "" without a target.
func (s *Set) GuessTask() string {
	if s.Y == nil {
		return ""
	}
	if s.Classes != nil {
		if len(s.Classes) <= 2 {
			return "logistic"
		}
		return "softmax"
	}
	v := distinct(s.Y, 100)
	k, n := len(v), len(s.Y)
	switch {
	case v == nil:
		return "ridge"
	case k <= 2:
		return "logistic"
	}
	for _, x := range v {
		if x != math.Trunc(x) {
			return "ridge"
		}
	}
	gapless := (v[0] == 0 || v[0] == 1) && v[k-1]-v[0] == float64(k-1)
	if 20*k <= n || gapless && k <= 10 && 5*k <= n {
		return "softmax"
	}
	return "ridge"
}

// DistinctTargets is the number of different targets, or 0 if there are more than most or none.
func (s *Set) DistinctTargets(most int) int { return len(distinct(s.Y, most)) }

// AsClasses makes classes of a numeric target: Classes are its different numbers in increasing order, Y
// the indices. The schema gets them too, so that sets read like this one have the same classes. A target
// of classes stays as it is. It is an error if there are fewer than two classes, or more than 1000.
func (s *Set) AsClasses() error {
	switch {
	case s.Y == nil:
		return fail(s.Source, "", "there is no label")
	case s.Classes == nil:
		v := distinct(s.Y, maxClasses)
		if v == nil {
			return fail(s.Source, "choose another label column, or a numeric target (ridge)",
				"the label has more than %d different values: these are no classes", maxClasses)
		}
		names := make([]string, len(v))
		index := make(map[float64]float64, len(v))
		for k, x := range v {
			names[k] = formatNumber(x)
			index[x] = float64(k)
		}
		if len(names) >= 2 {
			y := make([]float64, len(s.Y))
			for i, x := range s.Y {
				y[i] = index[x]
			}
			s.Y = y
		}
		if len(names) < 2 {
			return oneClass(s.Source, names)
		}
		s.setClasses(names)
	case len(s.Classes) < 2:
		return oneClass(s.Source, s.Classes)
	}
	return nil
}

func oneClass(file string, names []string) error {
	return fail(file, "give rows of at least two classes, or choose another label column",
		"the label has only one class: %s", listNames(names))
}

// setClasses sets the classes of set and schema.
func (s *Set) setClasses(names []string) {
	s.Classes = names
	if s.Schema != nil {
		s.Schema = s.Schema.clone()
		s.Schema.Classes = slices.Clone(names)
	}
}

// MapClasses makes the target an index into classes, those of another (the training) set: numbers are
// matched by value, classes by name. A label that is not among them is an error.
func (s *Set) MapClasses(classes []string) error {
	if s.Y == nil {
		return fail(s.Source, "", "there is no label")
	}
	unseen := func(name string) error {
		return fail(s.Source, "label it as one of these, or leave such rows out",
			"the label %s is none of the classes %s", quote(name), listNames(classes))
	}
	y := make([]float64, len(s.Y))
	if s.Classes != nil {
		to := make([]int, len(s.Classes))
		for k, c := range s.Classes {
			to[k] = slices.Index(classes, c)
		}
		for i, v := range s.Y {
			if to[int(v)] < 0 {
				return unseen(s.Classes[int(v)])
			}
			y[i] = float64(to[int(v)])
		}
	} else {
		index := make(map[float64]int, len(classes))
		for k, c := range classes {
			if v, ok := parseFloat(c); ok {
				index[v] = k
			}
		}
		for i, v := range s.Y {
			k, ok := index[v]
			if !ok {
				return unseen(formatNumber(v))
			}
			y[i] = float64(k)
		}
	}
	s.Y = y
	s.setClasses(slices.Clone(classes))
	return nil
}

// Conform is s with the classes of train, the training set, or an error if it has no rows or no label, or other
// features or labels than train. name is that of its rows in messages, such as "test".
func (s *Set) Conform(name string, train *Set) (*Set, error) {
	n, d := s.Dims()
	_, width := train.Dims()
	const hint = "give a file with the columns of the training rows, read with Options.Like = the training set's schema"
	_, sparse := s.X.(*rows.CSR)
	_, like := train.X.(*rows.CSR)
	stored := map[bool]string{true: "sparse", false: "dense"}
	switch {
	case n == 0:
		return nil, fail(s.Source, "", "there are no %s rows", name)
	case d != width:
		return nil, fail(s.Source, hint, "the %s rows have %d features and the training rows %d", name, d, width)
	case s.Y == nil:
		return nil, fail(s.Source, "name the label column", "the %s rows have no label", name)
	case sparse != like:
		return nil, fail(s.Source, hint, "the %s rows are %s and the training rows %s", name, stored[sparse], stored[like])
	case train.Classes == nil && s.Classes != nil:
		return nil, fail(s.Source, "", "the labels of the %s rows are classes where those of the training rows are numbers",
			name)
	}
	for j := range min(len(s.Features), len(train.Features)) {
		if f := s.Features[j]; f != train.Features[j] {
			return nil, fail(s.Source, hint, "feature %d of the %s rows is %q where the training rows have %q", j+1, name, f,
				train.Features[j])
		}
	}
	t := *s
	if !slices.Equal(s.Classes, train.Classes) {
		if err := t.MapClasses(train.Classes); err != nil {
			return nil, err
		}
	}
	return &t, nil
}

// ClassCounts returns the number of rows of each class; nil for a numeric target.
func (s *Set) ClassCounts() []int {
	if s.Classes == nil {
		return nil
	}
	n := make([]int, len(s.Classes))
	for _, v := range s.Y {
		n[int(v)]++
	}
	return n
}
