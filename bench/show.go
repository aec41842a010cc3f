package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// DefaultTargets are the levels of h − h* that tables show.
var DefaultTargets = []float64{1e-2, 1e-3, 1e-4, 1e-5}

// FewSeeds is the number of seeds below which methods are not compared.
const FewSeeds = 10

// WriteTable writes, for each problem, what each method took to bring h − h* to each of the targets: the median over
// seeds, the 20% and 80% quantiles, and how many seeds got there. Runs that did not end well are listed at the end.
func (r *Results) WriteTable(w io.Writer, targets []float64) error {
	few := false
	for i, p := range r.Problems {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s, h* = %s\n", p.Problem, format(p.Best, 10))
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "METHOD\tPARAMETERS\tSEEDS\tLAST h − h*\tTARGET\tREACHED\tSECONDS (20–80%)\tSAMPLES (20–80%)")
		for _, g := range p.Groups {
			few = few || len(g.Traces) < FewSeeds
			for k, target := range targets {
				head := "\t\t\t"
				if k == 0 {
					params := g.Params
					if params == "" {
						params = "-"
					}
					head = fmt.Sprintf("%s\t%s\t%d\t%s", g.Method, params, len(g.Traces), format(g.LastMedian()-p.Best, 3))
				}
				to := g.To(p.Best, target)
				fmt.Fprintf(t, "%s\t%s\t%d/%d\t%s\t%s\n", head, format(target, 6), to.Reached, to.Runs, to.Seconds, to.Samples)
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintln(w, "\nMedians over seeds; a run that did not reach a target counts as one that takes for ever (-).")
	if few {
		fmt.Fprintf(w, "There are methods with fewer than %d seeds: too few to compare.\n", FewSeeds)
	}
	failures := r.Failures()
	if len(failures) > 0 {
		fmt.Fprintf(w, "\n%s did not end well:\n", plural(len(failures), "run"))
	}
	for _, t := range failures {
		fmt.Fprintf(w, "  %s, %s, seed %d: %s, %s\n", t.Problem, strings.TrimSpace(t.Method+" "+describeJSON(t.Params)),
			t.Seed, t.Status, t.Message)
	}
	return nil
}

// WriteYAML writes the methods of r as a bench file has them, a list for each problem.
func (r *Results) WriteYAML(w io.Writer) error {
	for _, p := range r.Problems {
		if _, err := fmt.Fprintf(w, "# %s\nmethods:\n", p.Problem); err != nil {
			return err
		}
		for _, g := range p.Groups {
			name, err := json.Marshal(g.Method)
			if err != nil {
				return err
			}
			line := fmt.Sprintf("  - {name: %s, method: %s", name, g.Algorithm)
			if g.Params != "" {
				line += ", params: " + flow(g.Traces[0].Params)
			}
			if _, err := fmt.Fprintln(w, line+"}"); err != nil {
				return err
			}
		}
	}
	return nil
}

// flow is an object as a YAML map in a line.
func flow(object json.RawMessage) string {
	v, err := parse(object)
	if err != nil {
		return string(object)
	}
	return v.flow()
}

func (v value) flow() string {
	switch x := v.v.(type) {
	case []value:
		var parts []string
		for _, item := range x {
			parts = append(parts, item.flow())
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case []entry:
		var parts []string
		for _, e := range x {
			parts = append(parts, e.key+": "+e.value.flow())
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	case nil:
		return "null"
	case string:
		return strconv.Quote(x)
	}
	return fmt.Sprint(v.v)
}

// String is the median and, in brackets, the quantiles; - stands for infinity.
func (s Spread) String() string {
	if math.IsInf(s.Median, 1) && math.IsInf(s.Low, 1) {
		return "-"
	}
	return fmt.Sprintf("%s [%s, %s]", format(s.Median, 3), format(s.Low, 3), format(s.High, 3))
}

// format is f with so many digits; - stands for what is not finite.
func format(f float64, digits int) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "-"
	}
	return strconv.FormatFloat(f, 'g', digits, 64)
}

// plural is a number of things.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
