package tune

import (
	"context"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
)

func benchData(tb testing.TB, name string, seed uint64) Data {
	all, err := dataset.Embedded(name)
	if err != nil {
		tb.Fatal(err)
	}
	rest, test, err := all.Split(.25, seed, true)
	if err != nil {
		tb.Fatal(err)
	}
	train, val, err := rest.Split(.3, seed, true)
	if err != nil {
		tb.Fatal(err)
	}
	return Data{Train: train, Val: val, Test: test}
}

func BenchmarkFit(b *testing.B) {
	for _, reg := range []Reg{Shared, PerClass, PerFeature, AutoReg} {
		b.Run("digits/"+string(reg), func(b *testing.B) {
			data := benchData(b, "digits", 0)
			for b.Loop() {
				if _, err := Fit(context.Background(), data, Options{Reg: reg}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
