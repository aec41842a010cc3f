package kernel

import (
	"strings"
	"testing"
)

func TestChooseTier(t *testing.T) {
	for best := Plain; best <= AVX512; best++ {
		supported := func(t Tier) bool { return t <= best }
		for _, c := range []struct {
			name string
			want Tier
			err  string
		}{
			{"", best, ""},
			{"plain", Plain, ""},
			{"avx2", AVX2, ""},
			{"avx512", AVX512, ""},
			{"AVX2", best, "none of plain, avx2 and avx512"},
			{"sse", best, "none of plain, avx2 and avx512"},
		} {
			if c.want > best {
				c.want, c.err = best, "lacks"
			}
			got, err := choose(c.name, supported)
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q with %v at best: %v, %v, want %v, %q", c.name, best, got, err, c.want, c.err)
			}
		}
	}
	if best, err := choose("", Supported); err != nil || !Supported(best) || best < AVX512 && Supported(best+1) {
		t.Errorf("the fastest tier is %v, %v", best, err)
	}
}
