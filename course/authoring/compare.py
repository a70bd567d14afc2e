"""Every integration method of units 08 to 13 on one cohort: do they find the subtypes, the disease, a missing layer?

The cohort is the frozen one, with what was broken in it repaired from the truth: matched samples without a planted
fault, on a log scale, batches centred. That is done once, without looking at the disease, and is the same for every
method. All that a method learns, scales among it, it learns inside the training fold.

Beside the methods stand what they have to beat: the best single layer, chosen afterwards, so that it is an upper bound
for whoever has to choose before; ridge regression for the missing layer; and the mean, whose correlation is 0.
`course.authoring.compare_record` keeps the numbers and shows them in the lessons.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeCV
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from reference_impl.integration import cca, early, jnmf, late, mofa, mvae, pls, snf

TARGET = "metabolite"  # the layer that the cohort's patients lack most, and that is hidden here
TASKS = ("subtypes", "disease", "missing_layer")
N_SUBTYPES = 3
N_COMPONENTS = 5
FOLDS = {"n_splits": 5, "n_repeats": 2, "random_state": 0}
Layers = dict[str, pd.DataFrame]
Place = Callable[[Layers], np.ndarray]


# --- The methods -----------------------------------------------------------------------------------------------------


class Representation:
    """A method that gives each sample a position, which is then clustered, and fed to a logistic regression."""

    def __init__(self, fit: Callable[[Layers], Place]) -> None:
        self.fit = fit

    def subtypes(self, layers: Layers) -> np.ndarray:
        """Clusters of all samples."""
        return KMeans(N_SUBTYPES, n_init=20, random_state=0).fit_predict(self.fit(layers)(layers))

    def disease(self, train: Layers, y: np.ndarray, test: Layers) -> np.ndarray:
        """Scores of samples that neither the representation nor the classifier has seen."""
        place = self.fit(train)
        learner = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
        return learner.fit(place(train), y).predict_proba(place(test))[:, 1]


class Early:
    """All features side by side, each layer with the same total variance."""

    def subtypes(self, layers: Layers) -> np.ndarray:
        return Representation(lambda known: early.BlockScaler().fit(known).transform).subtypes(layers)

    def disease(self, train: Layers, y: np.ndarray, test: Layers) -> np.ndarray:
        return early.EarlyIntegration(LogisticRegression(max_iter=5000)).fit(train, y).predict_proba(test)[:, 1]


class SingleLayer(Early):
    """One layer, treated like all of them side by side."""

    def __init__(self, name: str) -> None:
        self.name = name

    def subtypes(self, layers: Layers) -> np.ndarray:
        return super().subtypes({self.name: layers[self.name]})

    def disease(self, train: Layers, y: np.ndarray, test: Layers) -> np.ndarray:
        return super().disease({self.name: train[self.name]}, y, {self.name: test[self.name]})


class Late:
    """A learner per layer; it has no position of a sample."""

    def disease(self, train: Layers, y: np.ndarray, test: Layers) -> np.ndarray:
        learner = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=5000))
        return late.LateIntegration(learner, "stacking").fit(train, y).predict_proba(test)[:, 1]


class Mean:
    """The mean of those who have the layer: the same for everybody, so that nothing is told about a patient."""

    def impute(self, layers: Layers, lacks: np.ndarray) -> np.ndarray:
        return np.tile(layers[TARGET][~lacks].mean().to_numpy(), (int(lacks.sum()), 1))


class RidgeRegression:
    """The hidden layer by ridge regression on all others side by side; the penalty by leave-one-out."""

    def impute(self, layers: Layers, lacks: np.ndarray) -> np.ndarray:
        others = _without_target(layers)
        scaler = early.BlockScaler().fit(_rows(others, ~lacks))
        learner = RidgeCV(alphas=np.logspace(-2, 3, 11))
        learner.fit(scaler.transform(_rows(others, ~lacks)), layers[TARGET][~lacks].to_numpy())
        return learner.predict(scaler.transform(_rows(others, lacks)))


class Multiset(Representation):
    """Canonical correlation analysis of all layers: scores that each of them can predict."""

    def __init__(self) -> None:
        super().__init__(self._fit)

    @staticmethod
    def _fit(layers: Layers) -> Place:
        standard = _standardiser(layers)
        found = cca.multiset_cca(standard(layers), N_COMPONENTS, ridge=10.0)
        return lambda new: np.mean([table @ found.weights[name] for name, table in standard(new).items()], axis=0)

    def impute(self, layers: Layers, lacks: np.ndarray) -> np.ndarray:
        """Regression of the hidden layer on the scores that the other layers share."""
        others = _without_target(layers)
        place = self._fit(_rows(others, ~lacks))
        learner = LinearRegression().fit(place(_rows(others, ~lacks)), layers[TARGET][~lacks].to_numpy())
        return learner.predict(place(_rows(others, lacks)))


class LeastSquares(Representation):
    """Partial least squares between the hidden layer and all others side by side."""

    def __init__(self) -> None:
        super().__init__(lambda layers: self._fit(layers)[0])

    @staticmethod
    def _fit(layers: Layers) -> tuple[Place, Place]:
        """Positions from both sides together, and from the side of the other layers alone."""
        standard, scaler = _standardiser(layers), early.BlockScaler().fit(_without_target(layers))
        found = pls.pls_canonical(
            scaler.transform(_without_target(layers)), standard(layers)[TARGET].to_numpy(), N_COMPONENTS, scale=False
        )

        def from_others(new: Layers) -> np.ndarray:
            return scaler.transform(_without_target(new)) @ found.x_rotations

        def together(new: Layers) -> np.ndarray:
            return np.hstack([from_others(new), standard(new)[TARGET].to_numpy() @ found.y_rotations])

        return together, from_others

    def impute(self, layers: Layers, lacks: np.ndarray) -> np.ndarray:
        """Regression of the hidden layer on the others' scores."""
        known = _rows(layers, ~lacks)
        place = self._fit(known)[1]
        learner = LinearRegression().fit(place(known), known[TARGET].to_numpy())
        return learner.predict(place(_rows(layers, lacks)))


