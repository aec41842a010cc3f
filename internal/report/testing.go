package report

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// The tests of the page in a browser are a module of their own, in folder browser, so that nobody else fetches what
// drives a browser. This is what they need of this package besides the page.

// Synthetic is a made-up benchmark whose runs follow power laws: no method of this name ran.
func Synthetic(methods, seeds, records int) BenchData {
	rng := rand.New(rand.NewPCG(5, 6))
	d := BenchData{
		Title:    "Synthetic benchmark for tests",
		Subtitle: "made-up numbers, no method ran",
		Facts:    []Fact{{"Origin", "a formula with random numbers"}, {"Seeds", fmt.Sprint(seeds)}},
		Best:     map[string]float64{"valley": 0.25},
	}
	for _, problem := range []string{"valley", "ridge & slope"} {
		for m := range methods {
			rate := 0.5 + 2*rng.Float64()
			cost := math.Exp(rng.NormFloat64())
			for seed := range seeds {
				r := BenchRun{Problem: problem, Method: fmt.Sprintf("method %02d", m),
					Params: fmt.Sprintf("batch=%d", 16<<(m%3)), Seed: uint64(seed), Status: "done"}
				speed := cost * (0.85 + 0.3*rng.Float64())
				start := 0.4 + 0.2*rng.Float64()
				noise := 1e-7 * math.Exp(2*rng.NormFloat64())
				for i := range records {
					step := int64(0)
					if i > 0 {
						step = int64(math.Round(math.Pow(10, 5*float64(i)/float64(records-1))))
					}
					sub := start/math.Pow(1+float64(step)/10, rate)*(0.8+0.4*rng.Float64()) + noise
					p := BenchPoint{
						Step: step, Seconds: 2e-5 * speed * float64(step), Samples: 64 * step, GradCalls: 3 * step,
						Value: 0.25 + sub, GradNorm2: sub * (0.5 + rng.Float64()),
						TestError: math.NaN(), KKT: math.NaN(),
					}
					if problem != "valley" && i%2 == 0 {
						p.TestError = 0.05 + sub
						p.KKT = 3 * sub
					}
					r.Points = append(r.Points, p)
				}
				d.Runs = append(d.Runs, r)
			}
		}
	}
	return d
}

// Number is v with this count of significant digits, as the page prints it.
func Number(v float64, digits int) string { return number(v, digits) }

// Grouped is a decimal number with its thousands separated, as the page prints it.
func Grouped(s string) string { return grouped(s) }

// Clean is s as the page shows it: valid UTF-8 without control characters.
func Clean(s string) string { return clean(s) }

// Example is a page with all parts, of made-up numbers.
func Example() Page {
	rng := rand.New(rand.NewPCG(3, 4))
	var cloud []Point
	for range 300 {
		x := 50000 + 20000*rng.NormFloat64()
		cloud = append(cloud, Point{X: x, Y: x + 8000*rng.NormFloat64()})
	}
	// A pixel.
	const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
	long := "a_column_with_a_very_long_name_that_nobody_breaks"
	return Page{
		Above: "bilevel tune · housing.csv · 1 December 2026", Title: Bold("price") + ", predicted from 11 columns",
		Intro: []string{"546 rows; the label is the column " + Bold("price") + ", as asked for by " + Code("--label") + "."},
		Sections: []Section{
			{Title: "How good it is", Lead: "Off by " + Bold("11,300") + " on average.", Parts: []Part{
				&Dots{Title: "Typical error", Hint: "lower is better", Zero: true, Rows: []Dot{
					{"always the mean", "the trivial model", 26700, 24600, 29100, "26,700", "24,600 to 29,100", Reference, false},
					{"this model", long, 15800, 14400, 17300, "15,800", "14,400 to 17,300", Main, true},
					{"another", "", 19000, 18000, 20000, "19,000", "", Look, false}}},
				&Table{Narrow: true, Columns: []Column{{Name: "on unseen rows"}, {Name: "ridge", Number: true},
					{Name: "this model", Number: true, Strong: true}, {Name: "95% interval", Number: true, Minor: true}},
					Rows: [][]string{{"average error (MAE)", "11,400", "11,300", "10,400 to 12,200"}}},
				Note("Intervals hold 95%.")}},
			{Title: "Where it is off", Parts: []Part{Side{
				&Chart{Title: "Price against prediction", Say: "A cloud of points.", X: Axis{Name: "predicted price"},
					Y: Axis{Name: "price"}, Marks: []Mark{{Points: cloud}, {Kind: Look, Points: cloud[:8]}},
					Labels: []Label{{"this model", Main, 90000, 20000}}},
				&Chart{Title: "Bars", Say: "Bars.", X: Axis{Percent: true, High: 1}, Marks: []Mark{{Shape: Bars, Kind: Count,
					Points: []Point{{X: 0, Y: 3, X2: .5}, {X: .5, Y: 7, X2: 1}}}}}},
				&Matrix{Title: "Predicted against given", Given: "given", Classes: []string{"no", "yes"},
					Counts: [][]int{{352, 119}, {165, 236}}}}},
			{Title: "Rows to look at", Parts: []Part{
				&Table{Columns: []Column{{Name: "row", Number: true}, {Name: "price", Number: true},
					{Name: "predicted", Number: true}, {Name: "off by", Number: true, Strong: true}, {Name: "what it is", Long: true}},
					Rows: [][]string{{"378", "190,000", "116,700", "+73,300", "bathrms 2 · " + long}}},
				Cards{{Picture: png, Alt: "a pixel", From: "5", To: "2", Small: []string{"97% likely", "row 1,014"}}}}},
			{Title: "What to do now", Text: []string{"The model lies beside this page."},
				Parts: []Part{Command("bilevel predict --model m.json new.csv")}},
		},
		Details: []Section{{Title: "How it was obtained", Hint: "rows, optimiser", Parts: []Part{Facts{{"command",
			Code("bilevel tune --train housing.csv")}}}}},
	}
}
