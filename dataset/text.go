package dataset

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel/rows"
)

// ReadText reads documents from fsys: a folder for each class, and in it a file for each document. With NoLabel
// or OptionalLabel the documents may also lie in fsys itself, and then have no label. name is for messages.
//
// Classes are sorted by name, and documents by class and name; Set.Names are their paths. Names that begin with
// a dot are passed over. Options.Text says how documents become rows, and Options.Like which words are known.
// The texts are held in memory until they are rows.
func ReadText(ctx context.Context, fsys fs.FS, name string, o Options) (*Set, error) {
	return reading(ctx, name, &o, func() (*Set, error) { return readText(ctx, fsys, name, o) })
}

func readText(ctx context.Context, fsys fs.FS, name string, o Options) (*Set, error) {
	if err := o.checkLike(); err != nil {
		return nil, err
	}
	l := &listing{name: name}
	if err := l.list(ctx, fsys, o.mem); err != nil {
		return nil, err
	}
	return l.read(ctx, o)
}

// readArchive is ReadText for a tar or zip archive. inside is the folder in it that holds the classes; "" is the
// top, or the one folder there that holds them.
func readArchive(in *input, inside string, o Options) (*Set, error) {
	var entries []archived
	var err error
	head, _ := in.Peek(512)
	switch {
	case isZip(head):
		entries, err = unzip(in)
	case isTar(head):
		entries, err = untar(in, inside)
	default:
		hint := "give a folder with one folder of documents for each class, or a tar or zip archive of it"
		if o.OptionalLabel {
			hint = "give a folder of documents, or a tar or zip archive of it"
		}
		return nil, fail(in.name, hint, "is a file, and neither a folder nor an archive")
	}
	if err != nil {
		return nil, err
	}
	l := &listing{name: in.name, archive: true}
	if inside != "" {
		l.name = in.name + "/" + inside
		entries = within(entries, inside)
		if len(entries) == 0 {
			return nil, fail(in.name, "check the name of the folder", "there is no folder %s in the archive", quote(inside))
		}
	} else {
		var folder string
		if entries, folder = below(entries); folder != "" {
			l.name = in.name + "/" + folder
		}
	}
	for _, e := range entries {
		l.add(e.path, e.folder, e.text)
	}
	return l.read(in.ctx, o)
}

func isZip(head []byte) bool { return bytes.HasPrefix(head, []byte("PK\x03\x04")) }

func isTar(head []byte) bool { return len(head) > 262 && string(head[257:262]) == "ustar" }

// insideArchive divides a path that leads into an archive, such as a.tar.gz/train, into the archive and the
// folder in it; ok is false if there is no such file.
func insideArchive(name string) (archive, inside string, ok bool) {
	archive = filepath.Clean(name)
	for {
		parent := filepath.Dir(archive)
		if parent == archive {
			return "", "", false
		}
		inside = path.Join(filepath.Base(archive), inside)
		archive = parent
		if st, err := os.Stat(archive); err == nil {
			return archive, inside, st.Mode().IsRegular()
		}
	}
}

// archived is a file or folder of an archive.
type archived struct {
	path   string // clean, with slashes
	folder bool
	text   func() ([]byte, error)
}

// untar returns the content of a tar archive, of the folder inside only, if it is not "".
func untar(in *input, inside string) ([]archived, error) {
	tail := &tarTail{r: in}
	r := tar.NewReader(tail)
	var out []archived
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			return nil, brokenArchive(in.name, "tar", err)
		}
		if err := in.mem.take(entryBytes + int64(len(h.Name))); err != nil {
			return nil, err
		}
		name := path.Clean("/" + h.Name)[1:]
		switch {
		case inside != "" && !strings.HasPrefix(name+"/", inside+"/"):
		case h.Typeflag == tar.TypeDir:
			out = append(out, archived{path: name, folder: true})
		case h.Typeflag == tar.TypeReg, h.Typeflag == tar.TypeGNUSparse:
			b, err := in.mem.readAll(r)
			if err != nil {
				return nil, brokenArchive(in.name, "tar", err)
			}
			out = append(out, archived{path: name, text: func() ([]byte, error) { return b, nil }})
		}
	}
	if tail.zeros < 512 { // the end is marked by blocks of zeros
		return nil, brokenArchive(in.name, "tar", io.ErrUnexpectedEOF)
	}
	if _, err := io.Copy(io.Discard, in); err != nil { // a checksum may follow
		return nil, asError(in.name, err)
	}
	return out, nil
}

