package wait

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestLonger(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	after, cancel := Longer(ctx)
	defer cancel()
	other, stop := Longer(ctx)
	if stop(); other.Err() == nil {
		t.Error("goes on after its own end")
	}
	time.Sleep(time.Millisecond)
	if after.Err() != nil {
		t.Error("ends before")
	}
	begin := time.Now()
	end()
	<-after.Done()
	if spent := time.Since(begin); spent < grace {
		t.Errorf("ended %v after the context", spent)
	}
}

func TestBudget(t *testing.T) {
	begin := time.Now()
	work, closing, cancel := Budget(t.Context(), begin, time.Hour)
	end, _ := work.Deadline()
	last, _ := closing.Deadline()
	if end.Sub(begin) != time.Hour || last.Sub(end) != 3*time.Minute {
		t.Error(begin, end, last)
	}
	earlier, stop := Earlier(work, time.Minute)
	if e, _ := earlier.Deadline(); end.Sub(e) != time.Minute {
		t.Error(e)
	}
	stop()
	if cancel(); work.Err() == nil || closing.Err() == nil {
		t.Error("goes on")
	}
	ctx, interrupt := context.WithCancel(t.Context())
	work, closing, cancel = Budget(ctx, begin, 0)
	defer cancel()
	if interrupt(); work.Err() == nil || closing.Err() != nil {
		t.Error(work.Err(), closing.Err())
	}
	if c, _ := Earlier(ctx, time.Hour); c != ctx {
		t.Error("a context without a deadline")
	}
	<-closing.Done()
}

func TestFor(t *testing.T) {
	if v, err := For(t.Context(), func() (int, error) { return 3, nil }); v != 3 || err != nil {
		t.Error(v, err)
	}
	failed := errors.New("failed")
	if v, err := For(t.Context(), func() (int, error) { return 3, failed }); v != 3 || err != failed {
		t.Error(v, err)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	never := make(chan struct{})
	defer close(never)
	if v, err := For(ctx, func() (int, error) { cancel(enough); <-never; return 3, nil }); v != 0 || err != enough {
		t.Error(v, err)
	}
	ctx, cancel = context.WithCancelCause(t.Context())
	if _, err := For(ctx, func() (int, error) { cancel(enough); return 0, failed }); err != enough {
		t.Error(err)
	}
}
