package methods_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/blackbox"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/methods"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/stochastic"
	"github.com/bilevel-go/bilevel/valuefn"
)

// saved is a short run with its checkpoint, from the beginning of its state to the end of the file.
type saved struct {
	name     string
	problem  *bilevel.Problem
	method   bilevel.Method
	evaluate bool
	state    []byte
}

const (
	magic      = "bilevel checkpoint 1\n"
	savedSteps = 12
)

// settings of a run of s whose checkpoint is file.
func (s *saved) settings(t testing.TB, file string) bilevel.Settings {
	t.Helper()
	set := bilevel.Settings{Seed: 1, RecordEvery: 1, Checkpoint: file, MaxSteps: savedSteps}
	if s.evaluate {
		e, err := hypergrad.NewEvaluator(s.problem, nil)
		if err != nil {
			t.Fatal(err)
		}
		set.Evaluator = e
	}
	return set
}

// save makes the run.
func (s *saved) save(t testing.TB, dir string) {
	t.Helper()
	file := filepath.Join(dir, "saved")
	if _, err := bilevel.Minimize(context.Background(), s.problem, s.method, s.settings(t, file)); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rest, ok := bytes.CutPrefix(data, []byte(magic))
	if sum := sha256.Sum256(rest[sha256.Size:]); !ok || !bytes.Equal(sum[:], rest[:sha256.Size]) {
		t.Fatal("a checkpoint is no longer its magic, a checksum and a state")
	}
	s.state = rest[sha256.Size:]
}

