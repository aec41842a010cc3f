package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// A Parquet file says how long its parts are, and the decoder makes room for what it says. checkParquet makes sure that
// the file can hold so much.

// room is the most rows in a file of size bytes, and the most values and decompressed bytes in a page of it. A table
// that compresses better holds next to nothing.
func room(size int64) int64 { return blockBytes + 1000*min(size, math.MaxInt64/2000) }

// checkParquet walks through the metadata and the heads of all pages of a file of size bytes.
func checkParquet(at io.ReaderAt, size int64) error {
	var meta format.FileMetaData
	var end [8]byte // the length of the metadata before it, and a magic
	if size < 12 {
		return io.ErrUnexpectedEOF
	}
	if _, err := at.ReadAt(end[:], size-8); err != nil {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(end[:]))
	if n > size-12 {
		return fmt.Errorf("metadata of %d bytes in a file of %d", n, size)
	}
	foot := make([]byte, n)
	if _, err := at.ReadAt(foot, size-8-n); err != nil {
		return err
	}
	if _, err := decodeThrift(foot, &meta); err != nil {
		return fmt.Errorf("its metadata: %w", err)
	}
	rows := int64(0)
	for _, g := range meta.RowGroups {
		if g.NumRows < 0 || g.NumRows > room(size)-rows {
			return fmt.Errorf("%d rows in %d bytes", g.NumRows, size)
		}
		rows += g.NumRows
		for _, c := range g.Columns {
			if err := checkPages(at, size, &c.MetaData); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkPages walks through the pages of a column in one group of rows.
func checkPages(at io.ReaderAt, size int64, c *format.ColumnMetaData) error {
	from := c.DataPageOffset
	if c.DictionaryPageOffset != 0 {
		from = c.DictionaryPageOffset
	}
	if from < 0 || c.TotalCompressedSize < 0 || c.TotalCompressedSize > size || from > size-c.TotalCompressedSize {
		return fmt.Errorf("a column of %d bytes at %d in a file of %d", c.TotalCompressedSize, from, size)
	}
	for to := from + c.TotalCompressedSize; from < to; {
		head, length, err := pageHead(at, from, to)
		if err != nil {
			return fmt.Errorf("the head of a page: %w", err)
		}
		packed, unpacked := int64(head.CompressedPageSize), int64(head.UncompressedPageSize)
		values, most := int64(0), room(size)
		switch {
		case head.DictionaryPageHeader.Valid:
			values, most = int64(head.DictionaryPageHeader.V.NumValues), unpacked
		case head.DataPageHeader.Valid:
			values = int64(head.DataPageHeader.V.NumValues)
		case head.DataPageHeaderV2.Valid:
			values = int64(head.DataPageHeaderV2.V.NumValues)
		}
		from += length
		if packed < 0 || packed > to-from || unpacked < 0 || unpacked > room(size) || values < 0 || values > most {
			return fmt.Errorf("a page of %d values in %d bytes, compressed %d", values, unpacked, packed)
		}
		from += packed
	}
	return nil
}

// pageHead reads the head of a page, which may be as long as the strings in its statistics.
func pageHead(at io.ReaderAt, from, to int64) (head *format.PageHeader, length int64, err error) {
	for window := int64(1 << 12); ; window *= 8 {
		b := make([]byte, min(window, to-from))
		if _, err := at.ReadAt(b, from); err != nil {
			return nil, 0, err
		}
		head = new(format.PageHeader)
		n, err := decodeThrift(b, head)
		if err == nil || !errors.Is(err, io.ErrUnexpectedEOF) || window >= to-from {
			return head, int64(n), err
		}
	}
}

// decodeThrift decodes a structure of Thrift's compact protocol from the beginning of b and says how long it is.
func decodeThrift(b []byte, v any) (length int, err error) {
	rest, err := skipThrift(b, thriftStruct, 0)
	if err != nil {
		return 0, err
	}
	length = len(b) - len(rest)
	var p thrift.CompactProtocol
	return length, thrift.Unmarshal(&p, b[:length], v)
}

// Types of Thrift's compact protocol.
const (
	thriftTrue = iota + 1
	thriftFalse
	thriftInt8
	thriftInt16
	thriftInt32
	thriftInt64
	thriftDouble
	thriftBinary
	thriftList
	thriftSet
	thriftMap
	thriftStruct
	thriftUUID
)

var errThrift = errors.New("it is not well-formed")

// thriftDepth is how deep structures may be nested; those of Parquet are within ten.
const thriftDepth = 32

// skipThrift returns what follows a value, all of whose parts are within b.
func skipThrift(b []byte, typ byte, depth int) ([]byte, error) {
	skip := func(n uint64) ([]byte, error) {
		if n > uint64(len(b)) {
			return nil, io.ErrUnexpectedEOF
		}
		return b[n:], nil
	}
	number := func() (uint64, error) {
		u, n := binary.Uvarint(b)
		if n == 0 {
			return 0, io.ErrUnexpectedEOF
		} else if n < 0 {
			return 0, errThrift
		}
		b = b[n:]
		return u, nil
	}
	next := func() (byte, error) {
		if len(b) == 0 {
			return 0, io.ErrUnexpectedEOF
		}
		c := b[0]
		b = b[1:]
		return c, nil
	}
	// items skips pairs of a key and a value, or values alone, each of which takes a byte at least.
	items := func(n uint64, types ...byte) ([]byte, error) {
		if n > uint64(len(b)) {
			return nil, io.ErrUnexpectedEOF
		}
		for range n {
			for _, t := range types {
				if t == thriftTrue || t == thriftFalse {
					t = thriftInt8 // outside a structure they are bytes
				}
				var err error
				if b, err = skipThrift(b, t, depth+1); err != nil {
					return nil, err
				}
			}
		}
		return b, nil
	}
	if depth > thriftDepth {
		return nil, errThrift
	}
	switch typ {
	case thriftTrue, thriftFalse:
		return b, nil
	case thriftInt8:
		return skip(1)
	case thriftInt16, thriftInt32, thriftInt64:
		_, err := number()
		return b, err
	case thriftDouble:
		return skip(8)
	case thriftUUID:
		return skip(16)
	case thriftBinary:
		n, err := number()
		if err != nil {
			return nil, err
		}
		return skip(n)
	case thriftList, thriftSet:
		head, err := next()
		n := uint64(head >> 4)
		if err == nil && n == 15 {
			n, err = number()
		}
		if err != nil {
			return nil, err
		}
		return items(n, head&15)
	case thriftMap:
		n, err := number()
		if err != nil || n == 0 {
			return b, err
		}
		kinds, err := next()
		if err != nil {
			return nil, err
		}
		return items(n, kinds>>4, kinds&15)
	case thriftStruct:
		for {
			head, err := next()
			if err != nil || head == 0 {
				return b, err
			}
			if head>>4 == 0 { // the field's number, and not what to add to the last one
				if _, err := number(); err != nil {
					return nil, err
				}
			}
			if b, err = skipThrift(b, head&15, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return nil, errThrift
}
