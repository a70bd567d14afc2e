"""Unit 06 on cohorts of other seeds: its solution finds the changed genes and names the ions there."""

from __future__ import annotations

from pathlib import Path

import pytest

from course import paths
from course.checking.runner import load_test_file
from course.checking.solution import run_solution
from course.simulation import freeze_cohort, simulate_cohort

UNIT = "06_identifiers"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [101, 102])
def test_the_lesson_finds_what_was_planted(seed: int, tmp_path: Path) -> None:
    cohort, truth = simulate_cohort(seed)
    freeze_cohort(cohort, tmp_path / "cohort")
    found = run_solution(paths.solution_notebook(UNIT, "en"), cohort=tmp_path / "cohort")
    hidden, visible = load_test_file(paths.hidden_tests(UNIT)), load_test_file(paths.visible_tests(UNIT))
    for test in (
        hidden.test_all_changed_genes_are_named,
        hidden.test_missing_is_not_changed,
        hidden.test_equal_versions_are_not_named,
        visible.test_genes_are_stable_identifiers,
        visible.test_some_genes_changed,
    ):
        test(found["changed_genes"], cohort)
    hidden.test_adducts_and_companions_get_the_name(found["identified"], truth)
    hidden.test_both_modes_are_named(found["identified"], truth, cohort)
    hidden.test_isomers_stay_together(found["identified"], truth)
    hidden.test_no_name_without_reason(found["identified"], truth)
    visible.test_ions_and_accessions(found["identified"], cohort)
    visible.test_standards_find_their_name(found["identified"], cohort)


@pytest.mark.slow
def test_the_lessons_keys_are_read_as_the_reference_reads_them() -> None:
    from reference_impl.identifiers import InChIKey, parse_inchikey

    found = run_solution(paths.solution_notebook(UNIT, "en"))
    for key in [*found["structures"].values(), *found["database"]["inchikey"]]:
        assert InChIKey(*found["parse_inchikey"](key)) == parse_inchikey(key)
    with pytest.raises(ValueError, match="no InChIKey"):
        found["parse_inchikey"]("JVTAAEKCZFNVCJ-REOHCLBHSA-N\n")


def test_the_lessons_database_is_the_catalogue() -> None:
    lesson = (paths.UNITS / UNIT / "lesson.md").read_text(encoding="utf-8")
    catalogue = (paths.ROOT / "course/simulation/catalog/metabolites.csv").read_text(encoding="utf-8")
    head, *rows = catalogue.strip().splitlines()
    assert head == "hmdb,name,formula,monoisotopic_mass,inchikey"
    assert "\n".join(["hmdb,name,formula,mass,inchikey", *rows]) in lesson
