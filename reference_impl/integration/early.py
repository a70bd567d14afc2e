"""Early integration: put the layers side by side and let one learner see everything.

A layer with ten times the features speaks ten times as loud in any method that adds up squares, so the blocks are
scaled first. Everything that is learned from data, means, standard deviations and the scale of a block, is learned in
`fit` and only applied in `predict`: then a cross-validation around the estimator cannot leak.

The estimators here and in `reference_impl.integration.late` take a dict of layers, or the same as one table with
columns (layer, feature), which scikit-learn can cut into folds: `side_by_side` makes it. A sample that lacks a layer is
a row of NaN there.

The learner is free: an elastic net, a random forest, a support vector machine, anything with scikit-learn's manners.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import eigvalsh
from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

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
    """Find what to subtract from each feature of a layer and what to divide it by, so that no layer drowns another.

    Parameters
    ----------
    matrix : (n_samples, n_features) array of one layer; NaN takes no part
    scaling : "none" (the divisor is the feature's standard deviation), "sqrt_p" (that times √p, for p features) or
        "mfa" (that times the standard deviation of the first principal component of the z-scores)

    Returns
    -------
    centre, divisor : (n_features,) arrays in the units of the features

    Raises
    ------
    ValueError : an unknown scaling, a feature with fewer than 2 values

    Notes
    -----
    Standard deviations have ddof 1. A feature that never varies is divided by 1 in place of its standard deviation. The
    first principal component is that of the z-scores with 0 where a value is missing; its standard deviation is their
    largest singular value / √(n − 1), and 1 is taken where that is 0.

    References
    ----------
    Escofier & Pagès 1994, Computational Statistics & Data Analysis 18:121 (multiple factor analysis)

    Examples
    --------
    >>> centre, divisor = block_scale(np.array([[0.0, 1.0, 0.0, 5.0], [2.0, 3.0, 4.0, 5.0]]), "sqrt_p")
    >>> centre
    array([1., 2., 2., 5.])
    >>> divisor.round(3)
    array([2.828, 2.828, 5.657, 2.   ])
    """
    if scaling not in SCALINGS:
        raise ValueError(f"scaling must be one of {', '.join(SCALINGS)}; got {scaling!r}")
    seen = np.sum(~np.isnan(matrix), axis=0)
    if seen.min() < 2:
        raise ValueError(f"a scale needs at least 2 values; column {int(np.argmin(seen))} has {seen.min()}")
    centre = np.nanmean(matrix, axis=0)
    varies = np.nanmax(matrix, axis=0) > np.nanmin(matrix, axis=0)
    deviation = np.where(varies, np.nanstd(matrix, axis=0, ddof=1), 1.0)
    if scaling == "none":
        return centre, deviation
    if scaling == "sqrt_p":
        return centre, deviation * np.sqrt(matrix.shape[1])
    standard = np.nan_to_num((matrix - centre) / deviation)
    largest = first_singular_value(standard) / np.sqrt(len(matrix) - 1)
    return centre, deviation * (largest if varies.any() else 1.0)


def first_singular_value(matrix: np.ndarray) -> float:
    """Return the largest singular value of a table without computing the others.

    >>> round(first_singular_value(np.array([[3.0, 0.0], [0.0, 4.0]])), 3)
    4.0
    """
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    last = len(gram) - 1
    return float(np.sqrt(max(eigvalsh(gram, subset_by_index=[last, last])[0], 0.0)))


def as_numbers(table: pd.DataFrame) -> np.ndarray:
    """Return a table with columns (layer, feature) as floats; NaN may stand for what was not measured.

    Raises
    ------
    ValueError : text or an infinite value, with its sample, feature and layer; a column twice

    Examples
    --------
    >>> as_numbers(side_by_side({"rna": pd.DataFrame({"TP53": [1.0, np.inf]}, index=["P1", "P2"])}))
    Traceback (most recent call last):
    ValueError: sample 'P2' has an infinite value of 'TP53' in rna; values must be finite, or NaN where not measured
    """
    if not table.columns.is_unique:
        repeated: list[Any] = table.columns[table.columns.duplicated()].tolist()
        name, feature = repeated[0]
        raise ValueError(f"{name} has the column label {feature!r} twice or more; labels must be unique")
    try:
        matrix = table.to_numpy(dtype=float)
    except (TypeError, ValueError):
        text: Any = next(column for column in table if not pd.api.types.is_numeric_dtype(table[column]))
        raise ValueError(f"feature {text[1]!r} of {text[0]} is not numeric; layers are tables of numbers") from None
    if np.isinf(matrix).any():
        row, column = np.argwhere(np.isinf(matrix))[0]
        name, feature = table.columns.tolist()[column]
        raise ValueError(
            f"sample {table.index.tolist()[row]!r} has an infinite value of {feature!r} in {name}; values must be "
            "finite, or NaN where not measured"
        )
    return matrix


def as_outcome(y: Any, samples: pd.Index) -> np.ndarray:
    """Return the outcome as an array, one value per sample in their order.

    Raises
    ------
    ValueError : another number of values, a missing one, labels of other samples or in another order

    Examples
    --------
    >>> as_outcome(pd.Series([0, 1], index=["P2", "P1"]), pd.Index(["P1", "P2"]))
    Traceback (most recent call last):
    ValueError: row 0 is sample 'P1' in the layers and 'P2' in y; order y as side_by_side(layers).index
    """
    values = np.asarray(y)
    if values.shape != (len(samples),):
        raise ValueError(f"the layers have {len(samples)} samples and y has shape {values.shape}")
    if isinstance(y, pd.Series) and not samples.equals(pd.RangeIndex(len(samples))) and not y.index.equals(samples):
        row = int(np.argmax(np.asarray(y.index) != np.asarray(samples)))
        raise ValueError(
            f"row {row} is sample {samples.tolist()[row]!r} in the layers and {y.index.tolist()[row]!r} in y; "
            "order y as side_by_side(layers).index"
        )
    if pd.isna(values).any():
        gap = samples.tolist()[int(np.argmax(pd.isna(values)))]
        raise ValueError(f"y has no value for sample {gap!r}; leave it out")
    return values


class BlockScaler(TransformerMixin, BaseEstimator):
    """Learns the scale of every block, puts new samples on it, side by side.

    Parameters
    ----------
    scaling : as for `concatenate_blocks`
    missing : "error", or "mean": what was not measured becomes the training mean (0)

    Attributes
    ----------
    columns_ : MultiIndex of (layer, feature)
    centre_, divisor_ : (all features,) arrays

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
        ValueError : a bad parameter, values missing with missing="error", a feature with fewer than 2 values
        """
        if self.missing not in ("error", "mean"):
            raise ValueError(f'missing must be "error" or "mean"; got {self.missing!r}')
        table = side_by_side(layers)
        matrix = self._checked(table)
        few = np.sum(~np.isnan(matrix), axis=0) < 2
        if few.any():
            columns: list[Any] = table.columns.tolist()
            name, feature = columns[int(np.argmax(few))]
            raise ValueError(f"fewer than 2 training samples have feature {feature!r} of {name}; drop what is so rare")
        self.columns_: Any = table.columns
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
        check_is_fitted(self, "columns_")
        table = side_by_side(layers)
        if not table.columns.equals(self.columns_):
            self._require_known(table.columns)
            table = table.reindex(columns=self.columns_)
        matrix = self._checked(table) - self.centre_
        matrix /= self.divisor_
        return np.nan_to_num(matrix, copy=False)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:  # noqa: ARG002 (scikit-learn passes it)
        """Names "layer:feature" of the columns that `transform` returns."""
        check_is_fitted(self, "columns_")
        return np.array([f"{name}:{feature}" for name, feature in self.columns_], dtype=object)

    def _require_known(self, columns: Any) -> None:
        unknown = columns.difference(self.columns_).tolist()
        if len(unknown):
            raise ValueError(f"feature {unknown[0][1]!r} of {unknown[0][0]} was not there when the model was fitted")
        there = set(columns.get_level_values(0))  # a layer that is missing as a whole is `missing`'s affair
        lacking = [column for column in self.columns_.difference(columns).tolist() if column[0] in there]
        if lacking:
            raise ValueError(f"feature {lacking[0][1]!r} of {lacking[0][0]} is missing")

    def _checked(self, table: pd.DataFrame) -> np.ndarray:
        matrix = as_numbers(table)
        gaps = np.isnan(matrix)
        if self.missing == "error" and gaps.any():
            row, column = np.argwhere(gaps)[0]
            columns: list[Any] = table.columns.tolist()
            name, feature = columns[column]
            raise ValueError(
                f"sample {table.index.tolist()[row]!r} has no value for {feature!r} of {name}; use missing='mean', "
                "fill the gaps inside the training fold, or integrate late"
            )
        return matrix


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
    Peak memory of `fit` is 4 times the layers, besides what the learner takes. A learner that stops before it has
    converged warns as it does alone (scikit-learn's `ConvergenceWarning` says what to change).

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
        ValueError : y of other samples or with a gap, and as for `BlockScaler.fit`
        """
        table = side_by_side(layers)
        y = as_outcome(y, table.index)
        self.scaler_ = BlockScaler(self.scaling, self.missing).fit(table)
        scaled = self.scaler_.transform(table)
        self.estimator_ = clone(self.estimator if self.estimator is not None else LogisticRegression(max_iter=5000))
        self.estimator_.fit(scaled, y)
        if hasattr(self.estimator_, "classes_"):
            self.classes_ = self.estimator_.classes_
        return self

    def predict(self, layers: Any) -> np.ndarray:
        """The learner's prediction, (n_samples,)."""
        check_is_fitted(self, "estimator_")
        return self.estimator_.predict(self.scaler_.transform(layers))

    @_can("predict_proba")
    def predict_proba(self, layers: Any) -> np.ndarray:
        """The learner's probabilities, (n_samples, n_classes)."""
        check_is_fitted(self, "estimator_")
        return self.estimator_.predict_proba(self.scaler_.transform(layers))

    @_can("decision_function")
    def decision_function(self, layers: Any) -> np.ndarray:
        """The learner's decision function."""
        check_is_fitted(self, "estimator_")
        return self.estimator_.decision_function(self.scaler_.transform(layers))

    def score(self, layers: Any, y: Any) -> float:
        """Accuracy or R², as the learner's own."""
        check_is_fitted(self, "estimator_")
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
