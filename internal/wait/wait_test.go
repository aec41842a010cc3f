package wait

import (
	"context"
	"errors"
	"testing"
)

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
