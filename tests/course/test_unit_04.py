"""Unit 04 on a cohort of another seed: its solution finds what distorts libraries there, and the run that sees less."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from course.checking.solution import run_solution
from course.paths import solution_notebook
from course.simulation import freeze_cohort, simulate_cohort


def check_verdicts(scores: pd.DataFrame) -> None:
    """Every method answers the questions that the lesson says, and no other: 1 is right, by chance a little more."""
    within, depth, composition, stretch = scores.columns
    right = {
        "raw counts": [],
        "CPM": [depth],
        "TPM": [within, depth],
        "CPM with TMM": [depth, composition],
        "log-CPM": [depth],
        "log-CPM with TMM": [depth, composition],
        "raw intensities": [],
        "median scaling": [depth, composition],
        "quantile normalisation": [depth, composition, stretch],
    }
    assert scores.index.tolist() == list(right)
    for method, questions in right.items():
        answers = scores.loc[method].dropna()
        assert (answers[questions] < 1.1).all(), method
        assert (answers.drop(questions) > 1.2).all(), method


@pytest.mark.slow
def test_the_lesson_finds_what_was_planted(tmp_path: Path) -> None:
    cohort, truth = simulate_cohort(103)
    freeze_cohort(cohort, tmp_path / "cohort")
    found = run_solution(solution_notebook("04_normalization", "en"), cohort=tmp_path / "cohort")
    check_verdicts(found["scores"])
    distorting = ("mitochondrial", "degraded")
    planted = {label for label, kind in truth["failure_kind"]["rna"].items() if kind in distorting}
    assert set(found["distorted_libraries"]) == planted
    assert found["answers"]["proteins by run"].p < 1e-10
    assert found["by_run"].loc[0.05].idxmax() == truth["below_detection"]["less_sensitive"]["batch"]
