package hypergrad_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
)

// BenchmarkITDMemory starts ITD anew each time, so that B/op is the memory it holds, against the number of steps.
// A state has d = 500 numbers, twice that for heavy ball.
func BenchmarkITDMemory(b *testing.B) {
	const d = 500
	l := make([]float64, d)
	for i := range l {
		l[i] = 0.1 + float64(i)/d
	}
	p := diagonal(l)
	for _, c := range []struct {
		name string
		m    hypergrad.ITD
	}{
		{"AllIterates", hypergrad.ITD{}},
		{"AllIteratesK50", hypergrad.ITD{Truncate: 50}},
		{"Checkpoints", hypergrad.ITD{Mode: hypergrad.Checkpoints}},
		{"CheckpointsK50", hypergrad.ITD{Mode: hypergrad.Checkpoints, Truncate: 50}},
		{"Forward", hypergrad.ITD{Mode: hypergrad.Forward}},
		{"HeavyBall", hypergrad.ITD{Dynamics: inner.HeavyBall{Step: 0.5}}},
		{"HeavyBallCheckpoint", hypergrad.ITD{Dynamics: inner.HeavyBall{Step: 0.5}, Mode: hypergrad.Checkpoints}},
	} {
		m := c.m
		if m.Dynamics == nil {
			m.Dynamics = inner.GradientDescent{Step: 0.5}
		}
		for _, steps := range []int{100, 400, 1600} {
			b.Run(fmt.Sprintf("%s/t=%d", c.name, steps), func(b *testing.B) {
				m.Steps = steps
				grad, at := make([]float64, 2), bilevel.Point{Z: make([]float64, d), X: make([]float64, 2)}
				b.ReportAllocs()
				for b.Loop() {
					h, err := m.Start(p, nil)
					if err != nil {
						b.Fatal(err)
					}
					clear(at.Z)
					if _, err := h.At(context.Background(), grad, at, hypergrad.Effort{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
