package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel/tune"
)

// call runs the command in a new empty folder with these files, and returns what it did.
type outcome struct {
	code           int
	stdout, stderr string
}

func call(t *testing.T, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), args, strings.NewReader(""), &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

func mustCall(t *testing.T, args ...string) outcome {
	t.Helper()
	o := call(t, args...)
	if o.code != exitOK {
		t.Fatalf("bilevel %s: exit code %d\n%s", strings.Join(args, " "), o.code, o.stderr)
	}
	if n := strings.Count(o.stdout, "\n"); strings.Contains(o.stdout, "\nwrote ") && n > mostLines {
		t.Errorf("bilevel %s: a summary of %d lines\n%s", strings.Join(args, " "), n, o.stdout)
	}
	return o
}

// files makes an empty folder with files, and goes there.
func files(t *testing.T, content map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range content {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// listing is the names of all files below the folder.
func listing(t *testing.T) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// table is a CSV with two informative columns, noise columns, a constant one and a string column.
func table(n, noise int, seed uint64, label func(r *rand.Rand, score float64) string) string {
	r := rand.New(rand.NewPCG(seed, 1))
	var b strings.Builder
	b.WriteString("size,weight,colour,constant")
	for j := range noise {
		fmt.Fprintf(&b, ",noise%d", j)
	}
	b.WriteString(",y\n")
	for range n {
		size, weight, colour := r.NormFloat64(), 100+20*r.NormFloat64(), r.IntN(3)
		score := 2*size - (weight-100)/20 + float64(colour-1)
		fmt.Fprintf(&b, "%.4f,%.3f,%s,7", size, weight, []string{"red", "green", "blue"}[colour])
		for range noise {
			fmt.Fprintf(&b, ",%.3f", r.NormFloat64())
		}
		fmt.Fprintf(&b, ",%s\n", label(r, score))
	}
	return b.String()
}

func yesNo(r *rand.Rand, score float64) string {
	if score+r.NormFloat64() > 0 {
		return "yes"
	}
	return "no"
}

func price(r *rand.Rand, score float64) string {
	return fmt.Sprintf("%.2f", 50000+10000*score+2000*r.NormFloat64())
}

type object map[string]any

func (o object) number(t *testing.T, key string) float64 {
	t.Helper()
	v, ok := o[key].(float64)
	if !ok {
		t.Fatalf("%s is %v", key, o[key])
	}
	return v
}

func decode(t *testing.T, text string) object {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	var o object
	if err := d.Decode(&o); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if d.More() {
		t.Fatalf("more than one object: %s", text)
	}
	return o
}

func TestTuneDefault(t *testing.T) {
	files(t, nil)
	begin := time.Now()
	o := mustCall(t, "tune")
	if spent := time.Since(begin); spent > 20*time.Second {
		t.Errorf("took %v", spent)
	}
	for _, want := range []string{"digits (embedded)   1,348 rows and 449 test rows, label digit (10 classes), 64 col",
		"On the 449 test rows   right   log loss\n", "  always the shares    10.0%", "  softmax ", "baseline",
		"within chance of the baseline\n", "wrote bilevel-out: model.json trace.csv report.html\n"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("%q is not in\n%s", want, o.stdout)
		}
	}
	for _, f := range []string{"model.json", "trace.csv", "report.html"} {
		info, err := os.Stat(filepath.Join("bilevel-out", f))
		if err != nil || info.Size() < 50 {
			t.Errorf("%s: %v", f, err)
		}
	}
	if entries, _ := os.ReadDir("bilevel-out"); len(entries) != 3 {
		t.Errorf("%d files in the output folder", len(entries))
	}
	trace, err := os.ReadFile("bilevel-out/trace.csv")
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(bytes.NewReader(trace)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(records[0], ","); got != "step,seconds,value,grad_norm,samples_visited" || len(records) < 3 {
		t.Errorf("trace of %d lines: %s", len(records), got)
	}
}

func TestTuneJSON(t *testing.T) {
	files(t, nil)
	o := mustCall(t, "tune", "--set", "breast-cancer", "--json", "--quiet", "--out", "deep/er", "--reg", "feature")
	if o.stderr != "" {
		t.Errorf("not quiet: %s", o.stderr)
	}
	j := decode(t, o.stdout)
	for _, key := range []string{"method", "value", "grad_norm", "baseline_value", "steps", "seconds", "inner_dim",
		"outer_dim", "n_train", "n_val", "test_accuracy", "samples_visited", "test_loss", "baseline_test_loss", "reg",
		"reason", "files"} {
		if _, ok := j[key]; !ok {
			t.Errorf("%s is absent", key)
		}
	}
	if v, b := j.number(t, "value"), j.number(t, "baseline_value"); v > b {
		t.Errorf("value %v, baseline %v", v, b)
	}
	if j.number(t, "inner_dim") != 31 || j.number(t, "outer_dim") != 30 || j["method"] != "hoag" || j["reg"] != "feature" {
		t.Errorf("%v", j)
	}
	if !exists("deep/er/model.json") {
		t.Error("no model")
	}

	// Without test rows their figures are null; the same seed gives the same numbers.
	files(t, map[string]string{"t.csv": table(200, 3, 1, yesNo)})
	first := decode(t, mustCall(t, "tune", "--train", "t.csv", "--json", "--quiet").stdout)
	second := decode(t, mustCall(t, "tune", "--train", "t.csv", "--json", "--quiet").stdout)
	if v, ok := first["test_accuracy"]; v != nil || !ok {
		t.Errorf("test_accuracy is %v", v)
	}
	if first["value"] != second["value"] || first["grad_norm"] != second["grad_norm"] {
		t.Errorf("%v and %v", first["value"], second["value"])
	}
}

// TestFoldsStory is the second user story: from a table with string labels and a string column to predictions.
func TestFoldsStory(t *testing.T) {
	files(t, map[string]string{"all.csv": table(300, 6, 2, yesNo), "new.csv": table(50, 6, 3, yesNo)})
	o := mustCall(t, "tune", "--train", "all.csv", "--folds", "5")
	for _, want := range []string{"all.csv   300 rows, label y (2 classes, chosen for its name), 10 columns\n", "logistic",
		"On unseen rows ", "right   log loss", "rows held out", "Most on “yes”: size −", "colour red → blue +", "--test"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("%q is not in\n%s", want, o.stdout)
		}
	}
	o = mustCall(t, "predict", "--model", "bilevel-out/model.json", "new.csv", "--proba")
	records, err := csv.NewReader(strings.NewReader(o.stdout)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 51 || strings.Join(records[0], ",") != "prediction,no,yes" {
		t.Fatalf("%d lines, %v", len(records), records[0])
	}
	for _, r := range records[1:] {
		no, _ := strconv.ParseFloat(r[1], 64)
		yes, _ := strconv.ParseFloat(r[2], 64)
		if math.Abs(no+yes-1) > 1e-5 || (r[0] == "yes") != (yes > no) {
			t.Fatalf("%v", r)
		}
	}
	loss := func(line string) float64 { // the last word
		words := strings.Fields(line)
		v, err := strconv.ParseFloat(words[len(words)-1], 64)
		if err != nil {
			t.Error(err)
		}
		return v
	}
	accuracy := 0.0
	if _, err := fmt.Sscanf(o.stderr, "Of 50 rows with labels, %f%% are predicted rightly (", &accuracy); err != nil ||
		accuracy < 70 || loss(o.stderr) <= 0 {
		t.Errorf("%v: %s", err, o.stderr)
	}

	// Without the label, from standard input, with columns in another order, to a file.
	text := "y2,constant,colour,noise5,noise4,noise3,noise2,noise1,noise0,weight,size\n"
	text = strings.Replace(text, "y2,", "", 1) + "7,red,0,0,0,0,0,0,100,3\n7,blue,0,0,0,0,0,0,100,-3\n"
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), []string{"predict", "--model", "bilevel-out/model.json", "-", "--format", "csv"},
		strings.NewReader(text), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	if got := stdout.String(); got != "prediction\nyes\nno\n" || stderr.Len() > 0 {
		t.Errorf("%q, %q", got, stderr.String())
	}
}

func TestRidgeStory(t *testing.T) {
	files(t, map[string]string{"all.csv": table(200, 4, 4, price), "new.csv": table(80, 4, 5, price)})
	o := mustCall(t, "tune", "--train", "all.csv", "--folds", "5", "--test", "new.csv")
	for _, want := range []string{"ridge", "On the 80 test rows   average error   explained\n", "label y (a number",
		"Most on y: size −"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("%q is not in\n%s", want, o.stdout)
		}
	}
	o = mustCall(t, "predict", "--model", "bilevel-out/model.json", "new.csv", "--out", "p.csv")
	_, tail, _ := strings.Cut(o.stderr, ", RMSE ")
	var rmse float64
	if _, err := fmt.Sscanf(strings.ReplaceAll(tail, ",", ""), "%f", &rmse); err != nil || rmse < 1500 || rmse > 2600 ||
		!strings.HasPrefix(o.stderr, "On 80 rows with labels, the prediction is off by ") {
		t.Errorf("%v: %s", err, o.stderr)
	}
	if o.stdout != "" || !exists("p.csv") {
		t.Errorf("stdout %q", o.stdout)
	}
	if o := call(t, "predict", "--model", "bilevel-out/model.json", "new.csv", "--proba"); o.code != exitUsage {
		t.Errorf("--proba: %+v", o)
	}
	j := decode(t, mustCall(t, "tune", "--train", "all.csv", "--val", "new.csv", "--json", "--quiet").stdout)
	if j["test_accuracy"] != nil || j["val_accuracy"] != nil || j.number(t, "val_rmse") > 2600 {
		t.Errorf("%v", j)
	}
}

