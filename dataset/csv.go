package dataset

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What a byte of a record takes in memory at most, where it is a cell, and a column.
const (
	csvFactor   = 128
	columnBytes = 1 << 10
)

const hintUTF8 = "save the file as UTF-8"

// readCSV reads RFC 4180 text with a header, with the delimiter that its start has. Empty lines are passed over. A
// column is numeric if all its cells are finite decimal numbers, and categorical otherwise; see Options.Categorical.
func readCSV(in *input, format string, delimiter func(head []byte) rune, o Options) (*Set, error) {
	if head, _ := in.Peek(3); string(head) == "\xef\xbb\xbf" {
		in.Discard(3)
	}
	comma, above := declaredDelimiter(in)
	comments, err := skipComments(in)
	if err != nil {
		return nil, asError(in.name, err)
	}
	above += comments
	head, _ := in.Peek(headSize)
	if comma == 0 {
		comma = delimiter(head)
	}
	begin := in.lines(csvFactor)
	r := csv.NewReader(in.Reader)
	if r.Comma = comma; comma == ' ' {
		r = csv.NewReader(&blanks{r: in.Reader})
		r.Comma = '\t'
	}
	r.ReuseRecord = true
	r.FieldsPerRecord = -1 // checked here, for a better message
	last := 0              // line of the last record
	failed := func(err error) error {
		if errors.Is(err, errLongRun) {
			e := in.longLine(in.metered.most)
			e.Line = last + above + 1
			return e
		}
		err = csvError(in.name, err)
		var e *Error
		if errors.As(err, &e) && e.Line > 0 {
			e.Line += above
		}
		return err
	}
	first, err := r.Read()
	if err == nil {
		err = in.mem.takeEach(len(first), columnBytes)
	}
	if err != nil {
		return nil, failed(err)
	}
	if _, short := blankTable(head); comma == ' ' && short && !o.NoHeader {
		first = slices.Insert(first, 0, "") // the column of the names of rows has none
	}
	if err := suspectHeader(in.name, head, comma, first); err != nil {
		return nil, err
	}
	line := func() int { last, _ = r.FieldPos(0); return last + above }
	names := make([]string, len(first))
	var pending []string
	pendingLine := line()
	if o.NoHeader {
		s := Schema{}
		for j := range names {
			names[j] = s.unnamed(j)
		}
		pending = first
	} else if names, err = header(in.name, pendingLine, first); err != nil {
		return nil, err
	}
	indices := make([]index, len(names))
	for j, c := range first {
		if c = strings.TrimSpace(c); !o.NoHeader && (c == "" || strings.HasPrefix(c, "Unnamed: ")) {
			indices[j] = nameless
		}
	}
	t, err := newTable(in.name, pendingLine, names, format, o, indices)
	if err != nil {
		return nil, err
	}
	for {
		cells := pending
		pending = nil
		if err := in.mem.err(); err != nil {
			return nil, err
		}
		if begin(); cells == nil {
			if cells, err = r.Read(); err == io.EOF {
				break
			} else if err != nil {
				return nil, failed(err)
			}
		}
		l := line()
		if len(cells) != len(names) {
			if slices.ContainsFunc(cells, func(c string) bool { return strings.Contains(c, "\r") }) {
				return nil, &Error{File: in.name, Line: l, Err: errLoneCR, Hint: hintLoneCR}
			}
			return nil, &Error{File: in.name, Line: l, Hint: "quote cells that hold the delimiter, and fill in cells that are " +
				"missing",
				Err: fmt.Errorf("the row has %d cells where the header has %d", len(cells), len(names))}
		}
		for j, cell := range cells {
			if err := t.columns[j].text(cell, l); err != nil {
				return nil, err
			}
		}
		t.n++
	}
	switch {
	case comments == 1:
		t.note("The line above the header starts with # and was passed over.")
	case comments > 1:
		t.note("%d lines above the header start with # and were passed over.", comments)
	}
	if comma == ' ' {
		t.note("Columns are separated by blanks.")
	}
	return t.set(o)
}

// suspectHeader is an error if the first line is none of column names, as the lines below tell.
func suspectHeader(file string, head []byte, comma rune, first []string) error {
	_, below, _ := bytes.Cut(head, []byte("\n"))
	below = bytes.TrimLeft(below, "\r\n")
	next, _, _ := bytes.Cut(below, []byte("\n"))
	if comma == '|' && len(bytes.Trim(next, "|-: \r")) == 0 && bytes.Contains(next, []byte("-")) {
		return fail(file, "write it as CSV", "is a table of Markdown")
	}
	if len(first) > 1 {
		return nil
	}
	if delimited := bytes.ContainsRune(next, delimiter(below)) && len(bytes.TrimSpace(next)) > 0; delimited {
		return &Error{File: file, Line: 1, Err: errors.New("the first line has one cell, and the next ones have more"),
			Hint: "remove what is above the column names, or begin such lines with #"}
	}
	return &Error{File: file, Line: 1, Err: errors.New("there is one column, and no feature column besides the label"),
		Hint: "separate columns by commas, semicolons, tabs, bars or blanks"}
}

