// Package dataset reads tables of samples, splits and scales them, and knows where public ones are.
//
// Read takes LIBSVM text, CSV, TSV, JSON, Parquet, Arrow and Feather, NPY, NPZ and IDX, plain or compressed by gzip,
// bzip2, xz or Zstandard, and folders of documents; format and compression are recognised by content. The result is a
// Set: the features as a matrix of package rows, the target, and names. A Schema says how the columns of a training
// file became features, and reads a validation or test file into the same ones:
//
//	train, err := dataset.Read(ctx, "train.csv", dataset.Options{})
//	...
//	if train.GuessTask() != "ridge" {
//		err = train.AsClasses()
//	}
//	val, err := dataset.Read(ctx, "val.csv", dataset.Options{Like: train.Schema})
//
// Errors that the data's owner can mend are of type *Error: they name file, line, column and remedy.
package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"github.com/bilevel-go/bilevel/internal/wait"
	"github.com/bilevel-go/bilevel/rows"
)

// Set is a table of samples: features, target, names.
type Set struct {
	X        rows.Matrix // n × d
	Y        []float64   // n targets: numbers, or indices into Classes; nil if the file has no label
	Classes  []string    // class names in order; nil for a numeric target
	Features []string    // d names; nil for more than 1<<16 features without names, see FeatureName
	Names    []string    // n names of rows: the paths of documents, or the cells of Options.ID; nil where there are none
	// Beside are the cells of the columns of Options.Beside, by name, n each; nil where there are none.
	Beside   map[string][]string
	Weights  []float64 // n numbers by which the rows count, see Options.Weight; nil where all count alike
	Rows     []int     // n places of the rows among those of the file, from 0; nil for all of them in order
	Schema   *Schema   // how the file became features, for reading others the same way
	Source   string    // file name, for messages
	LabelHow string    // how the label column was chosen, in words; "" where columns have no names
	Notes    []string  // what a user should know of how the file was read, a sentence each
}

// Dims returns the number of samples n and of features d.
func (s *Set) Dims() (n, d int) { return s.X.Dims() }

// About says in sentences how files were read: which column of the training file is the label, and the Notes of all.
// Other sets may be nil.
func About(train *Set, others ...*Set) []string {
	var w []string
	if train.LabelHow != "" {
		w = append(w, fmt.Sprintf("The label is the column %s, %s.", quote(train.Schema.Label), train.LabelHow))
	}
	w = append(w, train.Notes...)
	for _, s := range others {
		if s == nil || s.Source == train.Source { // a part of the training file
			continue
		}
		for _, note := range s.Notes {
			w = append(w, s.Source+": "+note)
		}
	}
	return w
}

// RowNumber is the number of row i among the rows of its file, from 1. A header is not counted.
func (s *Set) RowNumber(i int) int {
	if s.Rows != nil {
		i = s.Rows[i]
	}
	return i + 1
}

// FeatureName is the name of feature j.
func (s *Set) FeatureName(j int) string {
	if s.Features != nil {
		return s.Features[j]
	}
	return s.Schema.unnamed(j)
}

// Storage is how features are kept.
type Storage int

const (
	// AutoStorage is the storage of Options.Like, and otherwise dense if d ≤ 64 or if at least one value
	// in eight is not zero, else sparse. A dense value costs 8 bytes, a sparse one 12 where it is not
	// zero, but dense rows are several times faster for each value.
	AutoStorage Storage = iota
	Dense
	Sparse
)

// Target is what a label column is read as.
type Target int

const (
	// AutoTarget is the kind of Options.Like, and otherwise classes for strings and numbers for numbers.
	AutoTarget Target = iota
	// NumericTarget makes a label that is not a number an error.
	NumericTarget
	// ClassTarget makes classes of numbers too.
	ClassTarget
)

// Unseen is what becomes of a level of a categorical column that Options.Like does not have.
type Unseen int

const (
	UnseenError Unseen = iota // an error naming file, line, column and level
	UnseenZero                // 0 for every level
)

