"""Hidden tests of unit 02: inputs come from a seed that only the instructor's key knows."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from course.checking import drawn, points
from reference_impl import identity as reference

# Counts divided by counts, and sums over at most a few hundred products: exact to 1e-12 in any order of adding.
ROUNDING = 1e-9


def same_tables(found, expected):
    """Compare the two tables that a function returns, labels included."""
    for table, right in zip(found, expected, strict=True):
        assert_allclose(table, right, rtol=ROUNDING, atol=ROUNDING)
        if isinstance(right, pd.DataFrame):
            assert list(table.index) == list(right.index)
            assert list(table.columns) == list(right.columns)


# ---------------------------------------------------------------- genotype_concordance


@drawn
def dosages(rng, n, n_sites=60, frequency=0.4, worst=0.6):
    """Genotypes of strangers; some samples have few calls, others nearly all."""
    x = rng.binomial(2, frequency, (n, n_sites)).astype(float)
    x[rng.random(x.shape) < rng.uniform(0, worst, (n, 1))] = np.nan
    return x


def named(x, prefix="P"):
    """A DataFrame with labels of samples and sites."""
    return pd.DataFrame(x, [f"{prefix}{i:03d}" for i in range(len(x))], [f"rs{j}" for j in range(x.shape[1])])


@points(2)
def test_all_pairs_with_missing_calls(genotype_concordance, draw):
    """Every sample of one table against every sample of the other, each pair on the sites called in both.

    两张表的样本两两比较，每一对都只用两者均有分型结果的位点。"""
    first, second = named(draw.dosages(9)), named(draw.dosages(6), "Q")
    same_tables(genotype_concordance(first, second), reference.genotype_concordance(first, second))


@points(2)
def test_non_reference_pair_by_pair(genotype_concordance, draw):
    """The sites that non-reference concordance leaves out differ from pair to pair: both samples must have dosage 0.

    非参考一致率不计的位点因样本对而异：必须两个样本的剂量都为 0。"""
    first, second = draw.dosages(7, frequency=0.15), draw.dosages(5, frequency=0.15)
    same_tables(
        genotype_concordance(first, second, non_reference=True),
        reference.genotype_concordance(first, second, non_reference=True),
    )


@points(1)
def test_no_site_to_compare(genotype_concordance, draw):
    """A pair without a site that counts has concordance NaN and 0 sites; other pairs are not affected.

    没有可比位点的样本对，一致率为 NaN，位点数为 0；其他样本对不受影响。"""
    first, second = draw.dosages(4, 30, worst=0.2), draw.dosages(3, 30, worst=0.2)
    first[1, :15], second[2, 15:] = np.nan, np.nan
    same_tables(genotype_concordance(first, second), reference.genotype_concordance(first, second))
    first[1], second[2] = 0, 0
    same_tables(
        genotype_concordance(first, second, non_reference=True),
        reference.genotype_concordance(first, second, non_reference=True),
    )


@points(1)
def test_concordance_refuses_what_is_no_dosage(genotype_concordance, draw):
    """A value that is no dosage (a missing call written as −9, say) is refused with a ValueError; so are other sites.

    不是剂量的值（例如写成 −9 的缺失）应以 ValueError 拒绝；位点不一致的表也应拒绝。"""
    first, second = draw.dosages(3, 10), draw.dosages(2, 10)
    for wrong in (-9.0, 0.5):
        bad = first.copy()
        bad[draw.rng.integers(3), draw.rng.integers(10)] = wrong
        with pytest.raises(ValueError, match=r"."):
            genotype_concordance(bad, second)
        with pytest.raises(ValueError, match=r"."):
            genotype_concordance(second, bad)
    with pytest.raises(ValueError, match=r"."):
        genotype_concordance(named(first), named(second).iloc[:, ::-1])


# ---------------------------------------------------------------- king_kinship


@drawn
def family(rng, n_sites=3000):
    """Mother, father, two children, and the first child's second aliquot, whose calls are poor."""
    frequency = rng.uniform(0.2, 0.8, n_sites)
    mother, father = ((rng.random((2, n_sites)) < frequency).astype(int) for _ in range(2))
    at = np.arange(n_sites)
    children = [mother[rng.integers(0, 2, n_sites), at] + father[rng.integers(0, 2, n_sites), at] for _ in range(2)]
    x = np.vstack([mother.sum(axis=0), father.sum(axis=0), *children, children[0]]).astype(float)
    x[4, rng.random(n_sites) < 0.5] = np.nan
    x[3, rng.random(n_sites) < 0.4] = np.nan
    return x


