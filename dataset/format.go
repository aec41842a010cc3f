package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel/internal/nearest"
)

// formats are those of the files that are read. An entry is all that there is to say about one.
var formats = []*fileFormat{
	{name: "libsvm", extensions: []string{".svm", ".libsvm", ".svmlight"}, line: pair.MatchString, prepared: true,
		read: readLIBSVM},
	{name: "csv", extensions: []string{".csv"}, columns: true,
		likeLine: func(line string) bool { return strings.ContainsAny(line, ",;|") && !strings.Contains(line, "\t") },
		read:     func(in *input, o Options) (*Set, error) { return readCSV(in, "csv", delimiter, o) }},
	{name: "tsv", extensions: []string{".tsv", ".tab"}, columns: true,
		likeLine: func(line string) bool { return strings.Contains(line, "\t") },
		read:     func(in *input, o Options) (*Set, error) { return readCSV(in, "tsv", tab, o) }},
	{name: "json", extensions: []string{".json", ".jsonl", ".ndjson"}, line: jsonLine.MatchString, columns: true,
		read: readJSON},
	{name: "npy", magic: isNPY, read: readNPY},
	{name: "idx", magic: isIDX, read: readIDX},
	{name: "parquet", magic: isParquet, columns: true, read: readParquet},
	{name: "arrow", magic: isArrow, columns: true, read: readArrow},
	{name: "npz", magic: isNPZ, read: readNPZ},
	{name: "text", magic: func(head []byte) bool { return isZip(head) || isTar(head) }, prepared: true, documents: true,
		read: func(in *input, o Options) (*Set, error) { return readArchive(in, "", o) }},
}

// fileFormat is a kind of files.
type fileFormat struct {
	name string // of Options.Format and Schema.Format

	// A format is recognised by its magic bytes at the start of the file; lines of text have none. Of these, the first
	// line with something on it may leave no doubt, or say what it looks like if the extension says nothing.
	magic          func(head []byte) bool
	extensions     []string
	line, likeLine func(line string) bool

	columns   bool // they have names
	prepared  bool // values are scaled by convention
	documents bool // the rows are of documents, and nothing that is said about columns applies

	read func(in *input, o Options) (*Set, error)
}

// Formats are the names of the formats that are read.
func Formats() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

// formatNamed is the format of that name, nil if there is none.
func formatNamed(name string) *fileFormat {
	for _, f := range formats {
		if f.name == name {
			return f
		}
	}
	return nil
}

// Prepared says whether the values are scaled by convention, as those of LIBSVM text and of documents are.
func (s *Schema) Prepared() bool {
	if s == nil {
		return false
	}
	f := formatNamed(s.Format)
	return f != nil && f.prepared || s.Text != nil
}

// list is a list in words.
func list(names []string, last string) string {
	n := len(names) - 1
	return strings.Join(names[:n], ", ") + " " + last + " " + names[n]
}

// pair matches a LIBSVM line with features: no commas, and each word behind the first is index:value.
var pair = regexp.MustCompile(`^\s*([^\s,:]+\s+)?((qid|[0-9]+):[^\s,]*\s*)+(#.*)?$`)

// formatOf is the format that o names, else that of the content, else that of the extension.
func formatOf(in *input, o Options) (*fileFormat, error) {
	name := o.Format
	if name == "" && o.Like != nil && o.Like.Text != nil {
		name = "text"
	}
	head, err := in.Peek(headSize)
	var f *fileFormat
	if name != "" {
		if f = formatNamed(name); f == nil {
			return nil, fail(in.name, "formats are "+list(Formats(), "and")+nearest.Hint(name, Formats()),
				"no format is called %q", name)
		}
	} else if len(head) == 0 && err != nil {
		return nil, asError(in.name, err)
	} else if i := slices.IndexFunc(formats, func(f *fileFormat) bool { return f.magic != nil && f.magic(head) }); i >= 0 {
		f = formats[i]
	}
	if f == nil || !f.documents || name == "" {
		if err := checkForeign(in, head); err != nil {
			return nil, err
		}
	}
	if f != nil && f.magic != nil {
		return f, nil
	}
	if err := checkText(in.name, head); err != nil || f != nil {
		return f, err
	}
	all := head
	// A line cut off by the buffer's end loses its last word.
	if err == nil {
		if i := bytes.LastIndexAny(head, "\n \t,"); i >= 0 {
			head = head[:i]
		}
	}
	line := firstLine(head)
	extension := strings.ToLower(filepath.Ext(in.base))
	for _, is := range []func(*fileFormat) bool{
		func(f *fileFormat) bool { return f.line != nil && f.line(line) },
		func(f *fileFormat) bool { return slices.Contains(f.extensions, extension) },
		func(f *fileFormat) bool { return f.likeLine != nil && f.likeLine(line) },
	} {
		if i := slices.IndexFunc(formats, is); i >= 0 {
			return formats[i], nil
		}
	}
	if line == "" {
		return nil, noRows(in.name)
	}
	if is, _ := blankTable(all); is {
		return formatNamed("csv"), nil
	}
	return nil, fail(in.name, "separate columns by commas, semicolons, tabs, bars or blanks, all rows alike, or name the "+
		"format: "+list(Formats(), "or"), "the format of a line like %s is not recognised",
		quote(line))
}

// firstLine is the first with something on it, comments and what declares a delimiter apart.
func firstLine(head []byte) string {
	for l := range strings.Lines(strings.TrimPrefix(string(head), "\xef\xbb\xbf")) {
		if l = strings.TrimSpace(l); l != "" && l[0] != '#' && !strings.HasPrefix(strings.Trim(l, `"`), "sep=") {
			return l
		}
	}
	return ""
}

// checkText is an error if head, the start of a file, is not text.
func checkText(name string, head []byte) error {
	hint := fmt.Sprintf("formats are %s, plain or compressed by %s", list(Formats(), "and"),
		list(compressionNames(), "or"))
	switch {
	case isZip(head):
		return fail(name, "unpack it and name the file with the data", "is a zip archive")
	case isTar(head):
		return fail(name, "unpack it and name the file with the data", "is a tar archive")
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return fail(name, "save it as UTF-8", "is text in UTF-16")
	}
	for i, c := range head {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' || c == 0x7f {
			return &Error{File: name, Line: 1 + bytes.Count(head[:i], []byte("\n")), Hint: hint,
				Err: fmt.Errorf("holds binary data (a byte 0x%02x) of no known format", c)}
		}
	}
	// Lines that end in a carriage return alone are one line.
	if i := bytes.IndexByte(head, '\r'); i >= 0 && bytes.IndexByte(head, '\n') < 0 && len(bytes.TrimSpace(head[i:])) > 0 {
		return &Error{File: name, Line: 1, Err: errLoneCR, Hint: hintLoneCR}
	}
	return nil
}

var errLoneCR = errors.New("lines end in a carriage return without a line feed")

const hintLoneCR = "save the file with line ends of Unix (LF) or Windows (CRLF)"