class JointParts(Representation):
    """Joint non-negative matrix factorisation; layers are shifted to begin at zero."""

    def __init__(self) -> None:
        super().__init__(self._fit)

    @staticmethod
    def _model() -> jnmf.JointNMF:
        return jnmf.JointNMF(rank=N_COMPONENTS, n_starts=3)

    def _fit(self, layers: Layers) -> Place:
        low = {name: table.min() for name, table in layers.items()}
        model = self._model().fit({name: table - low[name] for name, table in layers.items()})
        return lambda new: np.asarray(model.transform({n: (t - low[n]).clip(lower=0) for n, t in new.items()}))

    def impute(self, layers: Layers, lacks: np.ndarray) -> np.ndarray:
        known = layers | {TARGET: layers[TARGET][~lacks]}
        low = {name: table.min() for name, table in known.items()}
        model = self._model().fit({name: table - low[name] for name, table in known.items()})
        patients = layers[TARGET].index[lacks]
        return (model.factors_.loc[patients] @ model.weights_[TARGET].T + low[TARGET]).to_numpy()


class Factors(Representation):
    """Multi-omics factor analysis of standardised layers."""

    def __init__(self) -> None:
        super().__init__(self._fit)

    @staticmethod
    def _model() -> mofa.MOFA:
        return mofa.MOFA(n_factors=10, min_variance=0.01)

    def _fit(self, layers: Layers) -> Place:
        standard = _standardiser(layers)
        model = self._model().fit(standard(layers))
        return lambda new: np.asarray(model.transform(standard(new)))

    def impute(self, layers: Layers, lacks: np.ndarray) -> np.ndarray:
        known = layers | {TARGET: layers[TARGET][~lacks]}
        standard = _standardiser(known)(known)
        filled = self._model().fit(standard).impute(standard)[TARGET].loc[layers[TARGET].index[lacks]]
        return (filled * known[TARGET].std() + known[TARGET].mean()).to_numpy()


class Fusion:
    """Similarity network fusion; new samples are placed by fusing anew with all samples, whose labels stay hidden.

    A network holds no features, so that it cannot fill in a layer.
    """

    def subtypes(self, layers: Layers) -> np.ndarray:
        return snf.spectral_clusters(self._fused(layers), N_SUBTYPES, rng=np.random.default_rng(0))

    def disease(self, train: Layers, y: np.ndarray, test: Layers) -> np.ndarray:
        together = {name: pd.concat([train[name], test[name]]) for name in train}
        n = len(y)
        near = np.asarray(self._fused(together))[n:, :n]
        return near @ y / near.sum(axis=1)

    @staticmethod
    def _fused(layers: Layers) -> np.ndarray:
        return snf.fuse([snf.affinity_matrix(snf.squared_distances(t.to_numpy())) for t in layers.values()])


