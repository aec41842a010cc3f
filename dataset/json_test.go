package dataset

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// wantSame checks that two sets are the same but for the formats of their files.
func wantSame(t testing.TB, got, want *Set) {
	t.Helper()
	type content struct {
		X                        [][]float64
		Y                        []float64
		Classes, Features, Names []string
		Columns                  []Column
		Label, ID, How           string
		Notes                    []string
	}
	of := func(s *Set) content {
		return content{values(s), s.Y, s.Classes, s.Features, s.Names, s.Schema.Columns, s.Schema.Label, s.Schema.ID,
			s.LabelHow, s.Notes}
	}
	if d := cmp.Diff(of(want), of(got)); d != "" {
		t.Error(d)
	}
}

// TestJSON: objects become the same set as the lines of a CSV file.
func TestJSON(t *testing.T) {
	for name, c := range map[string]struct {
		json, csv string
		o         Options
	}{
		"lines": {"{\"a\":1,\"b\":\"x\",\"y\":\"no\"}\n{\"a\":-2.5e3,\"b\":\"z\",\"y\":\"yes\"}\n",
			"a,b,y\n1,x,no\n-2500,z,yes\n", Options{}},
		"escapes": {`{"\u0061":1,"y":"\u00fc\"}"}{"a":2,"y":"\\"}`, "a,y\n1,\"ü\"\"}\"\n2,\\\n", Options{}},
		"array":   {"\xef\xbb\xbf[\n {\"a\": 1, \"y\": 2},\n {\"a\": 3, \"y\": 4}]", "a,y\n1,2\n3,4\n", Options{}},
		"keys in any order, absent, and null": {`{"a":1,"y":0} {"y":1,"b":3,"a":2} {"b":null,"y":1,"a":7}`,
			"a,y,b\n1,0,\n2,1,3\n7,1,\n", Options{Missing: ImputeMissing, Label: "y"}},
		"label by name": {`{"label":1,"b":2}{"label":0,"b":3}`, "label,b\n1,2\n0,3\n", Options{}},
		"objects in objects": {`{"p":{"q":1,"r":{"s":"u"}},"y":1}` + "\n" + `{"y":2,"p":{"r":{"s":"v"},"q":4}}`,
			"p.q,p.r.s,y\n1,u,1\n4,v,2\n", Options{}},
		"points in names": {`{"M":1,"M.F":2,"y":1}` + "\n" + `{"M":3,"M.F":4,"y":2}`, "M,M.F,y\n1,2,1\n3,4,2\n",
			Options{}},
		"no object in one row": {`{"p":{"q":1},"y":1}` + "\n" + `{"y":2,"p":null}{"p":{},"y":3}`, "p.q,y\n1,1\n,2\n,3\n",
			Options{Missing: ImputeMissing}},
		"booleans are numbers": {`{"a":true,"y":1}{"a":false,"y":2}`, "a,y\n1,1\n0,2\n", Options{}},
		"strings of numbers":   {`{"a":"1,5","y":1}{"a":"2","y":2}`, "a,y\n\"1,5\",1\n2,2\n", Options{Decimal: ','}},
		"row numbers":          {`{"":0,"a":4,"y":1}{"":1,"a":5,"y":2}`, ",a,y\n0,4,1\n1,5,2\n", Options{}},
		"names of rows": {`{"id":9007199254740993,"a":4,"y":1}{"id":"p7","a":5,"y":2}`,
			"id,a,y\n9007199254740993,4,1\np7,5,2\n", Options{ID: "id"}},
		"lists left out": {`{"a":4,"l":[1,{"m":[]}],"y":1}{"l":[],"a":5,"y":2}`, "a,l,y\n4,,1\n5,,2\n",
			Options{Drop: []string{"l"}}},
		"categories": {`{"a":1,"y":1}{"a":2.0,"y":2}{"a":1.0,"y":2}`, "a,y\n1,1\n2,2\n1.0,2\n",
			Options{Categorical: []string{"a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			want := readString(t, "x.csv", c.csv, c.o)
			got := readString(t, "x", c.json, c.o) // by the content
			wantSame(t, got, want)
			if got.Schema.Format != "json" {
				t.Error(got.Schema.Format)
			}
			if !c.o.NoLabel {
				wantSame(t, readString(t, "x", c.json, Options{Like: want.Schema}), readString(t, "x.csv", c.csv,
					Options{Like: want.Schema}))
			}
		})
	}
}

func TestJSONErrors(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	scattered := ""
	for i := range 3000 {
		scattered += fmt.Sprintf(`{"%x":1}`, i)
	}
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"syntax":          {"{\"a\":1,\"y\":2}\n\n{\"a\":1 \"y\":2}\n", []string{"x.json:3: it is no JSON"}},
		"truncated":       {"{\"a\":1,\"y\":2}\n{\"a\":1,\"y\"", []string{"x.json:2", "truncated"}},
		"no comma":        {"[{\"a\":1}\n{\"a\":2}]", []string{"x.json", "it is no JSON"}},
		"truncated array": {"[{\"a\":1,\"y\":2}\n", []string{"x.json:2", "truncated"}},
		"NaN":             {"{\"a\":1,\"y\":2}\n{\"a\":\nNaN,\"y\":2}", []string{"x.json:3", "NaN", "write null"}},
		"list":            {"{\"a\":1,\"y\":2}\n{\"a\":[2],\"y\":2}", []string{`x.json:2: column "a"`, "list", "--drop"}},
		"twice":           {"{\"a\":1,\"y\":2,\n\"a\":2}", []string{`x.json:2: column "a"`, "twice"}},
		"value and object": {"{\"a\":{\"b\":1},\"y\":2}\n{\"a\":2,\"y\":2}",
			[]string{`x.json:2: column "a"`, "elsewhere an object"}},
		"two names": {"{\"a\":{\"b\":1},\"a.b\":2,\"y\":2}", []string{`x.json:1: column "a.b"`, "twice"}},
		"columns":   {`{"a":{"0":1,"1":2},"y":{"0":3,"1":4}}`, []string{"columns, and no rows", "lines=True"}},
		"split": {`{"columns":["a","y"],"data":[[1,2],[3,4]]}`, []string{`column "columns"`,
			"list", "lines=True"}},
		"values":         {`[[1,2],[3,4]]`, []string{"an object is expected"}},
		"deep":           {deep, []string{"deeper than 32"}},
		"empty":          {"[]", []string{"no rows"}},
		"empty objects":  {"{}\n{}", []string{"no rows"}},
		"UTF-8":          {"{\"a\":1}\n{\"a\":\"\xff\"}", []string{"x.json:2", "UTF-8"}},
		"missing":        {"{\"a\":1,\"y\":2}\n\n{\"y\":2}", []string{`x.json:3: column "a"`, "empty", "--missing"}},
		"not finite":     {`{"a":1e999,"y":2}`, []string{`x.json:1: column "a"`, "Inf"}},
		"scattered keys": {scattered, []string{"different keys"}},
	} {
		_, err := ReadFrom(t.Context(), strings.NewReader(c.text), "x.json", Options{Format: "json"})
		t.Run(name, func(t *testing.T) { wantError(t, err, c.want...) })
	}
	train := readString(t, "x.json", "{\"a\":\"p\",\"y\":2}{\"a\":\"q\",\"y\":3}", Options{})
	_, err := ReadFrom(t.Context(), strings.NewReader("{\"a\":\"p\",\"y\":2}\n{\n\"a\":\"r\",\"y\":3}"), "v.json",
		Options{Like: train.Schema})
	wantError(t, err, `v.json:3: column "a"`, `level "r"`)
}
