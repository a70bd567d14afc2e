"""What goes wrong on the way from the patient to the table, and the truth about it.

The plan is made before anything is measured: whose material is in which tube, which libraries will fail, who has no
plasma left. Every fault hits other patients, so that each can be recognised for what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from course.simulation.features import Stream
from course.simulation.story import Patients

LAYERS = ("genotype", "methylation", "rna", "protein", "metabolite")
BATCHES = {
    "genotype": ("array1", "array2"),
    "methylation": ("slide1", "slide2", "slide3", "slide4"),
    "rna": ("flowcell1", "flowcell2", "flowcell3"),
    "protein": ("run1", "run2", "run3", "run4"),
    "metabolite": ("plate1", "plate2", "plate3"),
}
SWAPPED_LAYER = "rna"
CYCLE_LAYER = "protein"
DUPLICATE_LAYER = "genotype"
LESS_SENSITIVE_LAYER = "protein"
FAILURES = {"low_depth": 3, "mitochondrial": 3, "degraded": 3, "overamplified": 2}
# Chance of a case to be sequenced in each flow cell; controls the other way round.
CONFOUNDED = np.array([0.55, 0.30, 0.15])


@dataclass(frozen=True)
class Plan:
    """Who is where. `owner[layer][i]` is the position of the patient whose material is in the tube labelled i."""

    owner: dict[str, NDArray[np.int64]]
    batch: dict[str, NDArray[np.str_]]
    less_sensitive: str  # the batch of LESS_SENSITIVE_LAYER whose instrument had lost sensitivity
    present: dict[str, NDArray[np.bool_]]
    failed: dict[int, str]  # position of the label → kind of failure of its RNA library
    recorded_sex: NDArray[np.str_]
    duplicate: tuple[int, int]  # label, position of the patient it is a copy of
    wrong_sex: int


def plan_faults(patients: Patients, stream: Stream) -> Plan:
    """Decide every fault."""
    rng = stream("faults")
    n = len(patients.labels)
    female, male = np.flatnonzero(patients.female), np.flatnonzero(~patients.female)
    order = list(rng.permutation(n))

    def take(candidates: NDArray[np.int64] | None = None) -> int:
        chosen = order[0] if candidates is None else next(i for i in order if i in set(candidates.tolist()))
        order.remove(chosen)
        return int(chosen)

    owner = {layer: np.arange(n) for layer in LAYERS}
    # A woman and a man, so that the sex check sees the pair too and must not be believed too soon.
    pair = [take(female), take(male)]
    owner[SWAPPED_LAYER][pair] = pair[::-1]
    cycle = [take() for _ in range(3)]
    owner[CYCLE_LAYER][cycle] = np.roll(cycle, 1)
    duplicate = (take(), take())
    owner[DUPLICATE_LAYER][duplicate[0]] = duplicate[1]
    wrong_sex = take()
    failed = {take(): kind for kind, number in FAILURES.items() for _ in range(number)}
    recorded = np.where(patients.female, "female", "male")
    recorded[wrong_sex] = "male" if patients.female[wrong_sex] else "female"
    case = (patients.clinical["disease"] == "case").to_numpy()
    return Plan(
        owner=owner,
        batch=_batches(case, stream("batches")),
        # A stream of its own: which run it is changes nothing else.
        less_sensitive=str(stream("detection limits").choice(BATCHES[LESS_SENSITIVE_LAYER])),
        present=_present(patients, stream("present"), keep={*pair, *cycle, *duplicate, wrong_sex}),
        failed=failed,
        recorded_sex=recorded,
        duplicate=duplicate,
        wrong_sex=wrong_sex,
    )


def _batches(case: NDArray[np.bool_], rng: np.random.Generator) -> dict[str, NDArray[np.str_]]:
    """Batches of equal size in random order, but for RNA, where the cases were sequenced first."""
    n = len(case)
    batch = {layer: rng.permutation(np.resize(names, n)) for layer, names in BATCHES.items()}
    chance = np.where(case[:, None], CONFOUNDED, CONFOUNDED[::-1])
    drawn = (rng.random((n, 1)) > chance.cumsum(axis=1)).sum(axis=1)
    batch["rna"] = np.array(BATCHES["rna"])[np.minimum(drawn, 2)]
    return batch


def _present(patients: Patients, rng: np.random.Generator, keep: set[int]) -> dict[str, NDArray[np.bool_]]:
    """Metabolites lack a third of the patients, more of them in the west, where plasma was seldom stored."""
    n = len(patients.labels)
    present = {layer: np.ones(n, dtype=bool) for layer in LAYERS}
    site = patients.clinical["site"].to_numpy()
    weight = np.where(site == "west", 3.0, 1.0)
    present["metabolite"][rng.choice(n, n // 3, replace=False, p=weight / weight.sum())] = False
    unkept = np.array([i for i in range(n) if i not in keep])
    present["methylation"][rng.choice(unkept, 4, replace=False)] = False
    return present


def describe(patients: Patients, plan: Plan) -> dict[str, Any]:
    """Return the truth as plain values, ready for JSON."""
    label = patients.labels.tolist()
    owner = {
        layer: {label[i]: label[j] for i, j in enumerate(owners) if i != j}
        for layer, owners in plan.owner.items()
        if layer in (SWAPPED_LAYER, CYCLE_LAYER)
    }
    first, copied = plan.duplicate
    return {
        "subtype": {label[i]: int(s) for i, s in enumerate(patients.subtype)},
        "owner": owner,
        "duplicates": [{"layer": DUPLICATE_LAYER, "label": label[first], "copy_of": label[copied]}],
        "sex_mismatch": [label[plan.wrong_sex]],
        "true_sex": {label[plan.wrong_sex]: "female" if patients.female[plan.wrong_sex] else "male"},
        "failed_libraries": {"rna": sorted(label[i] for i in plan.failed)},
        "failure_kind": {"rna": {label[i]: kind for i, kind in sorted(plan.failed.items())}},
        "missing_layer": {
            layer: [label[i] for i in np.flatnonzero(~present)]
            for layer, present in plan.present.items()
            if not present.all()
        },
        "batch": {
            "confounded": {"layer": "rna", "with": "disease"},
            "table": pd.crosstab(plan.batch["rna"], patients.clinical["disease"].to_numpy()).to_dict("index"),
        },
    }
