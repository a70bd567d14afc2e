"""Late integration: one learner per layer, then combine what they say.

Each layer may have its own kind of learner, a layer that a sample lacks is left out of its vote, and no layer drowns
another. What is lost: an effect that only shows when two layers are seen together.

Whoever combines must not learn from predictions that the learners made on their own training samples: those look better
than they are. `out_of_fold` gives every sample a prediction from learners that have not seen it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student_t
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, get_scorer, r2_score
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold, check_cv
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from reference_impl.integration.early import as_numbers, as_outcome, side_by_side
from reference_impl.validation import like, require_between, require_integer

COMBINATIONS = ("average", "weighted", "stacking")


def average_predictions(predictions: Any, weights: Any = None) -> Any:
    """Average what the layers predict, over the layers that each sample has.

    Parameters
    ----------
    predictions : dict or list of (n_samples,) or (n_samples, n_classes) tables of one shape; a row of NaN where the
        sample lacks the layer
    weights : dict or list like `predictions` of numbers of at least 0; equal if not given

    Returns
    -------
    like one of `predictions`; NaN where a sample has no layer, or none with a weight

    Raises
    ------
    ValueError : nothing to average, different shapes or labels, a negative weight, weights of other layers or all zero

    Examples
    --------
    >>> average_predictions({"rna": np.array([0.2, 0.6]), "protein": np.array([0.4, np.nan])}, {"rna": 1, "protein": 3})
    array([0.35, 0.6 ])
    """
    tables = same_predictions(predictions)
    weight_of = checked_weights(weights, list(tables))
    first = next(iter(tables.values()))
    total, sum_of_weights = np.zeros(np.shape(first)), np.zeros(np.shape(first))
    for name, table in tables.items():
        told = np.asarray(table, float)
        total += weight_of[name] * np.nan_to_num(told)
        sum_of_weights += weight_of[name] * ~np.isnan(told)
    mean = total / np.where(sum_of_weights > 0, sum_of_weights, np.nan)
    if isinstance(first, pd.Series):
        return pd.Series(mean, index=first.index)
    return like(first, mean)


def same_predictions(predictions: Any) -> dict[Any, Any]:
    """Predictions by layer, all of one shape and of the same samples.

    Raises
    ------
    ValueError : no layer, different shapes, other labels than the first layer's

    Examples
    --------
    >>> same_predictions({"rna": np.zeros(3), "protein": np.zeros(2)})
    Traceback (most recent call last):
    ValueError: predictions must have one shape; rna has (3,), protein has (2,)
    """
    named = dict(predictions) if isinstance(predictions, Mapping) else dict(enumerate(predictions))
    if not named:
        raise ValueError("predictions is empty; give at least one layer's")
    first_name, first = next(iter(named.items()))
    if any(np.shape(table) != np.shape(first) for table in named.values()):
        found = ", ".join(f"{name} has {np.shape(table)}" for name, table in named.items())
        raise ValueError(f"predictions must have one shape; {found}")
    for name, table in named.items():
        labelled = isinstance(table, (pd.Series, pd.DataFrame))
        if labelled != isinstance(first, (pd.Series, pd.DataFrame)) or (
            labelled and not table.index.equals(first.index)
        ):
            raise ValueError(f"the predictions of {name} are of other samples than those of {first_name}")
    return named


def checked_weights(weights: Any, names: list[Any]) -> dict[Any, float]:
    """A weight of at least 0 for each layer; 1 if none are given.

    >>> checked_weights({"rna": 1, "protein": -2}, ["rna", "protein"])
    Traceback (most recent call last):
    ValueError: the weight of protein must be a number of at least 0; got -2
    """
    if weights is None:
        return dict.fromkeys(names, 1.0)
    if not isinstance(weights, (Mapping, pd.Series)):
        if np.shape(weights) != (len(names),):
            raise ValueError(f"{len(names)} weights are needed, one per layer; got shape {np.shape(weights)}")
        weights = dict(zip(names, weights, strict=True))
    if set(weights.keys()) != set(names):
        raise ValueError(
            f"weights are of {', '.join(map(str, weights.keys()))} and predictions of {', '.join(map(str, names))}"
        )
    for name in names:
        if not np.isfinite(weights[name]) or weights[name] < 0:
            raise ValueError(f"the weight of {name} must be a number of at least 0; got {weights[name]}")
    if not any(weights[name] for name in names):
        raise ValueError("all weights are 0; at least one layer must count")
    return {name: float(weights[name]) for name in names}


def out_of_fold(estimator: Any, x: Any, y: Any, *, cv: Any) -> np.ndarray:
    """A prediction for every sample, from a learner that was fitted without it.

    Parameters
    ----------
    estimator : scikit-learn classifier or regressor; it is cloned, not changed
    x : (n_samples, n_features) DataFrame or array, or whatever the estimator takes and can be cut by rows
    y : (n_samples,)
    cv : list of (train, test) positions, a scikit-learn splitter, or a number of folds

    Returns
    -------
    (n_samples, n_classes) probabilities in the order of the sorted classes, or (n_samples,) predictions of a regressor

    Raises
    ------
    ValueError : a sample in no test fold or in two, a fold whose training samples lack a class

    Examples
    --------
    >>> x, y = np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([0.0, 1.0, 10.0, 11.0])
    >>> from sklearn.neighbors import KNeighborsRegressor
    >>> out_of_fold(KNeighborsRegressor(1), x, y, cv=[([0, 2], [1, 3]), ([1, 3], [0, 2])])
    array([ 1.,  0., 11., 10.])
    """
    y = np.asarray(y)
    classifies = is_classifier(estimator)
    found = np.full((len(y), len(np.unique(y))) if classifies else len(y), np.nan)
    for train, test in checked_folds(cv, y, classifies):
        learner = clone(estimator).fit(rows_of(x, train), y[train])
        found[test] = learner.predict_proba(rows_of(x, test)) if classifies else learner.predict(rows_of(x, test))
    return found


def checked_folds(cv: Any, y: np.ndarray, classifies: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds as (training positions, test positions): every sample in one test fold, every class in every training part.

    Raises
    ------
    ValueError : a sample in no test fold or in two, or on both sides; a fold whose training samples lack a class

    Examples
    --------
    >>> checked_folds([([0, 1], [2]), ([1, 2], [0])], np.array([0, 1, 0]), False)
    Traceback (most recent call last):
    ValueError: every sample must be in one test fold; the sample in row 1 is in 0
    """
    if isinstance(cv, (list, tuple)):
        folds = [(np.asarray(train), np.asarray(test)) for train, test in cv]
    else:
        folds = list(check_cv(cv, y, classifier=classifies).split(np.zeros((len(y), 1)), y))
    times = np.bincount(np.concatenate([test for _, test in folds]), minlength=len(y))
    if (times != 1).any():
        bad = int(np.argmax(times != 1))
        raise ValueError(f"every sample must be in one test fold; the sample in row {bad} is in {times[bad]}")
    for train, test in folds:
        both = np.intersect1d(train, test)
        if len(both):
            raise ValueError(f"the sample in row {both[0]} is in the training and the test part of one fold")
        lacking = np.setdiff1d(y, y[train]).tolist() if classifies else []
        if lacking:
            raise ValueError(f"a training fold has no sample of class {lacking[0]!r}; use fewer or stratified folds")
    return folds


