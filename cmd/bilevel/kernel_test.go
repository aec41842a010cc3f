package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// A model with kernels is learned, reported and applied, and says what it does not go with.
func TestTuneKernel(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	var b strings.Builder
	b.WriteString("dose,sort,noise,answer\n")
	for range 150 {
		x := 4 * r.Float64()
		fmt.Fprintf(&b, "%.4f,%c,%.3f,%.4f\n", x, "abc"[r.IntN(3)], r.NormFloat64(), math.Sin(3*x)+.1*r.NormFloat64())
	}
	files(t, map[string]string{"bent.csv": b.String(), "sparse.svm": strings.Repeat("1 1:2\n-1 2:1\n", 20)})
	o := decode(t, mustCall(t, "tune", "--quiet", "--json", "--train", "bent.csv", "--model", "kernel").stdout)
	k, ok := o["kernel"].(map[string]any)
	if !ok || k["columns"].(float64)+k["shared"].(float64) < .5 {
		t.Fatalf("kernel is %v", o["kernel"])
	}
	if first := k["lengths"].([]any)[0].(map[string]any); first["column"] != "dose" {
		t.Errorf("the shortest length scale is that of %v", first["column"])
	}
	page, err := os.ReadFile("bilevel-out/report.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Learned length scales", "The mean prediction where a column", "with kernels"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	first := mustCall(t, "predict", "--model", "bilevel-out/model.json", "bent.csv").stdout
	if n := strings.Count(first, "\n"); n != 151 {
		t.Errorf("%d lines of predictions", n)
	}
	for args, says := range map[string]string{
		"--train bent.csv --model kernel --reg feature":  "one strength for all",
		"--train bent.csv --model kernel --task regress": "task",
		"--train bent.csv --model kernel --method saba":  "exact hypergradients",
		"--train sparse.svm --model kernel":              "sparse or texts",
	} {
		c := call(t, append([]string{"tune", "--quiet"}, strings.Fields(args)...)...)
		if c.code != 2 || !strings.Contains(c.stderr, says) {
			t.Errorf("%s: exit code %d, %s", args, c.code, c.stderr)
		}
	}
}
