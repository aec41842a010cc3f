package model

// SetBlockNumbers changes the bound of the numbers in blocks until the function that it returns is called.
func SetBlockNumbers(n int) (restore func()) {
	old := blockNumbers
	blockNumbers = n
	return func() { blockNumbers = old }
}

// Represented counts the tasks that hold features of the last representation.
func (r *Representation) Represented() int {
	n := 0
	for _, t := range r.tasks {
		if t.version == r.version {
			n++
		}
	}
	return n
}
