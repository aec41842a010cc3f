package report

import "math/rand/v2"

// The tests of the page in a browser are a module of their own, in folder browser, so that nobody else fetches what
// drives a browser. This is what they need of this package besides the page.

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
