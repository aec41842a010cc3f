"""Cuts rows into a target, test rows and five sources, permutes the labels of two sources, and runs bilevel mix.

    python mix.py BILEVEL ijcnn1.trn.bz2 [TARGET_ROWS] [SOURCE_ROWS] [SEEDS]

BILEVEL is the program; the data are LIBSVM text, or a CSV with the label in its last column. Classes with less than 3% of
the rows are left out. Printed, for each seed: the
weights of the permuted sources, and the log loss on 8,000 test rows of the target alone, the best single source, all
rows alike, the mix, and the mix of the three clean sources. Needs NumPy, pandas and scikit-learn.
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd
from sklearn.datasets import load_svmlight_file

bilevel, path = sys.argv[1:3]
target, source, seeds = (int(a) for a in (sys.argv[3:] + ["500", "3000", "5"][len(sys.argv) - 3:]))
if ".csv" in path:
    data = pd.read_csv(path)
else:
    x, y = load_svmlight_file(path)
    data = pd.DataFrame(x.toarray()).add_prefix("v")
    data["label"] = np.where(y > 0, "yes", "no") if len(set(y)) == 2 else [f"c{int(v)}" for v in y]
label = data.columns[-1]
if data[label].dtype.kind in "if":
    data[label] = [f"c{v}" for v in data[label]]
share = data[label].map(data[label].value_counts(normalize=True))
data = data[share > .03]  # a target of some hundred rows has too few of others
names = ["clean1.csv", "permuted1.csv", "clean2.csv", "permuted2.csv", "clean3.csv"]


def run(folder, sources):
    out = subprocess.run([bilevel, "mix", "target.csv", "--sources", ",".join(sources), "--test", "test.csv", "--label", label,
                          "--json", "--quiet"], cwd=folder, capture_output=True, text=True, check=True).stdout
    return json.loads(out)


print("seed  weights of the permuted   target alone  best single  all alike  mix     clean three  verdict           seconds")
for seed in range(seeds):
    rng = np.random.default_rng(100 + seed)
    rows = data.iloc[rng.permutation(len(data))]
    test = min(8000, len(rows) - target - 5 * source)
    with tempfile.TemporaryDirectory() as folder:
        at = 0
        for name, n in [("target.csv", target), ("test.csv", test)] + [(s, source) for s in names]:
            part = rows.iloc[at:at + n].copy()
            at += n
            if name.startswith("permuted"):
                part[label] = rng.permutation(part[label].to_numpy())
            part.to_csv(os.path.join(folder, name), index=False)
        r = run(folder, names)
        clean = run(folder, [n for n in names if n.startswith("clean")])
        loss = [w["figures"]["log_loss"]["value"] for w in r["ways"][1:]]
        weights = ", ".join(f"{s['weight']:.3f}" for s in r["sources"] if s["name"].startswith("permuted"))
        print(f"{seed:4d}  {weights:24}  {loss[0]:.4f}        {loss[1]:.4f}       {loss[2]:.4f}     {loss[3]:.4f}  "
              f"{clean['ways'][-1]['figures']['log_loss']['value']:.4f}       {r['verdict']:16}  {r['seconds']:.1f}", flush=True)
