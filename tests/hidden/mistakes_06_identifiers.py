"""Wrong answers people really give to unit 06, each with what to say to who gives it."""

import re

import numpy as np
import pandas as pd

from course.checking import mistake
from reference_impl import identifiers as reference
from reference_impl.identifiers import ADDUCTS, ISOTOPE_SPACING, STABLE_ID

# ---------------------------------------------------------------- split_versions


def _split(identifiers, pattern, match=re.fullmatch):
    written = reference._as_identifiers(identifiers)
    found = [match(pattern, text) for text in written]
    stable = [m[1] + (m[3] or "") if m else text for m, text in zip(found, written, strict=True)]
    version = [int(m[2]) if m else None for m in found]
    return pd.DataFrame({"stable": stable, "version": pd.array(version, dtype="Int64")}, index=pd.Index(written))


@mistake(
    of="split_versions",
    en="You cut at the dot, whatever stands before it. AC004491.1 is a symbol and loses a part of its name: ask first "
    "whether the text is a stable identifier.",
    zh="你见到点号就切，不管前面是什么。AC004491.1 是基因符号，这样会丢掉名字的一部分：应先判断它是不是稳定标识符。",
)
def cuts_at_any_dot(identifiers):
    return _split(identifiers, r"([^.]*[0-9])\.([0-9]+)((?:_PAR_Y)?)")


@mistake(
    of="split_versions",
    en="The copy on the Y chromosome lost its mark _PAR_Y and now has the name of the copy on the X.",
    zh="Y 染色体上的拷贝丢了 _PAR_Y 标记，与 X 染色体上的拷贝同名了。",
)
def loses_the_y_copy(identifiers):
    return _split(identifiers, rf"({STABLE_ID})\.([0-9]+)(?:_PAR_Y)?()")


@mistake(
    of="split_versions",
    en="The version of a copy on the Y chromosome (…_PAR_Y) is not split off: the mark stands behind the version.",
    zh="Y 染色体上的拷贝（…_PAR_Y）的版本号没有拆下：标记位于版本号之后。",
)
def forgets_the_mark(identifiers):
    return _split(identifiers, rf"({STABLE_ID})\.([0-9]+)()")


@mistake(
    of="split_versions",
    en="Where no version is written you say 0. That is a number, and comparing it with a real version finds a change "
    "that nobody made. Leave it missing.",
    zh="没有写版本的地方，你填了 0。0 是一个数，拿它与真正的版本比较，就会“发现”并不存在的改动。应为缺失。",
)
def zero_for_missing(identifiers):
    table = reference.split_versions(identifiers)
    return table.assign(version=table["version"].fillna(0))


@mistake(
    of="split_versions",
    en="Your pattern is content with the beginning of the text, and broken identifiers such as ENSG00000141510.18.2 "
    "pass. Use re.fullmatch.",
    zh="你的模式只要文本开头匹配就满足，于是 ENSG00000141510.18.2 这样的残缺标识符也通过了。应使用 re.fullmatch。",
)
def content_with_the_beginning(identifiers):
    return _split(identifiers, rf"({STABLE_ID})\.([0-9]+)((?:_PAR_Y)?)", re.match)


@mistake(
    of="split_versions",
    en="Repeated identifiers are answered once. The rows must be those that were asked, one for one.",
    zh="重复的标识符你只回答了一次。各行应与所问的标识符一一对应。",
)
def answers_repeats_once(identifiers):
    table = reference.split_versions(identifiers)
    return table[~table.index.duplicated()]


# ---------------------------------------------------------------- changed_genes


def _both(split_versions, counts, protein_genes):
    rna = split_versions(counts.columns).set_index("stable")["version"]
    protein = split_versions(protein_genes).drop_duplicates().set_index("stable")["version"]
    return pd.DataFrame({"rna": rna, "protein": protein})


@mistake(
    of="changed_genes",
    en="You also name genes for which only one table gives a version. What is not written is not another version.",
    zh="只有一张表给出版本的基因，你也列了进来。没有写出的版本，并不等于不同的版本。",
)
def takes_missing_for_changed(split_versions, counts, protein_genes):
    both = _both(split_versions, counts, protein_genes).loc[split_versions(protein_genes)["stable"].unique()]
    return both.index[both["rna"].fillna(0) != both["protein"].fillna(0)].tolist()


