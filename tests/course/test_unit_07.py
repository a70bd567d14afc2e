"""Unit 07: its methods on cohorts that are not the frozen one, and its tournament beside the reference's study."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from course import paths
from course.checking.runner import load_test_file
from course.checking.solution import run_solution
from course.simulation import simulate_cohort
from reference_impl.missing import amputate, censored_regression, compare_treatments, missing_by_intensity
from reference_impl.missing.study import MECHANISMS, TREATMENTS, Gapped, simulate_patients


@pytest.mark.slow
@pytest.mark.parametrize("seed", [101, 102])
def test_the_less_sensitive_run_is_found_and_undone(seed):
    tests = load_test_file(paths.hidden_tests("07_missing_data"))
    cohort, truth = simulate_cohort(seed)
    proteins, samples = np.log2(cohort.layers["protein"]), cohort.samples["protein"]
    lowest = pd.Series({name: np.nanmin(measured.to_numpy()) for name, measured in proteins.groupby(samples["batch"])})
    weak = lowest.idxmax()
    answer = (weak, lowest[weak] - lowest.drop(weak).min())
    tests.test_the_run_that_saw_less(answer, truth)
    tests.test_how_much_it_lost(answer, truth)
    tests.test_limits_agree_with_the_manual(answer, cohort)

    assert missing_by_intensity(proteins).dropna().corr(method="spearman").iloc[0, 1] < -0.5
    often_lost = proteins.columns[proteins.isna().mean().between(0.08, 0.4)]
    in_weak = (samples["batch"] == weak).astype(float)
    recorded = (proteins[in_weak == 1].mean() - proteins[in_weak == 0].mean())[often_lost].mean()
    limit = np.log2(samples["detection_limit"])
    fits = [censored_regression(proteins[name], in_weak.to_frame(), limit) for name in often_lost]
    corrected = np.mean([fit.coefficients["batch"] for fit in fits])
    # A run shifts each protein by 0.16 · √(4/3) at random: the mean over 70 proteins or so has an error of 0.02.
    assert recorded > 0.3
    assert abs(corrected) < 0.1


# ------------------------------------------------------------ the lesson's tournament, and the reference's study


@pytest.fixture(scope="module")
def lesson() -> dict[str, Any]:
    return run_solution(paths.solution_notebook("07_missing_data", "en"))


@pytest.mark.slow
def test_the_lesson_and_the_study_treat_the_same_gaps_alike(lesson: dict[str, Any]) -> None:
    """Same patients; every treatment has the same name, estimate, standard error and degrees of freedom in both."""
    patients = simulate_patients(200, np.random.default_rng(5))
    pd.testing.assert_frame_equal(lesson["patients"](200, np.random.default_rng(5)), patients)
    assert list(lesson["treatments"]) == list(TREATMENTS)
    for mechanism in MECHANISMS:
        driver = patients["run"] if mechanism == "MAR" else None
        gaps = amputate(patients[["protein"]], mechanism, 0.3, rng=np.random.default_rng(6), driver=driver)["protein"]
        table, limit = patients.assign(protein=gaps), float(gaps.min())
        for name in TREATMENTS:
            # The lesson draws a number for every sample, the reference for every gap: equal on average only.
            drawn_apart = name == "left-censored imputation"
            seeds = range(40) if drawn_apart else [7]
            found = np.array([_both(lesson, name, table, limit, seed) for seed in seeds])
            if not drawn_apart:
                assert_allclose(found[0, 0], found[0, 1], rtol=1e-6, err_msg=f"{mechanism}, {name}")
                continue
            difference = found[:, 0, :2] - found[:, 1, :2]  # of estimates and of standard errors
            chance = difference.std(axis=0, ddof=1) / np.sqrt(len(found))
            assert (abs(difference.mean(axis=0)) < 4 * chance).all(), (mechanism, difference.mean(axis=0), chance)


def _both(lesson: dict[str, Any], name: str, table: pd.DataFrame, limit: float, seed: int) -> list[Any]:
    """Estimate, standard error and degrees of freedom, by the reference and by the lesson."""
    return [
        TREATMENTS[name](Gapped(table, limit, 10, np.random.default_rng(seed))),
        lesson["treatments"][name](table, limit, np.random.default_rng(seed)),
    ]


@pytest.mark.slow
def test_the_lesson_and_the_study_come_to_the_same_summary(lesson: dict[str, Any]) -> None:
    """Bias and coverage of every treatment under every mechanism agree within what chance leaves between two runs."""
    study = compare_treatments(n_repeats=12, rng=np.random.default_rng(8)).set_index(["mechanism", "treatment"])
    found = lesson["summary"].loc[study.index]
    assert len(found) == len(lesson["summary"]) == 30
    # 100 studies beside 12: the standard error of the difference is that of 12 studies times √(1 + 12/100).
    assert (abs(found["bias"] - study["bias"]) < 4.5 * 1.06 * study["error"]).all()
    chance = np.sqrt(np.clip(found["coverage"] * (1 - found["coverage"]), 0.02, None) / 12)
    assert (abs(found["coverage"] - study["coverage"]) < 4.5 * 1.06 * chance).all()
