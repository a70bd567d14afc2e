"""Late integration: combining, folds, missing layers, intervals, leaks, and the world in which it must win."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import log_loss, r2_score, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RepeatedStratifiedKFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from reference_impl.integration.early import EarlyIntegration, side_by_side
from reference_impl.integration.late import (
    LateIntegration,
    average_predictions,
    corrected_interval,
    out_of_fold,
    repeated_cross_validation,
    skill_weights,
    stacking_features,
)
from reference_impl.integration.leaks import leak_experiment, nested_predictions, stacking_losses
from reference_impl.integration.simulated import simulate_complementary
from tests.reference.test_early import peak_of


@pytest.fixture
def layers():
    rng = np.random.default_rng(2)
    samples = [f"P{i:02d}" for i in range(60)]
    signal = (np.arange(60) % 2)[:, None]
    return {
        "rna": pd.DataFrame(rng.normal(size=(60, 6)) + signal, samples),
        "protein": pd.DataFrame(rng.normal(size=(60, 4)) + 0.5 * signal, samples),
    }


@pytest.fixture
def y(layers):
    return pd.Series(np.arange(60) % 2, index=layers["rna"].index)


def columns(start, stop):
    return ColumnTransformer([("own", "passthrough", slice(start, stop))])


# --- combining -------------------------------------------------------------------------------------------------------


def test_average_of_all_layers_is_numpys_average():
    rng = np.random.default_rng(0)
    told = rng.random((3, 10, 4))
    assert_allclose(average_predictions(list(told), [1, 2, 5]), np.average(told, axis=0, weights=[1, 2, 5]))


def test_average_does_not_care_about_the_sum_of_weights_or_the_order():
    rng = np.random.default_rng(1)
    told = {name: np.where(rng.random(12) < 0.3, np.nan, rng.random(12)) for name in "abc"}
    first = average_predictions(told, {"a": 1, "b": 2, "c": 3})
    again = average_predictions(dict(reversed(told.items())), {"c": 0.3, "a": 0.1, "b": 0.2})
    assert_allclose(first, again)


def test_skill_of_classes_is_log_loss_saved():
    rng = np.random.default_rng(3)
    y = rng.permutation(np.repeat([0, 1, 2], [20, 10, 5]))
    told = {name: 0.5 * np.eye(3)[y] + 0.5 * rng.dirichlet(np.ones(3), 35) for name in ("a", "b")}
    share = np.bincount(y) / len(y)
    skill = [1 - log_loss(y, table) / log_loss(y, np.tile(share, (35, 1))) for table in told.values()]
    assert_allclose(skill_weights(told, y), np.array(skill) / np.sum(skill))


def test_skill_of_values_is_r_squared():
    rng = np.random.default_rng(4)
    y = rng.normal(size=50)
    told = {"a": y + rng.normal(size=50) / 2, "b": y + rng.normal(size=50) / 3}
    skill = [r2_score(y, values) for values in told.values()]
    assert_allclose(skill_weights(told, y), np.array(skill) / np.sum(skill))


def test_no_skill_anywhere_weighs_alike():
    y = np.arange(10) % 2
    wrong = 1 - np.eye(2)[y]
    assert_allclose(skill_weights({"a": wrong, "b": wrong, "c": wrong}, y), 1 / 3)


def test_what_cannot_be_combined_is_refused():
    told = {"rna": np.full((4, 2), 0.5), "protein": np.full((4, 2), 0.5)}
    cases = [
        (lambda: average_predictions({}), "predictions is empty"),
        (lambda: average_predictions(told | {"rna": np.ones(4)}), r"rna has \(4,\), protein has \(4, 2\)"),
        (lambda: average_predictions(told, {"rna": 1}), "weights are of rna and predictions of rna, protein"),
        (lambda: average_predictions(told, {"rna": 1, "protein": np.nan}), "weight of protein must be"),
        (lambda: average_predictions(told, [0, 0]), "all weights are 0"),
        (lambda: average_predictions(told, [1]), "2 weights are needed"),
        (lambda: skill_weights(told, [0, 1, 1]), "the predictions of rna are of 4 samples and y has shape"),
        (lambda: skill_weights(told, [0, 1, 2, 0]), "the predictions of rna are of 2 classes and y has 3"),
        (lambda: skill_weights(told | {"protein": np.full((4, 2), np.nan)}, [0, 1, 0, 1]), "prediction of protein"),
        (lambda: stacking_features(told, [1 / 3] * 3), "expected has 3 numbers and the predictions of rna 2"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
    first, second = (pd.Series([0.1, 0.2], index=index) for index in (["P1", "P2"], ["P2", "P1"]))
    with pytest.raises(ValueError, match="predictions of b are of other samples than those of a"):
        average_predictions({"a": first, "b": second})


# --- folds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", [GaussianNB(), KNeighborsClassifier(3), LogisticRegression()])
def test_out_of_fold_is_cross_val_predict(learner):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(45, 4)), np.array(["a", "c", "b"])[np.arange(45) % 3]
    folds = StratifiedKFold(5, shuffle=True, random_state=1)
    assert_allclose(
        out_of_fold(learner, x, y, cv=folds), cross_val_predict(learner, x, y, cv=folds, method="predict_proba")
    )


def test_out_of_fold_values_are_cross_val_predict():
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    assert_allclose(out_of_fold(Ridge(), x, y, cv=KFold(6)), cross_val_predict(Ridge(), x, y, cv=KFold(6)))


def test_bad_folds_are_refused():
    x, y, all_rows = np.zeros((6, 1)), np.array([0, 0, 0, 1, 1, 1]), np.arange(6)
    first, second = all_rows[:3], all_rows[3:]
    cases = [
        ([(second, first)], "the sample in row 3 is in 0"),
        ([(second, first), (first, second), (first, second[:1])], "the sample in row 3 is in 2"),
        ([(all_rows, first), (first, second)], "row 0 is in the training and the test part"),
        ([(second, first), (first, second)], "a training fold has no sample of class 0"),
    ]
    for folds, words in cases:
        with pytest.raises(ValueError, match=words):
            out_of_fold(GaussianNB(), x, y, cv=folds)


# --- the estimator ---------------------------------------------------------------------------------------------------


def test_average_is_the_soft_vote_of_scikit_learn(layers, y):
    x = side_by_side(layers).to_numpy()
    votes = [(name, make_pipeline(columns(*part), GaussianNB())) for name, part in (("a", (0, 6)), ("b", (6, 10)))]
    expected = VotingClassifier(votes, voting="soft").fit(x, y).predict_proba(x)
    assert_allclose(LateIntegration(GaussianNB()).fit(layers, y).predict_proba(layers), expected)


def test_stacking_is_the_stacking_classifier_of_scikit_learn(layers, y):
    x, folds = side_by_side(layers).to_numpy(), StratifiedKFold(4)
    parts = [(name, make_pipeline(columns(*part), GaussianNB())) for name, part in (("a", (0, 6)), ("b", (6, 10)))]
    expected = StackingClassifier(parts, LogisticRegression(), cv=folds, stack_method="predict_proba").fit(x, y)
    ours = LateIntegration(GaussianNB(), "stacking", cv=folds).fit(layers, y)
    assert_allclose(ours.predict_proba(layers), expected.predict_proba(x), rtol=1e-6)


def test_weights_are_the_skill_out_of_fold(layers, y):
    model = LateIntegration(GaussianNB(), "weighted", cv=StratifiedKFold(4)).fit(layers, y)
    told = {name: out_of_fold(GaussianNB(), table, y, cv=StratifiedKFold(4)) for name, table in layers.items()}
    assert_allclose(model.weights_, skill_weights(told, y))
    assert model.weights_["rna"] > model.weights_["protein"]


def test_a_missing_layer_leaves_the_others_to_answer(layers, y):
    """Learners see the samples that have their layer; a sample without one is judged by the others alone."""
    layers["protein"] = layers["protein"].drop(["P03", "P10", "P11"])
    order = side_by_side(layers).index
    model = LateIntegration(GaussianNB()).fit(layers, y.loc[order])
    alone = GaussianNB().fit(layers["rna"].to_numpy(), y)
    assert_allclose(model.predict_proba(layers)[[3, 10]], alone.predict_proba(layers["rna"].to_numpy())[[3, 10]])
    own = GaussianNB().fit(layers["protein"].to_numpy(), y.loc[layers["protein"].index])
    assert_allclose(model.estimators_["protein"].theta_, own.theta_)
    only = model.predict_proba({"protein": layers["protein"]})
    assert_allclose(only, own.predict_proba(layers["protein"].to_numpy()))


@pytest.mark.parametrize("combine", ["average", "weighted", "stacking"])
def test_missing_layers_go_through_every_combination(layers, y, combine):
    for name, gone in (("rna", ["P01", "P02"]), ("protein", ["P05", "P20", "P21"])):
        layers[name].loc[gone] = np.nan
    model = LateIntegration(GaussianNB(), combine).fit(layers, y)
    found = model.predict_proba(layers)
    assert_allclose(found.sum(axis=1), 1)
    assert model.score(layers, y) > 0.7
    assert cross_val_score(model, side_by_side(layers), y, cv=3, scoring="roc_auc").mean() > 0.7


def test_a_layer_without_weight_answers_where_no_other_can():
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    layers = {"rna": rng.normal(size=(80, 3)) + 2 * y[:, None], "noise": rng.normal(size=(80, 30))}
    model = LateIntegration(GaussianNB(), "weighted").fit(layers, y)
    assert model.weights_["noise"] == 0
    alone = {"rna": np.full((1, 3), np.nan), "noise": np.zeros((1, 30))}
    assert_allclose(model.predict_proba(alone), model.estimators_["noise"].predict_proba(np.zeros((1, 30))))


def test_values_are_combined_too():
    rng = np.random.default_rng(7)
    layers = {"rna": rng.normal(size=(60, 3)), "protein": rng.normal(size=(60, 2))}
    y = layers["rna"][:, 0] + layers["protein"][:, 0]
    for combine in ("average", "weighted", "stacking"):
        model = LateIntegration(LinearRegression(), combine).fit(layers, y)
        assert is_regressor(model)
        assert not hasattr(model, "predict_proba")
        assert model.score(layers, y) > 0.7
    stacked = LateIntegration(LinearRegression(), "stacking", final_estimator=LinearRegression()).fit(layers, y)
    assert stacked.score(layers, y) > 0.95  # the sum of both, where the mean has half of each


def test_words_as_labels_and_three_classes():
    rng = np.random.default_rng(8)
    y = np.array(["mild", "none", "severe"])[np.arange(60) % 3]
    layers = {
        "rna": rng.normal(size=(60, 4)) + 2 * (y == "mild")[:, None],
        "protein": rng.normal(size=(60, 4)) + 2 * (y == "none")[:, None],
    }
    for combine in ("average", "weighted", "stacking"):
        model = LateIntegration(GaussianNB(), combine).fit(layers, y)
        assert_array_equal(model.classes_, ["mild", "none", "severe"])
        assert set(model.predict(layers)) <= set(y)
        assert model.score(layers, y) > 0.8


def test_parameters_of_each_layers_learner_can_be_searched(layers, y):
    learners = {"rna": LogisticRegression(), "protein": KNeighborsClassifier()}
    model = LateIntegration(learners)
    grid = {
        "rna__C": [0.1, 1.0],
        "protein": [GaussianNB(), KNeighborsClassifier(3)],
        "combine": ["average", "weighted"],
    }
    search = GridSearchCV(model, grid, cv=3).fit(side_by_side(layers), y)
    assert set(search.best_params_) == set(grid)
    assert learners["rna"].C == 1.0
    assert isinstance(learners["protein"], KNeighborsClassifier)
    for_all = GridSearchCV(LateIntegration(LogisticRegression()), {"estimators__C": [0.1, 1.0]}, cv=3)
    assert for_all.fit(side_by_side(layers), y).best_score_ > 0.7


def test_clones_and_pickles_predict_alike(layers, y):
    model = LateIntegration(
        {"rna": LogisticRegression(), "protein": DecisionTreeClassifier(random_state=0)}, "stacking"
    )
    fitted = clone(model).fit(layers, y)
    assert not hasattr(model, "estimators_")
    assert is_classifier(model)
    assert_allclose(pickle.loads(pickle.dumps(fitted)).predict_proba(layers), fitted.predict_proba(layers))
    assert_allclose(clone(fitted).fit(layers, y).predict_proba(layers), fitted.predict_proba(layers))


def test_errors_name_layer_sample_and_parameter(layers, y):
    def refused(words, model, tables=layers, outcome=y):
        with pytest.raises(ValueError, match=words):
            model.fit(tables, outcome)

    refused("combine must be one of average, weighted, stacking; got 'vote'", LateIntegration(combine="vote"))
    refused("estimators are of rna and layers of rna, protein", LateIntegration({"rna": GaussianNB()}))
    mixed = {"rna": GaussianNB(), "protein": Ridge()}
    refused("all classifiers or all regressors", LateIntegration(mixed))
    refused(
        "the learner of protein, SVC, gives no probabilities", LateIntegration({"rna": GaussianNB(), "protein": SVC()})
    )
    refused(r"the layers have 60 samples and y has shape \(59,\)", LateIntegration(), outcome=y[:-1])
    refused("row 0 is sample 'P00' in the layers and 'P59' in y", LateIntegration(), outcome=y[::-1])
    holed = layers | {"protein": layers["protein"].copy()}
    holed["protein"].iloc[7, 2] = np.nan
    refused("protein has gaps inside sample 'P07'", LateIntegration(), holed)
    nobody = {name: table.copy() for name, table in layers.items()}
    for table in nobody.values():
        table.loc["P09"] = np.nan
    refused("sample 'P09' has no layer", LateIntegration(), nobody)
    one_sided = layers | {"protein": layers["protein"][y == 1]}
    refused(
        "protein: no training sample of class 0 has this layer",
        LateIntegration(),
        one_sided,
        y.loc[side_by_side(one_sided).index],
    )
    refused("rna: The 'C' parameter", LateIntegration(LogisticRegression(C=-1.0)))
    few = layers | {"protein": layers["protein"].iloc[:5]}
    refused("protein: ", LateIntegration(GaussianNB(), "weighted"), few)
    fitted = LateIntegration(GaussianNB()).fit(layers, y)
    with pytest.raises(ValueError, match="the model has no layer 'lipid'; it was fitted to rna, protein"):
        fitted.predict(layers | {"lipid": layers["rna"]})
    with pytest.raises(ValueError, match="the features of rna are not those"):
        fitted.predict({"rna": layers["rna"].iloc[:, ::-1]})
    with pytest.raises(NotFittedError):
        LateIntegration().predict(layers)


def test_a_learner_that_did_not_converge_is_named(layers, y):
    learners = {"rna": LogisticRegression(), "protein": LogisticRegression(max_iter=1)}
    with pytest.warns(ConvergenceWarning, match=r"protein: (.|\n)*max_iter") as heard:
        LateIntegration(learners, "stacking").fit(layers, y)
    assert not any("rna: " in str(warning.message) for warning in heard)


def test_peak_memory_is_what_the_docstring_says():
    rng = np.random.default_rng(0)
    layers = {name: rng.normal(size=(60, 20_000)) for name in ("rna", "protein")}
    y = np.arange(60) % 2
    LateIntegration(GaussianNB(), "stacking").fit({"rna": rng.normal(size=(20, 2))}, np.arange(20) % 2)  # imports
    peak = peak_of(lambda: LateIntegration(DecisionTreeClassifier(max_depth=1), "stacking").fit(layers, y), layers)
    assert peak < 3.6, peak


# --- repeated cross-validation ---------------------------------------------------------------------------------------


def test_repeated_cross_validation_is_scikit_learns_with_a_corrected_interval(layers, y):
    model, table = EarlyIntegration(), side_by_side(layers)
    scores, summary = repeated_cross_validation(model, layers, y, n_splits=4, n_repeats=3)
    folds = RepeatedStratifiedKFold(n_splits=4, n_repeats=3, random_state=0)
    expected = cross_val_score(model, table, y, cv=folds, scoring="roc_auc")
    assert_allclose(scores, expected)
    assert scores.index.names == ["repeat", "fold"]
    assert_allclose(summary, corrected_interval(expected, n_train=45, n_test=15))


def test_repeated_cross_validation_refuses(layers, y):
    with pytest.raises(ValueError, match="n_splits must be a whole number of at least 2"):
        repeated_cross_validation(EarlyIntegration(), layers, y, n_splits=1)
    with pytest.raises(ValueError, match=r"y has shape \(59,\)"):
        repeated_cross_validation(EarlyIntegration(), layers, y[:-1])
    with pytest.raises(ValueError, match="scoring"):
        repeated_cross_validation(EarlyIntegration(), layers, y, scoring="beauty")


@pytest.mark.slow
def test_corrected_intervals_hold_the_truth_and_usual_ones_do_not():
    """150 studies of 60 patients, 10 times 5 folds of a rule whose true AUC has a closed form."""
    rng = np.random.default_rng(8)
    shift, group = np.full(8, 0.35), np.arange(60) % 2
    all_scores, truth = [], []
    for study in range(150):
        x = rng.normal(size=(60, 8)) + np.outer(group, shift)
        scores = []
        for train, test in RepeatedStratifiedKFold(n_splits=5, n_repeats=10, random_state=study).split(x, group):
            direction = x[train][group[train] == 1].mean(axis=0) - x[train][group[train] == 0].mean(axis=0)
            score = x[test] @ direction
            scores.append((np.subtract.outer(score[group[test] == 1], score[group[test] == 0]) > 0).mean())
            truth.append(norm.cdf(direction @ shift / np.linalg.norm(direction) / np.sqrt(2)))
        all_scores.append(np.array(scores))
    mean = np.mean(truth)
    usual = np.mean([abs(s.mean() - mean) < 1.96 * s.std(ddof=1) / np.sqrt(50) for s in all_scores])
    found = [corrected_interval(s, n_train=48, n_test=12) for s in all_scores]
    corrected = np.mean([interval["low"] < mean < interval["high"] for interval in found])
    assert usual < 0.75
    assert corrected > 0.85


# --- leaks -----------------------------------------------------------------------------------------------------------


def test_nested_predictions_are_those_of_a_pipeline():
    rng = np.random.default_rng(9)
    y = np.arange(40) % 2
    x = rng.normal(size=(40, 30)) + 0.4 * y[:, None]
    x[rng.random(x.shape) < 0.1] = np.nan
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    steps = make_pipeline(SimpleImputer(), SelectKBest(k=6), StandardScaler(), LogisticRegression())
    expected = cross_val_predict(steps, x, y, cv=folds, method="predict_proba")[:, 1]
    assert_allclose(nested_predictions(LogisticRegression(), x, y, n_kept=6, cv=folds), expected)


@pytest.mark.slow
def test_leaks_that_use_labels_are_large_and_the_others_small():
    """On pure noise, over 10 tables: means of AUC with the leak and with its cure."""
    runs = [leak_experiment(n_samples=60, n_features=150, rng=np.random.default_rng(seed)) for seed in range(10)]
    mean = pd.concat(runs).groupby(level=0).mean()
    for leak in ("selection", "imputation with y", "stacking"):
        assert mean.loc[leak, "leaky"] > 0.7, leak
        assert all(run.loc[leak, "leaky"] > 0.6 for run in runs), leak
    # the standard error of a mean of 10 AUCs of 60 samples is about 0.025
    assert (abs(mean["cured"] - 0.5) < 0.1).all()
    for leak in ("scaling", "imputation"):
        assert abs(mean.loc[leak, "leaky"] - mean.loc[leak, "cured"]) < 0.02, leak


def test_a_stack_on_in_fold_predictions_is_too_sure():
    """On new samples of pure noise it costs more than always saying one half; out of fold it costs about that."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        layers, new = ({name: rng.normal(size=(n, 150)) for name in ("rna", "protein")} for n in (60, 400))
        losses = stacking_losses(layers, rng.permutation(np.arange(60) % 2), new, np.arange(400) % 2)
        assert losses["in_fold"] > losses["out_of_fold"] + 0.05, seed
        assert losses["in_fold"] > np.log(2) + 0.05, seed