@points(2)
def test_kinship_of_all_pairs(king_kinship, draw):
    """Kinship of every sample of one table with every sample of another, on the sites called in both.

    一张表的每个样本与另一张表的每个样本的亲缘系数，只用两者均有分型结果的位点。"""
    first, second = named(draw.dosages(8)), named(draw.dosages(5), "Q")
    same_tables(king_kinship(first, second), reference.king_kinship(first, second))


@points(2)
def test_kinship_between_families(king_kinship, draw):
    """The form for pairs of different families, where the smaller number of heterozygous sites decides.

    用于不同家系之间的形式：由杂合位点较少的一方决定。"""
    x = draw.dosages(8)
    x[:4][draw.rng.random((4, 60)) < 0.4] = 1
    same_tables(king_kinship(x, between_families=True), reference.king_kinship(x, between_families=True))


@points(2)
def test_relatives_are_recognised(king_kinship, draw):
    """With half of one sample's calls missing, a second aliquot is still one person, and siblings are still siblings.

    即使一个样本缺了一半的分型结果，第二份分样仍是同一个人，同胞仍是同胞。"""
    kinship, _ = king_kinship(draw.family())
    # KING's cut-offs; 3,000 sites put the estimates within 0.04 of their expectation.
    assert kinship[2, 4] > 0.354
    for child in (2, 3, 4):
        for parent in (0, 1):
            assert 0.177 < kinship[child, parent] < 0.354
    assert 0.177 < kinship[2, 3] < 0.354
    assert kinship[0, 1] < 0.0884


@points(1)
def test_kinship_without_heterozygous_site(king_kinship, draw):
    """Where the denominator is 0 there is no kinship: NaN, in both forms.

    分母为 0 时亲缘系数没有定义：两种形式都应为 NaN。"""
    x = draw.dosages(6, worst=0.2)
    x[0][x[0] == 1] = 0
    x[1][x[1] == 1] = 2
    x[2, :30], x[3, 30:] = np.nan, np.nan
    same_tables(king_kinship(x), reference.king_kinship(x))
    same_tables(king_kinship(x, between_families=True), reference.king_kinship(x, between_families=True))


@points(1)
def test_kinship_refuses_what_is_no_dosage(king_kinship, draw):
    """A value that is no dosage is refused with a ValueError, and so are tables with different sites.

    不是剂量的值应以 ValueError 拒绝；位点不同的两张表也应拒绝。"""
    x = draw.dosages(3, 10)
    bad = x.copy()
    bad[1, 4] = draw.rng.choice([-9.0, 3.0])
    for first, second in [(bad, None), (x, bad), (named(x), named(x).iloc[:, ::-1])]:
        with pytest.raises(ValueError, match=r"."):
            king_kinship(first, second)


# ---------------------------------------------------------------- find_duplicates


@drawn
def within_layer(rng, n=9):
    """A symmetric similarity of one layer, all values different, with values on either side of 0.8."""
    upper = np.triu(rng.permutation(np.linspace(0.5, 0.99, n * n)).reshape(n, n), 1)
    names = [f"P{i:03d}" for i in rng.permutation(200)[:n]]
    return pd.DataFrame(upper + upper.T + np.eye(n), index=names, columns=names)


def same_pairs(found, expected):
    assert list(found.columns) == ["first", "second", "similarity"]
    assert list(found.index) == list(range(len(expected)))
    assert [*zip(found["first"], found["second"], strict=True)] == [
        *zip(expected["first"], expected["second"], strict=True)
    ]
    assert_allclose(found["similarity"].to_numpy(dtype=float), expected["similarity"].to_numpy(dtype=float))


@points(2)
def test_all_pairs_most_similar_first(find_duplicates, draw):
    """Every pair above the threshold is listed once, the most similar first; a sample may be in several pairs.

    每一对超过阈值的样本只列一次，最相似的在前；一个样本可以出现在多对中。"""
    similarity = draw.within_layer()
    same_pairs(find_duplicates(similarity, threshold=0.8), reference.find_duplicates(similarity, threshold=0.8))


@points(1)
def test_equals_in_the_order_of_the_table(find_duplicates, draw):
    """Pairs that are equally similar stand in the order of the table: by the first sample, then by the second.

    相似度相同的样本对按表中的次序排列：先按第一个样本，再按第二个样本。"""
    similarity = draw.within_layer(12).round(1)
    same_pairs(find_duplicates(similarity, threshold=0.6), reference.find_duplicates(similarity, threshold=0.6))


