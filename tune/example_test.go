package tune_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

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

// A model learned on training and validation rows, kept in a file, and applied to others.
func Example() {
	all, err := dataset.Embedded("breast-cancer")
	if err != nil {
		log.Fatal(err)
	}
	rest, test, err := all.Split(.25, 1, true)
	if err != nil {
		log.Fatal(err)
	}
	train, val, err := rest.Split(.3, 1, true)
	if err != nil {
		log.Fatal(err)
	}
	result, err := tune.Fit(context.Background(), tune.Data{Train: train, Val: val, Test: test}, tune.Options{})
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "bilevel")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := result.Model.Save(filepath.Join(dir, "model.json")); err != nil {
		log.Fatal(err)
	}

	m, err := tune.Load(filepath.Join(dir, "model.json"))
	if err != nil {
		log.Fatal(err)
	}
	p, err := m.Predict(test)
	if err != nil {
		log.Fatal(err)
	}
	for i := range 3 {
		fmt.Printf("%s, really %s\n", p.Label(i), test.Classes[int(test.Y[i])])
	}
	// Output:
	// benign, really benign
	// benign, really benign
	// benign, really benign
}
