"""Two small worlds in which we know which way of integrating must win.

In the first, the outcome depends on two layers together and on neither alone: only a learner that sees both at once can
find it. In the second, each layer tells something of its own, in a form of its own: each needs another learner.
"""

from __future__ import annotations

import numpy as np

from reference_impl.validation import require_generator, require_integer


def simulate_interaction(
    n_samples: int = 200, n_features: int = 5, *, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Patients who are ill if a gene and a protein deviate in the same direction: neither layer alone says anything.

    Parameters
    ----------
    n_samples : number of patients
    n_features : features of each layer; only the first of each plays a part
    rng : generator

    Returns
    -------
    layers : dict "rna", "protein" → (n_samples, n_features) standard normal values
    y : (n_samples,) 0 or 1

    Raises
    ------
    ValueError : a number below 1, something that is no generator

    Notes
    -----
    y is 1 if the product of the first gene and the first protein plus noise of standard deviation 0.3 is positive.
    Given one of the two, the other is as likely to be positive as negative: a layer alone is independent of y.

    Examples
    --------
    >>> layers, y = simulate_interaction(4, 2, rng=np.random.default_rng(0))
    >>> layers["rna"].shape, y.tolist()
    ((4, 2), [0, 0, 1, 0])
    """
    require_integer(n_samples, "n_samples")
    require_integer(n_features, "n_features")
    require_generator(rng)
    rna, protein = rng.normal(size=(2, n_samples, n_features))
    y = rna[:, 0] * protein[:, 0] + 0.3 * rng.normal(size=n_samples) > 0
    return {"rna": rna, "protein": protein}, y.astype(int)


def simulate_complementary(
    n_samples: int = 200, *, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Patients whose risk has two independent sources, one in each layer, each of a form of its own.

    Parameters
    ----------
    n_samples : number of patients
    rng : generator

    Returns
    -------
    layers : dict "rna" → (n_samples, 200), "metabolite" → (n_samples, 30), values of mean 0 and variance 1
    y : (n_samples,) 0 or 1

    Raises
    ------
    ValueError : a number below 1, something that is no generator

    Notes
    -----
    All genes follow one hidden factor a little (correlation 0.25 with it), and the risk rises with the factor: a linear
    learner that shrinks adds the genes up. The risk is also high where the first metabolite is far from its mean, on
    either side (more than 0.7 standard deviations): no linear learner sees that, a forest does.

    Examples
    --------
    >>> layers, y = simulate_complementary(5, rng=np.random.default_rng(0))
    >>> layers["rna"].shape, layers["metabolite"].shape, y.shape
    ((5, 200), (5, 30), (5,))
    """
    require_integer(n_samples, "n_samples")
    require_generator(rng)
    factor = rng.normal(size=n_samples)
    rna = 0.25 * factor[:, None] + np.sqrt(1 - 0.25**2) * rng.normal(size=(n_samples, 200))
    metabolite = rng.normal(size=(n_samples, 30))
    risk = 2.5 * factor + 5 * ((np.abs(metabolite[:, 0]) > 0.7) - 0.48)
    y = rng.random(n_samples) < 1 / (1 + np.exp(-risk))
    return {"rna": rna, "metabolite": metabolite}, y.astype(int)