@points(1)
def test_threshold_itself_is_enough(find_duplicates, draw):
    """A pair exactly at the threshold is listed.

    恰好等于阈值的一对也要列出。"""
    similarity = draw.within_layer().to_numpy()
    threshold = similarity[2, 5]
    expected = reference.find_duplicates(similarity, threshold=threshold)
    same_pairs(find_duplicates(similarity, threshold=threshold), expected)


@points(1)
def test_what_cannot_be_compared_is_no_duplicate(find_duplicates, draw):
    """A pair whose similarity is NaN is not listed, whatever the threshold.

    相似度为 NaN 的一对，无论阈值多少都不列出。"""
    similarity = draw.within_layer(6)
    similarity.iloc[1, 4] = similarity.iloc[4, 1] = np.nan
    same_pairs(find_duplicates(similarity, threshold=-1.0), reference.find_duplicates(similarity, threshold=-1.0))


@points(1)
def test_refuses_what_is_not_within_a_layer(find_duplicates, draw):
    """A table of different samples, one that is not symmetric, and a threshold that is no number are refused.

    行列样本不同的表、不对称的表、不是数的阈值，都应以 ValueError 拒绝。"""
    similarity = draw.within_layer(6)
    lopsided = similarity.copy()
    lopsided.iloc[0, 3] += 0.2
    other_people = similarity.set_axis([f"Q{i}" for i in range(6)], axis=1)
    for bad in (similarity.iloc[:4], other_people, lopsided):
        with pytest.raises(ValueError, match=r"."):
            find_duplicates(bad, threshold=0.8)
    with pytest.raises(ValueError, match=r"."):
        find_duplicates(similarity, threshold=np.nan)


# ---------------------------------------------------------------- infer_sex

X_GENES, Y_GENES = ["XIST", "TSIX"], ["UTY", "ZFY", "DDX3Y"]


@drawn
def log_expression(rng, n=40):
    """log2 expression of women, men, mixtures and failed libraries."""
    kind = rng.permutation(np.arange(n) % 4)
    x_level, y_level = np.array([8.0, 0.5, 7.0, 0.5])[kind], np.array([0.5, 8.0, 7.0, 0.5])[kind]
    genes = [*X_GENES, *Y_GENES, "ACTB"]
    level = np.column_stack([x_level, x_level, y_level, y_level, y_level, np.full(n, 12.0)])
    return pd.DataFrame(level + rng.normal(0, 0.6, level.shape), [f"P{i:03d}" for i in range(n)], genes)


def same_sexes(found, expected):
    assert list(found.index) == list(expected.index)
    assert list(found["sex"]) == list(expected["sex"])
    for column in ("x_score", "y_score", "margin"):
        assert_allclose(found[column], expected[column], rtol=ROUNDING, atol=ROUNDING)


@points(2)
def test_women_men_and_others(infer_sex, draw):
    """Scores, sex and margin of women, men, mixed tubes and failed libraries, at more than one margin.

    女性、男性、混样和失败文库的得分、性别和余量，并取不同的余量阈值。"""
    x = draw.log_expression()
    for margin in (1.0, 4.0):
        genes = {"x_inactivation": X_GENES, "y_linked": Y_GENES, "margin": margin}
        same_sexes(infer_sex(x, **genes), reference.infer_sex(x, **genes))


@points(1)
def test_margin_itself_is_enough(infer_sex, draw):
    """A difference equal to the margin decides, but no difference is never a sex.

    差值恰好等于余量阈值时可以判定；但差值为零时，永远不能判定性别。"""
    margin, base = (float(number) for number in draw.rng.integers(1, 8, 2))
    x = np.array([[base + margin, base], [base, base + margin], [base, base], [base + 0.5, base]])
    for threshold in (margin, 0.0):
        genes = {"x_inactivation": [0], "y_linked": [1], "margin": threshold}
        same_sexes(infer_sex(x, **genes), reference.infer_sex(x, **genes))


@points(1)
def test_genes_that_were_not_measured(infer_sex, draw):
    """A score is the mean over the genes that were measured; with none of them there is no score and no sex.

    得分是已测基因的均值；若一个都没有测到，就没有得分，也没有性别。"""
    x = draw.log_expression(16)
    x = x.mask(draw.rng.random(x.shape) < 0.3)
    x.iloc[0, :2] = np.nan
    x.iloc[1, 2:5] = np.nan
    same_sexes(
        infer_sex(x, x_inactivation=X_GENES, y_linked=Y_GENES),
        reference.infer_sex(x, x_inactivation=X_GENES, y_linked=Y_GENES),
    )


