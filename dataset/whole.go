package dataset

import (
	"bytes"
	"io"
)

// whole is all of the content, in memory: for formats that cannot be read from beginning to end.
func (in *input) whole() ([]byte, error) {
	b, err := in.mem.readAll(in)
	if err != nil {
		return nil, asError(in.name, err)
	}
	return b, nil
}

// anywhere is the content and its size for formats that are read at places of their choice: the file itself, or, of a
// stream and of a file that is compressed, what is in memory. It ends with the context.
func (in *input) anywhere() (io.ReaderAt, int64, error) {
	var at io.ReaderAt
	var size int64
	if in.file != nil && in.compressed == "" {
		st, err := in.file.Stat()
		if err != nil {
			return nil, 0, &Error{File: in.name, Err: bare(err)}
		}
		at, size = in.file, st.Size()
	} else {
		b, err := in.whole()
		if err != nil {
			return nil, 0, err
		}
		at, size = bytes.NewReader(b), int64(len(b))
	}
	return readAtFunc(func(p []byte, off int64) (int, error) {
		if err := in.ctx.Err(); err != nil {
			return 0, err
		}
		return at.ReadAt(p, off)
	}), size, nil
}

type readAtFunc func(p []byte, off int64) (int, error)

func (f readAtFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }
