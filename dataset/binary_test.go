package dataset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/bilevel-go/bilevel/rows"
)

// idx is an IDX file of the given type, dimensions and values, which encoding/binary writes.
func idx(kind byte, dims []uint32, values any) []byte {
	var b bytes.Buffer
	b.Write([]byte{0, 0, kind, byte(len(dims))})
	for _, v := range []any{dims, values} {
		if err := binary.Write(&b, binary.BigEndian, v); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

// npyFile is an NPY file.
func npyFile(descr string, fortran bool, shape string, values any) []byte {
	order := "False"
	if fortran {
		order = "True"
	}
	head := fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", descr, order, shape)
	for (10+len(head)+1)%64 != 0 {
		head += " "
	}
	head += "\n"
	var b bytes.Buffer
	b.WriteString("\x93NUMPY\x01\x00")
	binary.Write(&b, binary.LittleEndian, uint16(len(head)))
	b.WriteString(head)
	var end binary.ByteOrder = binary.LittleEndian
	if descr[0] == '>' {
		end = binary.BigEndian
	}
	if err := binary.Write(&b, end, values); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func writeFile(t testing.TB, dir, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t testing.TB, path string, o Options) *Set {
	t.Helper()
	s, err := Read(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := rows.Check(s.X); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestIDX(t *testing.T) {
	dir := t.TempDir()
	images := idx(0x08, []uint32{2, 2, 3}, []byte{0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255})
	path := writeFile(t, dir, "a-images-idx3-ubyte", images)
	writeFile(t, dir, "a-labels-idx1-ubyte.gz", compressed(t, idx(0x08, []uint32{2}, []byte{7, 3}))["gzip"])
	want := [][]float64{{0, 1, 2, 3, 4, 5}, {250, 251, 252, 253, 254, 255}}
	for _, storage := range []Storage{Dense, Sparse} {
		s := readFile(t, path, Options{Storage: storage, Target: ClassTarget})
		if d := cmp.Diff(want, values(s)); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]float64{1, 0}, s.Y); d != "" || cmp.Diff([]string{"3", "7"}, s.Classes) != "" {
			t.Error(d, s.Classes)
		}
		if u := readFile(t, path, Options{Like: s.Schema}); u.Y[0] != 1 {
			t.Errorf("label 7 is class %v", u.Y[0])
		}
		if u := readFile(t, path, Options{NoLabel: true}); u.Y != nil {
			t.Errorf("targets %v", u.Y)
		}
	}
	for kind, v := range map[byte]any{0x09: []int8{-1, 2}, 0x0b: []int16{-1, 2}, 0x0c: []int32{-1, 2},
		0x0d: []float32{-1, 2}, 0x0e: []float64{-1, 2}} {
		s, err := ReadFrom(t.Context(), bytes.NewReader(idx(kind, []uint32{1, 2}, v)), "x", Options{NoLabel: true})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([][]float64{{-1, 2}}, values(s)); d != "" {
			t.Errorf("type %#x: %s", kind, d)
		}
	}
	labels := func(name string, v ...byte) string {
		return writeFile(t, dir, name, idx(0x08, []uint32{uint32(len(v))}, v))
	}
	for _, c := range []struct {
		file []byte
		o    Options
		want []string
	}{
		{images, Options{}, []string{"no file of labels"}},
		{images, Options{Labels: labels("three", 1, 2, 3)}, []string{"three", "3 labels for the 2 rows"}},
		{images, Options{Labels: path}, []string{"6 values a row"}},
		{images, Options{Labels: filepath.Join(dir, "none")}, []string{"none", "not exist"}},
		{images[:20], Options{NoLabel: true}, []string{"truncated", "12 bytes", "4 bytes follow"}},
		{images[:9], Options{NoLabel: true}, []string{"truncated within its header"}},
		{append(append([]byte{}, images...), 1), Options{NoLabel: true}, []string{"more data follows"}},
		{idx(0x08, []uint32{0, 3}, []byte{}), Options{NoLabel: true}, []string{"no rows"}},
		{idx(0x08, []uint32{3, 0}, []byte{}), Options{NoLabel: true}, []string{"no features"}},
		{idx(0x08, []uint32{1 << 31, 1 << 31, 1 << 31, 1 << 31}, []byte{}), Options{NoLabel: true},
			[]string{"more values than any file"}},
		{idx(0x0c, []uint32{1 << 31, 1 << 31}, []byte{}), Options{NoLabel: true}, []string{"more than any file"}},
		{idx(0x08, []uint32{2}, []byte{1, 2}), Options{}, []string{"holds labels"}},
		{idx(0x0d, []uint32{2, 2}, []float32{1, 2, 3, float32(math.NaN())}), Options{NoLabel: true},
			[]string{`x: row 2: column "2"`, "NaN"}},
		{idx(0x0e, []uint32{2, 2}, []float64{1, 2, -1e51, 4}), Options{NoLabel: true},
			[]string{`x: row 2: column "1"`, "-1e+51 is beyond", "scale the column"}},
		{images, Options{NoLabel: true, Like: &Schema{Width: 5}}, []string{"6 features where the model has 5"}},
		{images, Options{Labels: labels("two", 1, 9), Like: &Schema{Width: 6, Classes: []string{"1", "2"}}},
			[]string{"two", `label "9"`}},
	} {
		_, err := ReadFrom(t.Context(), bytes.NewReader(c.file), "x", c.o)
		wantError(t, err, c.want...)
	}
}

func TestNPY(t *testing.T) {
	dir := t.TempDir()
	want := [][]float64{{1, 2, 3}, {4, 5, 6}}
	for descr, v := range map[string]any{
		"|u1": []uint8{1, 2, 3, 4, 5, 6}, "|i1": []int8{1, 2, 3, 4, 5, 6}, "<u2": []uint16{1, 2, 3, 4, 5, 6},
		">i2": []int16{1, 2, 3, 4, 5, 6},
		"<f2": []uint16{0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600}, "<u4": []uint32{1, 2, 3, 4, 5, 6},
		"<i4": []int32{1, 2, 3, 4, 5, 6},
		"<f4": []float32{1, 2, 3, 4, 5, 6}, "<u8": []uint64{1, 2, 3, 4, 5, 6}, "<i8": []int64{1, 2, 3, 4, 5, 6},
		"<f8": []float64{1, 2, 3, 4, 5, 6},
		">f8": []float64{1, 2, 3, 4, 5, 6},
	} {
		s, err := ReadFrom(t.Context(), bytes.NewReader(npyFile(descr, false, "(2, 3)", v)), "x.npy", Options{NoLabel: true})
		if err != nil {
			t.Fatal(descr, err)
		}
		if d := cmp.Diff(want, values(s)); d != "" {
			t.Errorf("%s: %s", descr, d)
		}
	}
	c := npyFile("<f8", false, "(2, 3)", []float64{1, 2, 3, 4, 5, 6})
	f := npyFile("<f8", true, "(2, 3)", []float64{1, 4, 2, 5, 3, 6})
	y := writeFile(t, dir, "y.npy", npyFile("<i8", false, "(2,)", []int64{8, 9}))
	for _, file := range [][]byte{c, f} {
		for _, storage := range []Storage{Dense, Sparse} {
			for _, k := range []struct {
				o     Options
				x     [][]float64
				label []float64
			}{
				{Options{}, [][]float64{{1, 2}, {4, 5}}, []float64{3, 6}},
				{Options{Label: "1"}, [][]float64{{2, 3}, {5, 6}}, []float64{1, 4}},
				{Options{OptionalLabel: true}, want, nil},
				{Options{OptionalLabel: true, Like: &Schema{Width: 2}}, [][]float64{{1, 2}, {4, 5}}, []float64{3, 6}},
				{Options{OptionalLabel: true, Like: &Schema{Width: 3}}, want, nil},
				{Options{Labels: y}, want, []float64{8, 9}},
			} {
				if k.o.Like == nil {
					k.o.Storage = storage
				}
				s, err := ReadFrom(t.Context(), bytes.NewReader(file), "x.npy", k.o)
				if err != nil {
					t.Fatal(err)
				}
				if err := rows.Check(s.X); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(k.x, values(s)); d != "" {
					t.Errorf("%+v: %s", k.o, d)
				}
				if d := cmp.Diff(k.label, s.Y); d != "" {
					t.Errorf("%+v: %s", k.o, d)
				}
			}
		}
	}
	for version := range byte(3) {
		head, rest := bytes.Clone(c[:10]), c[10:]
		if head[6] = version + 1; version > 0 { // lengths of four bytes
			head = append(head, 0, 0)
		}
		s := readFile(t, writeFile(t, dir, "v.npy", append(head, rest...)), Options{Labels: y})
		if d := cmp.Diff(want, values(s)); d != "" {
			t.Errorf("version %d: %s", version+1, d)
		}
	}
	if s := half(0x3555); math.Abs(s-1./3) > 1e-4 || half(0xc000) != -2 || half(1) != math.Ldexp(1, -24) ||
		!math.IsInf(half(0xfc00), -1) || !math.IsNaN(half(0x7e00)) {
		t.Error("half precision is wrong")
	}
	for _, k := range []struct {
		file []byte
		o    Options
		want []string
	}{
		{npyFile("|O", false, "(2, 3)", []byte{}), Options{}, []string{`"|O"`, "astype"}},
		{npyFile("<c16", false, "(2, 3)", []byte{}), Options{}, []string{`"<c16"`}},
		{npyFile("<f8", false, "()", []float64{1}), Options{}, []string{"no dimension"}},
		{npyFile("<f8", false, "(2,)", []float64{1, 2}), Options{}, []string{"no feature column"}},
		{npyFile("<f8", false, "(0, 3)", []float64{}), Options{}, []string{"no rows"}},
		{npyFile("<f8", false, "(-2, 3)", []float64{}), Options{}, []string{"shape"}},
		{npyFile("<f8", false, "(99999999999, 99999999999)", []float64{}), Options{}, []string{"more than any file"}},
		{npyFile("<f8", true, "(1, 2, 1)", []float64{1, 2}), Options{}, []string{"Fortran"}},
		{npyFile("<f8", false, "(1, 2)", []float64{1, math.Inf(1)}), Options{}, []string{`x.npy: row 1: column "2"`, "+Inf"}},
		{c[:len(c)-1], Options{}, []string{"truncated"}},
		{c[:40], Options{}, []string{"header", "cut off"}},
		{c, Options{Label: "4"}, []string{`no label column "4"`, "1 to 3"}},
		{c, Options{Like: &Schema{Width: 7}}, []string{"2 features where the model has 7"}},
	} {
		_, err := ReadFrom(t.Context(), bytes.NewReader(k.file), "x.npy", k.o)
		wantError(t, err, k.want...)
	}
}

type parquetRow struct {
	Age   int32    `parquet:"age"`
	Name  string   `parquet:"name,dict"`
	Score *float64 `parquet:"score,optional"`
	Ok    bool     `parquet:"ok"`
	Count uint64   `parquet:"count"`
	Y     string   `parquet:"y"`
}

func parquetFile[T any](t testing.TB, rows []T, o ...parquet.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := parquet.Write(&b, rows, o...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestParquet(t *testing.T) {
	v := func(x float64) *float64 { return &x }
	data := []parquetRow{{30, "b", v(1.5), true, 1 << 63, "no"}, {-4, "a", v(-2), false, 3, "yes"},
		{7, "b", v(0), true, 0, "yes"}}
	file := parquetFile(t, data, parquet.MaxRowsPerRowGroup(2))
	path := writeFile(t, t.TempDir(), "x.parquet", file)
	s := readFile(t, path, Options{})
	// The writer orders columns as the struct does.
	if d := cmp.Diff([]string{"age", "name=a", "name=b", "score", "ok", "count"}, s.Features); d != "" {
		t.Fatal(d)
	}
	if d := cmp.Diff([][]float64{{30, 0, 1, 1.5, 1, 1 << 63}, {-4, 1, 0, -2, 0, 3}, {7, 0, 1, 0, 1, 0}},
		values(s)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]float64{0, 1, 1}, s.Y); d != "" || cmp.Diff([]string{"no", "yes"}, s.Classes) != "" {
		t.Error(d, s.Classes)
	}
	for _, b := range [][]byte{file, compressed(t, file)["zstd"]} {
		u, err := ReadFrom(t.Context(), bytes.NewReader(b), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(s, u); d != "" {
			t.Error(d)
		}
	}
	// CSV into the features of a Parquet file.
	u := readString(t, "x.csv", "age,count,name,ok,score\n1,2,a,0,3\n", Options{Like: s.Schema, OptionalLabel: true})
	if d := cmp.Diff([][]float64{{1, 1, 0, 3, 0, 2}}, values(u)); d != "" {
		t.Error(d)
	}

	data[2].Score = nil
	_, err := ReadFrom(t.Context(), bytes.NewReader(parquetFile(t, data)), "x", Options{})
	wantError(t, err, `x: row 3: column "score"`, "empty")
	data[2].Score = v(math.NaN())
	_, err = ReadFrom(t.Context(), bytes.NewReader(parquetFile(t, data)), "x", Options{})
	wantError(t, err, `x: row 3: column "score"`, "NaN")
	data[2].Score = v(1e60)
	_, err = ReadFrom(t.Context(), bytes.NewReader(parquetFile(t, data)), "x", Options{})
	wantError(t, err, `x: row 3: column "score"`, "1e+60 is beyond", "scale the column")
	data[2].Score = v(1)
	data[2].Name = "c"
	_, err = ReadFrom(t.Context(), bytes.NewReader(parquetFile(t, data)), "x", Options{Like: s.Schema})
	wantError(t, err, `x: row 3: column "name"`, `level "c"`)
	_, err = ReadFrom(t.Context(), bytes.NewReader(parquetFile(t, []struct {
		V []int64 `parquet:"v"`
		Y int64   `parquet:"y"`
	}{{[]int64{1}, 1}})), "x", Options{})
	wantError(t, err, `column "v"`, "lists", "--drop")
	_, err = ReadFrom(t.Context(), bytes.NewReader(parquetFile(t, []parquetRow{})), "x", Options{})
	wantError(t, err, "no rows")
	for cut := 4; cut < len(file); cut += 7 {
		_, err := ReadFrom(t.Context(), bytes.NewReader(file[:cut]), "x", Options{Format: "parquet"})
		wantError(t, err, "damaged")
	}
}
