package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel/tune"
)

//go:generate go run . man --markdown ../../docs

func newManCommand() *cobra.Command {
	var markdown bool
	c := &cobra.Command{
		Use:   "man FOLDER",
		Short: "Write man pages of all commands",
		Long: `The folder is made if it is not there. man finds pages in the folders that MANPATH names, below man1, and ` +
			`in ~/.local/share/man where ~/.local/bin is in PATH.`,
		Example: `  bilevel man ~/.local/share/man/man1`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return fmt.Errorf("name one folder")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return writePages(c, args[0], markdown) },
	}
	c.Flags().BoolVar(&markdown, "markdown", false, "write commands.md, one file of Markdown, instead")
	return c
}

func writePages(c *cobra.Command, dir string, markdown bool) error {
	if err := checkFolder(dir); err != nil {
		return usagef("%s: %w", dir, err)
	}
	var files []outFile
	top := pageOf(c.Root())
	if markdown {
		var b bytes.Buffer
		if err := top.writeMarkdown(&b); err != nil {
			return err
		}
		files = append(files, outFile{filepath.Join(dir, "commands.md"), b.Bytes()})
	} else {
		for _, p := range top.all() {
			var b bytes.Buffer
			if err := p.writeMan(&b, tune.Version()); err != nil {
				return err
			}
			files = append(files, outFile{filepath.Join(dir, p.fileName()), b.Bytes()})
		}
	}
	for _, f := range files {
		if err := checkTarget(f.path); err != nil {
			return usagef("%s %w", f.path, err)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return usagef("%s: the folder cannot be made: %w", dir, bare(err))
	}
	if err := writeFiles(files); err != nil {
		return usagef("%w", err)
	}
	for _, f := range files {
		fmt.Fprintln(c.OutOrStdout(), f.path)
	}
	return nil
}
