// Command bilevel tunes the regularisation of linear models by bilevel optimisation, applies the models, finds
// wrong labels and training files that help, and fetches public data sets. See bilevel help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/nearest"
	"github.com/bilevel-go/bilevel/tune"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130
)

const exitCodes = `Exit codes:
  0    done
  1    an internal or numerical failure
  2    wrong usage or wrong data: the message names file, line and remedy
  130  interrupted (Ctrl-C); tune, clean and mix have written the best point so far. A second Ctrl-C ends at once.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal has its default effect
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// usageError is about how the command was called.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// errInterrupted says that what there was has been written.
var errInterrupted = errors.New("interrupted")

// run is the whole command. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if _, err := bilevel.Kernels(); err != nil {
		fmt.Fprintln(stderr, "bilevel:", err)
		return exitUsage
	}
	root := newRoot()
	root.SetArgs(joinSwitches(args))
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.InitDefaultCompletionCmd() // which keeps where it writes to
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.Args = nil
		markUsage(c)
	}
	if c, _, err := root.Find([]string{"completion", "bash"}); err == nil {
		script := c.RunE
		c.RunE = func(c *cobra.Command, args []string) error {
			if _, err := io.WriteString(stdout, bashAlone); err != nil {
				return err
			}
			return script(c, args)
		}
	}
	err := root.ExecuteContext(ctx)
	code := exitCode(err)
	if err != nil && !errors.Is(err, errInterrupted) {
		fmt.Fprintln(stderr, "bilevel:", message(err))
	}
	return code
}

// message is err in one line, without the names of packages and what would steer the terminal.
func message(err error) string {
	text := err.Error()
	for _, p := range []string{"tune: ", "clean: ", "mix: ", "bilevel: ", "dataset: ", "bench: "} {
		text = strings.TrimPrefix(text, p)
	}
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r):
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text, string(unicode.ReplacementChar)))
}

func exitCode(err error) int {
	var usage *usageError
	var data *dataset.Error
	var option *tune.OptionError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &usage), errors.As(err, &data), errors.As(err, &option), isBenchUsage(err):
		return exitUsage
	}
	return exitFailure
}

func newRoot() *cobra.Command {
	cobra.EnableCommandSorting = false
	c := &cobra.Command{
		Use:   "bilevel",
		Short: "Learn hyperparameters by gradient",
		Long: `Bilevel optimisation for people with a data file: tune learns a model and how strongly to regularise it,
predict applies the model, clean finds wrong labels, and mix finds which training files help.

` + exitCodes + `

Commands, flags and values are completed in the shell: bilevel completion bash --help says how; zsh and fish alike.`,
		Example: `  bilevel tune
  bilevel tune --train train.csv --label price`,
		Version:       tune.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var version strings.Builder
	thisBuild().write(&version)
	c.SetVersionTemplate(version.String())
	c.SetFlagErrorFunc(flagError)
	c.SetHelpFunc(func(c *cobra.Command, _ []string) {
		w := c.OutOrStdout()
		pageOf(c).writeHelp(w, helpWidth(w))
	})
	c.AddCommand(newTuneCommand(), newPredictCommand(), newCleanCommand(), newMixCommand(), newDataCommand(), newBenchCommand(),
		newFigureCommand(), newVersionCommand(), newManCommand())
	c.InitDefaultHelpCmd()
	for _, sub := range c.Commands() {
		if sub.Name() == "help" {
			sub.Args = knownCommand
		}
	}
	markUsage(c)
	completeFlags(c)
	return c
}

// knownCommand is an error if args, what help is asked about, are not the name of a command.
func knownCommand(c *cobra.Command, args []string) error {
	at, rest, err := c.Root().Find(args)
	if err == nil && len(rest) > 0 {
		err = unknownCommand(at, rest)
	}
	return err
}

// unknownCommand is the error of the first of args, which is none of the commands below c.
func unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	hint := nearest.Hint(args[0], names)
	if _, err := os.Stat(args[0]); err == nil && !c.HasParent() {
		hint = fmt.Sprintf("; to learn a model of this file: %s tune --train %s", c.CommandPath(), args[0])
	}
	return fmt.Errorf("%s has no command %q%s", c.CommandPath(), args[0], hint)
}

// markUsage makes usage errors of what the commands say about their arguments.
func markUsage(c *cobra.Command) {
	check := c.Args
	if check == nil {
		check = cobra.ArbitraryArgs
		if c.HasSubCommands() { // an unknown command is not silently help
			check = unknownCommand
		}
	}
	if c.HasSubCommands() && c.Run == nil && c.RunE == nil {
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			if strings.HasPrefix(err.Error(), "unknown command") { // cobra.NoArgs, of a command without any below it
				err = fmt.Errorf("%q: %s takes no arguments", args[0], c.CommandPath())
			}
			return usagef("%w; see %s --help", err, c.CommandPath())
		}
		return nil
	}
	for _, sub := range c.Commands() {
		markUsage(sub)
	}
}

// joinSwitches makes --scale=off of --scale off: a switch alone means on, so that its word would be taken for an
// argument. Nothing else than a word of the switch can follow one.
func joinSwitches(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return append(out, args[i:]...)
		}
		if (a == "--scale" || a == "--intercept") && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			i++
			a += "=" + args[i]
		}
		out = append(out, a)
	}
	return out
}
