package model

import "fmt"

// Strengths says which coefficients share a strength.
type Strengths int

// The kinds.
const (
	Shared          Strengths = iota // one for all
	PerFeature                       // x[feature]
	PerClass                         // x[class]
	PerFeatureClass                  // one per coefficient, in the order of z
	PerGroup                         // x[group of the feature]
)

// sharings are the kinds. An entry is all that there is to say about one.
var sharings = [...]sharing{
	Shared: {
		name: "shared",
		share: func(q *Penalty, _ Layout, _ []string) (func(class, feature int) int, error) {
			q.p = 1
			return func(int, int) int { return 0 }, nil
		},
	},
	PerFeature: {
		name: "feature", local: true,
		share: func(q *Penalty, l Layout, _ []string) (func(class, feature int) int, error) {
			q.p = l.Features
			return func(_, feature int) int { return feature }, nil
		},
	},
	PerClass: {
		name: "class",
		share: func(q *Penalty, l Layout, _ []string) (func(class, feature int) int, error) {
			q.p = l.Classes
			return func(class, _ int) int { return class }, nil
		},
	},
	PerFeatureClass: {
		name: "feature-class", local: true,
		share: func(q *Penalty, l Layout, _ []string) (func(class, feature int) int, error) {
			q.p = l.Len()
			return l.Index, nil
		},
	},
	PerGroup: {
		name: "group",
		share: func(q *Penalty, l Layout, groups []string) (func(class, feature int) int, error) {
			if len(groups) != l.Features {
				return nil, fmt.Errorf("model: %d group names for %d features", len(groups), l.Features)
			}
			number := map[string]int{}
			for _, g := range groups {
				if _, ok := number[g]; !ok {
					number[g] = len(q.groups)
					q.groups = append(q.groups, g)
				}
			}
			q.p = len(q.groups)
			return func(_, feature int) int { return number[groups[feature]] }, nil
		},
	},
}

// sharing is a kind of strengths.
type sharing struct {
	name  string
	local bool // no two features share a strength
	// share sets the number of strengths of q, and says which one a coefficient has. l is the layout of the penalised
	// coefficients.
	share func(q *Penalty, l Layout, groups []string) (of func(class, feature int) int, err error)
}

func (s Strengths) known() bool { return s >= 0 && int(s) < len(sharings) }

func (s Strengths) String() string {
	if !s.known() {
		return fmt.Sprintf("strengths %d", int(s))
	}
	return sharings[s].name
}
