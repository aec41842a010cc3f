package main

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/bilevel-go/bilevel/internal/realdata"
)

// On made-up tasks a learned map beats the raw features, and those a random map.
func Example() {
	c := standard
	c.tasks, c.testTasks, c.steps = 100, 200, 30
	r, err := learn(context.Background(), c)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("learned beats raw by more than two standard errors:",
		r.learned.mean-r.raw.mean > 2*(r.learned.err+r.raw.err))
	fmt.Println("raw beats random:", r.raw.mean > r.random.mean)
	// Output:
	// learned beats raw by more than two standard errors: true
	// raw beats random: true
}

func TestOmniglot(t *testing.T) {
	file := realdata.File(t, "omniglot", "omniglot28.tar.gz")
	for _, c := range []config{{head: "ridge", tasks: 100, steps: 15}, {head: "softmax", tasks: 20, steps: 6}} {
		c.omniglot, c.ways, c.shots, c.query, c.width, c.testTasks, c.ridge = file, 5, 5, 10, 16, 30, .05
		r, err := learn(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %+v", c.head, r)
		if r.learned.mean < r.random.mean+3*(r.learned.err+r.random.err) || r.after > .8*r.before {
			t.Errorf("%s: nothing was learned: %+v", c.head, r)
		}
	}
}

// Characters of another size, in a folder, are read and averaged down.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	for k, name := range []string{"Greek/alpha", "Greek/beta"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		m := image.NewGray(image.Rect(0, 0, 56, 56))
		for y := range 56 {
			for x := range 56 {
				if x < 28 == (k == 0) {
					m.SetGray(x, y, color.Gray{255})
				}
			}
		}
		f, err := os.Create(filepath.Join(dir, name, "1.png"))
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(f, m); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	all, err := omniglot(dir)
	if err != nil || len(all) != 2 || len(all[0]) != 1 {
		t.Fatal(len(all), err)
	}
	if a, b := all[0][0], all[1][0]; a[0] != 0 || a[side-1] != 1 || b[0] != 1 || b[side-1] != 0 {
		t.Error("ink is not where it should be")
	}
	if err := os.WriteFile(filepath.Join(dir, "Greek", "alpha", "2.png"), []byte("no drawing"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{dir, t.TempDir(), filepath.Join(dir, "nothing")} {
		if _, err := omniglot(bad); err == nil {
			t.Errorf("no error for %s", bad)
		}
	}
}

func TestErrors(t *testing.T) {
	for name, change := range map[string]func(*config){
		"head":  func(c *config) { c.head = "tree" },
		"ways":  func(c *config) { c.ways = 1000 },
		"shots": func(c *config) { c.shots = 15 },
		"width": func(c *config) { c.width = 0 },
		"tasks": func(c *config) { c.tasks = 0 },
	} {
		c := standard
		change(&c)
		if _, err := learn(context.Background(), c); err == nil {
			t.Errorf("no error for a bad %s", name)
		}
	}
}
