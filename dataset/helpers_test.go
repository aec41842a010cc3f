package dataset

import (
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/rows"
)

func readString(t testing.TB, name, text string, o Options) *Set {
	t.Helper()
	s, err := ReadFrom(t.Context(), strings.NewReader(text), name, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := rows.Check(s.X); err != nil {
		t.Fatal(err)
	}
	return s
}
