package tune_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/tune"
)

// A model that was changed is refused with what is wrong, and not in words of Go.
func TestLoadDamaged(t *testing.T) {
	m := &tune.Model{
		Format: "bilevel-model", Version: 1, Task: tune.Logistic, Classes: []string{"no", "yes"},
		Features: []string{"a", "b"}, HasIntercept: true,
		Coefficients: []tune.Coefficients{{Class: "yes", Intercept: 1, Weights: []float64{1, 2}}},
		Scaler:       &dataset.Scaler{Mean: []float64{0, 1}, Scale: []float64{1, 2}},
		Schema: &dataset.Schema{Format: "csv", Width: 2, Label: "y", Classes: []string{"no", "yes"},
			Columns: []dataset.Column{{Name: "a", Kind: dataset.Numeric}, {Name: "b", Kind: dataset.Numeric}}},
		Penalty: tune.Penalty{Strengths: []tune.Strength{}},
	}
	path := filepath.Join(t.TempDir(), "model.json")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	if _, err := tune.Load(path); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	first := func(o object) object { return o["coefficients"].([]any)[0].(object) }
	set := func(o object, key string, v any) {
		if v == "absent" {
			delete(o, key)
			return
		}
		o[key] = v
	}
	for k, c := range []struct {
		change func(o object)
		want   string
	}{
		{func(o object) { set(first(o), "weights", []any{nil, nil}) }, `"coefficients[0].weights[0]" is null`},
		{func(o object) { set(first(o), "weights", []any{1, nil}) }, `"coefficients[0].weights[1]" is null`},
		{func(o object) { set(first(o), "weights", "absent") }, "weights"},
		{func(o object) { set(first(o), "weights", []any{1}) }, "2 feature names for 1 weights"},
		{func(o object) { set(first(o), "weights", []any{"1", "2"}) }, `"coefficients.weights" holds a string`},
		{func(o object) { set(first(o), "intercept", "absent") }, `"coefficients[0].intercept" is missing`},
		{func(o object) { set(first(o), "intercept", nil) }, `"coefficients[0].intercept" is null`},
		{func(o object) { set(first(o), "class", "no") }, `the class "no" and not "yes"`},
		{func(o object) { set(o, "has_intercept", "absent") }, `"has_intercept" is missing`},
		{func(o object) { set(o, "has_intercept", false) }, "without one"},
		{func(o object) { set(o, "coefficients", []any{nil}) }, `"coefficients[0]" is null`},
		{func(o object) { set(o, "coefficients", nil) }, `"coefficients" is null`},
		{func(o object) { set(o, "coefficients", "absent") }, `"coefficients" is missing`},
		{func(o object) { set(o, "scaler", "absent") }, `"scaler" is missing`},
		{func(o object) { set(o, "schema", "absent") }, `"schema" is missing`},
		{func(o object) { set(o, "features", "absent") }, "feature names are missing"},
		{func(o object) { set(o["scaler"].(object), "mean", []any{nil, 1}) }, `"scaler.mean[0]" is null`},
		{func(o object) { set(o["scaler"].(object), "scale", "absent") }, "scaler of 2 and 0 features"},
		{func(o object) { set(o["schema"].(object), "columns", "absent") }, "columns of the schema are missing"},
		{func(o object) { set(o["schema"].(object), "classes", []any{"yes", "no"}) }, "classes of the schema"},
		{func(o object) { set(o["penalty"].(object), "strengths", "absent") }, `"penalty.strengths" is missing`},
		{func(o object) { set(first(o), "weights", []any{}) }, "a model without weights"},
		{func(o object) { set(o, "classes", []any{"no", nil}) }, `"classes[1]" is null`},
		{func(o object) { set(o, "delta", 2) }, "a logistic model with the delta 2"},
		{func(o object) { set(o, "costs", []any{1}) }, "1 costs of 2 classes"},
		{func(o object) { set(o, "costs", []any{1, -1}) }, "-1 among the costs"},
		{func(o object) { set(o, "class_weights", object{"how": "given", "weights": []any{0, 1}}) }, "0 among the weights"},
	} {
		o := object{}
		if err := json.Unmarshal(good, &o); err != nil {
			t.Fatal(err)
		}
		c.change(o)
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(fmt.Sprint(k), func(t *testing.T) { wantDamage(t, b, c.want) })
	}
	for text, want := range map[string]string{
		"[]": "an array where a JSON object belongs", "3": "a number where", `"x"`: "a string where", "": "not JSON",
		"{":                 "not JSON",
		string(good) + "{}": "not JSON", string(good[:len(good)/2]): "not JSON", `{"format":3}`: `"format" holds a number`,
		strings.Replace(string(good), `"intercept": 1`, `"intercept": 1e999`, 1): `intercept" holds a number 1e999`,
	} {
		t.Run(want, func(t *testing.T) { wantDamage(t, []byte(text), want) })
	}
}

func wantDamage(t *testing.T, model []byte, want string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.json")
	if err := os.WriteFile(path, model, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := tune.Load(path)
	var e *dataset.Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
		t.Fatalf("error %v, want %q", err, want)
	}
	for _, word := range []string{"Go ", "unmarshal", "struct", "tune."} {
		if strings.Contains(strings.TrimPrefix(err.Error(), path), word) {
			t.Errorf("%q is in %v", word, err)
		}
	}
}

// Rows are scaled and scored some at a time: each is predicted as if it were alone, and the rows stay as they are.
func TestPredictManyRows(t *testing.T) {
	set := regression(9000, 3, 4)
	before := set.Subset([]int{0, 5000, 8999})
	m := &tune.Model{Task: tune.Ridge, Coefficients: []tune.Coefficients{{Intercept: 1, Weights: []float64{1, 2, 3}}},
		Scaler: &dataset.Scaler{Mean: []float64{1, 2, 3}, Scale: []float64{4, 5, 6}}}
	all, err := m.Predict(set)
	if err != nil {
		t.Fatal(err)
	}
	for k, i := range []int{0, 5000, 8999} {
		one, err := m.Predict(before.Slice(k, k+1))
		if err != nil || math.Abs(one.Values[0]-all.Values[i]) > 1e-14*math.Abs(all.Values[i]) {
			t.Errorf("row %d: %v alone, %v among all: %v", i, one.Values, all.Values[i], err)
		}
	}
	if again, err := m.Predict(set); err != nil || again.Values[0] != all.Values[0] {
		t.Errorf("the second time: %v", err)
	}
}
