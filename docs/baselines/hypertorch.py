"""The yardstick of hypergrad's BenchmarkOuterStep: one outer step of hypertorch's three estimators in PyTorch, float32.

    python3 hypertorch.py [repetitions [problem [threads]]]

An outer step is T inner steps, a hypergradient and a step on x. Two problems:

  dense   logistic regression, 5,000 training and 5,000 validation rows × 100 features, one strength x_j per feature,
          T = 100 gradient-descent steps of .1 from z = 0
  sparse  20 newsgroups' shape: 5,657 and 5,657 rows of 150 non-zeros, 130,107 features, 20 classes,
          penalty ½·mean(e^{x_j} W²), T = 10 heavy-ball steps (100, .9)

reverse is differentiation of the last K = 10 steps, fixed_point K = 10 steps on the adjoint with the same map, CG 10
steps of conjugate gradients with the gradient-descent map (Grazzi et al. 2020, algorithms 1 and 2). The authors'
package hypergrad is used if it can be imported; otherwise the functions below, which make the same calls of autograd.

The penalty of the sparse problem is measured as the authors' example has it, with e^{x_j} formed for every
coefficient, and with e^{x_j} formed once per feature. Without arguments both problems run with one thread and with
torch's default number. Prints minimum and median of wall and of processor time in milliseconds; on
a busy machine compare the latter, with one thread.
"""
import statistics
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch.autograd import grad

try:
    import hypergrad as hg

    hg.reverse, hg.fixed_point, hg.CG  # another package has the same name
    origin = "the package"
except (ImportError, AttributeError):
    hg = None
    origin = "rewritten"

REPETITIONS = int(sys.argv[1]) if len(sys.argv) > 1 else 8
PROBLEMS = sys.argv[2:3] or ["dense", "sparse"]
K = 10


def or_zero(out, at):
    g = grad(out, at, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(w) if v is None else v for v, w in zip(g, at)]


def reverse(history, x, maps, outer):
    history = [[w.detach().requires_grad_(True) for w in s] for s in history]
    loss = outer(history[-1], x)
    a, q = or_zero(loss, history[-1]), or_zero(loss, x)
    for s, phi in zip(history[-2::-1], maps):
        out = phi(s, x)
        q = [g + b for g, b in zip(q, grad(out, x, grad_outputs=a, retain_graph=True))]
        a = grad(out, s, grad_outputs=a)
    x[0].grad = q[0]


def fixed_point(s, x, steps, phi, outer, tol):
    s = [w.detach().requires_grad_(True) for w in s]
    loss = outer(s, x)
    a, q = or_zero(loss, s), or_zero(loss, x)
    out = phi(s, x)
    u = [torch.zeros_like(w) for w in s]
    for _ in range(steps):
        last = torch.cat([v.reshape(-1) for v in u])
        u = [v + b for v, b in zip(grad(out, s, grad_outputs=u, retain_graph=True), a)]
        if float(torch.norm(torch.cat([v.reshape(-1) for v in u]) - last)) < tol:
            break
    x[0].grad = q[0] + grad(out, x, grad_outputs=u)[0]


def conjugate_gradients(s, x, steps, phi, outer, tol):
    s = [w.detach().requires_grad_(True) for w in s]
    loss = outer(s, x)
    a, q = or_zero(loss, s), or_zero(loss, x)
    out = phi(s, x)
    u, r, p = [torch.zeros_like(a[0])], [a[0].clone()], [a[0].clone()]
    for _ in range(steps):
        ap = [p[0] - grad(out, s, grad_outputs=p, retain_graph=True)[0]]
        rr = torch.sum(r[0] * r[0])
        alpha = rr / torch.sum(p[0] * ap[0])
        u = [u[0] + alpha * p[0]]
        r = [r[0] - alpha * ap[0]]
        if float(torch.norm(r[0])) < tol:
            break
        p = [r[0] + torch.sum(r[0] * r[0]) / rr * p[0]]
    x[0].grad = q[0] + grad(out, x, grad_outputs=u)[0]


def descent(loss, step, momentum=None):
    """The map of gradient descent, or of heavy ball on the state (z, previous z)."""

    def phi(s, x, create_graph=True):
        with torch.enable_grad():
            g = grad(loss(s, x), s[:1], create_graph=create_graph)[0]
            if momentum is None:
                return [s[0] - step * g]
            return [s[0] - step * g + momentum * (s[0] - s[1]), s[0]]

    return phi


