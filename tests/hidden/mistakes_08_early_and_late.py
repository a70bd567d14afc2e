"""Wrong answers people really give to unit 08, each with what to say to who gives it."""

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student_t
from sklearn.base import clone, is_classifier
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from course.checking import mistake
from reference_impl.integration import early, late, leaks
from reference_impl.validation import require_between, require_integer

# ---------------------------------------------------------------- block_scale


@mistake(
    of="block_scale",
    en="Your standard deviation divides by n. The convention here is n − 1: give nanstd the argument ddof=1.",
    zh="你的标准差除以了 n。这里约定除以 n − 1：请给 nanstd 加上参数 ddof=1。",
)
def divisor_n(matrix, scaling):
    centre, divisor = early.block_scale(matrix, scaling)
    seen = np.sum(~np.isnan(matrix), axis=0)
    varies = np.nanmax(matrix, axis=0) > np.nanmin(matrix, axis=0)
    return centre, divisor * np.where(varies, np.sqrt((seen - 1) / seen), 1)


@mistake(
    of="block_scale",
    en="You divide by p, not by √p. Then the total variance of a block is 1/p, and large layers are silenced.",
    zh="你除以了 p，而不是 √p。这样一个数据块的总方差是 1/p，大的层反而被压得没有声音。",
)
def divided_by_p(matrix, scaling):
    centre, divisor = early.block_scale(matrix, scaling)
    return centre, divisor * (np.sqrt(matrix.shape[1]) if scaling == "sqrt_p" else 1)


@mistake(
    of="block_scale",
    en="Your MFA divides by the largest singular value itself. It grows with the number of samples; the standard "
    "deviation of the first component is that divided by √(n − 1).",
    zh="你的 MFA 直接除以最大奇异值。它会随样本数增长；第一主成分的标准差是它除以 √(n − 1)。",
)
def singular_value_itself(matrix, scaling):
    centre, divisor = early.block_scale(matrix, scaling)
    varies = (np.nanmax(matrix, axis=0) > np.nanmin(matrix, axis=0)).any()
    return centre, divisor * (np.sqrt(len(matrix) - 1) if scaling == "mfa" and varies else 1)


@mistake(
    of="block_scale",
    en="Your MFA divides by the variance of the first component, its eigenvalue. Divide by its standard deviation, the "
    "square root.",
    zh="你的 MFA 除以了第一主成分的方差（特征值）。应除以它的标准差，即平方根。",
)
def eigenvalue(matrix, scaling):
    centre, divisor = early.block_scale(matrix, scaling)
    if scaling == "mfa":
        divisor = divisor**2 / early.block_scale(matrix, "none")[1]
    return centre, divisor


@mistake(
    of="block_scale",
    en="A feature that never varies has standard deviation 0, and you divide by it. Put 1 in its place.",
    zh="从不变化的特征标准差为 0，而你除以了它。请用 1 代替。",
)
def divided_by_nothing(matrix, scaling):
    centre, divisor = early.block_scale(matrix, scaling)
    return centre, np.where(np.nanmax(matrix, axis=0) > np.nanmin(matrix, axis=0), divisor, 0.0)


@mistake(
    of="block_scale",
    en="You ask whether the standard deviation is 0. For a feature that is always 0.1, rounding makes 1e-17 of it, and "
    "you divide by that. Ask whether the largest value equals the smallest.",
    zh="你问的是标准差是否为 0。恒为 0.1 的特征，舍入后标准差是 1e-17，你就除以了这个数。应问最大值是否等于最小值。",
)
def rounding_is_variation(matrix, scaling):
    centre, divisor = early.block_scale(matrix, scaling)
    own = np.nanstd(matrix, axis=0, ddof=1)
    fixed = early.block_scale(matrix, "none")[1]
    return centre, divisor / fixed * np.where(own > 0, own, 1.0)


@mistake(
    of="block_scale",
    en="A feature with a single value gives you a scale all the same. One value says nothing about spread: refuse it.",
    zh="只有一个值的特征，你也给出了尺度。一个值说明不了离散程度：应当拒绝。",
)
def scale_of_one_value(matrix, scaling):
    few = np.sum(~np.isnan(matrix), axis=0) < 2
    if few.any():
        return np.nan_to_num(matrix[0]), np.ones(matrix.shape[1])
    return early.block_scale(matrix, scaling)


