package model

// SetBlockNumbers changes the bound of the numbers in blocks until the function that it returns is called.
func SetBlockNumbers(n int) (restore func()) {
	old := blockNumbers
	blockNumbers = n
	return func() { blockNumbers = old }
}
