"""The yardstick of valuefn's BenchmarkMinimaxOPT: one step of MinimaxOPT in PyTorch, float32, one thread.

    python3 minimaxopt.py [repetitions]

A step is the loss f(u, x) + α(g(u, x) − g(ω, x)) over all samples, its gradient by autograd, and a step of gradient
descent on u and x and ascent on ω. Two problems:

  dense   logistic regression, 2,500 training and 2,500 validation rows × 100 features, one strength e^{x_j} per feature
  sparse  20 newsgroups' shape: 5,657 and 5,657 rows of 150 non-zeros, 130,107 features, 20 classes,
          penalty ½·mean(e^{x_j} W²), with e^{x_j} formed for every coefficient and once per feature

Prints minimum and median of wall time in milliseconds.
"""
import statistics
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.manual_seed(0)
REPETITIONS = int(sys.argv[1]) if len(sys.argv) > 1 else 30


def step(f, g, u, w, x, alpha, inner, outer):
    loss = f(u) + alpha * (g(u, x) - g(w, x))
    gu, gw, gx = torch.autograd.grad(loss, [u, w, x])
    with torch.no_grad():
        u.sub_(inner * gu)
        w.add_(inner * gw)
        x.sub_(outer * gx)


def measure(name, f, g, shape, p, inner, outer, repetitions):
    u = torch.zeros(shape, requires_grad=True)
    w = torch.zeros(shape, requires_grad=True)
    x = torch.zeros(p, requires_grad=True)
    for _ in range(3):
        step(f, g, u, w, x, 1.0, inner, outer)
    times = []
    for _ in range(repetitions):
        begin = time.perf_counter()
        step(f, g, u, w, x, 1.0, inner, outer)
        times.append(1e3 * (time.perf_counter() - begin))
    print(f"{name}: minimum {min(times):.3f} ms, median {statistics.median(times):.3f} ms, finite {bool(torch.isfinite(x).all())}")


def dense():
    n, d = 2500, 100
    a, b = torch.randn(n, d), torch.randn(n, d)
    t = torch.randn(d)
    y, z = torch.sign(a @ t + torch.randn(n)), torch.sign(b @ t + torch.randn(n))
    f = lambda u: F.softplus(-z * (b @ u)).mean()
    g = lambda u, x: F.softplus(-y * (a @ u)).mean() + 0.5 * (x.exp() * u * u).sum()
    measure("dense", f, g, d, d, 0.1, 0.1, 20 * REPETITIONS)


def sparse():
    n, d, k, nnz = 5657, 130107, 20, 150
    rng = np.random.default_rng(0)

    def rows():
        # Word frequencies fall like 1/rank, as they do in texts.
        weights = 1 / np.arange(1, d + 1)
        cdf = np.cumsum(weights) / weights.sum()
        idx = [np.sort(rng.permutation(np.unique(np.searchsorted(cdf, rng.random(3 * nnz))))[:nnz]) for _ in range(n)]
        assert all(len(i) == nnz for i in idx)
        ptr = np.concatenate([[0], np.cumsum([len(i) for i in idx])])
        val = np.concatenate([np.full(len(i), len(i) ** -0.5) for i in idx]).astype(np.float32)
        return torch.sparse_csr_tensor(torch.tensor(ptr), torch.tensor(np.concatenate(idx)), torch.tensor(val), (n, d))

    a, b = rows(), rows()
    y, z = torch.tensor(rng.integers(0, k, n)), torch.tensor(rng.integers(0, k, n))
    f = lambda u: F.cross_entropy(torch.sparse.mm(b, u), z)
    for name, penalty in [
        ("e^x for every coefficient", lambda u, x: 0.5 * (x.unsqueeze(1).exp() * u * u).mean()),
        ("e^x once per feature", lambda u, x: 0.5 * (x.exp() * (u * u).sum(1)).sum() / (d * k)),
    ]:
        g = lambda u, x: F.cross_entropy(torch.sparse.mm(a, u), y) + penalty(u, x)
        measure("sparse, " + name, f, g, (d, k), d, 10.0, 10.0, REPETITIONS)


dense()
sparse()
