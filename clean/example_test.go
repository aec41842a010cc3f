package clean_test

import (
	"context"
	"fmt"
	"log"
	"math"

	"github.com/bilevel-go/bilevel/clean"
	"github.com/bilevel-go/bilevel/dataset"
)

func ExampleFit() {
	all, err := dataset.Embedded("breast-cancer")
	if err != nil {
		log.Fatal(err)
	}
	rest, test, err := all.Split(.25, 1, true)
	if err != nil {
		log.Fatal(err)
	}
	train, trusted, err := rest.Split(.2, 1, true)
	if err != nil {
		log.Fatal(err)
	}
	noisy, right := clean.Corrupt(train, .5, 1)
	r, err := clean.Fit(context.Background(), clean.Data{Train: noisy, Trusted: trusted, Test: test}, clean.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Compare(right).F1 > .9, r.After.Accuracy > .95)
	for _, i := range r.Suspects()[:3] {
		row := r.Rows[i]
		fmt.Printf("given as %s, rather %s: weight below %.1f\n", r.Classes[row.Label], r.Classes[row.Predicted],
			math.Ceil(10*row.Weight)/10)
	}
	// Output:
	// true true
	// given as benign, rather malignant: weight below 0.1
	// given as benign, rather malignant: weight below 0.1
	// given as benign, rather malignant: weight below 0.1
}
