package clean

import (
	"fmt"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
)

// Of five annotators, one labels at random and one makes some mistakes: they are found, in this order, the first gets no
// weight, and the others are not blamed.
func TestGroups(t *testing.T) {
	all, err := dataset.Embedded("breast-cancer")
	if err != nil {
		t.Fatal(err)
	}
	train, trusted, err := all.Split(.3, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	data := Data{Train: train, Trusted: trusted}
	names := []string{"ann", "bob", "cleo", "dan", "eve"}
	r := generator(9)
	for i := range train.Y {
		data.Groups = append(data.Groups, names[i%5])
		if p := map[int]float64{1: 1, 3: .4}[i%5]; r.Float64() < p {
			train.Y[i] = float64(r.IntN(2))
		}
	}
	res := fitted(t, data, Options{Seed: 1})
	if len(res.Groups) != 5 || res.Groups[0].Name != "bob" || res.Groups[1].Name != "dan" {
		t.Fatalf("%+v", res.Groups)
	}
	wrong := 0
	for k, g := range res.Groups {
		wrong += g.Wrong
		if k != 1 && g.Worse() != (k == 0) { // of the second one 80 rows cannot tell
			t.Errorf("%+v", g)
		}
		if !(g.Low <= g.Share && g.Share <= g.High && g.ExcessLow <= g.Excess && g.Excess <= g.ExcessHigh) {
			t.Errorf("intervals of %+v", g)
		}
		if !(g.Weight >= 0 && g.Weight <= 1) || g.Weight > 0 && k == 0 {
			t.Errorf("the weight of %+v", g)
		}
	}
	if wrong != res.NTrain-res.Kept {
		t.Errorf("%d rows are wrong, %d in groups", res.NTrain-res.Kept, wrong)
	}
	data.Groups = data.Groups[1:]
	if _, err := Fit(t.Context(), data, Options{}); err == nil {
		t.Error("groups of some rows were taken")
	}
}

// Small groups, and those beyond the most, become one.
func TestLump(t *testing.T) {
	var groups []string
	for g := range 40 {
		groups = append(groups, slices.Repeat([]string{fmt.Sprint("g", g)}, 60-g)...)
	}
	counts := map[string]int{}
	for _, g := range lump(groups) {
		counts[g]++
	}
	if len(counts) != MostGroups+1 || counts["g29"] != 31 || counts["10 others"] != 255 {
		t.Errorf("%v", counts)
	}
	few := slices.Concat(slices.Repeat([]string{"a"}, 30), []string{"b", "c", "c"})
	if got := lump(few); got[30] != "2 others" || got[32] != "2 others" || got[0] != "a" {
		t.Errorf("%q", got)
	}
	if one := slices.Concat(slices.Repeat([]string{"a"}, 30), []string{"b"}); !slices.Equal(lump(one), one) {
		t.Errorf("%q", lump(one))
	}
}