// tarTail counts the zeros at the end of what was read.
type tarTail struct {
	r     io.Reader
	zeros int
}

func (t *tarTail) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if k := len(bytes.TrimRight(p[:n], "\x00")); k > 0 {
		t.zeros = n - k
	} else {
		t.zeros += n
	}
	return n, err
}

// unzip returns the content of a zip archive.
func unzip(in *input) ([]archived, error) {
	r, err := in.zip("zip")
	if err != nil {
		return nil, err
	}
	var out []archived
	for _, f := range r.File {
		out = append(out, archived{path: path.Clean("/" + f.Name)[1:], folder: f.Mode().IsDir(),
			text: func() ([]byte, error) {
				r, err := f.Open()
				if err != nil {
					return nil, err
				}
				defer r.Close()
				return in.mem.readAll(untilDone(in.ctx, r))
			}})
	}
	return out, nil
}

// entryBytes is about what an entry of an archive takes in memory.
const entryBytes = 512

// zip reads a zip archive, of a kind that messages name, into memory.
func (in *input) zip(kind string) (*zip.Reader, error) {
	data, err := in.whole()
	if err != nil {
		return nil, err
	}
	if err := in.mem.takeEach(bytes.Count(data, []byte("PK\x01\x02")), entryBytes); err != nil {
		return nil, err
	}
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if errors.Is(err, zip.ErrFormat) { // its directory is at the end
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, brokenArchive(in.name, kind, err)
	}
	return r, nil
}

// brokenArchive is the error of an archive that cannot be read.
func brokenArchive(file, kind string, err error) error {
	var e *Error // of the compression
	if errors.As(err, &e) {
		return e
	}
	const hint = "fetch or write the file again"
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fail(file, hint, "the %s archive ends early: the file is truncated", kind)
	}
	return fail(file, hint, "the %s archive is damaged: %w", kind, cause(err))
}

// within are the entries in a folder, with paths from there.
func within(entries []archived, folder string) []archived {
	var out []archived
	for _, e := range entries {
		if p, ok := strings.CutPrefix(e.path, folder+"/"); ok {
			e.path = p
			out = append(out, e)
		}
	}
	return out
}

// below goes down while all there is lies in one folder, and stops above the class folders; folder is where.
func below(entries []archived) (there []archived, folder string) {
	for {
		top, deep := "", false
		for _, e := range entries {
			first, rest, _ := strings.Cut(e.path, "/")
			if hidden(e.path) {
				continue
			}
			if top == "" {
				top = first
			}
			if first != top || !e.folder && !strings.Contains(rest, "/") {
				return entries, folder
			}
			deep = deep || strings.Contains(rest, "/")
		}
		if !deep {
			return entries, folder
		}
		entries, folder = within(entries, top), path.Join(folder, top)
	}
}

// hidden says whether a path is passed over: names with a dot in front, and what archivers add.
func hidden(path string) bool {
	return path == "" || strings.HasPrefix(path, ".") || strings.Contains(path, "/.") || path == "__MACOSX" ||
		strings.HasPrefix(path, "__MACOSX/")
}

// listing is what lies in a folder of documents.
type listing struct {
	name    string
	archive bool // it is one, or in one
	classes []string
	docs    []document
	outside []document // beside the class folders
	nested  string     // a folder in a class folder
}

// document is a text file.
type document struct {
	class, path string
	text        func() ([]byte, error)
}