func TestWrongInput(t *testing.T) {
	good := table(60, 2, 6, yesNo)
	svm := "1 1:.5 2:1\n-1 1:-.5 2:.3\n1 1:.7\n-1 2:.1\n1 1:.2 2:.6\n-1 1:-.9\n"
	content := map[string]string{
		"good.csv":    good,
		"empty.csv":   "",
		"header.csv":  "a,b,y\n",
		"junk.csv":    "\x00\x01\x02\xff\xfe\x00PK\x03\x04\x00\x00\x80\x81",
		"ragged.csv":  "a,b,y\n1,2,no\n1,yes\n3,4,no\n",
		"nan.csv":     "a,b,y\n1,2,no\n1,NaN,yes\n3,4,no\n",
		"inf.csv":     "a,b,y\n1,2,no\n1,3,yes\n3,inf,no\n",
		"one.csv":     "a,b,y\n1,2,no\n1,3,no\n3,1,no\n",
		"unseen.csv":  strings.Replace(good, ",yes\n", ",maybe\n", 1),
		"missing.csv": "size,weight,colour,constant,noise0,y\n1,100,red,7,0,yes\n2,100,red,7,0,no\n",
		"two.csv":     "a,y\n1,no\n2,yes\n",
		"train.svm":   svm,
		"more.svm":    svm + "1 3:1\n",
		"nan.svm":     "1 1:nan\n-1 1:2\n",
		"notes.txt":   "one file",
		"huge.csv":    "a,b,y\n1,2,no\n1e300,3,yes\n3,4,no\n",
		"slip.csv":    "a,y\n" + strings.Repeat("1,no\n2,yes\n", 10) + "0x10,no\n",
		"nohead.csv":  "1,1,0\n1,3,1\n",
	}
	for _, c := range []struct {
		name string
		args string
		want []string // in the message
	}{
		{"missing file", "--train nowhere.csv", []string{"nowhere.csv"}},
		{"missing validation file", "--train good.csv --val nowhere.csv", []string{"nowhere.csv"}},
		{"directory", "--train .", []string{"folder of documents", "class folders"}},
		{"empty file", "--train empty.csv", []string{"empty.csv"}},
		{"header alone", "--train header.csv", []string{"header.csv"}},
		{"binary junk", "--train junk.csv", []string{"junk.csv"}},
		{"ragged rows", "--train ragged.csv", []string{"ragged.csv:3"}},
		{"NaN", "--train nan.csv", []string{"nan.csv:3", "b"}},
		{"infinity", "--train inf.csv", []string{"inf.csv:4", "b"}},
		{"NaN in LIBSVM", "--train nan.svm --val train.svm", []string{"nan.svm:1"}},
		{"one class", "--train one.csv", []string{"one.csv", "only one class", "no"}},
		{"label absent", "--train good.csv --label target", []string{"good.csv", "target"}},
		{"unseen class", "--train good.csv --val unseen.csv", []string{"unseen.csv", "maybe"}},
		{"column too few", "--train good.csv --val missing.csv",
			[]string{"missing.csv", `the column "noise1" is missing, which the training file has`}},
		{"no rows after a split", "--train two.csv --val-fraction 0.1", []string{"two.csv", "rows"}},
		{"classes for ridge", "--train good.csv --model ridge", []string{"good.csv:2", "not a number"}},
		{"numbers for classes", "--train good.csv --label weight --model logistic --val-fraction .3", []string{"good.csv"}},
		{"too many folds", "--train two.csv --folds 5", []string{"fold"}},
		{"one fold", "--train good.csv --folds 1", []string{"--folds", "at least 2"}},
		{"fraction", "--train good.csv --val-fraction 1.5", []string{"--val-fraction"}},
		{"two ways to validate", "--train good.csv --folds 3 --val good.csv", []string{"give one of them"}},
		{"val without train", "--val good.csv", []string{"need --train"}},
		{"set and train", "--train good.csv --set digits", []string{"give one of them"}},
		{"unknown set", "--set nothing", []string{"nothing", "ijcnn1", "digits", "breast-cancer"}},
		{"standard input twice", "--train - --val -", []string{"--train - and --val -", "one file"}},
		{"empty standard input", "--train -", []string{"standard input: the file is empty"}},
		{"labels from standard input", "--train good.csv --labels -", []string{"--labels -"}},
		{"standard output", "--out -", []string{"--out -", "name a folder", "--json"}},
		{"stochastic method for the l1 norm", "--reg l1 --method saba", []string{"--method", "hoag"}},
		{"box without room", "--box 3,3", []string{"--box", "nothing is left to learn"}},
		{"no time", "--max-time 0s", []string{"--max-time", "above zero"}},
		{"scale by a space", "--scale foo", []string{"--scale", "foo", "on, off or auto"}},
		{"intercept by a space", "--intercept foo", []string{"--intercept", "foo", "on, off or auto"}},
		{"huge", "--train huge.csv", []string{"huge.csv:3", `"a"`, "scale the column"}},
		{"huge label", "--train huge.csv --label a", []string{"huge.csv:3", `"a"`, "scale the column"}},
		{"slip", "--train slip.csv", []string{"slip.csv:22", `"a"`, "0x10", "--categorical"}},
		{"no header", "--train nohead.csv", []string{"nohead.csv:1", "--no-header"}},
		{"categorical column absent", "--train good.csv --categorical zip", []string{"zip", "size"}},
		{"categorical without a file", "--categorical zip", []string{"--categorical", "--train"}},
		{"out below a file", "--out notes.txt/deep", []string{"notes.txt is a file"}},
		{"out is nowhere", "--out /dev/null/deep", []string{"/dev/null"}},
		{"model is a folder", "--out blocked --train nowhere.csv", []string{"model.json", "is a folder"}},
		{"out is the input", "--out used --train used/trace.csv", []string{"trace.csv", "overwritten"}},
		{"box in the wrong order", "--box 12,-12", []string{"--box", "above"}},
		{"box of one number", "--box 3", []string{"--box", "lower,upper"}},
		{"box of words", "--box a,b", []string{"--box", "lower,upper"}},
		{"box beyond numbers", "--box -1e9,1e9", []string{"--box", "±100"}},
		{"box with NaN", "--box nan,1", []string{"--box", "finite"}},
		{"negative prior", "--reg feature --prior -1", []string{"--prior", "above zero"}},
		{"prior of NaN", "--reg feature --prior nan", []string{"--prior", "auto, off or a number"}},
		{"negative linear box", "--param linear --box -1,1", []string{"--box", "positive"}},
		{"model", "--model forest", []string{"--model", "logistic, softmax, ridge"}},
		{"reg", "--reg lasso", []string{"--reg", "feature-class"}},
		{"reg for the wrong model", "--train good.csv --reg class", []string{"reg", "softmax"}},
		{"method", "--method adam", []string{"--method", "saba"}},
		{"scale", "--scale=maybe", []string{"--scale", "on, off or auto"}},
		{"start", "--start far", []string{"--start", "grid"}},
		{"start outside", "--start 30", []string{"--start", "outside the box"}},
		{"seed", "--seed -1", []string{"--seed"}},
		{"time", "--max-time soon", []string{"--max-time"}},
		{"negative time", "--max-time -3s", []string{"--max-time", "negative"}},
		{"format", "--train good.csv --format xls", []string{"xls"}},
		{"out is a file", "--out notes.txt", []string{"notes.txt", "folder"}},
		{"unknown flag", "--lambda 3", []string{"--lambda", "--help"}},
		{"argument", "good.csv", []string{"good.csv", "give files with --train"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files(t, content)
			for _, dir := range []string{"blocked/model.json", "used"} {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile("used/trace.csv", []byte(good), 0o644); err != nil {
				t.Fatal(err)
			}
			before := listing(t)
			o := call(t, append([]string{"tune", "--quiet"}, strings.Fields(c.args)...)...)
			if o.code != exitUsage {
				t.Errorf("exit code %d: %s", o.code, o.stderr)
			}
			for _, w := range c.want {
				if !strings.Contains(o.stderr, w) {
					t.Errorf("%q is not in %s", w, o.stderr)
				}
			}
			if strings.Count(o.stderr, "\n") != 1 || o.stdout != "" {
				t.Errorf("not one line: %q, %q", o.stderr, o.stdout)
			}
			if after := listing(t); after != before {
				t.Errorf("files were %s and are %s", before, after)
			}
		})
	}
	for _, args := range [][]string{{"tuen"}, {"data", "lst"}, {"data", "get"}, {"predict"}, {"predict", ""},
		{"predict", "a", "b"}, {"help", "tuen"}, {"help", "data", "lst"}, {"--lambda"}} {
		if o := call(t, args...); o.code != exitUsage || !strings.Contains(o.stderr, "--help") {
			t.Errorf("%v: %+v", args, o)
		}
	}
	files(t, nil)
	for _, flag := range []string{"--train", "--val", "--test", "--set"} { // an unset variable in a script
		if o := call(t, "tune", "--quiet", "--max-time", "1ms", flag, ""); o.code != exitUsage ||
			!strings.Contains(o.stderr, flag+` "": give a name`) {
			t.Errorf("%s: %+v", flag, o)
		}
	}
}

func TestWrongPredict(t *testing.T) {
	content := map[string]string{
		"t.csv":       table(80, 2, 7, yesNo),
		"fewer.csv":   "weight,colour,constant,noise1,noise0\n100,red,7,0,0\n",
		"renamed.csv": strings.Replace(table(5, 2, 8, yesNo), "weight", "mass", 1),
		"level.csv":   strings.Replace(table(5, 2, 8, yesNo), "red", "pink", 9),
		"label.csv":   strings.Replace(table(5, 2, 8, yesNo), ",no\n", ",never\n", 9),
		"broken.json": `{"format":"bilevel-model","version":1,"task":"log`,
		"other.json":  `{"name":"x"}`,
		"future.json": `{"format":"bilevel-model","version":9}`,
		"hollow.json": `{"format":"bilevel-model","version":1,"task":"logistic","classes":["a","b"],"coefficients":[]}`,
	}
	files(t, content)
	mustCall(t, "tune", "--quiet", "--train", "t.csv")
	if err := os.Link("t.csv", "link.csv"); err != nil {
		t.Fatal(err)
	}
	const m = "bilevel-out/model.json"
	for _, c := range []struct {
		args string
		want string
	}{
		{"--model nowhere.json t.csv", "nowhere.json: there is no such file"},
		{"--model . t.csv", "folder"},
		{"--model t.csv t.csv", "t.csv:1: this is no model"},
		{"--model broken.json t.csv", "broken.json"},
		{"--model other.json t.csv", "no model"},
		{"--model future.json t.csv", "version 9"},
		{"--model hollow.json t.csv", "damaged"},
		{"t.csv", "--model is missing"},
		{"--model " + m + " nowhere.csv", "nowhere.csv"},
		{"--model " + m + " t.csv --out nowhere/p.csv", "the folder nowhere does not exist"},
		{"--model " + m + " t.csv --out bilevel-out", "bilevel-out: this is a folder"},
		{"--model " + m + " t.csv --out " + m, "is the input"},
		{"--model " + m + " t.csv --out ./t.csv", "is the input"},
		{"--model " + m + " t.csv --out link.csv", "is the input"},
		{"--model " + m + " fewer.csv", `the column "size" is missing, which the model has`},
		{"--model " + m + " renamed.csv", `"mass" where the model has "weight"`},
		{"--model " + m + " level.csv", "pink"},
		{"--model " + m + " label.csv", "never"},
	} {
		o := call(t, append([]string{"predict"}, strings.Fields(c.args)...)...)
		if o.code != exitUsage || !strings.Contains(o.stderr, c.want) || o.stdout != "" || strings.Contains(o.stderr, "/.") {
			t.Errorf("%s: %q is not in %+v", c.args, c.want, o)
		}
		if text, err := os.ReadFile("t.csv"); err != nil || string(text) != content["t.csv"] {
			t.Fatalf("%s: the data are gone", c.args)
		}
	}
}

func TestMoreFeaturesThanRows(t *testing.T) {
	files(t, map[string]string{"t.csv": table(30, 60, 9, yesNo), "v.csv": table(200, 60, 10, yesNo)})
	for _, reg := range []string{"auto", "shared", "feature", "feature-class"} {
		j := decode(t, mustCall(t, "tune", "--train", "t.csv", "--val", "v.csv", "--reg", reg, "--json", "--quiet").stdout)
		if v, b := j.number(t, "value"), j.number(t, "baseline_value"); v > b || b > .75 {
			t.Errorf("%s: value %v, baseline %v", reg, v, b)
		}
	}
}

func TestInterrupted(t *testing.T) {
	files(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"tune", "--json", "--quiet"}, strings.NewReader(""), &stdout, &stderr)
	if code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
	j := decode(t, stdout.String())
	if j["interrupted"] != true || !exists("bilevel-out/model.json") {
		t.Errorf("%v", j)
	}
	if _, err := tune.Load("bilevel-out/model.json"); err != nil {
		t.Error(err)
	}
	// A time budget is no failure.
	j = decode(t, mustCall(t, "tune", "--json", "--quiet", "--max-time", "1ms", "--reg", "feature-class").stdout)
	if j["timed_out"] != true || j["interrupted"] != false {
		t.Errorf("%v", j)
	}
}

