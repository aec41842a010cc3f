"""The yardstick of BenchmarkLasso: the same lasso and sparse logistic regression in scikit-learn.

    LASSO_DATA=$PWD/lasso.bin go test ./nonsmooth -run '^$' -bench 'Lasso/.*/ProxNewton' -cpu 1 -benchtime 1x -count 30
    OMP_NUM_THREADS=1 python3 lasso.py lasso.bin

The benchmark writes its data to the file that LASSO_DATA names: as float64, little-endian, 2,000 rows of 500
features, the 2,000 labels of the lasso, its coefficients, and those of the logistic regression, whose labels are the
signs of y - 1/2. Needs numpy and scikit-learn. Prints the least and the median of 9 runs (3 of saga) and how far coefficients are
from those of the benchmark.
"""
import statistics
import sys
import time
import warnings

import numpy as np
from sklearn.linear_model import Lasso, LogisticRegression

n, d = 2000, 500
data = np.fromfile(sys.argv[1], "<f8")
a, y, lasso, logistic = np.split(data, np.cumsum([n * d, n, d]))
a = np.asfortranarray(a.reshape(n, d))  # what Lasso would copy it to
classes = np.where(y > 0.5, 1, -1)
rows = np.ascontiguousarray(a)


def run(name, fit, want, times):
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            z = fit()
        seconds.append(time.perf_counter() - began)
    print(f"{name}: least {1e3 * min(seconds):.1f} ms, median {1e3 * statistics.median(seconds):.1f} ms, "
          f"{np.count_nonzero(z)} not zero, {abs(z - want).max():.1e} from the benchmark's")


for tol in (1e-4, 1e-12):
    run(f"Lasso, tol {tol}",
        lambda: Lasso(alpha=np.exp(-3.2), fit_intercept=False, tol=tol, max_iter=100000).fit(a, y).coef_,
        lasso, 9)
for tol in (1e-4, 1e-9):  # C is one over the sum of losses
    run(f"LogisticRegression, saga, tol {tol}",
        lambda: LogisticRegression(l1_ratio=1, C=np.exp(4.6) / n, fit_intercept=False, solver="saga",
                                           tol=tol, max_iter=100000, random_state=0).fit(rows, classes).coef_[0],
        logistic, 3)
