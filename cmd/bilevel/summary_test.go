package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 steps", 1: "1 step", 2: "2 steps"} {
		if got := count(n, "step"); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

// A model that is no better than the trivial one says so, in its summary and report, and others do not.
func TestNothingTold(t *testing.T) {
	var noise, told strings.Builder
	r := rand.New(rand.NewPCG(1, 2))
	noise.WriteString("a,y\n")
	told.WriteString("a,y\n")
	for range 100 {
		a := r.NormFloat64()
		fmt.Fprintf(&noise, "%.3f,%.3f\n", a, r.NormFloat64())
		fmt.Fprintf(&told, "%.3f,%.3f\n", a, a+r.NormFloat64())
	}
	files(t, map[string]string{"noise.csv": noise.String(), "told.csv": told.String()})
	const says = "better than always saying the mean: values of this one column tell"
	for file, want := range map[string]bool{"noise.csv": true, "told.csv": false} {
		o := mustCall(t, "tune", "--quiet", "--train", file, "--reg", "shared", "--out", "m")
		page, err := os.ReadFile("m/report.html")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(o.stdout, says) != want || strings.Contains(string(page), says) != want {
			t.Errorf("%s: %s", file, o.stdout)
		}
	}
}
