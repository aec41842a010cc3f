package mix_test

import (
	"errors"
	"testing"

	"github.com/bilevel-go/bilevel/mix"
	"github.com/bilevel-go/bilevel/tune"
)

// A position of a switch that there is not is an error of its option.
func TestSwitches(t *testing.T) {
	for option, o := range map[string]mix.Options{"scale": {Scale: "maybe"}, "intercept": {Intercept: "maybe"}, "": {}} {
		var wrong *tune.OptionError
		err := o.Check()
		if errors.As(err, &wrong) != (option != "") || wrong != nil && wrong.Option != option {
			t.Errorf("%s: %v", option, err)
		}
	}
}
