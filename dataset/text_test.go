package dataset

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/bilevel-go/bilevel/internal/realdata"
	"github.com/bilevel-go/bilevel/rows"
)

// letters has one word in both classes and one of each.
var letters = map[string]string{
	"space/1": "Moon, moon! the_orbit", "space/20": "orbit", "space/3": "",
	"cars/b": "the engine\nTHE moon", "cars/a": "engine",
}

func textFS(files map[string]string) fstest.MapFS {
	m := make(fstest.MapFS)
	for name, text := range files {
		if strings.HasSuffix(name, "/") {
			m[name[:len(name)-1]] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
		} else {
			m[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return m
}

// tarOf writes folders too, as tar does.
func tarOf(t testing.TB, files map[string]string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	made := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for i, c := range name {
			if c == '/' && !made[name[:i]] {
				made[name[:i]] = true
				if err := w.WriteHeader(&tar.Header{Name: name[:i+1], Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(files[name])),
			Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(files[name]))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipOf(t testing.TB, files map[string]string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte(files[name]))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// inside puts all files into a folder.
func inside(folder string, files map[string]string) map[string]string {
	m := make(map[string]string)
	for name, text := range files {
		m[folder+name] = text
	}
	return m
}

func checkLetters(t *testing.T, s *Set, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := rows.Check(s.X); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"engine", "moon", "orbit", "the", "the_orbit"}, s.Features); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"cars/a", "cars/b", "space/1", "space/20", "space/3"}, s.Names); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"cars", "space"}, s.Classes); d != "" || !slices.Equal(s.Y, []float64{0, 0, 1, 1, 1}) {
		t.Error(d, s.Y)
	}
	a, b, c := 1/math.Sqrt(6), 2/math.Sqrt(6), 1/math.Sqrt(5)
	want := [][]float64{{1, 0, 0, 0, 0}, {a, a, 0, b, 0}, {0, 2 * c, 0, 0, c}, {0, 0, 1, 0, 0}, {0, 0, 0, 0, 0}}
	near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-15 })
	if d := cmp.Diff(want, values(s), near); d != "" {
		t.Error(d)
	}
}

func TestReadText(t *testing.T) {
	s, err := ReadText(t.Context(), textFS(letters), "letters", Options{})
	checkLetters(t, s, err)
	if sub, names := s.Subset([]int{3, 1}), []string{"space/20", "cars/b"}; !slices.Equal(sub.Names, names) {
		t.Error(sub.Names)
	}

	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "letters"), textFS(letters)); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "letters/.hidden", []byte("x"))
	s, err = Read(t.Context(), filepath.Join(dir, "letters"), Options{})
	checkLetters(t, s, err)

	// Archives: with the class folders on top, in one folder, and in one of two folders.
	two := inside("data/train/", letters)
	maps.Copy(two, inside("data/test/", map[string]string{"cars/x": "moon orbit unknown", "space/y": "other words"}))
	deep := inside("./data/train/", letters)
	deep["__MACOSX/._data"], deep[".DS_Store"] = "\x00", "\x00"
	for name, b := range map[string][]byte{
		"top.tar": tarOf(t, letters), "top.zip": zipOf(t, letters),
		"deep.tar.gz": compressed(t, tarOf(t, deep))["gzip"], "deep.zip": zipOf(t, deep),
		"deep.tar.xz": compressed(t, tarOf(t, deep))["xz"],
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Read(t.Context(), writeFile(t, dir, name, b), Options{})
			checkLetters(t, s, err)
		})
	}
	for name, b := range map[string][]byte{"two.tar.gz": compressed(t, tarOf(t, two))["gzip"], "two.zip": zipOf(t, two)} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, dir, name, b)
			train, err := Read(t.Context(), path+"/data/train", Options{})
			checkLetters(t, train, err)
			test, err := Read(t.Context(), path+"/data/test", Options{Like: train.Schema})
			if err != nil {
				t.Fatal(err)
			}
			h := 1 / math.Sqrt(2)
			if d := cmp.Diff([][]float64{{0, h, h, 0, 0}, {0, 0, 0, 0, 0}}, values(test)); d != "" {
				t.Error(d)
			}
			_, err = Read(t.Context(), path, Options{})
			wantError(t, err, "a folder within a folder", filepath.Join(path, "data"), "name the folder")
			_, err = Read(t.Context(), path+"/data/val", Options{})
			wantError(t, err, "no folder \"data/val\"", "check the name")
		})
	}
}

