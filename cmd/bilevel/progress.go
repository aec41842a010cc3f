package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/bilevel-go/bilevel/tune"
)

// progress shows how far tune is: a bar on a terminal, few lines elsewhere.
type progress struct {
	w        io.Writer
	terminal bool

	bars   *mpb.Progress
	bar    *mpb.Bar
	status atomic.Pointer[string]

	seen     map[string]bool // stages that had a line
	last     time.Time       // of the last line
	download func(file string, done, total int64)
}

// every is the time between lines of one stage.
const every = 5 * time.Second

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, seen: make(map[string]bool)}
	if f, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	p.download = progressLines(w)
	return p
}

// say writes a line, unless a bar says as much.
func (p *progress) say(line string) {
	if !p.terminal {
		fmt.Fprintln(p.w, line)
	}
}

func (p *progress) update(u tune.Progress) {
	status := u.Stage
	if !math.IsNaN(u.Value) {
		status += fmt.Sprintf(", validation loss %.6g", u.Value)
	}
	if p.terminal {
		p.status.Store(&status)
		if p.bar == nil {
			p.bars = mpb.New(mpb.WithOutput(p.w), mpb.WithWidth(30))
			p.bar = p.bars.AddBar(1000,
				mpb.BarRemoveOnComplete(),
				mpb.PrependDecorators(decor.Percentage()),
				mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO),
					decor.Any(func(decor.Statistics) string { return "  " + *p.status.Load() })))
		}
		p.bar.SetCurrent(int64(1000 * u.Done))
		return
	}
	if u.Stage == "done" || p.seen[u.Stage] && time.Since(p.last) < every {
		return
	}
	p.seen[u.Stage], p.last = true, time.Now()
	fmt.Fprintf(p.w, "%3.0f%%  %s\n", 100*u.Done, status)
}

// finish leaves the terminal in order.
func (p *progress) finish() {
	if p.bar == nil {
		return
	}
	p.bar.Abort(true)
	p.bars.Wait()
	p.bar = nil
}
