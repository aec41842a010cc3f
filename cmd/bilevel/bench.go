package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/bilevel-go/bilevel/bench"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/wait"
)

// newBenchCommand is `bilevel bench`.
func newBenchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Compare methods on problems, over seeds",
		Long: `A bench file names problems, methods with their parameters, seeds and a budget; bench run makes all the
runs, and the other commands read the folder of traces that it leaves.`,
		Example: `  bilevel bench run smoke --out smoke
  bilevel bench show smoke`,
	}
	c.AddCommand(newBenchRunCommand(), newBenchShowCommand(), newBenchPlotCommand(), newBenchReportCommand(),
		newBenchExportCommand(), newBenchListCommand(), newBenchWorkCommand())
	return c
}

// benchRunFlags are the flags of bilevel bench run.
type benchRunFlags struct {
	out, data    string
	jobs         int
	index, count int
	retry, quiet bool
	memory       size
	jobsSet      bool
}

func newBenchRunCommand() *cobra.Command {
	var f benchRunFlags
	c := &cobra.Command{
		Use:   "run FILE",
		Short: "Make the runs of a bench file that have not ended yet",
		Long: `FILE is a bench file, see docs/bench.md, or the name of a ready one, see bilevel bench list. Every run
has one thread; --jobs of them are made at once, each in a process of its own. The folder --out gets a trace of
each run when it ends: after an interruption the same command goes on from there. Runs that diverge or fail are
results too.

With --task-index I --task-count N this is one of N shares that together are all runs, for the jobs of an array.`,
		Example: `  bilevel bench run smoke --out smoke --jobs 2
  bilevel bench run smoke --task-index 0 --task-count 2`,
		ValidArgsFunction: wordsOrFiles(bench.Ready),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("give one bench file, or the name of a ready one; bilevel bench list has them")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			f.jobsSet = c.Flags().Changed("jobs")
			return runBench(c, args[0], f)
		},
	}
	p := c.Flags()
	p.SortFlags = false
	p.StringVar(&f.out, "out", "", "folder for the traces, made if it is not there (default bench-NAME, "+
		"by the file's name)")
	p.IntVar(&f.jobs, "jobs", 0, "runs at once (default: one for each core)")
	p.IntVar(&f.index, "task-index", 0, "make share I of the runs, from 0")
	p.IntVar(&f.count, "task-count", 1, "number of shares")
	p.Var(&f.memory, "memory", "most memory for the problems of all runs at once, such as 2GB or 512MiB (default half of "+
		"what there is)")
	p.BoolVar(&f.retry, "retry", false, "run again what has failed")
	p.StringVar(&f.data, "data", "", "folder with copies of public sets, used first (default $BILEVEL_DATA)")
	p.BoolVar(&f.quiet, "quiet", false, "no progress")
	return c
}

func runBench(c *cobra.Command, file string, f benchRunFlags) error {
	if f.jobsSet && f.jobs < 1 {
		return usagef("--jobs %d: give a number above zero", f.jobs)
	}
	if f.count < 1 || f.index < 0 || f.index >= f.count {
		return usagef("--task-index %d --task-count %d: shares are numbered from 0 to their number less one",
			f.index, f.count)
	}
	ctx := c.Context()
	config, err := wait.For(ctx, func() (*bench.Config, error) { return bench.ReadConfig(file) })
	if err != nil {
		return err
	}
	if f.out == "" {
		f.out = "bench-" + config.Name
	}
	if err := checkFolder(f.out); err != nil {
		return usagef("--out %s: %w", f.out, err)
	}
	release, err := claimFolder(f.out, fmt.Sprintf("-%d-of-%d", f.index, f.count))
	if err != nil {
		return err
	}
	defer release()
	stderr := c.ErrOrStderr()
	get := dataset.GetOptions{DataDir: f.data}
	if !f.quiet {
		get.Progress, get.Waiting = progressLines(stderr), waitingLine(stderr)
	}
	for _, set := range config.Sets {
		files, err := dataset.Get(ctx, set, get)
		if err != nil {
			return err
		}
		for _, note := range files.Notes {
			if !f.quiet {
				fmt.Fprintln(stderr, "note:", note)
			}
		}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("bench: the program does not find itself: %w", err)
	}
	tasks := bench.Share(config.Tasks, f.index, f.count)
	bars := newBenchProgress(stderr, f.quiet)
	begin := time.Now()
	end, err := bench.Execute(ctx, tasks, bench.ExecuteOptions{
		Dir: f.out, DataDir: f.data, Memory: int64(f.memory), Retry: f.retry, Jobs: f.jobs, Progress: bars.update,
		Worker: func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, self, "bench", "work") },
	})
	bars.finish()
	if err != nil {
		if ctx.Err() != nil {
			fmt.Fprintf(stderr, "bilevel: interrupted: %d of %d runs have ended and are kept in %s; "+
				"the same command goes on from there\n", end.Ended, end.All, f.out)
			return errInterrupted
		}
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s: %s in %.1f s\n  see bilevel bench show %s\n", config.Name, benchStatus(end),
		time.Since(begin).Seconds(), f.out)
	return nil
}

