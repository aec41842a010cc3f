package bench

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/stochastic"
)

func TestGrid(t *testing.T) {
	c, err := ParseConfig("f.yaml", []byte(`
name: grid
problems:
  - {problem: quadratic, name: small, inner: 5, outer: [2, 3], terms: 64, validation: 64}
  - {problem: quadratic, budget: {samples: 100}}
methods:
  - method: saba
    params: {batch: [1, 64], inner: {size: [0.1, 1], decay: 0.5}, shuffle: true}
  - {name: best, method: hoag}
seeds: [3, 7]
budget: {time: 1500ms, steps: 10}
records: {per-decade: 3, kkt: 7}
`))
	if err != nil {
		t.Fatal(err)
	}
	if want := 3 * (4 + 1) * 2; len(c.Tasks) != want {
		t.Fatalf("%d runs, want %d", len(c.Tasks), want)
	}
	var lines []string
	for _, k := range c.Tasks[:10] {
		lines = append(lines, fmt.Sprintf("%s/%s/%s/%d", k.Problem, k.Method, k.Params, k.Seed))
	}
	small := "small inner=5 outer=2 terms=64 validation=64"
	want := []string{}
	for _, m := range []string{
		`saba/{"batch":1,"inner":{"decay":0.5,"size":0.1},"shuffle":true}`,
		`saba/{"batch":1,"inner":{"decay":0.5,"size":1},"shuffle":true}`,
		`saba/{"batch":64,"inner":{"decay":0.5,"size":0.1},"shuffle":true}`,
		`saba/{"batch":64,"inner":{"decay":0.5,"size":1},"shuffle":true}`,
		`best/{}`,
	} {
		for _, seed := range []int{3, 7} {
			want = append(want, fmt.Sprintf("%s/%s/%d", small, m, seed))
		}
	}
	if !slices.Equal(lines, want) {
		t.Errorf("the runs are\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	first, last := c.Tasks[0], c.Tasks[len(c.Tasks)-1]
	if first.Budget != (Budget{Seconds: 1.5, Steps: 10}) || last.Budget != (Budget{Samples: 100}) ||
		last.Problem != "quadratic" || first.PerDecade != 3 || first.KKT != 7 {
		t.Errorf("%+v, %+v", first, last)
	}
	keys := map[string]bool{}
	for _, k := range c.Tasks {
		keys[k.file()] = true
	}
	if len(keys) != len(c.Tasks) {
		t.Errorf("%d names of files for %d runs", len(keys), len(c.Tasks))
	}
}

// oneMethod is a bench file up to its only method.
const oneMethod = "name: a\nproblems: [{problem: quadratic}]\nbudget: {steps: 1}\nmethods:\n  - "

// The same runs, written in another order and called differently, are the same runs.
func TestKeys(t *testing.T) {
	parse := func(text string) Task {
		c, err := ParseConfig("f", []byte(oneMethod+text))
		if err != nil {
			t.Fatal(err)
		}
		return c.Tasks[0]
	}
	a := parse("{method: saba, params: {batch: 8, inner: 1e-1, ratio: 1}}")
	if b := parse("{name: other, method: saba, params: {ratio: 1.0, inner: 0.1, batch: 8}}"); a.file() != b.file() {
		t.Errorf("%s and %s", a.file(), b.file())
	}
	for _, other := range []string{"{method: saba, params: {batch: 8, inner: 0.2, ratio: 1}}",
		"{method: soba, params: {batch: 8, inner: 0.1, ratio: 1}}"} {
		if b := parse(other); a.file() == b.file() {
			t.Errorf("%s is %s", other, b.file())
		}
	}
}

// What a task carries as JSON gives the method of the file, exponents and all.
func TestParameters(t *testing.T) {
	for text, want := range map[string]any{
		"{method: saba, params: {batch: 8, inner: 1e-7, ratio: 0.5, clip: 2, warm: true}}": stochastic.SABA{Batch: 8,
			InnerStep: stochastic.Constant(1e-7), OuterStep: stochastic.Constant(2e-7), Clip: 2, Warm: true},
		"{method: ttsa, params: {inner: {size: 0.5, decay: 0.4}, outer: {decay: 0.6}, " +
			"ratio: 0.1, neumann: inner}}": stochastic.TTSA{
			InnerStep: stochastic.Decaying(.5, .4), OuterStep: stochastic.Decaying(.5/.1, .6), Neumann: stochastic.Constant(.5)},
		"{method: bsa, params: {inner: {size: 0.5, decay: 0.5}, ratio: 2, inner-steps: 3}}": stochastic.BSA{
			InnerStep: stochastic.Decaying(.5, .5), OuterStep: stochastic.Decaying(.25, .5), InnerSteps: 3},
		"{method: soba, params: {inner: auto, outer: {size: 2}}}": stochastic.SOBA{OuterStep: stochastic.Constant(2)},
		"{method: hoag, params: {tolerance: cubic, step: adaptive, first-tolerance: 1e-2, memory: 5}}": hypergrad.HOAG{
			Tolerance: hypergrad.Cubic, Step: hypergrad.Adaptive, FirstTolerance: 1e-2, Memory: 5},
		"{method: descent, params: {step: 2, inner-steps: {base: 4}, " +
			"estimator: {aid: {inner: {gd: {step: 0.5}}}}, optimizer: adam}}": hypergrad.Descent{
			Step: 2, InnerSteps: hypergrad.Constant(4), Optimizer: hypergrad.Adam{},
			Estimator: hypergrad.AID{Inner: inner.GradientDescent{Step: .5}}},
	} {
		c, err := ParseConfig("f", []byte(oneMethod+text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		v, err := parse(c.Tasks[0].Params)
		if err != nil {
			t.Fatal(err)
		}
		got, err := configure(prototypes[c.Tasks[0].Algorithm], v, "it")
		if err != nil || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
			t.Errorf("%s is\n%#v, %v, want\n%#v", text, got, err, want)
		}
	}
}

// Errors name file, line and column, and what there is to choose from.
func TestConfigErrors(t *testing.T) {
	const head = "name: a\nbudget: {steps: 1}\nproblems:\n  - problem: quadratic\nmethods:\n  - "
	const ten = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"
	const rate = "{size: " + ten + ", decay: " + ten + "}"
	for _, c := range []struct{ text, want string }{
		{head + "method: saba\n    params: {clip: " + ten + ", inner: " + rate + ", outer: " + rate + ", batch: " + ten + "}",
			"f.yaml:7:14: saba is a grid of more than 100000"},
		{head + "method: saba\n    params: {clip: " + ten + "}\nseeds: 10001",
			"f.yaml:1:1: 100010 runs, more than 100000, are too many"},
		{head + "method: saba\nseeds: 100001", "f.yaml:7:8: 100001 seeds are too many"},
		{"", "f.yaml: there is nothing in it"},
		{"name: a\n", "f.yaml:1:1: a bench file needs the key problems"},
		{"3", "f.yaml:1:1: a bench file must be keys and values, not 3"},
		{"name: a\nname: b\n", "f.yaml:2:1: "},
		{"name: [a\n", "f.yaml:1:7: "},
		{head + "method: saba\nseed: 3",
			`f.yaml:7:1: unknown key "seed": a bench file has budget, methods, name, problems, records, seeds`},
		{head + "method: sabba", `f.yaml:6:13: no method is called "sabba": there are amigo, bome, bsa,`},
		{head + "methode: saba", "f.yaml:6:5: an item of methods needs the key method"},
		{head + "method: saba\n    param: 1", `f.yaml:7:5: unknown key "param": an item of methods has method, name, params`},
		{head + "method: saba\n    params: 1", "f.yaml:7:13: params must be keys and values, not 1"},
		{head + "method: saba\n    params: {batches: 1}",
			`f.yaml:7:14: unknown key "batches": saba has batch, clip, inner, outer, ratio, shuffle, support, warm`},
		{head + "method: saba\n    params: {batch: many}", `f.yaml:7:21: batch is a whole number, not "many"`},
		{head + "method: saba\n    params: {batch: [1, 1.5]}", `f.yaml:7:25: batch is a whole number, not 1.5`},
		{head + "method: saba\n    params: {shuffle: 1}", `f.yaml:7:23: shuffle is true or false, not 1`},
		{head + "method: saba\n    params: {clip: [a]}", `f.yaml:7:21: clip is a number, not "a"`},
		{head + "method: saba\n    params: {inner: fast}",
			`f.yaml:7:21: inner is a number above zero, auto, or {size: 0.1, decay: 0.5}, not "fast"`},
		{head + "method: saba\n    params: {inner: -1}", `f.yaml:7:21: inner has the size -1`},
		{head + "method: saba\n    params: {inner: {sise: 1}}", `f.yaml:7:22: unknown key "sise": inner has decay, size`},
		{head + "method: saba\n    params: {ratio: 1}", `f.yaml:7:14: ratio needs an inner step size`},
		{head + "method: saba\n    params: {inner: 1, outer: 1, ratio: 1}",
			`f.yaml:7:34: ratio and a size of outer are both set`},
		{head + "method: saba\n    params: {inner: 1, ratio: 0}", `f.yaml:7:31: ratio is a number above zero, not 0`},
		{head + "method: hoag\n    params: {tolerance: quartic}",
			`f.yaml:7:25: tolerance is one of auto, exponential, quadratic, cubic, not "quartic"`},
		{head + "method: hoag\n    params: {estimator: none}", `f.yaml:7:25: estimator is one of aid, itd, sid, not "none"`},
		{head + "method: hoag\n    params: {estimator: 3}", `f.yaml:7:25: estimator is one of aid, itd, sid, alone or as in`},
		{head + "method: saba\n  - method: saba", `f.yaml:7:5: saba  on quadratic is there twice`},
		{"name: a\nproblems: [{problem: quadratic}]\nmethods: [{method: saba}]", "f.yaml:2:13: quadratic has no budget"},
		{"name: a\nbudget: {}\nproblems: [{problem: quadratic}]\nmethods: [{method: saba}]",
			"f.yaml:2:9: budget is at least one of"},
		{"name: a\nbudget: {time: 10}\nproblems: [{problem: quadratic}]\nmethods: [{method: saba}]",
			"f.yaml:2:16: time is a time such as"},
		{"name: a\nbudget: {steps: 0}\nproblems: [{problem: quadratic}]\nmethods: [{method: saba}]",
			"f.yaml:2:17: steps is 0; it must be at least 1"},
		{"name: a\nbudget: {second: 1}\nproblems: [{problem: quadratic}]\nmethods: [{method: saba}]",
			`f.yaml:2:10: unknown key "second": budget has samples, steps, time`},
		{"name: a\nbudget: {steps: 1}\nproblems: [{problem: qadratic}]\nmethods: [{method: saba}]",
			`f.yaml:3:22: no problem is called "qadratic": there are`},
		{"name: a\nbudget: {steps: 1}\nproblems: [{problem: quadratic, n: 3}]\nmethods: [{method: saba}]",
			`f.yaml:3:33: unknown key "n": quadratic has inner, outer, seed, terms, validation`},
		{"name: a\nbudget: {steps: 1}\nproblems: {problem: quadratic}\nmethods: [{method: saba}]",
			`f.yaml:3:12: problems must be a list, not a map`},
		{"name: a\nbudget: {steps: 1}\nproblems: []\nmethods: [{method: saba}]", `f.yaml:3:11: there are no problems`},
		{"name: a\nseeds: 0\nbudget: {steps: 1}\nproblems: [{problem: quadratic}]\nmethods: [{method: saba}]",
			`f.yaml:2:8: seeds, a list of seeds or their number, is 0; it must be at least 1`},
		{"name: a\nseeds: [-1]\nbudget: {steps: 1}\nproblems: [{problem: quadratic}]\nmethods: [{method: saba}]",
			`f.yaml:2:9: a seed is -1`},
		{"name: a\nrecords: {per-decade: 0}\nbudget: {steps: 1}\nproblems: [{problem: quadratic}]\nmethods: [{method: saba}]",
			`f.yaml:2:23: per-decade is 0`},
		{"name: a\nrecords: {kkt: 20000}\nbudget: {steps: 1}\nproblems: [{problem: quadratic}]\nmethods: [{method: saba}]",
			`f.yaml:2:16: kkt is 20000; it must be at most 10000`},
		{"name: a\nrecords: {lkt: 2}\nbudget: {steps: 1}\nproblems: [{problem: quadratic}]\nmethods: [{method: saba}]",
			`f.yaml:2:11: unknown key "lkt": records has kkt, per-decade`},
		{"name: a\nbudget: {steps: 1}\nproblems: [{problem: quadratic}]\nmethods: [&x {method: saba}]",
			`a bench file has no anchor`},
		{"name: 3\nbudget: {steps: 1}\nproblems: [{problem: quadratic}]\nmethods: [{method: saba}]",
			`f.yaml:1:7: name is a text, not 3`},
		{"name: a\nbudget: {steps: 1}\nproblems: [{problem: quadratic}]\nmethods: [{method: saba}]\n---\nname: b",
			`a second document`},
		{"name: a\nbudget: {steps: 99999999999999999999}\nproblems: [{problem: quadratic}]\nmethods: [{method: saba}]",
			`f.yaml:2:17: `},
		{"name: a\nbudget: {steps: 1}\nproblems: [{problem: quadratic, seed: [1, 1]}]\n" +
			"methods: [{method: saba}, {method: x}]",
			`f.yaml:4:36: no method is called "x"`},
	} {
		_, err := ParseConfig("f.yaml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\n  is %v\n  want %s", c.text, err, c.want)
		}
	}
	if _, err := ReadConfig("nowhere.yaml"); err == nil ||
		!strings.Contains(err.Error(), "nowhere.yaml: there is no such file, nor is it a ready one: those are") {
		t.Error(err)
	}
	if _, err := ReadConfig(t.TempDir()); err == nil || !strings.Contains(err.Error(), "this is a folder") {
		t.Error(err)
	}
}

// Every ready file can be read, and is called as its file.
func TestReady(t *testing.T) {
	if len(Ready()) < 4 {
		t.Errorf("ready files: %v", Ready())
	}
	for _, name := range Ready() {
		c, err := ReadConfig(name)
		if err != nil {
			t.Error(err)
			continue
		}
		seeds := map[uint64]bool{}
		for _, k := range c.Tasks {
			seeds[k.Seed] = true
		}
		single := name == "smoke" || strings.HasSuffix(name, "-grid") || strings.HasPrefix(name, "bome-") // they say so
		if c.Name != name || !single && len(seeds) < FewSeeds {
			t.Errorf("%s is called %s and has %d seeds", name, c.Name, len(seeds))
		}
	}
	for _, name := range []string{"bome-cleaning", "bome-20news"} {
		if !slices.Contains(Ready(), name) {
			t.Errorf("%s is not a ready file", name)
		}
	}
	if _, err := ReadyFile("none"); err == nil {
		t.Error("a ready file that is not there")
	}
}

// The registry describes itself.
func TestRegistry(t *testing.T) {
	list := Methods()
	i := slices.IndexFunc(list, func(e Entry) bool { return e.Name == "saba" })
	var names []string
	for _, p := range list[i].Parameters {
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "batch inner outer shuffle clip warm support ratio" {
		t.Errorf("parameters of saba: %s", got)
	}
	for _, p := range Problems() {
		if p.About == "" {
			t.Errorf("%s says nothing of itself", p.Name)
		}
	}
	for in, want := range map[string]string{"FirstTolerance": "first-tolerance", "Q": "q", "InnerSteps": "inner-steps",
		"MaxIter": "max-iter", "Z0": "z0", "UseTPENow": "use-tpe-now"} {
		if got := hyphenate(in); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
}

func TestShare(t *testing.T) {
	c, err := ReadConfig("smoke")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 4, 7, len(c.Tasks), len(c.Tasks) + 3} {
		seen := map[string]int{}
		for i := range n {
			for _, k := range Share(c.Tasks, i, n) {
				seen[k.key()]++
			}
		}
		for _, k := range c.Tasks {
			if seen[k.key()] != 1 {
				t.Errorf("%d shares: a run is in %d of them", n, seen[k.key()])
			}
		}
		if len(seen) != len(c.Tasks) {
			t.Errorf("%d shares hold %d of %d runs", n, len(seen), len(c.Tasks))
		}
	}
}

// A YAML list of methods that is printed is read as what it was.
func TestFlow(t *testing.T) {
	const text = `{"batch":64,"inner":{"decay":0.5,"size":1e-7},"list":[1,"a b",null,true]}`
	const want = `{batch: 64, inner: {decay: 0.5, size: 1e-07}, list: [1, "a b", null, true]}`
	if got := flow(json.RawMessage(text)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	v, err := parse([]byte(flow(json.RawMessage(text))))
	if err != nil || string(canonical(v)) != text {
		t.Errorf("%s, %v", canonical(v), err)
	}
}
