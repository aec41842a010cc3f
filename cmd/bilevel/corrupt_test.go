//go:build unix

package main

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/ulikunitz/xz"

	"github.com/bilevel-go/bilevel/dataset"
)

// victim is a kind of files that are corrupted: a good file, and commands that read it as FILE.
type victim struct {
	name     string
	format   string // that must be read, see dataset.Formats; "" for all others
	file     func() []byte
	beside   string // a good file of this name beside it; "" for none
	besides  func() []byte
	commands []string
}

// Commands that read a table, to learn from and to predict.
var tableCommands = []string{
	"tune --train FILE --reg shared --max-time 50ms --quiet",
	"tune --train FILE --reg shared --max-time 50ms --quiet --missing impute --unknown zero --memory 1GB",
	"clean --train FILE --trusted GOOD --max-time 50ms --quiet",
	"tune --train GOOD --test FILE --reg shared --max-time 50ms --quiet",
	"predict --model MODEL FILE",
}

// victims are all formats, compressions and archives that are read, and models.
var victims = []victim{
	{name: "t.csv", file: csvBytes, commands: tableCommands},
	{name: "t.tsv", file: func() []byte { return bytes.ReplaceAll(csvBytes(), []byte(","), []byte("\t")) },
		commands: tableCommands},
	{name: "t.svm", file: svmBytes, commands: tableCommands},
	{name: "t.npy", file: npyBytes, commands: tableCommands},
	{name: "t.npz", file: npzBytes, commands: tableCommands},
	{name: "t-images-idx3-ubyte", file: func() []byte { return idxBytes(3) }, beside: "t-labels-idx1-ubyte",
		besides: func() []byte { return idxBytes(1) }, commands: tableCommands},
	{name: "t-labels-idx1-ubyte", file: func() []byte { return idxBytes(1) }, beside: "t-images-idx3-ubyte",
		besides: func() []byte { return idxBytes(3) }, commands: []string{
			"tune --train t-images-idx3-ubyte --reg shared --max-time 50ms --quiet"}},
	{name: "snappy.parquet", file: func() []byte { return parquetBytes(parquet.Compression(&parquet.Snappy)) },
		commands: tableCommands},
	{name: "zstd.parquet", file: func() []byte {
		return parquetBytes(parquet.Compression(&parquet.Zstd), parquet.DataPageVersion(2))
	}, commands: tableCommands},
	{name: "plain.parquet", file: func() []byte { return parquetBytes(parquet.MaxRowsPerRowGroup(20)) },
		commands: tableCommands},
	{name: "t.csv.gz", file: packed(func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }),
		commands: tableCommands},
	{name: "t.csv.xz", file: packed(func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }),
		commands: tableCommands},
	{name: "t.csv.zst", file: packed(func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }),
		commands: tableCommands},
	{name: "t.csv.bz2", file: func() []byte { return must(os.ReadFile(testdata("table.csv.bz2"))) },
		commands: tableCommands},
	{name: "t.jsonl", format: "json", file: jsonBytes, commands: tableCommands},
	{name: "plain.feather", format: "arrow", commands: tableCommands, file: func() []byte {
		return must(os.ReadFile(testdata("table-uncompressed.feather")))
	}},
	{name: "zstd.feather", format: "arrow", commands: tableCommands, file: func() []byte {
		return must(os.ReadFile(testdata("table-zstd.feather")))
	}},
	{name: "t.tar", file: tarBytes, commands: tableCommands},
	{name: "t.zip", file: zipBytes, commands: tableCommands},
	{name: "model.json", file: func() []byte { return must(os.ReadFile("good-out/model.json")) },
		commands: []string{"predict --model FILE good.csv", "predict --model FILE good.csv --proba --memory 1GB"}},
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var origin = must(os.Getwd())

func testdata(name string) string { return filepath.Join(origin, "testdata", name) }

func csvBytes() []byte {
	r := rand.New(rand.NewPCG(1, 1))
	var b bytes.Buffer
	b.WriteString("size,colour,note,y\n")
	for range 60 {
		v := r.NormFloat64()
		fmt.Fprintf(&b, "%.4f,%s,\"a, %d\",%s\n", v, []string{"red", "green"}[r.IntN(2)], r.IntN(3), yesNo(r, v))
	}
	return b.Bytes()
}

func jsonBytes() []byte {
	r := rand.New(rand.NewPCG(1, 8))
	var b bytes.Buffer
	for range 60 {
		v := r.NormFloat64()
		fmt.Fprintf(&b, "{\"size\": %.4f, \"colour\": %q, \"even\": %t, \"y\": %q}\n", v, []string{"red", "green"}[r.IntN(2)],
			r.IntN(2) == 0, yesNo(r, v))
	}
	return b.Bytes()
}

func svmBytes() []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for i := range 60 {
		fmt.Fprintf(&b, "%+d 1:%.3f 3:%.3f 9:1 # c\n", 1-2*(i%2), r.NormFloat64(), r.NormFloat64())
	}
	return b.Bytes()
}

