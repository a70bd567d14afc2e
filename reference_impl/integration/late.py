"""Late integration: one learner per layer, then combine what they say.

Each layer may have its own kind of learner, a layer that a sample lacks is left out of its vote, and no layer drowns
another. What is lost: an effect that only shows when two layers are seen together.

Whoever combines must not learn from predictions that the learners made on their own training samples: those look better
than they are. `out_of_fold` gives every sample a prediction from learners that have not seen it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student_t
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import get_scorer
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold, check_cv

from reference_impl.integration.early import side_by_side
from reference_impl.validation import require_integer

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
    named = predictions if isinstance(predictions, Mapping) else dict(enumerate(predictions))
    if not named:
        raise ValueError("predictions is empty; give at least one layer's")
    tables = {name: np.asarray(table, dtype=float) for name, table in named.items()}
    shapes = {name: table.shape for name, table in tables.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"predictions must have one shape; got {shapes}")
    first = next(iter(named.values()))
    for name, table in named.items():
        if isinstance(table, (pd.Series, pd.DataFrame)) and not table.index.equals(getattr(first, "index", None)):
            raise ValueError(f"the predictions of {name} are of other samples than those of {next(iter(named))}")
    stacked = np.stack(list(tables.values()))
    share = _checked_weights(weights, list(named)).reshape(-1, *[1] * (stacked.ndim - 1)) * ~np.isnan(stacked)
    total = share.sum(axis=0)
    mean = np.divide(np.nansum(share * stacked, axis=0), total, out=np.full(total.shape, np.nan), where=total > 0)
    if isinstance(first, pd.Series):
        return pd.Series(mean, index=first.index)
    return pd.DataFrame(mean, index=first.index, columns=first.columns) if isinstance(first, pd.DataFrame) else mean


def _checked_weights(weights: Any, names: list[Any]) -> np.ndarray:
    if weights is None:
        return np.ones(len(names))
    if isinstance(weights, Mapping):
        if set(weights) != set(names):
            raise ValueError(f"weights are of {sorted(map(str, weights))} and predictions of {sorted(map(str, names))}")
        weights = [weights[name] for name in names]
    share = np.asarray(weights, dtype=float)
    if share.shape != (len(names),) or not np.isfinite(share).all() or (share < 0).any() or share.sum() == 0:
        raise ValueError(f"weights must be {len(names)} numbers of at least 0, not all 0; got {list(share)}")
    return share


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
    classifier = is_classifier(estimator)
    classes = np.unique(y) if classifier else None
    found = np.full((len(y), len(classes)) if classes is not None else len(y), np.nan)
    times = np.zeros(len(y), dtype=int)
    for train, test in _folds(x, y, cv, classifier=classifier):
        learner = clone(estimator).fit(_rows(x, train), y[train])
        if classes is not None and not np.array_equal(learner.classes_, classes):
            lacking = sorted(set(classes) - set(learner.classes_))
            raise ValueError(f"a training fold has no sample of class {lacking[0]!r}; use fewer or stratified folds")
        found[test] = learner.predict_proba(_rows(x, test)) if classifier else learner.predict(_rows(x, test))
        times[test] += 1
    if not (times == 1).all():
        bad = int(np.argmax(times != 1))
        raise ValueError(f"every sample must be in one test fold; the sample in row {bad} is in {times[bad]}")
    return found


def _folds(x: Any, y: np.ndarray, cv: Any, *, classifier: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    if isinstance(cv, (list, tuple)):
        return [(np.asarray(train), np.asarray(test)) for train, test in cv]
    return list(check_cv(cv, y, classifier=classifier).split(np.zeros(len(y)) if isinstance(x, dict) else x, y))


def _rows(x: Any, rows: np.ndarray) -> Any:
    return x.iloc[rows] if hasattr(x, "iloc") else np.asarray(x)[rows]


class LateIntegration(BaseEstimator):
    """One learner per layer, combined.

    Parameters
    ----------
    estimators : dict layer → scikit-learn estimator, or one estimator for all layers; None is logistic regression. All
        must be classifiers with `predict_proba`, or all regressors.
    combine : "average"; "weighted", by how much better than the mean each layer predicts samples it has not seen;
        "stacking", by a second learner on out-of-fold predictions
    cv : folds for "weighted" and "stacking"
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
    the average, and enter a stack as the share of each class (or the mean) in the training samples. The skill behind
    the weights is 1 − (loss / loss of that share or mean), with log-loss or squared error, and 0 if negative.

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

    def fit(self, layers: Any, y: Any) -> LateIntegration:
        """Fit each layer's learner, and learn how to combine them.

        Raises
        ------
        ValueError : an unknown combination, learners of other layers or of both kinds, y of another length, a gap
            inside a sample's layer
        """
        if self.combine not in COMBINATIONS:
            raise ValueError(f"combine must be one of {', '.join(COMBINATIONS)}; got {self.combine!r}")
        blocks = _blocks(layers)
        y = np.asarray(y)
        n_samples = len(next(iter(blocks.values())))
        if y.shape != (n_samples,):
            raise ValueError(f"the layers have {n_samples} samples and y has shape {y.shape}")
        learners = self._learners(list(blocks))
        self._classifies = is_classifier(next(iter(learners.values())))
        if self._classifies:
            self.classes_ = np.unique(y)
        self._expected = self._encoded(y).mean(axis=0)
        present = {name: ~block.isna().all(axis=1).to_numpy() for name, block in blocks.items()}
        self.estimators_ = {
            name: clone(learners[name]).fit(blocks[name][has].to_numpy(), y[has]) for name, has in present.items()
        }
        self._features = {name: block.columns for name, block in blocks.items()}
        if self.combine == "average":
            self.weights_ = pd.Series(1 / len(blocks), index=list(blocks))
            return self
        unseen = {name: self._out_of_fold(learners[name], blocks[name], y, has) for name, has in present.items()}
        if self.combine == "weighted":
            self.weights_ = self._skill_weights(unseen, y)
        else:
            self.final_estimator_ = self._final().fit(self._stacked(unseen), y)
        return self

    def predict(self, layers: Any) -> np.ndarray:
        """Labels or values, (n_samples,)."""
        if self.combine == "stacking":
            return self.final_estimator_.predict(self._stacked(self._layer_predictions(layers)))
        combined = self._averaged(layers)
        return self.classes_[combined.argmax(axis=1)] if self._classifies else combined[:, 0]

    def predict_proba(self, layers: Any) -> np.ndarray:
        """Probabilities, (n_samples, n_classes), in the order of `classes_`.

        Raises
        ------
        AttributeError : the learners are regressors
        """
        if not self._classifies:
            raise AttributeError("regressors have no probabilities; use predict")
        if self.combine == "stacking":
            return self.final_estimator_.predict_proba(self._stacked(self._layer_predictions(layers)))
        return self._averaged(layers)

    def score(self, layers: Any, y: Any) -> float:
        """Accuracy of classifiers, R² of regressors."""
        y, found = np.asarray(y), self.predict(layers)
        if self._classifies:
            return float(np.mean(found == y))
        return float(1 - np.sum((y - found) ** 2) / np.sum((y - y.mean()) ** 2))

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
        return tags

    # What fit and predict share

    def _learners(self, names: list[Any]) -> dict[Any, Any]:
        if not isinstance(self.estimators, dict):
            one = self.estimators if self.estimators is not None else LogisticRegression(max_iter=5000)
            return dict.fromkeys(names, one)
        if set(self.estimators) != set(names):
            raise ValueError(
                f"estimators are of {', '.join(map(str, self.estimators))} and layers of {', '.join(map(str, names))}"
            )
        if len({is_classifier(learner) for learner in self.estimators.values()}) > 1:
            raise ValueError("estimators must be all classifiers or all regressors")
        return self.estimators

    def _final(self) -> Any:
        if self.final_estimator is not None:
            return clone(self.final_estimator)
        return LogisticRegression() if self._classifies else Ridge()

    def _encoded(self, y: np.ndarray) -> np.ndarray:
        """Targets as columns: one per class, or the one value."""
        return (y[:, None] == self.classes_).astype(float) if self._classifies else y[:, None].astype(float)

    def _out_of_fold(self, learner: Any, block: pd.DataFrame, y: np.ndarray, has: np.ndarray) -> np.ndarray:
        found = np.full((len(y), len(self._expected)), np.nan)
        found[has] = out_of_fold(learner, block[has].to_numpy(), y[has], cv=self.cv).reshape(int(has.sum()), -1)
        return found

    def _layer_predictions(self, layers: Any) -> dict[Any, np.ndarray]:
        blocks = _blocks(layers)
        unknown = set(blocks) - set(self.estimators_)
        if unknown:
            raise ValueError(f"the model has no layer {sorted(map(str, unknown))[0]!r}")
        n_samples = len(next(iter(blocks.values())))
        found = {}
        for name, learner in self.estimators_.items():
            found[name] = np.full((n_samples, len(self._expected)), np.nan)
            block = blocks.get(name)
            if block is None:
                continue
            if not block.columns.equals(self._features[name]):
                raise ValueError(f"the features of {name} are not those the model was fitted to, in their order")
            has = ~block.isna().all(axis=1).to_numpy()
            if has.any():
                values = block[has].to_numpy()
                told = learner.predict_proba(values) if self._classifies else learner.predict(values)
                found[name][has] = told.reshape(int(has.sum()), -1)
        return found

    def _averaged(self, layers: Any) -> np.ndarray:
        predictions = self._layer_predictions(layers)
        combined = average_predictions(predictions, self.weights_.to_dict())
        unknown = np.isnan(combined).any(axis=1)
        combined[unknown] = average_predictions(predictions)[unknown]  # only layers without weight: better than nothing
        nothing = np.isnan(combined).any(axis=1)
        if nothing.any():
            raise ValueError(f"the sample in row {int(np.argmax(nothing))} has no layer; nothing can be predicted")
        return combined

    def _skill_weights(self, unseen: dict[Any, np.ndarray], y: np.ndarray) -> pd.Series:
        target = self._encoded(y)
        skill = {}
        for name, predicted in unseen.items():
            has = ~np.isnan(predicted).any(axis=1)
            loss = self._loss(target[has], predicted[has])
            skill[name] = max(
                0.0, 1 - loss / self._loss(target[has], np.broadcast_to(self._expected, target[has].shape))
            )
        weights = pd.Series(skill, dtype=float)
        if weights.sum() == 0:
            return pd.Series(1 / len(weights), index=weights.index)
        return weights / weights.sum()

    def _loss(self, target: np.ndarray, predicted: np.ndarray) -> float:
        if self._classifies:
            return float(-np.mean(np.log(np.clip(predicted, 1e-15, 1))[target > 0]))
        return float(np.mean((target - predicted) ** 2))

    def _stacked(self, predictions: dict[Any, np.ndarray]) -> np.ndarray:
        """Predictions side by side; two classes need one column each."""
        columns = [np.where(np.isnan(table), self._expected, table) for table in predictions.values()]
        if self._classifies:
            columns = [table[:, 1:] for table in columns]
        return np.hstack(columns)