@points(1)
def test_sex_refuses_unknown_genes(infer_sex, draw):
    """A gene that is not a column, an empty list of genes, and a negative margin are refused with a ValueError.

    不是列名的基因、空的基因列表、负的余量阈值，都应以 ValueError 拒绝。"""
    x = draw.log_expression(4)
    for x_genes, y_genes, margin in [
        (["XISTT"], Y_GENES, 1.0),
        (X_GENES, [*Y_GENES, "SRY"], 1.0),
        ([], Y_GENES, 1.0),
        (X_GENES, Y_GENES, -0.5),
    ]:
        with pytest.raises(ValueError, match=r"."):
            infer_sex(x, x_inactivation=x_genes, y_linked=y_genes, margin=margin)
    with pytest.raises(ValueError, match=r"."):
        infer_sex(x.replace(x.iloc[0, 0], np.inf), x_inactivation=X_GENES, y_linked=Y_GENES)


# ---------------------------------------------------------------- cross_layer_similarity


@drawn
def two_layers(rng, n=40, n_pairs=50, n_tied=30):
    """Two layers of the same people; the first pairs follow each other, a third of them downwards."""
    gene = rng.normal(size=(n, n_pairs))
    slope = (
        rng.uniform(0.8, 2.5, n_pairs) * np.where(np.arange(n_pairs) % 3 == 0, -1, 1) * (np.arange(n_pairs) < n_tied)
    )
    protein = gene * slope + rng.normal(size=gene.shape)
    people = [f"P{i:03d}" for i in range(n)]
    genes, proteins = [f"G{j}" for j in range(n_pairs)], [f"Q{j}" for j in range(n_pairs)]
    order = rng.permutation(n_pairs)
    pairs = pd.DataFrame({"first": np.array(genes)[order], "second": np.array(proteins)[order]})
    return pd.DataFrame(gene, people, genes), pd.DataFrame(protein * 3 + 20, people, proteins), pairs


def same_similarity(found, expected):
    same_tables([found], [expected])


@points(2)
def test_weighted_correlation(cross_layer_similarity, draw):
    """Similarity of all samples, with pairs that go up together, pairs that go against each other, and useless ones.

    全部样本之间的相似度：有同向变化的特征对，有反向变化的特征对，也有毫无用处的特征对。"""
    first, second, pairs = draw.two_layers()
    same_similarity(
        cross_layer_similarity(first, second, pairs), reference.cross_layer_similarity(first, second, pairs)
    )


@points(1)
def test_batches_are_removed(cross_layer_similarity, draw):
    """What a batch adds to a whole feature is no resemblance; batches are looked up by the sample's label.

    批次给整个特征带来的偏移不算相似；批次按样本标签查找。"""
    first, second, pairs = draw.two_layers()
    rng = draw.rng
    batch_1, batch_2 = (pd.Series(rng.choice(["a", "b"], len(first)), first.index) for _ in range(2))
    first = first.add(np.outer(batch_1 == "b", rng.normal(0, 4, first.shape[1])))
    second = second.add(np.outer(batch_2 == "b", rng.normal(0, 9, second.shape[1])))
    batches = {"first_batch": batch_1.sample(frac=1, random_state=1), "second_batch": batch_2.to_numpy(dtype=object)}
    same_similarity(
        cross_layer_similarity(first, second, pairs, **batches),
        reference.cross_layer_similarity(first, second, pairs, **batches),
    )


@points(2)
def test_values_that_were_not_measured(cross_layer_similarity, draw):
    """Each two samples are compared on the pairs measured in both; without such a pair their similarity is NaN.

    每两个样本只用两者都测到的特征对来比较；一对都没有时，相似度为 NaN。"""
    first, second, pairs = draw.two_layers()
    first = first.mask(draw.rng.random(first.shape) < 0.1)
    second = second.mask(draw.rng.random(second.shape) < draw.rng.uniform(0, 0.6, (len(second), 1)))
    second.iloc[3] = np.nan
    same_similarity(
        cross_layer_similarity(first, second, pairs), reference.cross_layer_similarity(first, second, pairs)
    )


