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