def _blocks(layers: Any) -> dict[Any, pd.DataFrame]:
    """Each layer for all samples; a sample lacks a layer as a whole or has all of it."""
    table = side_by_side(layers)
    blocks = {name: table[name] for name in table.columns.get_level_values(0).unique()}
    for name, block in blocks.items():
        gaps = block.isna().any(axis=1) & ~block.isna().all(axis=1)
        if gaps.any():
            raise ValueError(
                f"{name} has gaps inside sample {gaps.index[int(np.argmax(gaps))]!r}; a sample may lack a whole layer, "
                "other gaps must be filled first, inside the training fold"
            )
    return blocks


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
    ValueError : fewer than 2 folds, different lengths

    Notes
    -----
    Folds share training samples, so their scores are not independent and the usual standard error is too small. The
    interval is that of the corrected resampled t test: the variance is multiplied by 1/J + n_test/n_train instead of
    1/J.

    References
    ----------
    Nadeau & Bengio 2003, Machine Learning 52:239; Bouckaert & Frank 2004, PAKDD

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
    table, y = side_by_side(layers), np.asarray(y)
    if y.shape != (len(table),):
        raise ValueError(f"the layers have {len(table)} samples and y has shape {y.shape}")
    kind = RepeatedStratifiedKFold if is_classifier(estimator) else RepeatedKFold
    folds = kind(n_splits=n_splits, n_repeats=n_repeats, random_state=random_state)
    scorer = get_scorer(scoring)
    values = []
    for train, test in folds.split(np.zeros(len(y)), y):
        fitted = clone(estimator).fit(table.iloc[train], y[train])
        values.append(scorer(fitted, table.iloc[test], y[test]))
    index = pd.MultiIndex.from_product([range(1, n_repeats + 1), range(1, n_splits + 1)], names=["repeat", "fold"])
    scores = pd.Series(values, index=index, name=scoring)
    spread = np.sqrt((1 / len(scores) + 1 / (n_splits - 1)) * scores.var(ddof=1))
    reach = student_t.ppf(0.975, len(scores) - 1) * spread
    return scores, pd.Series({"mean": scores.mean(), "low": scores.mean() - reach, "high": scores.mean() + reach})
