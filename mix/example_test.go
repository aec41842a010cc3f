package mix_test

import (
	"context"
	"fmt"
	"log"

	"github.com/bilevel-go/bilevel/clean"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/mix"
)

// Three sources, and the labels of one of them are drawn at random.
func ExampleFit() {
	rest, err := dataset.Embedded("breast-cancer")
	if err != nil {
		log.Fatal(err)
	}
	if err := rest.AsClasses(); err != nil {
		log.Fatal(err)
	}
	var parts [4]*dataset.Set
	for k := range parts[1:] {
		if rest, parts[k], err = rest.Split(1/float64(4-k), 1, true); err != nil {
			log.Fatal(err)
		}
	}
	parts[3] = rest
	random, _ := clean.Corrupt(parts[2], 1, 1)
	r, err := mix.Fit(context.Background(), mix.Data{
		Target:  parts[0],
		Sources: []*dataset.Set{parts[1], random, parts[3]},
		Names:   []string{"one", "random", "another"},
	}, mix.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range r.Sources {
		fmt.Printf("%s: %.2f\n", s.Name, s.Weight)
	}
	// Output:
	// one: 0.33
	// random: 0.00
	// another: 0.33
	// the target’s own rows: 0.33
}
