package clean

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/methods"
	"github.com/bilevel-go/bilevel/stochastic"
	"github.com/bilevel-go/bilevel/valuefn"
)

// course is how a method learns weights.
type course struct {
	method  bilevel.Method
	batches bool  // consecutive rows are drawn
	every   int64 // steps of a stretch
	// refits says that a model is fitted to the weighted rows before it is judged: z of the method may be another, because
	// a penalty lets the loss of the trusted rows move z too.
	refits bool
}

// course is that of the method on n rows. It must exist.
func (f *fit) course(n int) course {
	m, _ := methods.Lookup(f.o.Method)
	c := course{method: m.Method, every: 1}
	switch m.Kind {
	case methods.Sampled:
		c.batches, c.every = true, max(int64(stretch*n/batch), leastSteps)
	case methods.FullBatch:
		c.every, c.refits = leastFullSteps, true
	}
	// All weights together can travel so far in a stretch, and automatic steps would have to find that out.
	outer := stochastic.Constant(travel * float64(n) / float64(c.every))
	switch m.Method.(type) {
	case stochastic.SABA:
		c.method = stochastic.SABA{OuterStep: outer}
	case stochastic.SOBA:
		c.method = stochastic.SOBA{OuterStep: outer}
	case stochastic.SRBA:
		c.method = stochastic.SRBA{OuterStep: outer}
	case hypergrad.Descent:
		c.method = hypergrad.Descent{Optimizer: hypergrad.Adam{}, Step: 1}
	case valuefn.BOME: // whose z leans towards the trusted rows, and whose steps visit all or many
		c.every, c.refits = leastFullSteps, true
	}
	return c
}
