package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
)

// Three estimators train the same network alike.
func Example() {
	for _, e := range []string{"fixed-point", "gmres", "itd"} {
		c := standard
		c.estimator, c.train, c.test, c.units, c.steps = e, 500, 500, 20, 60
		r, err := train(context.Background(), c)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s: trained %v, test accuracy above 90%% %v\n", e, r.after < .1*r.before, r.accuracy > .9)
	}
	// Output:
	// fixed-point: trained true, test accuracy above 90% true
	// gmres: trained true, test accuracy above 90% true
	// itd: trained true, test accuracy above 90% true
}

func TestMNIST(t *testing.T) {
	dir := os.Getenv("BILEVEL_DATA")
	if dir == "" {
		dir = "../../../shared/data"
	}
	if f, err := dataset.Find("mnist", dataset.GetOptions{DataDir: dir}); err != nil || f == nil {
		t.Skipf("MNIST is not in BILEVEL_DATA: %v", err)
	}
	c := standard
	c.set, c.dataDir, c.train, c.test, c.units, c.steps = "mnist", dir, 500, 500, 40, 30
	r, err := train(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r)
	if r.after > .5*r.before || r.accuracy < .7 {
		t.Errorf("nothing was learned: %+v", r)
	}
}

func TestErrors(t *testing.T) {
	for name, change := range map[string]func(*config){
		"set":       func(c *config) { c.set = "nothing" },
		"estimator": func(c *config) { c.estimator = "magic" },
		"train":     func(c *config) { c.train = 5000 },
		"units":     func(c *config) { c.units = 0 },
	} {
		c := standard
		change(&c)
		if _, err := train(context.Background(), c); err == nil {
			t.Errorf("no error for a bad %s", name)
		}
	}
}
