package pool

// pause takes some fifty nanoseconds in which a core that has two threads leaves its units to the other one.
//
//go:noescape
func pause()
