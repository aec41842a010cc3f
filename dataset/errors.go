package dataset

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// Error says what is wrong with data that a user gave, where, and what to do about it. Every error that
// this package returns because of a file's content, name or shape is an *Error, so that a command can tell
// it from a fault of its own: errors.As(err, &e).
type Error struct {
	File   string // file as the user named it, or a set's name; "" if no file is concerned
	Line   int    // 1-based line of a text file; 0 if unknown or the format has no lines
	Row    int    // 1-based row of a format without lines (NPY, IDX, Parquet); 0 if unknown
	Column string // column by name, or by number where it has none; "" if no column is concerned
	Err    error  // what is wrong
	Hint   string // what to do; "" if Err says it
}

// Error is one line: file:line: column "name": what is wrong; what to do.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	if e.Row > 0 {
		fmt.Fprintf(&b, "row %d: ", e.Row)
	}
	if e.Column != "" {
		fmt.Fprintf(&b, "column %q: ", e.Column)
	}
	b.WriteString(e.Err.Error())
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// fail is an *Error about a whole file.
func fail(file, hint, format string, args ...any) *Error {
	return &Error{File: file, Err: fmt.Errorf(format, args...), Hint: hint}
}

// asError returns err as an *Error about file; an *Error that names a file already stays as it is.
func asError(file string, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		if e.File == "" {
			e.File = file
		}
		return e
	}
	return &Error{File: file, Err: cause(err)}
}

// cause is what a decoder says of a file, without the names of packages and their types. It wraps err.
func cause(err error) error {
	text := packages.ReplaceAllString(err.Error(), "")
	var fault runtime.Error // of a decoder that trusts what it reads
	var number *strconv.NumError
	if before, _, ok := strings.Cut(text, structure); ok {
		text = before + "its structure is wrong"
	} else if errors.As(err, &fault) {
		text = "its structure is wrong"
	} else if errors.As(err, &number) {
		text = fmt.Sprintf("%s is not a number that belongs there", quote(number.Num))
	}
	return &caused{strings.Replace(text, "unexpected EOF", "it ends early", 1), err}
}

// structure are words of the decoder of Parquet's structures, which go on with their types.
const structure = "decoding thrift payload"

// packages are what decoders begin their errors with.
var packages = regexp.MustCompile(
	`\b(gzip|zip|flate|lzma|xz|npy|brotli|zstd|snappy|lz4|parquet|bzip2 data invalid|bytes\.Reader\.ReadAt|writeMatch): `)

// caused is an error in other words.
type caused struct {
	text string
	err  error
}

func (c *caused) Error() string { return c.text }
func (c *caused) Unwrap() error { return c.err }

// quote shortens s to something that fits a message.
func quote(s string) string {
	const most = 40
	r := []rune(strings.ToValidUTF8(s, "\uFFFD"))
	if len(r) > most {
		return fmt.Sprintf("%q…", string(r[:most]))
	}
	return fmt.Sprintf("%q", string(r))
}