@mistake(
    of="changed_genes",
    en="These are the genes whose version is the same in both tables.",
    zh="你列出的是两张表版本相同的基因。",
)
def names_the_unchanged(split_versions, counts, protein_genes):
    both = _both(split_versions, counts, protein_genes).dropna()
    return both.index[both["rna"] == both["protein"]].tolist()


@mistake(
    of="changed_genes",
    en="You name all genes that have a version in both tables. Compare the two versions.",
    zh="你列出了两张表都给出版本的全部基因。应比较两个版本是否不同。",
)
def names_all_with_two_versions(split_versions, counts, protein_genes):
    return _both(split_versions, counts, protein_genes).dropna().index.tolist()


@mistake(
    of="changed_genes",
    en="Only genes whose version grew by one are named. Two editions may lie more than one apart.",
    zh="你只列出了版本加一的基因。两个版本可以相差不止一。",
)
def names_the_next_version_only(split_versions, counts, protein_genes):
    both = _both(split_versions, counts, protein_genes).dropna()
    return both.index[both["protein"] - both["rna"] == 1].tolist()


# ---------------------------------------------------------------- map_identifiers


@mistake(
    of="map_identifiers",
    en="Identifiers that do not map have vanished from your table, as from an inner join. Keep their row, with a "
    "missing target and 0 targets.",
    zh="没有映射上的标识符从你的表里消失了，如同做了内连接。应保留它们的行，目标缺失，个数为 0。",
)
def inner_join(ids, mapping, *, many="error"):
    table = reference.map_identifiers(ids, mapping, many=many)
    return table[table["n_targets"] > 0].reset_index(drop=True)


@mistake(
    of="map_identifiers",
    en='Of several targets you take the first in silence. "all" means a row for each.',
    zh='遇到多个目标，你悄悄取了第一个。"all" 的意思是每个目标占一行。',
)
def takes_the_first(ids, mapping, *, many="error"):
    table = reference.map_identifiers(ids, mapping, many=many)
    if many != "all" or not len(table):
        return table
    targets = mapping.targets
    rows = [(name, targets.get(name, (None,))[0], len(targets.get(name, ()))) for name in ids]
    return pd.DataFrame(rows, columns=["identifier", "target", "n_targets"])


@mistake(
    of="map_identifiers",
    en='Under "drop" you count the targets after dropping, so an ambiguous identifier looks like one that did not map. '
    "n_targets is the number in the mapping.",
    zh='在 "drop" 之下，你在舍弃之后才数目标，有歧义的标识符便与没有映射上的无从区分。n_targets 是映射中的个数。',
)
def counts_after_dropping(ids, mapping, *, many="error"):
    table = reference.map_identifiers(ids, mapping, many=many)
    return table.assign(n_targets=table["n_targets"].where(table["target"].notna(), 0))


@mistake(
    of="map_identifiers",
    en='Under "drop" the whole row of an ambiguous identifier is gone. Only its target is dropped; the row stays.',
    zh='在 "drop" 之下，有歧义的标识符整行都没了。舍弃的只是目标，行要保留。',
)
def drops_the_row(ids, mapping, *, many="error"):
    table = reference.map_identifiers(ids, mapping, many=many)
    return table[table["n_targets"] <= 1].reset_index(drop=True) if many == "drop" else table


@mistake(
    of="map_identifiers",
    en="Repeated identifiers are answered once. Answer each time, so that the rows fit the table they came from.",
    zh="重复的标识符你只回答了一次。每次都要回答，结果才能与来源表逐行对应。",
)
def answers_once(ids, mapping, *, many="error"):
    return reference.map_identifiers(list(dict.fromkeys(reference._as_identifiers(ids))), mapping, many=many)


@mistake(
    of="map_identifiers",
    en="A word for `many` that does not exist is accepted. A misspelt word should fail before any work is done.",
    zh="`many` 写成不存在的词，你也接受了。拼错的词应在动手之前就报错。",
)
def accepts_any_word(ids, mapping, *, many="error"):
    return reference.map_identifiers(ids, mapping, many=many if many in ("error", "all") else "drop")


# ---------------------------------------------------------------- to_genes


