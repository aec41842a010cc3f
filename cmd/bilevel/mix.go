package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/judge"
	"github.com/bilevel-go/bilevel/internal/report"
	"github.com/bilevel-go/bilevel/mix"
	"github.com/bilevel-go/bilevel/tune"
)

// mixFlags are the flags of bilevel mix. The target is fitFlags.train.
type mixFlags struct {
	fitFlags
	sources []string
	only    bool
	folds   int
	task    string // classification or regression, "" to guess
}

func newMixCommand() *cobra.Command {
	var f mixFlags
	c := &cobra.Command{
		Use:   "mix TARGET --sources FILE,FILE,…",
		Short: "Find which training files help to predict a small target file",
		Long: `TARGET is a file of rows like those that are to be predicted, some hundred of them. The sources are larger files
with the same columns, from other times, places or people. Each gets a weight, all of them add up to one, and sources
without which target rows are predicted better get none; the target's own rows are a source as well. No row of the
target is judged by a model that was trained on it.

The folder --out gets model.json (for bilevel predict), weights.csv and report.html.`,
		Example: `  bilevel mix here.csv --sources 2023.csv,2024.csv,elsewhere.csv
  bilevel mix here.csv --sources a.csv,b.csv --test later.csv --label price`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return errors.New("give one target file, or - for standard input, and the others with --sources")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			f.train = args[0]
			return runMix(c, &f)
		},
	}
	p := c.Flags()
	p.SortFlags = false
	p.StringSliceVar(&f.sources, "sources", nil, "files (FILE,...) of training rows to weigh, two or more (required)")
	p.BoolVar(&f.only, "sources-only", false, "train on the sources alone: target rows do nothing but judge")
	p.StringVar(&f.test, "test", "", "file of target rows, used for nothing but the figures")
	f.registerReading(p)
	p.StringVar(&f.unknown, "unknown", "error", "levels that no target row has, in other files: error, or zero for none of "+
		"the levels")
	p.StringVar(&f.task, "task", "", "what the label is: classification or regression (default guessed from it)")
	p.IntVar(&f.folds, "folds", 0, "parts of the target, each judged by models without it (default 5)")
	f.registerModel(p, "weights", "bilevel-mix-out", "model.json, weights.csv and report.html")
	return c
}

// settings are those of mix.Fit, checked.
func (f *mixFlags) settings(c *cobra.Command) (mix.Options, error) {
	o := mix.Options{Folds: f.folds, SourcesOnly: f.only, MaxTime: f.maxTime, Seed: f.seed}
	var err error
	if o.Scale, o.Intercept, err = f.switches(); err != nil {
		return o, err
	}
	if c.Flags().Changed("folds") && f.folds == 0 {
		o.Folds = -1 // not the default
	}
	if err := o.Check(); err != nil {
		return o, usagef("--%w", err)
	}
	return o, nil
}

// checkFlags finds contradictions before anything is read.
func (f *mixFlags) checkFlags(c *cobra.Command) error {
	f.stdin = c.InOrStdin()
	piped := f.train == dash
	for _, s := range append(f.sources, f.test) {
		if s == dash && piped {
			return usagef("--sources and --test: standard input is one file; save the others")
		}
		piped = piped || s == dash
	}
	seen := map[string]bool{filepath.Clean(f.train): true}
	for _, s := range f.sources {
		switch at := filepath.Clean(s); {
		case s == "":
			return usagef("--sources %s: a name is empty", strings.Join(f.sources, ","))
		case at == filepath.Clean(f.train):
			return usagef("--sources %s: this is the target, whose own rows are a source anyway", s)
		case seen[at]:
			return usagef("--sources %s: the file is named twice", s)
		default:
			seen[at] = true
		}
	}
	files := f.outputs()
	switch {
	case len(f.sources) < 2:
		return usagef("--sources %s: give two files or more, separated by commas; to learn from one, bilevel tune --train",
			strings.Join(f.sources, ","))
	case f.task != "" && f.task != "classification" && f.task != "regression":
		return wrongChoice("task", f.task, []string{"classification", "regression"})
	}
	if err := f.checkReading(); err != nil {
		return err
	}
	return f.checkOutputs(c, []string{files.Model, files.Weights, files.Report},
		append(f.sources, f.train, f.test)...)
}

// mixed is what was found, for the reports.
type mixed struct {
	*mix.Result
	target  *dataset.Set
	name    string   // of the target
	about   []string // how the files were read
	notes   []string // the same without which column is the label
	judged  *judge.Judgement
	read    time.Duration
	files   *mixOutputs
	command string // as it was typed, without folders
	when    time.Time
	out     string // folder
	seed    uint64
}

// mixOutputs are the files that were written.
type mixOutputs struct {
	Model   string `json:"model"`
	Weights string `json:"weights"`
	Report  string `json:"report"`
}

