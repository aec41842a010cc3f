package nearest

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	known := []string{"price", "size", "Größe", "x", "y", "on", "off", "feature-class", "", strings.Repeat("long", 40)}
	for _, c := range []struct{ name, want string }{
		{"pricee", "price"}, {"prcie", "price"}, {"PRICE", "price"}, {"rice", "price"}, {"prixe", "price"},
		{"siez", "size"}, {"grösse", "Größe"}, {"Groesse", ""}, {"feature_class", "feature-class"},
		{"featureclass", "feature-class"}, {"colour", ""}, {"z", ""}, {"", ""}, {"xy", "x"},
		{"of", "off"}, {"feat", "feature-class"}, {"fe", ""},
		{strings.Repeat("long", 39) + "lon", ""},
	} {
		got, ok := Name(c.name, known)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%q: %q, %v, want %q", c.name, got, ok, c.want)
		}
	}
	if got := Hint("pricee", known); got != `; did you mean "price"?` {
		t.Error(got)
	}
	if got := Hint("colour", known); got != "" {
		t.Error(got)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"abc", "abc", 0}, {"abcd", "abdc", 1},
		{"xabcd", "abdc", 2}} {
		for _, s := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			if d := distance([]rune(s[0]), []rune(s[1])); d != c.want {
				t.Errorf("%q, %q: %d, want %d", s[0], s[1], d, c.want)
			}
		}
	}
}
