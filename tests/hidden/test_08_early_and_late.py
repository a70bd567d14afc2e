"""Hidden tests of unit 08: inputs come from a seed that only the instructor's key knows."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from course.checking import drawn, points
from reference_impl.integration import early, late, leaks

# The same sums in another order change the last digits only.
RTOL = 1e-7
# Another route to the same maximum of a likelihood stops at 1e-4 or so.
FITTED = 2e-3


@drawn
def block(rng, n=25, p=6, missing=0.0):
    """Features of different units; some values missing."""
    x = rng.normal(rng.uniform(-5, 5, p), rng.uniform(0.2, 6, p), size=(n, p)) + rng.normal(size=(n, 1))
    return np.where(rng.random((n, p)) < missing, np.nan, x)


@drawn
def probabilities(rng, n=30, n_classes=3, layers=("rna", "protein", "metabolite"), missing=0.25):
    """Predictions of some layers, rows of NaN where a sample lacks the layer; the first sample has all."""
    found = {}
    for name in layers:
        told = rng.dirichlet(np.ones(n_classes), size=n)
        told[1:][rng.random(n - 1) < missing] = np.nan
        found[name] = told
    return found


@drawn
def classes(rng, n=40, p=3, n_classes=2):
    """A table and labels that it tells apart a little."""
    y = rng.permutation(np.arange(n) % n_classes)
    return rng.normal(size=(n, p)) + y[:, None], y


def labelled(values, prefix="P"):
    index = [f"{prefix}{i:03d}" for i in range(len(values))]
    return pd.Series(values, index=index) if np.ndim(values) == 1 else pd.DataFrame(values, index=index)


# ---------------------------------------------------------------- block_scale


@points(1)
def test_z_scores_without_a_number_of_the_block(block_scale, draw):
    """With "none" the divisors are the standard deviations with divisor n − 1, NaN left out.

    用 "none" 时，除数就是标准差（除数为 n − 1），NaN 不参与。"""
    for x in (draw.block(), draw.block(missing=0.2)):
        centre, divisor = block_scale(x, "none")
        assert_allclose(centre, np.nanmean(x, axis=0), rtol=RTOL)
        assert_allclose(divisor, np.nanstd(x, axis=0, ddof=1), rtol=RTOL)


@points(1)
def test_total_variance_of_blocks(block_scale, draw):
    """With "sqrt_p" the standard deviations are multiplied by the root of the number of features, for any number.

    用 "sqrt_p" 时，标准差乘以特征数的平方根，特征数为多少都成立。"""
    for p in (1, 4, 30):
        x = draw.block(12, p)
        assert_allclose(block_scale(x, "sqrt_p")[1], x.std(axis=0, ddof=1) * np.sqrt(p), rtol=RTOL)


@points(2)
def test_strongest_direction_has_variance_one(block_scale, draw):
    """With "mfa" the first principal component of the scaled block has variance 1, with more samples or more features.

    用 "mfa" 时，缩放后数据块的第一主成分方差为 1，无论样本多还是特征多。"""
    for n, p, missing in ((25, 6, 0.0), (8, 40, 0.0), (20, 7, 0.2)):
        x = draw.block(n, p, missing)
        found = block_scale(x, "mfa")
        assert_allclose(found[1], early.block_scale(x, "mfa")[1], rtol=1e-6)  # another route to a singular value


@points(2)
def test_a_feature_that_never_varies(block_scale, draw):
    """A feature that never varies becomes 0 and not NaN or something huge, also where all features are such.

    从不变化的特征变为 0，而不是 NaN 或巨大的数；所有特征都如此时也一样。"""
    x = np.hstack([draw.block(7, 3), np.full((7, 1), 0.1), np.full((7, 1), 5.0)])
    for scaling in early.SCALINGS:
        for table in (x, np.full((7, 2), 0.1)):
            centre, divisor = block_scale(table, scaling)
            assert_allclose(divisor, early.block_scale(table, scaling)[1], rtol=1e-6)
            assert_allclose(centre, table.mean(axis=0), rtol=RTOL)


@points(1)
def test_scales_that_cannot_be_learned(block_scale, draw):
    """An unknown scaling, and a feature with one value or none, are refused with a `ValueError`.

    缩放方式未知，或某个特征只有一个值甚至没有值时，抛出 `ValueError`。"""
    x = draw.block(6, 3)
    rare = x.copy()
    rare[1:, 2] = np.nan
    for table, scaling in ((x, "sqrt"), (rare, "none"), (x[:1], "sqrt_p")):
        with pytest.raises(ValueError, match=r"."):
            block_scale(table, scaling)
    rare[1, 2] = 0.5
    assert_allclose(block_scale(rare, "none")[1][2], np.nanstd(rare[:, 2], ddof=1))


# ---------------------------------------------------------------- average_predictions


@points(2)
def test_average_over_the_layers_a_sample_has(average_predictions, draw):
    """A missing layer has no say: the average runs over the layers that each sample has, with their weights.

    缺失的层没有发言权：每个样本只对自己具有的层按权重平均。"""
    told = draw.probabilities()
    weights = dict(zip(told, draw.rng.uniform(0.2, 3, 3), strict=True))
    assert_allclose(average_predictions(told, weights), late.average_predictions(told, weights), rtol=RTOL)


@points(1)
def test_equal_weights_for_any_number_of_layers(average_predictions, draw):
    """Without weights the result is the plain mean of the layers a sample has; a list does as well as a dict.

    不给权重时，结果是样本所具有各层的简单平均；列表与字典同样可用。"""
    told = [table[:, 0] for table in draw.probabilities(layers="abcd").values()]
    assert_allclose(average_predictions(told), np.nanmean(told, axis=0), rtol=RTOL)


@points(2)
def test_nobody_to_ask(average_predictions, draw):
    """A sample without any layer, or only with layers of weight 0, gets NaN, and no other is touched by it.

    一层都没有、或只有权重为 0 的层的样本得到 NaN，其他样本不受影响。"""
    told = draw.probabilities(12)
    told["rna"][3] = told["protein"][3] = told["metabolite"][3] = np.nan
    told["rna"][5] = told["protein"][5] = np.nan
    weights = {"rna": 1.0, "protein": 2.0, "metabolite": 0.0}
    found = np.asarray(average_predictions(told, weights))
    assert np.isnan(found[[3, 5]]).all()
    assert_allclose(found, late.average_predictions(told, weights), rtol=RTOL)


@points(1)
def test_averages_keep_labels(average_predictions, draw):
    """Series in, Series out; DataFrame in, DataFrame out, with the same labels, and what came in is not changed.

    输入 Series 返回 Series，输入 DataFrame 返回 DataFrame，标签不变；传入的数据不被修改。"""
    tables = {name: labelled(told) for name, told in draw.probabilities(9).items()}
    before = {name: table.copy() for name, table in tables.items()}
    pd.testing.assert_frame_equal(average_predictions(tables), late.average_predictions(before), rtol=RTOL)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, before[name])
    series = {name: table[1] for name, table in tables.items()}
    found = average_predictions(series)
    assert isinstance(found, pd.Series)
    assert list(found.index) == list(tables["rna"].index)


@points(1)
def test_averages_that_make_no_sense(average_predictions, draw):
    """Layers of different shape, negative weights, weights of another layer, and nothing at all: a `ValueError`.

    各层形状不同、权重为负、权重属于别的层、什么也没给：抛出 `ValueError`。"""
    told = draw.probabilities(8)
    calls = [
        ({**told, "rna": told["rna"][:-1]}, None),
        (told, {"rna": 1, "protein": -1, "metabolite": 1}),
        (told, {"rna": 1, "protein": 1, "lipid": 1}),
        ({}, None),
    ]
    for predictions, weights in calls:
        with pytest.raises(ValueError, match=r"."):
            average_predictions(predictions, weights)


# ---------------------------------------------------------------- out_of_fold


@points(2)
def test_nobody_predicts_itself(out_of_fold, draw):
    """A learner that remembers its samples knows nothing of labels drawn by lot: it has not seen those it predicts.

    会死记样本的学习器对抽签所得的标签一无所知，因为它没见过要预测的样本。"""
    x, y = draw.rng.normal(size=(60, 5)), draw.rng.permutation(np.arange(60) % 2)
    folds = KFold(6, shuffle=True, random_state=int(draw.rng.integers(1000)))
    found = np.asarray(out_of_fold(KNeighborsClassifier(1), x, y, cv=folds))
    assert_array_equal(found, late.out_of_fold(KNeighborsClassifier(1), x, y, cv=folds))


@points(2)
def test_predictions_stand_in_the_order_of_the_samples(out_of_fold, draw):
    """Folds may test the samples in any order; the predictions stand in the order of `x`, one column per sorted class.

    各折可按任意次序测试样本；预测按 `x` 的次序排列，各列按类别排序。"""
    x, y = draw.classes(36, n_classes=3)
    names = np.array(["mild", "control", "severe"])[y]
    order = draw.rng.permutation(36)
    folds = [(np.setdiff1d(order, part), part) for part in np.array_split(order, 4)]
    found = out_of_fold(GaussianNB(), x, names, cv=folds)
    assert_allclose(found, late.out_of_fold(GaussianNB(), x, names, cv=folds), rtol=RTOL, atol=1e-12)


@points(2)
def test_regressors_predict_values(out_of_fold, draw):
    """A regressor gives one value per sample; tables with labels are cut by position.

    回归器给每个样本一个数值；带标签的表按位置切分。"""
    x, _ = draw.classes(30, 4)
    y = x @ draw.rng.normal(size=4) + draw.rng.normal(size=30)
    backwards = labelled(x).iloc[::-1]
    expected = late.out_of_fold(Ridge(), x[::-1], y, cv=5)
    assert np.shape(expected) == (30,)
    assert_allclose(out_of_fold(Ridge(), backwards, y, cv=5), expected, rtol=RTOL)
    numbered = pd.DataFrame(x[::-1], index=np.arange(30)[::-1])
    outcome = pd.Series(y, index=numbered.index)
    assert_allclose(out_of_fold(Ridge(), numbered, outcome, cv=5), expected, rtol=RTOL)


@points(1)
def test_folds_that_leave_somebody_out(out_of_fold, draw):
    """Folds that never test a sample, test one twice, or train without a class, are refused with a `ValueError`.

    有样本从未被测试、有样本被测试两次、或训练时缺少某个类别的折，以 `ValueError` 拒绝。"""
    x, y = draw.classes(12)
    everybody = np.arange(12)
    halves = [everybody[:6], everybody[6:]]
    sorted_y = np.sort(y)
    for folds, outcome in (
        ([(halves[1], halves[0])], y),
        ([(halves[1], halves[0]), (halves[0], halves[1]), (halves[0], halves[1][:1])], y),
        ([(halves[1], halves[0]), (halves[0], halves[1])], sorted_y),
    ):
        with pytest.raises(ValueError, match=r"."):
            out_of_fold(GaussianNB(), x, outcome, cv=folds)


# ---------------------------------------------------------------- skill_weights


@points(3)
def test_skill_is_log_loss_saved(skill_weights, draw):
    """For classes the skill is the share of the ignorant's log-loss that is saved, also if classes are not as frequent.

    预测类别时，技能是比无知者省下的对数损失比例；各类别频数不等时也成立。"""
    y = np.array(["a", "a", "b", "c"])[draw.rng.integers(0, 4, 40)]
    y[:3] = ["a", "b", "c"]
    told = {}
    for name, sure in zip(("rna", "protein", "metabolite"), (0.85, 0.7, 0.6), strict=True):
        towards = sure * (y[:, None] == np.array(["a", "b", "c"]))
        table = towards + (1 - sure) * draw.rng.dirichlet(np.ones(3), size=40)
        table[draw.rng.random(40) < 0.2] = np.nan
        told[name] = table
    found = skill_weights(told, y)
    expected = late.skill_weights(told, y)
    assert list(found.index) == list(told)
    assert_allclose(found, expected, rtol=RTOL)


@points(2)
def test_skill_is_squared_error_saved(skill_weights, draw):
    """For values the skill is the share of the variance that is saved, over the samples that have the layer.

    预测数值时，技能是省下的方差比例，只在具有该层的样本上计算。"""
    y = draw.rng.normal(5, 3, size=30)
    told = {name: y + noise * draw.rng.normal(size=30) for name, noise in (("rna", 1.0), ("protein", 2.0))}
    told["protein"][y > np.quantile(y, 0.7)] = np.nan
    assert_allclose(skill_weights(told, y), late.skill_weights(told, y), rtol=RTOL, atol=1e-12)


@points(2)
def test_worse_than_nothing_weighs_nothing(skill_weights, draw):
    """A layer worse than the ignorant weighs 0, even if it is infinitely sure; if no layer has skill, all weigh alike.

    比无知者还差的层权重为 0，即使它百分之百自信；没有任何层有技能时，各层同等。"""
    y = draw.rng.permutation(np.arange(20) % 2)
    true = (y[:, None] == np.array([0, 1])).astype(float)
    good, wrong, worse = 0.7 * true + 0.15, 1 - true, 0.8 * (1 - true) + 0.1
    # one sure mistake among right answers costs −log(1e-15) / 20 and spoils the skill of a layer by that much
    slip = 0.9 * true + 0.05
    slip[0] = 1 - true[0]
    told = {"rna": good, "protein": wrong, "metabolite": slip}
    assert_allclose(skill_weights(told, y), late.skill_weights(told, y), rtol=RTOL, atol=1e-12)
    few = np.repeat(true[:1], 20, axis=0) * 0.6 + true * 0.2 + 0.1
    told = {"rna": good, "protein": 0.999999 * true + 5e-7, "metabolite": few}
    assert_allclose(skill_weights(told, y), late.skill_weights(told, y), rtol=RTOL, atol=1e-12)
    assert_allclose(skill_weights({"rna": wrong, "protein": worse, "lipid": wrong}, y), 1 / 3)


@points(1)
def test_a_class_that_a_layer_never_met(skill_weights, draw):
    """A class of which no sample has the layer costs nothing there, and tables with labels weigh as arrays do.

    某类没有样本具有该层时，它在那里不产生损失；带标签的表与数组结果相同。"""
    y = np.array([0] * 8 + [1] * 8 + [2] * 4)
    told = {name: 0.6 * np.eye(3)[y] + 0.4 * draw.rng.dirichlet(np.ones(3), 20) for name in ("rna", "protein")}
    told["protein"][16:] = np.nan
    told["lipid"] = told["rna"].copy()
    told["lipid"][8:] = np.nan  # of one class alone: there is nothing to know
    expected = late.skill_weights(told, y)
    assert_allclose(skill_weights({name: labelled(table) for name, table in told.items()}, labelled(y)), expected)


@points(1)
def test_layers_nobody_can_weigh(skill_weights, draw):
    """An outcome of another length, and a layer that no sample has, are refused with a `ValueError`.

    长度不符的结局、没有任何样本具有的层，以 `ValueError` 拒绝。"""
    told, y = draw.probabilities(10, 2), np.arange(10) % 2
    absent = {**told, "rna": np.full((10, 2), np.nan)}
    for predictions, outcome in ((told, y[:-1]), (absent, y)):
        with pytest.raises(ValueError, match=r"."):
            skill_weights(predictions, outcome)


# ---------------------------------------------------------------- layer_weights


def on_log_scale(cohort, name):
    """A layer as the lesson prepares it."""
    table = cohort.layers[name]
    if name == "methylation":
        logit = np.log2(table / (1 - table))
        return logit.fillna(logit.mean())
    if name == "rna":
        counts = table.loc[:, (cohort.features["rna"]["biotype"] != "spike_in").to_numpy()]
        counts = counts.loc[:, (counts >= 10).mean() >= 0.5] + 1
        return np.log2(counts.div(counts.sum(axis=1), axis=0) * 1e6)
    seen = np.log2(table.loc[:, table.notna().mean() >= 0.6])
    seen = seen.sub(seen.median(axis=1), axis=0)
    return seen.fillna(seen.min())


def nested_weights(cohort, names):
    """The weights of some layers by the reference."""
    disease = (cohort.clinical["disease"] == "case").astype(int)
    learner = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    told = {}
    for name in names:
        table = on_log_scale(cohort, name)
        found = late.out_of_fold(learner, table.to_numpy(), disease.loc[table.index], cv=folds)
        told[name] = pd.DataFrame(found, index=table.index).reindex(cohort.patients)
    return late.skill_weights(told, disease.loc[cohort.patients])


@points(2)
def test_weights_of_the_cohort(layer_weights, cohort):
    """The weights are those of predictions out of fold, each layer over its own patients.

    权重来自折外预测，每层只用自己的患者。"""
    small = ["protein", "metabolite"]  # the two layers that are quick to fit tell as much as four
    found = layer_weights[small] / layer_weights[small].sum()
    assert_allclose(found, nested_weights(cohort, small)[small], atol=5e-4)  # a sixth fold moves them by 1e-3


@points(2)
def test_transcripts_against_proteins(layer_weights, cohort):
    """RNA outweighs protein by as much as its predictions out of fold are better.

    RNA 的折外预测比蛋白质好多少，它的权重就大多少。"""
    both = ["rna", "protein"]
    found = layer_weights[both] / layer_weights[both].sum()
    assert_allclose(found, nested_weights(cohort, both)[both], atol=5e-4)


@points(2)
def test_who_knows_of_the_disease(layer_weights):
    """What the disease changes knows of it; what it does not touch gets next to no weight.

    被疾病改变的层了解疾病；疾病没有触及的层几乎没有权重。"""
    assert layer_weights["methylation"] < 0.1
    assert layer_weights[["rna", "protein", "metabolite"]].min() > 0.1


# ---------------------------------------------------------------- stacking_features


@points(2)
def test_columns_of_the_second_learner(stacking_features, draw):
    """For each layer in its order: the probabilities of all classes but the first; gaps hold the share of that class.

    按给定次序，每层依次是除第一类之外各类别的概率；空缺处是该类别的份额。"""
    told = draw.probabilities(15, 3)
    share = draw.rng.dirichlet(np.ones(3))
    expected = np.hstack([np.where(np.isnan(table), share, table)[:, 1:] for table in told.values()])
    assert_allclose(stacking_features(told, share), expected)


@points(2)
def test_predicted_values_side_by_side(stacking_features, draw):
    """Predicted values have one column per layer, which is never dropped; gaps hold the mean.

    预测的数值每层一列，不会被去掉；空缺处是均值。"""
    told = {name: table[:, 0] for name, table in draw.probabilities(12, 2).items()}
    expected = np.column_stack([np.where(np.isnan(table), 7.5, table) for table in told.values()])
    assert_allclose(stacking_features(told, 7.5), expected)


@points(1)
def test_features_of_labelled_predictions(stacking_features, draw):
    """Tables with labels give the same numbers as arrays, and keep their gaps.

    带标签的表与数组给出同样的数，且自身的空缺保留。"""
    told = draw.probabilities(11, 2)
    tables = {name: labelled(table) for name, table in told.items()}
    gaps = {name: table.isna().sum().sum() for name, table in tables.items()}
    assert_allclose(np.asarray(stacking_features(tables, [0.4, 0.6])), late.stacking_features(told, [0.4, 0.6]))
    assert {name: table.isna().sum().sum() for name, table in tables.items()} == gaps


@points(1)
def test_shares_of_other_classes(stacking_features, draw):
    """Shares of another number of classes, and layers of different shape, are refused with a `ValueError`.

    份额的类别数不符、各层形状不同，以 `ValueError` 拒绝。"""
    told = draw.probabilities(8, 3)
    with pytest.raises(ValueError, match=r"."):
        stacking_features(told, [0.5, 0.5])
    with pytest.raises(ValueError, match=r"."):
        stacking_features(told, 0.5)
    with pytest.raises(ValueError, match=r"."):
        stacking_features({**told, "rna": told["rna"][:-1]}, np.full(3, 1 / 3))


# ---------------------------------------------------------------- nested_predictions


@drawn
def gapped(rng, n=40, p=25, effect=1.2, missing=0.15):
    """Features of different units, some of which tell two classes apart; values are missing, more often where large."""
    y = rng.permutation(np.arange(n) % 2)
    x = rng.normal(size=(n, p))
    x[:, :4] += effect * y[:, None]
    x = np.where(rng.random(x.shape) < missing * (1 + (x > 0.5)), np.nan, x)
    return x * rng.uniform(0.3, 5, p) + rng.uniform(-3, 3, p), y


@points(4)
def test_every_step_is_inside(nested_predictions, draw):
    """Means, selection, scales and learner come from the training part alone, in each fold anew.

    均值、筛选、尺度与学习器都只来自训练部分，每一折重新学习。"""
    for n_kept in (3, 10):
        x, y = draw.gapped()
        folds = StratifiedKFold(4, shuffle=True, random_state=int(draw.rng.integers(1000)))
        found = nested_predictions(GaussianNB(), x, y, n_kept=n_kept, cv=folds)
        assert_allclose(found, leaks.nested_predictions(GaussianNB(), x, y, n_kept=n_kept, cv=folds), rtol=1e-6)


@points(2)
def test_scaled_before_the_learner(nested_predictions, draw):
    """A learner with a penalty sees features of standard deviation 1: units do not matter.

    带惩罚的学习器看到的特征标准差为 1：单位不起作用。"""
    x, y = draw.gapped(30, 8, missing=0.05)
    units = 10.0 ** draw.rng.integers(-2, 3, size=8)
    found = nested_predictions(LogisticRegression(C=0.1), x * units, y, n_kept=4, cv=3)
    assert_allclose(found, leaks.nested_predictions(LogisticRegression(C=0.1), x, y, n_kept=4, cv=3), atol=FITTED)


@points(1)
def test_second_of_the_sorted_classes(nested_predictions, draw):
    """Labels may be words; the probability is that of the second in the alphabet. A table with labels does as well.

    标签可以是词，概率是字母序第二个类别的概率。带标签的表同样可用。"""
    x, y = draw.gapped(24, 6)
    words = np.where(y == 1, "case", "control")
    found = nested_predictions(GaussianNB(), labelled(x), words, n_kept=2, cv=3)
    assert_allclose(found, leaks.nested_predictions(GaussianNB(), x, words, n_kept=2, cv=3), rtol=1e-6)


@points(2)
def test_what_cannot_be_nested(nested_predictions, draw):
    """Three classes, too many features to keep, a feature without value in training, folds that skip samples: refused.

    三个类别、要保留的特征过多、某特征在训练部分没有值、折没有测试所有样本：均拒绝（`ValueError`）。"""
    x, y = draw.gapped(24, 6, missing=0.05)
    rare = x.copy()
    rare[:, 2] = np.nan
    rare[0, 2] = 1.0
    half = [(np.arange(12), np.arange(12, 24))]
    calls = [
        (x, np.arange(24) % 3, 2, 3),
        (x, y, 7, 3),
        (x, y, 0, 3),
        (rare, y, 2, 3),
        (x, y, 2, half),
        (x[:-1], y, 2, 3),
    ]
    for table, outcome, n_kept, cv in calls:
        with pytest.raises(ValueError, match=r"."):
            nested_predictions(GaussianNB(), table, outcome, n_kept=n_kept, cv=cv)


# ---------------------------------------------------------------- corrected_interval


@points(3)
def test_interval_knows_about_shared_samples(corrected_interval, draw):
    """The variance of the scores (divisor J − 1) is multiplied by 1/J + n_test/n_train; the quantile is of t, J − 1.

    得分的方差（除数 J − 1）乘以 1/J + n_test/n_train；分位数取自由度 J − 1 的 t 分布。"""
    for n_scores, n_train, n_test in ((2, 1, 1), (10, 80, 20), (50, 90, int(draw.rng.integers(5, 30)))):
        scores = draw.rng.uniform(0.5, 1, n_scores)
        found = corrected_interval(scores, n_train=n_train, n_test=n_test)
        expected = late.corrected_interval(scores, n_train=n_train, n_test=n_test)
        assert_allclose(found[["mean", "low", "high"]], expected[["mean", "low", "high"]], rtol=1e-9)


@points(1)
def test_interval_of_another_confidence(corrected_interval, draw):
    """A smaller confidence gives a narrower interval around the same mean.

    置信度较小，区间较窄，均值不变。"""
    scores = pd.Series(draw.rng.uniform(0.5, 1, 10))
    confidence = draw.rng.uniform(0.5, 0.9)
    found = corrected_interval(scores, n_train=80, n_test=20, confidence=confidence)
    expected = late.corrected_interval(scores, n_train=80, n_test=20, confidence=confidence)
    assert_allclose(found[["mean", "low", "high"]], expected[["mean", "low", "high"]], rtol=1e-9)


@points(2)
def test_intervals_of_nothing(corrected_interval, draw):
    """A score that is not finite, a table, no samples, and a confidence of 0 or 1 are refused with a `ValueError`.

    得分不是有限数、得分是一张表、样本数为 0、置信度为 0 或 1，以 `ValueError` 拒绝。"""
    scores = draw.rng.uniform(0.5, 1, 10)
    holed, endless = scores.copy(), scores.copy()
    holed[4], endless[4] = np.nan, np.inf
    calls = [(holed, 80, 20, 0.95), (endless, 80, 20, 0.95), (scores, 0, 20, 0.95), (scores, 80, 0, 0.95)]
    calls += [(scores, 80, 20, 1.0), (scores, 80, 20, 0.0), ([], 80, 20, 0.95), ([scores, scores], 80, 20, 0.95)]
    for values, n_train, n_test, confidence in calls:
        with pytest.raises(ValueError, match=r"."):
            corrected_interval(values, n_train=n_train, n_test=n_test, confidence=confidence)
