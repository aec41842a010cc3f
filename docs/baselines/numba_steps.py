"""The yardstick of the stochastic methods' steps: the published algorithms in Numba, float64, one thread.

    python3 numba_steps.py [repeats [seconds [problem [method...]]]]

Prints the cost of one step in microseconds, minimum and median of the repeats (default 7, at least 0.2 seconds each).
Methods and oracles are compiled loops, as in the public benchmark of bilevel methods (benchopt, benchmark_bilevel), and
written from the papers. Batches are contiguous rows, drawn in shuffled passes. Every oracle exists in two forms, of
which a user would take the faster:

  products  matrix products with NumPy inside compiled functions, which are calls of BLAS
  loops     a loop over the rows, sums and all, with fastmath

Problems, with random rows:

  ijcnn1    49,990 and 91,701 rows × 22, logistic loss, ½ Σ e^{x_j} z_j², one x_j per feature
  cleaning  20,000 and 5,000 rows × 784, 10 classes, softmax, mean of σ(x_i) ℓ_i plus 0.2 ‖z‖², one x_i per row

Of cleaning's x only the rows of a batch have derivatives, and none of f. SOBA is measured twice: with C v and ∇x f as
vectors as long as x, zeros and all, as the oracles of a method for any problem have them, and moving x of the batch
alone ("own x").
SABA remembers one row of derivatives per batch, for x one number per row, and moves all of x along its average.
SABA at batch 1 of cleaning needs 3 GB.

N = 10 inner steps (StocBiO, AmIGO), P = 10 Neumann steps (StocBiO, MRBO), step sizes constant, momentum as published.
SRBA's full pass every ½(n+m)/batch steps is included. References: Dagréou et al. 2022 (SOBA, SABA), 2023 (SRBA);
Ji et al. 2021 (StocBiO); Yang et al. 2021 (MRBO); Arbel, Mairal 2022 (AmIGO); Li et al. 2022 (FSLA).
Needs numba, numpy and scipy.
"""
import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import statistics
import sys
import time

import numba
import numpy as np
from numba import njit

REPEATS = int(sys.argv[1]) if len(sys.argv) > 1 else 7
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 0.2
PROBLEMS = sys.argv[3:4] or ["ijcnn1", "cleaning"]
METHODS = sys.argv[4:]
N = P = 10
RHO, GAMMA, ETA, NEUMANN = 1e-3, 1e-3, 0.5, 0.1
REG = 0.4  # of cleaning, times z

fast = njit(fastmath=True)


# Oracles. Data is (rows, labels); g has grad = ∇z g, hess = H v, cross = C v on x[first:first+len], and all three at once.


def logistic_products():
    @njit
    def scores(a, y, z):
        return 1 / (1 + np.exp(y * (a @ z)))

    @njit
    def grad(data, z, x, lo, hi):
        a, y = data[0][lo:hi], data[1][lo:hi]
        return -((y * scores(a, y, z)) @ a) / (hi - lo) + np.exp(x) * z

    @njit
    def hess(data, z, x, v, lo, hi):
        a, y = data[0][lo:hi], data[1][lo:hi]
        q = scores(a, y, z)
        return (q * (1 - q) * (a @ v)) @ a / (hi - lo) + np.exp(x) * v

    @njit
    def cross(data, z, x, v, lo, hi):
        return 0, np.exp(x) * z * v

    @njit
    def all_of_g(data, z, x, v, lo, hi):
        a, y = data[0][lo:hi], data[1][lo:hi]
        q, e = scores(a, y, z), np.exp(x)
        gz = -((y * q) @ a) / (hi - lo) + e * z
        return gz, (q * (1 - q) * (a @ v)) @ a / (hi - lo) + e * v, 0, e * z * v

    @njit
    def outer(data, z, lo, hi):
        a, y = data[0][lo:hi], data[1][lo:hi]
        return -((y * scores(a, y, z)) @ a) / (hi - lo)

    return grad, hess, cross, all_of_g, outer


