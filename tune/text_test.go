package tune_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/realdata"
	"github.com/bilevel-go/bilevel/tune"
)

// newsgroups are the texts of some groups of 20 newsgroups, or skips the test.
func newsgroups(t *testing.T, part string, groups ...string) fstest.MapFS {
	t.Helper()
	f, err := os.Open(realdata.File(t, "20news", "20news-bydate.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	texts := make(fstest.MapFS)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		name, ok := strings.CutPrefix(h.Name, "20news-bydate-"+part+"/")
		group, _, _ := strings.Cut(name, "/")
		if !ok || h.Typeflag != tar.TypeReg || !slices.Contains(groups, group) {
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = &fstest.MapFile{Data: b}
	}
}

// Two groups, with a strength for all, and one for each word within a narrow box, which keeps thousands of them
// from fitting the validation rows.
func TestFitText(t *testing.T) {
	realdata.Long(t, "learns on 2,000 documents")
	groups := []string{"sci.med", "sci.space"}
	all, err := dataset.ReadText(t.Context(), newsgroups(t, "train", groups...), "train",
		dataset.Options{Text: &dataset.Vectorizer{MinDocs: 5}})
	if err != nil {
		t.Fatal(err)
	}
	test, err := dataset.ReadText(t.Context(), newsgroups(t, "test", groups...), "test", dataset.Options{Like: all.Schema})
	if err != nil {
		t.Fatal(err)
	}
	train, val := halves(t, all)
	for reg, box := range map[tune.Reg]tune.Box{tune.Shared: {Lower: -13, Upper: 0},
		tune.PerFeature: {Lower: -12, Upper: -10}} {
		r, err := tune.Fit(context.Background(), tune.Data{Train: train, Val: val, Test: test},
			tune.Options{Reg: reg, Box: box, Prior: "off"})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d strengths, value %.4f of %.4f at %v, test accuracy %.4f of %.4f, %.1f s", reg, r.OuterDim, r.Value,
			r.BaselineValue, r.BaselineX, r.Test.Accuracy, r.BaselineTest.Accuracy, r.Seconds)
		// The posts of the test set are later ones; 90 % is what a shared strength reaches.
		if r.BaselineX > -8 || r.BaselineTest.Accuracy < .9 || r.Test.Accuracy < .9 {
			t.Errorf("baseline at %v, test accuracy %v, baseline %v", r.BaselineX, r.Test.Accuracy, r.BaselineTest.Accuracy)
		}
		if reg == tune.PerFeature && (r.Test.Accuracy < r.BaselineTest.Accuracy+.01 ||
			r.OuterDim != len(all.Schema.Text.Words) || r.Value > .9*r.BaselineValue) {
			t.Errorf("%d strengths, value %v, baseline %v", r.OuterDim, r.Value, r.BaselineValue)
		}
		if m := r.Model; m.HasIntercept || m.Scaler != nil || m.Schema.Text == nil {
			t.Error("rows of unit length were scaled, or have an intercept")
		}
	}
}