def rows_of(x: Any, rows: np.ndarray) -> Any:
    """Samples of a table by position, whether it has labels or not.

    >>> rows_of(pd.DataFrame({"a": [1, 2, 3]}), np.array([2, 0]))["a"].tolist()
    [3, 1]
    """
    return x.iloc[rows] if hasattr(x, "iloc") else np.asarray(x)[rows]


def samples_told(told: np.ndarray, y: np.ndarray, name: Any) -> np.ndarray:
    """Mask of the samples for which a layer's learner says something.

    >>> samples_told(np.array([0.2, np.nan]), np.array([0.0, 1.0]), "rna")
    array([ True, False])
    """
    if y.shape != (len(told),):
        raise ValueError(f"the predictions of {name} are of {len(told)} samples and y has shape {y.shape}")
    has = ~np.isnan(told.reshape(len(told), -1)).any(axis=1)
    if not has.any():
        raise ValueError(f"no sample has a prediction of {name}; leave the layer out")
    if told.ndim == 2 and told.shape[1] != len(np.unique(y)):
        raise ValueError(f"the predictions of {name} are of {told.shape[1]} classes and y has {len(np.unique(y))}")
    return has


def skill_weights(predictions: Any, y: Any) -> pd.Series:
    """Weigh each layer by how much better it predicts than someone who knows no layer.

    Parameters
    ----------
    predictions : dict layer → (n_samples, n_classes) probabilities in the order of the sorted classes, or (n_samples,)
        predicted values; from learners that have not seen the sample, as `out_of_fold` makes them. NaN where the sample
        lacks the layer.
    y : (n_samples,) labels, or values

    Returns
    -------
    Series layer → weight; they sum to 1

    Raises
    ------
    ValueError : no layer, different shapes, y of another length, a layer that no sample has

    Notes
    -----
    The skill of a layer is 1 − loss / loss of the ignorant, over the samples that have the layer, and 0 if negative.
    For classes the loss is the mean of −log(probability given to the true class), probabilities cut at 1e-15, and the
    ignorant gives each class its share; for values it is the mean squared error, and the ignorant gives the mean.
    Weights are skills divided by their sum; if no layer has any skill, all are equal.

    Examples
    --------
    >>> told = {"rna": np.array([[0.9, 0.1], [0.1, 0.9]]), "protein": np.array([[0.5, 0.5], [0.5, 0.5]])}
    >>> skill_weights(told, ["case", "control"])
    rna        1.0
    protein    0.0
    dtype: float64
    """
    tables = same_predictions(predictions)
    y = np.asarray(y)
    skill = {}
    for name, table in tables.items():
        told = np.asarray(table, float)
        has = samples_told(told, y, name)
        if told.ndim == 1:
            loss, ignorant = np.mean((y[has] - told[has]) ** 2), np.var(y[has])
        else:
            is_class = y[has][:, None] == np.unique(y)
            share = is_class.mean(axis=0)
            share = share[share > 0]
            loss = -np.mean(np.log(told[has][is_class].clip(1e-15, 1)))
            ignorant = -np.sum(share * np.log(share))
        skill[name] = max(0.0, 1 - loss / ignorant) if ignorant > 0 else 0.0
    weights = pd.Series(skill)
    return weights / weights.sum() if weights.any() else weights + 1 / len(weights)