// list lists the files of two levels of fsys.
func (l *listing) list(ctx context.Context, fsys fs.FS, mem *ledger) error {
	var list func(dir string) error
	list = func(dir string) error {
		entries, err := fs.ReadDir(fsys, dir)
		if err != nil {
			return &Error{File: l.join(dir), Err: bare(err), Hint: "check its permissions"}
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			at := path.Join(dir, e.Name())
			if hidden(at) {
				continue
			}
			mode := e.Type()
			if mode&fs.ModeSymlink != 0 {
				info, err := fs.Stat(fsys, at)
				if err != nil {
					return &Error{File: l.join(at), Err: bare(err), Hint: "mend or remove the link"}
				}
				mode = info.Mode()
			}
			if !mode.IsDir() && !mode.IsRegular() {
				return fail(l.join(at), "remove it", "is no regular file")
			}
			l.add(at, mode.IsDir(), func() ([]byte, error) {
				f, err := fsys.Open(at)
				if err != nil {
					return nil, bare(err)
				}
				defer f.Close()
				b, err := mem.readAll(untilDone(ctx, f))
				return b, bare(err)
			})
			if mode.IsDir() && dir == "." {
				if err := list(at); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return list(".")
}

// join is the path of something in the listing, for messages.
func (l *listing) join(at string) string {
	if at == "." {
		return l.name
	}
	return strings.TrimSuffix(l.name, "/") + "/" + at
}

// add notes a file or folder.
func (l *listing) add(at string, folder bool, text func() ([]byte, error)) {
	if hidden(at) {
		return
	}
	class, rest, inClass := strings.Cut(at, "/")
	class, _ = composed(class)
	switch {
	case !inClass && !folder:
		l.outside = append(l.outside, document{path: at, text: text})
		return
	case folder && inClass, strings.Contains(rest, "/"):
		if l.nested == "" {
			sub, _, _ := strings.Cut(rest, "/")
			l.nested = class + "/" + sub
		}
	case inClass:
		l.docs = append(l.docs, document{class: class, path: at, text: text})
	}
	l.classes = append(l.classes, class)
}

// check sorts classes and documents and reports the first thing that is wrong with them.
func (l *listing) check(o Options) error {
	slices.Sort(l.classes)
	l.classes = slices.Compact(l.classes)
	sortNames(l.classes)
	const wanted = "a folder of documents has one folder for each class, with one file for each document"
	optional := o.NoLabel || o.OptionalLabel
	what := "folder"
	if l.archive {
		what = "archive"
	}
	switch {
	case l.nested != "":
		hint := "put documents into the class folders themselves, or name the folder that holds the class folders"
		if l.archive {
			hint = fmt.Sprintf("name the folder that holds the class folders, such as %s", l.join(l.classes[0]))
		}
		return fail(l.join(l.nested), hint, "is a folder within a folder of documents")
	case len(l.classes) == 0 && len(l.outside) == 0:
		return fail(l.name, wanted, "the %s is empty", what)
	case len(l.classes) > 0 && len(l.outside) > 0:
		return fail(l.join(l.outside[0].path), "put it into one, or remove it", "is a file beside the class folders")
	case len(l.outside) > 0 && !optional:
		hint := "name a file in it; " + wanted
		if l.archive {
			hint = "unpack it and name the file with the data; " + wanted
		}
		return fail(l.name, hint, "the %s holds files (%s) and no class folders", what, quote(l.outside[0].path))
	case len(l.classes) > maxClasses:
		return fail(l.name, wanted, "there are %d class folders, and a label has at most %d classes", len(l.classes),
			maxClasses)
	}
	l.docs = append(l.docs, l.outside...)
	slices.SortStableFunc(l.docs, func(a, b document) int { return strings.Compare(a.path, b.path) })
	count := make(map[string]int)
	for k, d := range l.docs {
		if k > 0 && d.path == l.docs[k-1].path {
			return fail(l.join(d.path), "write the archive again", "is twice in the archive")
		}
		count[d.class]++
	}
	for _, c := range l.classes {
		if count[c] == 0 {
			return fail(l.join(c), "put documents into it, or remove it", "the class folder holds no documents")
		}
	}
	if len(l.classes) == 1 && !optional && o.Like == nil {
		return fail(l.name, wanted+", and at least two classes", "there is only one class folder, %s", quote(l.classes[0]))
	}
	return nil
}

// checkText is an error if o asks for what documents do not have.
func (o *Options) checkText(name string) error {
	switch {
	case o.Like != nil && o.Like.Text == nil:
		return fail(name, o.likeHint(), "these are documents, and %s is of a table", o.likeName())
	case o.Label != "" || o.Labels != "" || o.Weight != "" || o.Weights != "" || o.ZeroBased || o.NoHeader ||
		len(o.Categorical)+len(o.Texts) > 0 && o.Like == nil:
		return fail(name, "leave out what is said about columns", "documents have no columns: their folders are the labels")
	case o.Target == NumericTarget:
		return fail(name, "choose a model of classes (logistic, softmax)", "the labels are folders, which are classes and "+
			"no numbers")
	case o.Storage == Dense:
		return fail(name, "choose sparse storage", "rows of words are stored sparse")
	}
	if o.Text != nil && o.Like == nil {
		if err := o.Text.check(); err != nil {
			return &Error{File: name, Err: err}
		}
	}
	return nil
}

// read reads the documents and makes rows of them.
func (l *listing) read(ctx context.Context, o Options) (*Set, error) {
	if err := o.checkText(l.name); err != nil {
		return nil, err
	}
	if err := l.check(o); err != nil {
		return nil, err
	}
	texts, errs := make([][]byte, len(l.docs)), make([]error, len(l.docs))
	inParallel(runtime.GOMAXPROCS(0), len(l.docs), func(_, i int) {
		if errs[i] = ctx.Err(); errs[i] != nil {
			return
		}
		if texts[i], errs[i] = l.docs[i].text(); errs[i] == nil {
			errs[i] = checkDocument(texts[i])
		}
	})
	for i, err := range errs {
		if errors.Is(err, errMemory) {
			return nil, asError(l.join(l.docs[i].path), err)
		} else if err != nil {
			return nil, &Error{File: l.join(l.docs[i].path), Err: err, Hint: "documents are plain text in UTF-8 or Latin-1; " +
				"convert or remove it"}
		}
	}
	s := &Set{Names: make([]string, len(l.docs)), Source: l.name}
	for i, d := range l.docs {
		s.Names[i] = d.path
	}
	s.Schema = &Schema{Format: "text", Sparse: true}
	var x *rows.CSR
	if o.Like != nil {
		s.Schema = o.Like
		var err error
		if x, err = o.Like.Text.transform(texts, o.mem); err != nil {
			return nil, err
		} else if len(x.Val) == 0 {
			return nil, fail(l.name, "give documents in the language that "+o.likeName()+" was trained on",
				"no document has a word that %s knows", o.likeName())
		}
	} else {
		v := &Vectorizer{}
		if o.Text != nil {
			*v = *o.Text
		}
		var err error
		if x, err = v.fit(texts, o.mem); err != nil {
			return nil, err
		} else if len(v.Words) == 0 {
			return nil, fail(l.name, "a word has two letters or digits at least, and is in the least number of documents that "+
				"is asked for", "the documents have no words")
		}
		s.Schema.Text, s.Schema.Width = v, len(v.Words)
	}
	s.X, s.Features = x, s.Schema.Features()
	if len(l.classes) == 0 || o.NoLabel {
		return s, nil
	}
	s.Classes = l.classes
	s.Y = make([]float64, len(l.docs))
	for i, d := range l.docs {
		s.Y[i] = float64(slices.Index(l.classes, d.class))
	}
	if o.Like != nil && o.Like.Classes != nil {
		if err := s.MapClasses(o.Like.Classes); err != nil {
			return nil, err
		}
		return s, nil
	}
	s.setClasses(l.classes)
	return s, nil
}
