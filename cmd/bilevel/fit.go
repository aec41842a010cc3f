package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
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
	labels                 [2]string       // files of the labels of the second file and of test
	read                   dataset.Options // of the training file
	unknown                string          // UnseenLevels of the others
	text                   dataset.Vectorizer
	ngrams                 string
	weighs                 bool // the weight of words can be left to validation rows

	method           string
	scale, intercept string
	maxTime          time.Duration
	memory           size
	seed             uint64

	out         string
	json, quiet bool

	stdin io.Reader
}

// register registers the flags, and own those of the command alone. second is the flag of the file beside --train and
// --test. what is learned, and goes with all else into files in the folder out.
func (f *fitFlags) register(p *pflag.FlagSet, second, what, out, files string, own func()) {
	p.SortFlags = false
	p.StringVar(&f.train, "train", "", "file of training rows; - is standard input, here and for one of "+
		"the other files instead")
	p.StringVar(&f.test, "test", "", "file of test rows, used for nothing but the figures")
	p.StringVar(&f.set, "set", "", "an embedded set ("+embedded+") or a public one (see bilevel data list)")
	p.StringVar(&f.data, "data", "", "folder with copies of public sets, used first (default $BILEVEL_DATA)")

	f.registerReading(p)
	p.StringVar(&f.labels[0], second+"-labels", "", "labels of --"+second+", as --labels are those of --train")
	p.StringVar(&f.labels[1], "test-labels", "", "the same of --test")
	p.StringVar(&f.unknown, "unknown", "error", "levels that no training row has, in other files: error, or zero for "+
		"none of the levels")

	own()
	p.StringVar(&f.method, "method", "auto", "how "+what+" are learned: auto or one of the names above")
	f.registerModel(p, what, out, files)
}

// registerModel registers the flags of how models are fitted, for how long, and where what is learned goes.
func (f *fitFlags) registerModel(p *pflag.FlagSet, what, out, files string) {
	p.StringVar(&f.scale, "scale", "auto", "standardise features: on, off; auto is off for LIBSVM and folders of texts, "+
		"else on")
	p.StringVar(&f.intercept, "intercept", "auto", "fit an intercept: on, off; auto is off for LIBSVM and folders of "+
		"texts, else on")
	p.Lookup("scale").NoOptDefVal, p.Lookup("intercept").NoOptDefVal = "on", "on"
	p.DurationVar(&f.maxTime, "max-time", 0, "end with the best "+what+" after this time, such as 30s (reading is not "+
		"counted)")
	p.Var(&f.memory, "memory", memoryHelp)
	p.Uint64Var(&f.seed, "seed", 0, "seed of all that is random")

	p.StringVar(&f.out, "out", out, "folder for "+files)
	p.BoolVar(&f.json, "json", false, "print one JSON object and nothing else on standard output")
	p.BoolVar(&f.quiet, "quiet", false, "no progress on standard error")
}

