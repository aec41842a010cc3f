package dataset

import (
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"
)

// What decoders say is told without their names, and remains what it was for errors.Is.
func TestCause(t *testing.T) {
	_, noNumber := strconv.Atoi("1x")
	fault := func() (err error) {
		defer func() { err, _ = recover().(error) }()
		var none []int
		return fmt.Errorf("%d", none[len(none)])
	}()
	for _, c := range []struct {
		err  error
		want string
	}{
		{flate.CorruptInputError(7), "corrupt input before offset 7"},
		{fmt.Errorf("page 2: %w", errors.New("gzip: invalid checksum")), "page 2: invalid checksum"},
		{fmt.Errorf("the head: %w", io.ErrUnexpectedEOF), "the head: it ends early"},
		{errors.New("its head: decoding thrift payload: 4:FIELD<LIST>: missing"), "its head: its structure is wrong"},
		{noNumber, `"1x" is not a number that belongs there`}, {fault, "its structure is wrong"},
		{errors.New("the column is nested"), "the column is nested"},
	} {
		if got := cause(c.err); got.Error() != c.want || !errors.Is(got, c.err) {
			t.Errorf("%q of %q, want %q", got, c.err, c.want)
		}
	}
	if err := asError("f", errors.New("zip: checksum error")); err.Error() != "f: checksum error" {
		t.Error(err)
	}
}
