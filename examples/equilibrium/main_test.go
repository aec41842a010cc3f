package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/realdata"
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
	dir := realdata.Folder(t, "mnist")
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

// A run that ends early says so, and after how many steps.
func TestReport(t *testing.T) {
	c := standard
	c.train, c.test, c.units = 50, 50, 5
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r, err := train(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	r.print(&b)
	if !strings.Contains(b.String(), ", 0 outer steps") || !strings.Contains(b.String(), bilevel.Cancelled.String()) {
		t.Error(b.String())
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
