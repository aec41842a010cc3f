package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// visits are rows of which few are ill, with a count, a number of which some are wild, and weights.
func visits(n int) string {
	r := rand.New(rand.NewPCG(4, 5))
	var b strings.Builder
	b.WriteString("age,dose,w,falls,cost,state\n")
	for i := range n {
		age, dose := r.NormFloat64(), r.NormFloat64()
		state := "healthy"
		if age+r.NormFloat64() > 1.6 {
			state = "ill"
		}
		cost := 10 + 3*age + r.NormFloat64()
		if i%15 == 0 {
			cost += 200
		}
		fmt.Fprintf(&b, "%.3f,%.3f,%d,%d,%.3f,%s\n", age, dose, r.IntN(4), int(math.Exp(.5+.6*age+.5*r.NormFloat64())), cost,
			state)
	}
	return b.String()
}

// Weights, costs and models beside the usual ones: what summary and JSON say, what predict writes and says, and what is
// refused.
func TestLosses(t *testing.T) {
	files(t, map[string]string{"visits.csv": visits(400), "new.csv": "age,dose\n1,1\n-1,0\n", "test.csv": visits(60)})
	for _, c := range []struct {
		flags, summary, words, report, head, good string
		check                                     func(o object) bool
	}{
		{"--label falls --drop w,cost,state --model poisson", "deviance", "", "Poisson regression",
			"prediction", "deviance", func(o object) bool { return o.number(t, "value") > 0 }},
		{"--label cost --drop w,falls,state --model huber", "Huber loss", "count linearly", "Huber regression",
			"prediction", "Huber loss", func(o object) bool { return math.Abs(o.number(t, "delta")-1.4) < .4 }},
		{"--label state --drop w,cost,falls --model squared-hinge", "hinge loss", "no probabilities",
			"cut at a score of zero", "prediction,score", "squared hinge loss", func(o object) bool { return o["cut"] == nil }},
		{"--label state --weight w --drop cost,falls --cost ill=9", "cost of a row", "from a probability of 10% on",
			"cut at 10%, by the costs", "prediction", "at a cost of", func(o object) bool {
				return o["weight"] == "w" && math.Abs(o.number(t, "cut")-.1) < 1e-12
			}},
		{"--label state --drop w,cost,falls --class-weights balanced", "log loss", "count by the weights of their classes",
			"probability", "prediction", "log loss", func(o object) bool { return len(o["class_weights"].([]any)) == 2 }},
		{"--label state --weight w --drop cost,falls --class-weights learned --max-time 20s", "log loss", "classes",
			"Rows count by the column w.", "prediction", "log loss", func(object) bool { return true }},
	} {
		args := append([]string{"tune", "--quiet", "--train", "visits.csv", "--test", "test.csv"}, strings.Fields(c.flags)...)
		if out := mustCall(t, args...).stdout; !strings.Contains(out, c.summary) {
			t.Errorf("%s: no %q in\n%s", c.flags, c.summary, out)
		}
		o := decode(t, mustCall(t, append(args, "--json")...).stdout)
		words, err := json.Marshal(o["words"])
		if err != nil || !strings.Contains(string(words), c.words) || !c.check(o) {
			t.Errorf("%s: no %q in %s; %v", c.flags, c.words, words, o["class_weights"])
		}
		if page, err := os.ReadFile("bilevel-out/report.html"); err != nil || !strings.Contains(string(page), c.report) {
			t.Errorf("%s: no %q in the report", c.flags, c.report)
		}
		p := mustCall(t, "predict", "--model", "bilevel-out/model.json", "new.csv")
		lines := strings.Split(strings.TrimSpace(p.stdout), "\n")
		if len(lines) != 3 || lines[0] != c.head {
			t.Errorf("%s: predictions %q", c.flags, p.stdout)
		}
		if p := mustCall(t, "predict", "--model", "bilevel-out/model.json", "test.csv"); !strings.Contains(p.stderr, c.good) {
			t.Errorf("%s: no %q in %s", c.flags, c.good, p.stderr)
		}
	}
	for flags, says := range map[string]string{
		"--label state --class-weights il=2":                     `"il=2": there is no class "il": there are healthy, ill`,
		"--label state --cost ill":                               "CLASS=NUMBER",
		"--label falls --class-weights balanced --model poisson": "a poisson model has no classes",
		"--label age --drop state --model poisson":               "is negative",
		"--label state --weight dosis":                           `there is no column "dosis"`,
		"--label falls --drop state --weight age":                "weights are finite and not negative",
		"--label state --weight w --weights w.npy":               "give one of them",
	} {
		o := call(t, append([]string{"tune", "--quiet", "--train", "visits.csv"}, strings.Fields(flags)...)...)
		if o.code != exitUsage || !strings.Contains(o.stderr, says) {
			t.Errorf("%s: exit code %d, %s", flags, o.code, o.stderr)
		}
	}
}
