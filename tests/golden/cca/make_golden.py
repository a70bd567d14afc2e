"""Regularised and sparse CCA by packages of PyPI, on seeded data; see README.md. Run: python make_golden.py

`rcca` solves the generalised eigenproblem of the covariances with reg·I added (the p × p way), as R's `CCA::rcc` does;
it does not divide by n − 1, so its reg is (n − 1) λ. `sparsecca` is a port of R's `PMA::CCA`.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import rcca
from sparsecca import cca_pmd

SIZES = {"tall": (30, 6, 5), "wide": (15, 24, 20)}
RIDGE = 0.7  # λ
BOUNDS = (0.6, 0.7)  # c_x, c_y


def related(seed: int, n: int, p: int, q: int) -> tuple[np.ndarray, np.ndarray]:
    """Two centred layers that share two directions."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 2))
    x = shared @ rng.normal(size=(2, p)) + rng.normal(size=(n, p))
    y = shared @ rng.normal(size=(2, q)) + rng.normal(size=(n, q))
    return x - x.mean(axis=0), y - y.mean(axis=0)


golden = {"versions": {name: version(name) for name in ("pyrcca", "sparsecca", "numpy", "scipy")}}
for seed, (name, (n, p, q)) in enumerate(SIZES.items()):
    x, y = related(seed, n, p, q)
    ridge = rcca.CCA(reg=(n - 1) * RIDGE, numCC=3, kernelcca=False, verbose=False).train([x, y])
    u, v, d = cca_pmd(x.copy(), y.copy(), penaltyx=BOUNDS[0], penaltyz=BOUNDS[1], K=3, niter=1000)
    golden[name] = {
        "x": x.tolist(),
        "y": y.tolist(),
        "ridge": RIDGE,
        "ridge_correlations": ridge.cancorrs.tolist(),
        "ridge_x_weights": ridge.ws[0].tolist(),
        "ridge_y_weights": ridge.ws[1].tolist(),
        "c_x": BOUNDS[0],
        "c_y": BOUNDS[1],
        "sparse_x_weights": np.asarray(u).tolist(),
        "sparse_y_weights": np.asarray(v).tolist(),
        "sparse_objective": np.diag(d).tolist(),
    }
Path("golden_python.json").write_text(json.dumps(golden), encoding="utf-8")
