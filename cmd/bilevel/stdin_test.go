package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"strings"
	"testing"
)

// TestStandardInput: what comes through a pipe, compressed or not, is read like a file.
func TestStandardInput(t *testing.T) {
	text := table(120, 2, 1, yesNo)
	files(t, map[string]string{"train.csv": text, "val.csv": table(60, 2, 2, yesNo)})
	piped := func(in []byte, args string) outcome {
		var stdout, stderr bytes.Buffer
		code := run(context.Background(), strings.Fields(args), bytes.NewReader(in), &stdout, &stderr)
		if code != exitOK {
			t.Fatalf("%s: exit code %d\n%s", args, code, &stderr)
		}
		return outcome{code, stdout.String(), stderr.String()}
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write([]byte(text))
	z.Close()

	var predicted []string
	for _, way := range []struct {
		in   []byte
		args string
	}{
		{nil, "--train train.csv --val val.csv"},
		{[]byte(text), "--train - --val val.csv"},
		{zipped.Bytes(), "--train - --val val.csv --format csv"},
		{[]byte(table(60, 2, 2, yesNo)), "--train train.csv --val -"},
	} {
		o := piped(way.in, "tune --reg shared "+way.args)
		if named := strings.HasPrefix(o.stdout, "data   standard input: "); named != strings.Contains(way.args, "--train -") {
			t.Errorf("%s\n%s", way.args, o.stdout)
		}
		predicted = append(predicted, piped(nil, "predict --model bilevel-out/model.json val.csv --proba").stdout)
	}
	predicted = append(predicted, piped([]byte(table(60, 2, 2, yesNo)),
		"predict --model bilevel-out/model.json - --proba --out -").stdout)
	for _, p := range predicted[1:] {
		if p != predicted[0] || strings.Count(p, "\n") != 61 {
			t.Errorf("%s\n%s", predicted[0], p)
		}
	}
	if exists("-") {
		t.Error("a file called -")
	}
	piped([]byte(text), "clean --train - --trusted val.csv")
}