// arrayBytes is an array of n × d numbers as numpy.save writes it.
func arrayBytes(n, d int, value func(i, j int) float64) []byte {
	head := fmt.Sprintf("{'descr': '<f8', 'fortran_order': False, 'shape': (%d, %d), }", n, d)
	head += strings.Repeat(" ", 117-len(head)) + "\n"
	var b bytes.Buffer
	b.WriteString("\x93NUMPY\x01\x00")
	binary.Write(&b, binary.LittleEndian, uint16(len(head)))
	b.WriteString(head)
	for i := range n {
		for j := range d {
			binary.Write(&b, binary.LittleEndian, value(i, j))
		}
	}
	return b.Bytes()
}

func npyBytes() []byte {
	r := rand.New(rand.NewPCG(1, 3))
	return arrayBytes(60, 4, func(i, j int) float64 {
		if j == 3 {
			return float64(i % 2)
		}
		return r.NormFloat64()
	})
}

func npzBytes() []byte {
	r := rand.New(rand.NewPCG(1, 4))
	return archive(map[string][]byte{
		"X.npy": arrayBytes(60, 3, func(int, int) float64 { return r.NormFloat64() }),
		"y.npy": arrayBytes(60, 1, func(i, _ int) float64 { return float64(i % 3) }),
	})
}

func idxBytes(dims int) []byte {
	r := rand.New(rand.NewPCG(1, 5))
	b := []byte{0, 0, 8, byte(dims), 0, 0, 0, 60}
	n := 60
	for range dims - 1 {
		b = append(b, 0, 0, 0, 3)
		n *= 3
	}
	for i := range n {
		b = append(b, map[bool]byte{true: byte(i % 2), false: byte(r.IntN(256))}[dims == 1])
	}
	return b
}

func parquetBytes(options ...parquet.WriterOption) []byte {
	type row struct {
		Size   float64  `parquet:"size"`
		Count  int32    `parquet:"count"`
		Big    uint64   `parquet:"big"`
		Even   bool     `parquet:"even"`
		Colour string   `parquet:"colour,dict"`
		Maybe  *float32 `parquet:"maybe,optional"`
		Y      string   `parquet:"y"`
	}
	r := rand.New(rand.NewPCG(1, 6))
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b, options...)
	for i := range 60 {
		v, f := r.NormFloat64(), float32(r.NormFloat64())
		must(w.Write([]row{{v, int32(i % 7), uint64(i * i), i%2 == 0, []string{"red", "green"}[r.IntN(2)], &f,
			yesNo(r, v)}}))
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func packed(open func(io.Writer) (io.WriteCloser, error)) func() []byte {
	return func() []byte {
		var b bytes.Buffer
		w := must(open(&b))
		must(w.Write(csvBytes()))
		if err := w.Close(); err != nil {
			panic(err)
		}
		return b.Bytes()
	}
}

func documents() map[string][]byte {
	docs := make(map[string][]byte)
	for i := range 20 {
		docs[fmt.Sprintf("top/%s/%d.txt", []string{"cats", "dogs"}[i%2], i)] = fmt.Appendf(nil, "some words of %s and %d",
			[]string{"miaow", "bark"}[i%2], i%5)
	}
	return docs
}

func archive(files map[string][]byte) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		must(must(w.Create(name)).Write(files[name]))
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func zipBytes() []byte { return archive(documents()) }

func tarBytes() []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	docs := documents()
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(docs[name]))}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		must(w.Write(docs[name]))
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// corrupt does one thing, or a few, to a file.
func corrupt(b []byte, r *rand.Rand) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(3)*r.IntN(2) {
		if len(b) == 0 {
			return b
		}
		at := r.IntN(len(b))
		switch r.IntN(4) {
		case 0: // where structure is
			at = r.IntN(min(len(b), 64))
		case 1:
			at = len(b) - 1 - r.IntN(min(len(b), 64))
		}
		size := min(1+r.IntN(32), len(b)-at)
		switch r.IntN(10) {
		case 0, 1:
			for range 1 + r.IntN(4) {
				b[min(at+r.IntN(16), len(b)-1)] ^= 1 << r.IntN(8)
			}
		case 2:
			b = b[:at]
		case 3:
			noise := make([]byte, size)
			for i := range noise {
				noise[i] = byte(r.Uint32())
			}
			b = append(b[:at:at], append(noise, b[at:]...)...)
		case 4:
			b = append(b[:at:at], b[at+size:]...)
		case 5: // two blocks change places
			to := r.IntN(len(b) - size + 1)
			block := bytes.Clone(b[at : at+size])
			copy(b[at:], b[to:to+size])
			copy(b[to:], block)
		case 6: // a length, or another number
			v := []uint64{0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 1 << 20, 1 << 30, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1<<63 - 1,
				1<<64 - 1, r.Uint64()}[r.IntN(14)]
			var order binary.AppendByteOrder = binary.LittleEndian
			if r.IntN(2) == 0 {
				order = binary.BigEndian
			}
			number := [][]byte{order.AppendUint16(nil, uint16(v)), order.AppendUint32(nil, uint32(v)),
				order.AppendUint64(nil, v), binary.AppendUvarint(nil, v), strconv.AppendUint(nil, v, 10)}[r.IntN(5)]
			copy(b[at:], number)
		case 7, 8: // slips: bytes of the same kind
			for range 1 + r.IntN(3) {
				b[r.IntN(len(b))] = b[r.IntN(len(b))]
			}
		case 9: // a block comes twice
			b = append(b[:at+size:at+size], b[at:]...)
		}
	}
	return b
}