def logistic_loops():
    @fast
    def rows(data, z, lo, hi):
        a, y = data
        d = len(z)
        gz = np.zeros(d)
        for i in range(lo, hi):
            t = 0.0
            for j in range(d):
                t += a[i, j] * z[j]
            c = -y[i] / (1 + np.exp(y[i] * t)) / (hi - lo)
            for j in range(d):
                gz[j] += c * a[i, j]
        return gz

    @fast
    def grad(data, z, x, lo, hi):
        gz = rows(data, z, lo, hi)
        for j in range(len(z)):
            gz[j] += np.exp(x[j]) * z[j]
        return gz

    @fast
    def hess(data, z, x, v, lo, hi):
        a, y = data
        d = len(z)
        hv = np.zeros(d)
        for i in range(lo, hi):
            t = s = 0.0
            for j in range(d):
                t += a[i, j] * z[j]
                s += a[i, j] * v[j]
            q = 1 / (1 + np.exp(y[i] * t))
            c = q * (1 - q) * s / (hi - lo)
            for j in range(d):
                hv[j] += c * a[i, j]
        for j in range(d):
            hv[j] += np.exp(x[j]) * v[j]
        return hv

    @fast
    def cross(data, z, x, v, lo, hi):
        return 0, np.exp(x) * z * v

    @fast
    def all_of_g(data, z, x, v, lo, hi):
        a, y = data
        d = len(z)
        gz, hv, cv = np.zeros(d), np.zeros(d), np.empty(d)
        for i in range(lo, hi):
            t = s = 0.0
            for j in range(d):
                t += a[i, j] * z[j]
                s += a[i, j] * v[j]
            q = 1 / (1 + np.exp(y[i] * t))
            c, h = -y[i] * q / (hi - lo), q * (1 - q) * s / (hi - lo)
            for j in range(d):
                gz[j] += c * a[i, j]
                hv[j] += h * a[i, j]
        for j in range(d):
            e = np.exp(x[j])
            gz[j] += e * z[j]
            hv[j] += e * v[j]
            cv[j] = e * z[j] * v[j]
        return gz, hv, 0, cv

    return grad, hess, cross, all_of_g, rows


@fast
def softmax(t):
    """Replaces every row of scores by probabilities."""
    for i in range(len(t)):
        top = t[i].max()
        total = 0.0
        for c in range(t.shape[1]):
            t[i, c] = np.exp(t[i, c] - top)
            total += t[i, c]
        for c in range(t.shape[1]):
            t[i, c] /= total


def softmax_oracles(scores, combine):
    """z is one row of features per class; scores = a zᵀ and combine = cᵀ a, flattened."""

    @fast
    def all_of_g(data, z, x, v, lo, hi):
        a, y = data[0][lo:hi], data[1]
        t, s = scores(a, z), scores(a, v)
        softmax(t)
        cv = np.empty(hi - lo)
        for i in range(hi - lo):
            w = 1 / (1 + np.exp(-x[lo + i]))
            mean = 0.0
            for c in range(t.shape[1]):
                mean += t[i, c] * s[i, c]
            cv[i] = w * (1 - w) * (mean - s[i, y[lo + i]]) / (hi - lo)
            w /= hi - lo
            for c in range(t.shape[1]):
                s[i, c] = w * t[i, c] * (s[i, c] - mean)
                t[i, c] *= w
            t[i, y[lo + i]] -= w
        gz, hv = combine(t, a), combine(s, a)
        for j in range(len(z)):
            gz[j] += REG * z[j]
            hv[j] += REG * v[j]
        return gz, hv, lo, cv

    @fast
    def outer(data, z, lo, hi):
        a, y = data[0][lo:hi], data[1]
        t = scores(a, z)
        softmax(t)
        for i in range(hi - lo):
            t[i, y[lo + i]] -= 1
            for c in range(t.shape[1]):
                t[i, c] /= hi - lo
        return combine(t, a)

    return None, None, None, all_of_g, outer


def cleaning_products():
    @njit
    def scores(a, z):
        return a @ z.reshape(-1, a.shape[1]).T

    @njit
    def combine(c, a):
        return (c.T @ a).ravel()

    return softmax_oracles(scores, combine)


def cleaning_loops():
    @fast
    def scores(a, z):
        n, d = a.shape
        k = len(z) // d
        t = np.empty((n, k))
        for i in range(n):
            for c in range(k):
                s = 0.0
                for j in range(d):
                    s += a[i, j] * z[c * d + j]
                t[i, c] = s
        return t

    @fast
    def combine(f, a):
        n, d = a.shape
        out = np.zeros(f.shape[1] * d)
        for i in range(n):
            for c in range(f.shape[1]):
                for j in range(d):
                    out[c * d + j] += f[i, c] * a[i, j]
        return out

    return softmax_oracles(scores, combine)


