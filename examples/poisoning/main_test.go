package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/internal/realdata"
)

// Poisoned rows cost more accuracy than rows moved as far at random.
func Example() {
	r, err := audit(context.Background(), config{set: "digits", train: 1000, val: 400, share: .1, norm: "linf", radius: .3,
		ridge: .01, steps: 60})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.moved, "of", r.rows, "rows moved")
	fmt.Println("random costs less than a point:", r.clean.accuracy-r.random.accuracy < .01)
	fmt.Println("poisoned costs more than two points:", r.clean.accuracy-r.poisoned.accuracy > .02)
	// Output:
	// 100 of 1000 rows moved
	// random costs less than a point: true
	// poisoned costs more than two points: true
}

func TestMNIST(t *testing.T) {
	dir := realdata.Folder(t, "mnist")
	for _, c := range []config{{norm: "linf", radius: .3}, {norm: "l2", radius: 3}} {
		c.set, c.dataDir, c.train, c.val, c.share, c.ridge, c.steps = "mnist", dir, 500, 300, .1, .02, 8
		r, err := audit(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %+v", c.norm, r)
		if r.poisoned.loss < 1.2*r.clean.loss || r.poisoned.accuracy > min(r.clean.accuracy, r.random.accuracy)-.01 {
			t.Errorf("%s: the attack had no effect: %+v", c.norm, r)
		}
	}
}

func TestErrors(t *testing.T) {
	for want, c := range map[string]config{
		"-share 1e-05":      {set: "digits", train: 10, val: 10, share: 1e-5, norm: "linf", radius: 1, ridge: 1},
		"-share NaN":        {set: "digits", train: 10, val: 10, share: math.NaN(), norm: "linf", radius: 1, ridge: 1},
		"-share 2":          {set: "digits", train: 10, val: 10, share: 2, norm: "linf", radius: 1, ridge: 1},
		"-radius -1: a rad": {set: "digits", train: 10, val: 10, share: .5, norm: "l2", radius: -1, ridge: 1},
	} {
		if _, err := audit(context.Background(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for _, c := range []config{
		{set: "nothing", train: 10, val: 10, share: .5, norm: "linf", radius: 1, ridge: 1},
		{set: "digits", train: 1797, val: 10, share: .5, norm: "linf", radius: 1, ridge: 1},
		{set: "digits", train: 10, val: 10, share: 0, norm: "linf", radius: 1, ridge: 1},
		{set: "digits", train: 10, val: 10, share: .5, norm: "l3", radius: 1, ridge: 1},
		{set: "digits", train: 10, val: 10, share: .5, norm: "linf", radius: 1, ridge: -1},
	} {
		if _, err := audit(context.Background(), c); err == nil {
			t.Errorf("no error for %+v", c)
		}
	}
}