// A schema that went through JSON gives the rows of the one that it came from.
func TestTextLike(t *testing.T) {
	train, err := ReadText(t.Context(), textFS(letters), "letters", Options{Text: &Vectorizer{Weight: TFIDF}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(train.Schema)
	if err != nil {
		t.Fatal(err)
	}
	like := &Schema{}
	if err := json.Unmarshal(b, like); err != nil {
		t.Fatal(err)
	}
	again, err := ReadText(t.Context(), textFS(letters), "letters", Options{Like: like})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(train.X, again.X); d != "" || !slices.Equal(train.Y, again.Y) {
		t.Error(d)
	}
	// A class may be missing, and documents may have no label.
	s, err := ReadText(t.Context(), textFS(map[string]string{"space/1": "orbit"}), "new", Options{Like: like})
	if err != nil || s.Y[0] != 1 || !slices.Equal(s.Classes, train.Classes) {
		t.Error(s, err)
	}
	s, err = ReadText(t.Context(), textFS(map[string]string{"2.txt": "orbit", "1.txt": "the"}), "new",
		Options{Like: like, OptionalLabel: true})
	if err != nil || s.Y != nil || s.Classes != nil || !slices.Equal(s.Names, []string{"1.txt", "2.txt"}) {
		t.Error(s, err)
	}
	s, err = ReadText(t.Context(), textFS(letters), "new", Options{Like: like, NoLabel: true})
	if err != nil || s.Y != nil || len(s.Names) != 5 {
		t.Error(s, err)
	}
	for name, spoil := range map[string]func(*Vectorizer){
		"7 words":         func(v *Vectorizer) { v.Words = append(v.Words, "zz", "zzz") },
		"does not follow": func(v *Vectorizer) { v.Words[1] = "a" },
		"4 weights":       func(v *Vectorizer) { v.IDF = v.IDF[1:] },
		"is -1":           func(v *Vectorizer) { v.IDF[2] = -1 },
		"weighted by":     func(v *Vectorizer) { v.Weight = "idf" },
		"a power":         func(v *Vectorizer) { v.Power = -1 },
		"nothing":         func(v *Vectorizer) { v.Weight = AutoWeight },
	} {
		bad := &Schema{}
		if err := json.Unmarshal(b, bad); err != nil {
			t.Fatal(err)
		}
		spoil(bad.Text)
		if _, err := ReadText(t.Context(), textFS(letters), "new", Options{Like: bad}); err == nil ||
			!strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTextErrors(t *testing.T) {
	train, err := ReadText(t.Context(), textFS(letters), "letters", Options{})
	if err != nil {
		t.Fatal(err)
	}
	table := readString(t, "t.csv", "a,y\n1,2\n2,3\n", Options{})
	with := func(name, text string) map[string]string {
		m := maps.Clone(letters)
		m[name] = text
		return m
	}
	for _, c := range []struct {
		files map[string]string
		o     Options
		want  []string
	}{
		{nil, Options{}, []string{"corpus", "empty"}},
		{map[string]string{"a": "text", "b": "text"}, Options{}, []string{"no class folders"}},
		{map[string]string{"cars/a": "text here"}, Options{}, []string{"only one class folder, \"cars\""}},
		{with("boats/", ""), Options{}, []string{"corpus/boats", "no documents"}},
		{with("readme", "text"), Options{}, []string{"corpus/readme", "beside the class folders"}},
		{with("readme", "text"), Options{OptionalLabel: true}, []string{"corpus/readme", "beside the class folders"}},
		{with("cars/old/1", "text"), Options{}, []string{"corpus/cars/old", "a folder within"}},
		{with("cars/c", "a\x00b"), Options{}, []string{"corpus/cars/c", "binary"}},
		{with("cars/c", "\xff\xfea\x00"), Options{}, []string{"corpus/cars/c", "UTF-16"}},
		{map[string]string{"a/1": "x y z", "b/1": "! ?"}, Options{}, []string{"no words"}},
		{letters, Options{Text: &Vectorizer{MinDocs: 4}}, []string{"no words"}},
		{letters, Options{Text: &Vectorizer{MinDocs: -1}}, []string{"-1 documents"}},
		{letters, Options{Text: &Vectorizer{Weight: "idf"}}, []string{"\"idf\""}},
		{letters, Options{Text: &Vectorizer{Power: 2}}, []string{"a power 2"}},
		{letters, Options{Text: &Vectorizer{Grams: -1}}, []string{"-1 words"}},
		{map[string]string{"space/1": "unknown", "cars/1": ""}, Options{Like: train.Schema},
			[]string{"no document has a word that the model knows"}},
		{with("boats/1", "the moon"), Options{Like: train.Schema}, []string{"\"boats\" is none of the classes"}},
		{letters, Options{Like: table.Schema}, []string{"the model is of a table"}},
		{letters, Options{Label: "y"}, []string{"no columns"}},
		{letters, Options{Target: NumericTarget}, []string{"folders, which are classes"}},
		{letters, Options{Storage: Dense}, []string{"sparse"}},
	} {
		s, err := ReadText(t.Context(), textFS(c.files), "corpus", c.o)
		wantError(t, err, c.want...)
		if s != nil {
			t.Error("a set besides the error", err)
		}
	}

	dir := t.TempDir()
	archive := tarOf(t, letters)
	plain := writeFile(t, dir, "plain.txt", []byte("the moon"))
	for name, want := range map[string][]string{
		writeFile(t, dir, "cut.tar", archive[:700]):               {"tar archive ends early"},
		writeFile(t, dir, "end.tar", archive[:len(archive)-1024]): {"tar archive ends early"},
		writeFile(t, dir, "cut.tar.gz", cutShort(compressed(t,
			archive)["gzip"])): {"gzip stream ends early"},
		writeFile(t, dir, "cut.zip", cutShort(zipOf(t, letters))):                 {"zip archive ends early"},
		writeFile(t, dir, "bad.tar", append(archive[:600:600], archive[300:]...)): {"tar archive"},
		writeFile(t, dir, "flat.zip", zipOf(t, map[string]string{"data.csv": "a,b"})): {"\"data.csv\"",
			"no class folders", "unpack"},
		writeFile(t, dir, "twice.tar", append(archive[:len(archive)-1024:len(archive)-1024], archive...)): {"twice"},
		filepath.Join(plain, "train"): {"neither a folder nor an archive"},
		filepath.Join(dir, "none"):    {"not exist"},
	} {
		_, err := Read(t.Context(), name, Options{})
		wantError(t, err, append(want, filepath.Base(strings.TrimSuffix(name, "/train")))...)
	}
	_, err = Read(t.Context(), plain, Options{Format: "text"})
	wantError(t, err, "neither a folder nor an archive")
	_, err = Read(t.Context(), plain, Options{Like: train.Schema})
	wantError(t, err, "neither a folder nor an archive")
	csv := writeFile(t, dir, "t.csv", []byte("a,y\n1,2\n"))
	_, err = Read(t.Context(), csv, Options{Text: &Vectorizer{}})
	wantError(t, err, "csv", "not a folder of documents")
	_, err = Read(t.Context(), csv, Options{Format: "csv", Like: train.Schema})
	wantError(t, err, "the model is of documents")
	_, err = Read(t.Context(), dir, Options{Format: "csv"})
	wantError(t, err, "is a directory")

	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "link")); err != nil {
		t.Skip("no links here:", err)
	}
	_, err = Read(t.Context(), dir, Options{})
	wantError(t, err, "link", "mend or remove")
	if err := os.CopyFS(filepath.Join(dir, "locked"), textFS(letters)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "locked/cars/a"), 0); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 { // nothing is locked for root
		_, err = Read(t.Context(), filepath.Join(dir, "locked"), Options{})
		wantError(t, err, "locked/cars/a", "permission denied")
	}
	// A file that cannot be read is named, whoever runs the test.
	broken := textFS(letters)
	_, err = ReadText(t.Context(), failingFS{broken, "space/20"}, "corpus", Options{})
	wantError(t, err, "corpus/space/20", "permission denied")
}

func cutShort(b []byte) []byte { return b[:len(b)*2/3] }

// failingFS cannot open one file.
type failingFS struct {
	fstest.MapFS
	locked string
}

func (f failingFS) Open(name string) (fs.File, error) {
	if name == f.locked {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return f.MapFS.Open(name)
}

// The archive of 20 newsgroups: figures of scikit-learn 1.9 (CountVectorizer, TfidfVectorizer) on the text
// decoded as Latin-1, which is what fetch_20newsgroups does.
func TestNewsgroups(t *testing.T) {
	realdata.Long(t, "reads 30,000 documents")
	check := func(s *Set, rowsAndStored [2]int, sum, hash float64) {
		t.Helper()
		x := s.X.(*rows.CSR)
		if err := rows.Check(x); err != nil {
			t.Fatal(err)
		}
		if n, d := x.Dims(); n != rowsAndStored[0] || d != 130107 || len(x.Val) != rowsAndStored[1] {
			t.Errorf("%d × %d with %d values", n, d, len(x.Val))
		}
		gotSum, gotHash := 0.0, 0.0
		for e, v := range x.Val {
			gotSum += v
			gotHash += v * float64(1+x.Idx[e]%97)
		}
		if math.Abs(gotSum-sum) > 1e-9*sum || math.Abs(gotHash-hash) > 1e-9*hash {
			t.Errorf("sums %v and %v, want %v and %v", gotSum, gotHash, sum, hash)
		}
	}
	path := realdata.File(t, "20news", "20news-bydate.tar.gz")
	s, err := Read(t.Context(), path+"/20news-bydate-train", Options{})
	if err != nil {
		t.Fatal(err)
	}
	check(s, [2]int{11314, 1787565}, 97618.10242007251, 5134565.916343333)

	o := GetOptions{Dir: t.TempDir(), DataDir: dataFolder(t, "20news", "20news-bydate.tar.gz"),
		Text: &Vectorizer{Weight: TFIDF}}
	train, test, f, err := Load(t.Context(), "20news", o)
	if err != nil {
		t.Fatal(err)
	}
	check(train, [2]int{11314, 1787565}, 101449.99450491065, 5126352.600783117)
	check(test, [2]int{7532, 1107956}, 65768.91127952587, 3327339.0288837287)
	if counts := train.ClassCounts(); counts[0] != 480 || counts[19] != 377 || train.Classes[10] != "rec.sport.hockey" ||
		train.Names[0] != "alt.atheism/49960" {
		t.Error(counts, train.Names[0])
	}
	if !f.Copy || f.Sample || len(f.Notes) != 1 || !strings.Contains(f.Notes[0], "not those of the published file") {
		t.Errorf("%+v", f)
	}
}

func ExampleReadText() {
	corpus := fstest.MapFS{ // os.DirFS("corpus") for a folder
		"space/1.txt": {Data: []byte("The moon orbits the earth.")},
		"space/2.txt": {Data: []byte("A rocket to the moon")},
		"cars/1.txt":  {Data: []byte("The engine of the car")},
	}
	train, err := ReadText(context.Background(), corpus, "corpus", Options{Text: &Vectorizer{Weight: TFIDF, MinDocs: 2}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(train.Classes, train.Features)
	for i, name := range train.Names {
		idx, val := train.X.(*rows.CSR).Row(i)
		fmt.Printf("%s %v %.3f\n", name, idx, val)
	}
	// Output:
	// [cars space] [moon the]
	// cars/1.txt [1] [1.000]
	// space/1.txt [0 1] [0.541 0.841]
	// space/2.txt [0 1] [0.790 0.613]
}

// BenchmarkNewsgroups/fit is what scikit-learn's CountVectorizer.fit_transform does.
func BenchmarkNewsgroups(b *testing.B) {
	path := realdata.File(b, "20news", "20news-bydate.tar.gz")
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, err := Read(b.Context(), path+"/20news-bydate-train", Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("fit", func(b *testing.B) {
		in, err := openFile(b.Context(), path, newLedger(nil))
		if err != nil {
			b.Fatal(err)
		}
		defer in.Close()
		entries, err := untar(in, "20news-bydate-train")
		if err != nil {
			b.Fatal(err)
		}
		var docs [][]byte
		size := 0
		for _, e := range entries {
			if !e.folder {
				text, _ := e.text()
				docs = append(docs, text)
				size += len(text)
			}
		}
		b.SetBytes(int64(size))
		for b.Loop() {
			new(Vectorizer).Fit(docs)
		}
	})
}
