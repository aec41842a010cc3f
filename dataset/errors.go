package dataset

import (
	"errors"
	"fmt"
	"strings"
)

// Error says what is wrong with data that a user gave, where, and what to do about it. Every error that
// this package returns because of a file's content, name or shape is an *Error, so that a command can tell
// it from a fault of its own: errors.As(err, &e).
type Error struct {
	File   string // file as the user named it, or a set's name; "" if no file is concerned
	Line   int    // 1-based line of a text file; 0 if unknown or the format has no lines
	Row    int    // 1-based row of a format without lines (NPY, IDX, Parquet, Arrow); 0 if unknown
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
	return &Error{File: file, Err: err}
}

// quote shortens s to something that fits a message.
func quote(s string) string {
	const most = 40
	r := []rune(strings.ToValidUTF8(s, "\uFFFD"))
	if len(r) > most {
		return fmt.Sprintf("%q…", string(r[:most]))
	}
	return fmt.Sprintf("%q", string(r))
}