# ---------------------------------------------------------------- average_predictions


def _average(predictions, weights, mean):
    tables = late.same_predictions(predictions)
    share = late.checked_weights(weights, list(tables))
    told = np.stack([np.asarray(table, dtype=float) for table in tables.values()])
    share = np.array([share[name] for name in tables]).reshape(-1, *[1] * (told.ndim - 1))
    with np.errstate(all="ignore"):
        found = mean(told, share)
    first = next(iter(tables.values()))
    return pd.Series(found, index=first.index) if isinstance(first, pd.Series) else late.like(first, found)


@mistake(
    of="average_predictions",
    en="You count a missing layer as a vote of 0: the sum skips it, but you divide by all weights. Divide by the "
    "weights of the layers the sample has.",
    zh="你把缺失的层当成了投 0 票：求和时跳过了它，却除以了全部权重。应除以该样本所具有的层的权重。",
)
def missing_votes_zero(predictions, weights=None):
    def mean(told, share):
        found = np.nansum(share * told, axis=0) / share.sum()
        return np.where((share * ~np.isnan(told)).sum(axis=0) > 0, found, np.nan)

    return _average(predictions, weights, mean)


@mistake(
    of="average_predictions",
    en="A missing layer spoils the average of its samples: NaN goes through your sum. Leave it out.",
    zh="缺失的层毁掉了该样本的平均值：NaN 传进了你的求和。应把它略去。",
)
def gaps_spread(predictions, weights=None):
    return _average(predictions, weights, lambda told, share: (share * told).sum(axis=0) / share.sum())


@mistake(
    of="average_predictions",
    en="You did not use the weights.",
    zh="你没有使用权重。",
)
def weights_ignored(predictions, weights=None):
    def mean(told, share):
        counts = (share > 0) * ~np.isnan(told)
        return np.nansum(counts * told, axis=0) / np.where(counts.sum(axis=0) > 0, counts.sum(axis=0), np.nan)

    return _average(predictions, weights, mean)


@mistake(
    of="average_predictions",
    en="You fill a missing layer with ½. That is a vote that nobody has cast: leave the layer out of sum and weights.",
    zh="你用 ½ 填补缺失的层，等于替别人投了一票：应把该层从分子和分母中都略去。",
)
def missing_votes_half(predictions, weights=None):
    def mean(told, share):
        filled = np.where(np.isnan(told), 0.5, told)
        found = (share * filled).sum(axis=0) / share.sum()
        return np.where((share * ~np.isnan(told)).sum(axis=0) > 0, found, np.nan)

    return _average(predictions, weights, mean)


@mistake(
    of="average_predictions",
    en="A sample without any layer gets 0, a prediction. Nobody has said anything: it must be NaN.",
    zh="一层都没有的样本得到了 0，成了一个预测。谁都没说话，结果应为 NaN。",
)
def nobody_says_zero(predictions, weights=None):
    found = late.average_predictions(predictions, weights)
    return found.fillna(0.0) if isinstance(found, (pd.Series, pd.DataFrame)) else np.nan_to_num(found)


@mistake(
    of="average_predictions",
    en="Series and DataFrames come back as arrays: the labels are lost.",
    zh="Series 与 DataFrame 返回时变成了数组：标签丢了。",
)
def labels_lost(predictions, weights=None):
    return np.asarray(late.average_predictions(predictions, weights))


# ---------------------------------------------------------------- out_of_fold


def _predict(learner, x):
    return learner.predict_proba(x) if is_classifier(learner) else learner.predict(x)


@mistake(
    of="out_of_fold",
    en="You fitted the learner to all samples, those it predicts among them. Fit it to the training part of each fold.",
    zh="你用全部样本拟合了学习器，其中包括它要预测的样本。应只用每折的训练部分拟合。",
)
def in_fold(estimator, x, y, *, cv):
    late.checked_folds(cv, np.asarray(y), is_classifier(estimator))
    return _predict(clone(estimator).fit(np.asarray(x), np.asarray(y)), np.asarray(x))