@mistake(
    of="to_genes",
    en="You give the value of a shared feature to each of its genes, so it is counted more than once. "
    "It gets a column of its own.",
    zh="你把共有特征的数值给了每一个基因，等于重复计算。它应自成一列。",
)
def copies_to_each_gene(x, mapping, *, how):
    reference.to_genes(x, mapping, how="mean" if how == "unique" else how)
    targets, members = mapping.targets, {}
    for place, name in enumerate(x.columns):
        for gene in targets.get(name, ()):
            members.setdefault(gene, []).append(place)
    if how == "unique" and max(map(len, members.values())) > 1:
        raise ValueError("a gene has two features")
    join = np.mean if how == "mean" else np.sum
    table = {gene: join(x.to_numpy()[:, places], axis=1) for gene, places in members.items()}
    return pd.DataFrame(table, index=x.index), reference.coverage(x.columns, mapping)


@mistake(
    of="to_genes",
    en="A shared feature goes to the first of its genes. The other gene looks silent, and nothing says so.",
    zh="共有特征只给了第一个基因。另一个基因看上去沉默，却没有任何说明。",
)
def gives_to_the_first_gene(x, mapping, *, how):
    pairs = {}
    for source, target in mapping.pairs:
        pairs.setdefault(source, target)
    first = reference.Mapping(tuple(pairs.items()), mapping.name, mapping.version, mapping.date, mapping.source)
    return reference.to_genes(x, first, how=how)[0], reference.to_genes(x, mapping, how="mean")[1]


@mistake(
    of="to_genes",
    en="Missing parts are skipped, so a gene's sum silently becomes the sum of what happened to be measured. "
    "If a part is missing, the gene is.",
    zh="你跳过了缺失的部分，基因的和就悄悄变成了“碰巧测到的部分之和”。有一部分缺失，基因就应缺失。",
)
def skips_missing_parts(x, mapping, *, how):
    table, report = reference.to_genes(x, mapping, how=how)
    join = np.nanmean if how == "mean" else np.nansum
    targets = mapping.targets
    for gene in table.columns:
        places = [i for i, name in enumerate(x.columns) if ";".join(sorted(targets.get(name, ()))) == gene]
        table[gene] = join(x.to_numpy()[:, places], axis=1)
    return table, report


@mistake(
    of="to_genes",
    en='Negative values are added under "sum". What can be negative, such as a logarithm, is no amount: refuse it.',
    zh='在 "sum" 之下，你把负值也加了进去。会取负值的（例如对数）不是数量：应拒绝。',
)
def adds_logarithms(x, mapping, *, how):
    if how != "sum" or not (np.asarray(x) < 0).any():
        return reference.to_genes(x, mapping, how=how)
    table, report = reference.to_genes(x, mapping, how="mean")
    targets = mapping.targets
    number = pd.Series([";".join(sorted(targets.get(name, ()))) for name in x.columns]).value_counts()
    return table * number[table.columns], report


@mistake(
    of="to_genes",
    en='"sum" and "mean" give the same in your function: the mean. Counts of parts add up to the whole.',
    zh='在你的函数里，"sum" 与 "mean" 结果相同，都是平均。各部分的计数相加才是总量。',
)
def always_averages(x, mapping, *, how):
    reference.to_genes(x, mapping, how=how)
    return reference.to_genes(x, mapping, how="mean")


@mistake(
    of="to_genes",
    en="The columns are sorted by name. Leave the genes in the order in which their first feature stands in the table.",
    zh="你按名称对列排了序。基因应按其首个特征在表中的次序排列。",
)
def sorts_the_genes(x, mapping, *, how):
    table, report = reference.to_genes(x, mapping, how=how)
    return table[sorted(table.columns)], report


@mistake(
    of="to_genes",
    en='Under "unique" you add two features of one gene in silence. It is asked for because two would be a mistake: '
    "refuse, and name the gene.",
    zh='在 "unique" 之下，你悄悄把同一基因的两个特征加了起来。用它正是因为出现两个就是错误：应指明基因并拒绝。',
)
def unique_adds(x, mapping, *, how):
    if how == "unique" and not (np.asarray(x) < 0).any():
        return reference.to_genes(x, mapping, how="sum")
    return reference.to_genes(x, mapping, how=how)


@mistake(
    of="to_genes",
    en='A target such as "HBA1;HBA2" is two genes in one text, and you took it for one gene. Refuse it, as '
    "`single_targets` does.",
    zh='像 "HBA1;HBA2" 这样的目标是写在一起的两个基因，你却把它当成了一个。应拒绝：`single_targets` 正是做这件事的。',
)
def believes_joined_genes(x, mapping, *, how):
    return reference.to_genes(x, _without_joined(mapping), how=how)


