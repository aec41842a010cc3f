package tune

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/jsonwords"
	"github.com/bilevel-go/bilevel/internal/outfile"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/nystrom"
	"github.com/bilevel-go/bilevel/rows"
)

const (
	modelFormat  = "bilevel-model"
	modelVersion = 1
)

// Model is a fitted linear model and how it was obtained. It is plain data, kept as JSON.
//
// The score of a row a is intercept + Σ_j weights[j]·(a_j − mean_j)/scale_j, without the scaler intercept +
// Σ_j weights[j]·a_j. It is the prediction of a ridge model; a logistic model has P(Classes[1]) =
// 1/(1 + e^{−score}), and a softmax model has one score per class, P(class) ∝ e^score. A poisson model predicts
// e^score, and a squared-hinge model Classes[1] where the score is above zero.
type Model struct {
	Format  string `json:"format"`  // "bilevel-model"
	Version int    `json:"version"` // 1
	Task    Task   `json:"task"`

	Classes []string `json:"classes,omitempty"` // in order; nil for ridge
	// names; nil for documents, whose words Schema has, and for more than 1<<16 without names
	Features     []string       `json:"features,omitempty"`
	Coefficients []Coefficients `json:"coefficients"`
	HasIntercept bool           `json:"has_intercept"`
	// Kernel adds to the scores of scaled features; nil for a linear model.
	Kernel *nystrom.Part   `json:"kernel,omitempty"`
	Scaler *dataset.Scaler `json:"scaler"` // nil where features are not scaled
	// Schema reads other files into the same features: pass it as dataset.Options.Like. It is nil for rows that
	// have none.
	Schema *dataset.Schema `json:"schema"`

	// Delta is that of Huber's loss, in the units of the target; 0 for other models.
	Delta float64 `json:"delta,omitempty"`
	// ClassWeights are what training rows counted by; nil where classes counted alike. Unless they were learned, the
	// probabilities of the model are those of rows that count so.
	ClassWeights *ClassWeights `json:"class_weights,omitempty"`
	// Costs are those of taking a row of each class for another: predictions have the least expected cost. Without costs
	// they are the most probable classes.
	Costs []float64 `json:"costs,omitempty"`

	Penalty  Penalty  `json:"penalty"`
	Obtained Obtained `json:"obtained"`
}

// Coefficients are the weights of one score.
type Coefficients struct {
	Class     string    `json:"class,omitempty"` // the class that the score speaks for; "" for ridge
	Intercept float64   `json:"intercept"`
	Weights   []float64 `json:"weights"` // one per feature, of scaled features where there is a scaler
}

// Penalty is what the coefficients were regularised with: ½ Σ s z², for the kinds with an ℓ1 norm Σ s|z|, and for the
// elastic net both; s = e^x or x. The intercept has none. That of a ridge or Huber model acts on a target of unit
// variance, and that of a Poisson model on counts of mean one where there is an intercept, so that s does not depend on
// the target's units.
type Penalty struct {
	Kind      Reg        `json:"kind"`
	Param     Param      `json:"parametrisation"`
	Box       Box        `json:"box"`
	Strengths []Strength `json:"strengths"`
}

// Strength is one learned strength.
type Strength struct {
	// Name is that of the feature or class, "class: feature" for a strength of both, "all" for a shared one;
	// "|z|" and "z²" for the two of an elastic net.
	Name string  `json:"name"`
	X    float64 `json:"x"`
	// Value is what multiplies ½z² or |z|: e^X or X.
	Value float64 `json:"value"`
}

