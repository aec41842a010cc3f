package report

import (
	"strings"

	"github.com/bilevel-go/bilevel/internal/numbers"
)

const (
	unknown     = "–"
	longestName = 120 // where names of features and classes are cut
)

// name is text for the name of a feature or class: never empty, never endless.
func name(s string) string {
	runes := 0
	for i := range s {
		if runes == longestName {
			s = s[:i] + "…"
			break
		}
		runes++
	}
	if s = numbers.Plain(s); strings.TrimSpace(s) == "" {
		return "(no name)"
	}
	return s
}