func (f *mixFlags) outputs() *mixOutputs {
	return &mixOutputs{filepath.Join(f.out, "model.json"), filepath.Join(f.out, "weights.csv"),
		filepath.Join(f.out, "report.html")}
}

func runMix(c *cobra.Command, f *mixFlags) error {
	o, err := f.settings(c)
	if err != nil {
		return err
	}
	if err := f.checkFlags(c); err != nil {
		return err
	}
	for _, in := range append(f.sources, f.train, f.test) {
		if in := f.enclosing(in); in != "" {
			return usagef("--out %s: is in the folder of texts %s and would be read with it the next time; name another one",
				f.out, in)
		}
	}
	release, err := claimFolder(f.out, "")
	if err != nil {
		return err
	}
	defer release()
	begin := time.Now()
	bar := f.start(c)
	defer bar.finish()
	data, err := f.readData(c.Context(), &o)
	if err != nil {
		return err
	}
	if err := f.checkRoom(data.Target, append(data.Sources, data.Test)...); err != nil {
		return err
	}
	read := time.Since(begin)
	o.Progress = bar.update
	r, err := mix.Fit(c.Context(), *data, o)
	bar.finish()
	if err != nil {
		return err
	}
	m := &mixed{Result: r, target: data.Target, name: sourceName(f.train), read: read, files: f.outputs(), command: typed(c),
		about: dataset.About(data.Target, append(data.Sources, data.Test)...), when: time.Now(), out: f.out, seed: f.seed}
	m.notes = withoutLabel(m.about, data.Target)
	m.command = strings.Replace(m.command, "bilevel mix", "bilevel mix "+quoted(m.name), 1)
	m.judged = m.judge(r.Mix)
	if err := f.writeAll(m); err != nil {
		return err
	}
	f.note(c, m.notes)
	return f.say(c.OutOrStdout(), m.json(), m.summary, r.Interrupted)
}

// readData reads all files. It sets the task that --task asks for.
func (f *mixFlags) readData(ctx context.Context, o *mix.Options) (*mix.Data, error) {
	kind := dataset.AutoTarget
	if f.task == "regression" {
		kind = dataset.NumericTarget
	}
	target, _, err := f.readFile(ctx, kind)
	if err != nil {
		return nil, err
	}
	if o.Task = taskOf(f.task, target); o.Task.Classes() {
		if err := target.AsClasses(); err != nil {
			return nil, err
		}
	}
	data := &mix.Data{Target: target, Names: namesOfFiles(f.sources)}
	like := f.read
	like.Like, like.LikeName, like.Format, like.Labels = target.Schema, "the target file", "", ""
	like.UnseenLevels = unseenLevels(f.unknown)
	for k, path := range append(f.sources, f.test) {
		if path == "" {
			continue
		}
		s, err := readRows(ctx, f.stdin, path, like)
		if err != nil {
			return nil, err
		}
		if k < len(f.sources) {
			data.Sources = append(data.Sources, s)
		} else {
			data.Test = s
		}
	}
	return data, nil
}

// namesOfFiles are short names that tell files apart: without folders, or with the last one where names are the same.
func namesOfFiles(paths []string) []string {
	count := map[string]int{}
	for _, p := range paths {
		count[sourceName(p)]++
	}
	var names []string
	for _, p := range paths {
		name := sourceName(p)
		if count[name] > 1 {
			name = filepath.ToSlash(filepath.Join(filepath.Base(filepath.Dir(p)), name))
		}
		names = append(names, name)
	}
	return names
}

// writeAll writes the model, and then the weights and the report.
func (f *mixFlags) writeAll(m *mixed) error {
	model, err := m.Model.JSON()
	if err != nil {
		return err
	}
	return f.write(outFile{m.files.Model, model}, func() ([]outFile, error) {
		var weights, html bytes.Buffer
		if err := m.writeWeights(&weights); err != nil {
			return nil, err
		}
		err := report.Write(&html, m.page())
		return []outFile{{m.files.Weights, weights.Bytes()}, {m.files.Report, html.Bytes()}}, err
	})
}

// writeWeights writes a line for each source. Unknown numbers are empty.
func (m *mixed) writeWeights(w io.Writer) error {
	t := csv.NewWriter(w)
	t.Write([]string{"source", "rows", "weight", "low", "high", "left_out", "loss_alone", "change", "change_low",
		"change_high"})
	for _, s := range m.Sources {
		line := []string{s.Name, strconv.Itoa(s.Rows)}
		for _, v := range []float64{s.Weight, s.Low, s.High, s.Alone, s.Change, s.ChangeLow, s.ChangeHigh} {
			text := ""
			if known(v) != nil {
				text = strconv.FormatFloat(v, 'g', 6, 64)
			}
			if line = append(line, text); len(line) == 5 {
				line = append(line, strconv.FormatBool(s.LeftOut))
			}
		}
		t.Write(line)
	}
	t.Flush()
	return t.Error()
}

