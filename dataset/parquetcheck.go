package dataset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// A Parquet file says how long its parts are, and the decoder makes room for what it says. checkParquet makes sure that
// the file can hold so much.

// What the decoder takes: the share of the memory that a page may have, which is there packed and unpacked, and what a
// structure of metadata is in bytes, about.
const (
	pageShare   = 8
	structBytes = 1 << 10
)

// room is the most rows in a file of size bytes, and the most values and decompressed bytes in a page of it. A table
// that compresses better holds next to nothing.
func room(size int64) int64 { return blockBytes + 1000*min(size, math.MaxInt64/2000) }

// checkParquet walks through the metadata and the pages of a file of size bytes. It returns the file that the decoder
// is given, which is another one where columns are compressed by LZ4: the decoder takes wrong bytes of those, and so
// they are decompressed here.
func checkParquet(at io.ReaderAt, size int64, mem *ledger) (io.ReaderAt, int64, error) {
	f := parquetCheck{at: at, size: size, mem: mem}
	defer f.close()
	if err := f.check(); err != nil || f.out == nil {
		return at, size, err
	}
	return bytes.NewReader(f.out.Bytes()), int64(f.out.Len()), nil
}

// isLZ4 says whether a codec is one of the two.
func isLZ4(codec format.CompressionCodec) bool { return codec == format.Lz4Raw || codec == format.Lz4 }

func (f *parquetCheck) check() error {
	at, size := f.at, f.size
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
	if err := f.mem.take(n); err != nil {
		return err
	}
	foot := make([]byte, n)
	if _, err := at.ReadAt(foot, size-8-n); err != nil {
		return err
	}
	if _, _, err := decodeThrift(foot, &meta, f.mem); err != nil {
		return fmt.Errorf("its metadata: %w", err)
	}
	leaves := 0
	for i, e := range meta.Schema {
		if i > 0 && e.NumChildren.V == 0 {
			leaves++
		}
	}
	rows := int64(0)
	for _, g := range meta.RowGroups {
		if slices.ContainsFunc(g.Columns, func(c format.ColumnChunk) bool { return isLZ4(c.MetaData.Codec) }) {
			f.out = bytes.NewBufferString("PAR1")
		}
	}
	for _, g := range meta.RowGroups {
		if len(g.Columns) != leaves {
			return fmt.Errorf("%d columns of %d", len(g.Columns), leaves)
		}
		if g.NumRows < 0 || g.NumRows > room(size)-rows {
			return fmt.Errorf("%d rows in %d bytes", g.NumRows, size)
		}
		rows += g.NumRows
		for j := range g.Columns {
			c := &g.Columns[j]
			// The decoder takes that of the first group for all.
			if first := meta.RowGroups[0].Columns[j].MetaData.Codec; c.MetaData.Codec != first {
				return fmt.Errorf("a column compressed by %v and by %v", first, c.MetaData.Codec)
			}
			if err := f.checkPages(&c.MetaData); err != nil {
				return err
			}
		}
	}
	if f.out == nil {
		return nil
	}
	for _, g := range meta.RowGroups {
		for j := range g.Columns {
			c := &g.Columns[j]
			if isLZ4(c.MetaData.Codec) {
				c.MetaData.Codec = format.Uncompressed
			}
			c.ColumnIndexOffset, c.OffsetIndexOffset, c.MetaData.BloomFilterOffset = 0, 0, 0
		}
	}
	foot, err := thrift.Marshal(new(thrift.CompactProtocol), &meta)
	if err != nil {
		return err
	}
	f.out.Write(foot)
	f.out.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(foot))))
	f.out.WriteString("PAR1")
	return nil
}

// parquetCheck is a file that is checked.
type parquetCheck struct {
	at     io.ReaderAt
	size   int64
	mem    *ledger
	zstd   *zstd.Decoder // when it is needed
	packed []byte        // a page
	whole  []byte        // it, decompressed
	out    *bytes.Buffer // the file with the columns decompressed that the decoder does not read; nil if it reads all
}

func (f *parquetCheck) close() {
	if f.zstd != nil {
		f.zstd.Close()
	}
}