func TestHelp(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"", "bilevel tune"}, {"--help", "Exit codes"}, {"tune --help", "--val-fraction"}, {"tune --help", "--prior"},
		{"predict --help", "--proba"}, {"help", "bilevel tune"}, {"help data list", "where they are found"},
		{"--version", "bilevel "}, {"data list", "ijcnn1"},
	} {
		if o := call(t, strings.Fields(c.args)...); o.code != 0 || !strings.Contains(o.stdout, c.want) {
			t.Errorf("bilevel %s: %+v", c.args, o)
		}
	}
}

func TestSwitches(t *testing.T) {
	files(t, map[string]string{"t.csv": table(100, 1, 11, yesNo)})
	for _, c := range []struct {
		args              string
		scaled, intercept bool
	}{{"", true, true}, {"--scale off", false, true}, {"--scale --intercept=off", true,
		false}, {"--scale no --intercept off", false, false}} {
		mustCall(t, append([]string{"tune", "--train", "t.csv", "--quiet"}, strings.Fields(c.args)...)...)
		m, err := tune.Load("bilevel-out/model.json")
		if err != nil {
			t.Fatal(err)
		}
		if (m.Scaler != nil) != c.scaled || m.HasIntercept != c.intercept {
			t.Errorf("%q: scaler %v, intercept %v", c.args, m.Scaler != nil, m.HasIntercept)
		}
	}
}

// Kernels that were asked for and are not there are wrong usage, in a process of its own as they are chosen at its
// start.
func TestKernelsThatAreNotThere(t *testing.T) {
	c := exec.Command(os.Args[0], "bench", "work")
	c.Env = append(os.Environ(), "BILEVEL_KERNELS=sse")
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitUsage ||
		!strings.Contains(string(out), `BILEVEL_KERNELS is "sse", which is none of plain`) {
		t.Errorf("%v, %s", err, out)
	}
}