def stacking_features(predictions: Any, expected: Any) -> np.ndarray:
    """What the second learner of a stack sees: the layers' predictions side by side, without gaps.

    Parameters
    ----------
    predictions : dict layer → (n_samples, n_classes) probabilities or (n_samples,) predicted values; a row of NaN where
        the sample lacks the layer
    expected : (n_classes,) share of each class in the training samples, or their mean value; it fills the gaps

    Returns
    -------
    (n_samples, columns) array: for each layer, in the order given, the probabilities of all classes but the first, or
    the predicted value

    Raises
    ------
    ValueError : no layer, different shapes, `expected` of another number of classes

    Notes
    -----
    Probabilities sum to 1, so the first class's column would say again what the others say.

    Examples
    --------
    >>> told = {"rna": np.array([[0.9, 0.1], [0.3, 0.7]]), "protein": np.array([[0.6, 0.4], [np.nan, np.nan]])}
    >>> stacking_features(told, [0.5, 0.5])
    array([[0.1, 0.4],
           [0.7, 0.5]])
    """
    tables = same_predictions(predictions)
    columns = []
    for name, table in tables.items():
        told = np.asarray(table, float).reshape(len(table), -1)
        if np.size(expected) != told.shape[1]:
            raise ValueError(f"expected has {np.size(expected)} numbers and the predictions of {name} {told.shape[1]}")
        told = np.where(np.isnan(told), expected, told)
        columns.append(told[:, 1:] if told.shape[1] > 1 else told)
    return np.hstack(columns)


