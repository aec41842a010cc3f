package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel/internal/nearest"
)

// flagGroups are the parts of the help, in order, and what is in each: the flags of all commands, every one with the
// kind of its value, or the words that it takes. A flag that has another kind of value in one command says so there, by
// a name in backquotes. Values are completed in the shell, see kinds.
var flagGroups = []flagGroup{
	{"Data", "train FILE, sources FILES, sources-only, val FILE, trusted FILE, test FILE, set SET, data FOLDER, " +
		"val-fraction SHARE, folds N, group COLUMN, time COLUMN, trusted-fraction SHARE, corrupt SHARE, file BENCH, " +
		"numbers FILE"},
	{"Columns", "label COLUMN, labels FILE, val-labels FILE, trusted-labels FILE, test-labels FILE, " +
		"task classification|regression, id COLUMN, weight COLUMN, weights FILE, by COLUMN, drop COLUMNS, " +
		"only COLUMNS, categorical COLUMNS, text COLUMNS, dates features|drop, date-order dmy|mdy|ymd, " +
		"missing drop|impute, unknown error|zero"},
	{"Format", "format FORMAT, decimal C, thousands C, no-header, width N, zero-based, words WEIGHT, " +
		"ngrams auto|1|2|3, min-docs N"},
	{"Model", "model MODEL, class-weights WEIGHTS, cost COSTS, reg REG, param PARAM, box LOWER,UPPER, prior PRIOR, " +
		"start START, scale auto|on|off, " +
		"intercept auto|on|off"},
	{"Method and limits", "method METHOD, max-time TIME, memory SIZE, seed N, repeats N, jobs N, task-index I, " +
		"task-count N, retry"},
	{"Output", "proba, best, all, per-algorithm, targets LEVELS, y QUANTITY, highlight NAMES, narrow, dark, title TEXT, " +
		"out FOLDER, yaml, json, quiet, markdown, no-descriptions"},
	{"Help", "help, version"},
}

// flagGroup is a part of the help: "name KIND" of each flag, and "name" of switches.
type flagGroup struct{ title, flags string }

// other is the title of flags that have no place in flagGroups, which a test refuses.
const other = "Other"

// flagKinds are the kinds of flagGroups by the names of the flags.
func flagKinds(g flagGroup) (names []string, kinds map[string]string) {
	kinds = map[string]string{}
	for word := range strings.SplitSeq(g.flags, ", ") {
		name, kind, _ := strings.Cut(word, " ")
		names, kinds[name] = append(names, name), kind
	}
	return names, kinds
}

// flagHelp is what the help says of a flag.
type flagHelp struct{ name, kind, text string }

// flagPart is a part of a command's help.
type flagPart struct {
	title string
	flags []flagHelp
}

// flagParts are the flags of a command by groups, in their order.
func flagParts(c *cobra.Command) (parts []flagPart) {
	c.InitDefaultHelpFlag()
	c.InitDefaultVersionFlag()
	left := map[string]*pflag.Flag{}
	for _, set := range []*pflag.FlagSet{c.LocalFlags(), c.InheritedFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && (f.Name != "help" || !c.HasParent()) {
				left[f.Name] = f
			}
		})
	}
	for _, g := range flagGroups {
		names, kinds := flagKinds(g)
		part := flagPart{title: g.title}
		for _, name := range names {
			if f := left[name]; f != nil {
				part.flags = append(part.flags, helpOf(f, kinds[name]))
				delete(left, name)
			}
		}
		if part.flags != nil {
			parts = append(parts, part)
		}
	}
	if len(left) > 0 {
		part := flagPart{title: other}
		for _, f := range left {
			kind, _ := pflag.UnquoteUsage(f)
			part.flags = append(part.flags, helpOf(f, strings.ToUpper(kind)))
		}
		slices.SortFunc(part.flags, func(a, b flagHelp) int { return strings.Compare(a.name, b.name) })
		parts = append(parts, part)
	}
	return parts
}

func helpOf(f *pflag.Flag, kind string) flagHelp {
	text := f.Usage
	if strings.Contains(text, "`") {
		kind, text = pflag.UnquoteUsage(f)
		text = strings.TrimPrefix(strings.TrimPrefix(text, kind), ": ")
	}
	if none := []string{"", "0", "0s", "false", "[]"}; !slices.Contains(none, f.DefValue) {
		text += fmt.Sprintf(" (default %s)", f.DefValue)
	}
	return flagHelp{f.Name, kind, text}
}

// valueForms say what a flag of a type takes.
var valueForms = map[string]string{
	"bool":        "it is on or off: leave the value out",
	"int":         "give a whole number",
	"uint64":      "give a whole number that is not negative",
	"float64":     "give a number, such as 0.3",
	"duration":    "give a time with its unit, such as 30s or 5m",
	"stringSlice": `separate names by commas, and put one with a comma or a quote into quotes: '"a,b",c'`,
}

// flagError says in words of the command line what is wrong with a flag.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var empty *pflag.ValueRequiredError
	var wrong *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		name, dashes := unknown.GetSpecifiedName(), "--"
		if s := unknown.GetSpecifiedShortnames(); s != "" {
			name, dashes = s, "-"
		}
		err = fmt.Errorf("%s%s: there is no such flag%s", dashes, name, suggestFlag(c, name))
	case errors.As(err, &empty):
		err = fmt.Errorf("--%s: a value is missing", empty.GetFlag().Name)
	case errors.As(err, &wrong):
		f := wrong.GetFlag()
		form := valueForms[f.Value.Type()]
		if form == "" {
			form = errors.Unwrap(err).Error()
		}
		if errors.Is(err, strconv.ErrRange) {
			form = "this is too large"
		}
		err = fmt.Errorf("--%s %q: %s", f.Name, wrong.GetValue(), form)
	}
	return usagef("%w; see %s --help", err, c.CommandPath())
}

// wrongChoice is the error of a flag whose value is none of choices.
func wrongChoice[S, T ~string](flag string, value S, choices []T) error {
	return usagef("--%s %q: choose %s%s", flag, value, oneOf(choices), nearest.Hint(value, choices))
}

// suggestFlag asks about the flag of c that may have been meant.
func suggestFlag(c *cobra.Command, name string) string {
	var names []string
	for _, p := range flagParts(c) {
		for _, f := range p.flags {
			names = append(names, f.name)
		}
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Flag(name) != nil {
			return fmt.Sprintf("; %s has it", sub.CommandPath())
		}
	}
	if n, ok := nearest.Name(name, names); ok {
		return fmt.Sprintf("; did you mean --%s?", n)
	}
	return ""
}
