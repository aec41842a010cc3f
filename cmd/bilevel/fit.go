package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/nearest"
	"github.com/bilevel-go/bilevel/tune"
)

// formats is the help of --format.
var formats = oneOf(dataset.Formats()) + " (default by content)"

// oneOf names what can be chosen.
func oneOf[T ~string](values []T) string { return list(values, "or") }

// list names values in a sentence, with a word before the last.
func list[T ~string](values []T, last string) string {
	text := ""
	for i, v := range values {
		switch i {
		case 0:
		case len(values) - 1:
			text += " " + last + " "
		default:
			text += ", "
		}
		text += string(v)
	}
	return text
}

// embedded names the sets that need no files.
var embedded = strings.Join(dataset.EmbeddedSets(), ", ")

// fitFlags are the flags of the commands that read rows and fit models to them.
type fitFlags struct {
	train, test, set, data string
	read                   dataset.Options // of the training file
	unknown                string          // UnseenLevels of the others
	text                   dataset.Vectorizer

	method           string
	scale, intercept string
	maxTime          time.Duration
	seed             uint64

	out         string
	json, quiet bool
}

// register registers the flags, and own those of the command alone. what is learned, and goes with all else into files
// in the folder out.
func (f *fitFlags) register(p *pflag.FlagSet, what, out, files string, own func()) {
	p.SortFlags = false
	p.StringVar(&f.train, "train", "", "file of training rows")
	p.StringVar(&f.test, "test", "", "file of test rows, used for nothing but the figures")
	p.StringVar(&f.set, "set", "", "an embedded set ("+embedded+") or a public one (see bilevel data list)")
	p.StringVar(&f.data, "data", "", "folder with copies of public sets, used first (default $BILEVEL_DATA)")

	p.StringVar(&f.read.Label, "label", "", "label column by name or number (default label, target, class or y, else "+
		"the last)")
	p.StringVar(&f.read.Labels, "labels", "", "file of the labels of --train, where it is NPY or IDX without them")
	p.StringVar(&f.read.Format, "format", "", formats)
	p.IntVar(&f.read.Width, "width", 0, "features of LIBSVM text, at least (default the largest index)")
	p.BoolVar(&f.read.ZeroBased, "zero-based", false, "LIBSVM indices start at 0")
	p.BoolVar(&f.read.NoHeader, "no-header", false, "the first line of CSV or TSV is data")
	p.StringVar(&f.read.ID, "id", "", "column that names the rows: it is no feature, and stands beside predictions and "+
		"weights")
	p.StringSliceVar(&f.read.Drop, "drop", nil, "columns (NAME,...) to leave out")
	p.StringSliceVar(&f.read.Only, "only", nil, "columns (NAME,...) to take for features, and no others")
	p.StringVar(&f.unknown, "unknown", "error", "levels that no training row has, in other files: error, or zero for "+
		"none of the levels")
	p.StringVar((*string)(&f.read.Missing), "missing", "",
		"rows with missing cells: drop leaves them out, impute fills in "+
			"medians and most frequent levels and marks them (default an error)")
	p.Var((*character)(&f.read.Decimal), "decimal", "decimal separator of numbers in CSV or TSV: a point or a comma "+
		"(default point)")
	p.Var((*character)(&f.read.Thousands), "thousands", "what stands between groups of three digits (default nothing)")
	p.StringSliceVar(&f.read.Categorical, "categorical", nil,
		"columns (NAME,...) whose values are levels though they look like numbers or identifiers")
	p.StringVar((*string)(&f.text.Weight), "text", "",
		"weight of a word in a folder of texts: "+oneOf(dataset.Weights())+" (default count); rows get unit length")
	p.IntVar(&f.text.MinDocs, "min-docs", 0, "leave out words that fewer training texts have")

	own()
	p.StringVar(&f.method, "method", "auto", "how "+what+" are learned: auto or one of the names above")
	p.StringVar(&f.scale, "scale", "auto", "standardise features: on, off; auto is off for LIBSVM and folders of texts, "+
		"else on")
	p.StringVar(&f.intercept, "intercept", "auto", "fit an intercept: on, off; auto is off for LIBSVM and folders of "+
		"texts, else on")
	p.Lookup("scale").NoOptDefVal, p.Lookup("intercept").NoOptDefVal = "on", "on"
	p.DurationVar(&f.maxTime, "max-time", 0, "end with the best "+what+" after this time, such as 30s (reading is not "+
		"counted)")
	p.Uint64Var(&f.seed, "seed", 0, "seed of all that is random")

	p.StringVar(&f.out, "out", out, "folder for "+files)
	p.BoolVar(&f.json, "json", false, "print one JSON object and nothing else on standard output")
	p.BoolVar(&f.quiet, "quiet", false, "no progress on standard error")
}

