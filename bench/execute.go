package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/outfile"
	"github.com/bilevel-go/bilevel/internal/wait"
)

// ExecuteOptions of [Execute].
type ExecuteOptions struct {
	// Dir is the folder of the bench. It is made if it is not there.
	Dir string
	// DataDir is a folder with copies of public sets, used first.
	DataDir string
	// Memory is the most bytes that problems take, of all Jobs together; 0 is dataset.DefaultMemory.
	Memory int64
	// Retry runs again what has failed.
	Retry bool
	// Worker makes the command of a process that calls [Work]; Jobs of them run at once, each with one thread. With
	// nil, runs happen in this process, one after the other, with GOMAXPROCS set to 1 meanwhile.
	Worker func(ctx context.Context) *exec.Cmd
	// Jobs is the number of processes; 0 means GOMAXPROCS.
	Jobs int
	// Progress, if any, is told of every run that ends, and once at the start.
	Progress func(Progress)
}

// Progress is how far a bench is.
type Progress struct {
	Ended, All       int // runs; ended ones include those of earlier times
	Diverged, Failed int
	Last             *Trace // the run that has ended, nil at the start
}

// Execute runs the tasks that have no trace in o.Dir yet, and writes a trace for each when it ends, whatever became of
// it. It returns how far it came. Errors are those of the bench: data that are not there, files that cannot be
// written, a cancelled ctx; the next call goes on from what has ended.
//
// A run has one thread, so that runs beside each other share memory bandwidth and cache only. Times are those of the
// method alone.
func Execute(ctx context.Context, tasks []Task, o ExecuteOptions) (Progress, error) {
	if err := os.MkdirAll(filepath.Join(o.Dir, runsFolder), 0o755); err != nil {
		return Progress{}, fmt.Errorf("bench: %w", err)
	}
	outfile.Sweep(filepath.Join(o.Dir, runsFolder))
	p := Progress{All: len(tasks)}
	var left []Task
	for _, t := range tasks {
		old, err := readTrace(filepath.Join(o.Dir, runsFolder, t.file()))
		if err != nil || o.Retry && old.Status == Failed { // what is damaged is run again
			left = append(left, t)
			continue
		}
		if old.Problem != t.Problem || old.Method != t.Method { // called differently now
			old.Problem, old.Method = t.Problem, t.Method
			if err := old.write(o.Dir); err != nil {
				return p, err
			}
		}
		p.add(old)
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	o.Progress(p)
	var mu sync.Mutex
	report := func(t *Trace) {
		mu.Lock()
		defer mu.Unlock()
		p.add(t)
		now := p
		now.Last = t
		o.Progress(now)
	}
	var err error
	if o.Worker == nil {
		err = executeHere(ctx, left, o, report)
	} else {
		err = executeApart(ctx, left, o, report)
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return p, err
}

func (p *Progress) add(t *Trace) {
	p.Ended++
	switch t.Status {
	case Diverged:
		p.Diverged++
	case Failed:
		p.Failed++
	}
}

func executeHere(ctx context.Context, tasks []Task, o ExecuteOptions, report func(*Trace)) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	l := &loader{dir: o.DataDir, memory: o.Memory}
	for _, t := range tasks {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		trace, err := l.run(ctx, t)
		if err != nil {
			return err
		}
		if trace == nil { // cancelled
			return ctx.Err()
		}
		if err := trace.write(o.Dir); err != nil {
			return err
		}
		report(trace)
	}
	return nil
}

// executeApart keeps a process busy for each job.
func executeApart(ctx context.Context, tasks []Task, o ExecuteOptions, report func(*Trace)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan Task)
	var jobs sync.WaitGroup
	n := o.Jobs
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	n = max(min(n, len(tasks)), 1)
	o.Memory = dataset.NewMemory(o.Memory).Bytes() / int64(n)
	for range n {
		jobs.Go(func() {
			if err := serve(ctx, queue, o, report); err != nil {
				cancel(err)
			}
		})
	}
	func() {
		defer close(queue)
		for _, t := range tasks {
			select {
			case queue <- t:
			case <-ctx.Done():
				return
			}
		}
	}()
	jobs.Wait()
	return context.Cause(ctx)
}

