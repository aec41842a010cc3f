package bench

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel/internal/nearest"
)

// Config is a bench file: what is to be run.
type Config struct {
	Name  string
	Tasks []Task   // by problem, method, parameters and seed, in the order of the file
	Sets  []string // public data sets that they need
}

//go:embed configs/*.yaml
var ready embed.FS

// Ready lists the names of the ready bench files.
func Ready() []string {
	files, err := fs.Glob(ready, "configs/*.yaml")
	if err != nil {
		panic(err) // of the pattern
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".yaml")
	}
	return files
}

// ReadyFile is the text of a ready bench file.
func ReadyFile(name string) ([]byte, error) {
	text, err := ready.ReadFile("configs/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("bench: no ready file is called %q: there are %s%s", name, strings.Join(Ready(), ", "),
			nearest.Hint(name, Ready()))
	}
	return text, nil
}

// ReadConfig reads the bench file name or, where there is none, the ready one of that name; a folder of that name, such
// as that of its traces, is no bench file.
func ReadConfig(name string) (*Config, error) {
	text, err := os.ReadFile(name)
	info, noFile := os.Stat(name)
	folder := noFile == nil && info.IsDir()
	var p *fs.PathError
	switch {
	case (folder || errors.Is(err, fs.ErrNotExist)) && slices.Contains(Ready(), name):
		text, err = ReadyFile(name)
	case folder:
		err = errors.New("this is a folder; name a bench file in it")
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("there is no such file, nor is it a ready one: those are %s%s", strings.Join(Ready(), ", "),
			nearest.Hint(name, Ready()))
	case errors.As(err, &p):
		err = p.Err
	}
	if err != nil {
		return nil, &ConfigError{File: name, Err: err}
	}
	return ParseConfig(name, text)
}

// ParseConfig makes a Config of the text of a bench file, which errors call file. Every error is a *[ConfigError].
// See docs/bench.md for what such a file says.
func ParseConfig(file string, text []byte) (*Config, error) {
	v, err := parse(text)
	if err != nil {
		return nil, inFile(file, err)
	}
	c, err := decodeConfig(v)
	if err != nil {
		return nil, inFile(file, err)
	}
	return c, nil
}

const defaultPerDecade = 8

// maxTasks is the most runs of a bench file.
const maxTasks = 100_000

// configKeys are the keys of a bench file.
var configKeys = []string{"name", "problems", "methods", "seeds", "budget", "records"}

func decodeConfig(v value) (*Config, error) {
	list, err := v.entries("a bench file")
	if err != nil {
		return nil, err
	}
	at := map[string]entry{}
	for _, e := range list {
		if !slices.Contains(configKeys, e.key) {
			return nil, e.unknown("a bench file", configKeys)
		}
		at[e.key] = e
	}
	for _, key := range []string{"name", "problems", "methods"} {
		if _, ok := at[key]; !ok {
			return nil, v.errorf("a bench file needs the key %s", key)
		}
	}
	c := &Config{}
	if c.Name, err = at["name"].value.text("name"); err != nil {
		return nil, err
	}
	seeds := []uint64{0}
	if e, ok := at["seeds"]; ok {
		if seeds, err = decodeSeeds(e.value); err != nil {
			return nil, err
		}
	}
	var budget Budget
	if e, ok := at["budget"]; ok {
		if budget, err = decodeBudget(e.value); err != nil {
			return nil, err
		}
	}
	perDecade, kkt := defaultPerDecade, 0
	if e, ok := at["records"]; ok {
		if perDecade, kkt, err = decodeRecords(e.value); err != nil {
			return nil, err
		}
	}
	problems, err := decodeProblems(at["problems"].value, budget)
	if err != nil {
		return nil, err
	}
	methods, err := decodeMethods(at["methods"].value)
	if err != nil {
		return nil, err
	}
	if n := float64(len(problems)) * float64(len(methods)) * float64(len(seeds)); n > maxTasks {
		return nil, v.errorf("%.0f runs, more than %d, are too many", n, maxTasks)
	}
	taken := map[string]bool{}
	for _, p := range problems {
		for _, s := range p.sets {
			if !slices.Contains(c.Sets, s) {
				c.Sets = append(c.Sets, s)
			}
		}
		for _, m := range methods {
			for _, seed := range seeds {
				t := p.task
				t.Method, t.Algorithm, t.Params = m.task.Method, m.task.Algorithm, m.task.Params
				t.Seed, t.PerDecade, t.KKT = seed, perDecade, kkt
				if key := t.key(); !taken[key] {
					taken[key] = true
				} else {
					return nil, m.place.errorf("%s %s on %s is there twice", t.Method, describeJSON(t.Params), t.Problem)
				}
				c.Tasks = append(c.Tasks, t)
			}
		}
	}
	return c, nil
}

// choice is a problem or a method with its parameters.
type choice struct {
	task  Task // what of it is known
	place value
	sets  []string
}

func decodeSeeds(v value) ([]uint64, error) {
	var seeds []uint64
	if list, ok := v.v.([]value); ok {
		for _, item := range list {
			n, err := item.whole("a seed", 0)
			if err != nil {
				return nil, err
			}
			seeds = append(seeds, uint64(n))
		}
		if len(seeds) == 0 {
			return nil, v.errorf("there are no seeds")
		}
		return seeds, nil
	}
	n, err := v.whole("seeds, a list of seeds or their number,", 1)
	if err != nil {
		return nil, err
	}
	if n > maxTasks {
		return nil, v.errorf("%d seeds are too many", n)
	}
	for seed := range n {
		seeds = append(seeds, uint64(seed))
	}
	return seeds, nil
}

