"""Unit 12's value exercise on cohorts that are not the frozen one: a class draws its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from course import paths
from course.checking.runner import load_test_file
from course.simulation import simulate_cohort
from reference_impl.integration import snf


@pytest.mark.slow
@pytest.mark.parametrize("seed", [101, 102, 103])
def test_fusion_finds_the_subtypes_and_no_layer_does(seed):
    tests = load_test_file(paths.hidden_tests("12_network_fusion"))
    cohort, truth = simulate_cohort(seed)
    networks = {name: snf.affinity_matrix(snf.squared_distances(tests.prepared(cohort, name))) for name in tests.LAYERS}
    subtypes = snf.spectral_clusters(snf.fuse(networks), 3, rng=np.random.default_rng(0))
    tests.test_the_true_subtypes(subtypes, truth)
    tests.test_each_subtype_has_a_cluster(subtypes, truth)
    true = pd.Series(truth["subtype"]).loc[subtypes.index]
    for name, network in networks.items():
        alone = snf.spectral_clusters(snf.full_kernel(network), 3, rng=np.random.default_rng(0))
        assert adjusted_rand_score(true, alone) < 0.7, name
