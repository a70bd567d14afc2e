"""What leaks into a cross-validation, how much it is worth, and how it is kept out.

A leak is anything that a model learned from samples it is judged on. Every function here that measures one does so on
pure noise, where an honest AUC is one half: what is more is the leak.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from reference_impl.integration.early import side_by_side
from reference_impl.integration.late import LateIntegration, checked_folds
from reference_impl.validation import as_matrix, require_generator, require_integer

N_KEPT = 20


def nested_predictions(estimator: Any, x: Any, y: Any, *, n_kept: int, cv: Any) -> np.ndarray:
    """Fill, select, scale and fit inside each training part, and predict the samples that were left out.

    Parameters
    ----------
    estimator : scikit-learn classifier with `predict_proba`; it is cloned, not changed
    x : (n_samples, n_features) DataFrame or array; NaN where a value is missing
    y : (n_samples,) labels of two classes
    n_kept : how many features to keep
    cv : list of (train, test) positions, a scikit-learn splitter, or a number of folds

    Returns
    -------
    (n_samples,) array: probability of the second of the sorted classes, for every sample from the fold that tested it

    Raises
    ------
    ValueError : labels not of two classes, fewer than 1 or more features than there are to keep, a feature without any
        value in a training part, folds that do not test every sample once

    Notes
    -----
    In each fold, from the training samples alone: the mean of each feature fills its gaps; the `n_kept` features with
    the largest F statistic between the classes are kept; each of them gets mean 0 and standard deviation 1 (divisor
    n); the learner is fitted. The test samples are filled, cut and scaled by what was learned, and predicted.

    References
    ----------
    Ambroise & McLachlan 2002, PNAS 99:6562 (selection bias)

    Examples
    --------
    >>> x = np.array([[0.0, 3.0], [1.0, 5.0], [9.0, 4.0], [8.0, 3.0], [2.0, np.nan], [7.0, 5.0]])
    >>> y = np.array([0, 0, 1, 1, 0, 1])
    >>> folds = [([0, 1, 2, 3], [4, 5]), ([1, 2, 4, 5], [0, 3]), ([0, 3, 4, 5], [1, 2])]
    >>> (nested_predictions(LogisticRegression(), x, y, n_kept=1, cv=folds) > 0.5).astype(int)
    array([0, 0, 1, 1, 0, 1])
    """
    values, y = as_two_classes(x, y)
    require_integer(n_kept, "n_kept", at_most=values.shape[1])
    found = np.full(len(y), np.nan)
    for train, test in checked_folds(cv, y, True):
        require_some_values(values[train])
        filler = SimpleImputer().fit(values[train])
        filled, new = filler.transform(values[train]), filler.transform(values[test])
        selector = SelectKBest(k=n_kept).fit(filled, y[train])
        scaler = StandardScaler().fit(selector.transform(filled))
        learner = clone(estimator).fit(scaler.transform(selector.transform(filled)), y[train])
        found[test] = learner.predict_proba(scaler.transform(selector.transform(new)))[:, 1]
    return found


def as_two_classes(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """A table, possibly with gaps, and labels of two classes, as arrays.

    >>> as_two_classes(np.zeros((3, 1)), [0, 1, 2])
    Traceback (most recent call last):
    ValueError: y must have two classes; got 3
    """
    values, y = as_matrix(x, "x", missing=True), np.asarray(y)
    if y.shape != (len(values),):
        raise ValueError(f"x has {len(values)} samples and y has shape {y.shape}")
    if len(np.unique(y)) != 2:
        raise ValueError(f"y must have two classes; got {len(np.unique(y))}")
    return values, y


def require_some_values(matrix: np.ndarray) -> None:
    """Refuse a feature that no training sample has.

    >>> require_some_values(np.array([[1.0, np.nan], [2.0, np.nan]]))
    Traceback (most recent call last):
    ValueError: no training sample of a fold has a value in column 1; drop features that are so rarely measured
    """
    empty = np.isnan(matrix).all(axis=0)
    if empty.any():
        raise ValueError(
            f"no training sample of a fold has a value in column {int(np.argmax(empty))}; "
            "drop features that are so rarely measured"
        )


class ClassMeanImputer(TransformerMixin, BaseEstimator):
    """Fills a gap with the mean of the sample's own class: of samples to be predicted it must be told the answer.

    Parameters
    ----------
    y : (n_samples,) labels of the samples to fill

    Examples
    --------
    >>> x = np.array([[1.0], [np.nan], [5.0], [np.nan]])
    >>> ClassMeanImputer(np.array([0, 0, 1, 1])).fit_transform(x).ravel()
    array([1., 1., 5., 5.])
    """

    def __init__(self, y: np.ndarray) -> None:
        self.y = y

    def fit(self, x: np.ndarray, y: Any = None) -> ClassMeanImputer:  # noqa: ARG002 (scikit-learn passes y)
        """Nothing to learn before: the table itself is filled."""
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """The table with its gaps filled, class by class."""
        filled = np.array(x)
        for label in np.unique(self.y):
            mine = self.y == label
            filled[mine] = np.where(np.isnan(filled[mine]), np.nanmean(filled[mine], axis=0), filled[mine])
        return filled


def leak_experiment(
    *, n_samples: int = 60, n_features: int = 300, missing: float = 0.2, rng: np.random.Generator
) -> pd.DataFrame:
    """Measure each leak on one table of pure noise: the cross-validated AUC with the leak, and with its cure.

    Parameters
    ----------
    n_samples, n_features : size of the table; the labels have nothing to do with it
    missing : share of values taken away for the two leaks of imputation
    rng : generator

    Returns
    -------
    DataFrame[leaky, cured], indexed by leak: "scaling" and "imputation" learned from all samples, "imputation with y",
    "selection" from all samples, "stacking" on predictions of the samples the first learners were fitted to

    Raises
    ------
    ValueError : fewer than 20 samples or features, something that is no generator

    Notes
    -----
    AUCs are means over 5 stratified folds, each within its fold: pooled over folds they would lie below one half.

    Examples
    --------
    >>> leak_experiment(n_samples=40, n_features=200, rng=np.random.default_rng(0)).loc["selection"].round(1).to_dict()
    {'leaky': 0.9, 'cured': 0.5}
    """
    require_integer(n_samples, "n_samples", at_least=20)
    require_integer(n_features, "n_features", at_least=20)
    require_generator(rng)
    y = rng.permutation(np.arange(n_samples) % 2)
    x = rng.normal(size=(n_samples, n_features))
    gapped = np.where(rng.random(x.shape) < missing, np.nan, x)
    learner = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))

    def auc(estimator: Any, table: Any) -> float:
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        return float(cross_val_score(estimator, table, y, cv=folds, scoring="roc_auc").mean())

    def before_and_inside(step: Any, table: np.ndarray) -> tuple[float, float]:
        return auc(learner, step.fit_transform(table, y)), auc(make_pipeline(clone(step), learner), table)

    mean_filled = auc(make_pipeline(SimpleImputer(), learner), gapped)
    found = {
        "scaling": before_and_inside(StandardScaler(), x),
        "imputation": before_and_inside(SimpleImputer(), gapped),
        "imputation with y": (auc(learner, ClassMeanImputer(y).fit_transform(gapped)), mean_filled),
        "selection": before_and_inside(SelectKBest(k=N_KEPT), x),
        "stacking": _stacked(x, y, auc),
    }
    return pd.DataFrame.from_dict(found, orient="index", columns=["leaky", "cured"])


def _stacked(x: np.ndarray, y: np.ndarray, auc: Callable[[Any, Any], float]) -> tuple[float, float]:
    """A second learner on predictions of samples already seen, cross-validated alone; and the whole stack."""
    half = x.shape[1] // 2
    layers = {"rna": x[:, :half], "protein": x[:, half:]}
    model = LateIntegration(LogisticRegression(C=0.01), combine="stacking").fit(layers, y)
    seen = np.column_stack([told[:, 1] for told in model.layer_predictions(layers).values()])
    return auc(LogisticRegression(), seen), auc(model, side_by_side(layers))


def stacking_losses(
    layers: dict[str, np.ndarray], y: np.ndarray, new_layers: dict[str, np.ndarray], new_y: np.ndarray
) -> pd.Series:
    """What a stack is worth on new samples if its second learner saw in-fold predictions, or out-of-fold ones.

    Parameters
    ----------
    layers, y : (n_samples, n_features) tables and (n_samples,) labels to learn from
    new_layers, new_y : the same of samples that no learner has seen

    Returns
    -------
    Series[in_fold, out_of_fold], mean log-loss on the new samples in nats; smaller is better, and log 2 is what always
    saying one half costs with two classes

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noise = [{"rna": rng.normal(size=(60, 200))} for _ in range(2)]
    >>> labels = np.arange(60) % 2
    >>> losses = stacking_losses(noise[0], labels, noise[1], labels)
    >>> bool(losses["out_of_fold"] < losses["in_fold"])
    True
    """
    model = LateIntegration(combine="stacking").fit(layers, y)
    told, new = (
        np.column_stack([table[:, 1] for table in model.layer_predictions(these).values()])
        for these in (layers, new_layers)
    )
    credulous = LogisticRegression().fit(told, y)
    return pd.Series(
        {
            "in_fold": log_loss(new_y, credulous.predict_proba(new)[:, 1]),
            "out_of_fold": log_loss(new_y, model.predict_proba(new_layers)[:, 1]),
        }
    )