// The test program is also the process that corrupts the victim of a name, from one number to another, in the current
// folder.
func init() {
	job := os.Getenv("BILEVEL_TEST_CORRUPT")
	if job == "" {
		return
	}
	var name string
	var from, to int
	must(fmt.Sscan(job, &name, &from, &to))
	for i := range victims {
		if victims[i].name == name {
			victims[i].corrupted(from, to)
		}
	}
	os.Exit(0)
}

// corrupted says what it does before it does it, and what came of it.
func (v *victim) corrupted(from, to int) {
	for i := from; i < to; i++ {
		fmt.Println("begin", i)
		r := rand.New(rand.NewPCG(uint64(i), 7))
		if err := os.WriteFile(v.name, corrupt(must(os.ReadFile("good-"+v.name)), r), 0o644); err != nil {
			panic(err)
		}
		args := v.commands[i%len(v.commands)]
		args = strings.NewReplacer("FILE", v.name, "GOOD", "good-"+v.name, "MODEL", "good-out/model.json").Replace(args)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		var words bytes.Buffer
		code := run(ctx, append(strings.Fields(args), "--memory", "1GB"), strings.NewReader(""), io.Discard, &words)
		cancel()
		message := words.String()
		if code == exitUsage && (strings.Count(message, "\n") != 1 || !strings.HasPrefix(message, "bilevel: ")) {
			code = -1
		}
		fmt.Println("end", i, code, strconv.Quote(args+": "+message))
	}
}

// TestCorrupted: whatever becomes of a file, a command that reads it does its work or says what is wrong in one line,
// with exit code 0 or 2, in less than 1 GB. With BILEVEL_TEST_LONG there are 1,000 corruptions of each kind of files,
// else a few; BILEVEL_TEST_VICTIM chooses one kind.
func TestCorrupted(t *testing.T) {
	n := 12
	if os.Getenv("BILEVEL_TEST_LONG") != "" {
		n = 1000
	}
	for _, v := range victims {
		if only := os.Getenv("BILEVEL_TEST_VICTIM"); only != "" && only != v.name ||
			v.format != "" && !slices.Contains(dataset.Formats(), v.format) {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			files(t, nil)
			if v.name == "model.json" {
				os.WriteFile("good.csv", csvBytes(), 0o644)
				mustCall(t, "tune", "--train", "good.csv", "--reg", "shared", "--quiet", "--out", "good-out")
			}
			for _, name := range []string{v.name, "good-" + v.name} {
				if err := os.WriteFile(name, v.file(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if v.beside != "" {
				for _, name := range []string{v.beside, "good-" + v.beside} {
					if err := os.WriteFile(name, v.besides(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			if v.name != "model.json" { // the file as it is, is good
				train := v.name
				if strings.Contains(v.name, "labels") {
					train = v.beside
				}
				mustCall(t, "tune", "--train", train, "--reg", "shared", "--quiet", "--out", "good-out")
			}
			codes := make(map[int]int)
			for next := 0; next < n; {
				next = v.corruptFrom(t, next, n, codes)
			}
			t.Logf("%d corruptions: %d read, %d refused", n, codes[exitOK], codes[exitUsage])
		})
	}
}

// corruptFrom makes a process that goes as far as it can and returns where it stopped.
func (v *victim) corruptFrom(t *testing.T, from, to int, codes map[int]int) (next int) {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), fmt.Sprintf("BILEVEL_TEST_CORRUPT=%s %d %d", v.name, from, to))
	var crash bytes.Buffer
	c.Stderr = &crash
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	next = from
	for lines := bufio.NewScanner(out); lines.Scan(); {
		f := strings.SplitN(lines.Text(), " ", 4)
		i, _ := strconv.Atoi(f[1])
		next = i + 1
		if f[0] != "end" {
			continue
		}
		code, _ := strconv.Atoi(f[2])
		if codes[code]++; code != exitOK && code != exitUsage {
			t.Errorf("corruption %d: exit code %d: %s", i, code, f[3])
		}
	}
	if err := c.Wait(); err != nil {
		t.Errorf("corruption %d: %v: %.3000s", next-1, err, crash.String())
		return max(next, from+1)
	}
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return to
	}
	bytes := int64(usage.Maxrss) // of Linux in KiB
	if bytes < 1<<26 {
		bytes <<= 10
	}
	t.Logf("at most %d MB", bytes>>20)
	if bytes > 1e9 {
		t.Errorf("%d MB were used", bytes>>20)
	}
	return to
}
