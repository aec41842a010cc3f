//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/bilevel-go/bilevel/internal/outfile"
)

// While a command writes to a folder, another one is refused, and leaves it alone; afterwards, or when it was killed,
// none is.
func TestOutIsClaimed(t *testing.T) {
	files(t, map[string]string{"t.csv": table(60, 2, 1, yesNo)})
	release, err := claimFolder("deep/out", "")
	if err != nil {
		t.Fatal(err)
	}
	before := listing(t)
	for _, args := range []string{"tune --train t.csv", "clean --train t.csv --trusted t.csv", "figure bome-coreset"} {
		o := call(t, strings.Fields(args+" --quiet --out deep/out")...)
		if o.code != exitUsage || !strings.Contains(o.stderr, "--out deep/out: another bilevel command is writing") {
			t.Errorf("%s: exit code %d: %s", args, o.code, o.stderr)
		}
		if after := listing(t); after != before {
			t.Errorf("%s: left %s", args, after)
		}
	}
	release()
	if after := listing(t); after != ". t.csv" {
		t.Errorf("left %s", after)
	}
	// What a killed command leaves does not last.
	if err := os.MkdirAll("out", 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := outfile.With("out/model.json", []byte("half"))
	if err != nil {
		t.Fatal(err)
	}
	f.File.Close() // as the end of the process does
	if err := os.WriteFile("out/"+lockName, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	mustCall(t, "tune", "--train", "t.csv", "--quiet", "--out", "out", "--reg", "shared")
	if after := listing(t); after != ". out out/model.json out/report.html out/trace.csv t.csv" {
		t.Errorf("left %s", after)
	}
	// Shares of one bench go together.
	one, err := claimFolder("out", "-0-of-2")
	if err != nil {
		t.Fatal(err)
	}
	defer one()
	two, err := claimFolder("out", "-1-of-2")
	if err != nil {
		t.Fatal(err)
	}
	two()
}

// On a full disk the model, or the weights, are there and the report is not.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	files(t, map[string]string{"t.csv": table(200, 4, 1, yesNo)})
	for _, c := range []struct{ command, first string }{
		{"tune --train t.csv --reg shared", "model.json"},
		{"clean --train t.csv --trusted t.csv", "weights.csv"},
	} {
		mustCall(t, strings.Fields(c.command+" --quiet --out whole")...)
		first, err1 := os.Stat(filepath.Join("whole", c.first))
		page, err2 := os.Stat("whole/report.html")
		if err := errors.Join(err1, err2, os.MkdirAll("small", 0o755)); err != nil {
			t.Fatal(err)
		}
		room := first.Size() + page.Size()/2
		size := strconv.FormatInt(room/4096*4096+4096, 10)
		mount := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", "small")
		if out, err := mount.CombinedOutput(); err != nil {
			t.Skipf("no file system can be mounted: %v: %s", err, out)
		}
		func() {
			defer exec.Command("umount", "small").Run()
			if err := os.WriteFile("small/report.html", nil, 0o644); err != nil { // of an earlier run
				t.Fatal(err)
			}
			o := call(t, strings.Fields(c.command+" --quiet --out small")...)
			if o.code != exitUsage || !strings.Contains(o.stderr, "report.html cannot be written: no space left on device") ||
				!strings.Contains(o.stderr, "small/"+c.first+" is written") {
				t.Errorf("%s: exit code %d: %s", c.command, o.code, o.stderr)
			}
			entries, err := os.ReadDir("small")
			if err != nil || len(entries) != 1 || entries[0].Name() != c.first {
				t.Errorf("%s: left %v, %v", c.command, entries, err)
			}
			info, err := os.Stat(filepath.Join("small", c.first))
			if err != nil || info.Size() == 0 {
				t.Errorf("%v, %v", info, err)
			}
		}()
	}
	mustCall(t, "predict", "--model", "whole/model.json", "t.csv", "--quiet")
}

// A bench file that is a pipe without a writer does not hold an interruption up.
func TestBenchFileInterrupted(t *testing.T) {
	files(t, nil)
	if err := syscall.Mkfifo("pipe.yaml", 0o600); err != nil {
		t.Skipf("this file system has no pipes: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := run(ctx, []string{"bench", "run", "pipe.yaml"}, strings.NewReader(""), io.Discard, io.Discard); code !=
		exitInterrupted {
		t.Errorf("exit code %d", code)
	}
}

// --memory bounds what is read and what is learned from it: an error that names the file, the bound and the flag.
func TestMemoryFlag(t *testing.T) {
	rows := strings.SplitAfter(table(60, 2, 1, yesNo), "\n")
	last := rows[len(rows)-2]
	wide := ""
	for j := range 22 {
		wide += fmt.Sprintf(" %d:1", j+1)
	}
	files(t, map[string]string{
		"good.csv": table(60, 2, 1, yesNo), "cell.csv": "a,y\n1,2\n\"" + strings.Repeat("a", 2<<20),
		"wide.svm": "1 1:1 9000000:2\n" + strings.Repeat("0 1:1 2:3\n1 2:1\n", 50),
		"rows.csv": table(60, 2, 1, yesNo) + strings.Repeat(last, 300_000),
		"huge.json": `{"format":"bilevel-model","version":1,"coefficients":[{"weights":[` + strings.Repeat("0,", 1<<20) +
			"0]}]}",
		"big.yaml": "name: big\nproblems: [{name: q, problem: quadratic, inner: 3000, terms: 10000, validation: 10000}]\n" +
			"methods: [{name: m, method: soba}]\nseeds: 1\nbudget: {steps: 1}\n",
	})
	if err := os.CopyFS("data", fstest.MapFS{
		"ijcnn1/ijcnn1.bz2":   {Data: []byte(strings.Repeat("1"+wide+"\n", 100_000))},
		"ijcnn1/ijcnn1.t.bz2": {Data: []byte("1" + wide + "\n")},
	}); err != nil {
		t.Fatal(err)
	}
	mustCall(t, "tune", "--train", "good.csv", "--quiet", "--reg", "shared", "--out", "m", "--memory", "64MB")
	for args, want := range map[string]string{
		"tune --train cell.csv":                           "cell.csv:3: a line, or a cell in quotes, goes on for more than",
		"tune --train wide.svm":                           "wide.svm: learning a model of 9000000 features",
		"tune --train good.csv --val rows.csv":            "rows.csv: ",
		"clean --train good.csv --trusted rows.csv":       "rows.csv: ",
		"predict --model m/model.json rows.csv":           "rows.csv: ",
		"predict --model huge.json good.csv":              "huge.json: reading it takes more than",
		"bench run big.yaml --jobs 1":                     "quadratic: inner 3000, outer 10, terms 10000, validation",
		"figure ijcnn1 --data data":                       "data/ijcnn1/ijcnn1.bz2: ",
		"tune --set ijcnn1 --data data":                   "data/ijcnn1/ijcnn1.bz2: ",
		"tune --train good.csv --memory much":             `"much" is no size; write a number with a unit, such as 2GB`,
		"predict --model m/model.json good.csv --memory ": "is no size",
	} {
		list := strings.Split(args, " ")
		if !strings.Contains(args, "--memory") {
			list = append(list, "--memory", "16MB")
		}
		o := call(t, append(list, "--quiet")...)
		if o.code != exitUsage || !strings.Contains(o.stderr, want) || !strings.Contains(o.stderr, "--memory") ||
			strings.Count(o.stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d: %s", args, o.code, o.stderr)
		}
	}
}

// What cannot be read at once is nothing to wait for.
func TestCompletionOfPipe(t *testing.T) {
	files(t, nil)
	if err := syscall.Mkfifo("pipe", 0o600); err != nil {
		t.Skipf("this file system has no pipes: %v", err)
	}
	done := make(chan []string)
	go func() {
		got, _ := completed(t, "tune", "--train", "pipe", "--label", "")
		done <- got
	}()
	select {
	case got := <-done:
		if got != nil {
			t.Errorf("%q", got)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it waits for the pipe")
	}
}
