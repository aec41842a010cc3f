package main

import (
	"runtime/debug"

	"github.com/bilevel-go/bilevel/dataset"
)

const memoryHelp = "most memory for what is read and learned, such as 2GB or 512MiB (default half of what there is)"

// size is a flag of a number of bytes; 0 is the default.
type size int64

// String is what the help shows.
func (s *size) String() string { return "" }

// Set parses a size.
func (s *size) Set(text string) error {
	n, err := dataset.ParseSize(text)
	*s = size(n)
	return err
}

// Type is what the help calls a value.
func (s *size) Type() string { return "SIZE" }

// bound is the bound for what the command reads. The collector works harder near it, so that what is no more needed
// does not count.
func (s size) bound() *dataset.Memory {
	m := dataset.NewMemory(int64(s))
	debug.SetMemoryLimit(m.Bytes())
	return m
}

// fewBytes are not worth a thought of the collector.
const fewBytes = 32 << 20

// settle gives back what reading so many bytes of rows has left, and has the collector work whenever a twentieth as much is
// no more needed: rows hold no pointers, so that it passes them by.
func settle(bytes int64) {
	if bytes > fewBytes {
		debug.FreeOSMemory()
		debug.SetGCPercent(5)
	}
}