// serve does tasks of the queue in a process, and in another one where that ends.
func serve(ctx context.Context, queue <-chan Task, o ExecuteOptions, report func(*Trace)) error {
	var w *process
	defer func() {
		if w != nil {
			w.close()
		}
	}()
	for t := range queue {
		if w == nil {
			var err error
			if w, err = startProcess(ctx, o.Worker); err != nil {
				return err
			}
		}
		reply, err := w.do(request{t, o.Dir, o.DataDir, o.Memory})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil: // it was killed, by the system when memory was short, say
			trace := newTrace(t, unknown)
			trace.Status, trace.Message = Failed, "the process of the run ended: "+w.close()
			w = nil
			if err := trace.write(o.Dir); err != nil {
				return err
			}
			report(trace)
			continue
		case reply.Error != "":
			err := errors.New(reply.Error)
			if reply.Data {
				err = &dataset.Error{Err: err}
			}
			return err
		}
		trace, err := readTrace(filepath.Join(o.Dir, runsFolder, t.file()))
		if err != nil {
			return err
		}
		report(trace)
	}
	return nil
}

// request is a task for a process, a line of JSON; reply is its answer, when the trace is written.
type request struct {
	Task    Task   `json:"task"`
	Dir     string `json:"dir"`
	DataDir string `json:"data_dir"`
	Memory  int64  `json:"memory"`
}

type reply struct {
	Ready bool   `json:"ready,omitempty"` // the first one, without a request
	Error string `json:"error,omitempty"` // of the bench, not of the run
	Data  bool   `json:"data,omitempty"`  // it is a *dataset.Error
}

// process is a worker process.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	words *opening // what it wrote to standard error
}

func startProcess(ctx context.Context, command func(context.Context) *exec.Cmd) (*process, error) {
	w := &process{cmd: command(ctx), words: &opening{}}
	w.cmd.Env = append(w.cmd.Environ(), "GOMAXPROCS=1")
	w.cmd.Stderr = w.words
	var err error
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("bench: worker: %w", err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: worker: %w", err)
	}
	w.out = bufio.NewReader(out)
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: worker: %w", err)
	}
	if first, err := w.read(); err != nil || !first.Ready {
		return nil, fmt.Errorf("bench: the worker process did not start: %s", w.close())
	}
	return w, nil
}

func (w *process) do(q request) (reply, error) {
	text, err := json.Marshal(q)
	if err != nil {
		return reply{}, err
	}
	if _, err := w.in.Write(append(text, '\n')); err != nil {
		return reply{}, err
	}
	return w.read()
}

func (w *process) read() (reply, error) {
	var r reply
	line, err := w.out.ReadBytes('\n')
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(line, &r)
}

// close waits for the end of the process and says how it ended.
func (w *process) close() string {
	w.in.Close()
	err := w.cmd.Wait()
	how := "exit status 0"
	if err != nil {
		how = err.Error()
	}
	if words := w.words.first(); words != "" {
		how += ": " + words
	}
	return how
}

// opening keeps the beginning of what is written to it.
type opening struct{ text []byte }

func (t *opening) Write(p []byte) (int, error) {
	t.text = append(t.text, p[:min(len(p), 1000-min(len(t.text), 1000))]...)
	return len(p), nil
}

// first is the first line.
func (t *opening) first() string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(t.text)), "\n")
	return line
}

// Work is what a process of [ExecuteOptions.Worker] does: it reads tasks from in and answers on out, until in ends,
// which is also when the process that asks has ended, however it did. A run in the middle is then given up.
func Work(in io.Reader, out io.Writer) error {
	answers := json.NewEncoder(out)
	if err := answers.Encode(reply{Ready: true}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	requests := make(chan request)
	go func() {
		for lines := json.NewDecoder(in); ; {
			var q request
			if err := lines.Decode(&q); err != nil {
				if err != io.EOF {
					err = fmt.Errorf("bench: request: %w", err)
				}
				cancel(err)
				return
			}
			requests <- q
		}
	}()
	var l loader
	for {
		var q request
		select {
		case q = <-requests:
		case <-ctx.Done():
			if err := context.Cause(ctx); err != io.EOF {
				return err
			}
			return nil
		}
		l.dir, l.memory = q.DataDir, q.Memory
		debug.SetMemoryLimit(q.Memory)
		trace, err := wait.For(ctx, func() (*Trace, error) { return l.run(ctx, q.Task) })
		if ctx.Err() != nil {
			continue
		}
		if err == nil {
			err = trace.write(q.Dir)
		}
		var r reply
		if err != nil {
			var data *dataset.Error
			r.Error, r.Data = err.Error(), errors.As(err, &data)
		}
		if err := answers.Encode(r); err != nil {
			return err
		}
	}
}