# Methods. run makes steps from the point (z, x, v) in place. og, of are the orders of the batches of g and f, ag, af
# where the passes over them have got to; memory is what a method keeps.


@njit
def draw(order, at, b, n):
    """The next batch of a shuffled pass: block, rows lo to hi."""
    if at[0] == len(order):
        np.random.shuffle(order)
        at[0] = 0
    i = order[at[0]]
    at[0] += 1
    return i, i * b, min(i * b + b, n)


@fast
def move(y, a, x):
    for j in range(len(y)):
        y[j] += a * x[j]


@fast
def scatter(y, a, first, x):
    for j in range(len(x)):
        y[first + j] += a * x[j]


def soba(oracles, own_x=False):
    _, _, _, all_of_g, outer = oracles

    @fast
    def run(g, f, b, steps, z, x, v, og, of, ag, af, memory):
        for _ in range(steps):
            _, lo, hi = draw(og, ag, b, len(g[0]))
            _, lo2, hi2 = draw(of, af, b, len(f[0]))
            gz, hv, first, cv = all_of_g(g, z, x, v, lo, hi)
            fz = outer(f, z, lo2, hi2)
            for j in range(len(z)):
                z[j] -= RHO * gz[j]
                v[j] -= RHO * (hv[j] + fz[j])
            if own_x or len(cv) == len(x):
                scatter(x, -GAMMA, first, cv)
            else:
                dx, fx = np.zeros(len(x)), np.zeros(len(x))
                dx[first : first + len(cv)] = cv
                for j in range(len(x)):
                    x[j] -= GAMMA * (dx[j] + fx[j])

    return run


