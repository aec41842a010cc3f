package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/bilevel-go/bilevel/dataset"
)

// newDataCommand is `bilevel data`: the registry of public sets.
func newDataCommand() *cobra.Command {
	var o dataset.GetOptions
	c := &cobra.Command{
		Use:   "data",
		Short: "List, download and locate public data sets",
		Long: `Sets are looked up in the folder --data (or the environment variable BILEVEL_DATA), in a folder of the
set's name, then in the user's cache; what is in neither is downloaded into the cache and checked.`,
		Example: `  bilevel data list
  bilevel data get ijcnn1`,
	}
	c.PersistentFlags().StringVar(&o.DataDir, "data", "", "folder with copies of sets, used first (default $BILEVEL_DATA)")
	c.AddCommand(&cobra.Command{
		Use:     "list",
		Short:   "List the public sets and where they are found",
		Example: `  bilevel data list`,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return listData(c.Context(), c.OutOrStdout(), o) },
	}, &cobra.Command{
		Use:     "get NAME...",
		Short:   "Download sets that are not there yet",
		Example: `  bilevel data get ijcnn1 mnist`,
		Args:    func(_ *cobra.Command, names []string) error { return needSets(len(names) > 0) },
		ValidArgsFunction: func(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
			return slices.DeleteFunc(publicSets(), func(n string) bool { return slices.Contains(given, n) }),
				cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, names []string) error {
			for _, name := range names { // a slip in the last name shows before the first download
				if _, err := dataset.Lookup(name); err != nil {
					return err
				}
			}
			for _, name := range names {
				if err := getData(c, name, o); err != nil {
					return err
				}
			}
			return nil
		},
	}, &cobra.Command{
		Use:               "path NAME",
		Short:             "Print the files of a set that is there",
		Example:           `  bilevel data path mnist`,
		Args:              func(_ *cobra.Command, names []string) error { return needSets(len(names) == 1) },
		ValidArgsFunction: once(words(publicSets)),
		RunE: func(c *cobra.Command, names []string) error {
			f, err := dataset.Find(c.Context(), names[0], o)
			if err != nil {
				return err
			}
			if f == nil {
				return &dataset.Error{Err: fmt.Errorf("the set %s is not there yet", names[0]),
					Hint: "download it with bilevel data get " + names[0]}
			}
			for _, p := range f.Paths {
				fmt.Fprintln(c.OutOrStdout(), p)
			}
			return nil
		},
	})
	return c
}

// needSets is an error unless there are as many names as there should be.
func needSets(enough bool) error {
	if !enough {
		return fmt.Errorf("name a set; bilevel data list has them")
	}
	return nil
}

// listData prints the table of sets.
func listData(ctx context.Context, w io.Writer, o dataset.GetOptions) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tROWS × FEATURES\tCLASSES\tSIZE\tLICENCE\tWHERE")
	for _, p := range dataset.Publics() {
		f, err := dataset.Find(ctx, p.Name, o)
		if err != nil {
			return err
		}
		where := "-"
		if f != nil {
			where = f.Dir
			if f.Copy {
				where += " (copy)"
			}
			if f.Sample {
				where = strings.TrimSuffix(where, ")") + ", differs)"
			}
		}
		shape := fmt.Sprint(p.Rows)
		if p.TestRows > 0 {
			shape += fmt.Sprintf(" / %d", p.TestRows)
		}
		if p.Features > 0 {
			shape += fmt.Sprintf(" × %d", p.Features)
		} else {
			shape += " texts"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\n", p.Name, shape, p.Classes, megabytes(p.Size()), p.Licence, where)
	}
	return t.Flush()
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// getData gets one set, with a bar for each file on a terminal and a line for each file elsewhere. Files
// are named on standard output, the rest goes to standard error.
func getData(c *cobra.Command, name string, o dataset.GetOptions) error {
	stderr := c.ErrOrStderr()
	finish := func() {}
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		o.Progress, finish = progressBars(f)
	} else {
		o.Progress = progressLines(stderr)
	}
	f, err := dataset.Get(c.Context(), name, o)
	finish()
	if err != nil {
		return err
	}
	for _, note := range f.Notes {
		fmt.Fprintln(stderr, "note:", note)
	}
	for _, p := range f.Paths {
		fmt.Fprintln(c.OutOrStdout(), p)
	}
	return nil
}

// progressLines says when a file's download starts and ends.
func progressLines(w io.Writer) func(file string, done, total int64) {
	current, ended := "", false
	return func(file string, done, total int64) {
		if file != current {
			current, ended = file, false
			of := ""
			if total > 0 {
				of = ", " + megabytes(total)
			}
			from := ""
			if done > 0 {
				from = fmt.Sprintf(" from %s on", megabytes(done))
			}
			fmt.Fprintf(w, "downloading %s%s%s\n", file, of, from)
		}
		if done == total && total > 0 && !ended {
			ended = true
			fmt.Fprintf(w, "downloaded %s\n", file)
		}
	}
}

// progressBars draws a bar for each file; finish leaves the terminal in order.
func progressBars(w io.Writer) (progress func(file string, done, total int64), finish func()) {
	p := mpb.New(mpb.WithOutput(w), mpb.WithWidth(60))
	bars := make(map[string]*mpb.Bar)
	return func(file string, done, total int64) {
			b := bars[file]
			if b == nil {
				b = p.AddBar(0, mpb.PrependDecorators(decor.Name(file+"  ")),
					mpb.AppendDecorators(decor.Counters(decor.SizeB1000(0), "% .1f / % .1f  "), decor.AverageETA(decor.ET_STYLE_GO)))
				b.SetRefill(done)
				bars[file] = b
			}
			b.SetTotal(total, done == total && total > 0)
			b.SetCurrent(done)
		}, func() {
			for _, b := range bars {
				if !b.Completed() {
					b.Abort(false)
				}
			}
			p.Wait()
		}
}
