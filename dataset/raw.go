package dataset

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"strings"
)

// Raw is a text file of rows as it stands, byte by byte.
type Raw struct {
	Head []byte   // what is above the first row: byte order mark, comments and header
	Rows [][]byte // each with the end of its line, and with empty lines above it
	Tail []byte   // empty lines at the end
	// Names are the cells of the header of CSV, without space around them; nil where there is none.
	Names []string

	comma rune
}

// RawFormats are those of [ReadRaw].
func RawFormats() []string { return []string{"csv", "tsv", "libsvm"} }

// ReadRaw reads the file at path, of one of RawFormats, into memory, decompressed. Its rows are those that [Read] with
// the same options found, before it left some out: [Set].RowNumber(i) − 1 is the place of row i of a set.
func ReadRaw(ctx context.Context, path, format string, o Options) (*Raw, error) {
	mem := newLedger(o.Memory)
	in, err := openFile(ctx, path, mem)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	all, err := io.ReadAll(in)
	if err != nil {
		return nil, asError(in.name, err)
	}
	if err := mem.take(int64(len(all))); err != nil {
		return nil, asError(in.name, err)
	}
	if format == "libsvm" {
		return rawLines(all), nil
	}
	return rawRecords(in.name, all, format, o)
}

// rawLines are the lines with something before a comment.
func rawLines(all []byte) *Raw {
	raw := &Raw{}
	begin := 0
	if bytes.HasPrefix(all, []byte("\xef\xbb\xbf")) {
		begin = 3
		raw.Head = all[:3]
	}
	for at := begin; at < len(all); {
		end := len(all)
		if i := bytes.IndexByte(all[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		text, _, _ := bytes.Cut(all[at:end], []byte("#"))
		if at = end; len(bytes.TrimSpace(text)) > 0 {
			raw.Rows = append(raw.Rows, all[begin:end])
			begin = end
		}
	}
	raw.Tail = all[begin:]
	return raw
}

// rawRecords are the records of CSV, found as readCSV finds them.
func rawRecords(name string, all []byte, format string, o Options) (*Raw, error) {
	text := &input{name: name, Reader: bufio.NewReaderSize(bytes.NewReader(all), 1<<16)}
	if head, _ := text.Peek(3); string(head) == "\xef\xbb\xbf" {
		text.Discard(3)
	}
	if _, err := skipComments(text); err != nil {
		return nil, asError(name, err)
	}
	rest, err := io.ReadAll(text.Reader)
	if err != nil {
		return nil, asError(name, err)
	}
	above := len(all) - len(rest)
	r := csv.NewReader(bytes.NewReader(rest))
	r.FieldsPerRecord, r.ReuseRecord = -1, true
	raw := &Raw{Head: all[:above]}
	if raw.comma = delimiter(rest[:min(len(rest), 1<<15)]); format == "tsv" {
		raw.comma = '\t'
	}
	r.Comma = raw.comma
	for first, at := !o.NoHeader, 0; ; {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			raw.Tail = rest[at:]
			return raw, nil
		} else if err != nil {
			return nil, csvError(name, err)
		}
		end := int(r.InputOffset())
		if first {
			raw.Head, first = all[:above+end], false
			for _, c := range cells {
				raw.Names = append(raw.Names, strings.TrimSpace(c))
			}
		} else {
			raw.Rows = append(raw.Rows, rest[at:end])
		}
		at = end
	}
}

// Cells are those of row i of CSV, and nil of other formats.
func (r *Raw) Cells(i int) []string {
	if r.comma == 0 {
		return nil
	}
	c := csv.NewReader(bytes.NewReader(r.Rows[i]))
	c.Comma = r.comma
	cells, err := c.Read()
	if err != nil {
		return nil
	}
	return cells
}

// Write writes the file with those rows only that are kept. Their bytes are what they were.
func (r *Raw) Write(w io.Writer, kept func(row int) bool) error {
	_, err := w.Write(r.Head)
	for i, row := range r.Rows {
		if err == nil && kept(i) {
			_, err = w.Write(row)
		}
	}
	if err == nil {
		_, err = w.Write(r.Tail)
	}
	return err
}