@points(1)
def test_people_in_another_order(cross_layer_similarity, draw):
    """The layers may hold different people in different orders: the label says who is who, not the row.

    两层的人可以不同，顺序也可以不同：谁是谁由标签决定，而不是由行号决定。"""
    first, second, pairs = draw.two_layers(60)
    first = first.iloc[draw.rng.permutation(60)[:45]]
    second = second.iloc[draw.rng.permutation(60)[:50]]
    same_similarity(
        cross_layer_similarity(first, second, pairs), reference.cross_layer_similarity(first, second, pairs)
    )


@points(1)
def test_similarity_refuses_what_does_not_fit(cross_layer_similarity, draw):
    """A label twice, a pair of unknown columns, and layers without a common label are refused with a ValueError.

    重复的标签、列名不存在的特征对、没有共同标签的两层，都应以 ValueError 拒绝。"""
    first, second, pairs = draw.two_layers(12, 4, 4)
    for bad in [
        (pd.concat([first, first.iloc[:1]]), second, pairs),
        (first, pd.concat([second, second.iloc[:1]]), pairs),
        (first, second, pairs.replace("Q2", "Q99")),
        (first, second.set_axis([f"X{i}" for i in range(12)]), pairs),
    ]:
        with pytest.raises(ValueError, match=r"."):
            cross_layer_similarity(*bad)


# ---------------------------------------------------------------- assign_samples


@drawn
def mixed_up(rng, n=30, separation=7.0):
    """A noisy similarity in which two tubes are swapped and three more have moved round in a circle."""
    owner, moved = np.arange(n), rng.permutation(n)[:5]
    owner[moved[:2]] = moved[:2][::-1]
    owner[moved[2:]] = np.roll(moved[2:], 1)
    values = rng.normal(size=(n, n))
    values[np.arange(n), owner] += separation
    people = [f"P{i:03d}" for i in range(n)]
    return pd.DataFrame(values, index=people, columns=people)


def same_assignment(found, expected):
    assert list(found.index) == list(expected.index)
    for column in ("verdict", "cycle"):
        assert list(found[column]) == list(expected[column])
    told = (expected["verdict"] != "cannot_tell").to_numpy()
    assert list(found["assigned"][told]) == list(expected["assigned"][told])
    assert found["assigned"][~told].isna().all()
    assert_allclose(found["margin"], expected["margin"], rtol=ROUNDING, atol=ROUNDING)


@points(2)
def test_pairs_and_cycles(assign_samples, draw):
    """A swapped pair and a cycle of three are found, and every verdict has its margin.

    找出一对互换和一个三人轮换，并给出每个判断的余量。"""
    similarity = draw.mixed_up()
    same_assignment(assign_samples(similarity), reference.assign_samples(similarity))


@points(2)
def test_one_to_one(assign_samples, draw):
    """Two rows that look like one person cannot both be that person; the label decides between equals.

    两行都像同一个人时，不能都判给他；不相上下时由标签决定。"""
    similarity = draw.mixed_up(20, separation=9.0)
    a, b = draw.rng.permutation(20)[:2]
    similarity.iloc[a] = similarity.iloc[b] + draw.rng.normal(0, 0.01, 20)
    same_assignment(assign_samples(similarity), reference.assign_samples(similarity))
    swapped_back = similarity.iloc[draw.rng.permutation(20)]
    same_assignment(
        assign_samples(swapped_back, prior_correct=0.6), reference.assign_samples(swapped_back, prior_correct=0.6)
    )


@points(1)
def test_prior_holds_the_label(assign_samples, draw):
    """Weak evidence does not move a label when most labels are right, and does when they are not.

    多数标签正确时，微弱的证据不会改动标签；若不是如此，则会改动。"""
    similarity = draw.mixed_up(20, separation=9.0)
    a, b = draw.rng.permutation(20)[:2]
    for row, column in [(a, a), (a, b), (b, a), (b, b)]:
        similarity.iloc[row, column] = 8.5 + 0.05 * (row != column)
    for prior in (0.95, 0.02):
        same_assignment(
            assign_samples(similarity, prior_correct=prior), reference.assign_samples(similarity, prior_correct=prior)
        )