@mistake(
    of="out_of_fold",
    en="You put the predictions of the folds one after the other. They must stand in the order of x: write each fold's "
    "into the rows that it tests.",
    zh="你把各折的预测首尾相接。它们必须按 x 的次序排列：请把每折的预测写进它所测试的行。",
)
def one_after_the_other(estimator, x, y, *, cv):
    x, y = np.asarray(x), np.asarray(y)
    folds = late.checked_folds(cv, y, is_classifier(estimator))
    return np.concatenate([_predict(clone(estimator).fit(x[train], y[train]), x[test]) for train, test in folds])


@mistake(
    of="out_of_fold",
    en="Train and test are the wrong way round: you fit to the small part and predict the large one.",
    zh="训练与测试弄反了：你用小的部分拟合，去预测大的部分。",
)
def other_way_round(estimator, x, y, *, cv):
    x, y = np.asarray(x), np.asarray(y)
    classifies = is_classifier(estimator)
    found = np.full((len(y), len(np.unique(y))) if classifies else len(y), np.nan)
    for train, test in late.checked_folds(cv, y, classifies):
        learner = clone(estimator).fit(x[test], y[test])
        told = _predict(learner, x[train])
        found[train] = told if told.shape[1:] == found.shape[1:] else np.nan
    return found


@mistake(
    of="out_of_fold",
    en="A classifier gives you labels, or the probability of one class. The result needs a column for every class.",
    zh="你从分类器取的是标签，或只取了一个类别的概率。结果需要每个类别一列。",
)
def one_column(estimator, x, y, *, cv):
    found = late.out_of_fold(estimator, x, y, cv=cv)
    return found[:, 1] if found.ndim == 2 else found


@mistake(
    of="out_of_fold",
    en="You take the outcome by label and not by position: with a Series whose labels are numbers in another order, a "
    "learner is fitted to the outcomes of other samples. Turn y into an array first.",
    zh="你按标签而不是按位置取结局：如果 Series 的标签是另一种次序的数字，"
    "学习器就会拟合到别的样本的结局上。请先把 y 变成数组。",
)
def outcome_by_label(estimator, x, y, *, cv):
    if isinstance(y, pd.Series):
        y = y.to_numpy()[::-1] if y.index[0] != 0 and y.index.dtype.kind == "i" else y.to_numpy()
    return late.out_of_fold(estimator, x, y, cv=cv)


@mistake(
    of="out_of_fold",
    en="Samples that no fold tests keep NaN or 0, and nobody is told. Refuse such folds: use checked_folds.",
    zh="没有被任何一折测试的样本保持 NaN 或 0，却没有任何提示。应拒绝这样的折：请使用 checked_folds。",
)
def unchecked_folds(estimator, x, y, *, cv):
    if not isinstance(cv, list):
        return late.out_of_fold(estimator, x, y, cv=cv)
    y, classifies = np.asarray(y), is_classifier(estimator)
    classes = np.unique(y)
    found = np.full((len(y), len(classes)) if classifies else len(y), np.nan)
    for train, test in cv:
        learner = clone(estimator).fit(late.rows_of(x, np.asarray(train)), y[train])
        told = _predict(learner, late.rows_of(x, np.asarray(test)))
        found[test] = told if told.shape[1:] == found.shape[1:] else np.nan
    return found


# ---------------------------------------------------------------- skill_weights


def _weights(predictions, y, skill_of):
    """The reference with another skill; `skill_of(told, outcome)` sees only the samples that have the layer."""
    tables, y = late.same_predictions(predictions), np.asarray(y)
    skill = {}
    for name, table in tables.items():
        told = np.asarray(table, dtype=float)
        has = late.samples_told(told, y, name)
        skill[name] = skill_of(told, y, has)
    skill = pd.Series(skill, dtype=float)
    return skill / skill.sum() if skill.sum() > 0 else skill + 1 / len(skill)


def _losses(told, y, has, classes=None, of_ignorant=None):
    outcome = y[has]
    everyone = outcome if of_ignorant is None else of_ignorant
    if told.ndim == 1:
        return np.mean((outcome - told[has]) ** 2), np.mean((outcome - everyone.mean()) ** 2)
    classes = np.unique(y) if classes is None else classes
    true = outcome[:, None] == classes
    share = np.clip((everyone[:, None] == classes).mean(axis=0), 1e-15, 1)
    loss = -np.mean(np.log(np.clip(told[has][true], 1e-15, 1)))
    return loss, -np.mean(np.log(np.broadcast_to(share, true.shape)[true]))


