package dataset

import (
	"slices"
	"testing"
)

// Spans are where the features of columns are.
func TestSpans(t *testing.T) {
	s := readString(t, "f.csv", holes, Options{Missing: ImputeMissing})
	if got, want := s.Schema.Spans(), []Span{{0, 1, true}, {2, 2, true}, {5, 1, true}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
