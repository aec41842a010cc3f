package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"math"
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
		if named := strings.HasPrefix(o.stdout, "standard input "); named != strings.Contains(way.args, "--train -") {
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

// npyOf is an NPY file of n × d numbers, or of n where d is 0.
func npyOf(n, d int, value func(i, j int) float64) string {
	shape := fmt.Sprintf("(%d, %d)", n, d)
	if d == 0 {
		shape = fmt.Sprintf("(%d,)", n)
	}
	head := fmt.Sprintf("%-117s\n", "{'descr': '<f8', 'fortran_order': False, 'shape': "+shape+", }")
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(head)), 0)
	b = append(b, head...)
	for i := range n {
		for j := range max(d, 1) {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(value(i, j)))
		}
	}
	return string(b)
}

// TestArraysWithLabels: arrays of features with files of labels of their own.
func TestArraysWithLabels(t *testing.T) {
	x := func(i, j int) float64 { return math.Sin(float64(1 + i*7 + j*31)) }
	y := func(i, _ int) float64 { return math.Round(.5 + .4*math.Sin(float64(1+i*7))) }
	content := map[string]string{}
	for name, n := range map[string]int{"train": 90, "val": 50, "test": 40} {
		content[name+".npy"], content[name+"-y.npy"] = npyOf(n, 3, x), npyOf(n, 0, y)
	}
	files(t, content)
	o := mustCall(t, strings.Fields("tune --train train.npy --labels train-y.npy --val val.npy --val-labels val-y.npy "+
		"--test test.npy --test-labels test-y.npy --reg shared")...)
	if !strings.Contains(o.stdout, " 90 rows, 50 validation rows and 40 test rows,") {
		t.Error(o.stdout)
	}
	o = mustCall(t, strings.Fields("predict --model bilevel-out/model.json test.npy --labels test-y.npy")...)
	if !strings.HasPrefix(o.stderr, "Of 40 rows with labels, ") {
		t.Error(o.stderr)
	}
	mustCall(t, strings.Fields("clean --train train.npy --labels train-y.npy --trusted val.npy "+
		"--trusted-labels val-y.npy")...)
	for args, want := range map[string]string{
		"tune --train train.npy --labels train-y.npy --val val.npy":    "val.npy: the labels are missing",
		"tune --train train.npy --labels train-y.npy --val-labels a":   "--val-labels needs --val",
		"tune --train train.npy --labels val-y.npy":                    "50 labels for the 90 rows",
		"tune --train train.npy --labels - --val val.npy":              "--labels -",
		"clean --train train.npy --trusted val.npy --trusted-labels -": "--trusted-labels -",
	} {
		if o := call(t, strings.Fields(args)...); o.code != exitUsage || !strings.Contains(o.stderr, want) {
			t.Errorf("%s: %+v", args, o)
		}
	}
}
