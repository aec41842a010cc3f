package kernel

import "testing"

func TestInitialTier(t *testing.T) {
	best := initialTier("")
	if !Supported(best) || best < AVX512 && Supported(best+1) {
		t.Errorf("initial tier is %v", best)
	}
	for _, tier := range []Tier{Plain, AVX2, AVX512} {
		if got, want := initialTier(tier.String()), min(tier, best); got != want {
			t.Errorf("with limit %v: got %v, want %v", tier, got, want)
		}
	}
}
