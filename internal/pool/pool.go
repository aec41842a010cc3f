// Package pool divides passes over data among cores.
//
// Between two passes of one computation there is a microsecond or so, and waking a sleeping goroutine takes longer than
// many passes do. So the pool's workers stay awake for a short time after a pass, each looking at one word, and then
// sleep. Where passes are rare nothing is awake, and with GOMAXPROCS=1 there are no workers.
//
// A caller works too, and waits for no worker that has not begun: one that is busy elsewhere, or slow to wake up, is
// left out. Hence callers in several goroutines, and jobs that share work themselves, are safe. Who does which part is
// left to chance: results do not depend on the number of cores where parts are fixed and are put together in order.
package pool

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// least is how many multiplications are worth sharing with a worker that is awake, which takes half a microsecond.
	least = 1 << 15
	// large is how many are worth waking it for, which takes the caller some microseconds and the worker some fifty.
	large = 1 << 20

	awake = 50 * time.Microsecond // for which workers wait awake
)

// Team is the goroutines for one job.
type Team struct {
	Size int  // the caller included
	wake bool // sleeping workers too
}

// For is the team for so many multiplications, or what takes as long: the caller alone for few, GOMAXPROCS for many.
func For(work int) Team {
	if work < least {
		return Team{Size: 1}
	}
	return Team{Size: min(runtime.GOMAXPROCS(0), 2*work/least), wake: work >= large}
}

// Run calls f for the parts 0, …, n−1 of a job, from t.Size goroutines at most, each with a number of its own below
// t.Size. In passes over the same data a part has mostly the same number, and stays in that core's cache. A panic of f
// comes out of Run; f must not call runtime.Goexit.
func (t Team) Run(n int, f func(worker, part int)) {
	size := min(t.Size, n)
	if size <= 1 {
		for i := range n {
			f(0, i)
		}
		return
	}
	j := &job{f: f, shares: make([]share, size)}
	for k := range j.shares {
		j.shares[k].next.Store(int64(n * k / size))
		j.shares[k].end = int64(n * (k + 1) / size)
	}
	// Passes that follow each other are worth waking a worker for, as one large pass is.
	wake := t.wake || now()-lastRun.Load() < awake.Nanoseconds()
	workers := hire(size - 1)
	for _, w := range workers {
		j.enter()
		if !w.offer(j, wake) {
			j.leave()
		}
	}
	defer func() {
		j.stop() // there is something left after a panic of f
		for _, w := range workers {
			if w.job.CompareAndSwap(j, nil) { // it has not begun
				j.leave()
			}
		}
		j.wait()
		lastRun.Store(now())
		if j.panicked != nil {
			panic(j.panicked)
		}
	}()
	j.work(0)
}

// lastRun is when the last job ended.
var lastRun atomic.Int64

var epoch = time.Now()

func now() int64 { return time.Since(epoch).Nanoseconds() }

// job is the parts of a pass, in one share for each of the team.
type job struct {
	f      func(worker, part int)
	shares []share

	engaged atomic.Int64   // workers that were offered the job and have not ended
	end     sync.WaitGroup // waits for them too, asleep

	once     sync.Once
	panicked any // with what, in a worker
}

// share is consecutive parts, on a cache line of its own.
type share struct {
	next atomic.Int64
	end  int64
	_    [48]byte
}

// work does what is left of the worker's own share, then of the others'.
func (j *job) work(worker int) {
	for k := range j.shares {
		s := &j.shares[(worker+k)%len(j.shares)]
		for i := s.next.Add(1) - 1; i < s.end; i = s.next.Add(1) - 1 {
			j.f(worker, int(i))
		}
	}
}

// stop leaves nothing to be begun.
func (j *job) stop() {
	for k := range j.shares {
		s := &j.shares[k]
		s.next.Store(s.end)
	}
}

func (j *job) enter() {
	j.engaged.Add(1)
	j.end.Add(1)
}

func (j *job) leave() {
	j.engaged.Add(-1)
	j.end.Done()
}

// wait waits for all workers, awake at first as parts are short.
func (j *job) wait() {
	for start := now(); j.engaged.Load() > 0; pause() {
		if now()-start > awake.Nanoseconds() {
			j.end.Wait()
			return
		}
	}
}

// worker is a goroutine that waits for jobs.
type worker struct {
	number int
	job    atomic.Pointer[job] // offered; busy while it works; else nil
	asleep atomic.Bool
	wake   chan struct{}
	_      [64]byte
}

// busy stands for the job of a worker that works.
var busy = new(job)

var (
	hiring sync.Mutex
	hired  atomic.Pointer[[]*worker]
)

// hire returns the first n workers, and starts those that are new.
func hire(n int) []*worker {
	if all := hired.Load(); all != nil && len(*all) >= n {
		return (*all)[:n]
	}
	hiring.Lock()
	defer hiring.Unlock()
	var all []*worker
	if old := hired.Load(); old != nil {
		all = append(all, *old...)
	}
	for len(all) < n {
		w := &worker{number: len(all) + 1, wake: make(chan struct{}, 1)}
		all = append(all, w)
		go w.loop()
	}
	hired.Store(&all)
	return all[:n]
}

// offer gives w the job, to be begun soon, unless it has another one or, without wake, sleeps.
func (w *worker) offer(j *job, wake bool) bool {
	if !wake && w.asleep.Load() || !w.job.CompareAndSwap(nil, j) {
		return false
	}
	if w.asleep.Load() && w.asleep.CompareAndSwap(true, false) {
		w.wake <- struct{}{} // there is room: who sets asleep to false is alone in sending, and w receives before it sets it again
	}
	return true
}

func (w *worker) loop() {
	for {
		j := w.await()
		w.do(j)
	}
}

// await returns the next job, as soon as it is offered while w is awake.
func (w *worker) await() *job {
	for {
		for start := now(); now()-start < awake.Nanoseconds(); pause() {
			if j := w.job.Load(); j != nil && w.job.CompareAndSwap(j, busy) {
				return j
			}
		}
		w.asleep.Store(true)
		// An offer that came before that woke nobody.
		if w.job.Load() != nil && w.asleep.CompareAndSwap(true, false) {
			continue
		}
		<-w.wake
	}
}

func (w *worker) do(j *job) {
	defer func() {
		if p := recover(); p != nil {
			j.once.Do(func() { j.panicked = p })
			j.stop()
		}
		w.job.Store(nil)
		j.leave()
	}()
	j.work(w.number)
}
