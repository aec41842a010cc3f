package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"image"
	_ "image/png"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// side of a drawing, after averaging.
const side = 28

// omniglot reads the characters of a folder or .tar.gz of <alphabet>/<character>/<drawing>.png, ordered by name.
// Pixels are the share of ink, between 0 and 1, averaged down to 28 × 28.
func omniglot(name string) ([]class, error) {
	found := map[string]class{}
	add := func(file string, r io.Reader) error {
		if path.Ext(file) != ".png" || strings.HasPrefix(path.Base(file), ".") {
			return nil
		}
		parts := strings.Split(file, "/")
		if len(parts) < 3 {
			return fmt.Errorf("%s: %s is not <alphabet>/<character>/<drawing>.png", name, file)
		}
		m, _, err := image.Decode(r)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", name, file, err)
		}
		key := path.Dir(file)
		found[key] = append(found[key], ink(m))
		return nil
	}
	if err := walk(name, add); err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: no drawings", name)
	}
	var keys []string
	for k := range found {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var all []class
	for _, k := range keys {
		all = append(all, found[k])
	}
	return all, nil
}

// walk calls f for every file of a folder or of a .tar.gz.
func walk(name string, f func(file string, r io.Reader) error) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		fsys := os.DirFS(name)
		return fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			r, err := fsys.Open(p)
			if err != nil {
				return err
			}
			defer r.Close()
			return f(p, r)
		})
	}
	r, err := os.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	z, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	t := tar.NewReader(z)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := f(h.Name, t); err != nil {
			return err
		}
	}
}

// ink averages a drawing, dark on light, down to side × side.
func ink(m image.Image) []float64 {
	b := m.Bounds()
	sum, count := make([]float64, side*side), make([]float64, side*side)
	for y := range b.Dy() {
		for x := range b.Dx() {
			r, g, bl, _ := m.At(b.Min.X+x, b.Min.Y+y).RGBA()
			i := y*side/b.Dy()*side + x*side/b.Dx()
			sum[i] += 1 - float64(r+g+bl)/(3*0xffff)
			count[i]++
		}
	}
	for i := range sum {
		if count[i] > 0 {
			sum[i] /= count[i]
		}
	}
	return sum
}
