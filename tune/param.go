package tune

import "math"

// Param is the parametrisation of a strength.
type Param string

// The parametrisations: a strength is e^x or x. "" is Exp.
const (
	Exp    Param = "exp"
	Linear Param = "linear"
)

// params are the parametrisations. An entry is all that there is to say about one.
var params = []*param{
	{
		param: Exp, formula: "e^x", logarithmic: true,
		box: Box{-12, 12}, documentBox: Box{-24, 0}, enormous: 80,
		check: func(b Box) string {
			if b.Lower < -100 || b.Upper > 100 {
				return "strengths are e^x: bounds beyond ±100 are out of the range of numbers"
			}
			return ""
		},
		of:       math.Log,
		exponent: func(x float64) float64 { return x },
		at:       func(t float64) float64 { return t },
		patience: patience,
	},
	{
		param: Linear, formula: "x",
		box: Box{1e-8, 1e8}, documentBox: Box{1e-10, 1}, enormous: 1e30,
		check: func(b Box) string {
			switch {
			case b.Lower <= 0:
				return "with the linear parametrisation the bounds are strengths, which are positive"
			case b.Upper > 1e40:
				return "a strength beyond 1e40 is out of the range of numbers"
			}
			return ""
		},
		of:       func(strength float64) float64 { return strength },
		exponent: math.Log,
		at:       math.Exp,
		patience: 4 * patience, // the scale of x is not that of h
	},
}

// param is a parametrisation.
type param struct {
	param   Param
	formula string // of the strength

	// logarithmic says that x is the logarithm of the strength: that a unit of x means as much everywhere, and that
	// ∇h tells where descents stand.
	logarithmic bool

	box, documentBox Box              // where none is given
	enormous         float64          // an x with which all coefficients of an ℓ1 norm are zero
	check            func(Box) string // what is wrong with a box, "" for nothing

	of       func(strength float64) float64 // x
	exponent func(x float64) float64        // t for which x is the strength e^t
	at       func(t float64) float64        // x of the strength e^t
	patience int                            // steps over which h has to fall
}

// entry is that of a parametrisation, nil if there is none.
func (p Param) entry() *param {
	for _, e := range params {
		if e.param == p {
			return e
		}
	}
	return nil
}

// Params are the parametrisations.
func Params() []Param {
	var all []Param
	for _, e := range params {
		all = append(all, e.param)
	}
	return all
}

// Formula is the strength as a function of x: "e^x". p is one of [Params].
func (p Param) Formula() string { return p.entry().formula }

// param is the parametrisation.
func (f *fit) param() *param { return f.o.Param.entry() }