def _without_joined(mapping):
    """The mapping, with another mark in place of the separator."""
    pairs = tuple((source, target.replace(";", "+")) for source, target in mapping.pairs)
    return reference.Mapping(pairs, mapping.name, mapping.version, mapping.date, mapping.source)


# ---------------------------------------------------------------- protein_groups


@mistake(
    of="protein_groups",
    en='A target such as "HBA1;HBA2" is two genes in one text, and you took it for one gene. Refuse it, as '
    "`single_targets` does.",
    zh='像 "HBA1;HBA2" 这样的目标是写在一起的两个基因，你却把它当成了一个。应拒绝：`single_targets` 正是做这件事的。',
)
def believes_joined_genes_of_a_protein(accessions, mapping):
    return reference.protein_groups(accessions, _without_joined(mapping))


def _relations(table, genes_of):
    """Groups and relations anew, from the numbers in `group` and a function from rows to genes."""
    relation = {}
    for number, rows in table.groupby("group"):
        known = {gene for names in genes_of(rows) for gene in names}
        left, right = ("many" if len(side) > 1 else "one" for side in (rows, known))
        relation[number] = f"{left}_to_{right}" if known else "unmapped"
    return table.assign(relation=table["group"].map(relation))


def _genes(rows):
    return [[gene for gene in text.split(";") if gene] for text in rows["genes"]]


@mistake(
    of="protein_groups",
    en="You group proteins with the very same genes. Two proteins also belong together if a third one joins them: "
    "groups are connected pieces.",
    zh="你只把基因完全相同的蛋白质归为一组。若有第三个蛋白质把两者连起来，它们也属于同一组：组是相连的一整块。",
)
def same_genes_only(accessions, mapping):
    table = reference.protein_groups(accessions, mapping)
    key = table["genes"].where(table["genes"] != "", table["accession"])
    return _relations(table.assign(group=pd.factorize(key)[0]), _genes)


@mistake(
    of="protein_groups",
    en="An isoform that the mapping does not list has no gene in your table. Take those of its accession.",
    zh="映射中没有列出的异构体，在你的表里没有基因。应取其登录号的基因。",
)
def isoforms_without_genes(accessions, mapping):
    table = reference.protein_groups(accessions, mapping)
    listed = mapping.targets
    table["genes"] = [";".join(sorted(listed.get(protein, ()))) for protein in table.index]
    links = [[("accession", a), *names] for a, names in zip(table["accession"], _genes(table), strict=True)]
    return _relations(table.assign(group=reference._linked(links)), _genes)


@mistake(
    of="protein_groups",
    en="You look up the accession only, so an isoform that the mapping lists with a gene of its own gets another.",
    zh="你只按登录号查找，于是映射中单独列出的异构体得到了别的基因。",
)
def always_by_accession(accessions, mapping):
    table = reference.protein_groups(accessions, mapping)
    by = mapping.targets
    table["genes"] = [
        ";".join(sorted(by.get(accession, by.get(protein, ()))))
        for protein, accession in zip(table.index, table["accession"], strict=True)
    ]
    links = [[("accession", a), *names] for a, names in zip(table["accession"], _genes(table), strict=True)]
    return _relations(table.assign(group=reference._linked(links)), _genes)


@mistake(
    of="protein_groups",
    en="The relation is that of each protein alone. It belongs to the group: count all its proteins and all its genes.",
    zh="你的关系只看单个蛋白质。关系属于整组：应数组内全部蛋白质与全部基因。",
)
def relation_of_one_protein(accessions, mapping):
    table = reference.protein_groups(accessions, mapping)
    number = table["genes"].str.count(";") + (table["genes"] != "")
    shared = table.groupby("genes")["genes"].transform("size")
    left, right = np.where(shared > 1, "many", "one").astype(object), np.where(number > 1, "many", "one").astype(object)
    return table.assign(relation=np.where(number == 0, "unmapped", left + "_to_" + right))


@mistake(
    of="protein_groups",
    en="Isoforms of one accession are in different groups where their genes differ or are unknown. "
    "The accession joins them too.",
    zh="同一登录号的异构体，若基因不同或未知，在你这里就分到了不同的组。登录号也是一种连接。",
)
def forgets_the_accession(accessions, mapping):
    table = reference.protein_groups(accessions, mapping)
    links = [names or [("protein", p)] for p, names in zip(table.index, _genes(table), strict=True)]
    return _relations(table.assign(group=reference._linked(links)), _genes)