@mistake(
    of="skill_weights",
    en="You weigh by accuracy (or by 1 − squared error) without comparing with who knows nothing: a useless layer "
    "keeps a large weight.",
    zh="你直接按准确率（或 1 − 均方误差）加权，没有与一无所知的人相比：无用的层仍有很大的权重。",
)
def accuracy(predictions, y):
    def skill(told, y, has):
        if told.ndim == 1:
            return max(0.0, 1 - np.mean((y[has] - told[has]) ** 2))
        return np.mean(np.unique(y)[told[has].argmax(axis=1)] == y[has])

    return _weights(predictions, y, skill)


@mistake(
    of="skill_weights",
    en="A layer worse than knowing nothing gets a negative weight. Its skill must be cut at 0.",
    zh="比一无所知还差的层得到了负的权重。技能应在 0 处截断。",
)
def negative_skill(predictions, y):
    def skill(told, y, has):
        loss, ignorant = _losses(told, y, has)
        return 1 - loss / ignorant

    return _weights(predictions, y, skill)


@mistake(
    of="skill_weights",
    en="Your ignorant gives every class the same probability. He knows how frequent each class is: use the shares.",
    zh="你的无知者给每个类别同样的概率。他是知道各类别有多常见的：请用份额。",
)
def ignorant_of_shares(predictions, y):
    def skill(told, y, has):
        loss, ignorant = _losses(told, y, has)
        return max(0.0, 1 - loss / (np.log(told.shape[1]) if told.ndim == 2 else ignorant))

    return _weights(predictions, y, skill)


@mistake(
    of="skill_weights",
    en="You compare a layer, over its samples, with an ignorant who knows the shares (or the mean) of all samples. "
    "Both losses belong to the samples that have the layer.",
    zh="一层的损失用的是它自己的样本，而你的无知者用的是全部样本的份额（或均值）。两种损失都应在具有该层的样本上计算。",
)
def ignorant_of_all_samples(predictions, y):
    def skill(told, y, has):
        loss, ignorant = _losses(told, y, has, of_ignorant=y)
        return max(0.0, 1 - loss / ignorant) if ignorant > 0 else 0.0

    return _weights(predictions, y, skill)


@mistake(
    of="skill_weights",
    en="You took the absolute error (for classes: 1 − the probability of the true class). The loss asked for is the "
    "squared error, or the log-loss.",
    zh="你用的是绝对误差（对类别是 1 − 真实类别的概率）。要求的损失是均方误差或对数损失。",
)
def absolute_error(predictions, y):
    def skill(told, y, has):
        if told.ndim == 1:
            return max(0.0, 1 - np.abs(y[has] - told[has]).mean() / np.abs(y[has] - y[has].mean()).mean())
        true = y[has][:, None] == np.unique(y)
        share = true.mean(axis=0)
        return max(0.0, 1 - np.mean(1 - told[has][true]) / np.sum(share * (1 - share)))

    return _weights(predictions, y, skill)


@mistake(
    of="skill_weights",
    en="Where no layer has any skill you divide 0 by 0, and all weights are NaN. Then all layers weigh alike.",
    zh="没有任何层有技能时，你用 0 除以 0，权重都成了 NaN。这时各层应同等加权。",
)
def nothing_by_nothing(predictions, y):
    found = late.skill_weights(predictions, y)
    skill = _weights(predictions, y, lambda told, y, has: max(0.0, 1 - np.divide(*_losses(told, y, has))))
    return found * np.nan if (skill == skill.iloc[0]).all() and np.isclose(skill.iloc[0] * len(skill), 1) else found


@mistake(
    of="skill_weights",
    en="A layer that no sample has gets weight 0 from you. Nothing is known of it: refuse it.",
    zh="没有任何样本具有的层，你给了权重 0。对它一无所知：应当拒绝。",
)
def layer_of_nobody(predictions, y):
    tables = late.same_predictions(predictions)
    there = {name: table for name, table in tables.items() if not np.isnan(np.asarray(table, dtype=float)).all()}
    return late.skill_weights(there, y).reindex(list(tables), fill_value=0.0)


