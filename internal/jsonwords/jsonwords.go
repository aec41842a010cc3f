// Package jsonwords says in words of a file what encoding/json says in words of Go.
package jsonwords

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Explain is err, of decoding text, in words of the file. line is the place from 1, or 0 where the error has none or
// text is a single line.
func Explain(text []byte, err error) (line int, said error) {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return 0, errors.New("it is not JSON, or cut off")
	case errors.As(err, &syntax):
		return lineOf(text, syntax.Offset), fmt.Errorf("it is not JSON, or cut off: byte %d does not fit", syntax.Offset)
	case errors.As(err, &kind) && kind.Field == "":
		return lineOf(text, kind.Offset), fmt.Errorf("it holds %s where %s belongs", article(kind.Value), belongs(kind.Type))
	case errors.As(err, &kind):
		return lineOf(text, kind.Offset), fmt.Errorf("%q holds %s, which does not belong there", kind.Field,
			article(kind.Value))
	}
	// An unknown field has no type of its own.
	if key, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return 0, fmt.Errorf("the key %s is unknown", key)
	}
	return 0, errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

// belongs says what a type is made of.
func belongs(t reflect.Type) string {
	if t.Kind() == reflect.Struct || t.Kind() == reflect.Map {
		return "a JSON object"
	}
	return "another value"
}

func lineOf(text []byte, offset int64) int {
	if bytes.IndexByte(bytes.TrimSpace(text), '\n') < 0 {
		return 0
	}
	return 1 + bytes.Count(text[:min(max(offset-1, 0), int64(len(text)))], []byte("\n"))
}

// article is a kind of JSON value with its article.
func article(kind string) string {
	switch kind {
	case "array", "object":
		return "an " + kind
	case "bool":
		return "true or false"
	}
	return "a " + kind
}