@mistake(
    of="protein_groups",
    en="In your links an accession and a gene of the same text are taken for one. Mark what kind a link is.",
    zh="在你的连接里，文本相同的登录号与基因被当成了一样东西。应标明连接是哪一类。",
)
def accession_taken_for_gene(accessions, mapping):
    table = reference.protein_groups(accessions, mapping)
    links = [[a, *names] for a, names in zip(table["accession"], _genes(table), strict=True)]
    return _relations(table.assign(group=reference._linked(links)), _genes)


@mistake(
    of="protein_groups",
    en="You split at the hyphen whatever stands before it, so the gene NKX2-5 became isoform 5 of NKX2. "
    "_split_isoforms refuses what is no accession.",
    zh="你不管前面是什么，见到连字符就拆，于是基因 NKX2-5 成了 NKX2 的第 5 号异构体。"
    "_split_isoforms 会拒绝不是登录号的东西。",
)
def takes_symbols_for_isoforms(accessions, mapping):
    split = [text.partition("-") for text in dict.fromkeys(accessions)]
    number = pd.array([int(after) if after else None for _, _, after in split], dtype="Int64")
    table = pd.DataFrame({"accession": [before for before, _, _ in split], "isoform": number})
    table.index = pd.Index(list(dict.fromkeys(accessions)))
    by = mapping.targets
    table["genes"] = [";".join(sorted(by.get(p, by.get(a, ())))) for p, a in table["accession"].items()]
    links = [[("accession", a), *names] for a, names in zip(table["accession"], _genes(table), strict=True)]
    return _relations(table.assign(group=reference._linked(links)), _genes)


# ---------------------------------------------------------------- neutral_mass


def _mass(mz, adduct, formula):
    reference.neutral_mass(mz, adduct)
    return reference._given_as(mz, formula(np.asarray(mz, dtype=float), ADDUCTS[adduct]))


@mistake(
    of="neutral_mass",
    en="You forgot the charge: an ion of charge 2 shows half of its mass. Multiply m/z by |z| before you take off "
    "what was added.",
    zh="你忘了电荷：双电荷离子显示的只是一半的质量。应先用 |z| 乘 m/z，再减去增加的质量。",
)
def forgets_the_charge(mz, adduct):
    return _mass(mz, adduct, lambda ratio, kind: ratio - kind.added)


@mistake(
    of="neutral_mass",
    en="You take the added mass off before you multiply by the charge, so at charge 2 it is taken off twice.",
    zh="你先减去增加的质量，再乘电荷，于是电荷为 2 时减了两次。",
)
def takes_off_before_multiplying(mz, adduct):
    return _mass(mz, adduct, lambda ratio, kind: abs(kind.charge) * (ratio - kind.added))


@mistake(
    of="neutral_mass",
    en="You take off hydrogen atoms. The ion lacks the electron: a proton is 0.000549 Da lighter, 3 ppm at m/z 180.",
    zh="你减去的是氢原子。离子少了电子：质子轻 0.000549 Da，在 m/z 180 处就是 3 ppm。",
)
def takes_hydrogen_atoms(mz, adduct):
    electron = 0.000548579909
    return _mass(mz, adduct, lambda ratio, kind: abs(kind.charge) * ratio - kind.added - kind.charge * electron)


@mistake(
    of="neutral_mass",
    en="Negative ions come out with a negative sign or on the wrong side. Of the charge only the size counts; "
    "the sign is already in the added mass.",
    zh="负离子的符号算反了。电荷只取大小；正负已经体现在增加的质量里。",
)
def takes_the_absolute_of_what_is_added(mz, adduct):
    return _mass(mz, adduct, lambda ratio, kind: abs(kind.charge) * ratio - abs(kind.added))


@mistake(
    of="neutral_mass",
    en="An ion lighter than what was added to it gets a negative mass. Nothing is left of it: refuse it.",
    zh="比所增加的质量还轻的离子，被你算出了负的质量。减完什么也不剩：应拒绝。",
)
def accepts_negative_masses(mz, adduct):
    if adduct not in ADDUCTS:
        raise ValueError("unknown adduct")
    ratio = reference._positive(mz, "m/z")
    return reference._given_as(mz, abs(ADDUCTS[adduct].charge) * ratio - ADDUCTS[adduct].added)


