// Package wait ends waiting for work that cannot be interrupted itself, and gives work a little time to end in order.
package wait

import (
	"context"
	"time"
)

// How long what a result needs may go on: after a cancellation, and beyond a limit that is not long.
const (
	grace = 200 * time.Millisecond
	least = 50 * time.Millisecond
)

// Budget returns the context of work, which ends with ctx or when the time most, counted from begin, is over (0 for no
// bound), and that of what a result cannot do without, which ends a little later.
func Budget(ctx context.Context, begin time.Time, most time.Duration) (work, closing context.Context, cancel func()) {
	closing, end := Longer(ctx)
	if most <= 0 {
		return ctx, closing, end
	}
	work, endWork := context.WithDeadline(ctx, begin.Add(most))
	closing, endClosing := context.WithDeadline(closing, begin.Add(most+max(most/20, least)))
	return work, closing, func() { endWork(); endClosing(); end() }
}

// Earlier is ctx until so long before its deadline; ctx itself if it has none.
func Earlier(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if end, limited := ctx.Deadline(); limited {
		return context.WithDeadline(ctx, end.Add(-d))
	}
	return ctx, func() {}
}

// Longer is a context that ends a little later than ctx.
func Longer(ctx context.Context) (context.Context, context.CancelFunc) {
	c, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return c, func() { stop(); cancel() }
}

// For returns what f returns, or the cause of ctx as soon as that ends. f then goes on in its goroutine until it
// notices, which may be never: opening a pipe takes as long as nobody opens its other end. What it would have returned
// is dropped.
func For[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		if r.err != nil && ctx.Err() != nil {
			r.err = context.Cause(ctx) // what it met with on its way may be a consequence
		}
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
