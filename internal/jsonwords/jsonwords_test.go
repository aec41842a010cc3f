package jsonwords

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	type inner struct{ N int }
	type outer struct {
		A string
		B inner
	}
	for _, c := range []struct {
		text string
		line int
		want string
	}{
		{"", 0, "cut off"}, {"{", 0, "cut off"}, {"{\n\"A\": \"x\",\n}", 3, "byte 13 does not fit"},
		{"{\n\"A\": 3}", 2, `"A" holds a number, which`}, {"{\n\n\"B\": {\"N\": 1.5}}", 3, `"B.N" holds a number 1.5, which`},
		{"[\n]", 1, "an array where a JSON object belongs"}, {"{\"A\": true}", 0, `"A" holds true or false, which`},
		{"{\"C\": 1}", 0, `the key "C" is unknown`},
		{"{\"B\":\n{\"N\": 99999999999999999999}}", 2, `"B.N" holds a number 9999`},
	} {
		var v outer
		d := json.NewDecoder(strings.NewReader(c.text))
		d.DisallowUnknownFields()
		err := d.Decode(&v)
		line, said := Explain([]byte(c.text), err)
		if line != c.line || !strings.Contains(said.Error(), c.want) || strings.Contains(said.Error(), "json") {
			t.Errorf("%q: line %d, %v, of %v", c.text, line, said, err)
		}
		if json.Unmarshal([]byte(c.text), &v) != nil {
			if l, _ := Explain([]byte(c.text), json.Unmarshal([]byte(c.text), &v)); l != c.line {
				t.Errorf("%q: line %d of Unmarshal", c.text, l)
			}
		}
	}
}