def saba_memory(n, m, d, p, own, b):
    blocks, outer = -(-n // b), -(-m // b)
    # Written once, so that no step waits for the operating system to find memory.
    return tuple(np.full(s, 0.0) for s in ((blocks, d), (blocks, d), (outer, d), (blocks, b if own else p), d, d, d, p))


def saba(oracles):
    _, _, _, all_of_g, outer = oracles

    @fast
    def run(g, f, b, steps, z, x, v, og, of, ag, af, memory):
        mg, mh, mf, mx, avg_g, avg_h, avg_f, avg_x = memory
        n, m = len(g[0]), len(f[0])
        for _ in range(steps):
            i, lo, hi = draw(og, ag, b, n)
            k, lo2, hi2 = draw(of, af, b, m)
            gz, hv, first, cv = all_of_g(g, z, x, v, lo, hi)
            fz = outer(f, z, lo2, hi2)
            sg, sf = (hi - lo) / n, (hi2 - lo2) / m
            wg, wf = sg * len(og), sf * len(of)
            rg, rh, rf, rx = mg[i], mh[i], mf[k], mx[i]
            for j in range(len(z)):
                dg, dh, df = gz[j] - rg[j], hv[j] - rh[j], fz[j] - rf[j]
                rg[j], rh[j], rf[j] = gz[j], hv[j], fz[j]
                z[j] -= RHO * (wg * dg + avg_g[j])
                v[j] -= RHO * (wg * dh + avg_h[j] + wf * df + avg_f[j])
                avg_g[j] += sg * dg
                avg_h[j] += sg * dh
                avg_f[j] += sf * df
            move(x, -GAMMA, avg_x)
            for j in range(len(cv)):
                dx = cv[j] - rx[j]
                rx[j] = cv[j]
                x[first + j] -= GAMMA * wg * dx
                avg_x[first + j] += sg * dx

    return run


def stocbio(oracles):
    grad, hess, cross, _, outer = oracles

    @fast
    def run(g, f, b, steps, z, x, v, og, of, ag, af, memory):
        n, m = len(g[0]), len(f[0])
        for _ in range(steps):
            for _ in range(N):
                _, lo, hi = draw(og, ag, b, n)
                move(z, -RHO, grad(g, z, x, lo, hi))
            _, lo, hi = draw(of, af, b, m)
            r = outer(f, z, lo, hi)
            s = r.copy()
            for _ in range(P):
                _, lo, hi = draw(og, ag, b, n)
                move(r, -NEUMANN, hess(g, z, x, r, lo, hi))
                move(s, 1.0, r)
            _, lo, hi = draw(og, ag, b, n)
            first, cv = cross(g, z, x, s, lo, hi)
            scatter(x, GAMMA * NEUMANN, first, cv)

    return run


def mrbo(oracles):
    grad, hess, cross, _, outer = oracles

    @fast
    def run(g, f, b, steps, z, x, v, og, of, ag, af, memory):
        z0, x0, dz, dx, t = memory
        n, m = len(g[0]), len(f[0])
        for _ in range(steps):
            t[0] += 1
            keep = 0.0 if t[0] == 1 else 1 - ETA * t[0] ** (-2 / 3)
            _, lo, hi = draw(og, ag, b, n)
            new, old = grad(g, z, x, lo, hi), grad(g, z0, x0, lo, hi)
            for j in range(len(z)):
                dz[j] = new[j] + keep * (dz[j] - old[j])
            _, lo, hi = draw(of, af, b, m)
            r, r0 = outer(f, z, lo, hi), outer(f, z0, lo, hi)
            s, s0 = r.copy(), r0.copy()
            for _ in range(P):
                _, lo, hi = draw(og, ag, b, n)
                move(r, -NEUMANN, hess(g, z, x, r, lo, hi))
                move(r0, -NEUMANN, hess(g, z0, x0, r0, lo, hi))
                move(s, 1.0, r)
                move(s0, 1.0, r0)
            _, lo, hi = draw(og, ag, b, n)
            first, new = cross(g, z, x, s, lo, hi)
            _, old = cross(g, z0, x0, s0, lo, hi)
            for j in range(len(x)):
                dx[j] *= keep
            for j in range(len(new)):
                dx[first + j] -= NEUMANN * (new[j] - keep * old[j])
            z0[:] = z
            x0[:] = x
            move(z, -RHO, dz)
            move(x, -GAMMA, dx)

    return run


def amigo(oracles):
    grad, hess, cross, _, outer = oracles

    @fast
    def run(g, f, b, steps, z, x, v, og, of, ag, af, memory):
        n, m = len(g[0]), len(f[0])
        for _ in range(steps):
            for _ in range(N):
                _, lo, hi = draw(og, ag, b, n)
                move(z, -RHO, grad(g, z, x, lo, hi))
            _, lo, hi = draw(of, af, b, m)
            fz = outer(f, z, lo, hi)
            for _ in range(N):
                _, lo, hi = draw(og, ag, b, n)
                hv = hess(g, z, x, v, lo, hi)
                for j in range(len(v)):
                    v[j] -= RHO * (hv[j] + fz[j])
            _, lo, hi = draw(og, ag, b, n)
            first, cv = cross(g, z, x, v, lo, hi)
            scatter(x, -GAMMA, first, cv)

    return run


def srba(oracles):
    _, _, _, all_of_g, outer = oracles

    @fast
    def run(g, f, b, steps, z, x, v, og, of, ag, af, memory):
        z0, x0, v0, dz, dx, dv, t = memory
        n, m = len(g[0]), len(f[0])
        period = max(1, (n + m) // (2 * b))
        for _ in range(steps):
            if t[0] % period == 0:
                gz, hv, first, cv = all_of_g(g, z, x, v, 0, n)
                dz[:] = gz
                dv[:] = hv + outer(f, z, 0, m)
                dx[:] = 0
                scatter(dx, 1.0, first, cv)
            else:
                _, lo, hi = draw(og, ag, b, n)
                _, lo2, hi2 = draw(of, af, b, m)
                gz, hv, first, cv = all_of_g(g, z, x, v, lo, hi)
                gz0, hv0, _, cv0 = all_of_g(g, z0, x0, v0, lo, hi)
                fz, fz0 = outer(f, z, lo2, hi2), outer(f, z0, lo2, hi2)
                for j in range(len(z)):
                    dz[j] += gz[j] - gz0[j]
                    dv[j] += hv[j] - hv0[j] + fz[j] - fz0[j]
                for j in range(len(cv)):
                    dx[first + j] += cv[j] - cv0[j]
            t[0] += 1
            for j in range(len(z)):
                z0[j], v0[j] = z[j], v[j]
                z[j] -= RHO * dz[j]
                v[j] -= RHO * dv[j]
            for j in range(len(x)):
                x0[j] = x[j]
                x[j] -= GAMMA * dx[j]

    return run


def fsla(oracles):
    grad, hess, cross, _, outer = oracles

    @fast
    def run(g, f, b, steps, z, x, v, og, of, ag, af, memory):
        z0, v0, x0, dx, t = memory
        n, m = len(g[0]), len(f[0])
        for _ in range(steps):
            t[0] += 1
            keep = 0.0 if t[0] == 1 else 1 - ETA / t[0] ** 0.5
            z0[:] = z
            v0[:] = v
            _, lo, hi = draw(og, ag, b, n)
            move(z, -RHO, grad(g, z, x, lo, hi))
            _, lo2, hi2 = draw(of, af, b, m)
            hv, fz = hess(g, z, x, v, lo, hi), outer(f, z, lo2, hi2)
            for j in range(len(v)):
                v[j] -= RHO * (hv[j] + fz[j])
            _, lo, hi = draw(og, ag, b, n)
            first, new = cross(g, z, x, v, lo, hi)
            _, old = cross(g, z0, x0, v0, lo, hi)
            for j in range(len(x)):
                dx[j] *= keep
            for j in range(len(new)):
                dx[first + j] += new[j] - keep * old[j]
            x0[:] = x
            move(x, -GAMMA, dx)

    return run


def vectors(kinds):
    """Memory of vectors like z ("d") and x ("p") and a step counter."""
    return lambda n, m, d, p, own, b: tuple(np.zeros(d if c == "d" else p) for c in kinds) + (np.zeros(1),)


METHOD = {
    "SOBA": (soba, vectors("")),
    "SOBA, own x": (lambda o: soba(o, True), vectors("")),
    "SABA": (saba, saba_memory),
    "StocBiO": (stocbio, vectors("")),
    "MRBO": (mrbo, vectors("dpdp")),
    "AmIGO": (amigo, vectors("")),
    "SRBA": (srba, vectors("dpddpd")),
    "FSLA": (fsla, vectors("ddpp")),
}


def measure(title, run, args, steps):
    """Times whole multiples of steps, and prints minimum and median per step."""
    run(*args(1))
    while True:
        began = time.perf_counter()
        run(*args(steps))
        took = time.perf_counter() - began
        if took > SECONDS / 2:
            break
        steps *= max(2, int(SECONDS / 2 / max(took, 1e-6)))
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        run(*args(steps))
        times.append(1e6 * (time.perf_counter() - began) / steps)
    print(f"{title:44s} {min(times):9.2f} {statistics.median(times):9.2f}", flush=True)


def problem(name, rng):
    if name == "ijcnn1":
        n, m, d = 49990, 91701, 22
        label = lambda n: np.sign(rng.standard_normal(n))
        k, p = 1, d
    else:
        n, m, d, k = 20000, 5000, 784, 10
        label = lambda n: rng.integers(0, k, n)
        p = n
    g, f = ((rng.standard_normal((r, d)), label(r)) for r in (n, m))
    return g, f, d * k, p


def main():
    rng = np.random.default_rng(1)
    print(f"numba {numba.__version__}, numpy {np.__version__}, {REPEATS} repeats; microseconds a step: minimum, median")
    plan = {
        "ijcnn1": [(m, b) for m in METHOD for b in (64, 1) if m != "SOBA, own x" and (b == 64 or m in ("SOBA", "SABA"))],
        "cleaning": [(m, b) for m in ("SOBA", "SOBA, own x", "SABA") for b in (64, 1)],
    }
    forms = {
        "ijcnn1": {"products": logistic_products, "loops": logistic_loops},
        "cleaning": {"products": cleaning_products, "loops": cleaning_loops},
    }
    for name in PROBLEMS:
        g, f, d, p = problem(name, rng)
        oracles = {form: make() for form, make in forms[name].items()}
        for method, b in plan[name]:
            if METHODS and method not in METHODS:
                continue
            make, memory = METHOD[method]
            for form, o in oracles.items():
                n, m = len(g[0]), len(f[0])
                orders = [rng.permutation(-(-r // b)) for r in (n, m)]
                at = [np.zeros(1, np.int64) for _ in orders]
                z, x, v = 0.01 * rng.standard_normal(d), np.zeros(p), np.zeros(d)
                kept = memory(n, m, d, p, name == "cleaning", b)
                args = lambda steps: (g, f, b, steps, z, x, v, *orders, *at, kept)
                period = (n + m) // (2 * b) if method == "SRBA" else 1
                measure(f"{name} {method} batch {b} {form}", make(o), args, period)
                if not all(np.isfinite(u).all() for u in (z, x, v)):
                    sys.exit(f"{method} diverged")


main()
