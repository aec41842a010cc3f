package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel/methods"
)

// traceValues are the validation losses of trace.csv.
func traceValues(t *testing.T, path string) []float64 {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var values []float64
	for _, r := range records[1:] {
		v, err := strconv.ParseFloat(r[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	return values
}

// stays are the methods of which no fall of the loss is asked: BSG-1 on an inner problem that is no sum of squares, and
// the grid, which knows the best point already.
var stays = []string{"bsg1", "grid"}

// TestTuneMethods: from x = 0, far from the best strength, every method of the library goes at least half of the way
// down to the loss of the best one, and what is written is never worse than the baseline.
func TestTuneMethods(t *testing.T) {
	files(t, nil)
	for i, m := range methods.Names() {
		if testing.Short() && i%4 != 0 {
			continue
		}
		o := mustCall(t, "tune", "--set", "breast-cancer", "--reg", "shared", "--start", "0", "--method", m,
			"--val-fraction", "0.3", "--json", "--quiet")
		r := decode(t, o.stdout)
		values := traceValues(t, "bilevel-out/trace.csv")
		value, base := r.number(t, "value"), r.number(t, "baseline_value")
		if r["method"] != m || value > base*(1+1e-6) {
			t.Errorf("%s: %v, %.6f where the baseline has %.6f", m, r["method"], value, base)
		}
		first, last := values[0], slices.Min(values)
		if e, _ := methods.Lookup(m); e.Kind != methods.Search && (first < .3 || first > .32) {
			t.Errorf("%s: started at %.6f", m, first)
		}
		if !slices.Contains(stays, m) && last > (first+base)/2 || last > first {
			t.Errorf("%s: from %.6f to %.6f, %v", m, first, last, r["reason"])
		}
	}
}

// TestCleanMethods: with any method fewer wrong labels are kept than there are, by a clear margin, and the loss of the
// held-out rows is not above that of a model of all rows.
func TestCleanMethods(t *testing.T) {
	files(t, nil)
	for _, m := range methods.Names(methods.Exact, methods.FullBatch, methods.Sampled) {
		args := []string{"clean", "--set", "breast-cancer", "--corrupt", "0.4", "--seed", "1", "--method", m, "--json",
			"--quiet"}
		dear := m == "vrbo" // it has no time for a stretch, before which all rows are kept
		if dear {
			args = append(args, "--max-time", "300ms")
		}
		r := decode(t, mustCall(t, args...).stdout)
		n := r.number(t, "n_train")
		right := n - r.number(t, "corrupted")
		if r["timed_out"] != dear || r["method"] != m {
			t.Errorf("%s: %v, timed out %v", m, r["method"], r["timed_out"])
		}
		all := 2 * right / (n + right)
		if dear {
			if r.number(t, "f1") < all-1e-9 {
				t.Errorf("%s: F1 %.3f where keeping all rows has %.3f", m, r.number(t, "f1"), all)
			}
			continue
		}
		if r.number(t, "f1") < (1+all)/2 {
			t.Errorf("%s: F1 %.3f where keeping all rows has %.3f", m, r.number(t, "f1"), all)
		}
		if held, before := r.number(t, "held_out_loss"), r.number(t, "held_out_loss_before"); held > before &&
			!slices.Contains(stays, m) {
			t.Errorf("%s: the held-out loss is %.4f where that of all rows is %.4f", m, held, before)
		}
	}
}

// TestMethodsInterrupted: with any method Ctrl-C and --max-time leave the best point until then.
func TestMethodsInterrupted(t *testing.T) {
	files(t, nil)
	// One that passes over all rows, one of batches, an inner loop, a search.
	limited := []string{"bome", "vrbo", "vpbgd", "tpe"}
	for _, m := range methods.Names() {
		args := []string{"tune", "--reg", "feature", "--start", "0", "--method", m, "--json", "--quiet", "--out", m}
		if e, _ := methods.Lookup(m); !e.Fits(64) {
			args[2] = "shared"
		}
		ctx, cancel := context.WithCancel(context.Background())
		want, interrupted := exitInterrupted, true
		if slices.Contains(limited, m) {
			args = append(args, "--max-time", "200ms")
			want, interrupted = exitOK, false
		} else {
			time.AfterFunc(120*time.Millisecond, cancel)
		}
		var stdout, stderr bytes.Buffer
		code := run(ctx, args, strings.NewReader(""), &stdout, &stderr)
		cancel()
		if code != want {
			t.Fatalf("%s: exit code %d\n%s", m, code, stderr.String())
		}
		r := decode(t, stdout.String())
		if value, base := r.number(t, "value"), r.number(t, "baseline_value"); value > base*(1+1e-6) ||
			r["interrupted"] != interrupted || r["timed_out"] == interrupted {
			t.Errorf("%s: %.6f where the baseline has %.6f, interrupted %v, timed out %v",
				m, value, base, r["interrupted"], r["timed_out"])
		}
		if !exists(m + "/model.json") {
			t.Errorf("%s: no model", m)
		}
	}
}

// TestMethodErrors: a wrong name, and a method that does not do what is asked for, are wrong usage, and the message
// says what to take.
func TestMethodErrors(t *testing.T) {
	files(t, nil)
	for _, c := range []struct{ args, want string }{
		{"tune --method sabba", `--method "sabba": choose one of auto, amigo, bome,`},
		{"tune --method tpe --reg feature", `method "tpe": searches for at most 20 strengths, and feature has 64: ` +
			`choose a method that follows gradients, such as hoag`},
		{"tune --method grid --reg class", `method "grid": searches for at most 1`},
		{"clean --method sabba", `--method "sabba": choose one of auto, amigo, bome,`},
		{"clean --method tpe", `--method "tpe": is a search, which gets nowhere with a weight for every row: choose auto`},
		{"tune --method bome --reg l1", `--method "bome": with l1 choose descent or hoag`},
	} {
		o := call(t, strings.Fields(c.args)...)
		if o.code != exitUsage || !strings.Contains(o.stderr, c.want) || exists("bilevel-out") ||
			exists("bilevel-clean-out") {
			t.Errorf("%s: exit code %d, %s", c.args, o.code, o.stderr)
		}
	}
	o := mustCall(t, "tune", "--set", "breast-cancer", "--method", "grid")
	if want := "One strength per column was not tried: grid searches for at most 1."; !strings.Contains(o.stdout, want) {
		t.Errorf("%q is not in\n%s", want, o.stdout)
	}
	gradient := []methods.Kind{methods.Exact, methods.Sampled, methods.FullBatch}
	for command, kinds := range map[string][]methods.Kind{"tune": append(gradient, methods.Search), "clean": gradient} {
		help := strings.Join(strings.Fields(mustCall(t, command, "--help").stdout), " ")
		for _, k := range append(gradient, methods.Search) {
			names := strings.Join(strings.Fields(methods.Describe("", k)), " ")
			if in := strings.Contains(help, names); in != slices.Contains(kinds, k) {
				t.Errorf("are methods with %s in the help of %s? %t", k, command, in)
			}
		}
	}
}