@contextmanager
def speaking_of(name: Any) -> Iterator[None]:
    """Let errors and warnings of convergence say which layer they are about.

    >>> with speaking_of("rna"):
    ...     raise ValueError("too few samples")
    Traceback (most recent call last):
    ValueError: rna: too few samples
    """
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            yield
        except ValueError as problem:
            raise ValueError(f"{name}: {problem}") from problem
    said = set()
    for warning in heard:
        text = f"{name}: {warning.message}" if warning.category is ConvergenceWarning else str(warning.message)
        if text not in said:
            warnings.warn(text, warning.category, stacklevel=3)
        said.add(text)


class LateIntegration(BaseEstimator):
    """One learner per layer, combined.

    Parameters
    ----------
    estimators : dict layer → scikit-learn estimator, or one estimator for all layers; None is logistic regression. All
        must be classifiers with `predict_proba`, or all regressors.
    combine : "average"; "weighted", by how much better than the mean each layer predicts samples it has not seen
        (`skill_weights`); "stacking", by a second learner on out-of-fold predictions (`stacking_features`)
    cv : folds for "weighted" and "stacking", as scikit-learn takes them
    final_estimator : of "stacking"; logistic or ridge regression if not given

    Attributes
    ----------
    estimators_ : dict layer → fitted learner
    weights_ : Series layer → weight, summing to 1 ("average" and "weighted")
    final_estimator_ : fitted second learner ("stacking")
    classes_ : labels, for classifiers

    Notes
    -----
    Each learner is fitted to the samples that have its layer. In `predict` a sample's missing layers are left out of
    the average, and enter a stack as the share of each class (or the mean) in the training samples.

    Parameters of one layer's learner are set as `rna__C`, of one learner for all layers as `estimators__C`. Peak memory
    of `fit` is 3 times the layers, besides what the learners take. A learner that stops before it has converged
    warns with the name of its layer, and says what to change.

    References
    ----------
    Wolpert 1992, Neural Networks 5:241 (stacking)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 40)
    >>> layers = {"rna": rng.normal(size=(80, 5)) + y[:, None], "protein": rng.normal(size=(80, 5))}
    >>> model = LateIntegration(combine="weighted").fit(layers, y)
    >>> bool(model.weights_["rna"] > 0.9)
    True
    """

    def __init__(
        self, estimators: Any = None, combine: str = "average", *, cv: Any = 5, final_estimator: Any = None
    ) -> None:
        self.estimators = estimators
        self.combine = combine
        self.cv = cv
        self.final_estimator = final_estimator

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters; with `deep`, those of each layer's learner too, as `layer__parameter`."""
        found = super().get_params(deep)
        if deep and isinstance(self.estimators, dict):
            for name, learner in self.estimators.items():
                found |= {name: learner} | {f"{name}__{key}": value for key, value in learner.get_params().items()}
        return found

    def set_params(self, **params: Any) -> LateIntegration:
        """Set parameters by the names of `get_params`."""
        if isinstance(self.estimators, dict):
            replaced = {name: params.pop(name) for name in self.estimators if name in params}
            self.estimators = self.estimators | replaced
        return super().set_params(**params)

    def fit(self, layers: Any, y: Any) -> LateIntegration:
        """Fit each layer's learner, and learn how to combine them.

        Raises
        ------
        ValueError : an unknown combination, learners of other layers or of both kinds, y of other samples or with a
            gap, a gap inside a sample's layer; what a layer's learner refuses, with the layer's name
        """
        if self.combine not in COMBINATIONS:
            raise ValueError(f"combine must be one of {', '.join(COMBINATIONS)}; got {self.combine!r}")
        samples, blocks = split_blocks(layers)
        y = as_outcome(y, samples)
        learners = self._learners(list(blocks))
        self._classifies = is_classifier(next(iter(learners.values())))
        if self._classifies:
            self.classes_ = np.unique(y)
        self._expected = self._encoded(y).mean(axis=0)
        self._features = {name: block.features for name, block in blocks.items()}
        unseen, self.estimators_ = {}, {}
        for name, block in blocks.items():
            values, told = block.matrix[block.present], y[block.present]
            with speaking_of(name):
                self._require_all_classes(told)
                self.estimators_[name] = clone(learners[name]).fit(values, told)
                if self.combine != "average":
                    unseen[name] = np.full((len(y), len(self._expected)), np.nan)
                    predicted = out_of_fold(learners[name], values, told, cv=self.cv)
                    unseen[name][block.present] = predicted.reshape(len(told), -1)
        if self.combine == "average":
            self.weights_ = pd.Series(1 / len(blocks), index=list(blocks))
        elif self.combine == "weighted":
            self.weights_ = skill_weights(
                unseen if self._classifies else {name: told[:, 0] for name, told in unseen.items()}, y
            )
        else:
            self.final_estimator_ = self._final().fit(stacking_features(unseen, self._expected), y)
        return self

    def predict(self, layers: Any) -> np.ndarray:
        """Labels or values, (n_samples,)."""
        check_is_fitted(self, "estimators_")
        if self.combine == "stacking":
            return self.final_estimator_.predict(stacking_features(self.layer_predictions(layers), self._expected))
        combined = self._averaged(layers)
        return self.classes_[combined.argmax(axis=1)] if self._classifies else combined[:, 0]

    @available_if(lambda model: is_classifier(model))
    def predict_proba(self, layers: Any) -> np.ndarray:
        """Probabilities, (n_samples, n_classes), in the order of `classes_`; classifiers have it."""
        check_is_fitted(self, "estimators_")
        if self.combine == "stacking":
            seen = stacking_features(self.layer_predictions(layers), self._expected)
            return self.final_estimator_.predict_proba(seen)
        return self._averaged(layers)

    def score(self, layers: Any, y: Any) -> float:
        """Accuracy of classifiers, R² of regressors."""
        return float((accuracy_score if is_classifier(self) else r2_score)(y, self.predict(layers)))

    def layer_predictions(self, layers: Any) -> dict[Any, np.ndarray]:
        """What each layer's learner says: dict layer → (n_samples, n_classes) or (n_samples, 1); NaN without the layer.

        Raises
        ------
        ValueError : a layer or features that were not there in `fit`, a sample without any layer
        """
        check_is_fitted(self, "estimators_")
        samples, blocks = split_blocks(layers)
        for name, block in blocks.items():
            if name not in self.estimators_:
                raise ValueError(f"the model has no layer {name!r}; it was fitted to {', '.join(self.estimators_)}")
            if not block.features.equals(self._features[name]):
                raise ValueError(f"the features of {name} are not those the model was fitted to, in their order")
        found = {name: np.full((len(samples), len(self._expected)), np.nan) for name in self.estimators_}
        for name, block in blocks.items():
            if block.present.any():
                learner, values = self.estimators_[name], block.matrix[block.present]
                told = learner.predict_proba(values) if self._classifies else learner.predict(values)
                found[name][block.present] = told.reshape(len(values), -1)
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        learners = self.estimators
        first = next(iter(learners.values())) if isinstance(learners, dict) and learners else learners
        inner = (first if first is not None else LogisticRegression()).__sklearn_tags__()
        tags.estimator_type, tags.classifier_tags, tags.regressor_tags = (
            inner.estimator_type,
            inner.classifier_tags,
            inner.regressor_tags,
        )
        tags.target_tags = inner.target_tags
        return tags

    # What fit and predict share

    def _learners(self, names: list[Any]) -> dict[Any, Any]:
        learners = self.estimators
        if not isinstance(learners, dict):
            learners = dict.fromkeys(names, learners if learners is not None else LogisticRegression(max_iter=5000))
        if set(learners) != set(names):
            raise ValueError(f"estimators are of {', '.join(map(str, learners))} and layers of {', '.join(names)}")
        if len({is_classifier(learner) for learner in learners.values()}) > 1:
            raise ValueError("estimators must be all classifiers or all regressors")
        for name, learner in learners.items():
            if is_classifier(learner) and not hasattr(learner, "predict_proba"):
                raise ValueError(
                    f"the learner of {name}, {type(learner).__name__}, gives no probabilities; wrap it in "
                    "sklearn.calibration.CalibratedClassifierCV"
                )
        return learners

    def _require_all_classes(self, y: np.ndarray) -> None:
        if not len(y):
            raise ValueError("no training sample has this layer; leave it out")
        lacking = np.setdiff1d(self.classes_, y).tolist() if self._classifies else []
        if lacking:
            raise ValueError(f"no training sample of class {lacking[0]!r} has this layer; leave the layer or class out")

    def _final(self) -> Any:
        if self.final_estimator is not None:
            return clone(self.final_estimator)
        return LogisticRegression() if self._classifies else Ridge()

    def _encoded(self, y: np.ndarray) -> np.ndarray:
        """Targets as columns: one per class, or the one value."""
        return (y[:, None] == self.classes_).astype(float) if self._classifies else y[:, None].astype(float)

    def _averaged(self, layers: Any) -> np.ndarray:
        predictions = self.layer_predictions(layers)
        combined = average_predictions(predictions, self.weights_)
        unknown = np.isnan(combined).any(axis=1)
        combined[unknown] = average_predictions(predictions)[unknown]  # only layers without weight: better than nothing
        return combined