// registerReading registers the flags of how a file is read.
func (f *fitFlags) registerReading(p *pflag.FlagSet) {
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
	p.StringVar((*string)(&f.read.Missing), "missing", "",
		"rows with missing cells: drop leaves them out, impute fills in "+
			"medians and most frequent levels and marks them (default an error)")
	p.Var((*character)(&f.read.Decimal), "decimal", "decimal separator of numbers in CSV or TSV: a point or a comma "+
		"(default point)")
	p.Var((*character)(&f.read.Thousands), "thousands", "what stands between groups of three digits (default nothing)")
	p.StringVar((*string)(&f.read.Dates), "dates", "features", "columns of dates and times: features makes year, month, "+
		"weekday, hour and elapsed days of them, drop leaves them out")
	p.StringVar(&f.read.DateOrder, "date-order", "", "order of day, month and year, where a column leaves it open: "+
		oneOf(dataset.DateOrders))
	p.StringSliceVar(&f.read.Categorical, "categorical", nil,
		"columns (NAME,...) whose values are levels though they look like numbers or identifiers")
	p.StringSliceVar(&f.read.Texts, "text", nil, "columns (NAME,...) that hold texts, which become words")
	p.StringVar((*string)(&f.text.Weight), "words", "auto", "weight of a word: "+oneOf(dataset.Weights())+
		"; auto is the best on validation rows (tune), else log-tfidf; texts get unit length")
	p.StringVar(&f.ngrams, "ngrams", "auto", "columns for words that follow each other, up to 1, 2 or 3; auto tries 2 "+
		"where it is cheap (tune), else 1")
	p.IntVar(&f.text.MinDocs, "min-docs", 0, "leave out words that fewer training texts have (default 1; 2 where more "+
		"than 50,000 words are weighed by --words auto)")
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

// allDates are what --dates asks for.
var allDates = []dataset.Dates{dataset.DateFeatures, dataset.DropDates}

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
	f.stdin = c.InOrStdin()
	piped := "" // the flag that takes standard input
	for _, name := range []string{"train", second, "test", "set"} {
		switch {
		case given(name) && value(name) == "":
			return usagef("--%s \"\": give a name, or leave the flag out", name)
		case value(name) != dash || name == "set":
		case piped != "":
			return usagef("--%s - and --%s -: standard input is one file; save the other", piped, name)
		default:
			piped = name
		}
	}
	for _, of := range []string{"train", second, "test"} {
		name := strings.TrimPrefix(of+"-labels", "train-")
		switch {
		case value(name) == dash:
			return usagef("--%s -: labels are not read from standard input; save them and give the file", name)
		case given(name) && value(of) == "":
			return usagef("--%s needs --%s, whose labels they are", name, of)
		}
	}
	if err := f.checkReading(); err != nil {
		return err
	}
	switch {
	case f.train != "" && f.set != "":
		return usagef("--train and --set: give one of them")
	case f.train == "" && (value(second) != "" || f.test != ""):
		return usagef("--%s and --test need --train", second)
	case f.asksForWords() && f.train == "" && isEmbedded(f.set):
		return usagef("--words, --ngrams and --min-docs are about texts: give a folder, or a table with --text, as --train")
	}
	if f.train == "" {
		for _, name := range []string{"label", "labels", "format", "width", "zero-based", "no-header", "id", "drop", "only",
			"missing", "decimal", "thousands", "dates", "date-order", "categorical", "text"} {
			if given(name) {
				return usagef("--%s is about files: give --train", name)
			}
		}
	}
	return f.checkOutputs(c, outputs, f.train, value(second), f.test)
}

// checkOutputs finds what is wrong with the flags of registerModel. outputs are what is written, and must be none of the
// inputs.
func (f *fitFlags) checkOutputs(c *cobra.Command, outputs []string, inputs ...string) error {
	switch {
	case c.Flags().Changed("max-time") && f.maxTime <= 0:
		return usagef("--max-time %v: give a time above zero, such as 30s", f.maxTime)
	case f.out == "":
		return usagef("--out \"\": name a folder")
	case f.out == dash:
		return usagef("--out -: several files are written; name a folder, and give --json for the result on standard output")
	case f.unknown != "error" && f.unknown != "zero":
		return wrongChoice("unknown", f.unknown, []string{"error", "zero"})
	}
	if err := checkFolder(f.out); err != nil {
		return usagef("--out %s: %w", f.out, err)
	}
	for _, path := range outputs {
		if err := checkTarget(path, inputs...); err != nil {
			return usagef("--out %s: %s %w", f.out, path, err)
		}
	}
	return nil
}

// checkReading finds what is wrong with the flags of how a file is read.
func (f *fitFlags) checkReading() error {
	switch weight := f.text.Weight; {
	case weight != dataset.AutoWeight && !slices.Contains(dataset.Weights(), weight):
		return wrongChoice("words", weight, append([]dataset.Weight{dataset.AutoWeight}, dataset.Weights()...))
	case !slices.Contains(choices("auto|1|2|3")(), f.ngrams):
		return wrongChoice("ngrams", f.ngrams, choices("auto|1|2|3")())
	case f.read.Missing != "" && !slices.Contains(missings, f.read.Missing):
		return wrongChoice("missing", f.read.Missing, missings)
	case f.read.Dates != dataset.DateFeatures && f.read.Dates != dataset.DropDates:
		return wrongChoice("dates", f.read.Dates, allDates)
	case f.read.DateOrder != "" && !slices.Contains(dataset.DateOrders, f.read.DateOrder):
		return wrongChoice("date-order", f.read.DateOrder, dataset.DateOrders)
	case f.read.Width < 0:
		return usagef("--width %d: give a number of features", f.read.Width)
	case f.text.MinDocs < 0:
		return usagef("--min-docs %d: give a number of texts", f.text.MinDocs)
	}
	return nil
}