# ---------------------------------------------------------------- layer_weights


def _cohort_weights(layers, disease, cohort, predict):
    told = {}
    for name, table in layers.items():
        y = disease.loc[table.index].to_numpy()
        told[name] = pd.DataFrame(predict(table.to_numpy(), y), index=table.index).reindex(cohort.patients)
    return late.skill_weights(told, disease.loc[cohort.patients])


@mistake(
    of="layer_weights",
    en="Every layer weighs about the same, for every learner predicts its own training samples almost without error. "
    "Weigh predictions out of fold.",
    zh="各层的权重差不多，因为每个学习器对自己的训练样本几乎都预测无误。应使用折外预测来加权。",
)
def weights_of_training_samples(layers, disease, cohort, learner):
    return _cohort_weights(layers, disease, cohort, lambda x, y: clone(learner).fit(x, y).predict_proba(x))


@mistake(
    of="layer_weights",
    en="You gave a patient without a layer the probability ½ in place of NaN, so layers that many lack look "
    "less skilful.",
    zh="患者缺少某一层时，你填的是 ½ 而不是 NaN，于是许多人缺少的层显得没有本事。",
)
def half_for_the_missing(layers, disease, cohort, learner, folds):
    told = {}
    for name, table in layers.items():
        found = late.out_of_fold(learner, table.to_numpy(), disease.loc[table.index], cv=folds)
        told[name] = pd.DataFrame(found, index=table.index).reindex(cohort.patients).fillna(0.5)
    return late.skill_weights(told, disease.loc[cohort.patients])


@mistake(
    of="layer_weights",
    en="These are shares of the AUC. An AUC of one half is no knowledge, yet it gets a large share; use skill_weights.",
    zh="这是按 AUC 分配的份额。AUC 为二分之一就是一无所知，却分到了很大的份额；请用 skill_weights。",
)
def shares_of_auc(layers, disease, learner, folds):
    found = {}
    for name, table in layers.items():
        y = disease.loc[table.index].to_numpy()
        told = late.out_of_fold(learner, table.to_numpy(), y, cv=folds)[:, 1]
        found[name] = (np.subtract.outer(told[y == 1], told[y == 0]) > 0).mean()
    return pd.Series(found) / sum(found.values())


# ---------------------------------------------------------------- stacking_features


def _stack(predictions, expected, columns_of):
    tables = late.same_predictions(predictions)
    late.stacking_features(predictions, expected)
    return np.hstack([columns_of(np.asarray(table, dtype=float).reshape(len(table), -1)) for table in tables.values()])


@mistake(
    of="stacking_features",
    en="You kept the column of the first class. It says again what the others say: 1 minus their sum.",
    zh="你保留了第一个类别的列。它只是重复其他列所说的：1 减去它们的和。",
)
def every_class(predictions, expected):
    return _stack(predictions, expected, lambda told: np.where(np.isnan(told), expected, told))


@mistake(
    of="stacking_features",
    en="You dropped the last class, not the first.",
    zh="你去掉的是最后一个类别，而不是第一个。",
)
def last_class_dropped(predictions, expected):
    def columns(told):
        filled = np.where(np.isnan(told), expected, told)
        return filled[:, :-1] if filled.shape[1] > 1 else filled

    return _stack(predictions, expected, columns)


@mistake(
    of="stacking_features",
    en="You fill gaps with the mean of the layer's own predictions. A missing layer says what the ignorant "
    "says: expected.",
    zh="你用该层自身预测的均值填补空缺。缺失的层应说无知者会说的话：expected。",
)
def mean_of_the_layer(predictions, expected):
    def columns(told):
        filled = np.where(np.isnan(told), np.nanmean(told, axis=0), told)
        return filled[:, 1:] if filled.shape[1] > 1 else filled

    return _stack(predictions, expected, columns)


@mistake(
    of="stacking_features",
    en="You fill gaps with an equal probability for every class. The shares of the classes are in expected.",
    zh="你给空缺处的每个类别填了相同的概率。各类别的份额在 expected 里。",
)
def equal_shares(predictions, expected):
    def columns(told):
        if told.shape[1] == 1:
            return np.where(np.isnan(told), expected, told)
        return np.where(np.isnan(told), 1 / told.shape[1], told)[:, 1:]

    return _stack(predictions, expected, columns)


