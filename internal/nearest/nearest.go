// Package nearest finds the name that was meant where a wrong one was given, for messages.
package nearest

import (
	"fmt"
	"strings"
)

// Hint asks about the name of known that name was meant to be: `; did you mean "price"?`. It is "" where none is near.
func Hint[S, T ~string](name S, known []T) string {
	if n, ok := Name(string(name), known); ok {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return ""
}

// longest are the bytes of a name that is compared: nobody types more, and a table can have many long names.
const longest = 100

// Name is the name of known that is nearest to name; of those alike the one that begins most like it, or the first. At
// most a third of the letters may have to change; where that leaves none, the first that goes on where name ends is
// taken, for three letters and more. Case counts for nothing.
func Name[T ~string](name string, known []T) (nearest T, ok bool) {
	if len(name) > longest {
		return nearest, false
	}
	a := []rune(strings.ToLower(name))
	least, begin := max(1, len(a)/3)+1, 0
	for _, k := range known {
		if d := len(k) - len(name); len(k) == 0 || len(k) > longest || d > 4*least || -d > 4*least { // 4 bytes a letter
			continue
		}
		b := []rune(strings.ToLower(string(k)))
		d, same := distance(a, b), common(a, b)
		if (d < least || ok && d == least && same > begin) && d < max(len(a), len(b)) {
			nearest, least, begin, ok = k, d, same, true
		}
	}
	for _, k := range known {
		if !ok && len(a) >= 3 && len(k) <= longest && strings.HasPrefix(strings.ToLower(string(k)), string(a)) {
			nearest, ok = k, true
		}
	}
	return nearest, ok
}

// common is the number of letters that a and b begin with.
func common(a, b []rune) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// distance is the least number of letters that are put in, left out, changed, or swapped with the next one, to make b
// of a.
func distance(a, b []rune) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range b {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j]+change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
