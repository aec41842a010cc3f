package bench

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"image/png"
	"strings"
	"testing"
)

// All estimates converge linearly, ITD no faster than AID-FP and that no faster than AID-CG.
func TestHypergradRates(t *testing.T) {
	f, err := Lookup("hypergrad-rates")
	if err != nil {
		t.Fatal(err)
	}
	table, err := f.Compute(context.Background(), Options{Repeats: 10})
	if err != nil {
		t.Fatal(err)
	}
	if problems := table.labels(0); len(problems) != 4 {
		t.Errorf("the problems are %v", problems)
	}
	for _, problem := range table.labels(0) {
		itd, fp, cg := table.values("error_mean", problem, "ITD"), table.values("error_mean", problem, "AID-FP"),
			table.values("error_mean", problem, "AID-CG")
		for i, steps := range table.values("t", problem, "ITD") {
			if steps < 100 || itd[i] < 1e-12 {
				continue // the order is that of the rates, which tell in the long run, down to rounding
			}
			if itd[i] < .99*fp[i] || fp[i] < .99*cg[i] {
				t.Errorf("%s, t = %v: ITD %.3g, AID-FP %.3g, AID-CG %.3g", problem, steps, itd[i], fp[i], cg[i])
			}
		}
		first, last := itd[0], itd[len(itd)-1]
		if last > 1e-4*first {
			t.Errorf("%s: ITD went from %.3g to %.3g", problem, first, last)
		}
	}
	checkFiles(t, f, table)
}

// checkFiles writes a figure's files and looks at them.
func checkFiles(t *testing.T, f Figure, table *Table) {
	t.Helper()
	var numbers, svg, image bytes.Buffer
	if err := table.WriteCSV(&numbers); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&numbers).ReadAll()
	if err != nil || len(lines) != 1+len(table.Rows) ||
		strings.Join(lines[0], ",") != strings.Join(append(append([]string{}, f.Labels...), f.Values...), ",") {
		t.Errorf("%d lines for %d rows, header %v, %v", len(lines), len(table.Rows), lines[0], err)
	}
	if err := f.Draw(&svg, table, Drawing{Format: "svg"}); err != nil || !strings.Contains(svg.String(), "<svg") {
		t.Errorf("svg: %v", err)
	}
	if err := f.Draw(&image, table, Drawing{Format: "png"}); err != nil {
		t.Error(err)
	}
	if _, err := png.Decode(&image); err != nil {
		t.Error(err)
	}
	if err := f.Draw(&image, table, Drawing{Format: "gif"}); err == nil {
		t.Error("no error for a gif")
	}
}

func TestSeeds(t *testing.T) {
	f, _ := Lookup("hypergrad-rates")
	compute := func(seed uint64) string {
		table, err := f.Compute(context.Background(), Options{Repeats: 1, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(table.Rows)
	}
	if a, b, c := compute(1), compute(1), compute(2); a != b || a == c {
		t.Error("the same seed does not give the same numbers, or another one does")
	}
}

// What bilevel.Minimize returns of a cancelled run must not become a figure.
func TestCancelledInside(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	f := Figure{compute: func(context.Context, Options, *Table) error { cancel(); return nil }}
	if table, err := f.Compute(ctx, Options{}); !errors.Is(err, context.Canceled) || table != nil {
		t.Errorf("%v, error %v", table, err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, f := range Figures() {
		if len(f.Sets) > 0 {
			continue
		}
		if _, err := f.Compute(ctx, Options{Repeats: 1}); err == nil {
			t.Errorf("%s: half a figure was returned", f.Name)
		}
	}
	if _, err := Lookup("nothing"); err == nil || !strings.Contains(err.Error(), "hypergrad-rates") {
		t.Errorf("the error for an unknown figure is %v", err)
	}
}
