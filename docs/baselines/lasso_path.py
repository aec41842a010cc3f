"""One ℓ1 strength by 5 folds: `bilevel tune --reg l1` against scikit-learn's LassoCV, in turn.

    go build -o bilevel ./cmd/bilevel
    OMP_NUM_THREADS=1 GOMAXPROCS=1 python3 docs/baselines/lasso_path.py ./bilevel

Needs numpy and scikit-learn. Prints the least processor time of three runs, of LassoCV without reading and of the command
with reading and report, and how far coefficients are from those of Lasso with the strength that the command found.
"""
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from sklearn.linear_model import Lasso, LassoCV
from sklearn.preprocessing import StandardScaler


def table(n, d, count, noise, common, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) + common * rng.standard_normal((n, 1))
    w = np.zeros(d)
    w[rng.permutation(d)[:count]] = rng.standard_normal(count)
    return x, x @ w + noise * rng.standard_normal(n)


def tune(command, path, out):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    run = [command, "tune", "--train", path, "--task", "regression", "--folds", "5", "--reg", "l1", "--out", out, "--json",
           "--quiet"]
    found = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before, found


for name, args in {"300 × 1000": (300, 1000, 20, 1, 0, 1), "300 × 1000, correlated": (300, 1000, 20, 3, .7, 2),
                   "2000 × 500": (2000, 500, 50, 5, 0, 3), "20000 × 100": (20000, 100, 30, 10, 0, 5)}.items():
    x, y = table(*args)
    z = StandardScaler().fit_transform(x)
    with tempfile.TemporaryDirectory() as folder:
        path, out = os.path.join(folder, "t.npy"), os.path.join(folder, "out")
        np.save(path, np.column_stack([x, y]))
        peer, ours = [], []
        for _ in range(3):
            began = time.process_time()
            cv = LassoCV(cv=5).fit(z, y)
            peer.append(time.process_time() - began)
            seconds, found = tune(sys.argv[1], path, out)
            ours.append(seconds)
        with open(os.path.join(out, "model.json")) as f:
            model = json.load(f)
    # The command centres and scales the label, and with it the strength.
    alpha = model["penalty"]["strengths"][0]["value"] * y.std()
    ref = Lasso(alpha=alpha, tol=1e-12, max_iter=1000000).fit(z, y).coef_
    got = np.array(model["coefficients"][0]["weights"])
    scale = max(abs(ref).max(), 1e-300)
    print(f"{name}: LassoCV {min(peer):.2f} s, loss {cv.mse_path_.mean(1).min() / 2:.5f} at alpha {cv.alpha_:.4f}; "
          f"tune {min(ours):.2f} s, loss {found['value']:.5f} at {alpha:.4f}; ratio {min(peer) / min(ours):.1f}; "
          f"coefficients {abs(got - ref).max() / scale:.0e} of the largest off")