// character is a flag of one character.
type character byte

func (c *character) String() string {
	if *c == 0 {
		return ""
	}
	return string(rune(*c))
}

func (c *character) Set(s string) error {
	if len(s) != 1 {
		return fmt.Errorf("give one character")
	}
	*c = character(s[0])
	return nil
}

func (c *character) Type() string { return "char" }

// missings are what --missing asks for.
var missings = []dataset.Missing{dataset.DropMissing, dataset.ImputeMissing}

// unseenLevels is what --unknown asks for.
func unseenLevels(word string) dataset.Unseen {
	if word == "zero" {
		return dataset.UnseenZero
	}
	return dataset.UnseenError
}

// switches are those of --scale and --intercept.
func (f *fitFlags) switches() (scale, intercept tune.Switch, err error) {
	if scale, err = parseSwitch("scale", f.scale); err == nil {
		intercept, err = parseSwitch("intercept", f.intercept)
	}
	return scale, intercept, err
}

func parseSwitch(name, word string) (tune.Switch, error) {
	switch word {
	case "auto":
		return tune.Auto, nil
	case "on", "true", "yes":
		return tune.On, nil
	case "off", "false", "no":
		return tune.Off, nil
	}
	return "", wrongChoice(name, word, []string{"on", "off", "auto"})
}

// check finds contradictions before anything is read. second is the flag of the file beside --train and --test, and
// outputs are what is written.
func (f *fitFlags) check(c *cobra.Command, second string, outputs ...string) error {
	given := c.Flags().Changed
	value := func(name string) string { return c.Flag(name).Value.String() }
	for _, name := range []string{"train", second, "test", "set"} {
		switch {
		case given(name) && value(name) == "":
			return usagef("--%s \"\": give a name, or leave the flag out", name)
		case value(name) == "-" && name != "set":
			return usagef("--%s -: %s does not read standard input; save the rows and give the file", name, c.Name())
		}
	}
	switch weight := f.text.Weight; {
	case f.train != "" && f.set != "":
		return usagef("--train and --set: give one of them")
	case f.train == "" && (value(second) != "" || f.test != ""):
		return usagef("--%s and --test need --train", second)
	case given("max-time") && f.maxTime <= 0:
		return usagef("--max-time %v: give a time above zero, such as 30s", f.maxTime)
	case f.out == "":
		return usagef("--out \"\": name a folder")
	case weight != "" && !slices.Contains(dataset.Weights(), weight):
		return wrongChoice("text", weight, dataset.Weights())
	case f.unknown != "error" && f.unknown != "zero":
		return wrongChoice("unknown", f.unknown, []string{"error", "zero"})
	case f.read.Missing != "" && !slices.Contains(missings, f.read.Missing):
		return wrongChoice("missing", f.read.Missing, missings)
	case f.read.Width < 0:
		return usagef("--width %d: give a number of features", f.read.Width)
	case f.text.MinDocs < 0:
		return usagef("--min-docs %d: give a number of texts", f.text.MinDocs)
	case f.vectorizer() != nil && f.train == "" && isEmbedded(f.set):
		return usagef("--text and --min-docs are about texts: give a folder with --train")
	}
	if f.train == "" {
		for _, name := range []string{"label", "labels", "format", "width", "zero-based", "no-header", "id", "drop", "only",
			"missing", "decimal", "thousands", "categorical"} {
			if given(name) {
				return usagef("--%s is about files: give --train", name)
			}
		}
	}
	if err := checkFolder(f.out); err != nil {
		return usagef("--out %s: %w", f.out, err)
	}
	for _, path := range outputs {
		if err := checkTarget(path, f.train, value(second), f.test); err != nil {
			return usagef("--out %s: %s %w", f.out, path, err)
		}
	}
	return nil
}

// vectorizer is how texts become rows, nil where nothing is said about it.
func (f *fitFlags) vectorizer() *dataset.Vectorizer {
	if f.text.Weight == "" && f.text.MinDocs == 0 {
		return nil
	}
	return &f.text
}