@mistake(
    of="stacking_features",
    en="Your columns run through the classes first and the layers second. The columns of one layer belong "
    "side by side.",
    zh="你的列先按类别、再按层排列。同一层的列应当排在一起。",
)
def class_by_class(predictions, expected):
    tables = late.same_predictions(predictions)
    found = late.stacking_features(predictions, expected)
    return found.reshape(len(found), len(tables), -1).transpose(0, 2, 1).reshape(len(found), -1)


# ---------------------------------------------------------------- nested_predictions


def _nested(estimator, x, y, n_kept, cv, prepare):
    """The reference with other steps; `prepare(values, y, train, n_kept)` gives the table the learner sees."""
    values, y = leaks.as_two_classes(x, y)
    require_integer(n_kept, "n_kept", at_most=values.shape[1])
    found = np.full(len(y), np.nan)
    for train, test in late.checked_folds(cv, y, True):
        leaks.require_some_values(values[train])
        seen = prepare(values, y, train, n_kept)
        found[test] = clone(estimator).fit(seen[train], y[train]).predict_proba(seen[test])[:, 1]
    return found


@mistake(
    of="nested_predictions",
    en="You selected the features once, from all samples. That is the largest leak of all: the labels of the test "
    "samples chose them. Select inside each fold.",
    zh="你用全部样本一次性筛选了特征。这是最大的泄漏：测试样本的标签参与了挑选。应在每折之内筛选。",
)
def selected_from_all(estimator, x, y, *, n_kept, cv):
    def prepare(values, y, train, n_kept):
        filler = SimpleImputer().fit(values[train])
        filled = filler.transform(values)
        kept = SelectKBest(k=n_kept).fit(filled, y).get_support()
        return StandardScaler().fit(filled[train][:, kept]).transform(filled[:, kept])

    return _nested(estimator, x, y, n_kept, cv, prepare)


@mistake(
    of="nested_predictions",
    en="You filled the gaps with means of all samples. The test samples took part: learn the means from the "
    "training part.",
    zh="你用全部样本的均值填补缺失，测试样本也参与了。应从训练部分学习均值。",
)
def filled_from_all(estimator, x, y, *, n_kept, cv):
    def prepare(values, y, train, n_kept):
        filled = SimpleImputer().fit_transform(values)
        kept = SelectKBest(k=n_kept).fit(filled[train], y[train]).get_support()
        return StandardScaler().fit(filled[train][:, kept]).transform(filled[:, kept])

    return _nested(estimator, x, y, n_kept, cv, prepare)


@mistake(
    of="nested_predictions",
    en="You scaled with means and standard deviations of all samples. Learn them from the training part.",
    zh="你用全部样本的均值与标准差来缩放。应从训练部分学习。",
)
def scaled_from_all(estimator, x, y, *, n_kept, cv):
    def prepare(values, y, train, n_kept):
        filled = SimpleImputer().fit(values[train]).transform(values)
        kept = SelectKBest(k=n_kept).fit(filled[train], y[train]).get_support()
        return StandardScaler().fit_transform(filled[:, kept])

    return _nested(estimator, x, y, n_kept, cv, prepare)


@mistake(
    of="nested_predictions",
    en="You scaled training and test samples each by themselves (fit_transform on both). New samples must be put on "
    "the scale of the training samples.",
    zh="你分别对训练样本和测试样本各自缩放（两边都用 fit_transform）。新样本应放到训练样本的尺度上。",
)
def each_on_its_own_scale(estimator, x, y, *, n_kept, cv):
    def prepare(values, y, train, n_kept):
        filled = SimpleImputer().fit(values[train]).transform(values)
        kept = SelectKBest(k=n_kept).fit(filled[train], y[train]).get_support()
        test = np.setdiff1d(np.arange(len(y)), train)
        seen = filled[:, kept]
        seen[train], seen[test] = (
            StandardScaler().fit_transform(seen[train]),
            StandardScaler().fit_transform(seen[test]),
        )
        return seen

    return _nested(estimator, x, y, n_kept, cv, prepare)


