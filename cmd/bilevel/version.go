package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/tune"
)

// build is what this program was made of and runs on.
type build struct {
	Version  string `json:"version"`  // of the module; (devel) from a working tree
	Revision string `json:"revision"` // of the working tree, "" if the build knows none
	Date     string `json:"date"`     // of the revision
	Modified bool   `json:"modified"` // since then
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	Kernels  string `json:"kernels"`
}

func thisBuild() build {
	tier, _ := bilevel.Kernels() // run has refused an error
	b := build{Version: tune.Version(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Kernels: tier}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// write prints b in words.
func (b build) write(w io.Writer) error {
	text := "bilevel " + b.Version + "\n"
	if b.Revision != "" {
		changed := map[bool]string{true: ", with changes since"}[b.Modified]
		text += fmt.Sprintf("revision  %s of %s%s\n", b.Revision, cmp.Or(b.Date, "an unknown date"), changed)
	}
	text += fmt.Sprintf("built by  %s for %s/%s\nkernels   %s\n", b.Go, b.OS, b.Arch, b.Kernels)
	_, err := io.WriteString(w, text)
	return err
}

func newVersionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, what it was built of, and the vector kernels in use",
		Example: `  bilevel version --json`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON {
				return encode(c.OutOrStdout(), thisBuild())
			}
			return thisBuild().write(c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}
