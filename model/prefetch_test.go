package model

import (
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/rows"
)

// TestRowsAheadAreTaken sees every pass over a batch ask for the rows that Prefetch named.
func TestRowsAheadAreTaken(t *testing.T) {
	const n, d = 200, 5
	a, y, target := rows.NewDense(n, d), make([]float64, n), make([]float64, n)
	for i := range n {
		for j := range d {
			a.Row(i)[j] = float64((i*7+j*3)%11) - 5
		}
		y[i] = float64(2*(i%2) - 1)
		target[i] = float64(i % 5)
	}
	logistic, err := NewLogistic(a, y, d)
	if err != nil {
		t.Fatal(err)
	}
	squared, err := NewSquared(a, target, d)
	if err != nil {
		t.Fatal(err)
	}
	z, v, dz, hv := make([]float64, d), make([]float64, d), make([]float64, d), make([]float64, d)
	c := make([]float64, n)
	for name, o := range map[string]*Loss{"logistic": logistic, "squared": squared} {
		for pass, f := range map[string]func(b bilevel.Batch){
			"Grad":            func(b bilevel.Batch) { o.Grad(dz, nil, z, nil, b) },
			"Products":        func(b bilevel.Batch) { o.Products(dz, hv, nil, z, nil, v, b) },
			"Products, no dz": func(b bilevel.Batch) { o.Products(nil, hv, nil, z, nil, v, b) },
			"Products, no hv": func(b bilevel.Batch) { o.Products(dz, nil, nil, z, nil, v, b) },
			"ValueGrad":       func(b bilevel.Batch) { o.ValueGrad(dz, nil, z, nil, b) },
			"pairGrad":        func(b bilevel.Batch) { o.pairGrad(dz, hv, z, v, b) },
			"Coefs and Combine": func(b bilevel.Batch) {
				o.Coefs(c[:b.Len()], nil, nil, z, nil, nil, b)
				o.Combine(dz, nil, c[:b.Len()], nil, 1, 0, b)
			},
		} {
			for _, rows := range []int{1, 7, 8, 64} {
				o.Prefetch(bilevel.Batch{Lo: 100, Hi: 164})
				if len(o.ahead) == 0 {
					t.Fatalf("%s: Prefetch has asked for 64 rows at once", name)
				}
				f(bilevel.Batch{Lo: 3, Hi: 3 + rows})
				if len(o.ahead) != 0 {
					t.Errorf("%s, %s of %d rows: %d numbers are left to ask for", name, pass, rows, len(o.ahead))
				}
			}
		}
	}
}
