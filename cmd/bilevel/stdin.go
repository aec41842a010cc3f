package main

import (
	"context"
	"io"
	"path/filepath"

	"github.com/bilevel-go/bilevel/dataset"
)

// dash stands for standard input among the files that are read, and for standard output among those that are written.
const dash = "-"

// sourceName is what messages and reports call a file.
func sourceName(path string) string {
	if path == dash {
		return "standard input"
	}
	return filepath.Base(path)
}

// readRows reads the file at path, or standard input.
func readRows(ctx context.Context, stdin io.Reader, path string, o dataset.Options) (*dataset.Set, error) {
	if path == dash {
		return dataset.ReadFrom(ctx, stdin, sourceName(path), o)
	}
	return dataset.Read(ctx, path, o)
}
