package dataset

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
)

// headBytes is the most of a stream that Columns looks at.
const headBytes = 4 << 20

// errColumns ends the reading of a file of which only the names of columns are asked for.
var errColumns = errors.New("dataset: the names of columns are known")

// Columns returns the names of all columns of the file path, in its order, and none where the format knows no names. It
// looks at the start of the file alone, or at what the format has instead, and takes no pipe. Of the options only those
// count that say how a header is found: Format and NoHeader.
func Columns(ctx context.Context, path string, o Options) ([]string, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, &Error{File: path, Err: bare(err)}
	} else if !info.Mode().IsRegular() {
		return nil, fail(path, "", "this is no regular file")
	}
	var names []string
	o = Options{Format: o.Format, NoHeader: o.NoHeader, columns: &names}
	_, err := reading(ctx, path, func() (*Set, error) {
		in, err := openFile(ctx, path)
		if err != nil {
			return nil, err
		}
		defer in.Close()
		if f, err := formatOf(in, o); err != nil || !f.columns {
			return nil, err
		}
		in.Reader = bufio.NewReaderSize(io.LimitReader(in.Reader, headBytes), 1<<17)
		return read(in, o)
	})
	if errors.Is(err, errColumns) {
		return names, nil
	}
	return nil, err
}