func decodeBudget(v value) (Budget, error) {
	var b Budget
	list, err := v.entries("budget")
	if err != nil {
		return b, err
	}
	for _, e := range list {
		switch e.key {
		case "time":
			var d time.Duration
			d, err = e.value.duration("time")
			b.Seconds = d.Seconds()
		case "steps":
			b.Steps, err = e.value.whole("steps", 1)
		case "samples":
			b.Samples, err = e.value.whole("samples", 1)
		default:
			err = e.unknown("budget", []string{"time", "steps", "samples"})
		}
		if err != nil {
			return b, err
		}
	}
	if b == (Budget{}) {
		return b, v.errorf("budget is at least one of time, steps and samples")
	}
	return b, nil
}

func decodeRecords(v value) (perDecade, kkt int, err error) {
	list, err := v.entries("records")
	if err != nil {
		return 0, 0, err
	}
	perDecade = defaultPerDecade
	for _, e := range list {
		var to *int
		var most int64
		switch e.key {
		case "per-decade":
			to, most = &perDecade, 1000
		case "kkt":
			to, most = &kkt, 10_000
		default:
			return 0, 0, e.unknown("records", []string{"per-decade", "kkt"})
		}
		n, err := e.value.whole(e.key, 1)
		if err != nil {
			return 0, 0, err
		}
		if n > most {
			return 0, 0, e.value.errorf("%s is %d; it must be at most %d", e.key, n, most)
		}
		*to = int(n)
	}
	return perDecade, kkt, nil
}

// named takes the entries of an item apart: what own lists, and the rest.
func named(v value, what string, own ...string) (at map[string]entry, rest []entry, err error) {
	list, err := v.entries(what)
	if err != nil {
		return nil, nil, err
	}
	at = map[string]entry{}
	for _, e := range list {
		if slices.Contains(own, e.key) {
			at[e.key] = e
		} else {
			rest = append(rest, e)
		}
	}
	if _, ok := at[own[0]]; !ok {
		return nil, nil, v.errorf("%s needs the key %s", what, own[0])
	}
	return at, rest, nil
}

func decodeProblems(v value, budget Budget) ([]choice, error) {
	items, err := v.items("problems")
	if err != nil {
		return nil, err
	}
	var all []choice
	for _, item := range items {
		at, rest, err := named(item, "an item of problems", "problem", "name", "budget")
		if err != nil {
			return nil, err
		}
		kind, err := at["problem"].value.text("problem")
		if err != nil {
			return nil, err
		}
		prototype, ok := problems[kind]
		if !ok {
			return nil, at["problem"].value.errorf("no problem is called %q: there are %s%s", kind,
				strings.Join(sortedKeys(problems), ", "), nearest.Hint(kind, sortedKeys(problems)))
		}
		name := ""
		if e, ok := at["name"]; ok {
			if name, err = e.value.text("name"); err != nil {
				return nil, err
			}
		}
		own := budget
		if e, ok := at["budget"]; ok {
			if own, err = decodeBudget(e.value); err != nil {
				return nil, err
			}
		}
		if own == (Budget{}) {
			return nil, item.errorf("%s has no budget: set budget for all problems, or here", kind)
		}
		grid, err := value{item.line, item.column, rest}.grid(kind)
		if err != nil {
			return nil, err
		}
		for _, options := range grid {
			made, err := configure(prototype, options, kind)
			if err != nil {
				return nil, err
			}
			c := choice{task: Task{Problem: name, Kind: kind, Options: canonical(options), Budget: own}, place: item,
				sets: made.(problem).sets()}
			if name == "" || len(grid) > 1 {
				c.task.Problem = strings.TrimSpace(strings.TrimSpace(name) + " " + describeJSON(c.task.Options))
				if name == "" {
					c.task.Problem = strings.TrimSpace(kind + " " + describeJSON(c.task.Options))
				}
			}
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return nil, v.errorf("there are no problems")
	}
	return all, nil
}

func decodeMethods(v value) ([]choice, error) {
	items, err := v.items("methods")
	if err != nil {
		return nil, err
	}
	var all []choice
	for _, item := range items {
		at, rest, err := named(item, "an item of methods", "method", "name", "params")
		if err != nil {
			return nil, err
		}
		for _, e := range rest {
			return nil, e.unknown("an item of methods", []string{"method", "name", "params"})
		}
		kind, err := at["method"].value.text("method")
		if err != nil {
			return nil, err
		}
		prototype, ok := prototypes[kind]
		if !ok {
			return nil, at["method"].value.errorf("no method is called %q: there are %s%s", kind,
				strings.Join(sortedKeys(prototypes), ", "), nearest.Hint(kind, sortedKeys(prototypes)))
		}
		name := kind
		if e, ok := at["name"]; ok {
			if name, err = e.value.text("name"); err != nil {
				return nil, err
			}
		}
		params := value{item.line, item.column, []entry{}}
		if e, ok := at["params"]; ok {
			params = e.value
			if _, err := params.entries("params"); err != nil {
				return nil, err
			}
		}
		grid, err := params.grid(kind)
		if err != nil {
			return nil, err
		}
		for _, p := range grid {
			if _, err := configure(prototype, p, kind); err != nil {
				return nil, err
			}
			all = append(all, choice{task: Task{Method: name, Algorithm: kind, Params: canonical(p)}, place: item})
		}
	}
	if len(all) == 0 {
		return nil, v.errorf("there are no methods")
	}
	return all, nil
}

// canonical is v as JSON, equal for equal values.
func canonical(v value) json.RawMessage {
	text, err := json.Marshal(v.plain())
	if err != nil {
		panic(fmt.Sprintf("bench: %v of %v", err, v.plain())) // numbers are finite where configure accepts them
	}
	return text
}