class Block(NamedTuple):
    """One layer for all samples."""

    features: pd.Index
    matrix: np.ndarray  # (n_samples, n_features)
    present: np.ndarray  # (n_samples,) bool


def split_blocks(layers: Any) -> tuple[pd.Index, dict[Any, Block]]:
    """Samples of any layer, and each layer for all of them; a sample lacks a layer as a whole or has all of it.

    Raises
    ------
    ValueError : a gap inside a sample's layer, a sample without any layer, infinite values

    Examples
    --------
    >>> samples, blocks = split_blocks({"rna": np.array([[1.0, 2.0], [np.nan, np.nan]]), "protein": np.ones((2, 1))})
    >>> blocks["rna"].present
    array([ True, False])
    """
    table = side_by_side(layers)
    matrix, names = as_numbers(table), table.columns.get_level_values(0)
    blocks = {}
    for name in names.unique():
        mine = np.flatnonzero(names == name)
        # neighbouring columns are a view, not a copy
        block = matrix[:, mine[0] : mine[-1] + 1] if mine[-1] - mine[0] + 1 == len(mine) else matrix[:, mine]
        missing = np.isnan(block)
        present = ~missing.all(axis=1)
        gaps = missing.any(axis=1) & present
        if gaps.any():
            raise ValueError(
                f"{name} has gaps inside sample {table.index.tolist()[int(np.argmax(gaps))]!r}; a sample may lack a "
                "whole layer, other gaps must be filled first, inside the training fold"
            )
        blocks[name] = Block(table.columns[mine].get_level_values(1), block, present)
    nothing = ~np.array([block.present for block in blocks.values()]).any(axis=0)
    if nothing.any():
        raise ValueError(f"sample {table.index.tolist()[int(np.argmax(nothing))]!r} has no layer; leave it out")
    return table.index, blocks


