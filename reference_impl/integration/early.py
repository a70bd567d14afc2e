"""Early integration: put the layers side by side and let one learner see everything.

A layer with ten times the features speaks ten times as loud in any method that adds up squares, so the blocks are
scaled first. Everything that is learned from data, means, standard deviations and the scale of a block, is learned in
`fit` and only applied in `predict`: then a cross-validation around the estimator cannot leak.

The estimators here and in `reference_impl.integration.late` take a dict of layers, or the same as one table with
columns (layer, feature), which scikit-learn can cut into folds: `side_by_side` makes it. A sample that lacks a layer is
a row of NaN there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse.linalg import svds
from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.metaestimators import available_if

from reference_impl.integration.layers import all_samples, named_layers
from reference_impl.validation import as_matrix, labels, same_samples

SCALINGS = ("none", "sqrt_p", "mfa")


def side_by_side(layers: Any) -> pd.DataFrame:
    """One table with columns (layer, feature) for all samples of any layer; NaN where a sample lacks a layer.

    Parameters
    ----------
    layers : dict or list of (n_samples, n_features) DataFrames or arrays, or a table that already is one
        DataFrames are matched by label; arrays have a row for each sample.

    Returns
    -------
    (n_samples, all features) DataFrame with two column levels

    Raises
    ------
    ValueError : no layer, DataFrames mixed with arrays, arrays of different length, a label twice

    Examples
    --------
    >>> rna = pd.DataFrame({"g": [1.0, 2.0]}, index=["P1", "P2"])
    >>> side_by_side({"rna": rna, "protein": pd.DataFrame({"q": [5.0]}, index=["P2"])})
        rna protein
          g       q
    P1  1.0     NaN
    P2  2.0     5.0
    """
    if isinstance(layers, pd.DataFrame):
        if layers.columns.nlevels != 2:
            raise ValueError(
                "a single table must have two column levels, (layer, feature); give a dict of layers instead"
            )
        return layers
    named = named_layers(layers)
    samples = all_samples(named)
    if samples is None:
        return pd.concat({name: pd.DataFrame(np.asarray(table)) for name, table in named.items()}, axis=1)
    return pd.concat({name: table.reindex(samples) for name, table in named.items()}, axis=1)


def concatenate_blocks(layers: Any, *, scaling: str = "sqrt_p") -> Any:
    """Put z-scored layers side by side, each block scaled so that none drowns the others.

    Parameters
    ----------
    layers : dict or list of (n_samples, n_features) DataFrames or arrays of the same samples
    scaling : "none" (z-scores only), "sqrt_p" (divide a block by √p: total variance 1) or "mfa" (divide by the standard
        deviation of its first principal component: largest variance 1, as multiple factor analysis does)

    Returns
    -------
    (n_samples, all features) DataFrame with columns "layer:feature", or array

    Raises
    ------
    ValueError : different samples, missing values, an unknown scaling

    Notes
    -----
    z-scores have ddof 1; a feature that never varies becomes 0. These scales are learned from all samples given: inside
    a cross-validation use `EarlyIntegration`, which learns them from the training samples alone.

    References
    ----------
    Escofier & Pagès 1994, Computational Statistics & Data Analysis 18:121 (multiple factor analysis)

    Examples
    --------
    >>> layers = {"a": np.array([[1.0, 2.0], [3.0, 6.0]]), "b": np.array([[5.0], [1.0]])}
    >>> concatenate_blocks(layers).round(2)
    array([[-0.5 , -0.5 ,  0.71],
           [ 0.5 ,  0.5 , -0.71]])
    """
    named, samples = same_samples(layers, at_least=1)
    blocks = []
    for name, table in named.items():
        matrix = as_matrix(table, str(name))
        centre, scale = block_scale(matrix, scaling)
        blocks.append((matrix - centre) / scale)
    together = np.hstack(blocks)
    if samples is None:
        return together
    columns = [f"{name}:{feature}" for name, table in named.items() for feature in labels(table, 1)]
    return pd.DataFrame(together, index=samples, columns=columns)


def block_scale(matrix: np.ndarray, scaling: str) -> tuple[np.ndarray, np.ndarray]:
    """Centre and divisor of every feature of a block; NaN takes no part.

    Parameters
    ----------
    matrix : (n_samples, n_features)
    scaling : as for `concatenate_blocks`

    Returns
    -------
    centre, divisor : (n_features,); the divisor is the standard deviation (1 where it is 0) times the block's own scale

    Examples
    --------
    >>> centre, divisor = block_scale(np.array([[0.0, 1.0, 0.0, 5.0], [2.0, 3.0, 4.0, 5.0]]), "sqrt_p")
    >>> divisor.round(3)
    array([2.828, 2.828, 5.657, 2.   ])
    """
    if scaling not in SCALINGS:
        raise ValueError(f"scaling must be one of {', '.join(SCALINGS)}; got {scaling!r}")
    if len(matrix) < 2:
        raise ValueError(f"a scale needs at least 2 samples; got {len(matrix)}")
    centre = np.nanmean(matrix, axis=0)
    deviation = np.nanstd(matrix, axis=0, ddof=1)
    deviation = np.where(deviation > 1e-12 * np.maximum(np.abs(centre), 1e-300), deviation, 1.0)
    if scaling == "none":
        return centre, deviation
    if scaling == "sqrt_p":
        return centre, deviation * np.sqrt(matrix.shape[1])
    standard = np.nan_to_num((matrix - centre) / deviation)
    largest = _first_singular_value(standard) / np.sqrt(len(matrix) - 1)
    return centre, deviation * (largest if largest > 0 else 1.0)


def _first_singular_value(matrix: np.ndarray) -> float:
    if min(matrix.shape) < 3:
        return float(np.linalg.norm(matrix, 2))
    return float(svds(matrix, k=1, return_singular_vectors=False, v0=np.ones(min(matrix.shape)))[0])


class BlockScaler(TransformerMixin, BaseEstimator):
    """Learns the scale of every block, puts new samples on it, side by side.

    Parameters
    ----------
    scaling : as for `concatenate_blocks`
    missing : "error", or "mean": what was not measured becomes the training mean (0)

    Examples
    --------
    >>> layers = {"a": np.array([[1.0], [3.0]]), "b": np.array([[5.0], [1.0]])}
    >>> BlockScaler().fit(layers).transform({"a": np.array([[5.0]]), "b": np.array([[3.0]])}).round(2)
    array([[2.12, 0.  ]])
    """

    def __init__(self, scaling: str = "sqrt_p", missing: str = "error") -> None:
        self.scaling = scaling
        self.missing = missing

    def fit(self, layers: Any, y: Any = None) -> BlockScaler:  # noqa: ARG002 (scikit-learn passes y)
        """Learn centres and scales.

        Raises
        ------
        ValueError : a bad parameter, values missing with missing="error", a feature or layer that nobody has
        """
        if self.missing not in ("error", "mean"):
            raise ValueError(f'missing must be "error" or "mean"; got {self.missing!r}')
        table = self._checked(side_by_side(layers))
        empty = table.columns[table.isna().all().to_numpy()]
        if len(empty):
            raise ValueError(f"no training sample has feature {empty[0][1]!r} of {empty[0][0]}")
        self.columns_ = table.columns
        matrix = table.to_numpy(dtype=float)
        self.centre_, self.divisor_ = np.empty((2, matrix.shape[1]))
        block = table.columns.get_level_values(0)
        for name in block.unique():
            mine = block == name
            self.centre_[mine], self.divisor_[mine] = block_scale(matrix[:, mine], self.scaling)
        return self

    def transform(self, layers: Any) -> np.ndarray:
        """(n_samples, all features) array on the learned scale.

        Raises
        ------
        ValueError : other layers or features than in `fit`, values missing with missing="error"
        """
        table = side_by_side(layers)
        unknown = table.columns.difference(self.columns_)
        if len(unknown):
            raise ValueError(f"feature {unknown[0][1]!r} of {unknown[0][0]} was not there when the model was fitted")
        absent = set(self.columns_.get_level_values(0)) - set(table.columns.get_level_values(0))
        lacking = [column for column in self.columns_.difference(table.columns) if column[0] not in absent]
        if lacking:
            raise ValueError(f"feature {lacking[0][1]!r} of {lacking[0][0]} is missing")
        table = self._checked(table.reindex(columns=self.columns_))
        return np.nan_to_num((table.to_numpy(dtype=float) - self.centre_) / self.divisor_)

    def _checked(self, table: pd.DataFrame) -> pd.DataFrame:
        if self.missing == "error" and table.isna().any(axis=None):
            row, column = divmod(int(np.argmax(table.isna().to_numpy())), table.shape[1])
            name, feature = tuple(table.columns[column])
            raise ValueError(
                f"sample {table.index[row]!r} has no value for {feature!r} of {name}; use missing='mean', fill the "
                "gaps inside the training fold, or integrate late"
            )
        return table


def _can(method: str) -> Any:
    return available_if(lambda model: hasattr(model.estimator, method) if model.estimator is not None else True)


class EarlyIntegration(MetaEstimatorMixin, BaseEstimator):
    """One learner on all layers side by side, scaled inside the fold.

    Parameters
    ----------
    estimator : scikit-learn classifier or regressor; None is logistic regression
    scaling : as for `concatenate_blocks`
    missing : as for `BlockScaler`

    Attributes
    ----------
    estimator_ : the fitted learner
    scaler_ : BlockScaler
    classes_ : labels, where the learner is a classifier

    Notes
    -----
    Fits are the learner's; memory: one scaled copy of the layers.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 30)
    >>> layers = {name: rng.normal(size=(60, 20)) + y[:, None] for name in ("rna", "protein")}
    >>> bool(cross_val_score(EarlyIntegration(), side_by_side(layers), y, cv=5).mean() > 0.9)
    True
    """

    def __init__(self, estimator: Any = None, scaling: str = "sqrt_p", missing: str = "error") -> None:
        self.estimator = estimator
        self.scaling = scaling
        self.missing = missing

    def fit(self, layers: Any, y: Any) -> EarlyIntegration:
        """Learn the scales, then the learner.

        Raises
        ------
        ValueError : y of another length, and as for `BlockScaler.fit`
        """
        self.scaler_ = BlockScaler(self.scaling, self.missing).fit(layers)
        scaled = self.scaler_.transform(layers)
        if len(scaled) != len(y):
            raise ValueError(f"the layers have {len(scaled)} samples and y has {len(y)}")
        self.estimator_ = clone(self.estimator if self.estimator is not None else LogisticRegression(max_iter=5000))
        self.estimator_.fit(scaled, y)
        if hasattr(self.estimator_, "classes_"):
            self.classes_ = self.estimator_.classes_
        return self

    def predict(self, layers: Any) -> np.ndarray:
        """The learner's prediction, (n_samples,)."""
        return self.estimator_.predict(self.scaler_.transform(layers))

    @_can("predict_proba")
    def predict_proba(self, layers: Any) -> np.ndarray:
        """The learner's probabilities, (n_samples, n_classes)."""
        return self.estimator_.predict_proba(self.scaler_.transform(layers))

    @_can("decision_function")
    def decision_function(self, layers: Any) -> np.ndarray:
        """The learner's decision function."""
        return self.estimator_.decision_function(self.scaler_.transform(layers))

    def score(self, layers: Any, y: Any) -> float:
        """Accuracy or R², as the learner's own."""
        return self.estimator_.score(self.scaler_.transform(layers), y)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = (self.estimator if self.estimator is not None else LogisticRegression()).__sklearn_tags__()
        tags.estimator_type, tags.classifier_tags, tags.regressor_tags = (
            inner.estimator_type,
            inner.classifier_tags,
            inner.regressor_tags,
        )
        tags.target_tags = inner.target_tags
        return tags