@pytest.mark.slow
def test_complementary_layers_are_better_integrated_late():
    """A learner for each layer beats every learner on the wide table, on the mean by 0.04 and nearly always."""
    linear = LogisticRegression(C=0.002, max_iter=2000)
    forest = RandomForestClassifier(60, random_state=0)
    rivals = [EarlyIntegration(), EarlyIntegration(forest), EarlyIntegration(SVC()), EarlyIntegration(SVC(), "none")]
    differences = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        (layers, y), (new, new_y) = simulate_complementary(200, rng=rng), simulate_complementary(2000, rng=rng)
        model = LateIntegration({"rna": linear, "metabolite": forest}).fit(layers, y)
        late = roc_auc_score(new_y, model.predict_proba(new)[:, 1])
        early = []
        for rival in rivals:
            fitted = rival.fit(layers, y)
            told = (
                fitted.decision_function(new)
                if hasattr(fitted, "decision_function")
                else fitted.predict_proba(new)[:, 1]
            )
            early.append(roc_auc_score(new_y, told))
        differences.append(late - max(early))
    assert min(differences) > 0, differences
    assert np.mean(differences) > 0.03, differences


def test_warnings_of_other_kinds_pass_unchanged(layers, y):
    class Chatty(GaussianNB):
        def fit(self, x, y):
            warnings.warn("hello", UserWarning, stacklevel=1)
            return super().fit(x, y)

    with pytest.warns(UserWarning, match=r"^hello$"):
        LateIntegration(Chatty()).fit(layers, y)