def corrected_interval(scores: Any, *, n_train: float, n_test: float, confidence: float = 0.95) -> pd.Series:
    """Mean of cross-validation scores, with an interval that knows that the folds share their training samples.

    Parameters
    ----------
    scores : (J,) scores of all folds of all repeats
    n_train, n_test : samples a fold trains on and is tested on
    confidence : share of studies whose interval should hold the true mean

    Returns
    -------
    Series[mean, low, high]

    Raises
    ------
    ValueError : fewer than 2 scores, one that is not finite, numbers of samples that are not above 0, a confidence not
        between 0 and 1

    Notes
    -----
    The variance of the mean is taken as (1/J + n_test / n_train) s², s² with divisor J − 1: 1/J alone would hold for
    independent scores. The interval is mean ± the t quantile with J − 1 degrees of freedom times the root of it. It is
    a rule of thumb, and may pass 1 for scores near it: no estimate of the variance from one cross-validation is
    unbiased (Bengio & Grandvalet 2004).

    References
    ----------
    Nadeau & Bengio 2003, Machine Learning 52:239; Bouckaert & Frank 2004, PAKDD; Bengio & Grandvalet 2004, Journal of
    Machine Learning Research 5:1089

    Examples
    --------
    >>> corrected_interval([0.7, 0.8, 0.75, 0.85], n_train=75, n_test=25).round(3).to_dict()
    {'mean': 0.775, 'low': 0.618, 'high': 0.932}
    """
    scores = np.asarray(scores, float)
    if scores.ndim != 1 or len(scores) < 2 or not np.isfinite(scores).all():
        raise ValueError(f"scores must be at least 2 finite numbers; got {scores.tolist()}")
    require_between(n_train, "n_train", 0, np.inf)
    require_between(n_test, "n_test", 0, np.inf)
    require_between(confidence, "confidence", 0, 1)
    variance = (1 / len(scores) + n_test / n_train) * scores.var(ddof=1)
    reach = student_t.ppf((1 + confidence) / 2, len(scores) - 1) * np.sqrt(variance)
    return pd.Series({"mean": scores.mean(), "low": scores.mean() - reach, "high": scores.mean() + reach})