// readFile reads the training file.
func (f *fitFlags) readFile(ctx context.Context, target dataset.Target) (train *dataset.Set, name string, err error) {
	o := f.read
	o.Target, o.Text = target, f.vectorizer()
	train, err = dataset.Read(ctx, f.train, o)
	return train, filepath.Base(f.train), err
}

// readLike reads other files with the columns of the training rows, none for those without a name. It is an error if
// the output would lie in one of the folders of texts.
func (f *fitFlags) readLike(ctx context.Context, train *dataset.Set, files ...string) ([]*dataset.Set, error) {
	for _, in := range append(files, f.train) {
		if train.Schema.Text != nil && isFolder(in) && isWithin(f.out, in) {
			return nil, usagef("--out %s: is in the folder of texts %s and would be read with it the next time; name another "+
				"one",
				f.out, in)
		}
	}
	o := f.read
	o.Like, o.LikeName, o.Format, o.Labels = train.Schema, "the training file", "", ""
	o.UnseenLevels = unseenLevels(f.unknown)
	sets := make([]*dataset.Set, len(files))
	for k, file := range files {
		if file == "" {
			continue
		}
		var err error
		if sets[k], err = dataset.Read(ctx, file, o); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

// publicSets names the public sets.
func publicSets() (names []string) {
	for _, p := range dataset.Publics() {
		names = append(names, p.Name)
	}
	return names
}

// allSets names the sets that --set takes.
func allSets() []string { return append(dataset.EmbeddedSets(), publicSets()...) }

// isEmbedded says whether set is an embedded one; without a name it is.
func isEmbedded(set string) bool { return set == "" || slices.Contains(dataset.EmbeddedSets(), set) }

// readSet reads the set that is named. A quarter of an embedded one is for the test.
func (f *fitFlags) readSet(ctx context.Context, bar *progress) (rest, test *dataset.Set, name string, err error) {
	if isEmbedded(f.set) {
		if name = f.set; name == "" {
			name = dataset.EmbeddedSets()[0]
		}
		all, err := dataset.Embedded(name)
		if err != nil {
			return nil, nil, "", err
		}
		rest, test, err = all.Split(.25, f.seed, true)
		return rest, test, name + " (embedded)", err
	}
	if _, err := dataset.Lookup(f.set); err != nil {
		return nil, nil, "", usagef("--set %q: there are %s (embedded) and %s (public)%s", f.set,
			strings.Join(dataset.EmbeddedSets(), ", "), strings.Join(publicSets(), ", "), nearest.Hint(f.set, allSets()))
	}
	o := dataset.GetOptions{DataDir: f.data, Progress: bar.download, Text: f.vectorizer()}
	rest, test, files, err := dataset.Load(ctx, f.set, o)
	if err != nil {
		return nil, nil, "", err
	}
	for _, note := range files.Notes {
		bar.say("note: " + note)
	}
	return rest, test, f.set, nil
}

// start is the progress of the command, on standard error.
func (f *fitFlags) start(c *cobra.Command) *progress {
	stderr := c.ErrOrStderr()
	if f.quiet {
		stderr = io.Discard
	}
	bar := newProgress(stderr)
	bar.say("reading the data")
	return bar
}

// write makes the folder and writes files in it.
func (f *fitFlags) write(files ...outFile) error {
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return usagef("--out %s: the folder cannot be made: %w", f.out, bare(err))
	}
	if err := writeFiles(files); err != nil {
		return usagef("--out %s: %w", f.out, err)
	}
	return nil
}

// noFiles is an error if there are arguments: files have flags.
func noFiles(second string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("%q: give files with --train, --%s and --test", args[0], second)
		}
		return nil
	}
}

// note writes on standard error what a user should know of how the rows were read, unless JSON says it.
func (f *fitFlags) note(c *cobra.Command, notes []string) {
	if f.json && f.quiet {
		return
	}
	for _, n := range notes {
		fmt.Fprintln(c.ErrOrStderr(), "note:", n)
	}
}

// say prints the result, as JSON or in words.
func (f *fitFlags) say(w io.Writer, result any, words func() string, interrupted bool) error {
	var err error
	if f.json {
		err = encode(w, result)
	} else {
		_, err = io.WriteString(w, words())
	}
	if err == nil && interrupted {
		err = errInterrupted
	}
	return err
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// known is v as JSON can hold it: nothing where it is unknown.
func known(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