// Obtained says how a model was learned.
type Obtained struct {
	Library           string   `json:"library"` // version
	Method            Method   `json:"method"`
	Seed              uint64   `json:"seed"`
	Start             string   `json:"start"`
	Folds             int      `json:"folds,omitempty"`
	Times             int      `json:"times,omitempty"` // that the rows were divided into folds
	Refitted          bool     `json:"refitted,omitempty"`
	TrainRows         int      `json:"train_rows"`
	ValidationRows    int      `json:"validation_rows"`
	ValidationLoss    float64  `json:"validation_loss"`
	GradNorm          *float64 `json:"grad_norm"` // nil for unknown
	BaselineX         float64  `json:"baseline_x"`
	BaselineLoss      float64  `json:"baseline_validation_loss"`
	Steps             int64    `json:"steps"`
	Seconds           float64  `json:"seconds"`
	Reason            string   `json:"reason"`
	Interrupted       bool     `json:"interrupted,omitempty"`
	TimedOut          bool     `json:"timed_out,omitempty"`
	BaselineWasBetter bool     `json:"baseline_was_better,omitempty"`
	Mix               []Part   `json:"mix,omitempty"` // sources of training rows, of package mix
}

// model is the model with coefficients z and strengths x of q.
func (f *fit) model(q *problem, kind Reg, x, z []float64) (*Model, error) {
	m := &Model{
		Format: modelFormat, Version: modelVersion, Task: f.loss.task,
		Classes: f.classes, Features: f.features, Schema: f.schema, Scaler: f.scaler, HasIntercept: f.intercept,
		Delta: f.loss.delta, ClassWeights: f.classWeights, Costs: f.costs,
		Penalty: Penalty{Kind: kind, Param: f.o.Param, Box: Box{q.Lower[0], q.Upper[0]}, Strengths: make([]Strength, len(x))},
	}
	if isText(f.schema) {
		m.Features = nil
	}
	value := make([]float64, len(x))
	q.strengths(value, x)
	terms := q.terms()
	for c := range f.scores {
		w := Coefficients{Class: f.loss.class(f.classes, c), Weights: make([]float64, f.d)}
		for j := range f.d {
			i := q.layout.Index(c, j)
			w.Weights[j] = f.units.t.unit * z[i]
			for _, t := range terms {
				if s := t.Strength(i); m.Penalty.Strengths[s].Name == "" {
					m.Penalty.Strengths[s] = Strength{f.strengthName(kind, s, c, j), x[s], value[s]}
				}
			}
		}
		if f.intercept {
			w.Intercept = f.units.t.at(z[q.layout.Index(c, f.d)])
		}
		m.Coefficients = append(m.Coefficients, w)
	}
	return m, nil
}

// featureName is the name of a feature, or its number where it has none.
func (f *fit) featureName(j int) string {
	if f.features != nil {
		return f.features[j]
	}
	return fmt.Sprintf("f%d", j+1)
}

// obtained fills in how m was learned.
func (m *Model) obtained(r *Result, f *fit) {
	var norm *float64
	if !math.IsNaN(r.GradNorm) {
		norm = &r.GradNorm
	}
	m.Obtained = Obtained{
		Library: Version(), Method: f.method(), Seed: f.o.Seed, Start: f.o.Start,
		Folds: f.main.folds() / max(f.main.times, 1), Times: f.main.times, Refitted: r.Refitted,
		TrainRows: r.NTrain, ValidationRows: r.NVal, ValidationLoss: r.Value, GradNorm: norm,
		BaselineX: r.BaselineX, BaselineLoss: r.BaselineValue, Steps: r.Steps, Seconds: r.Seconds, Reason: r.Reason,
		Interrupted: r.Interrupted, TimedOut: r.TimedOut, BaselineWasBetter: r.BaselineWon,
	}
}

// Save writes m as JSON to path. A reader finds the old file or the new one, never a part.
func (m *Model) Save(path string) error {
	data, err := m.JSON()
	if err != nil {
		return err
	}
	outfile.Sweep(filepath.Dir(path))
	return outfile.Write(path, data)
}