// Options of Read. The zero value reads a labelled file by its content.
type Options struct {
	// Format is one of Formats; "" is by content, then by extension. A folder, and a tar or zip archive, is "text":
	// see ReadText.
	Format string

	// Label is the label column of a table by name or by 1-based number, of NPY by number. Tables are CSV, TSV, JSON,
	// Parquet and Arrow, whose columns have names.
	// "" is that of Like; without it the column called label, target, class or y (any case), else the
	// last column. It is an error if two are called so, or one is called class or y and is not the last.
	Label string
	// Labels is the file of labels that belongs to an IDX or NPY file of features. "" is, for IDX, the
	// file beside it with labels-idx1 in place of images-idx3, and for NPY the label column.
	Labels string
	// NoLabel says that there is no label: every column is a feature, except the label column of Like,
	// which is left out where it is present.
	NoLabel bool
	// OptionalLabel reads a label where there is one: the column named by Label, by Like or by one of the
	// names above, but not just the last. With Like, rows without a label among others with one have the target NaN.
	OptionalLabel bool

	// Width is the number of features of LIBSVM text at least, for those that only other files have; with Like it is
	// that of Like, and features beyond are left out, and noted.
	Width int
	// ID is a column of a table that names the rows and is no feature. With Like it may be absent; "" is that of Like.
	ID string
	// Beside are columns of a table that are no features and whose cells stand beside the rows: groups, times, sources,
	// weights. With Like they may be absent.
	Beside []string
	// Weight is a column of a table that says how much each row counts, and is no feature: 2 stands for two such rows, and
	// 0 for none. "" is that of Like; with Like it may be absent, and then all rows count alike.
	Weight string
	// Weights is a file of them instead, NPY or IDX with a number for each row of the file.
	Weights string
	// Drop are columns to leave out, and Only, if any, the ones to take for features.
	Drop, Only []string

	// ZeroBased says that LIBSVM indices start at 0. The default is that of Like, else 1.
	ZeroBased bool
	// NoHeader says that the first line of CSV or TSV is data; columns are then called f1, f2, …
	NoHeader bool
	// Decimal is ',' where numbers of CSV and TSV have a decimal comma; 0 is '.'. A column without a comma may still
	// have points; one with both is an error.
	Decimal byte
	// Thousands stands between groups of three digits of numbers of CSV and TSV: ',', '.', ' ' or '\''; 0 for nothing.
	Thousands byte

	// Missing is what becomes of cells of tables that are missing or not finite.
	Missing Missing

	// Dates is what becomes of columns of CSV, TSV and Parquet that hold dates or times.
	Dates Dates
	// DateOrder is one of DateOrders for dates in which day or month come first, and for years of two digits. "" is what
	// the column leaves open no doubt about, and otherwise an error.
	DateOrder string

	describe *Description // to fill in; nil to read

	Storage Storage
	Target  Target

	// Like is the schema of the set (the training set) whose features and classes this file must have.
	// Columns are matched by name, in any order; a column too few, an unseen level and an unseen class are
	// errors, and surplus columns are left out, and noted.
	Like         *Schema
	UnseenLevels Unseen
	// Memory bounds what reading takes, beside what was read with it before; nil is one of its own, NewMemory(0). More is
	// an error that names the file.
	Memory *Memory
	// LikeName says in messages what Like is of; "" is "the model".
	LikeName string

	// Texts names columns of CSV, TSV and Parquet that hold texts, which become words. An empty cell is one without words.
	Texts []string
	// Text says how documents become rows: its Weight, MinDocs and NoNorm; nil is the zero value, and TFIDF for columns of
	// texts. With Like the rows are those of Like.Text, or of the column there, instead. OptionalText says that there need
	// not be texts.
	Text         *Vectorizer
	OptionalText bool

	// Categorical names columns of tables whose cells are levels whatever they look like. A
	// column that is not named is categorical if some of its cells are no numbers; it is an error if these
	// look like slips (nine in ten cells, and at least ten, are numbers), or if more than half of at least
	// 20 rows have levels of their own. The columns of Like stay what they are.
	Categorical []string

	mem     *ledger   // what the call of Read takes
	columns *[]string // gets the names of columns, and nothing more is read; see Columns
}

// maxNumber is the largest magnitude of a feature or of a numeric target: products of a few values stay
// within the range of float64, and every float32 is below it.
const maxNumber = 1e50

// tooLarge says whether v is finite and beyond maxNumber.
func tooLarge(v float64) bool {
	return v > maxNumber && v <= math.MaxFloat64 || v < -maxNumber && v >= -math.MaxFloat64
}

// tooLargeError is the error of such a value; what names it.
func tooLargeError(what string, v float64) *Error {
	return &Error{Err: fmt.Errorf("%s %v is beyond ±%v, the largest number that is read", what, v, maxNumber),
		Hint: "scale the column (choose a larger unit)"}
}

// likeName is what Options.Like is of.
func (o *Options) likeName() string {
	if o.LikeName == "" {
		return "the model"
	}
	return o.LikeName
}

// checkLike is an error if Like is not usable.
func (o *Options) checkLike() error {
	if o.Like == nil {
		return nil
	}
	return o.Like.Check()
}

// likeHint is the remedy where a file has other columns than Options.Like.
func (o *Options) likeHint() string {
	if o.LikeName == "" {
		return "give a file with the columns that the model was trained on"
	}
	return "give a file with the columns of " + o.LikeName
}

