"""Early integration: scales, the estimator's manners, and the world in which it must win."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC
from sklearn.utils import estimator_checks

from reference_impl.integration.early import (
    SCALINGS,
    BlockScaler,
    EarlyIntegration,
    block_scale,
    concatenate_blocks,
    first_singular_value,
    side_by_side,
)
from reference_impl.integration.late import LateIntegration
from reference_impl.integration.simulated import simulate_interaction


@pytest.fixture
def layers():
    rng = np.random.default_rng(1)
    samples = [f"P{i:02d}" for i in range(40)]
    return {
        "rna": pd.DataFrame(rng.normal(5, 3, (40, 12)), samples, [f"g{j}" for j in range(12)]),
        "protein": pd.DataFrame(rng.normal(-2, 0.5, (40, 5)), samples, [f"q{j}" for j in range(5)]),
    }


@pytest.fixture
def y(layers):
    return (layers["rna"]["g0"] + 6 * layers["protein"]["q0"] > -7).astype(int)


# --- scales ----------------------------------------------------------------------------------------------------------


def test_root_p_gives_every_block_total_variance_one(layers):
    together = concatenate_blocks(layers, scaling="sqrt_p")
    for name in layers:
        block = together[[column for column in together if column.startswith(f"{name}:")]]
        assert_allclose(block.var(ddof=1).sum(), 1)
        assert_allclose(block.mean(), 0, atol=1e-12)


def test_mfa_gives_every_block_a_first_component_of_variance_one(layers):
    together = concatenate_blocks(layers, scaling="mfa")
    for name in layers:
        block = together[[column for column in together if column.startswith(f"{name}:")]]
        assert_allclose(PCA(1).fit(block).explained_variance_, 1)


def test_mfa_of_copies_and_of_independent_features_in_closed_form():
    """p copies of a feature have a first component of variance p; orthogonal features one of variance 1."""
    rng = np.random.default_rng(0)
    copies = np.repeat(rng.normal(size=(20, 1)), 9, axis=1)
    assert_allclose(block_scale(copies, "mfa")[1], 3 * copies.std(axis=0, ddof=1))
    orthogonal = np.linalg.qr(rng.normal(size=(20, 4)) - rng.normal(size=(20, 4)).mean())[0]
    orthogonal = np.linalg.qr(orthogonal - orthogonal.mean(axis=0))[0]
    assert_allclose(block_scale(orthogonal, "mfa")[1], orthogonal.std(axis=0, ddof=1))


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (2, 5), (5, 1)])
def test_largest_singular_value_is_numpys(shape):
    x = np.random.default_rng(3).normal(size=shape)
    x -= x.mean(axis=0)  # a vector of ones is in the null space then, where a search could start and find nothing
    assert_allclose(first_singular_value(x), np.linalg.norm(x, 2))


def test_scales_without_block_number_are_those_of_scikit_learn(layers):
    scaled = BlockScaler("none").fit_transform(layers)
    expected = StandardScaler().fit_transform(side_by_side(layers).to_numpy()) * np.sqrt(39 / 40)  # ddof 1, not 0
    assert_allclose(scaled, expected)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_scaler_and_function_agree(layers, scaling):
    scaler = BlockScaler(scaling).fit(layers)
    together = concatenate_blocks(layers, scaling=scaling)
    assert_allclose(scaler.transform(layers), together)
    assert_array_equal(scaler.get_feature_names_out(), together.columns)


def test_units_do_not_matter_and_scales_come_from_training_samples(layers):
    grams = layers | {"rna": 1000 * layers["rna"] - 7}
    assert_allclose(concatenate_blocks(grams), concatenate_blocks(layers))
    train, new = ({k: t.iloc[rows] for k, t in layers.items()} for rows in (slice(20), slice(20, None)))
    far = new | {"rna": new["rna"] + 1000}
    assert_allclose(BlockScaler().fit(train).centre_, BlockScaler().fit(train).centre_)
    assert BlockScaler().fit(train).transform(far)[:, :12].mean() > 10  # not centred by what it did not learn from


def test_constant_features_become_zero():
    x = np.column_stack([np.full(7, 0.1), np.arange(7.0)])
    for scaling in SCALINGS:
        scaled = concatenate_blocks([x], scaling=scaling)
        assert_allclose(scaled[:, 0], 0, atol=1e-12)
        assert np.isfinite(scaled).all()


def test_gaps_become_the_training_mean(layers):
    layers["protein"].iloc[3] = np.nan
    scaled = BlockScaler(missing="mean").fit_transform(layers)
    assert_array_equal(scaled[3, 12:], 0)
    without = layers["protein"].drop("P03")
    assert_allclose(BlockScaler("none", "mean").fit(layers).centre_[12:], without.mean())


# --- the estimator ---------------------------------------------------------------------------------------------------


def test_equal_to_a_pipeline_of_scaler_and_learner(layers, y):
    table, folds = side_by_side(layers), StratifiedKFold(4)
    ours = cross_val_predict(EarlyIntegration(SVC()), table, y, cv=folds, method="decision_function")
    pipeline = make_pipeline(BlockScaler(), SVC())
    assert_allclose(ours, cross_val_predict(pipeline, table, y, cv=folds, method="decision_function"))


def test_a_dict_and_one_table_are_the_same(layers, y):
    model = EarlyIntegration().fit(layers, y)
    again = EarlyIntegration().fit(side_by_side(layers), y)
    assert_allclose(model.predict_proba(layers), again.predict_proba(side_by_side(layers)))
    arrays = {name: table.to_numpy() for name, table in layers.items()}
    assert_allclose(EarlyIntegration().fit(arrays, y.to_numpy()).predict_proba(arrays), model.predict_proba(layers))


def test_trees_do_not_care_about_block_scaling(layers, y):
    found = [
        EarlyIntegration(RandomForestClassifier(20, random_state=0), scaling).fit(layers, y).predict_proba(layers)
        for scaling in ("none", "sqrt_p")
    ]
    assert_allclose(found[0], found[1])


def test_grid_search_over_learner_and_scaling(layers, y):
    grid = {"estimator__C": [0.1, 10.0], "scaling": ["none", "mfa"]}
    search = GridSearchCV(EarlyIntegration(LogisticRegression(max_iter=5000)), grid, cv=3).fit(side_by_side(layers), y)
    assert set(search.best_params_) == set(grid)
    assert search.best_score_ > 0.7
    assert len(search.cv_results_["params"]) == 4


@pytest.mark.parametrize(
    "learner",
    [
        SGDClassifier(loss="log_loss", penalty="elasticnet", alpha=0.01, random_state=0),
        RandomForestClassifier(30, random_state=0),
        SVC(),
    ],
    ids=["elastic net", "forest", "svm"],
)
def test_learners_of_the_course_fit(layers, y, learner):
    model = EarlyIntegration(learner).fit(layers, y)
    assert model.score(layers, y) > 0.8
    assert hasattr(model, "predict_proba") == hasattr(learner, "predict_proba")


def test_regressors_are_regressors(layers):
    target = layers["rna"]["g0"] * 2 + 1
    model = EarlyIntegration(LinearRegression()).fit(layers, target)
    assert_allclose(model.predict(layers), target)
    assert model.score(layers, target) > 0.999
    assert not hasattr(model, "predict_proba")


@pytest.mark.parametrize("model", [BlockScaler(), EarlyIntegration(), EarlyIntegration(SVC()), LateIntegration()])
def test_manners_of_scikit_learn(model):
    """The checks of scikit-learn that do not feed a plain matrix: our models take layers."""
    name = type(model).__name__
    for check in (
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
    ):
        check(name, clone(model))


def test_fitting_changes_neither_parameters_nor_input(layers, y):
    learner, before = LogisticRegression(), {name: table.copy() for name, table in layers.items()}
    model = EarlyIntegration(learner)
    assert model.fit(layers, y) is model
    assert not hasattr(learner, "coef_")
    assert model.estimator is learner
    for name, table in layers.items():
        pd.testing.assert_frame_equal(table, before[name])


# --- what is refused -------------------------------------------------------------------------------------------------


def test_errors_name_layer_sample_feature_and_parameter(layers, y):
    def refused(words, change=None, outcome=y, **parameters):
        broken = {name: table.copy() for name, table in layers.items()}
        if change is not None:
            change(broken)
        with pytest.raises(ValueError, match=words):
            EarlyIntegration(**parameters).fit(broken, outcome)

    def hole(tables):
        tables["protein"].loc["P07", "q2"] = np.nan

    def endless(tables):
        tables["protein"].loc["P07", "q2"] = np.inf

    def text(tables):
        tables["rna"]["g3"] = "high"

    def rare(tables):
        tables["protein"].loc["P01":, "q1"] = np.nan

    def twice(tables):
        tables["rna"].columns = ["g0", *tables["rna"].columns[:-1]]

    refused("sample 'P07' has no value for 'q2' of protein", hole)
    refused("sample 'P07' has an infinite value of 'q2' in protein", endless)
    refused("feature 'g3' of rna is not numeric", text)
    refused("fewer than 2 training samples have feature 'q1' of protein", rare, missing="mean")
    refused("rna has the column label 'g0' twice", twice)
    refused("scaling must be one of none, sqrt_p, mfa; got 'pca'", scaling="pca")
    refused('missing must be "error" or "mean"; got \'drop\'', missing="drop")
    refused(r"the layers have 40 samples and y has shape \(39,\)", outcome=y[:-1])
    refused("row 0 is sample 'P00' in the layers and 'P39' in y", outcome=y[::-1])
    refused("y has no value for sample 'P04'", outcome=y.astype(float).where(y.index != "P04"))


def test_new_samples_must_have_the_same_features(layers, y):
    model = EarlyIntegration().fit(layers, y)
    with pytest.raises(ValueError, match="feature 'q9' of protein was not there"):
        model.predict(layers | {"protein": layers["protein"].rename(columns={"q0": "q9"})})
    with pytest.raises(ValueError, match="feature 'q0' of protein is missing"):
        model.predict(layers | {"protein": layers["protein"].drop(columns="q0")})
    with pytest.raises(ValueError, match="has no value for 'q0' of protein"):
        model.predict({"rna": layers["rna"]})
    shuffled = {"protein": layers["protein"].iloc[:, ::-1], "rna": layers["rna"]}
    assert_allclose(model.predict_proba(shuffled), model.predict_proba(layers))
    with pytest.raises(NotFittedError):
        EarlyIntegration().predict(layers)


def test_a_learner_that_did_not_converge_says_so(layers, y):
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        EarlyIntegration(LogisticRegression(max_iter=1)).fit(layers, y)


# --- claims of the docstrings ----------------------------------------------------------------------------------------


def peak_of(call, layers):
    """Peak memory of a call, in sizes of the layers, without what numpy and scikit-learn import."""
    size = sum(np.asarray(table).nbytes for table in layers.values())
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / size


def test_peak_memory_is_what_the_docstring_says():
    rng = np.random.default_rng(0)
    layers = {name: rng.normal(size=(60, 20_000)) for name in ("rna", "protein")}
    y = np.arange(60) % 2
    model = EarlyIntegration(SGDClassifier(max_iter=1, tol=None))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        EarlyIntegration(SGDClassifier(max_iter=1, tol=None)).fit({"rna": np.eye(4)}, [0, 1, 0, 1])  # imports
        peak = peak_of(lambda: model.fit(layers, y), layers)
    assert peak < 4.5, peak


def test_an_interaction_is_found_early_and_not_late():
    """With a learner that multiplies: never below 0.7, where late integration stays near one half."""
    products = make_pipeline(PolynomialFeatures(2), LogisticRegression(C=0.1, max_iter=2000))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        (layers, y), (new, new_y) = simulate_interaction(200, rng=rng), simulate_interaction(2000, rng=rng)
        found = roc_auc_score(new_y, EarlyIntegration(products, "none").fit(layers, y).predict_proba(new)[:, 1])
        linear = roc_auc_score(new_y, EarlyIntegration().fit(layers, y).predict_proba(new)[:, 1])
        missed = roc_auc_score(new_y, LateIntegration(products).fit(layers, y).predict_proba(new)[:, 1])
        assert found > max(missed, linear) + 0.15, seed
        assert abs(missed - 0.5) < 0.08, seed


def test_a_layer_alone_says_nothing_about_the_interaction():
    layers, y = simulate_interaction(100_000, 2, rng=np.random.default_rng(0))
    for x in layers.values():
        assert abs(roc_auc_score(y, x[:, 0]) - 0.5) < 0.01
        assert abs(roc_auc_score(y, x[:, 0] ** 2) - 0.5) < 0.01
