package pool

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func setProcs(t testing.TB, n int) {
	old := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(old) })
}

// spin is some work, whose result is kept where compilers do not see it.
func spin(n int) float64 {
	s := 1.0
	for range n {
		s = s*.999 + 1
	}
	spun.Store(math.Float64bits(s))
	return s
}

var spun atomic.Uint64

// Every part is done once, and no two goroutines have the same number at a time.
func TestRunDoesEveryPartOnce(t *testing.T) {
	for _, procs := range []int{1, 2, 3, 8} {
		setProcs(t, procs)
		for _, work := range []int{0, least, large} {
			team := For(work)
			if want := map[int]int{0: 1, least: min(procs, 2), large: procs}[work]; team.Size != want {
				t.Fatalf("GOMAXPROCS %d, work %d: a team of %d, want %d", procs, work, team.Size, want)
			}
			for n := range 40 {
				done := make([]int, n)
				inUse := make([]atomic.Bool, team.Size)
				team.Run(n, func(worker, i int) {
					if inUse[worker].Swap(true) {
						t.Errorf("two goroutines with number %d", worker)
					}
					done[i]++
					spin(1000)
					inUse[worker].Store(false)
				})
				for i, d := range done {
					if d != 1 {
						t.Fatalf("GOMAXPROCS %d, work %d: part %d of %d was done %d times", procs, work, i, n, d)
					}
				}
			}
		}
	}
}

// Two parts that wait for each other need two goroutines.
func TestLargeJobsAreShared(t *testing.T) {
	setProcs(t, 3)
	for range 3 {
		var begun atomic.Int32
		For(large).Run(2, func(int, int) {
			begun.Add(1)
			for begun.Load() < 2 {
				runtime.Gosched()
			}
		})
		time.Sleep(time.Millisecond) // workers sleep again
	}
}

// Passes that follow each other get a worker though each is small.
func TestSequencesOfPassesAreShared(t *testing.T) {
	setProcs(t, 2)
	For(large).Run(2, func(int, int) {}) // hires
	sleeping(t)
	shared := false
	for start := time.Now(); !shared && time.Since(start) < 10*time.Second; {
		For(least).Run(8, func(int, int) {
			spin(1000)
		})
		shared = !(*hired.Load())[0].asleep.Load()
	}
	if !shared {
		t.Error("the worker never woke up")
	}
}

// sleeping waits until all workers sleep.
func sleeping(t *testing.T) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		awake := 0
		if all := hired.Load(); all != nil {
			for _, w := range *all {
				if !w.asleep.Load() {
					awake++
				}
			}
		}
		if awake == 0 {
			return
		}
		if time.Since(start) > 10*time.Second {
			t.Fatalf("%d workers are awake without work", awake)
		}
	}
}

func TestIdleWorkersSleep(t *testing.T) {
	setProcs(t, 4)
	For(large).Run(100, func(int, int) { spin(1000) })
	sleeping(t)
}

// A small job does not wake a worker, and a job does not wait for one that is busy.
func TestJobsDoNotWaitForWorkers(t *testing.T) {
	setProcs(t, 2)
	For(large).Run(2, func(int, int) {})
	sleeping(t)
	lastRun.Store(0)
	For(least).Run(2, func(worker, _ int) {
		if worker != 0 {
			t.Errorf("a small job was done by worker %d", worker)
		}
	})
	sleeping(t)

	release, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	go For(large).Run(2, func(int, int) {
		once.Do(func() { close(held) })
		<-release
	})
	<-held
	for i := range 20 { // soon both goroutines of the first job wait
		total := 0.0
		For(large).Run(1, func(int, int) { total += spin(100) })
		For(large).Run(10, func(_, i int) { spin(100) })
		time.Sleep(time.Duration(i) * time.Microsecond * 100)
	}
	close(release)
}

// Users in several goroutines, with jobs in jobs.
func TestUsersAtTheSameTime(t *testing.T) {
	setProcs(t, 3)
	var wg sync.WaitGroup
	for user := range 4 {
		wg.Go(func() {
			for round := range 200 {
				sums := make([]int, 9)
				For(large).Run(len(sums), func(_, i int) {
					part := make([]int, 7)
					For(large).Run(len(part), func(_, k int) { part[k] = k + i + user })
					for _, p := range part {
						sums[i] += p
					}
				})
				for i, s := range sums {
					if want := 21 + 7*(i+user); s != want {
						t.Errorf("user %d, round %d, part %d: %d, want %d", user, round, i, s, want)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// A panic in any part comes out of Run, once nobody works on the job any more; then the pool goes on.
func TestPanicComesOut(t *testing.T) {
	setProcs(t, 2)
	for range 20 {
		for _, by := range []int{0, 1} {
			var begun, running atomic.Int32
			got := func() (p any) {
				defer func() { p = recover() }()
				For(large).Run(2, func(worker, _ int) {
					begun.Add(1)
					for begun.Load() < 2 { // both work
						runtime.Gosched()
					}
					if worker == by {
						panic(fmt.Sprint("by ", worker))
					}
					running.Add(1)
					spin(10000)
					running.Add(-1)
				})
				return nil
			}()
			if want := fmt.Sprint("by ", by); got != want {
				t.Fatalf("recovered %v, want %v", got, want)
			}
			if r := running.Load(); r != 0 {
				t.Fatalf("%d goroutines still work", r)
			}
		}
	}
	count := 0
	Team{Size: 1}.Run(3, func(int, int) { count++ })
	var shared atomic.Int32
	For(large).Run(1000, func(int, int) { shared.Add(1) })
	if count != 3 || shared.Load() != 1000 {
		t.Errorf("after panics %d and %d parts were done", count, shared.Load())
	}
}

// BenchmarkRun is what sharing costs, with parts that do nothing, and what it brings, with two that do some work. The
// least time is that of an undisturbed run.
func BenchmarkRun(b *testing.B) {
	var sink [2][16]float64
	for _, n := range []int{0, 1000, 3000, 10000, 30000, 100000} {
		for _, team := range []Team{{Size: 1}, {Size: 2}} {
			b.Run(fmt.Sprintf("work=%d/team=%d", n, team.Size), func(b *testing.B) {
				least := time.Hour
				for b.Loop() {
					start := time.Now()
					team.Run(2, func(_, i int) { sink[i][0] = spin(n) })
					least = min(least, time.Since(start))
				}
				b.ReportMetric(float64(least.Nanoseconds()), "least-ns")
			})
		}
	}
}