# ---------------------------------------------------------------- annotate


def _pairs(masses, database, ppm, error_of):
    """Candidates with an error of another kind."""
    reference.annotate(masses, database, ppm=ppm)
    measured, theory = reference._masses(masses, "masses"), reference._ordered_masses(database)
    rows = []
    for query, mass in measured.items():
        errors = [(name, error_of(mass, one)) for name, one in theory.items()]
        found = sorted((pair for pair in errors if abs(pair[1]) <= ppm), key=lambda pair: abs(pair[1]))
        rows += [(query, name, error, len(found)) for name, error in found or [(None, np.nan)]]
    return pd.DataFrame(rows, columns=["query", "candidate", "ppm", "n_candidates"])


@mistake(
    of="annotate",
    en="Only the best candidate of each mass is kept. Isomers have the same mass, so this is a lot drawn among them: "
    "list all.",
    zh="每个质量你只保留了最佳候选物。同分异构体质量相同，这等于抽签：应全部列出。",
)
def keeps_the_best(masses, database, *, ppm):
    table = reference.annotate(masses, database, ppm=ppm)
    best = table[~table["query"].duplicated()].reset_index(drop=True)
    return best.assign(n_candidates=best["n_candidates"].clip(upper=1))


@mistake(
    of="annotate",
    en="Your error is relative to the measured mass. It belongs to the theoretical one, which does not change from run "
    "to run.",
    zh="你的误差是相对于测量值的。应相对于理论值，它不会每次测量都变。",
)
def relative_to_the_measured(masses, database, *, ppm):
    return _pairs(masses, database, ppm, lambda mass, theory: (mass - theory) / mass * 1e6)


@mistake(
    of="annotate",
    en="Your error has the wrong sign: it is measured minus theoretical, so that an instrument that shows too much has "
    "positive errors.",
    zh="你的误差正负号反了：应为测量值减理论值，这样读数偏高的仪器误差为正。",
)
def theory_minus_measured(masses, database, *, ppm):
    return _pairs(masses, database, ppm, lambda mass, theory: (theory - mass) / theory * 1e6)


@mistake(
    of="annotate",
    en="Your error has no sign. Keep it: errors that are all positive mean a badly calibrated instrument, not noise.",
    zh="你的误差没有正负号。应当保留：误差全为正，说明仪器没有校准好，而不是噪声。",
)
def loses_the_sign(masses, database, *, ppm):
    return _pairs(masses, database, ppm, lambda mass, theory: abs(mass - theory) / theory * 1e6)


@mistake(
    of="annotate",
    en="Masses without a candidate have vanished. Keep a row for each, with n_candidates 0.",
    zh="没有候选物的质量消失了。每个都应保留一行，n_candidates 为 0。",
)
def forgets_the_unknown(masses, database, *, ppm):
    table = reference.annotate(masses, database, ppm=ppm)
    return table[table["n_candidates"] > 0].reset_index(drop=True)


@mistake(
    of="annotate",
    en="The candidates are sorted by the signed error, so a large negative one comes first. Sort by its size.",
    zh="你按带正负号的误差排序，于是很大的负误差排在了前面。应按误差的大小排序。",
)
def sorts_by_the_signed_error(masses, database, *, ppm):
    table = reference.annotate(masses, database, ppm=ppm)
    place = dict(zip(database.index, range(len(database)), strict=True))
    order = {query: number for number, query in enumerate(dict.fromkeys(table["query"]))}
    keys = table.assign(a=table["query"].map(order), b=table["candidate"].map(place))
    return table.loc[keys.sort_values(["a", "ppm", "b"]).index].reset_index(drop=True)


# ---------------------------------------------------------------- group_ions