// checkPages walks through the pages of a column in one group of rows.
func (f *parquetCheck) checkPages(c *format.ColumnMetaData) error {
	size, from := f.size, c.DataPageOffset
	if c.DictionaryPageOffset != 0 {
		from = c.DictionaryPageOffset
	}
	if from < 0 || c.TotalCompressedSize < 0 || c.TotalCompressedSize > size || from > size-c.TotalCompressedSize {
		return fmt.Errorf("a column of %d bytes at %d in a file of %d", c.TotalCompressedSize, from, size)
	}
	start, data := 0, -1 // of the column in out, and of its first page with values
	if f.out != nil {
		start = f.out.Len()
	}
	for to := from + c.TotalCompressedSize; from < to; {
		head, length, err := f.pageHead(from, to)
		if err != nil {
			return fmt.Errorf("the head of a page: %w", err)
		}
		packed, unpacked := int64(head.CompressedPageSize), int64(head.UncompressedPageSize)
		values, most := int64(0), room(size)
		levels := int64(0) // bytes before those that are compressed
		switch {
		case head.DictionaryPageHeader.Valid:
			values, most = int64(head.DictionaryPageHeader.V.NumValues), unpacked
		case head.DataPageHeader.Valid:
			values = int64(head.DataPageHeader.V.NumValues)
		case head.DataPageHeaderV2.Valid:
			h := head.DataPageHeaderV2.V
			values, levels = int64(h.NumValues), int64(h.RepetitionLevelsByteLength)+int64(h.DefinitionLevelsByteLength)
			if h.IsCompressed.Valid && !h.IsCompressed.V {
				levels = packed
			}
		}
		headAt := from
		if max(packed, unpacked) > f.mem.part(pageShare) || values > f.mem.part(4*pageShare) {
			return tooMuch(f.mem.m.most)
		}
		from += length
		within := func(n, most int64) bool { return n >= 0 && n <= most }
		if !(within(packed, to-from) && within(unpacked, room(size)) && within(values, most) && within(levels, packed)) {
			return fmt.Errorf("a page of %d values in %d bytes, compressed %d", values, unpacked, packed)
		}
		if err := f.checkPacked(c.Codec, from+levels, packed-levels, unpacked-levels); err != nil {
			return fmt.Errorf("a page compressed by %v: %w", c.Codec, err)
		}
		if f.out != nil {
			if !head.DictionaryPageHeader.Valid && data < 0 {
				data = f.out.Len()
			}
			if err := f.copyPage(c.Codec, head, headAt, from, levels, packed); err != nil {
				return err
			}
		}
		from += packed
	}
	if f.out != nil {
		if c.DictionaryPageOffset != 0 {
			c.DictionaryPageOffset = int64(start)
		}
		c.DataPageOffset, c.TotalCompressedSize = int64(max(data, start)), int64(f.out.Len()-start)
	}
	return nil
}

// copyPage writes a page whose head is at headAt and whose rest, the levels first, is at from. If it is compressed by
// LZ4, it is decompressed in f.whole.
func (f *parquetCheck) copyPage(codec format.CompressionCodec, head *format.PageHeader, headAt, from, levels,
	packed int64) error {
	if !isLZ4(codec) {
		_, err := io.Copy(f.out, io.NewSectionReader(f.at, headAt, from+packed-headAt))
		return err
	}
	size := levels + int64(len(f.whole))
	if int64(f.out.Len())+size > room(f.size) {
		return fmt.Errorf("it unpacks to more than %d bytes", room(f.size))
	}
	if err := f.mem.take(size); err != nil {
		return err
	}
	head.CompressedPageSize, head.UncompressedPageSize, head.CRC = int32(size), int32(size), 0
	b, err := thrift.Marshal(new(thrift.CompactProtocol), head)
	if err != nil {
		return err
	}
	f.out.Write(b)
	if _, err := io.Copy(f.out, io.NewSectionReader(f.at, from, levels)); err != nil {
		return err
	}
	f.out.Write(f.whole)
	return nil
}