// declaredDelimiter is that of a line such as sep=; at the top, as Excel has it, which is passed over; 0 without one.
func declaredDelimiter(in *input) (comma rune, lines int) {
	head, _ := in.Peek(16)
	line, _, ended := bytes.Cut(head, []byte("\n"))
	word := strings.Trim(strings.TrimSuffix(string(line), "\r"), `"`)
	if !ended || len(word) != 5 || !strings.EqualFold(word[:4], "sep=") || strings.IndexByte(",;\t|", word[4]) < 0 {
		return 0, 0
	}
	in.Discard(len(line) + 1)
	return rune(word[4]), 1
}

// skipComments passes over lines above the header that start with '#', and says how many there were. A line of as many
// cells as the one below them is the header.
func skipComments(in *input) (lines int, err error) {
	head, _ := in.Peek(headSize)
	size := 0
	for bytes.HasPrefix(head[size:], []byte("#")) {
		end := bytes.IndexByte(head[size:], '\n')
		if end < 0 {
			return 0, nil // one line, or a long one: no comment
		}
		size += end + 1
		lines++
	}
	if lines == 0 || len(bytes.TrimSpace(head[size:])) == 0 {
		return 0, nil
	}
	last := head[bytes.LastIndexByte(head[:size-1], '\n')+1 : size]
	next := head[size:]
	if i := bytes.IndexByte(next, '\n'); i >= 0 {
		next = next[:i]
	}
	if is, _ := blankTable(head[size:]); is {
		// savetxt of numpy writes a header as a comment, and numbers below.
		below := bytes.Fields(next)
		named := !slices.ContainsFunc(below, func(c []byte) bool { _, ok := parseFloat(string(c)); return ok })
		switch cells := blankCells(last); {
		case named:
		case cells == len(below):
			size -= len(last)
			lines--
		case cells == len(below)+1:
			size -= len(bytes.TrimPrefix(last, []byte("#")))
			lines--
		}
	} else if comma := string(delimiter(next)); bytes.Count(last, []byte(comma)) == bytes.Count(next, []byte(comma)) {
		size -= len(last)
		lines--
	}
	_, err = in.Discard(size)
	return lines, err
}

func tab([]byte) rune { return '\t' }

// headSize is how much of a file is looked at to see what it is.
const headSize = 1 << 15

// delimiter is the one of comma, semicolon, tab and bar that the header has most of, outside quotes, or a space where
// there is none of them and spaces separate columns.
func delimiter(head []byte) rune {
	all := head
	if i := bytes.IndexByte(head, '\n'); i >= 0 {
		head = head[:i]
	}
	count := make(map[rune]int)
	quoted := false
	for _, c := range string(head) {
		if c == '"' {
			quoted = !quoted
		}
		if !quoted {
			count[c]++
		}
	}
	best := ','
	for _, c := range ";\t|" {
		if count[c] > count[best] {
			best = c
		}
	}
	if is, _ := blankTable(all); is && count[best] == 0 {
		return ' '
	}
	return best
}

// header checks column names; an empty one becomes columnN.
func header(file string, line int, cells []string) ([]string, error) {
	names := make([]string, len(cells))
	at := make(map[string]int)
	if !slices.ContainsFunc(cells, func(c string) bool { _, ok := parseFloat(c); return !ok }) {
		return nil, &Error{File: file, Line: line, Hint: "give --no-header, or put a line with column names at the top",
			Err: errors.New("the first line is not a header: all its cells are numbers")}
	}
	for j, c := range cells {
		if !utf8.ValidString(c) {
			return nil, &Error{File: file, Line: line, Err: fmt.Errorf("the column name %s is not UTF-8 text", quote(c)),
				Hint: hintUTF8}
		}
		names[j] = strings.TrimSpace(c)
		if names[j] == "" {
			names[j] = "column" + strconv.Itoa(j+1)
		}
		if first, ok := at[names[j]]; ok {
			return nil, &Error{File: file, Line: line, Column: names[j], Hint: hintNames,
				Err: fmt.Errorf("columns %d and %d have the same name", first+1, j+1)}
		}
		at[names[j]] = j
	}
	return names, nil
}

// csvError turns an error of encoding/csv, or of reading, into an *Error.
func csvError(file string, err error) error {
	var p *csv.ParseError
	switch {
	case err == io.EOF:
		return noRows(file)
	case errors.Is(err, bufio.ErrTooLong):
		return fail(file, "check that it is CSV text", "a line is too long")
	case errors.As(err, &p):
		e := &Error{File: file, Line: p.Line, Err: p.Err}
		switch {
		case errors.Is(p.Err, csv.ErrQuote):
			e.Err = fmt.Errorf("a quote is not closed, or has text behind it (byte %d of the line)", p.Column)
			e.Hint = `write a quote inside a quoted cell as ""`
			if p.StartLine != p.Line {
				e.Line = p.StartLine
			}
		case errors.Is(p.Err, csv.ErrBareQuote):
			e.Err = fmt.Errorf("a quote in a cell without quotes (byte %d of the line)", p.Column)
			e.Hint = `put the cell in quotes and write the quote as ""`
		}
		return e
	}
	return asError(file, err)
}
