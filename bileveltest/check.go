package bileveltest

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
)

// A check looks at one property and reports what it finds to r.
type check struct {
	name string
	run  func(r *report)
}

// report collects the findings of one check.
type report struct {
	name string
	errs []error
}

// maxFindings is how much one check says before it is assumed that the rest is more of the same.
const maxFindings = 8

// errorf records a finding, once.
func (r *report) errorf(format string, args ...any) {
	err := fmt.Errorf("%s: "+format, append([]any{r.name}, args...)...)
	if len(r.errs) < maxFindings && !slices.ContainsFunc(r.errs, func(e error) bool { return e.Error() == err.Error() }) {
		r.errs = append(r.errs, err)
	}
}

// do runs the check; a panic is a finding.
func (c check) do() error {
	r := &report{name: c.name}
	func() {
		procs := runtime.GOMAXPROCS(0)
		defer runtime.GOMAXPROCS(procs)
		defer func() {
			if p := recover(); p != nil {
				r.errs = append(r.errs, fmt.Errorf("%s: panic: %v\n%s", r.name, p, debug.Stack()))
			}
		}()
		c.run(r)
	}()
	return errors.Join(r.errs...)
}

func join(checks []check) error {
	var errs []error
	for _, c := range checks {
		errs = append(errs, c.do())
	}
	return errors.Join(errs...)
}

func subtests(t *testing.T, checks []check) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			t.Helper()
			if err := c.do(); err != nil {
				t.Error(err)
			}
		})
	}
}
