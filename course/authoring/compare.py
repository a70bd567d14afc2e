"""Every integration method of units 08 to 13 on one cohort: do they find the subtypes, the disease, a missing layer?

`course compare` runs all of them on the frozen cohort, with what was broken in it repaired from the truth, and writes
`course/comparison.json`: the numbers, and a hash of what they were made from. What is finished is kept in a file beside
it, so a run that was stopped goes on. Lessons show the numbers in a block that `course compare --write` fills.

Seconds depend on the machine, so only their order of magnitude is recorded.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from course import paths
from course.errors import CourseError
from reference_impl.cohort import load
from reference_impl.integration import cca, early, jnmf, late, mofa, mvae, snf

RECORD = paths.ROOT / "course" / "comparison.json"
UNFINISHED = paths.ROOT / "course" / "comparison.unfinished.json"
TARGET = "metabolite"  # the layer that the cohort's patients lack most, and that is hidden here
N_SUBTYPES = 3
FOLDS = {"n_splits": 5, "n_repeats": 2, "random_state": 0}
BLOCK = re.compile(r"(# comparison:begin[^\n]*\n).*?(# comparison:end)", re.DOTALL)
Layers = dict[str, pd.DataFrame]


# --- The methods -----------------------------------------------------------------------------------------------------


class Representation:
    """A method that gives each sample a position, which is then clustered, and fed to a logistic regression."""

    def __init__(self, fit: Callable[[Layers], Callable[[Layers], np.ndarray]]) -> None:
        self.fit = fit

    def subtypes(self, layers: Layers) -> np.ndarray:
        """Clusters of all samples."""
        return _clusters(self.fit(layers)(layers))

    def disease(self, train: Layers, y: np.ndarray, test: Layers) -> np.ndarray:
        """Scores of samples that neither the representation nor the classifier has seen."""
        place = self.fit(train)
        scale = place(train).std(axis=0) + 1e-12
        return LogisticRegression(max_iter=5000).fit(place(train) / scale, y).predict_proba(place(test) / scale)[:, 1]


class Early(Representation):
    """All features side by side; no position of fewer dimensions."""

    def __init__(self) -> None:
        super().__init__(lambda layers: early.BlockScaler().fit(layers).transform)

    def disease(self, train: Layers, y: np.ndarray, test: Layers) -> np.ndarray:
        return early.EarlyIntegration(LogisticRegression(max_iter=5000)).fit(train, y).predict_proba(test)[:, 1]

    def impute(self, layers: Layers, lacks: np.ndarray) -> np.ndarray:
        """Ridge regression of the hidden layer on all others."""
        others = {name: table for name, table in layers.items() if name != TARGET}
        x = early.concatenate_blocks(others).to_numpy()
        return Ridge(alpha=1.0).fit(x[~lacks], layers[TARGET][~lacks]).predict(x[lacks])


class Late:
    """A learner per layer; it has no position of a sample."""

    def disease(self, train: Layers, y: np.ndarray, test: Layers) -> np.ndarray:
        learner = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=5000))
        return late.LateIntegration(learner, "stacking").fit(train, y).predict_proba(test)[:, 1]


class Multiset(Representation):
    """Scores that all layers can predict."""

    def __init__(self) -> None:
        super().__init__(self._fit)

    @staticmethod
    def _fit(layers: Layers) -> Callable[[Layers], np.ndarray]:
        scaler = {name: (table.mean(), table.std()) for name, table in layers.items()}

        def standard(tables: Layers) -> Layers:
            return {name: (table - scaler[name][0]) / scaler[name][1] for name, table in tables.items()}

        found = cca.multiset_cca(standard(layers), 5, ridge=10.0)
        return lambda new: np.mean([t @ found.weights[n] for n, t in standard(new).items()], axis=0)


class JointParts(Representation):
    """Joint non-negative matrix factorisation; layers are shifted to begin at zero."""

    def __init__(self) -> None:
        super().__init__(self._fit)

    @staticmethod
    def _fit(layers: Layers) -> Callable[[Layers], np.ndarray]:
        low = {name: table.min() for name, table in layers.items()}
        model = jnmf.JointNMF(rank=5, n_starts=5).fit({n: table - low[n] for n, table in layers.items()})
        return lambda new: np.asarray(model.transform({n: (t - low[n]).clip(lower=0) for n, t in new.items()}))

    def impute(self, layers: Layers, lacks: np.ndarray) -> np.ndarray:
        low = {name: table.min() for name, table in layers.items()}
        shifted = {name: table - low[name] for name, table in layers.items()}
        shifted[TARGET] = shifted[TARGET][~lacks]
        model = jnmf.JointNMF(rank=5, n_starts=5).fit(shifted)
        patients = layers[TARGET].index[lacks]
        return (model.factors_.loc[patients] @ model.weights_[TARGET].T + low[TARGET]).to_numpy()


class Factors(Representation):
    """Multi-omics factor analysis of standardised layers."""

    def __init__(self) -> None:
        super().__init__(lambda layers: lambda new: np.asarray(self._model(layers).transform(self._standard(new))))

    def _model(self, layers: Layers) -> mofa.MOFA:
        self._moments = {name: (table.mean(), table.std()) for name, table in layers.items()}
        return mofa.MOFA(n_factors=10, min_variance=0.01).fit(self._standard(layers))

    def _standard(self, layers: Layers) -> Layers:
        return {name: (table - self._moments[name][0]) / self._moments[name][1] for name, table in layers.items()}

    def impute(self, layers: Layers, lacks: np.ndarray) -> np.ndarray:
        known = layers | {TARGET: layers[TARGET][~lacks]}
        model = self._model(known)
        filled = model.impute(self._standard(known))[TARGET].loc[layers[TARGET].index[lacks]]
        centre, deviation = self._moments[TARGET]
        return (filled * deviation + centre).to_numpy()


class Fusion:
    """Similarity network fusion; new samples are placed by fusing anew with all samples, whose labels stay hidden."""

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
        super().__init__(lambda layers: lambda new: np.asarray(self._fitted(layers).transform(new)))

    def _fitted(self, layers: Layers) -> Any:
        key = id(next(iter(layers.values())))
        if getattr(self, "_key", None) != key:  # one training serves the positions of training and test samples
            self._key, self._model, self._alive = key, self.make().fit(layers), layers
        return self._model

    def impute(self, layers: Layers, lacks: np.ndarray) -> np.ndarray:
        known = layers | {TARGET: layers[TARGET][~lacks]}
        return self.make().fit(known).impute(known)[TARGET].loc[layers[TARGET].index[lacks]].to_numpy()


@dataclass(frozen=True)
class Entry:
    """A line of the comparison."""

    name: str
    en: str
    zh: str
    unit: str
    method: Any


def _autoencoder() -> mvae.MultimodalVAE:
    return mvae.MultimodalVAE(latent=8, hidden=48, epochs=150, batch_size=32, validation_fraction=0)


def _independent() -> mvae.IndependentAutoencoders:
    options = {"hidden": 48, "epochs": 150, "batch_size": 32, "validation_fraction": 0}
    return mvae.IndependentAutoencoders(latent=4, options=options)


def entries() -> list[Entry]:
    """The methods, in teaching order."""
    return [
        Entry("early", "early, side by side", "早期整合（拼接）", "08_early_and_late", Early()),
        Entry("late", "late, stacking", "晚期整合（堆叠）", "08_early_and_late", Late()),
        Entry("multiset_cca", "CCA of all layers", "多组 CCA", "09_cca_and_pls", Multiset()),
        Entry("joint_nmf", "joint NMF", "联合 NMF", "10_joint_nmf", JointParts()),
        Entry("mofa", "factor analysis (MOFA)", "因子分析（MOFA）", "11_factor_analysis", Factors()),
        Entry("snf", "network fusion (SNF)", "网络融合（SNF）", "12_network_fusion", Fusion()),
        Entry(
            "mvae", "multimodal autoencoder", "多模态自编码器", "13_multimodal_autoencoder", Autoencoder(_autoencoder)
        ),
        Entry(
            "separate",
            "independent autoencoders",
            "独立自编码器",
            "13_multimodal_autoencoder",
            Autoencoder(_independent),
        ),
    ]


# --- The tasks -------------------------------------------------------------------------------------------------------


def measure(entry: Entry, layers: Layers, truth: dict[str, Any], disease: np.ndarray) -> dict[str, Any]:
    """What one method reaches; None where it cannot do a task."""
    started = time.perf_counter()
    method = entry.method
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        found = {
            "subtypes": _subtype_agreement(method, layers, truth) if hasattr(method, "subtypes") else None,
            "disease": _disease_auc(method, layers, disease),
            "missing_layer": _imputation_correlation(method, layers) if hasattr(method, "impute") else None,
        }
    rounded = {task: None if value is None else round(float(value), 2) for task, value in found.items()}
    return {"unit": entry.unit, **rounded, "seconds": _magnitude(time.perf_counter() - started)}


def _subtype_agreement(method: Any, layers: Layers, truth: dict[str, Any]) -> float:
    """Adjusted Rand index with the true subtypes."""
    subtype = [truth["subtype"][patient] for patient in next(iter(layers.values())).index]
    return float(adjusted_rand_score(subtype, method.subtypes(layers)))


def _clusters(positions: np.ndarray) -> np.ndarray:
    return KMeans(N_SUBTYPES, n_init=20, random_state=0).fit_predict(positions)


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
    truth, guess = layers[TARGET][lacks].to_numpy(), method.impute(layers, lacks)
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


# --- The record ------------------------------------------------------------------------------------------------------


def digest() -> str:
    """A hash of what the numbers are made from: methods, this file, the cohort and its truth."""
    found = hashlib.sha256()
    sources = [*sorted((paths.ROOT / "reference_impl" / "integration").rglob("*.py")), Path(__file__).resolve()]
    sources = [source for source in sources if not source.stem.endswith("_plots")]
    for source in [*sources, paths.COHORT / "SHA256SUMS", paths.TRUTH]:
        content = source.read_bytes()
        found.update(f"{source.relative_to(paths.ROOT)} {len(content)}\n".encode() + content)
    return found.hexdigest()


def run(methods: list[Entry] | None = None) -> Iterator[tuple[str, int, int]]:
    """Measure every method that is not measured yet; yields the name, number and count before each, and at the end.

    Raises
    ------
    CourseError : the cohort or its truth is not there
    """
    methods = entries() if methods is None else methods
    if not paths.TRUTH.is_file():
        raise CourseError(f"the comparison needs the cohort's truth, and {paths.TRUTH} is not there")
    layers, truth, disease = _prepared()
    inputs = digest()
    done = _unfinished(inputs)
    for number, entry in enumerate(methods):
        if entry.name not in done:
            yield entry.en, number, len(methods)
            done[entry.name] = measure(entry, layers, truth, disease)
            _write(UNFINISHED, {"inputs": inputs, "methods": done})
    _write(RECORD, {"inputs": inputs, "methods": {entry.name: done[entry.name] for entry in methods}})
    UNFINISHED.unlink(missing_ok=True)
    yield "", len(methods), len(methods)


def _prepared() -> tuple[Layers, dict[str, Any], np.ndarray]:
    from course.simulation.accept import clean_layers

    truth = json.loads(paths.TRUTH.read_text(encoding="utf-8"))
    cohort = load("cohort", folder=paths.COHORT)
    layers = clean_layers(cohort, truth)
    layers = {name: table.loc[:, table.std() > 0] for name, table in layers.items()}
    patients = next(iter(layers.values())).index
    return layers, truth, (cohort.clinical.loc[patients, "disease"] == "case").to_numpy().astype(int)


def _unfinished(inputs: str) -> dict[str, Any]:
    """What was measured before from the same inputs."""
    for file in (UNFINISHED, RECORD):
        if file.is_file():
            told = json.loads(file.read_text(encoding="utf-8"))
            if told["inputs"] == inputs:
                return told["methods"]
    return {}


def _write(path: Path, content: dict[str, Any]) -> None:
    hidden = path.with_name(f".{path.name}")
    hidden.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    hidden.replace(path)


def record() -> dict[str, Any]:
    """What was measured last.

    Raises
    ------
    CourseError : nothing was measured
    """
    if not RECORD.is_file():
        raise CourseError("nothing was compared yet; run `course compare`")
    return json.loads(RECORD.read_text(encoding="utf-8"))


def is_current() -> bool:
    """Whether the record was made from the methods and the cohort as they are."""
    return RECORD.is_file() and record()["inputs"] == digest()


def block() -> str:
    """The lines that stand in a lesson: the numbers as Python that needs nothing else."""
    names = {entry.name: (entry.en, entry.zh) for entry in entries()}
    lines = ["COMPARISON = {"]
    for name, told in record()["methods"].items():
        en, zh = names[name]
        values = ", ".join(repr(told[task]) for task in ("subtypes", "disease", "missing_layer"))
        lines.append(f'    label("{en}", "{zh}"): ({values}, "{told["seconds"]}"),')
    return "\n".join([*lines, "}", ""])


def lessons_with_a_block() -> list[Path]:
    """The lessons that show the comparison."""
    found = [paths.UNITS / unit / "lesson.md" for unit in paths.unit_names()]
    return [lesson for lesson in found if BLOCK.search(lesson.read_text(encoding="utf-8"))]


def is_shown(lesson: Path) -> bool:
    """Whether a lesson shows the numbers of the record."""
    text = lesson.read_text(encoding="utf-8")
    return with_block(text) == text


def with_block(text: str) -> str:
    """A lesson's text with the numbers of the record in its block."""
    numbers = block()
    return BLOCK.sub(lambda match: match.group(1) + numbers + match.group(2), text)


def write_blocks() -> list[Path]:
    """Put the numbers into the lessons; returns those that changed."""
    changed = []
    for lesson in lessons_with_a_block():
        text = lesson.read_text(encoding="utf-8")
        if (new := with_block(text)) != text:
            lesson.write_text(new, encoding="utf-8")
            changed.append(lesson)
    return changed


def table() -> pd.DataFrame:
    """The record as a table, for the terminal."""
    told = pd.DataFrame.from_dict(record()["methods"], orient="index")
    return told.rename(index={entry.name: entry.en for entry in entries()})
