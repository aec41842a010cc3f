package dataset

// isIDX says whether head starts an IDX file: two zeros, a type and a number of dimensions.
func isIDX(head []byte) bool {
	return len(head) >= 4 && head[0] == 0 && head[1] == 0 && idxSize(head[2]) > 0 && head[3] >= 1 && head[3] <= 8
}

// idxSize is the number of bytes of a value of an IDX type; 0 if there is no such type.
func idxSize(kind byte) int {
	switch kind {
	case 0x08, 0x09:
		return 1
	case 0x0b:
		return 2
	case 0x0c, 0x0d:
		return 4
	case 0x0e:
		return 8
	}
	return 0
}