// JSON is m as Save writes it: with a line for each number, unless there are very many.
func (m *Model) JSON() ([]byte, error) {
	write := json.Marshal
	if m.Dim()*len(m.Coefficients) <= manyCoefficients {
		write = func(v any) ([]byte, error) { return json.MarshalIndent(v, "", " ") }
	}
	data, err := write(m)
	if err != nil {
		return nil, fmt.Errorf("tune: writing the model: %w", err)
	}
	return append(data, '\n'), nil
}

// jsonFactor is what a byte of a model file takes in memory while it is read, at most.
const jsonFactor = 32

// Load reads a model and checks it. An error about the file is a [*dataset.Error].
func Load(path string) (*Model, error) { return LoadWithin(path, nil) }

// LoadWithin is Load within a bound of memory; nil is dataset.NewMemory(0).
func LoadWithin(path string, memory *dataset.Memory) (*Model, error) {
	fail := func(line int, hint, format string, args ...any) (*Model, error) {
		return nil, &dataset.Error{File: path, Line: line, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	const hint = "give the model.json of bilevel tune"
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail(0, hint, "there is no such file")
	case err == nil && info.IsDir():
		return fail(0, hint, "this is a folder")
	}
	data, err := dataset.ReadWithin(path, memory, jsonFactor)
	if err != nil {
		return nil, err
	}
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		line, err := jsonwords.Explain(data, err)
		return fail(line, hint, "this is no model: %w", err)
	}
	switch {
	case head.Format != modelFormat:
		return fail(0, hint, "this is JSON, but no model: its \"format\" is %q and not %q", head.Format, modelFormat)
	case head.Version != modelVersion:
		return fail(0, "use the version of bilevel that wrote it", "this is a model of version %d, and this program reads "+
			"version %d", head.Version, modelVersion)
	}
	m, line := &Model{}, 0
	err = json.Unmarshal(data, m)
	if err != nil {
		line, err = jsonwords.Explain(data, err)
	} else if err = checkKeys(data); err == nil {
		if err = m.Check(); err == nil {
			err = m.checkStored()
		}
	}
	if err != nil {
		return fail(line, "fit the model again", "this model is damaged: %w", err)
	}
	return m, nil
}

// checkKeys reports a key that every model has and this one lacks, and a null where none belongs: both would
// count as zero.
func checkKeys(data []byte) error {
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		_, err = jsonwords.Explain(data, err)
		return err
	}
	for _, key := range []string{"task", "coefficients", "has_intercept", "scaler", "schema", "penalty", "obtained"} {
		if _, ok := m[key]; !ok {
			return fmt.Errorf("%q is missing", key)
		}
	}
	coefficients, _ := m["coefficients"].([]any)
	for i, c := range coefficients {
		if c, ok := c.(map[string]any); ok {
			for _, key := range []string{"intercept", "weights"} {
				if _, ok := c[key]; !ok {
					return fmt.Errorf("\"coefficients[%d].%s\" is missing", i, key)
				}
			}
		}
	}
	if penalty, ok := m["penalty"].(map[string]any); ok {
		if _, ok := penalty["strengths"]; !ok {
			return errors.New("\"penalty.strengths\" is missing")
		}
	}
	if at := findNull(m, ""); at != "" {
		return fmt.Errorf("%q is null", at)
	}
	return nil
}