// resume goes on from state, with a checksum that fits, for a few steps. It must end with an error or with a result,
// having allocated no more than such a run takes.
func (s *saved) resume(t *testing.T, state []byte) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "forged")
	sum := sha256.Sum256(state)
	if err := os.WriteFile(file, slices.Concat([]byte(magic), sum[:], state), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	set := s.settings(t, file)
	set.Resume, set.MaxSteps = true, math.MaxInt64
	records := 0
	set.Recorder = bilevel.RecorderFunc(func(bilevel.Record, bilevel.Point) {
		if records++; records == 6 {
			cancel()
		}
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, err := bilevel.Minimize(ctx, s.problem, s.method, set)
	runtime.ReadMemStats(&after)
	if res == nil && err == nil {
		t.Errorf("%s: neither a result nor an error", s.name)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("%s: %d MB were allocated", s.name, n>>20)
	}
	return err
}

// Of a forgery, four bytes each say what becomes of a word of the state: its place from the end, what is done, and with
// what.
const forgery = 4

// forge makes changes to a copy of state.
func forge(state, changes []byte) []byte {
	out := bytes.Clone(state)
	for ; len(changes) >= forgery && len(out) >= 8; changes = changes[forgery:] {
		at := len(out) - 8*(1+int(binary.LittleEndian.Uint16(changes))%(len(out)/8))
		word := out[at : at+8]
		was, by := binary.LittleEndian.Uint64(word), changes[3]
		now := was
		switch changes[2] % 8 {
		case 0:
			now = was ^ 1<<(by%64)
		case 1:
			now = was + uint64(int8(by))
		case 2:
			now = -was
		case 3:
			now = uint64(int64(int8(by)))
		case 4:
			now = 1<<(by%64) - 1
		case 5:
			floats := []float64{0, 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.SmallestNonzeroFloat64, math.MaxFloat64,
				1e-300, 1e300, 1e17}
			now = math.Float64bits(floats[int(by)%len(floats)])
		case 6:
			out = slices.Delete(out, at, at+8)
			continue
		case 7:
			out = slices.Insert(out, at, word[:by%8+1]...)
			continue
		}
		binary.LittleEndian.PutUint64(word, now)
	}
	return out
}

// savedRuns are runs of all methods with their zero values, and of settings and problems that have more state.
func savedRuns(t testing.TB) []*saved {
	t.Helper()
	plain := problem(t, 40)
	sphere := *plain
	sphere.Lower, sphere.Upper = nil, nil
	sphere.Project = func(x []float64) {
		if r := math.Hypot(x[0], x[1]); r > 2 {
			x[0], x[1] = 2*x[0]/r, 2*x[1]/r
		}
	}
	free := *plain
	free.Lower, free.Upper = nil, nil
	var list []*saved
	add := func(name string, p *bilevel.Problem, m bilevel.Method) {
		list = append(list, &saved{name: name, problem: p, method: m})
	}
	for _, m := range methods.All() {
		add(m.Name, plain, m.Method)
		list[len(list)-1].evaluate = m.Kind != methods.Exact && m.Kind != methods.Search
	}
	// Many blocks, and what lasts from step to step.
	for _, m := range methods.All() {
		v := reflect.New(reflect.TypeOf(m.Method)).Elem()
		batch, shuffle := v.FieldByName("Batch"), v.FieldByName("Shuffle")
		if batch.IsValid() && shuffle.IsValid() {
			batch.SetInt(7)
			shuffle.SetBool(true)
			add(m.Name+" shuffled", plain, v.Interface().(bilevel.Method))
			add(m.Name+" weighing rows", weighed(t), v.Interface().(bilevel.Method))
		}
	}
	step := stochastic.Constant(.01)
	sid := hypergrad.SID{Batch: 7, InnerSteps: 5, LinearSteps: 5}
	staged := valuefn.MinimaxOPT{Batch: 7, InnerStep: .01, OuterStep: .01, Stages: 3, StageSteps: 5, Cosine: true,
		Floor:          .1,
		InnerOptimizer: hypergrad.Adam{}, OuterOptimizer: hypergrad.Momentum{}}
	for name, m := range map[string]bilevel.Method{
		"saba warm":      stochastic.SABA{Batch: 7, Warm: true, Clip: 3},
		"saba given":     stochastic.SABA{Batch: 1, InnerStep: step, OuterStep: step},
		"vrbo clipped":   stochastic.VRBO{Batch: 7, Clip: 1, Period: 3},
		"mrbo given":     stochastic.MRBO{Batch: 7, InnerStep: step, OuterStep: step},
		"hoag adaptive":  hypergrad.HOAG{Step: hypergrad.Adaptive},
		"descent by itd": hypergrad.Descent{Estimator: hypergrad.ITD{}, Optimizer: hypergrad.Momentum{}},
		"descent by sid": hypergrad.Descent{Estimator: sid, Optimizer: hypergrad.Adam{}, ColdStart: true,
			ColdAdjoint: true},
		"descent given":       hypergrad.Descent{Step: .1, InnerSteps: hypergrad.Schedule{}},
		"penalty given":       hypergrad.Penalty{InnerStep: 1e-3, OuterStep: 1e-3, Gamma: 10, Lambda: .1, Epsilon: 1},
		"minimaxopt staged":   staged,
		"bome with momentum":  valuefn.BOME{Momentum: .5, Control: valuefn.GapControl, InnerStep: step, OuterStep: step},
		"grid of the product": blackbox.Grid{Product: true, Points: 3}, "tpe at once": blackbox.TPE{Startup: 4},
	} {
		add(name, plain, m)
	}
	for name, m := range map[string]bilevel.Method{
		"hoag": hypergrad.HOAG{}, "descent": hypergrad.Descent{}, "saba": stochastic.SABA{Batch: 7}, "bome": valuefn.BOME{},
	} {
		add(name+" on a disc", &sphere, m)
		add(name+" without bounds", &free, m)
	}
	for name, m := range map[string]bilevel.Method{
		"soba": stochastic.SOBA{Batch: 7, Support: true, Shuffle: true}, "saba": stochastic.SABA{Batch: 7, Support: true},
	} {
		add(name+" on sparse rows", sparse(t, model.PerFeature), m)
		add(name+" on sparse rows, shared", sparse(t, model.Shared), m)
	}
	slices.SortFunc(list, func(a, b *saved) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	dir := t.TempDir()
	for _, s := range list {
		s.save(t, dir)
	}
	return list
}

// weighed is a problem with a weight for each row.
func weighed(t testing.TB) *bilevel.Problem {
	t.Helper()
	const n = 30
	rng := rand.New(rand.NewPCG(3, 4))
	loss := func(p int) *model.Loss {
		a, y := rows.NewDense(n, 3), make([]int, n)
		for i := range y {
			for j := range a.Row(i) {
				a.Row(i)[j] = rng.NormFloat64()
			}
			y[i] = rng.IntN(3)
		}
		l, err := model.NewSoftmax(a, y, 3, p)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	c, err := model.NewCleaning(loss(n), model.CleaningOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &bilevel.Problem{Inner: c, Outer: loss(n)}
}

// sparse is a problem with sparse rows.
func sparse(t testing.TB, kind model.Strengths) *bilevel.Problem {
	t.Helper()
	const n, d = 30, 20
	rng := rand.New(rand.NewPCG(5, 6))
	p := 1
	if kind == model.PerFeature {
		p = d
	}
	loss := func() *model.Loss {
		a, y := &rows.CSR{N: n, D: d, Ptr: []int{0}}, make([]float64, n)
		for i := range y {
			first := rng.IntN(d - 3)
			for j := range 3 {
				a.Idx, a.Val = append(a.Idx, int32(first+j)), append(a.Val, rng.NormFloat64())
			}
			a.Ptr = append(a.Ptr, len(a.Idx))
			y[i] = math.Copysign(1, rng.NormFloat64())
		}
		l, err := model.NewLogistic(a, y, p)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	train := loss()
	pen, err := model.NewPenalty(train.Layout(), kind, model.PenaltyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := model.Regularize(train, pen)
	if err != nil {
		t.Fatal(err)
	}
	return &bilevel.Problem{Inner: g, Outer: loss()}
}

// TestForgedCheckpoints: a run whose checkpoint was changed, with a checksum that fits, ends with an error or goes on.
func TestForgedCheckpoints(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range savedRuns(t) {
		for range 20 {
			changes := make([]byte, forgery)
			for i := range changes {
				changes[i] = byte(rng.Uint32())
			}
			t.Run(s.name, func(t *testing.T) { _ = s.resume(t, forge(s.state, changes)) })
		}
	}
}

// TestRefusedCheckpoints: numbers that cannot be are refused by name. at is the place of a word from the end of the
// state; was says what stands there, so that a place that has moved is noticed.
func TestRefusedCheckpoints(t *testing.T) {
	whole := func(least, most int64) func(uint64) bool {
		return func(u uint64) bool { return int64(u) >= least && int64(u) <= most }
	}
	number := func(least, most float64) func(uint64) bool {
		return func(u uint64) bool { return math.Float64frombits(u) >= least && math.Float64frombits(u) <= most }
	}
	nan := math.Float64bits(math.NaN())
	all := map[string]*saved{}
	for _, s := range savedRuns(t) {
		all[s.name] = s
	}
	// The driver's part is at the beginning: an identity, a sample of the data, and the steps.
	step := func(s *saved) int {
		at := 16 + int(binary.LittleEndian.Uint64(s.state[8:]))
		at += 8 + 8*int(binary.LittleEndian.Uint64(s.state[at:]))
		return (len(s.state)-at)/8 - 1
	}
	for _, c := range []struct {
		run, what string
		at        int
		was       func(uint64) bool
		is        uint64
		want      string
	}{
		{"soba", "steps", step(all["soba"]), whole(savedSteps, savedSteps), 1 << 60, "where 0 …"},
		{"soba", "steps", step(all["soba"]), whole(savedSteps, savedSteps), 3, "record 5 of the checkpoint is of step 4"},
		{"grid", "next candidate", 0, whole(savedSteps, savedSteps), 26, "26 where 0 … 25"},
		{"tpe", "last coordinate", 0, number(-6, 3), math.Float64bits(3.5), "outside the box"},
		{"penalty", "automatic outer step", 10, number(0, 0), math.Float64bits(1), "the step size 1"},
		{"penalty given", "outer step", 8, number(1e-9, 1e-3), 0, "the step size 0"},
		{"minimaxopt", "stage", 2, whole(0, 0), 7, "7 where 0 … 6"},
		{"hoag", "held pairs", 61, whole(1, 10), 11, "11 where 0 … 10"},
		{"hoag", "tolerance", 87, number(1e-15, 1e-3), nan, "the tolerance NaN"},
	} {
		s := all[c.run]
		state := bytes.Clone(s.state)
		word := state[len(state)-8*(c.at+1):][:8]
		if !c.was(binary.LittleEndian.Uint64(word)) {
			t.Errorf("%s: %s has moved: %x is at its place", c.run, c.what, word)
			continue
		}
		binary.LittleEndian.PutUint64(word, c.is)
		if err := s.resume(t, state); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %s of %x: %v", c.run, c.what, c.is, err)
		}
	}
}

func FuzzCheckpoint(f *testing.F) {
	all := savedRuns(f)
	for i := range all {
		f.Add(byte(i), []byte{byte(17 * i), 0, 3, 255})
	}
	f.Fuzz(func(t *testing.T, which byte, changes []byte) {
		if len(changes) > 8*forgery {
			return
		}
		s := all[int(which)%len(all)]
		_ = s.resume(t, forge(s.state, changes))
	})
}
