package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/numbers"
	"github.com/bilevel-go/bilevel/tune"
)

// described is what `bilevel data describe` prints.
type described struct {
	*dataset.Description
	Tune  string `json:"tune"`  // what bilevel tune would do with the file
	Clean string `json:"clean"` // what bilevel clean would do
}

func newDescribeCommand() *cobra.Command {
	var f fitFlags
	c := &cobra.Command{
		Use:   "describe FILE",
		Short: "Say what is in a file, and how tune and clean would read it",
		Long: `For each column: its type, what it is taken for, missing cells, different values, the range or the most
frequent ones, and what is odd about it. Then the label and how certain it is, what would be said of the file, and
what tune and clean would do, or why they would refuse it. Flags of reading are those of tune, and - is standard
input.`,
		Example: `  bilevel data describe train.csv
  bilevel data describe train.csv --label price --missing impute`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return fmt.Errorf("give one file or folder of rows, or - for standard input")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			f.train = args[0]
			if err := f.checkReading(); err != nil {
				return err
			}
			o := f.read
			o.Text, o.OptionalText = f.vectorizer(), !f.asksForWords()
			o.Memory = f.memory.bound()
			d, err := describeRows(c.Context(), c.InOrStdin(), args[0], o)
			if err != nil {
				return err
			}
			out := described{Description: d}
			out.Tune, out.Clean = plans(d)
			if f.json {
				return encode(c.OutOrStdout(), out)
			}
			return out.write(c.OutOrStdout())
		},
	}
	p := c.Flags()
	p.SortFlags = false
	f.registerReading(p)
	p.Var(&f.memory, "memory", memoryHelp)
	p.BoolVar(&f.json, "json", false, "print one JSON object and nothing else on standard output")
	return c
}

// describeRows describes a file, or standard input where it is called -.
func describeRows(ctx context.Context, stdin io.Reader, path string, o dataset.Options) (*dataset.Description, error) {
	if path == dash {
		return dataset.DescribeFrom(ctx, stdin, sourceName(path), o)
	}
	return dataset.Describe(ctx, path, o)
}

const refusesToo = "refuses the file as well"

// plans are what tune and clean would do with a file.
func plans(d *dataset.Description) (tuning, cleaning string) {
	switch l := d.Label; {
	case len(d.Problems) > 0:
		return "refuses the file: " + d.Problems[0], refusesToo
	case l == nil:
		return "refuses the file: there is no label", refusesToo
	case l.Task != "ridge" && len(l.Classes) < 2:
		return "refuses the file: all labels are the same", refusesToo
	default:
		as := "features standardised, with an intercept"
		if d.Prepared {
			as = "features as they are, without an intercept"
		}
		folds, times, share := tune.Validation(d.Used, false)
		chosen := fmt.Sprintf("on %d of the rows", int(share*float64(d.Used)+.5))
		if folds > 0 {
			chosen = fmt.Sprintf("by cross-validation with %d folds", folds)
			if times > 1 {
				chosen += fmt.Sprintf(", %d times", times)
			}
		}
		tuning = fmt.Sprintf("fits a %s model of %s, %s, and chooses strengths %s (--val, --folds and --val-fraction decide "+
			"otherwise)", l.Task, count(d.Features, "feature"), as, chosen)
		if !tune.Task(l.Task).Classes() {
			return tuning, "refuses the file: the label is a number, and clean finds wrong classes"
		}
		return tuning, fmt.Sprintf("looks for wrong labels among %d classes, with the help of rows that are right "+
			"(--trusted)", len(l.Classes))
	}
}

// write prints it for people.
func (d *described) write(w io.Writer) error {
	var b strings.Builder
	rows := count(d.Rows, "row")
	if d.Used != d.Rows {
		rows += fmt.Sprintf(", %d of them used", d.Used)
	}
	fmt.Fprintf(&b, "%s: %s, %s", d.File, d.Format, rows)
	switch {
	case len(d.Columns) > 0:
		missing := 0
		for _, c := range d.Columns {
			missing += c.Missing
		}
		fmt.Fprintf(&b, ", %s, %s\n\n", count(len(d.Columns), "column"), count(missing, "missing cell"))
		d.writeColumns(&b)
	default:
		fmt.Fprintf(&b, ", %s\n", count(d.Features, "feature"))
		if v := d.Values; v != nil {
			fmt.Fprintf(&b, "\nvalues  %.4g … %.4g, %.3g%% are not zero", v.Min, v.Max, 100*v.NonZero)
			if v.Constant > 0 {
				fmt.Fprintf(&b, ", %s the same in every row", count(v.Constant, "feature"))
			}
			b.WriteString("\n")
		}
	}
	fmt.Fprintf(&b, "\nlabel   %s\ntune    %s\nclean   %s\n", labelWords(d.Label), d.Tune, d.Clean)
	if len(d.Notes) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(d.Notes, "\n"))
	}
	if len(d.Problems) > 1 {
		fmt.Fprintf(&b, "\nWhat else is in the way:\n%s\n", strings.Join(d.Problems[1:], "\n"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// shownColumnInfos are the most columns that are printed.
const shownColumnInfos = 60

// writeColumns prints the table of columns.
func (d *described) writeColumns(b *strings.Builder) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "COLUMN\tTYPE\tTAKEN FOR\tMISSING\tVALUES\tRANGE\tODD")
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprint(n)
	}
	for _, c := range d.Columns[:min(len(d.Columns), shownColumnInfos)] {
		span := ""
		switch {
		case c.Min != nil:
			span = fmt.Sprintf("%.6g … %.6g", *c.Min, *c.Max)
		case c.From != "":
			span = c.From + " … " + c.To
		case len(c.Top) > 0 && c.Type != dataset.TypeText:
			span = counts(c.Top, 3)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", shorten(c.Name, 30), c.Type, c.Role, number(c.Missing),
			number(c.Levels), span, shorten(strings.Join(c.Oddities, ", "), 50))
	}
	t.Flush()
	// No spaces at the ends of lines.
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	b.Reset()
	b.WriteString(strings.Join(lines, "\n"))
	if more := len(d.Columns) - shownColumnInfos; more > 0 {
		fmt.Fprintf(b, "… and %s: --json has all\n", count(more, "column"))
	}
}

// counts are the first few values with their numbers of rows.
func counts(all []dataset.LevelCount, most int) string {
	var words []string
	for _, c := range all[:min(len(all), most)] {
		words = append(words, fmt.Sprintf("%s %d", shorten(c.Value, 20), c.Rows))
	}
	return strings.Join(words, ", ")
}

// shorten cuts a long name.
func shorten(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// labelWords says what the label is.
func labelWords(l *dataset.LabelInfo) string {
	if l == nil {
		return "none"
	}
	var words []string
	if l.Name != "" {
		words = append(words, l.Name)
	}
	switch {
	case len(l.Classes) > 6:
		words = append(words, fmt.Sprintf("%d classes: %s, …", len(l.Classes), counts(l.Classes, 5)))
	case len(l.Classes) > 0:
		words = append(words, fmt.Sprintf("%s: %s", classCount(len(l.Classes)), counts(l.Classes, 6)))
	case l.Min != nil:
		words = append(words, fmt.Sprintf("a number from %.6g to %.6g", *l.Min, *l.Max))
	}
	if l.How != "" {
		how := l.How
		if !l.Certain {
			how += ", which is a guess: --label decides"
		}
		words = append(words, how)
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), "; ")
}

func classCount(n int) string {
	if n == 1 {
		return "1 class"
	}
	return numbers.Count(n) + " classes"
}