if hg is not None:
    reverse = lambda h, x, maps, outer: hg.reverse(h, x, maps, outer)
    fixed_point = lambda s, x, k, phi, outer, tol: hg.fixed_point(s, x, k, phi, outer, tol=tol)
    conjugate_gradients = lambda s, x, k, phi, outer, tol: hg.CG(s, x, k, phi, outer, tol=tol)


def measure(name, step):
    step()
    clocks = {"wall": time.perf_counter, "processor": time.process_time}
    times = {c: [] for c in clocks}
    for _ in range(REPETITIONS):
        began = {c: now() for c, now in clocks.items()}
        step()
        for c, now in clocks.items():
            times[c].append(1e3 * (now() - began[c]))
    print(f"{name} " + "; ".join(f"{c} minimum {min(t):.1f}, median {statistics.median(t):.1f} ms" for c, t in times.items()),
          flush=True)


def outer_steps(title, start, x0, phi, cg_phi, outer, T):
    x = [x0.clone().requires_grad_(True)]
    optimizer = torch.optim.SGD(x, lr=1e-3)

    def run(hypergradient):
        def step():
            optimizer.zero_grad()
            history = [start()]
            for _ in range(T):
                history.append(phi(history[-1], x, create_graph=False))
                if len(history) > K + 1:
                    history.pop(0)
            hypergradient(history)
            optimizer.step()

        return step

    measure(title + " reverse", run(lambda h: reverse(h, x, [phi] * K, outer)))
    measure(title + " fixed point", run(lambda h: fixed_point(h[-1], x, K, phi, outer, 1e-12)))
    measure(title + " CG", run(lambda h: conjugate_gradients(h[-1][:1], x, K, cg_phi, outer, 1e-12)))


def dense(threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    n, d = 5000, 100
    truth = torch.randn(d)
    rows, val = torch.randn(n, d), torch.randn(n, d)
    y, y_val = ((a @ truth + torch.randn(n) > 0).float() for a in (rows, val))
    bce = F.binary_cross_entropy_with_logits

    def loss(s, x):
        return bce(rows @ s[0], y) + 0.5 * (x[0] * s[0] * s[0]).sum()

    phi = descent(loss, 0.1)
    outer_steps(f"dense, threads {threads}:", lambda: [torch.zeros(d, requires_grad=True)], torch.ones(d), phi, phi,
                lambda s, x: bce(val @ s[0], y_val), 100)


def text(n, d, nnz, rng):
    idx, ptr = [], [0]
    for _ in range(n):
        row = set()
        while len(row) < nnz:
            row.add(int(d ** rng.random()))
        idx += sorted(row)
        ptr.append(len(idx))
    i = np.stack([np.repeat(np.arange(n), nnz), np.array(idx)])
    values = torch.full((len(idx),), nnz ** -0.5)
    return torch.sparse_coo_tensor(torch.tensor(i), values, (n, d)).coalesce()


def sparse(threads):
    torch.set_num_threads(threads)
    n, d, k, nnz = 5657, 130107, 20, 150
    rng = np.random.default_rng(0)
    rows, val = text(n, d, nnz, rng), text(n, d, nnz, rng)
    y, y_val = (torch.tensor(rng.integers(0, k, n)) for _ in range(2))
    ones = torch.ones(d, k)
    penalties = {
        "e^x once": lambda w, x: 0.5 * ((w ** 2) * torch.exp(x).unsqueeze(1)).mean(),
        "example's penalty": lambda w, x: 0.5 * ((w ** 2) * torch.exp(x.unsqueeze(1) * ones)).mean(),
    }
    for name, penalty in penalties.items():
        def loss(s, x):
            return F.cross_entropy(rows @ s[0], y) + penalty(s[0], x[0])

        def start():
            w = torch.zeros(d, k, requires_grad=True)
            return [w, torch.zeros_like(w)]

        outer_steps(f"sparse, {name}, threads {threads}:", start, torch.zeros(d), descent(loss, 100.0, 0.9),
                    descent(loss, 1.0), lambda s, x: F.cross_entropy(val @ s[0], y_val), 10)


default = torch.get_num_threads()
print(f"torch {torch.__version__}, float32, estimators: {origin}, default threads {default}, {REPETITIONS} repetitions")
for problem in PROBLEMS:
    for threads in [int(t) for t in sys.argv[3:]] or sorted({1, default}):
        {"dense": dense, "sparse": sparse}[problem](threads)