// asksForWords says whether a flag says how texts become rows.
func (f *fitFlags) asksForWords() bool {
	return f.text.Weight != dataset.AutoWeight || f.text.MinDocs > 0 || f.ngrams != "auto"
}

// vectorizer is how texts become rows.
func (f *fitFlags) vectorizer() *dataset.Vectorizer {
	v := f.text
	v.Grams, _ = strconv.Atoi(f.ngrams)
	if v.Weight == dataset.AutoWeight && !f.weighs {
		v.Weight = tune.DefaultWeighting(1).Weight
	}
	return &v
}

// readFile reads the training file.
func (f *fitFlags) readFile(ctx context.Context, target dataset.Target) (train *dataset.Set, name string, err error) {
	o := f.read
	o.Target, o.Text, o.OptionalText = target, f.vectorizer(), !f.asksForWords()
	train, err = readRows(ctx, f.stdin, f.train, o)
	return train, sourceName(f.train), err
}

// readLike reads the second file and that of the test with the columns of the training rows, none for those without a
// name. It is an error if
// the output would lie in one of the folders of texts.
func (f *fitFlags) readLike(ctx context.Context, train *dataset.Set, second string) ([]*dataset.Set, error) {
	files := []string{second, f.test}
	if in := f.enclosing(second, f.test, f.train); in != "" {
		return nil, usagef("--out %s: is in the folder of texts %s and would be read with it the next time; name another one",
			f.out, in)
	}
	o := f.read
	o.Like, o.LikeName, o.Format = train.Schema, "the training file", ""
	o.UnseenLevels, o.Weights = unseenLevels(f.unknown), ""
	sets := make([]*dataset.Set, len(files))
	for k, file := range files {
		if file == "" {
			continue
		}
		o.Labels = f.labels[k]
		var err error
		if sets[k], err = readRows(ctx, f.stdin, file, o); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

// checkRoom is an error if there is no room for a model of the training rows, the copies of all rows that learning
// makes, and predictions. Other sets may be nil.
func (f *fitFlags) checkRoom(train *dataset.Set, others ...*dataset.Set) error {
	_, d := train.Dims()
	scores := max(len(train.Classes), 1)
	need := bytesPerWeight * float64(d+1) * float64(scores)
	read := int64(0)
	for _, s := range append(others, train) {
		if s != nil {
			n, _ := s.Dims()
			read += s.Bytes()
			need += copies*float64(s.Bytes()) + 2*8*float64(n)*float64(scores)
		}
	}
	what := fmt.Sprintf("learning a model of %d features", d)
	if train.Classes != nil {
		what += fmt.Sprintf(" and %d classes", scores)
	}
	settle(read)
	return f.read.Memory.Check(train.Source, what, need)
}

// What learning takes, about: bytes for each coefficient, with its strength, in the vectors of inner and outer solvers,
// and copies of the rows.
const (
	bytesPerWeight = 64 * 8
	copies         = 4
)

// enclosing is the first of the files that is a folder with the output in it, "" if there is none.
func (f *fitFlags) enclosing(files ...string) string {
	for _, in := range files {
		if isFolder(in) && isWithin(f.out, in) {
			return in
		}
	}
	return ""
}

// claim claims the folder for the output, except one that readLike refuses.
func (f *fitFlags) claim(second string) (release func(), err error) {
	if f.enclosing(f.train, second, f.test) != "" {
		return func() {}, nil
	}
	return claimFolder(f.out, "")
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
	o := dataset.GetOptions{DataDir: f.data, Progress: bar.download, Text: f.vectorizer(), OptionalText: !f.asksForWords(),
		Memory:  f.read.Memory,
		Waiting: func(file string) { bar.say("waiting for another process, which downloads " + file) }}
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
	f.read.Memory = f.memory.bound()
	stderr := c.ErrOrStderr()
	if f.quiet {
		stderr = io.Discard
	}
	bar := newProgress(stderr)
	bar.say("reading the data")
	return bar
}

// write writes the file that matters most, and then those that others makes.
func (f *fitFlags) write(first outFile, others func() ([]outFile, error)) error {
	if err := writeFiles([]outFile{first}); err != nil {
		return usagef("--out %s: %w", f.out, err)
	}
	files, err := others()
	if err != nil {
		return err
	}
	if err := writeBeside(first.path, files...); err != nil {
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