// benchStatus is in a line how far a bench is.
func benchStatus(p bench.Progress) string {
	text := fmt.Sprintf("%d of %d runs", p.Ended, p.All)
	for _, s := range []struct {
		n    int
		what string
	}{{p.Diverged, "diverged"}, {p.Failed, "failed"}} {
		if s.n > 0 {
			text += fmt.Sprintf(", %d %s", s.n, s.what)
		}
	}
	return text
}

// benchProgress shows how far a bench is: a bar on a terminal, few lines elsewhere.
type benchProgress struct {
	w        io.Writer
	quiet    bool
	terminal bool
	bars     *mpb.Progress
	bar      *mpb.Bar
	last     time.Time
}

func newBenchProgress(w io.Writer, quiet bool) *benchProgress {
	p := &benchProgress{w: w, quiet: quiet}
	if f, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	return p
}

// update is called for one run at a time.
func (p *benchProgress) update(now bench.Progress) {
	if p.quiet {
		return
	}
	if t := now.Last; t != nil && t.Status == bench.Failed && !p.terminal {
		fmt.Fprintf(p.w, "%s, %s, seed %d failed: %s\n", t.Problem, t.Method, t.Seed, t.Message)
	}
	if p.terminal {
		if p.bar == nil {
			p.bars = mpb.New(mpb.WithOutput(p.w), mpb.WithWidth(30))
			p.bar = p.bars.AddBar(int64(now.All),
				mpb.BarRemoveOnComplete(),
				mpb.PrependDecorators(decor.CountersNoUnit("%d / %d")),
				mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO)))
			p.bar.SetRefill(int64(now.Ended))
		}
		p.bar.SetCurrent(int64(now.Ended))
		return
	}
	if now.Last == nil && now.Ended == 0 || now.Last != nil && now.Ended < now.All && time.Since(p.last) < every {
		return
	}
	p.last = time.Now()
	fmt.Fprintf(p.w, "%3.0f%%  %s\n", 100*float64(now.Ended)/float64(max(now.All, 1)), benchStatus(now))
}

// finish leaves the terminal in order.
func (p *benchProgress) finish() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.bars.Wait()
	}
}

// newBenchWorkCommand is what bench run starts for each job.
func newBenchWorkCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "work",
		Short:  "Make runs that standard input asks for",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			// An interruption is for the process that started this one, which ends it.
			signal.Ignore(os.Interrupt, syscall.SIGTERM)
			return bench.Work(c.InOrStdin(), c.OutOrStdout())
		},
	}
}

// oneFolder is an error if args are not the folder of a bench.
func oneFolder(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("give one folder, the one that bilevel bench run wrote to")
	}
	return nil
}

func readResults(dir string) (*bench.Results, error) {
	traces, err := bench.ReadTraces(dir)
	if err != nil {
		return nil, err
	}
	return bench.NewResults(traces), nil
}

// parseTargets reads levels of h − h*.
func parseTargets(text string) ([]float64, error) {
	if text == "" {
		return bench.DefaultTargets, nil
	}
	var list []float64
	for word := range strings.SplitSeq(text, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
		if err != nil || !(v > 0) || v > 1e300 {
			return nil, usagef("--targets %s: %q is no number above zero; give levels of h − h* such as 1e-2,1e-4", text, word)
		}
		list = append(list, v)
	}
	return list, nil
}

// choose keeps the best parameters of each method.
func choose(r *bench.Results, targets []float64) *bench.Results {
	var best bench.Results
	for _, p := range r.Problems {
		best.Problems = append(best.Problems, p.Choose(targets))
	}
	return &best
}

