package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel/bench"
	"github.com/bilevel-go/bilevel/dataset"
)

// figureFlags are the flags of bilevel figure.
type figureFlags struct {
	out, data string
	numbers   string
	memory    size
	repeats   int
	seed      uint64
	quiet     bool
	drawing   drawingFlags
}

// newFigureCommand is `bilevel figure`.
func newFigureCommand() *cobra.Command {
	var f figureFlags
	c := &cobra.Command{
		Use:   "figure NAME",
		Short: "Compute a figure of a paper afresh",
		Long: `The folder --out gets NAME.svg, NAME.png and NAME.csv, the numbers: a header, and one row per point.
Public data sets that a figure needs are looked up as bilevel data says, and downloaded if they are not there.`,
		Example: `  bilevel figure list
  bilevel figure hypergrad-rates --out figures`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("give the name of one figure; bilevel figure list has them")
			}
			return nil
		},
		RunE:              func(c *cobra.Command, args []string) error { return runFigure(c, args[0], f) },
		ValidArgsFunction: once(words(figureNames)),
	}
	p := c.Flags()
	p.SortFlags = false
	p.StringVar(&f.out, "out", "figures", "folder for the files, made if it is not there")
	p.StringVar(&f.numbers, "numbers", "", "draw the numbers of this file, a NAME.csv of before, and compute none")
	p.IntVar(&f.repeats, "repeats", 0, "random draws that a point is a mean of (default: the figure's own number)")
	p.Uint64Var(&f.seed, "seed", 0, "seed of all randomness")
	p.StringVar(&f.data, "data", "", "folder with copies of public sets, used first (default $BILEVEL_DATA)")
	p.Var(&f.memory, "memory", memoryHelp)
	f.drawing.add(p)
	p.BoolVar(&f.quiet, "quiet", false, "no progress")
	c.AddCommand(&cobra.Command{
		Use:     "list",
		Short:   "List the figures",
		Example: `  bilevel figure list`,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return listFigures(c.OutOrStdout()) },
	})
	return c
}

func figureNames() (names []string) {
	for _, f := range bench.Figures() {
		names = append(names, f.Name)
	}
	return names
}

func listFigures(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tDATA\tWHAT")
	for _, f := range bench.Figures() {
		sets := "made up by the seed"
		switch {
		case len(f.Sets) > 0:
			sets = fmt.Sprint(f.Sets[0])
		case f.Repeats == 0:
			sets = "none"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n\t\t%s\n", f.Name, sets, f.Title, f.Paper)
	}
	return t.Flush()
}

func runFigure(c *cobra.Command, name string, f figureFlags) error {
	figure, err := bench.Lookup(name)
	if err != nil {
		return usagef("%w", err)
	}
	if f.repeats < 0 || c.Flags().Changed("repeats") && f.repeats == 0 {
		return usagef("--repeats %d: give a number above zero", f.repeats)
	}
	if f.out == "" {
		return usagef("--out \"\": name a folder")
	}
	if err := checkFolder(f.out); err != nil {
		return usagef("--out %s: %w", f.out, err)
	}
	path := func(ext string) string { return filepath.Join(f.out, figure.Name+"."+ext) }
	for _, ext := range append([]string{"csv"}, bench.Drawings()...) {
		if err := checkTarget(path(ext)); err != nil {
			return usagef("--out %s: %s %w", f.out, path(ext), err)
		}
	}
	release, err := claimFolder(f.out, "")
	if err != nil {
		return err
	}
	defer release()
	stderr := c.ErrOrStderr()
	ctx := c.Context()
	get := dataset.GetOptions{DataDir: f.data}
	if !f.quiet {
		get.Progress, get.Waiting = progressLines(stderr), waitingLine(stderr)
	}
	sets := figure.Sets
	if f.numbers != "" {
		sets = nil
	}
	for _, set := range sets {
		if _, err := dataset.Get(ctx, set, get); err != nil {
			return err
		}
	}
	o := bench.Options{Repeats: f.repeats, Seed: f.seed, DataDir: f.data, Memory: f.memory.bound()}
	if !f.quiet {
		last := time.Now()
		o.Progress = func(done float64) {
			if time.Since(last) > every {
				last = time.Now()
				fmt.Fprintf(stderr, "%s: %.0f%%\n", figure.Name, 100*done)
			}
		}
	}
	begin := time.Now()
	var table *bench.Table
	if f.numbers != "" {
		table, err = readNumbers(figure, f.numbers)
	} else {
		table, err = figure.Compute(ctx, o)
	}
	if err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			fmt.Fprintln(stderr, "bilevel: interrupted: nothing was written")
			return errInterrupted
		}
		return err
	}
	var numbers bytes.Buffer
	if err := table.WriteCSV(&numbers); err != nil {
		return err
	}
	files := []outFile{{path("csv"), numbers.Bytes()}}
	for _, format := range bench.Drawings() {
		var drawing bytes.Buffer
		if err := figure.Draw(&drawing, table, f.drawing.in(format)); err != nil {
			return f.drawing.check(err)
		}
		files = append(files, outFile{path(format), drawing.Bytes()})
	}
	if err := writeFiles(files); err != nil {
		return err
	}
	out := c.OutOrStdout()
	fmt.Fprintf(out, "%s: %d points in %.1f s\n", figure.Name, len(table.Rows), time.Since(begin).Seconds())
	for _, file := range files {
		fmt.Fprintf(out, "  %s\n", file.path)
	}
	return nil
}

// readNumbers reads the numbers of a figure.
func readNumbers(figure bench.Figure, name string) (*bench.Table, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, usagef("--numbers %s: %w", name, bare(err))
	}
	defer file.Close()
	table, err := figure.ReadCSV(file)
	if err != nil {
		return nil, usagef("--numbers %s: %w", name, err)
	}
	return table, nil
}
