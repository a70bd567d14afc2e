"""Unit 08's value exercise, and what its lesson says, on cohorts that are not the frozen one: a class draws its own."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from course import paths
from course.checking.runner import load_test_file
from course.simulation import simulate_cohort
from reference_impl.integration import late, simulated

UNIT = "08_early_and_late"
LEARNER = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [101, 102])
def test_weights_and_new_batches_on_another_cohort(seed):
    """The weights pass the hidden tests, and RNA tells cases from controls in flow cells that were left out."""
    tests = load_test_file(paths.hidden_tests(UNIT))
    cohort, _ = simulate_cohort(seed)
    disease = (cohort.clinical["disease"] == "case").astype(int)
    folds, told = StratifiedKFold(5, shuffle=True, random_state=0), {}
    layers = {name: tests.on_log_scale(cohort, name) for name in ("methylation", "rna", "protein", "metabolite")}
    for name, table in layers.items():
        found = late.out_of_fold(LEARNER, table.to_numpy(), disease.loc[table.index], cv=folds)
        told[name] = pd.DataFrame(found, index=table.index).reindex(cohort.patients)
    weights = late.skill_weights(told, disease.loc[cohort.patients])
    tests.test_weights_of_the_cohort(weights, cohort)
    tests.test_who_knows_of_the_disease(weights)

    rna = layers["rna"]
    batch = cohort.samples["rna"]["batch"].loc[rna.index]
    y = disease.loc[rna.index]
    new = cross_val_score(LEARNER, rna.to_numpy(), y, groups=batch, cv=LeaveOneGroupOut(), scoring="roc_auc")
    assert new.min() > 0.8


def test_the_lesson_simulates_the_worlds_of_the_reference():
    """The two small simulations in the lesson draw the same patients as the tested ones of the reference."""
    text = (paths.unit_folder(UNIT) / "lesson.md").read_text(encoding="utf-8")
    namespace = {"np": np}
    for name in ("simulate_interaction", "simulate_complementary"):
        source = re.search(rf"^def {name}\(.*?\n\n\n", text, re.DOTALL | re.MULTILINE)
        assert source, name
        exec(source.group(), namespace)
        layers, y = namespace[name](50, np.random.default_rng(7))
        expected, expected_y = getattr(simulated, name)(50, rng=np.random.default_rng(7))
        assert (y == expected_y).all()
        for layer, table in expected.items():
            assert (layers[layer] == table).all()


@pytest.mark.slow
def test_confounded_batches_of_noise_deceive_shuffled_folds():
    """Section 9: with batches that differ, shuffled folds see cases in noise; a batch left out shows none."""
    shuffled, new = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        batch = np.repeat([0, 1, 2], 40)
        case = (rng.random(120) < np.array([0.85, 0.5, 0.15])[batch]).astype(int)
        x = rng.normal(size=(120, 200)) + 0.8 * rng.normal(size=(3, 200))[batch]
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        told = late.out_of_fold(LEARNER, x, case, cv=folds)[:, 1]
        shuffled.append(roc_auc_score(case, told))
        new += list(cross_val_score(LEARNER, x, case, groups=batch, cv=LeaveOneGroupOut(), scoring="roc_auc"))
    assert min(shuffled) > 0.65
    assert abs(np.mean(new) - 0.5) < 0.08
