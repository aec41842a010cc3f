//go:build unix

package dataset

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestPipeEnds: reading a pipe that nobody writes to, or not enough, ends with the context; a pipe with everything is
// read like a file.
func TestPipeEnds(t *testing.T) {
	for name, text := range map[string]string{"none": "", "some": "a,y\n1,2\n", "gzip": "\x1f\x8b\x08"} {
		path := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if text == "" {
			time.AfterFunc(time.Millisecond, cancel)
		} else {
			go func() {
				w, err := os.OpenFile(path, os.O_WRONLY, 0)
				if err == nil {
					w.WriteString(text)
					cancel()
				}
				<-t.Context().Done()
				w.Close()
			}()
		}
		if _, err := Read(ctx, path, Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	go os.WriteFile(path, parquetFile(t, []struct{ A, Y float64 }{{1, 2}, {3, 4}}), 0)
	if s, err := Read(t.Context(), path, Options{}); err != nil || len(s.Y) != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}
