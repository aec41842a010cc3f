package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel/bench"
	"github.com/bilevel-go/bilevel/clean"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/methods"
	"github.com/bilevel-go/bilevel/tune"
)

// kinds are the values that the shell completes, by the kinds of flagGroups. Files are completed where nothing else is
// said, and nothing where there is nothing to choose.
var kinds = map[string]cobra.CompletionFunc{
	"FOLDER":   folders,
	"FILES":    anyFiles,
	"COLUMN":   completeColumn,
	"COLUMNS":  completeColumns,
	"SET":      words(allSets),
	"METHOD":   completeMethod,
	"MODEL":    words(func() []string { return texts(append(models(), tune.AutoTask)) }),
	"REG":      words(func() []string { return texts(append(tune.Regs(), tune.AutoReg)) }),
	"PARAM":    words(func() []string { return texts(tune.Params()) }),
	"WEIGHT":   words(func() []string { return texts(append(dataset.Weights(), dataset.AutoWeight)) }),
	"FORMAT":   words(dataset.Formats),
	"BENCH":    words(bench.Ready),
	"QUANTITY": words(quantities),
	"PRIOR":    words(choices("auto|off")),
	"START":    words(choices("grid|random")),

	"N": nothing, "I": nothing, "C": nothing, "SHARE": nothing, "TIME": nothing, "LEVELS": nothing, "TEXT": nothing,
	"NAMES":       nothing,
	"LOWER,UPPER": nothing,
	"WEIGHTS":     words(choices("balanced|learned|none")),
	"COSTS":       nothing,
	"SIZE":        nothing,
}

// choices are the words of a kind that names them all.
func choices(kind string) func() []string { return func() []string { return strings.Split(kind, "|") } }

func texts[T ~string](list []T) (all []string) {
	for _, v := range list {
		all = append(all, string(v))
	}
	return all
}

// words completes the words of a list.
func words(list func() []string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return list(), cobra.ShellCompDirectiveNoFileComp
	}
}

// wordsOrFiles completes the words of a list, or files.
func wordsOrFiles(list func() []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return list(), cobra.ShellCompDirectiveDefault
	}
}

// once is complete for the first argument, and nothing for others.
func once(complete cobra.CompletionFunc) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, to string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nothing(c, args, to)
		}
		return complete(c, args, to)
	}
}

func nothing(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func anyFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault | cobra.ShellCompDirectiveNoSpace
}

func folders(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// completeMethod completes methods of the command, with what a step of them looks at.
func completeMethod(c *cobra.Command, _ []string, _ string) (list []string, _ cobra.ShellCompDirective) {
	names := methods.Names()
	if c.Name() == "clean" {
		names = clean.Methods()
	}
	list = append(list, cobra.CompletionWithDesc("auto", "chosen by the data"))
	for _, n := range names {
		e, _ := methods.Lookup(n)
		list = append(list, cobra.CompletionWithDesc(n, e.Kind.String()))
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}

// columnTime is the most time that the names of columns may take.
const columnTime = 500 * time.Millisecond

// columnNames are those of the file that the command line names so far.
func columnNames(c *cobra.Command, args []string) []string {
	value := func(name string) string {
		if f := c.Flag(name); f != nil {
			return f.Value.String()
		}
		return ""
	}
	file := value("train")
	if file == "" && len(args) > 0 {
		file = args[0]
	}
	parent := c.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, columnTime)
	defer cancel()
	o := dataset.Options{Format: value("format"), NoHeader: value("no-header") == "true"}
	names, err := dataset.Columns(ctx, file, o)
	if err != nil { // there is nothing to choose from; the command itself will say why
		return nil
	}
	return slices.DeleteFunc(names, func(n string) bool { return strings.ContainsAny(n, "\t\r\n") })
}

func completeColumn(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return columnNames(c, args), cobra.ShellCompDirectiveNoFileComp
}

// completeColumns completes the last of a list of names that commas separate, which has not been named yet.
func completeColumns(c *cobra.Command, args []string, to string) (list []string, _ cobra.ShellCompDirective) {
	given := to[:strings.LastIndexByte(to, ',')+1]
	before := strings.Split(given, ",")
	for _, n := range columnNames(c, args) {
		if !slices.Contains(before, n) && !strings.ContainsAny(n, `,"`) {
			list = append(list, given+n)
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeFlags has the shell complete the flags of c and of the commands below it.
func completeFlags(c *cobra.Command) {
	for _, part := range flagParts(c) {
		for _, f := range part.flags {
			complete := kinds[f.kind]
			if strings.Contains(f.kind, "|") {
				complete = words(choices(f.kind))
			}
			if complete != nil && c.LocalFlags().Lookup(f.name) != nil {
				if err := c.RegisterFlagCompletionFunc(f.name, complete); err != nil {
					panic(err) // twice
				}
			}
		}
	}
	for _, sub := range c.Commands() {
		completeFlags(sub)
	}
}

// bashAlone are the functions of the package bash-completion that the script calls, where that is not installed.
const bashAlone = `if ! declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref() {
        words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    }
    _filedir() {
        local IFS=$'\n' kind=-f
        [[ $1 == -d ]] && kind=-d
        COMPREPLY+=($(compgen "$kind" -- "$cur"))
    }
fi
`