def _grouped(features, ppm, rt_window, mode, isotopes=None, hypotheses=None, choose="most"):
    """Groups by other carbon-13 peaks, other hypotheses or another choice."""
    charges = reference._require_ions(features, mode, ppm, rt_window)
    rules = {"ppm": ppm, "rt_window": rt_window}
    if isotopes is None:
        isotopes = reference.find_isotopes(features, **rules, charges=charges)
    if hypotheses is None:
        hypotheses = reference.adduct_hypotheses(features, isotopes, **rules, mode=mode)
    ion, explains, chosen = hypotheses["ion"].to_numpy(), hypotheses["explains"].tolist(), {}
    order = range(len(explains))
    if choose == "noted":
        order = sorted(order, key=lambda row: -len(explains[row]))
    for row in order:
        free = [other for other in explains[row] if ion[other] not in chosen]
        if row in free:
            chosen |= {ion[other]: (row, other) for other in free}
    lightest = features.index.get_indexer(pd.Index(isotopes["monoisotopic"]))
    group, own = np.array([chosen[position] for position in lightest]).T
    table = pd.DataFrame(
        {"group": pd.factorize(group)[0], "adduct": hypotheses["adduct"].to_numpy()[own]}, features.index
    )
    table = table.join(isotopes["isotope"])
    table["mass"] = reference._carbon_12_mass(features["mz"], table["adduct"], table["isotope"])
    return table.assign(n_ions=table.groupby("group")["group"].transform("size"))


@mistake(
    of="group_ions",
    en="You group by mass alone. Ions that leave the column at different times come from different molecules: "
    "use rt_window.",
    zh="你只按质量归组。流出时间不同的离子来自不同的分子：应使用 rt_window。",
)
def ignores_time(features, *, ppm, rt_window, mode):
    reference._require_ions(features, mode, ppm, rt_window)
    return reference.group_ions(features, ppm=ppm, rt_window=1e9, mode=mode)


@mistake(
    of="group_ions",
    en="You take carbon-13 peaks to be 1.003355 apart whatever the charge. At charge 2 they are half as far apart, "
    "and that is what tells the charge.",
    zh="你认为碳-13 峰无论电荷多少都相距 1.003355。电荷为 2 时间距减半，正是间距说明了电荷。",
)
def isotopes_of_charge_one_only(features, *, ppm, rt_window, mode):
    reference._require_ions(features, mode, ppm, rt_window)
    isotopes = reference.find_isotopes(features, ppm=ppm, rt_window=rt_window, charges=[1])
    return _grouped(features, ppm, rt_window, mode, isotopes=isotopes, choose="most")


@mistake(
    of="group_ions",
    en="You take the hypotheses in the order of the table. The one that explains the most ions comes first.",
    zh="你按表中的次序采纳假设。应先采纳能解释最多离子的那个。",
)
def takes_them_in_order(features, *, ppm, rt_window, mode):
    return _grouped(features, ppm, rt_window, mode)


@mistake(
    of="group_ions",
    en="You count once what each hypothesis explains and never again. When others have taken some of its ions, "
    "it must wait for its new turn.",
    zh="每个假设解释多少离子，你只数了一次。它的离子被别人取走一些之后，应按新的个数重新排队。",
)
def never_counts_again(features, *, ppm, rt_window, mode):
    return _grouped(features, ppm, rt_window, mode, choose="noted")


@mistake(
    of="group_ions",
    en="The masses of carbon-13 peaks are too high by 1.003355 Da for each carbon-13: take it off.",
    zh="碳-13 峰的质量偏高，每个碳-13 高 1.003355 Da：应当减去。",
)
def keeps_the_isotope_in_the_mass(features, *, ppm, rt_window, mode):
    table = reference.group_ions(features, ppm=ppm, rt_window=rt_window, mode=mode)
    return table.assign(mass=table["mass"] + table["isotope"] * ISOTOPE_SPACING)


@mistake(
    of="group_ions",
    en="n_ions leaves out the carbon-13 peaks. They are ions of the group too.",
    zh="你的 n_ions 没有计入碳-13 峰。它们也是组内的离子。",
)
def counts_monoisotopic_ions(features, *, ppm, rt_window, mode):
    table = reference.group_ions(features, ppm=ppm, rt_window=rt_window, mode=mode)
    return table.assign(n_ions=(table["isotope"] == 0).groupby(table["group"]).transform("sum"))