// Read reads the file at path. Of an IDX pair it takes the file of images and finds the labels beside it.
// Besides the result, memory is bounded by the stored values once more, and less for LIBSVM text, and all of it by
// Options.Memory.
// Results do not depend on the number of processors.
//
// A folder is read as documents, and so is a tar or zip archive of one; archive.tar.gz/train is the folder train
// in it.
//
// When ctx ends, Read returns at once, whatever it waits for, with an error that wraps the cause.
func Read(ctx context.Context, path string, o Options) (*Set, error) {
	return reading(ctx, path, &o, func() (*Set, error) {
		inside := ""
		if o.Format == "" || o.Format == "text" {
			st, err := os.Stat(path)
			if err == nil && st.IsDir() {
				return readText(ctx, os.DirFS(path), path, o)
			}
			if err != nil {
				if archive, in, ok := insideArchive(path); ok {
					path, inside = archive, in
				}
			}
		}
		in, err := openFile(ctx, path, o.mem)
		if err != nil {
			return nil, err
		}
		defer in.Close()
		if inside != "" {
			if err := o.checkLike(); err != nil {
				return nil, err
			}
			return readArchive(in, inside, o)
		}
		return read(in, o)
	})
}

// ReadFrom is Read for a stream; name is for messages and for the extension. Parquet, Arrow, JSON
// and NPZ are read into memory first. The labels of an IDX or NPY file are those of Options.Labels. When ctx ends, r
// may be read from once more.
func ReadFrom(ctx context.Context, r io.Reader, name string, o Options) (*Set, error) {
	return reading(ctx, name, &o, func() (*Set, error) {
		in, err := openReader(ctx, r, name, o.mem)
		if err != nil {
			return nil, err
		}
		defer in.Close()
		return read(in, o)
	})
}

// reading is what f returns, unless ctx ends before.
func reading(ctx context.Context, name string, o *Options, f func() (*Set, error)) (*Set, error) {
	o.mem = newLedger(o.Memory)
	s, err := wait.For(ctx, f)
	o.mem.settle(s)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("dataset: reading %s was stopped: %w", name, err)
	}
	return s, err
}

// read reads in the format that it finds.
func read(in *input, o Options) (*Set, error) {
	if o.NoLabel && (o.OptionalLabel || o.Label != "" || o.Labels != "") {
		return nil, fail(in.name, "", "no label and a label are asked for at once")
	}
	if err := o.checkLike(); err != nil {
		return nil, err
	}
	if err := o.notation().check(in.name); err != nil {
		return nil, err
	}
	if err := o.checkDates(in.name); err != nil {
		return nil, err
	}
	f, err := formatOf(in, o)
	if err != nil {
		return nil, err
	}
	own := o.Beside
	if o.Weight == "" && o.Like != nil {
		o.Weight = o.Like.Weight
	}
	if o.Weight != "" {
		if o.Weights != "" {
			return nil, fail(in.name, "give one of them", "a column and a file of weights are asked for at once")
		}
		o.Beside = append(slices.Clone(own), o.Weight)
	}
	switch {
	case f.documents: // see checkText
	case len(o.Categorical) > 0 && o.Like == nil && !f.columns:
		return nil, fail(in.name, "leave out the names of categorical columns",
			"columns of the format %s have no names and are numbers", f.name)
	case o.Weight != "" && o.Like == nil && !f.columns:
		return nil, fail(in.name, "give a file of weights (--weights), NPY or IDX",
			"columns of the format %s have no names: there is no column %s of weights", f.name, quote(o.Weight))
	case len(o.Beside) > 0 && o.Like == nil && !f.columns:
		return nil, fail(in.name, "leave out the names of columns that stand beside the rows",
			"columns of the format %s have no names", f.name)
	case len(o.Texts) > 0 && !f.columns:
		return nil, fail(in.name, "leave out the names of columns of texts",
			"columns of the format %s have no names and are numbers", f.name)
	case o.Text != nil && len(o.Texts) == 0 && !o.OptionalText:
		return nil, fail(in.name, "name columns of texts, or leave out how words are weighted",
			"the format is %s, and not a folder of documents", f.name)
	case o.Like != nil && o.Like.Text != nil:
		return nil, fail(in.name, "give a folder of documents", "the format is %s, and %s is of documents", f.name,
			o.likeName())
	}
	s, err := f.read(in, o)
	if err != nil {
		// What cannot be read may come of a damaged stream, which is known at its end.
		if in.compressed != "" && !errors.Is(err, errColumns) && !errors.Is(err, errMemory) {
			if _, e := io.Copy(io.Discard, in); e != nil {
				err = e
			}
		}
		return nil, asError(in.name, err)
	}
	if s.Source == "" {
		s.Source = in.name
	}
	s.Features = s.Schema.Features()
	if o.Weight != "" || o.Weights != "" {
		if err := s.readWeights(in, &o); err != nil {
			return nil, asError(in.name, err)
		}
		if o.Like == nil {
			s.Schema.Weight = o.Weight
		}
		if !slices.Contains(own, o.Weight) {
			delete(s.Beside, o.Weight)
		}
	}
	return s, nil
}

// noRows is the error of a file without samples.
func noRows(file string) error {
	return fail(file, "check how it was written", "there are no rows")
}

// tooWide is the error of a file whose number of features is not the model's.
func (o *Options) tooWide(file string, d int) error {
	return fail(file, o.likeHint(), "there are %d features where %s has %d", d, o.likeName(), o.Like.Width)
}
