"""Unit 05: its lesson finds what was planted, on other cohorts too, and its small ComBat is the reference's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from course.checking.solution import run_solution
from course.paths import TRUTH, solution_notebook
from course.simulation import freeze_cohort, simulate_cohort
from reference_impl.batch import combat, pc_association, remove_batch, spike_in_shift


def solved(folder: Path | None = None) -> dict[str, Any]:
    return run_solution(solution_notebook("05_batch_effects", "en"), cohort=folder)


def difference(table: pd.DataFrame, disease: pd.Series) -> pd.Series:
    return table[disease == "case"].mean() - table[disease == "control"].mean()


def check_found(lesson: dict[str, Any], truth: dict[str, Any]) -> None:
    """The planted confounding is named, the batch is out of the data, the disease is in them."""
    found, planted = lesson["planted_confounding"], truth["batch"]["confounded"]
    assert (found["layer"], found["with"]) == (planted["layer"], planted["with"])
    expression, corrected, disease = lesson["expression"], lesson["corrected_rna"], lesson["disease"]
    batch = lesson["batch"][expression.index]
    assert pc_association(expression, batch)["eta_squared"].max() > 0.8
    assert pc_association(remove_batch(corrected, batch), batch)["eta_squared"].max() < 1e-9
    assert pc_association(corrected, batch)["eta_squared"].max() < 0.4  # what is left is the disease's
    controls = difference(corrected, disease)[lesson["controls"].index]
    assert controls.mean() > 0.4  # inflammation raises these genes by 0.56 to 1.1, and noise takes its part
    blind = difference(lesson["blind"], disease)[lesson["controls"].index]
    assert blind.mean() < 0.92 * controls.mean()


@pytest.fixture(scope="module")
def lesson() -> dict[str, Any]:
    return solved()


def test_the_lesson_finds_what_was_planted(lesson: dict[str, Any]) -> None:
    check_found(lesson, json.loads(TRUTH.read_text(encoding="utf-8")))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [204])
def test_the_lesson_finds_what_was_planted_in_another_cohort(seed: int, tmp_path: Path) -> None:
    cohort, truth = simulate_cohort(seed)
    freeze_cohort(cohort, tmp_path / "cohort")
    check_found(solved(tmp_path / "cohort"), truth)


@pytest.mark.parametrize(
    "form", [{}, {"parametric": False}, {"mean_only": True}, {"reference": "flowcell2"}], ids=lambda form: str(form)
)
def test_small_combat_of_the_lesson_is_combat(lesson: dict[str, Any], form: dict[str, Any]) -> None:
    expression = lesson["expression"].iloc[:, :300]
    small = lesson["small_combat"](expression.to_numpy(), lesson["patient_batch"], lesson["is_case"], **form)
    right = combat(expression, lesson["batch"], covariates=lesson["disease"], **form)
    # The lesson takes 60 steps, sva stops at changes of 1e-4.
    assert_allclose(small, right, atol=1e-3)


def test_spike_in_shift_of_the_lesson_is_the_function(lesson: dict[str, Any]) -> None:
    right = spike_in_shift(lesson["spiked"], lesson["batch"], lesson["spiked"].columns)
    assert_allclose(lesson["spike_shift"], right)


def test_picture_of_the_broken_design_shows_what_the_text_says(lesson: dict[str, Any]) -> None:
    outcome = lesson["outcome"]
    assert outcome.index[-1] == pytest.approx(1)
    assert outcome["blind"].iloc[-1] == pytest.approx(0, abs=1e-9)
    assert np.isnan(outcome["kept"].iloc[-1])
    assert_allclose(outcome["blind"], 1 - outcome.index.to_numpy() ** 2, atol=0.06)
    assert (np.abs(outcome["kept"].iloc[:-1] - 1) < 0.1).all()
    assert outcome["kept, p < 0.05"].iloc[-2] > 0.3
