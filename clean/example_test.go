package clean_test

import (
	"context"
	"fmt"
	"log"

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
	first := r.Suspects()[0]
	fmt.Printf("given as %s, rather %s\n", r.Classes[r.Rows[first].Label], r.Classes[r.Rows[first].Predicted])
	// Output:
	// true true
	// given as benign, rather malignant
}
