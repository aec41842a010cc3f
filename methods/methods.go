// Package methods names the methods of this module, so that a bench file and the commands that fit models have the same
// list, and says what a step of each looks at.
package methods

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/blackbox"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/stochastic"
	"github.com/bilevel-go/bilevel/valuefn"
)

// Kind says what a step of a method, as its zero value has it, looks at: what budgets and records depend on.
type Kind int

// The kinds.
const (
	Exact     Kind = iota // all samples, and the run knows h and ∇h to a tolerance
	FullBatch             // all samples, and the run does not know h
	Sampled               // a batch of samples of each level
	Search                // h at a candidate in the box of x, without gradients
)

// kindTexts are the texts that [Kind.String] gives.
var kindTexts = [...]string{
	Exact:     "all rows and the inner solution at each step",
	FullBatch: "all rows at each step",
	Sampled:   "a few rows at each step",
	Search:    "a search without gradients",
}

// String describes the steps of a kind.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindTexts) {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return kindTexts[k]
}

// Entry is a method.
type Entry struct {
	Name   string
	Method bilevel.Method // the zero value, which chooses its own step sizes
	Kind   Kind
	// Longest is the length of x up to which the zero value can be expected to get anywhere; 0 for any.
	Longest int
}

// Fits says whether the zero value can be expected to get anywhere with p outer variables.
func (e Entry) Fits(p int) bool { return e.Longest == 0 || p <= e.Longest }

// A search draws each candidate anew, so that the share of good ones falls exponentially with the length of x. The
// diagonal of a grid is one number.
const longestSearch = 20

// all is in the order of names.
var all = []Entry{
	{Name: "amigo", Method: stochastic.AmIGO{}, Kind: Sampled},
	{Name: "bome", Method: valuefn.BOME{}, Kind: Sampled},
	{Name: "bsa", Method: stochastic.BSA{}, Kind: Sampled},
	{Name: "bsg1", Method: valuefn.BSG1{}, Kind: FullBatch},
	{Name: "bvfsm", Method: valuefn.BVFSM{}, Kind: FullBatch},
	{Name: "descent", Method: hypergrad.Descent{}, Kind: Exact},
	{Name: "dtfbo", Method: stochastic.DTFBO{}, Kind: FullBatch},
	{Name: "f2sa", Method: valuefn.F2SA{}, Kind: Sampled},
	{Name: "fsla", Method: stochastic.FSLA{}, Kind: Sampled},
	{Name: "grid", Method: blackbox.Grid{}, Kind: Search, Longest: 1},
	{Name: "hoag", Method: hypergrad.HOAG{}, Kind: Exact},
	{Name: "masoba", Method: stochastic.MASOBA{}, Kind: Sampled},
	{Name: "minimaxopt", Method: valuefn.MinimaxOPT{}, Kind: Sampled},
	{Name: "mrbo", Method: stochastic.MRBO{}, Kind: Sampled},
	{Name: "penalty", Method: hypergrad.Penalty{}, Kind: FullBatch},
	{Name: "pzobo", Method: stochastic.PZOBO{}, Kind: Sampled},
	{Name: "random", Method: blackbox.Random{}, Kind: Search, Longest: longestSearch},
	{Name: "saba", Method: stochastic.SABA{}, Kind: Sampled},
	{Name: "soba", Method: stochastic.SOBA{}, Kind: Sampled},
	{Name: "srba", Method: stochastic.SRBA{}, Kind: Sampled},
	{Name: "stfbo", Method: stochastic.STFBO{}, Kind: FullBatch},
	{Name: "stocbio", Method: stochastic.StocBiO{}, Kind: Sampled},
	{Name: "sustain", Method: stochastic.SUSTAIN{}, Kind: Sampled},
	{Name: "tpe", Method: blackbox.TPE{}, Kind: Search, Longest: longestSearch},
	{Name: "ttsa", Method: stochastic.TTSA{}, Kind: Sampled},
	{Name: "vpbgd", Method: valuefn.VPBGD{}, Kind: FullBatch},
	{Name: "vrbo", Method: stochastic.VRBO{}, Kind: Sampled},
}

// All lists the methods in the order of their names.
func All() []Entry { return slices.Clone(all) }

// Lookup finds a method by its name.
func Lookup(name string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(all, name, func(e Entry, name string) int { return strings.Compare(e.Name, name) })
	if !ok {
		return Entry{}, false
	}
	return all[i], true
}

// Names lists the names of the methods of some kinds, without any of all.
func Names(kinds ...Kind) []string {
	var list []string
	for _, e := range all {
		if len(kinds) == 0 || slices.Contains(kinds, e.Kind) {
			list = append(list, e.Name)
		}
	}
	return list
}

// Describe says for people what methods of some kinds there are: a line for each kind, which begins with indent.
func Describe(indent string, kinds ...Kind) string {
	var b strings.Builder
	for _, k := range kinds {
		fmt.Fprintf(&b, "%s%s:\n%s  %s\n", indent, k, indent, strings.Join(Names(k), " "))
	}
	return b.String()
}
