"""Unit 11: what its lesson says holds, on another cohort than the frozen one too: a class draws its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from course import paths
from course.checking.runner import load_test_file
from course.checking.solution import run_solution
from course.simulation import freeze_cohort, simulate_cohort


def rises(bound: pd.DataFrame) -> pd.Series:
    """Gains of the bound while the number of factors stays, as shares of the bound."""
    return bound["bound"].diff()[bound["n_factors"].diff() == 0] / bound["bound"].abs().max()


def check_small_worlds(lesson: dict[str, Any]) -> None:
    """The bound falls in the wrong program only; sparsity holds the axes; stopping early leaves wrong factors."""
    agreement, measured = lesson["agreement"], lesson["measured_in_c"]
    right, wrong = lesson["right"], lesson["wrong"]
    assert agreement(right.factors[measured], lesson["true_factors"][measured]).min() > 0.95
    assert (right.shares.to_numpy() > 0.01).tolist() == [[True, True, False], [True, False, False], [True, True, True]]
    assert rises(right.bound).min() > -1e-9
    assert (rises(wrong.bound) < -1e-6).sum() >= 3
    world, truth, fit_mofa = lesson["shared_world"], lesson["shared_truth"][:, :2], lesson["fit_mofa"]
    assert agreement(fit_mofa(world, 5, select=False).factors, truth).max() < 0.95
    assert agreement(fit_mofa(world, 5).factors, truth).min() > 0.98
    by_steps = {row[0]: row[2:] for row in lesson["rows"]}
    assert min(by_steps[20]) < 0.8
    assert min(by_steps[80]) > 0.95


def check_cohort(lesson: dict[str, Any], truth: dict[str, Any]) -> None:
    """Factors of RNA alone are failed libraries, ions of shared factors can be imputed, flow cells become factors."""
    failed, suspects = set(truth["failed_libraries"]["rna"]), set(lesson["suspects"])
    assert len(suspects & failed) >= 6
    assert len(suspects - failed) <= 2
    shared = (lesson["shares"] > 0.01).sum() >= 2
    assert shared.sum() >= 2
    assert shared.mean() >= 0.5
    well_explained = lesson["in_known"] > 0.3
    assert well_explained.sum() >= 20
    assert lesson["explained"][well_explained].median() > 0.1
    assert lesson["explained"][lesson["in_known"] < 0.05].median() < 0.05
    cells = lesson["share_by_group"](lesson["broken"].factors.loc[lesson["with_batch"].index], lesson["flow_cell"])
    correlation = lesson["broken"].factors.corrwith(lesson["disease"]).abs()
    assert (cells > 0.9).sum() == 2
    assert correlation[cells > 0.9].max() > 0.75 * correlation[cells < 0.5].max()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [101])
def test_the_lesson_holds_on_another_cohort(seed: int, tmp_path: Path) -> None:
    tests = load_test_file(paths.hidden_tests("11_factor_analysis"))
    cohort, truth = simulate_cohort(seed)
    freeze_cohort(cohort, tmp_path / "cohort")
    lesson = run_solution(paths.solution_notebook("11_factor_analysis", "en"), cohort=tmp_path / "cohort")
    check_small_worlds(lesson)
    check_cohort(lesson, truth)
    tests.test_it_tells_who_runs_the_programme(lesson["risk_factor"], truth)
    tests.test_its_metabolites_are_those_of_the_programme(lesson["risk_factor"], cohort, truth)
    tests.test_it_is_no_mixture_of_programmes(lesson["risk_factor"], cohort, truth)