@points(1)
def test_without_evidence_no_verdict(assign_samples, draw):
    """A sample that resembles nobody, one that lies exactly halfway, and one not comparable: all three cannot be told.

    与谁都不像的样本、恰在正中间的样本、无法比较的样本：三者都不能判定。"""
    n = 12
    people = [f"P{i}" for i in range(n)]
    similarity = pd.DataFrame(np.eye(n), index=people, columns=people)
    nobody, halfway, barely, unknown, partly = draw.rng.permutation(n)[:5]
    similarity.iloc[nobody, nobody] = 0.1
    similarity.iloc[halfway, halfway] = 0.5
    similarity.iloc[barely, barely] = 0.505
    similarity.iloc[unknown] = np.nan
    similarity.iloc[partly, nobody] = np.nan
    expected = reference.assign_samples(similarity)
    same_assignment(assign_samples(similarity), expected)
    assert assign_samples(similarity)["assigned"].dtype == object


@points(1)
def test_margin_must_be_exceeded(assign_samples, draw):
    """A verdict needs a margin above the one asked for: one that is just reached is not enough.

    判定所需的余量必须超过要求值：恰好达到还不够。"""
    similarity = draw.mixed_up()
    asked = float(np.median(reference.assign_samples(similarity)["margin"]))
    told = assign_samples(similarity, min_margin=asked)["verdict"] != "cannot_tell"
    margin = assign_samples(similarity)["margin"]
    clear = (margin - asked).abs() > 1e-6  # the median itself may fall on either side by rounding
    assert list(told[clear]) == list(margin[clear] > asked)
    just = float(margin.max())
    assert (assign_samples(similarity, min_margin=just)["verdict"] == "cannot_tell").all()


@points(1)
def test_tables_that_are_not_square(assign_samples, draw):
    """People may be missing on either side, and columns may stand in another order than rows.

    任何一侧都可以缺人，列的顺序也可以与行不同。"""
    similarity = draw.mixed_up(24, separation=9.0)
    mixed = similarity.iloc[:, draw.rng.permutation(24)]
    for part in (mixed, mixed.iloc[:16], mixed.iloc[:, :16], mixed.iloc[:, :1]):
        same_assignment(assign_samples(part), reference.assign_samples(part))


@points(1)
def test_assignment_refuses_bad_arguments(assign_samples, draw):
    """A label twice, a probability of 0 or 1 and a negative margin are refused with a ValueError.

    重复的标签、等于 0 或 1 的概率、负的余量，都应以 ValueError 拒绝。"""
    similarity = draw.mixed_up(10)
    twice = similarity.set_axis(["P000", *similarity.index[:-1]])
    for table, options in [
        (twice, {}),
        (similarity, {"prior_correct": 1.0}),
        (similarity, {"prior_correct": 0.0}),
        (similarity, {"min_margin": -1.0}),
    ]:
        with pytest.raises(ValueError, match=r"."):
            assign_samples(table, **options)


# ---------------------------------------------------------------- swapped_people


@points(2)
def test_rna_tubes(swapped_people, truth):
    """The RNA tubes that hold somebody else's material are found, with their true people, and no other tube.

    找出装有他人材料的 RNA 管及其真正的主人，且不多不少。"""
    assert swapped_people["rna"] == truth["owner"]["rna"]


@points(2)
def test_protein_tubes(swapped_people, truth):
    """The protein tubes that hold somebody else's material are found, and no other tube is accused.

    找出装有他人材料的蛋白管，且没有冤枉其他管。"""
    assert set(swapped_people["protein"]) == set(truth["owner"]["protein"])


@points(2)
def test_protein_people(swapped_people, truth):
    """Each of these protein tubes is given to the person whose material it holds.

    每一支这样的蛋白管都归还给真正的主人。"""
    people = swapped_people["protein"]
    assert {label: people.get(label) for label in truth["owner"]["protein"]} == truth["owner"]["protein"]


# ---------------------------------------------------------------- wrong_records


@points(1)
def test_two_aliquots(wrong_records, truth):
    """The two DNA tubes of one person are found.

    找出装有同一个人材料的两支 DNA 管。"""
    (copy,) = truth["duplicates"]
    assert {wrong_records["duplicate"], wrong_records["copy_of"]} == {copy["label"], copy["copy_of"]}


@points(2)
def test_which_is_the_copy(wrong_records, truth):
    """Of the two tubes, the one with the wrong label is named: the one whose RNA does not agree.

    指出两支管中标签错误的那一支：它与自己标签的 RNA 不符。"""
    assert wrong_records["duplicate"] == truth["duplicates"][0]["label"]


@points(2)
def test_wrong_sex(wrong_records, truth):
    """The patient whose recorded sex is wrong, not one whose tube was swapped.

    病历性别有误的患者，而不是样本管被换掉的患者。"""
    assert [wrong_records["wrong_sex"]] == truth["sex_mismatch"]
