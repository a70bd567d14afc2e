"""Unit 02 on cohorts of other seeds: its solution finds the people that were swapped there, the copy and the record."""

from __future__ import annotations

from pathlib import Path

import pytest

from course.checking.solution import run_solution
from course.paths import solution_notebook
from course.simulation import freeze_cohort, simulate_cohort


@pytest.mark.slow
@pytest.mark.parametrize("seed", [101])
def test_the_lesson_finds_what_was_planted(seed: int, tmp_path: Path) -> None:
    cohort, truth = simulate_cohort(seed)
    freeze_cohort(cohort, tmp_path / "cohort")
    found = run_solution(solution_notebook("02_sample_identity", "en"), cohort=tmp_path / "cohort")
    assert found["swapped_people"] == truth["owner"]
    (copy,) = truth["duplicates"]
    (wrong_sex,) = truth["sex_mismatch"]
    assert found["wrong_records"] == {"duplicate": copy["label"], "copy_of": copy["copy_of"], "wrong_sex": wrong_sex}