class Autoencoder(Representation):
    """The multimodal autoencoder, or one per layer."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make
        super().__init__(self._fit)

    def _fit(self, layers: Layers) -> Place:
        model = self.make().fit(layers)
        return lambda new: np.asarray(model.transform(new))

    def impute(self, layers: Layers, lacks: np.ndarray) -> np.ndarray:
        known = layers | {TARGET: layers[TARGET][~lacks]}
        return self.make().fit(known).impute(known)[TARGET].loc[layers[TARGET].index[lacks]].to_numpy()


def _rows(layers: Layers, rows: np.ndarray) -> Layers:
    return {name: table[rows] for name, table in layers.items()}


def _without_target(layers: Layers) -> Layers:
    return {name: table for name, table in layers.items() if name != TARGET}


def _standardiser(layers: Layers) -> Callable[[Layers], Layers]:
    """Standard units of these samples, for any samples."""
    moments = {name: (table.mean(), table.std()) for name, table in layers.items()}
    return lambda new: {name: (table - moments[name][0]) / moments[name][1] for name, table in new.items()}


@dataclass(frozen=True)
class Entry:
    """A line of the comparison. Of several methods the best counts, for each task; a baseline belongs to no unit."""

    name: str
    en: str
    zh: str
    unit: str
    methods: tuple[Any, ...]


_TRAINING: dict[str, Any] = {"hidden": 48, "epochs": 150, "batch_size": 32, "validation_fraction": 0}


def entries() -> list[Entry]:
    """The baselines, and the methods in teaching order."""
    single = tuple(SingleLayer(name) for name in ("methylation", "rna", "protein", "metabolite"))

    def together() -> Any:
        return mvae.MultimodalVAE(latent=8, **_TRAINING)

    def apart() -> Any:
        return mvae.IndependentAutoencoders(latent=4, options=_TRAINING)

    lines: list[tuple[Any, ...]] = [
        ("single", "best single layer, chosen afterwards", "最佳单层（事后挑选）", "", *single),
        ("mean", "mean of the layer", "该层的均值", "", Mean()),
        ("ridge", "ridge regression on the other layers", "用其他层作岭回归", "", RidgeRegression()),
        ("early", "early integration", "早期整合", "08", Early()),
        ("late", "late integration, stacking", "晚期整合（堆叠）", "08", Late()),
        ("multiset_cca", "CCA of all layers", "多组典型相关分析", "09", Multiset()),
        ("pls", "partial least squares", "偏最小二乘", "09", LeastSquares()),
        ("joint_nmf", "joint NMF", "联合 NMF", "10", JointParts()),
        ("mofa", "factor analysis (MOFA)", "因子分析（MOFA）", "11", Factors()),
        ("snf", "network fusion (SNF)", "网络融合（SNF）", "12", Fusion()),
        ("mvae", "multimodal autoencoder", "多模态自编码器", "13", Autoencoder(together)),
        ("separate", "independent autoencoders", "相互独立的自编码器", "13", Autoencoder(apart)),
    ]
    return [Entry(name, en, zh, unit, tuple(methods)) for name, en, zh, unit, *methods in lines]


# --- The tasks -------------------------------------------------------------------------------------------------------


def measure(entry: Entry, layers: Layers, truth: dict[str, Any], disease: np.ndarray) -> dict[str, Any]:
    """What one method reaches, rounded; None where it cannot do a task. Seconds are those of the processor."""
    started = time.process_time()
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        reached = [_reached(method, layers, truth, disease) for method in entry.methods]
    best = {task: max((found[task] for found in reached if task in found), default=None) for task in TASKS}
    rounded = {task: None if value is None else round(value, 2) + 0.0 for task, value in best.items()}
    return {"unit": entry.unit, **rounded, "seconds": _magnitude(time.process_time() - started)}


def _reached(method: Any, layers: Layers, truth: dict[str, Any], disease: np.ndarray) -> dict[str, float]:
    found = {}
    if hasattr(method, "subtypes"):
        found["subtypes"] = _subtype_agreement(method, layers, truth)
    if hasattr(method, "disease"):
        found["disease"] = _disease_auc(method, layers, disease)
    if hasattr(method, "impute"):
        found["missing_layer"] = _imputation_correlation(method, layers)
    return found


def _subtype_agreement(method: Any, layers: Layers, truth: dict[str, Any]) -> float:
    """Adjusted Rand index with the true subtypes."""
    subtype = [truth["subtype"][patient] for patient in next(iter(layers.values())).index]
    return float(adjusted_rand_score(subtype, method.subtypes(layers)))


def _disease_auc(method: Any, layers: Layers, disease: np.ndarray) -> float:
    """Area under the ROC curve in cross-validation, mean over folds; all is fitted inside the fold."""
    areas = []
    for train, test in RepeatedStratifiedKFold(**FOLDS).split(disease, disease):
        inside, outside = ({n: t.iloc[rows] for n, t in layers.items()} for rows in (train, test))
        areas.append(roc_auc_score(disease[test], method.disease(inside, disease[train], outside)))
    return float(np.mean(areas))


def _imputation_correlation(method: Any, layers: Layers) -> float:
    """Hide the layer of every third sample; mean over features of the correlation of truth and prediction."""
    lacks = np.arange(len(layers[TARGET])) % 3 == 0
    seen = layers[TARGET].copy()
    seen[lacks] = np.nan  # what a method might peek at is not there
    truth, guess = layers[TARGET][lacks].to_numpy(), method.impute(layers | {TARGET: seen}, lacks)
    if not np.isfinite(guess).all():
        raise ValueError(f"{type(method).__name__} did not fill the hidden layer")
    truth, guess = truth - truth.mean(axis=0), guess - guess.mean(axis=0)
    lengths = np.linalg.norm(truth, axis=0) * np.linalg.norm(guess, axis=0)
    return float(
        np.mean(np.divide((truth * guess).sum(axis=0), lengths, out=np.zeros(len(lengths)), where=lengths > 1e-9))
    )


def _magnitude(seconds: float) -> str:
    for limit, word in [(3, "1"), (30, "10"), (300, "100")]:
        if seconds < limit:
            return word
    return "1000"
