"""The yardsticks of 20 newsgroups: scikit-learn's logistic regression of the texts, and a gradient of BenchmarkNewsgroups.

    OMP_NUM_THREADS=2 python3 newsgroups.py 20news-bydate.tar.gz [C ...]

is what `bilevel tune --set 20news` is compared with: tf-idf, plain and sublinear, of the 11,314 training texts, fitted with
each C (100 and 1000 if none is given), and judged on the 7,532 test texts. Needs scikit-learn.

    OMP_NUM_THREADS=1 python3 newsgroups.py

is one full gradient of the same model in SciPy and, where installed, PyTorch: 5,657 rows of 150 non-zeros, 130,107 features,
20 classes, one strength e^x per feature. Needs numpy and scipy; prints the best of 20 runs of each.
"""
import sys
import tarfile
import time

import numpy as np
import scipy.sparse as sp



def texts(archive, strengths):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    docs, groups = {"train": [], "test": []}, {"train": [], "test": []}
    with tarfile.open(archive) as t:
        for m in t:
            if m.isfile():
                part, group, _ = m.name.split("/")[-3:]
                docs[part.split("-")[-1]].append(t.extractfile(m).read().decode("latin1"))
                groups[part.split("-")[-1]].append(group)
    for sublinear in (False, True):
        for c in strengths:
            began = time.perf_counter()
            vectorizer = TfidfVectorizer(sublinear_tf=sublinear)
            a = vectorizer.fit_transform(docs["train"])
            model = LogisticRegression(C=c, max_iter=2000).fit(a, groups["train"])
            b = vectorizer.transform(docs["test"])
            print(f"{'sublinear ' if sublinear else ''}tf-idf, C = {c:g}: test accuracy {model.score(b, groups['test']):.4f}, "
                  f"loss {log_loss(groups['test'], model.predict_proba(b)):.4f}, {time.perf_counter() - began:.0f} s", flush=True)


if len(sys.argv) > 1:
    texts(sys.argv[1], [float(c) for c in sys.argv[2:]] or [100, 1000])
    raise SystemExit

n, d, k, nnz = 5657, 130107, 20, 150
rng = np.random.default_rng(0)
idx, ptr = [], [0]
for _ in range(n):
    row = set()
    while len(row) < nnz:
        row.add(int(d ** rng.random()))
    idx += sorted(row)
    ptr.append(len(idx))
y = rng.integers(0, k, n)


def best(f):
    f()
    times = []
    for _ in range(20):
        began = time.perf_counter()
        f()
        times.append(time.perf_counter() - began)
    return min(times) * 1e3


for dtype in (np.float64, np.float32):
    a = sp.csr_matrix((np.full(len(idx), 1 / np.sqrt(nnz), dtype), idx, ptr), shape=(n, d))
    z = rng.standard_normal((d, k)).astype(dtype)
    e = (np.exp(np.zeros((d, 1))) / (d * k)).astype(dtype)

    def gradient(at):
        t = a @ z
        t -= t.max(1, keepdims=True)
        np.exp(t, out=t)
        t /= t.sum(1, keepdims=True)
        t[np.arange(n), y] -= 1
        t /= n
        return at @ t + e * z

    at = a.T.tocsr()
    print(f"scipy {dtype.__name__}: {best(lambda: gradient(a.T)):.1f} ms, "
          f"with the transpose kept as CSR {best(lambda: gradient(at)):.1f} ms")

try:
    import torch
except ImportError:
    raise SystemExit("torch is not installed")

torch.set_num_threads(1)
for dtype in (torch.float64, torch.float32):
    coo = a.tocoo()
    sparse = torch.sparse_coo_tensor(np.array([coo.row, coo.col]), torch.tensor(coo.data, dtype=dtype), (n, d)).coalesce()
    labels = torch.tensor(y)
    e = torch.full((d, 1), 1 / (d * k), dtype=dtype)
    for name, x in (("COO", sparse), ("CSR", sparse.to_sparse_csr())):
        w = torch.randn(d, k, dtype=dtype, requires_grad=True)

        def step():
            loss = torch.nn.functional.cross_entropy(x @ w, labels) + 0.5 * (e * w * w).sum()
            return torch.autograd.grad(loss, w)[0]

        print(f"torch {torch.__version__} {dtype} {name}: {best(step):.1f} ms")