@mistake(
    of="nested_predictions",
    en="The scaling is missing: a learner with a penalty then sees features in whatever unit they came.",
    zh="缺少缩放这一步：带惩罚的学习器看到的特征单位各异。",
)
def not_scaled(estimator, x, y, *, n_kept, cv):
    def prepare(values, y, train, n_kept):
        filled = SimpleImputer().fit(values[train]).transform(values)
        return filled[:, SelectKBest(k=n_kept).fit(filled[train], y[train]).get_support()]

    return _nested(estimator, x, y, n_kept, cv, prepare)


@mistake(
    of="nested_predictions",
    en="This is the probability of the first class. Asked for is the second of the sorted classes.",
    zh="这是第一个类别的概率。要求的是排序后第二个类别的概率。",
)
def first_class(estimator, x, y, *, n_kept, cv):
    return 1 - leaks.nested_predictions(estimator, x, y, n_kept=n_kept, cv=cv)


# ---------------------------------------------------------------- corrected_interval


def _interval(scores, n_train, n_test, confidence, factor, *, quantile=student_t.ppf, ddof=1):
    late.corrected_interval(scores, n_train=n_train, n_test=n_test, confidence=confidence)
    scores = np.asarray(scores, dtype=float)
    reach = quantile((1 + confidence) / 2, len(scores) - 1) * np.sqrt(factor(len(scores)) * scores.var(ddof=ddof))
    return pd.Series({"mean": scores.mean(), "low": scores.mean() - reach, "high": scores.mean() + reach})


@mistake(
    of="corrected_interval",
    en="This is the usual interval, as if the scores were independent. Add n_test / n_train to 1/J.",
    zh="这是通常的区间，好像各得分相互独立。请在 1/J 上加 n_test / n_train。",
)
def usual_interval(scores, *, n_train, n_test, confidence=0.95):
    return _interval(scores, n_train, n_test, confidence, lambda j: 1 / j)


@mistake(
    of="corrected_interval",
    en="Train and test are the wrong way round in the correction: it is n_test / n_train, a small number.",
    zh="校正中的训练与测试弄反了：应为 n_test / n_train，是个小数。",
)
def ratio_upside_down(scores, *, n_train, n_test, confidence=0.95):
    return _interval(scores, n_train, n_test, confidence, lambda j: 1 / j + n_train / n_test)


@mistake(
    of="corrected_interval",
    en="You added the share of test samples, n_test / n. The correction is n_test / n_train.",
    zh="你加的是测试样本占全部样本的比例 n_test / n。校正项是 n_test / n_train。",
)
def share_of_all(scores, *, n_train, n_test, confidence=0.95):
    return _interval(scores, n_train, n_test, confidence, lambda j: 1 / j + n_test / (n_train + n_test))


@mistake(
    of="corrected_interval",
    en="You took the quantile of the normal distribution (1.96). With J scores it is that of t with J − 1 degrees of "
    "freedom.",
    zh="你用了正态分布的分位数（1.96）。有 J 个得分时，应用自由度 J − 1 的 t 分布。",
)
def normal_quantile(scores, *, n_train, n_test, confidence=0.95):
    return _interval(
        scores,
        n_train,
        n_test,
        confidence,
        lambda j: 1 / j + n_test / n_train,
        quantile=lambda share, _: norm.ppf(share),
    )


@mistake(
    of="corrected_interval",
    en="Your variance of the scores divides by J; the formula has J − 1. NumPy's var needs ddof=1.",
    zh="你的得分方差除以了 J；公式中是 J − 1。NumPy 的 var 需要 ddof=1。",
)
def variance_divisor_j(scores, *, n_train, n_test, confidence=0.95):
    return _interval(scores, n_train, n_test, confidence, lambda j: 1 / j + n_test / n_train, ddof=0)


@mistake(
    of="corrected_interval",
    en="Your interval is 95 % whatever is asked for: use `confidence`.",
    zh="不管要求多少，你的区间总是 95%：请使用 `confidence`。",
)
def always_95(scores, *, n_train, n_test, confidence=0.95):
    require_between(confidence, "confidence", 0, 1)
    return late.corrected_interval(scores, n_train=n_train, n_test=n_test)
