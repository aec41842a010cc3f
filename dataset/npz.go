package dataset

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// isNPZ says whether head starts a zip archive whose first member is a NumPy array.
func isNPZ(head []byte) bool {
	if !isZip(head) || len(head) < 30 {
		return false
	}
	end := 30 + int(binary.LittleEndian.Uint16(head[26:]))
	return end <= len(head) && bytes.HasSuffix(head[30:end], []byte(".npy"))
}

// Names of the arrays of features and of labels, as they are in use.
var (
	npzFeatures = []string{"x", "x_train", "data", "features", "arr_0"}
	npzLabels   = []string{"y", "y_train", "target", "targets", "label", "labels", "arr_1"}
)

// readNPZ reads the arrays of features and labels of numpy.savez, by their names. One array alone, or one of features
// without one of labels, is as a file of numpy.save: see readNPY.
func readNPZ(in *input, o Options) (*Set, error) {
	b, err := io.ReadAll(in)
	if err != nil {
		return nil, asError(in.name, err)
	}
	archive, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		if errors.Is(err, zip.ErrFormat) { // its directory is at the end
			err = io.ErrUnexpectedEOF
		}
		return nil, brokenArchive(in.name, "npz", err)
	}
	arrays := map[string]*zip.File{}
	var names []string
	for _, f := range archive.File {
		if name, ok := strings.CutSuffix(f.Name, ".npy"); ok {
			arrays[name] = f
			names = append(names, name)
		}
	}
	called := func(usual []string) (found []string) {
		for _, n := range names {
			if slices.Contains(usual, strings.ToLower(n)) {
				found = append(found, n)
			}
		}
		return found
	}
	features, labels := called(npzFeatures), called(npzLabels)
	switch {
	case len(names) == 1:
		features, labels = names, nil
	case len(features) != 1 || len(labels) > 1:
		return nil, fail(in.name, "name them X and y: numpy.savez(name, X=..., y=...)",
			"is an npz archive of the arrays %s, and which holds features and which labels is not clear", listNames(names))
	}
	read := func(name string) (a *array, err error) {
		defer func() {
			var e *Error
			if errors.As(err, &e) && e.Hint == "" { // of reading
				e.Err, e.Hint = fmt.Errorf("the npz archive is damaged: %w", e.Err), "fetch or write the file again"
			}
		}()
		r, err := arrays[name].Open()
		if err != nil {
			return nil, brokenArchive(in.name, "npz", err)
		}
		defer r.Close()
		member, err := openReader(in.ctx, r, in.name+"/"+name+".npy")
		if err != nil {
			return nil, err
		}
		defer member.Close()
		return readNPYArray(member)
	}
	x, err := read(features[0])
	if err != nil {
		return nil, err
	}
	if len(labels) == 0 || o.NoLabel {
		return withLabels(in, "npz", x, o)
	}
	y, err := read(labels[0])
	if err != nil {
		return nil, err
	}
	if y.d != 1 {
		return nil, fail(in.name, "give one label a row", "the array %s has %d values a row", quote(labels[0]), y.d)
	}
	return numbersSet(in.name, in.name, "npz", x, y, o)
}