func newBenchShowCommand() *cobra.Command {
	var targets string
	var best, yaml bool
	c := &cobra.Command{
		Use:   "show DIR",
		Short: "Print what methods took to reach levels of h − h*",
		Long: `The table has seconds in the method and samples visited, the median over seeds and the 20% and 80%
quantiles. h* is the smallest h of all runs, or the known one of the problem, less 1e-10. The resolution is that
of the records.`,
		Example: `  bilevel bench show smoke --targets 1e-3,1e-5
  bilevel bench show smoke --best --yaml`,
		Args:              oneFolder,
		ValidArgsFunction: once(folders),
		RunE: func(c *cobra.Command, args []string) error {
			levels, err := parseTargets(targets)
			if err != nil {
				return err
			}
			r, err := readResults(args[0])
			if err != nil {
				return err
			}
			if best || yaml {
				r = choose(r, levels)
			}
			if yaml {
				return r.WriteYAML(c.OutOrStdout())
			}
			return r.WriteTable(c.OutOrStdout(), levels)
		},
	}
	p := c.Flags()
	p.SortFlags = false
	p.StringVar(&targets, "targets", "", "levels of h − h*, separated by commas (default 0.01,0.001,0.0001,0.00001)")
	p.BoolVar(&best, "best", false, "of each method, only the parameters that reach the smallest level first, "+
		"or else end lowest")
	p.BoolVar(&yaml, "yaml", false, "print those parameters as a bench file has them")
	return c
}

func newBenchPlotCommand() *cobra.Command {
	var f benchPlotFlags
	c := &cobra.Command{
		Use:   "plot DIR",
		Short: "Draw runs against work and time",
		Long: `There are an SVG and a PNG for each problem, with medians over seeds, and bands between the 20% and 80%
quantiles. Of each method the best parameters are drawn, see bilevel bench show --best. In colour are the four
curves that reach the smallest of the targets first, or else the next one, or end lowest.`,
		Example:           `  bilevel bench plot smoke --out figures`,
		Args:              oneFolder,
		ValidArgsFunction: once(folders),
		RunE: func(c *cobra.Command, args []string) error {
			return plotBench(c, args[0], f)
		},
	}
	names := quantities()
	p := c.Flags()
	p.SortFlags = false
	p.StringVar(&f.out, "out", "", "folder for the figures, made if it is not there (default DIR)")
	p.StringVar(&f.y, "y", names[0], "what to draw: "+strings.Join(names, ", "))
	p.StringVar(&f.targets, "targets", "", "levels of h − h* by which parameters are chosen (default "+
		"0.01,0.001,0.0001,0.00001)")
	p.BoolVar(&f.all, "all", false, "draw all parameters of each method")
	p.BoolVar(&f.algorithm, "per-algorithm", false, "draw one curve of each algorithm: the best of the methods "+
		"that run it")
	f.drawing.add(p)
	return c
}

// quantities names what can be drawn.
func quantities() (names []string) {
	for _, q := range bench.Quantities {
		names = append(names, q.Name)
	}
	return names
}

// benchPlotFlags are the flags of bilevel bench plot.
type benchPlotFlags struct {
	out, y, targets string
	all, algorithm  bool
	drawing         drawingFlags
}

func plotBench(c *cobra.Command, dir string, f benchPlotFlags) error {
	levels, err := parseTargets(f.targets)
	if err != nil {
		return err
	}
	if f.all && f.algorithm {
		return usagef("--all draws every curve, --per-algorithm one of each algorithm: give one of them")
	}
	out := f.out
	var quantity *bench.Quantity
	var names []string
	for i, q := range bench.Quantities {
		names = append(names, q.Name)
		if q.Name == f.y {
			quantity = &bench.Quantities[i]
		}
	}
	if quantity == nil {
		return wrongChoice("y", f.y, names)
	}
	r, err := readResults(dir)
	if err != nil {
		return err
	}
	if !f.all {
		r = choose(r, levels)
	}
	if f.algorithm {
		for i, p := range r.Problems {
			r.Problems[i] = p.PerAlgorithm(levels)
		}
	}
	if out == "" {
		out = dir
	}
	if err := checkFolder(out); err != nil {
		return usagef("--out %s: %w", out, err)
	}
	var list []outFile
	for _, p := range r.Problems {
		for _, format := range bench.Drawings() {
			var b bytes.Buffer
			if err := p.Chart(&b, *quantity, f.drawing.in(format)); err != nil {
				return f.drawing.check(err)
			}
			path := filepath.Join(out, fileName(p.Problem)+"-"+quantity.Name+"."+format)
			if err := checkTarget(path); err != nil {
				return usagef("--out %s: %s %w", out, path, err)
			}
			list = append(list, outFile{path, b.Bytes()})
		}
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("--out %s: %w", out, bare(err))
	}
	if err := writeFiles(list); err != nil {
		return err
	}
	for _, f := range list {
		fmt.Fprintln(c.OutOrStdout(), f.path)
	}
	return nil
}