// checkPacked makes sure that n bytes decompress to no more than unpacked, where the decoder does not: it makes room
// for what snappy and Zstandard say, and for all that comes of brotli. Of LZ4 there must be as much.
func (f *parquetCheck) checkPacked(codec format.CompressionCodec, from, n, unpacked int64) error {
	switch codec {
	case format.Snappy, format.Zstd, format.Brotli, format.Lz4Raw, format.Lz4:
	default:
		return nil
	}
	if n == 0 { // all nulls, or a page that is not compressed
		f.whole = f.whole[:0]
		return nil
	}
	if unpacked < 0 {
		return fmt.Errorf("it is to be of %d bytes", unpacked)
	}
	f.packed = slices.Grow(f.packed[:0], int(n))[:n]
	if _, err := f.at.ReadAt(f.packed, from); err != nil {
		return err
	}
	is := unpacked
	var err error
	switch codec {
	case format.Snappy:
		var k int
		k, err = snappy.DecodedLen(f.packed)
		is = int64(k)
	case format.Lz4Raw, format.Lz4:
		f.whole = slices.Grow(f.whole[:0], int(unpacked))[:unpacked]
		var k int
		if k, err = unpackLZ4(f.whole, f.packed, codec == format.Lz4); err == nil && k < len(f.whole) {
			err = fmt.Errorf("it has %d bytes of %d", k, len(f.whole))
		}
	case format.Brotli:
		is, err = io.Copy(io.Discard, io.LimitReader(brotli.NewReader(bytes.NewReader(f.packed)), unpacked+1))
	case format.Zstd:
		if f.zstd == nil {
			most := zstd.WithDecoderMaxMemory(uint64(min(room(f.size), f.mem.part(pageShare))))
			if f.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), most); err != nil {
				return err
			}
		}
		f.whole, err = f.zstd.DecodeAll(f.packed, f.whole[:0])
		is = int64(len(f.whole))
	}
	if err == nil && is > unpacked {
		err = fmt.Errorf("it is longer than %d bytes", unpacked)
	}
	return err
}

// unpackLZ4 decompresses into whole and says how much there is. With framed, the blocks may be as Hadoop writes them,
// with the lengths of what they hold and of what they are, in big-endian order, before each.
func unpackLZ4(whole, packed []byte, framed bool) (n int, err error) {
	if len(packed) == 0 {
		return 0, nil
	}
	if !framed {
		return lz4.UncompressBlock(packed, whole)
	}
	for rest := packed; len(rest) > 0; {
		if len(rest) < 8 {
			break
		}
		holds, is := int64(binary.BigEndian.Uint32(rest)), int64(binary.BigEndian.Uint32(rest[4:]))
		if rest = rest[8:]; is > int64(len(rest)) || holds > int64(len(whole)-n) {
			break
		}
		k, err := lz4.UncompressBlock(rest[:is], whole[n:n+int(holds)])
		if err != nil || int64(k) != holds {
			break
		}
		n += k
		if rest = rest[is:]; len(rest) == 0 {
			return n, nil
		}
	}
	return lz4.UncompressBlock(packed, whole) // one block, as older writers have called the same
}

// pageHead reads the head of a page, which may be as long as the strings in its statistics.
func (f *parquetCheck) pageHead(from, to int64) (head *format.PageHeader, length int64, err error) {
	for window := int64(1 << 12); ; window *= 8 {
		b := make([]byte, min(window, to-from))
		if _, err := f.at.ReadAt(b, from); err != nil {
			return nil, 0, err
		}
		head = new(format.PageHeader)
		n, took, err := decodeThrift(b, head, f.mem)
		f.mem.give(took)
		if err == nil || !errors.Is(err, io.ErrUnexpectedEOF) || window >= to-from {
			return head, int64(n), err
		}
	}
}

// decodeThrift decodes a structure of Thrift's compact protocol from the beginning of b and says how long it is, and
// what it took of the memory.
func decodeThrift(b []byte, v any, mem *ledger) (length int, took int64, err error) {
	structs := 0
	rest, err := skipThrift(b, thriftStruct, 0, &structs)
	if err != nil {
		return 0, 0, err
	}
	if err := mem.takeEach(structs, structBytes); err != nil {
		return 0, 0, err
	}
	length = len(b) - len(rest)
	var p thrift.CompactProtocol
	return length, int64(structs) * structBytes, thrift.Unmarshal(&p, b[:length], v)
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

// skipThrift returns what follows a value, all of whose parts are within b, and counts the structures.
func skipThrift(b []byte, typ byte, depth int, structs *int) ([]byte, error) {
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
				if b, err = skipThrift(b, t, depth+1, structs); err != nil {
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
		*structs++
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
			if b, err = skipThrift(b, head&15, depth+1, structs); err != nil {
				return nil, err
			}
		}
	}
	return nil, errThrift
}
