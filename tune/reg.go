package tune

import (
	"fmt"
	"slices"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/numbers"
	"github.com/bilevel-go/bilevel/model"
)

// Reg says which coefficients share a strength.
type Reg string

// The kinds of strengths. "auto" and "" compare Shared, PerClass and PerFeature on held-out rows. The last three have
// an ℓ1 norm, Σ s|z|, which makes coefficients exactly zero; their baseline is one ℓ1 strength for all.
const (
	AutoReg         Reg = "auto"
	Shared          Reg = "shared"
	PerClass        Reg = "class"
	PerFeature      Reg = "feature"
	PerFeatureClass Reg = "feature-class"
	L1              Reg = "l1"          // one for all
	L1PerFeature    Reg = "l1-feature"  // one per feature
	ElasticNet      Reg = "elastic-net" // one of the ℓ1 norm and one of the squares, ½ Σ s z², in this order
)

// regs are the kinds of strengths, in the order in which "auto" compares some of them. An entry is all that there is to
// say about one.
var regs = []*reg{
	{
		reg: Shared, squares: &forAll, compared: true,
		words: "one strength for all", short: "one shared strength",
	},
	{
		reg: PerClass, squares: &perClass, compared: true, severalScores: true,
		words: "one strength per class", short: "one per class",
	},
	{
		reg: PerFeature, squares: &perFeature, compared: true,
		words: "one strength per column", short: "one per column",
	},
	{
		reg: PerFeatureClass, squares: &perFeatureClass,
		words: "one strength per column and class", short: "one per column and class",
	},
	{
		reg: L1, l1: &forAll,
		words: "one ℓ1 strength for all", short: "one ℓ1 strength",
	},
	{
		reg: L1PerFeature, l1: &perFeature,
		words: "one ℓ1 strength per column", short: "one per column",
	},
	{
		reg: ElasticNet, l1: &forAll, squares: &forAll, names: []string{"|z|", "z²"},
		words: "an elastic net, one ℓ1 and one ℓ2 strength", short: "elastic net, an ℓ1 and an ℓ2 strength",
	},
}

// reg is a kind of strengths.
type reg struct {
	reg Reg

	// l1 and squares say which coefficients share a strength s in the terms Σ s|z| and ½ Σ s z² of the penalty, nil
	// where it has no such term. The strengths of l1 come first in x.
	l1, squares *sharing

	compared      bool // by "auto"
	severalScores bool // makes no sense with one score per row

	names []string // of the strengths, where those of the sharing would be the same for l1 and squares
	words string   // what it is, in a sentence
	short string   // the same in the summary, after the number of strengths where there can be many
}

// sharing says which coefficients share a strength.
type sharing struct {
	of    model.Strengths
	count func(f *fit) int                        // of the strengths
	name  func(f *fit, class, feature int) string // of the strength of a coefficient
	owner string                                  // what a strength belongs to
}

var (
	forAll = sharing{
		of:    model.Shared,
		count: func(*fit) int { return 1 },
		name:  func(*fit, int, int) string { return "all" },
		owner: "all coefficients",
	}
	perClass = sharing{
		of:    model.PerClass,
		count: func(f *fit) int { return f.scores },
		name:  func(f *fit, class, _ int) string { return f.classes[class] },
		owner: "a class",
	}
	perFeature = sharing{
		of:    model.PerFeature,
		count: func(f *fit) int { return f.d },
		name:  func(f *fit, _, feature int) string { return f.featureName(feature) },
		owner: "a feature",
	}
	perFeatureClass = sharing{
		of:    model.PerFeatureClass,
		count: func(f *fit) int { return f.d * f.scores },
		name: func(f *fit, class, feature int) string {
			if f.scores > 1 {
				return f.classes[class] + ": " + f.featureName(feature)
			}
			return f.featureName(feature)
		},
		owner: "a feature and a class",
	}
)

