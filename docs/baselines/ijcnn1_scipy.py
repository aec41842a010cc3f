"""The yardstick of `bilevel tune` on ijcnn1: SciPy's L-BFGS-B on h(x), z*(x) by dense Newton steps in NumPy.

    OMP_NUM_THREADS=1 python3 ijcnn1_scipy.py FOLDER [START...]

FOLDER holds ijcnn1.trn.bz2 and ijcnn1.tst.bz2; START is a number or "random" (default: 0 -2 random).
Needs numpy and scipy. Prints one line per start: value, evaluations, Newton steps, seconds.
"""
import bz2
import sys
import time

import numpy as np
from scipy.optimize import minimize


def read(path):
    a, y = [], []
    with bz2.open(path, "rt") as f:
        for line in f:
            label, *cells = line.split()
            row = np.zeros(22)
            for c in cells:
                j, v = c.split(":")
                row[int(j) - 1] = float(v)
            a.append(row)
            y.append(float(label))
    return np.array(a), np.array(y)


def sigmoid(u):
    return np.exp(-np.logaddexp(0, -u))


def run(start, a, y, b, w):
    n, m, d = len(y), len(w), a.shape[1]
    z = np.zeros(d)
    calls, newton = 0, 0

    def inner(z, x):
        e = np.exp(x)
        t = y * (a @ z)
        return np.logaddexp(0, -t).mean() + 0.5 * (e * z * z).sum(), -(a.T @ (y * sigmoid(-t))) / n + e * z

    def h(x):
        nonlocal z, calls, newton
        calls += 1
        e = np.exp(x)
        value, grad = inner(z, x)
        for _ in range(50):
            if np.linalg.norm(grad) < 1e-10:
                break
            newton += 1
            s = sigmoid(a @ z)
            hess = (a * (s * (1 - s) / n)[:, None]).T @ a + np.diag(e)
            step = np.linalg.solve(hess, grad)
            t = 1.0
            while True:
                value1, grad1 = inner(z - t * step, x)
                if value1 <= value + 1e-13 or t < 1e-8:
                    break
                t /= 2
            z = z - t * step
            value, grad = value1, grad1
        s = sigmoid(a @ z)
        hess = (a * (s * (1 - s) / n)[:, None]).T @ a + np.diag(e)
        t = w * (b @ z)
        fz = -(b.T @ (w * sigmoid(-t))) / m
        v = -np.linalg.solve(hess, fz)
        return np.logaddexp(0, -t).mean(), e * z * v

    began = time.perf_counter()
    r = minimize(h, start, jac=True, method="L-BFGS-B", bounds=[(-12, 12)] * d,
                 options=dict(maxiter=1000, ftol=1e-12, gtol=1e-8))
    return r.fun, calls, newton, time.perf_counter() - began


def main():
    folder, starts = sys.argv[1], sys.argv[2:] or ["0", "-2", "random"]
    a, y = read(folder + "/ijcnn1.trn.bz2")
    b, w = read(folder + "/ijcnn1.tst.bz2")
    for s in starts:
        x = np.log(np.random.default_rng(1).random(22)) if s == "random" else np.full(22, float(s))
        value, calls, newton, seconds = run(x, a, y, b, w)
        print(f"start {s}: value {value:.7f}, {calls} evaluations, {newton} Newton steps, {seconds:.1f} s")


main()
