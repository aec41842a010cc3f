// Package wait ends waiting for work that cannot be interrupted itself.
package wait

import "context"

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
