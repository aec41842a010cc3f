package dataset

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Names, levels and labels in either Unicode form are the same, and it is said.
func TestUnicodeForms(t *testing.T) {
	const one, two = "Z\u00fcrich", "Zu\u0308rich" // ü as one character and as two
	text := "Gr\u00f6\u00dfe,ort,y\n1," + one + ",m\u00fcde\n2," + two + ",wach\n3,Bern,mu\u0308de\n"
	s := readString(t, "f.csv", text, Options{})
	if d := cmp.Diff([]string{"Gr\u00f6\u00dfe", "ort=Bern", "ort=" + one}, s.Features) +
		cmp.Diff([]string{"m\u00fcde", "wach"}, s.Classes) + cmp.Diff([][]float64{{1, 0, 1}, {2, 0, 1}, {3, 1, 0}},
		values(s)); d != "" || !slices.Equal(s.Y, []float64{0, 1, 0}) {
		t.Errorf("%s %v", d, s.Y)
	}
	if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "2 names and levels") {
		t.Errorf("%q", s.Notes)
	}
	other := strings.NewReplacer("\u00f6", "o\u0308", "\u00fc", "u\u0308").Replace(text)
	u := readString(t, "u.csv", other, Options{Like: s.Schema, LikeName: "the training file"})
	if d := cmp.Diff(values(s), values(u)) + cmp.Diff(s.Y, u.Y); d != "" || len(u.Notes) != 1 {
		t.Errorf("%s %q", d, u.Notes)
	}
	for _, o := range []Options{{Drop: []string{"Gro\u0308\u00dfe"}}, {Only: []string{"ort"}}} {
		v := readString(t, "f.csv", text, o)
		if d := cmp.Diff([]string{"ort=Bern", "ort=" + one}, v.Features); d != "" {
			t.Error(d)
		}
	}
	plain := readString(t, "f.csv", "Gr\u00f6\u00dfe,y\n1,"+one+"\n2,b\n", Options{Label: "y"})
	if len(plain.Notes) > 0 {
		t.Errorf("%q", plain.Notes)
	}
	_, err := ReadFrom(t.Context(), strings.NewReader("\u00fc,u\u0308,y\n1,2,3\n"), "f.csv", Options{})
	wantError(t, err, "f.csv:1:", "different Unicode forms")
	_, err = ReadFrom(t.Context(), strings.NewReader("Gr\u00f6\u00dfe,ort,y\n1,Ko\u0308ln,wach\n"), "u.csv",
		Options{Like: s.Schema})
	wantError(t, err, "K\u00f6ln", "none of the model's")
}
