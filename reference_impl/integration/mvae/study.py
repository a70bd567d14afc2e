"""Two small worlds with one latent story and three layers, and who fills in a layer that was not measured.

In the linear world every feature is a weighted sum of the latent positions, so that ridge regression from the other
layers is hard to beat. In the nonlinear world the hidden layer depends on the position in a curved way: a straight
line sees nothing, though the other layers know the position well.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from reference_impl.integration.mvae.model import IndependentAutoencoders, MultimodalVAE
from reference_impl.validation import as_matrix, require_generator, require_integer

RIDGES = np.logspace(-1, 5, 13)


def linear_layers(n_samples: int, *, rng: np.random.Generator, noise: float = 1.0) -> dict[str, np.ndarray]:
    """Three layers of 40, 30 and 20 features, each a weighted sum of three latent dimensions, plus noise.

    Parameters
    ----------
    n_samples : patients
    noise : standard deviation; that of the signal is √3 on average

    Returns
    -------
    dict with "rna", "protein" and "metabolite", (n_samples, n_features) each

    Examples
    --------
    >>> {name: table.shape for name, table in linear_layers(5, rng=np.random.default_rng(0)).items()}
    {'rna': (5, 40), 'protein': (5, 30), 'metabolite': (5, 20)}
    """
    require_integer(n_samples, "n_samples")
    z = require_generator(rng).normal(size=(n_samples, 3))
    widths = {"rna": 40, "protein": 30, "metabolite": 20}
    signal = {name: z @ rng.normal(size=(3, width)) for name, width in widths.items()}
    return {name: table + noise * rng.normal(size=table.shape) for name, table in signal.items()}


def nonlinear_layers(n_samples: int, *, rng: np.random.Generator, noise: float = 0.5) -> dict[str, np.ndarray]:
    """Three layers of 40, 30 and 20 features; the metabolites are high near a point of the latent plane of their own.

    RNA is a weighted sum of two latent dimensions, protein a saturating one (tanh), and a metabolite falls off like a
    bell around its own optimum, as a product does that is made only where two regulators are in balance.

    Parameters
    ----------
    n_samples : patients
    noise : standard deviation; that of the signal is about 1

    Returns
    -------
    dict with "rna", "protein" and "metabolite", (n_samples, n_features) each

    Examples
    --------
    >>> layers = nonlinear_layers(400, rng=np.random.default_rng(0), noise=0.0)
    >>> bool(layers["metabolite"].std() > 0.5)
    True
    """
    require_integer(n_samples, "n_samples")
    z = require_generator(rng).normal(size=(n_samples, 2))
    optimum = 0.7 * rng.normal(size=(20, 2))
    signal = {
        "rna": z @ rng.normal(size=(2, 40)),
        "protein": np.tanh(z @ rng.normal(size=(2, 30)) * 2),
        "metabolite": 3 * np.exp(-((z[:, None] - optimum) ** 2).sum(axis=2)),
    }
    return {name: table + noise * rng.normal(size=table.shape) for name, table in signal.items()}


def feature_correlations(truth: Any, guess: Any) -> np.ndarray:
    """Correlation of truth and guess, feature by feature; 0 where either never varies.

    Parameters
    ----------
    truth, guess : (n, n_features)

    Returns
    -------
    (n_features,)

    Raises
    ------
    ValueError : shapes that differ

    Examples
    --------
    >>> feature_correlations([[1.0, 1.0], [2.0, 3.0], [3.0, 2.0]], [[2.0, 5.0], [4.0, 5.0], [6.0, 5.0]])
    array([1., 0.])
    """
    truth, guess = as_matrix(truth, "truth"), as_matrix(guess, "guess")
    if truth.shape != guess.shape:
        raise ValueError(f"truth and guess must have one shape; got {truth.shape} and {guess.shape}")
    truth, guess = truth - truth.mean(axis=0), guess - guess.mean(axis=0)
    length = np.linalg.norm(truth, axis=0) * np.linalg.norm(guess, axis=0)
    varies = length > 1e-9 * len(truth)
    return np.divide((truth * guess).sum(axis=0), length, out=np.zeros(len(length)), where=varies)


def compare_imputers(
    layers: dict[str, np.ndarray], target: str, hidden: Any, *, options: dict[str, Any] | None = None
) -> pd.Series:
    """Hide one layer of some samples, fill it in five ways, and say how well: mean correlation per feature.

    Parameters
    ----------
    layers : dict of (n_samples, n_features) arrays without gaps
    target : the layer to hide
    hidden : (n_samples,) bool, who lacks it
    options : of `MultimodalVAE`; the independent autoencoders get the same

    Returns
    -------
    Series with "mean", "ridge" (on the other layers, penalty by cross-validation), "independent" (autoencoders),
    "joint only" (multimodal, without single-layer terms) and "multimodal"

    Raises
    ------
    ValueError : a target that is no layer

    Examples
    --------
    >>> layers = linear_layers(120, rng=np.random.default_rng(0))
    >>> hidden = np.arange(120) < 40
    >>> found = compare_imputers(layers, "protein", hidden, options={"latent": 3, "hidden": 8, "epochs": 30,
    ...                                                              "validation_fraction": 0.0})
    >>> bool(found["multimodal"] > 0.5 > found["independent"])
    True
    """
    if target not in layers:
        raise ValueError(f"target must be one of {', '.join(layers)}; got {target!r}")
    hidden = np.asarray(hidden, dtype=bool)
    others = np.hstack([table for name, table in layers.items() if name != target])
    known = layers | {target: np.where(hidden[:, None], np.nan, layers[target])}
    ridge = make_pipeline(StandardScaler(), RidgeCV(RIDGES)).fit(others[~hidden], layers[target][~hidden])
    options = dict(options or {})
    alone = IndependentAutoencoders(options.pop("latent", 10), options)
    multimodal = MultimodalVAE(alone.latent, **options)
    joint_only = MultimodalVAE(alone.latent, **options | {"single_layer_terms": False})
    guesses = {
        "mean": np.tile(layers[target][~hidden].mean(axis=0), (hidden.sum(), 1)),
        "ridge": ridge.predict(others[hidden]),
        "independent": alone.fit(known).impute(known)[target][hidden],
        "joint only": joint_only.fit(known).impute(known)[target][hidden],
        "multimodal": multimodal.fit(known).impute(known)[target][hidden],
    }
    truth = layers[target][hidden]
    return pd.Series({name: float(feature_correlations(truth, guess).mean()) for name, guess in guesses.items()})