def repeated_cross_validation(
    estimator: Any,
    layers: Any,
    y: Any,
    *,
    scoring: str = "roc_auc",
    n_splits: int = 5,
    n_repeats: int = 10,
    random_state: int = 0,
) -> tuple[pd.Series, pd.Series]:
    """How well does an estimator do on samples it has not seen, and how sure is that?

    Parameters
    ----------
    estimator : `EarlyIntegration`, `LateIntegration` or another that takes layers
    layers : dict of tables, or what `side_by_side` returns
    y : (n_samples,) labels (folds are stratified) or values
    scoring : name of a scikit-learn score
    n_splits, n_repeats : folds, and how often they are drawn anew
    random_state : seed of the folds

    Returns
    -------
    scores : (n_repeats · n_splits,) Series, indexed by repeat and fold
    summary : Series[mean, low, high], a 95 % interval of the mean

    Raises
    ------
    ValueError : fewer than 2 folds or more than samples, y of other samples, an unknown score

    Notes
    -----
    Folds share training samples, so their scores are not independent and the usual standard error is too small: the
    interval is `corrected_interval`. Folds are stratified for classifiers. Everything an estimator learns in `fit` is
    learned from the training samples of each fold.

    Examples
    --------
    >>> from reference_impl.integration.early import EarlyIntegration
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 30)
    >>> layers = {"rna": rng.normal(size=(60, 5)) + 2 * y[:, None]}
    >>> scores, summary = repeated_cross_validation(EarlyIntegration(), layers, y, n_repeats=2)
    >>> len(scores), bool(summary["low"] > 0.9)
    (10, True)
    """
    require_integer(n_splits, "n_splits", at_least=2)
    require_integer(n_repeats, "n_repeats")
    table = side_by_side(layers)
    y = as_outcome(y, table.index)
    kind = RepeatedStratifiedKFold if is_classifier(estimator) else RepeatedKFold
    folds = kind(n_splits=n_splits, n_repeats=n_repeats, random_state=random_state)
    scorer = get_scorer(scoring)
    values = []
    for train, test in folds.split(np.zeros(len(y)), y):
        fitted = clone(estimator).fit(table.iloc[train], y[train])
        values.append(scorer(fitted, table.iloc[test], y[test]))
    index = pd.MultiIndex.from_product([range(1, n_repeats + 1), range(1, n_splits + 1)], names=["repeat", "fold"])
    scores = pd.Series(values, index=index, name=scoring)
    n_test = len(y) / n_splits
    return scores, corrected_interval(scores, n_train=len(y) - n_test, n_test=n_test)
