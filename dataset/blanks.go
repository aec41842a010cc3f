package dataset

import (
	"bytes"
	"io"
	"strings"
)

// blankTable says whether head, the start of a file, is a table whose columns are separated by runs of spaces, as
// numpy.savetxt and write.table of R write: all lines but comments have as many cells, two at least, but the header may
// be without one for the names of rows.
func blankTable(head []byte) (is, short bool) {
	const enough = 100
	var first, others, lines int
	for line := range bytes.Lines(head) {
		if lines > enough || len(head) >= headSize && line[len(line)-1] != '\n' { // it is cut off
			break
		}
		n := blankCells(line)
		switch {
		case n == 0 && len(bytes.TrimSpace(line)) == 0, line[0] == '#':
			continue
		case n == 0:
			return false, false
		case lines == 0:
			first = n
		case lines == 1:
			others = n
		case n != others:
			return false, false
		}
		lines++
	}
	short = first == others-1
	return lines > 1 && others > 1 && (first == others || short), short
}

// blankCells counts the cells of a line that are separated by blanks; 0 where another delimiter is outside quotes.
func blankCells(line []byte) (n int) {
	b := &blanks{r: bytes.NewReader(line)}
	text, _ := io.ReadAll(b)
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return 0
	}
	quoted := false
	for _, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\t':
			n++
		case strings.IndexByte(",;|", c) >= 0:
			return 0
		}
	}
	return n + 1
}

// blanks makes a tab of each run of blanks between two cells, and nothing of those at both ends of a line. Those in
// cells in quotes stay. It is read with room for two bytes at least.
type blanks struct {
	r io.Reader

	inside bool // something of the line is there
	gap    bool // there were blanks
	quoted bool
	closed bool // the byte before ended the quotes
}

func (b *blanks) Read(p []byte) (n int, err error) {
	from := p[min(1, len(p)-1):] // in front of it is room for a tab that is left of the time before
	for n == 0 && err == nil {
		var k int
		k, err = b.r.Read(from)
		for _, c := range from[:k] {
			closed := b.closed
			b.closed = false
			switch {
			case b.quoted:
				b.quoted, b.closed = c != '"', c == '"'
			case c == ' ' || c == '\t':
				b.gap = b.inside
				continue
			case c == '\n' || c == '\r':
				b.inside, b.gap = false, false
			default:
				b.quoted = c == '"' && (closed || b.gap || !b.inside)
				if b.gap {
					p[n] = '\t'
					n++
				}
				b.inside, b.gap = true, false
			}
			p[n] = c
			n++
		}
	}
	return n, err
}
