//go:build unix

package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadingInterrupted: Ctrl-C ends the reading of a pipe that nobody writes to, whatever it is for, and nothing is
// written.
func TestReadingInterrupted(t *testing.T) {
	files(t, map[string]string{"good.csv": table(60, 1, 1, yesNo)})
	mustCall(t, "tune", "--train", "good.csv", "--reg", "shared", "--quiet", "--out", "m")
	if err := syscall.Mkfifo("pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	silent, _ := io.Pipe()
	before := listing(t)
	for _, args := range []string{
		"tune --train pipe",
		"tune --train good.csv --val pipe",
		"tune --train good.csv --val good.csv --test pipe",
		"clean --train pipe --trusted good.csv",
		"clean --train good.csv --trusted pipe",
		"predict --model pipe good.csv",
		"predict --model m/model.json pipe",
		"predict --model m/model.json -",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		var stdout, stderr bytes.Buffer
		code := run(ctx, strings.Fields(args+" --quiet"), silent, &stdout, &stderr)
		if code != exitInterrupted || stdout.Len() > 0 || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%s: exit code %d, %q, %q", args, code, &stdout, &stderr)
		}
		if after := listing(t); after != before {
			t.Errorf("%s: left %s", args, after)
		}
	}
}