// findNull is the place of a null that does not belong there, "" if there is none.
func findNull(v any, at string) string {
	switch v := v.(type) {
	case nil:
		if at != "scaler" && at != "schema" && at != "obtained.grad_norm" {
			return at
		}
	case []any:
		for i, e := range v {
			if e == nil {
				return fmt.Sprintf("%s[%d]", at, i)
			}
			switch e.(type) { // a path for each number would be slow
			case []any, map[string]any:
				if p := findNull(e, fmt.Sprintf("%s[%d]", at, i)); p != "" {
					return p
				}
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			path := key
			if at != "" {
				path = at + "." + key
			}
			if p := findNull(v[key], path); p != "" {
				return p
			}
		}
	}
	return ""
}

// checkStored reports what a saved model always has and a model made otherwise need not have.
func (m *Model) checkStored() error {
	for k, c := range m.Coefficients {
		if want := m.Task.entry().class(m.Classes, k); c.Class != want {
			return fmt.Errorf("list %d of weights is of the class %q and not %q", k+1, c.Class, want)
		}
		if !m.HasIntercept && c.Intercept != 0 {
			return fmt.Errorf("the intercept is %v in a model without one", c.Intercept)
		}
	}
	s := m.Schema
	if s == nil {
		return nil
	}
	if s.Classes != nil && !slices.Equal(s.Classes, m.Classes) {
		return errors.New("the classes of the schema are not those of the model")
	}
	if s.Columns != nil && m.Features == nil {
		return errors.New("the feature names are missing")
	}
	return nil
}

// loss is what m was fitted with.
func (m *Model) loss() *loss {
	l := *m.Task.entry()
	l.delta = m.Delta
	l.classWeights(m.ClassWeights, m.Costs)
	return &l
}

// Bend is the first two derivatives of the loss of a row with the label y by its score, for models with one score a
// row; nil for others. y is the index of a class, or a value.
func (m *Model) Bend() func(score, y float64) (slope, curvature float64) {
	l := m.loss()
	if l.bend == nil {
		return nil
	}
	return func(score, y float64) (slope, curvature float64) { return l.bend(l, score, y) }
}

// RowWeights are what the training rows of s, whose labels are indices of the model's classes or values, counted by in
// the training loss, with the mean one; nil where all counted alike.
func (m *Model) RowWeights(s *dataset.Set) []float64 {
	l := m.loss()
	if m.ClassWeights != nil {
		l.weights = m.ClassWeights.Weights
	}
	w := l.rowWeights(s.Y, s.Weights)
	return meanOne(w, w)
}

// checkLoss reports what is wrong with the parameters of the loss.
func (m *Model) checkLoss() error {
	above := func(what string, v []float64) error {
		if len(v) != len(m.Classes) {
			return fmt.Errorf("%d %s of %d classes", len(v), what, len(m.Classes))
		}
		for _, v := range v {
			if !(v > 0) || math.IsInf(v, 0) {
				return fmt.Errorf("%v among the %s", v, what)
			}
		}
		return nil
	}
	if (m.Task == Huber) != (m.Delta > 0) || math.IsInf(m.Delta, 0) {
		return fmt.Errorf("a %s model with the delta %v", m.Task, m.Delta)
	}
	if w := m.ClassWeights; w != nil {
		if err := above("weights", w.Weights); err != nil {
			return err
		}
	}
	if m.Costs != nil && m.Task.entry().proba == nil {
		return fmt.Errorf("costs in a %s model, which has no probabilities", m.Task)
	}
	if m.Costs != nil {
		return above("costs", m.Costs)
	}
	return nil
}

// Check reports the first thing that makes m unusable.
func (m *Model) Check() error {
	l := m.Task.entry()
	if l == nil {
		return fmt.Errorf("the task %q is unknown", m.Task)
	}
	if err := l.check(m.Classes); err != nil {
		return err
	}
	if err := m.checkLoss(); err != nil {
		return err
	}
	if want := l.scores(len(m.Classes)); len(m.Coefficients) != want {
		return fmt.Errorf("%d lists of weights where there should be %d", len(m.Coefficients), want)
	}
	d := m.Dim()
	if d == 0 {
		return errors.New("a model without weights")
	}
	if m.Features != nil && len(m.Features) != d {
		return fmt.Errorf("%d feature names for %d weights", len(m.Features), d)
	}
	if m.Scaler != nil {
		if len(m.Scaler.Mean) != d || len(m.Scaler.Scale) != d {
			return fmt.Errorf("a scaler of %d and %d features for %d weights", len(m.Scaler.Mean), len(m.Scaler.Scale), d)
		}
		for j, s := range m.Scaler.Scale {
			if !(s > 0) {
				return fmt.Errorf("the scale of feature %d is %v", j+1, s)
			}
		}
	}
	if m.Schema != nil {
		if err := m.Schema.Check(); err != nil {
			return errors.New(strings.TrimPrefix(err.Error(), "dataset: "))
		}
		if m.Schema.Width != d {
			return fmt.Errorf("a schema of %d features for %d weights", m.Schema.Width, d)
		}
		if m.Schema.Sparse && m.Scaler != nil {
			for j, v := range m.Scaler.Mean {
				if v != 0 {
					return fmt.Errorf("sparse features, and the mean %v of feature %d", v, j+1)
				}
			}
		}
	}
	if m.Kernel != nil {
		if err := m.Kernel.Check(d, len(m.Coefficients)); err != nil {
			return err
		}
	}
	for _, c := range m.Coefficients {
		if len(c.Weights) != d {
			return fmt.Errorf("%d weights of one score and %d of another", len(c.Weights), d)
		}
		for j, w := range c.Weights {
			if math.IsNaN(w) || math.IsInf(w, 0) {
				return fmt.Errorf("weight %d is %v", j+1, w)
			}
		}
	}
	return nil
}

// Dim is the number of features.
func (m *Model) Dim() int {
	if len(m.Coefficients) == 0 {
		return 0
	}
	return len(m.Coefficients[0].Weights)
}

// Prediction is what a model says about rows.
type Prediction struct {
	Task    Task
	Classes []string
	// Values are the predictions of a model of numbers: of a Poisson model, the mean count.
	Values []float64
	// Labels are indices into Classes, and Proba the probabilities of all classes, row by row; nil for a model without.
	Labels []int
	Proba  []float64
	// Scores are those of the rows: one for each class, or one that speaks for the second of two.
	Scores []float64
}

// Label is the prediction for row i in words: a class, or a number.
func (p *Prediction) Label(i int) string {
	if !p.Task.Classes() {
		return formatFloat(p.Values[i])
	}
	return p.Classes[p.Labels[i]]
}

// Len is the number of rows.
func (p *Prediction) Len() int { return max(len(p.Values), len(p.Labels)) }

// scoredRows are scaled and scored at a time, so that no copy of all rows is made.
const scoredRows = 4096

// Predict applies m to the rows of set, which is read with dataset.Options.Like = m.Schema. An error about the
// rows is a [*dataset.Error] that names the first feature that differs.
func (m *Model) Predict(set *dataset.Set) (*Prediction, error) {
	n, d := set.Dims()
	fail := func(format string, args ...any) (*Prediction, error) {
		return nil, &dataset.Error{File: set.Source, Err: fmt.Errorf(format, args...),
			Hint: "give a file with the columns that the model was trained on"}
	}
	for j := range min(len(m.Features), len(set.Features)) {
		if m.Features[j] != set.Features[j] {
			return fail("feature %d is %q where the model has %q", j+1, set.Features[j], m.Features[j])
		}
	}
	if d != m.Dim() {
		return fail("there are %d features where the model has %d", d, m.Dim())
	}
	x := set.X
	_, sparse := x.(*rows.CSR)
	if sparse && m.Kernel != nil {
		return fail("the features are sparse where the model's are dense")
	}
	if m.Scaler != nil {
		if sparse && !m.sparseScaler() {
			return fail("the features are sparse where the model's are dense")
		}
	}
	k := len(m.Coefficients)
	layout := model.Layout{Features: d, Classes: k, FeatureMajor: sparse && k > 1}
	z := make([]float64, layout.Len())
	for c, w := range m.Coefficients {
		for j, v := range w.Weights {
			z[layout.Index(c, j)] = v
		}
	}
	scores := make([]float64, 0, n*k)
	for lo := 0; lo < n; lo += scoredRows {
		part := x.Slice(lo, min(lo+scoredRows, n))
		if m.Scaler != nil {
			part = m.Scaler.Apply(part)
		}
		t := model.ScoreRows(part, z, k)
		if m.Kernel != nil {
			m.Kernel.Add(t, part.(*rows.Dense))
		}
		scores = append(scores, t...)
	}
	for i := range n {
		for c := range k {
			scores[i*k+c] += m.Coefficients[c].Intercept
		}
	}
	p := &Prediction{Task: m.Task, Classes: m.Classes, Scores: scores}
	l, classes := m.loss(), len(m.Classes)
	if l.classes {
		p.Labels = make([]int, n)
		if l.proba != nil {
			p.Proba = make([]float64, n*classes)
		}
	} else {
		p.Values = make([]float64, n)
	}
	for i := range n {
		t := scores[i*k : (i+1)*k]
		if !l.classes {
			p.Values[i] = l.predict(t)
			continue
		}
		if p.Labels[i] = int(l.predict(t)); l.proba == nil {
			continue
		}
		l.proba(p.Proba[i*classes:(i+1)*classes], t)
	}
	return p, nil
}

func (m *Model) sparseScaler() bool {
	for _, v := range m.Scaler.Mean {
		if v != 0 {
			return false
		}
	}
	return true
}

// Judge compares the predictions for the rows of set with its labels. Rows whose label is NaN have none.
func (m *Model) Judge(p *Prediction, set *dataset.Set) (*Metrics, error) {
	scores, s, err := m.labelled(p, set)
	if err != nil {
		return nil, err
	}
	l := m.loss()
	return l.metrics(l.judge(scores, s.Y, s.Weights, len(m.Coefficients))), nil
}

// labelled are the scores, labels, weights and places of the rows of set that have a label.
func (m *Model) labelled(p *Prediction, set *dataset.Set) (scores []float64, s *dataset.Set, err error) {
	t := *set
	switch {
	case t.Y == nil:
		return nil, nil, &dataset.Error{File: t.Source, Err: errors.New("there is no label")}
	case len(t.Y) != p.Len():
		return nil, nil, fmt.Errorf("tune: %d predictions for %d labels", p.Len(), len(t.Y))
	case !m.Task.Classes() && t.Classes != nil:
		return nil, nil, &dataset.Error{File: t.Source, Err: errors.New("the labels are classes, and the model predicts " +
			"numbers")}
	}
	t.Y, t.Weights, t.Rows = nil, nil, nil
	k := len(m.Coefficients)
	for i, y := range set.Y {
		if math.IsNaN(y) {
			continue
		}
		t.Y, t.Rows = append(t.Y, y), append(t.Rows, i)
		scores = append(scores, p.Scores[i*k:(i+1)*k]...)
		if set.Weights != nil {
			t.Weights = append(t.Weights, set.Weights[i])
		}
	}
	switch {
	case t.Y == nil:
		err = &dataset.Error{File: t.Source, Err: errors.New("no row has a label")}
	case m.Task.Classes():
		err = t.MapClasses(m.Classes)
	case m.Task.entry().counts:
		err = checkCounts(&t, false)
	}
	return scores, &t, err
}

// Unseen is what the predictions say about the rows of set with labels, one by one. Baseline is the same, because a
// model does not hold its own; Trivial says the shares of the classes, or the mean, of these rows.
func (m *Model) Unseen(p *Prediction, set *dataset.Set) (*Unseen, error) {
	scores, s, err := m.labelled(p, set)
	if err != nil {
		return nil, err
	}
	u, l := &Unseen{On: "test", Rows: s.Rows}, m.loss()
	j := l.judge(scores, s.Y, s.Weights, len(m.Coefficients))
	l.say(u, s.Y, s.Weights, len(m.Classes), m.Costs, j, j)
	return u, nil
}
