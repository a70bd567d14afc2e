"""Unit 01 on a cohort of another seed: its solution finds who was lost, and what pairing buys there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from course.checking.solution import run_solution
from course.paths import solution_notebook
from course.simulation import freeze_cohort, simulate_cohort


@pytest.mark.slow
def test_the_lesson_finds_who_lacks_a_layer(tmp_path: Path) -> None:
    cohort, truth = simulate_cohort(104)
    freeze_cohort(cohort, tmp_path / "cohort")
    found = run_solution(solution_notebook("01_layers_and_design", "en"), cohort=tmp_path / "cohort")
    lost = set().union(*truth["missing_layer"].values())
    is_lost = pd.Series(cohort.clinical.index.isin(lost), index=cohort.clinical.index)
    assert dict(found["lost_share"]) == pytest.approx(is_lost.groupby(cohort.clinical["site"]).mean().to_dict())
    needed = found["patients_needed"]
    assert 2 <= needed["paired"] < needed["unpaired"]  # transcript and protein of one gene go together: pairing wins