@mistake(
    of="group_ions",
    en="Every ion that is no carbon-13 peak is a molecule of its own for you, [M+H]+ or [M-H]-. Look for the other "
    "adducts.",
    zh="除碳-13 峰之外，你把每个离子都当成独立的分子，即 [M+H]+ 或 [M-H]-。还要寻找其他加合离子。",
)
def only_protonated(features, *, ppm, rt_window, mode):
    charges = reference._require_ions(features, mode, ppm, rt_window)
    isotopes = reference.find_isotopes(features, ppm=ppm, rt_window=rt_window, charges=charges)
    first = next(name for name, kind in ADDUCTS.items() if (kind.charge > 0) == (mode == "positive"))
    places = np.flatnonzero(isotopes["isotope"] == 0)
    rows = [(place, first, 0.0, (row,)) for row, place in enumerate(places)]
    alone = pd.DataFrame(rows, columns=["ion", "adduct", "mass", "explains"])
    return _grouped(features, ppm, rt_window, mode, isotopes=isotopes, hypotheses=alone)


@mistake(
    of="group_ions",
    en="Ions of the other mode are grouped as if they were of this one. Where the table says its mode, refuse them.",
    zh="另一种模式的离子，你也按本模式归组了。表中注明了模式时，应当拒绝。",
)
def takes_ions_of_the_other_mode(features, *, ppm, rt_window, mode):
    return reference.group_ions(features.drop(columns="mode", errors="ignore"), ppm=ppm, rt_window=rt_window, mode=mode)


# ---------------------------------------------------------------- identified


def _named(metabolites, database, tolerance, database_ppm, molecules):
    """Names by masses of ions or of groups."""
    found = {}
    for mode in ("positive", "negative"):
        ions = metabolites[metabolites["mode"] == mode]
        group, mass = molecules(ions, mode)
        table = reference.annotate(mass, database, ppm=database_ppm)
        names = table[table["n_candidates"] > 0].groupby("query")["candidate"].agg(list)
        found |= {ion: names[number] for ion, number in group.items() if number in names.index}
    return found


def _molecules(ions, mode, tolerance):
    table = reference.group_ions(ions, **tolerance, mode=mode)
    return table["group"], table.groupby("group")["mass"].mean()


@mistake(
    of="identified",
    en="You take every ion for [M+H]+ or [M-H]-. Sodium adducts and carbon-13 peaks find nothing that way, or "
    "something wrong: group the ions first.",
    zh="你把每个离子都当作 [M+H]+ 或 [M-H]-。这样，钠加合离子和碳-13 峰查不到，或者查错：应先归组。",
)
def takes_all_for_protonated(metabolites, database, tolerance, database_ppm):
    def alone(ions, mode):
        name = "[M+H]+" if mode == "positive" else "[M-H]-"
        return pd.Series(ions.index, index=ions.index), reference.neutral_mass(ions["mz"], name)

    return _named(metabolites, database, tolerance, database_ppm, alone)


@mistake(
    of="identified",
    en="Only one candidate is left for each ion. Leucine and isoleucine cannot be told apart by mass: keep all.",
    zh="每个离子你只留了一个候选物。亮氨酸与异亮氨酸无法凭质量区分：应全部保留。",
)
def keeps_one_candidate(metabolites, database, tolerance, database_ppm):
    everything = _named(metabolites, database, tolerance, database_ppm, lambda i, m: _molecules(i, m, tolerance))
    known = metabolites["hmdb"].dropna()
    return {ion: [known[ion]] if known.get(ion) in names else names[:1] for ion, names in everything.items()}


@mistake(
    of="identified",
    en="The ions of the negative mode have no names. Group and annotate both modes.",
    zh="负离子模式的离子没有名字。两种模式都要归组、注释。",
)
def positive_mode_only(metabolites, database, tolerance, database_ppm):
    everything = _named(metabolites, database, tolerance, database_ppm, lambda i, m: _molecules(i, m, tolerance))
    return {ion: names for ion, names in everything.items() if metabolites.loc[ion, "mode"] == "positive"}


@mistake(
    of="identified",
    en="Only the monoisotopic [M+H]+ and [M-H]- have names. All ions of a group come from its molecule.",
    zh="只有单同位素的 [M+H]+ 与 [M-H]- 有名字。组内所有离子都来自同一分子。",
)
def names_main_ions_only(metabolites, database, tolerance, database_ppm):
    everything = _named(metabolites, database, tolerance, database_ppm, lambda i, m: _molecules(i, m, tolerance))
    main = set()
    for mode, ions in metabolites.groupby("mode"):
        table = reference.group_ions(ions, **tolerance, mode=mode)
        main |= set(table.index[table["adduct"].isin(["[M+H]+", "[M-H]-"]) & (table["isotope"] == 0)])
    return {ion: names for ion, names in everything.items() if ion in main}