// mixJSON is what --json prints. Unknown numbers are null.
type mixJSON struct {
	Model     tune.Task       `json:"model"`
	Label     string          `json:"label"`
	Sources   []mixSourceJSON `json:"sources"`
	Even      bool            `json:"even"` // the rows of all sources that are not left out count alike
	Strength  float64         `json:"strength"`
	Unseen    string          `json:"unseen"` // the rows of the figures: test or out-of-fold
	Ways      []mixWayJSON    `json:"ways"`
	Change    estimateJSON    `json:"change"` // of the loss, from all files alike to the mix
	Verdict   judge.Verdict   `json:"verdict"`
	NTarget   int             `json:"n_target"`
	NTest     int             `json:"n_test"`
	Folds     int             `json:"folds"`
	Steps     int64           `json:"steps"`
	Seconds   float64         `json:"seconds"`
	Read      float64         `json:"read_seconds"`
	Seed      uint64          `json:"seed"`
	Cancelled bool            `json:"interrupted"`
	TimedOut  bool            `json:"timed_out"`
	Reason    string          `json:"reason"`
	Notes     []string        `json:"notes"`
	Words     []string        `json:"words"`
	Files     *mixOutputs     `json:"files"`
}

// mixSourceJSON is a source.
type mixSourceJSON struct {
	Name    string       `json:"name"`
	Rows    int          `json:"rows"`
	Target  bool         `json:"target"` // the target's own rows
	Weight  float64      `json:"weight"`
	Low     *float64     `json:"low"`
	High    *float64     `json:"high"`
	LeftOut bool         `json:"left_out"`
	Alone   *float64     `json:"loss_alone"`
	Change  estimateJSON `json:"change"` // of the loss by training on it too
}

// mixWayJSON is a way to train with its figures.
type mixWayJSON struct {
	Name    string                  `json:"name"`
	Figures map[string]estimateJSON `json:"figures"`
}

func (m *mixed) json() mixJSON {
	j := mixJSON{Model: m.Model.Task, Label: m.target.Schema.Label, Even: m.Even, Strength: m.Model.Penalty.Strengths[0].Value,
		Unseen: m.Unseen.On, Change: estimated(m.judged.Change), Verdict: m.judged.Verdict, NTarget: m.NTarget, NTest: m.NTest,
		Folds: m.Folds, Steps: m.Steps, Seconds: m.Seconds, Read: m.read.Seconds(), Seed: m.seed, Cancelled: m.Interrupted,
		TimedOut: m.TimedOut, Reason: m.Reason, Notes: append([]string{}, m.notes...), Words: m.words(), Files: m.files}
	for _, s := range m.Sources {
		j.Sources = append(j.Sources, mixSourceJSON{s.Name, s.Rows, s.Target, s.Weight, known(s.Low), known(s.High), s.LeftOut,
			known(s.Alone), estimated(judge.Estimate{Value: s.Change, Low: s.ChangeLow, High: s.ChangeHigh})})
	}
	for _, w := range m.ways() {
		figures := map[string]estimateJSON{}
		for _, f := range w.judged.Figures {
			figures[f.Key] = estimated(w.of(&f))
		}
		j.Ways = append(j.Ways, mixWayJSON{w.name, figures})
	}
	return j
}

// judge judges a way to train beside all files alike.
func (m *mixed) judge(w *mix.Way) *judge.Judgement {
	u := *m.Unseen
	u.Model = w.Said
	return judge.Of(&u, m.Model.Classes)
}

// mixWay is a way to train, or the trivial model, with what is compared.
type mixWay struct {
	name, small string
	judged      *judge.Judgement
	kind        report.Kind
	trivial     bool
}

// of is a figure of the way.
func (w mixWay) of(f *judge.Figure) judge.Estimate {
	if w.trivial {
		return f.Trivial
	}
	return f.Model
}

// ways are what is compared: the trivial model first, the mix last.
func (m *mixed) ways() []mixWay {
	trivial := "always the mean"
	if m.Model.Classes != nil {
		trivial = "always the shares"
	}
	out := []mixWay{{trivial, "the trivial model", m.judged, report.Reference, true}}
	add := func(w *mix.Way, name, small string, kind report.Kind) {
		if w != nil {
			out = append(out, mixWay{name, small, m.judge(w), kind, false})
		}
	}
	add(m.Own, "the target alone", "its own rows", report.Reference)
	if m.Single != nil {
		add(m.Single, report.Name(m.Sources[m.Best].Name)+" alone", "the best single source", report.Reference)
	}
	add(m.Alike, "all rows alike", "the baseline: all files in one", report.Reference)
	add(m.Mix, "this mix", fmt.Sprintf("%d of %d sources", m.used(), len(m.Sources)), report.Main)
	return out
}

// used is how many sources have a weight.
func (m *mixed) used() (n int) {
	for _, s := range m.Sources {
		if s.Weight > 0 {
			n++
		}
	}
	return n
}
