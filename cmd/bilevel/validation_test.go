package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// Rows are divided by a column of groups or of times, which is no feature, and what cannot be divided is refused.
func TestDivisionByColumns(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	var b strings.Builder
	b.WriteString("patient,day,odd,dose,outcome\n")
	for i := range 120 {
		dose := r.NormFloat64()
		fmt.Fprintf(&b, "p%d,2024-%02d-%02d,x,%.3f,%.3f\n", i/6, 1+i/28, 1+i%28, dose, 2*dose+r.NormFloat64())
	}
	files(t, map[string]string{"visits.csv": b.String()})
	args := func(more string) []string {
		return strings.Fields("tune --quiet --json --train visits.csv --drop odd " + more)
	}
	// Folds, training rows, validation rows, coefficients with the constant.
	for flags, want := range map[string][4]float64{
		"--group patient --drop day":                   {5, 120, 120, 2},
		"--group patient --folds 4 --drop day":         {4, 120, 120, 2},
		"--group patient --val-fraction .2 --drop day": {0, 96, 24, 2},
		"--time day --drop patient":                    {0, 90, 30, 2},
		"--time day --val-fraction .5 --drop patient":  {0, 60, 60, 2},
	} {
		o := decode(t, mustCall(t, args(flags)...).stdout)
		got := [4]float64{o.number(t, "folds"), o.number(t, "n_train"), o.number(t, "n_val"), o.number(t, "inner_dim")}
		if got != want || o["refitted"] != true {
			t.Errorf("%s: %v, refitted %v", flags, got, o["refitted"])
		}
	}
	for flags, says := range map[string]string{
		"--group nobody":                   `no column "nobody"`,
		"--time patient":                   "is no time",
		"--group odd --val-fraction .9":    "2 folds cannot be made of 1 groups",
		"--group patient --time day":       "one of them",
		"--time day --folds 5":             "--folds",
		"--group patient --val visits.csv": "--val",
	} {
		o := call(t, append([]string{"tune", "--quiet", "--train", "visits.csv"}, strings.Fields(flags)...)...)
		if o.code != 2 || !strings.Contains(o.stderr, says) {
			t.Errorf("%s: exit code %d, %s", flags, o.code, o.stderr)
		}
	}
}
