package tune_test

import (
	"context"
	"fmt"
	"log"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/tune"
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
	r, err := tune.Fit(context.Background(), tune.Data{Train: rest, Test: test, Folds: 5}, tune.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Model.Task, r.Model.Classes)
	fmt.Println(r.Value <= r.BaselineValue, r.Test.Accuracy > .95)
	// Output:
	// logistic [benign malignant]
	// true true
}

func ExampleModel_Predict() {
	all, err := dataset.Embedded("breast-cancer")
	if err != nil {
		log.Fatal(err)
	}
	train, val, err := all.Split(.5, 1, true)
	if err != nil {
		log.Fatal(err)
	}
	r, err := tune.Fit(context.Background(), tune.Data{Train: train, Val: val}, tune.Options{Reg: tune.Shared})
	if err != nil {
		log.Fatal(err)
	}
	p, err := r.Model.Predict(val)
	if err != nil {
		log.Fatal(err)
	}
	for i := range 3 {
		fmt.Printf("%s, really %s\n", p.Label(i), val.Classes[int(val.Y[i])])
	}
	// Output:
	// malignant, really malignant
	// malignant, really malignant
	// benign, really benign
}