// entry is that of a kind, nil for "auto" and for an unknown one.
func (r Reg) entry() *reg {
	for _, e := range regs {
		if e.reg == r {
			return e
		}
	}
	return nil
}

// Regs are the kinds of strengths, without "auto".
func Regs() []Reg { return regsThat(func(*reg) bool { return true }) }

// Compared are the kinds of strengths that "auto" compares.
func Compared() []Reg { return regsThat(func(r *reg) bool { return r.compared }) }

func regsThat(which func(*reg) bool) []Reg {
	var out []Reg
	for _, r := range regs {
		if which(r) {
			out = append(out, r.reg)
		}
	}
	return out
}

// Sparse says whether r has an ℓ1 norm. "auto" has none.
func (r Reg) Sparse() bool { e := r.entry(); return e != nil && e.l1 != nil }

// terms are the sharings of the terms, in the order of their strengths in x.
func (r *reg) terms() []*sharing {
	return slices.DeleteFunc([]*sharing{r.l1, r.squares}, func(s *sharing) bool { return s == nil })
}

// many says whether several strengths stand where the baseline has one, so that they can be near it.
func (r *reg) many() bool {
	t := r.terms()
	return len(t) == 1 && t[0] != &forAll
}

// strengths is the number of strengths of a kind.
func (f *fit) strengths(kind Reg) int {
	n := 0
	for _, t := range kind.entry().terms() {
		n += t.count(f)
	}
	return n
}

// base is the kind of the baseline.
func (f *fit) base() Reg {
	if f.o.Reg.Sparse() {
		return L1
	}
	return Shared
}

// baseline are the strengths of a kind that stand for the shared strength x of the baseline. Beside an ℓ1 norm, those
// of the squares are as weak as can be, because the baseline has none.
func (f *fit) baseline(kind Reg, x float64) []float64 {
	all := slices.Repeat([]float64{x}, f.strengths(kind))
	if r := kind.entry(); r.l1 != nil {
		for j := r.l1.count(f); j < len(all); j++ {
			all[j] = f.o.Box.Lower
		}
	}
	return all
}

// strengthName is the name of strength s, which a coefficient has.
func (f *fit) strengthName(kind Reg, s, class, feature int) string {
	r := kind.entry()
	if r.names != nil {
		return r.names[s]
	}
	return r.terms()[0].name(f, class, feature)
}

// describe is a kind of strengths in words.
func (f *fit) describe(kind Reg) string {
	r := kind.entry()
	if !r.many() {
		return r.words
	}
	with := ""
	if s := f.main.train.Schema; s != nil && slices.ContainsFunc(s.Columns, func(c dataset.Column) bool {
		return c.Kind == dataset.Categorical
	}) {
		with = " with levels"
	}
	return fmt.Sprintf("%s (%d%s)", r.words, f.strengths(kind), with)
}

// Words are the kind of p and how many strengths it has, in a few words. The kind is one of [Regs].
func (p Penalty) Words() string {
	r := p.Kind.entry()
	if !r.many() {
		return r.short
	}
	what := "strength"
	if r.l1 != nil {
		what = "ℓ1 strength"
	}
	if len(p.Strengths) != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s, %s", len(p.Strengths), what, r.short)
}

// Explain says what a strength of p does. The kind is one of [Regs].
func (p Penalty) Explain() string {
	r := p.Kind.entry()
	term, zero := "½ s z²", "towards zero"
	switch {
	case r.l1 != nil && r.squares != nil:
		term, zero = "s |z| with the first strength and ½ s z² with the second", "to or towards zero"
	case r.l1 != nil:
		term, zero = "s |z|", "to zero"
	}
	return fmt.Sprintf("A strength belongs to %s: the training loss has the term %s for each coefficient z, s = %s with "+
		"x between %s and %s. A large strength takes the coefficient %s.", r.terms()[0].owner, term, p.Param.Formula(),
		numbers.Value(p.Box.Lower), numbers.Value(p.Box.Upper), zero)
}
