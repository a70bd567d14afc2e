"""Unit 07's value exercise, and what its methods say, on cohorts that are not the frozen one: a class draws its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from course import paths
from course.checking.runner import load_test_file
from course.simulation import simulate_cohort
from reference_impl.missing import censored_regression, missing_by_intensity


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
