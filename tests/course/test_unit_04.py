"""Unit 04 on a cohort of another seed: its solution finds what distorts libraries there, and the run that sees less."""

from __future__ import annotations

from pathlib import Path

import pytest

from course.checking.solution import run_solution
from course.paths import solution_notebook
from course.simulation import freeze_cohort, simulate_cohort


@pytest.mark.slow
def test_the_lesson_finds_what_was_planted(tmp_path: Path) -> None:
    cohort, truth = simulate_cohort(103)
    freeze_cohort(cohort, tmp_path / "cohort")
    found = run_solution(solution_notebook("04_normalization", "en"), cohort=tmp_path / "cohort")
    distorting = ("mitochondrial", "degraded")
    planted = {label for label, kind in truth["failure_kind"]["rna"].items() if kind in distorting}
    assert set(found["distorted_libraries"]) == planted
    assert found["answers"]["proteins by run"].p < 1e-10
    assert found["by_run"].loc[0.05].idxmax() == truth["below_detection"]["less_sensitive"]["batch"]