func newBenchReportCommand() *cobra.Command {
	var out, title, targets string
	var best bool
	var drawing drawingFlags
	c := &cobra.Command{
		Use:   "report DIR",
		Short: "Write all runs as one HTML page",
		Long: `The page needs nothing else. It has the figures of bench plot, of each quantity that runs know, and a table
of what methods took to reach levels of h − h*, the best method first.`,
		Example:           `  bilevel bench report smoke --out smoke.html`,
		Args:              oneFolder,
		ValidArgsFunction: once(folders),
		RunE: func(c *cobra.Command, args []string) error {
			levels, err := parseTargets(targets)
			if err != nil {
				return err
			}
			r, err := readResults(args[0])
			if err != nil {
				return err
			}
			if best {
				r = choose(r, levels)
			}
			if out == "" {
				out = filepath.Join(args[0], "report.html")
			}
			if err := checkFile(out); err != nil {
				return usagef("--out %s: %w", out, err)
			}
			if title == "" {
				title = filepath.Base(filepath.Clean(args[0]))
			}
			var b bytes.Buffer
			if err := r.WriteReport(&b, title, levels, drawing.highlight); err != nil {
				return drawing.check(err)
			}
			if err := writeFiles([]outFile{{out, b.Bytes()}}); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), out)
			return nil
		},
	}
	p := c.Flags()
	p.SortFlags = false
	p.StringVar(&out, "out", "", "`FILE`: the page (default report.html in DIR)")
	p.StringVar(&title, "title", "", "what the page is called (default: as the folder)")
	p.BoolVar(&best, "best", false, "only the best parameters of each method, see bilevel bench show")
	p.StringVar(&targets, "targets", "", "levels of h − h* that the table has, and by which parameters are chosen "+
		"(default 0.01,0.001,0.0001,0.00001)")
	drawing.addHighlight(p)
	return c
}

// fileName is a title as part of a file's name.
func fileName(title string) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, title)
}

func newBenchExportCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:               "export DIR",
		Short:             "Write all records as one table",
		Long:              `The table is Parquet or CSV by the ending of --out. A run without a record is a row of step −1.`,
		Example:           `  bilevel bench export smoke --out runs.parquet`,
		Args:              oneFolder,
		ValidArgsFunction: once(folders),
		RunE: func(c *cobra.Command, args []string) error {
			write := map[string]func(*bench.Results, io.Writer) error{
				".parquet": (*bench.Results).WriteParquet, ".csv": (*bench.Results).WriteCSV,
			}[filepath.Ext(out)]
			if write == nil {
				return usagef("--out %q: name a file that ends in .parquet or .csv", out)
			}
			r, err := readResults(args[0])
			if err != nil {
				return err
			}
			if err := checkFile(out); err != nil {
				return usagef("--out %s: %w", out, err)
			}
			var b bytes.Buffer
			if err := write(r, &b); err != nil {
				return err
			}
			return writeFiles([]outFile{{out, b.Bytes()}})
		},
	}
	c.Flags().StringVar(&out, "out", "", "`FILE`: the table, .parquet or .csv")
	return c
}

func newBenchListCommand() *cobra.Command {
	var show string
	c := &cobra.Command{
		Use:   "list",
		Short: "List ready bench files, problems and methods with their parameters",
		Example: `  bilevel bench list
  bilevel bench list --file smoke`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			w := c.OutOrStdout()
			if show != "" {
				text, err := bench.ReadyFile(show)
				if err != nil {
					return usagef("%w", err)
				}
				_, err = w.Write(text)
				return err
			}
			return listBench(w)
		},
	}
	c.Flags().StringVar(&show, "file", "", "print this ready file instead")
	return c
}

func listBench(w io.Writer) error {
	fmt.Fprintln(w, "Ready files, for bilevel bench run:")
	for _, name := range bench.Ready() {
		fmt.Fprintln(w, " ", name)
	}
	for _, part := range []struct {
		title string
		list  []bench.Entry
	}{{"Problems and their options:", bench.Problems()}, {"Methods and their parameters:", bench.Methods()}} {
		fmt.Fprintf(w, "\n%s\n", part.title)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, e := range part.list {
			var params []string
			for _, p := range e.Parameters {
				text := p.Name
				if p.Default != "" {
					text += "=" + p.Default
				}
				params = append(params, text)
			}
			text := strings.Join(params, " ")
			if e.About != "" {
				if text != "" {
					text = "; " + text
				}
				text = e.About + text
			}
			fmt.Fprintf(t, "  %s\t%s\n", e.Name, text)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// isBenchUsage says whether err is about a bench file or folder.
func isBenchUsage(err error) bool {
	var config *bench.ConfigError
	return errors.As(err, &config)
}
