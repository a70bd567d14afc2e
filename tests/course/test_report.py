"""The class report: what it counts, and that its pages are whole, safe and readable without colour."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from course.grading import charts, report, statistics
from course.grading import verdict as verdicts
from course.grading.gradebook import Marked
from course.grading.report import Graded, UnitReport
from tests.course.samples import a_test, a_verdict, an_exercise

EVIL = "<script>alert(1)</script>"


def of(student: str, *exercises: dict, **changes) -> verdicts.Verdict:  # type: ignore[type-arg]
    return a_verdict(list(exercises), student=student, **changes)


def solved(name: str) -> dict:  # type: ignore[type-arg]
    return an_exercise(name, [a_test(f"{name}_a"), a_test(f"{name}_b")])


def half(name: str, mistake: dict | None = None) -> dict:  # type: ignore[type-arg]
    return an_exercise(name, [a_test(f"{name}_a"), a_test(f"{name}_b", "failed")], mistake)


def untouched(name: str) -> dict:  # type: ignore[type-arg]
    return an_exercise(name, [a_test(f"{name}_a", "not_attempted"), a_test(f"{name}_b", "not_attempted")])


def hopeless(name: str) -> dict:  # type: ignore[type-arg]
    return an_exercise(name, [a_test(f"{name}_a", "error"), a_test(f"{name}_b", "timeout")])


def test_difficulty_is_over_those_who_attempted_the_exercise() -> None:
    found = statistics.items([of("s1", solved("one")), of("s2", half("one")), of("s3", untouched("one"))])
    assert [(item.id, item.attempted, item.share) for item in found] == [
        ("hidden/test_one_a", 2, 1.0),
        ("hidden/test_one_b", 2, 0.5),
    ]


def test_mistakes_are_counted_the_commonest_first_of_those_who_were_wrong() -> None:
    rare = {"name": "rare", "en": "Rare.", "zh": "少。"}
    common = {"name": "common", "en": "Common.", "zh": "多。"}
    verdicts_ = [of("s1", half("one", rare)), of("s2", half("one", common)), of("s3", half("one", common))]
    found = statistics.tally_mistakes([*verdicts_, of("s4", half("one")), of("s5", solved("one"))])
    assert [(row["name"], row["students"], row["of"]) for row in found] == [
        ("common", ["s2", "s3"], 4),
        ("rare", ["s1"], 4),
    ]


def test_exercises_are_told_by_how_they_went() -> None:
    verdicts_ = [of(f"s{i}", made("one")) for i, made in enumerate((solved, half, half, untouched, hopeless))]
    [row] = report.tally_exercises(verdicts_)
    assert dict(row["went"]) == {"solved": 1, "partly": 2, "not_attempted": 1, "nothing": 1}
    assert row["points"] == [4, 2, 2, 0, 0]


def a_unit() -> UnitReport:
    refused = verdicts.not_graded(f"broken {EVIL}", student="s9", unit="91_one", submission="c" * 64)
    found = [
        Graded(of("s1", solved("one"), solved("two"), repairs=["renamed_file: x.ipynb"]), Marked(None, 4, "")),
        Graded(of("s2", half("one"), hopeless("two")), Marked(3, 4, "", again=True), penalty=1.0, attempt=(2, 3)),
        Graded(of("s3", untouched("one"), untouched("two")), Marked(0, 4, "")),
        Graded(refused),
    ]
    return UnitReport.of("91_one", found)


def a_page(language: str = "en") -> str:
    return report.unit_page(
        f"Class {EVIL}",
        language,
        a_unit(),
        names={"s1": EVIL, "s9": "Nine"},
        n_students=20,
        links={"s1": "../feedback/s1/91_one/91_one.html"},
        class_link="../report.html",
    )


def a_class_page(language: str = "en") -> str:
    names = {"s1": EVIL, "s9": "Nine", "s10": "Absent"}
    links = {"91_one": "reports/91_one.html"}
    return report.class_page(f"Class {EVIL}", language, [a_unit()], names=names, n_students=20, links=links)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_page_holds_all_parts(language: str) -> None:
    page, words = a_page(language), report.WORDS[language]
    for part in ("human", "scores", "exercises", "tests", "mistakes", "alike", "time", "students"):
        assert f">{words[part]}</h2>" in page
        assert f'href="#{part}"' in page
        assert f'id="{part}"' in page
    assert words["overview"].format(students=20, submissions=4) in page
    assert words["written_waiting"].format(n=1) in page
    assert words["again"].format(n=1) in page
    assert words["late"].format(points="1") in page
    assert words["attempt"].format(number=2, of=3) in page
    assert words["isolation_warning"] in page
    assert "s9" in page
    assert "broken" in page


@pytest.mark.parametrize("language", ["en", "zh"])
def test_class_page_leads_to_units_and_names_everybody(language: str) -> None:
    page, words = a_class_page(language), report.WORDS[language]
    assert 'href="reports/91_one.html"' in page
    assert 'href="reports/91_one.html#human"' in page
    assert "Absent" in page
    assert words["ungraded"] in page
    assert "broken" in page


def test_both_languages_have_the_same_words() -> None:
    assert report.WORDS["en"].keys() == report.WORDS["zh"].keys()


def test_not_graded_is_no_score() -> None:
    page = a_page()
    scores = page[page.index('id="scores"') :]
    assert "3 students" in scores
    assert "median 2" in scores


def test_total_waits_for_the_person_and_bears_the_penalty() -> None:
    verdict = of("s1", half("one"))
    assert Graded(verdict, Marked(None, 4, "")).total is None
    assert Graded(verdict, Marked(3, 4, ""), penalty=1.5).total == 3.5
    assert Graded(verdict, None, penalty=9).total == 0


@pytest.mark.parametrize("page", [a_page(), a_class_page()])
def test_everything_from_outside_is_escaped_and_nothing_is_loaded(page: str) -> None:
    assert EVIL not in page
    assert page.count("<script") == 1
    assert "default-src 'none'" in page
    assert "script-src 'sha256-" in page
    assert "unsafe-inline" not in page
    assert " style=" not in page
    found = set(re.findall(r"""(?:src|href)="([^"#]+)""", page))
    allowed = {"../feedback/s1/91_one/91_one.html", "../report.html", "reports/91_one.html"}
    assert found <= allowed


def test_pictures_are_whole_and_told_in_words() -> None:
    pictures = re.findall(r"<svg.*?</svg>", a_page(), flags=re.DOTALL)
    told = [picture for picture in pictures if "aria-hidden" not in picture]
    assert len(told) > 3
    for picture in told:
        root = ElementTree.fromstring(picture)
        assert root.get("role") == "img"
        assert root.get("aria-label")


@pytest.mark.parametrize("values", [[0], [10], [0, 10, 10, 3.5], list(range(11)) * 400])
def test_histogram_shows_everybody_once(values: list[float]) -> None:
    bars = charts.histogram_bars(values, 10)
    assert sum(bar.count for bar in bars) == len(values)
    picture = charts.histogram(values, 10, title="t", x_label="x", y_label="y", median_label="median")
    heights = [float(part.get("height", 0)) for part in ElementTree.fromstring(picture).iter("rect")]
    assert len(heights) == sum(bar.count > 0 for bar in bars)
    assert max(heights) > 50


def test_class_without_a_graded_submission_has_a_page() -> None:
    refused = verdicts.not_graded("broken", student="s9", unit="91_one", submission="c" * 64)
    unit = UnitReport.of("91_one", [Graded(refused)])
    assert report.WORDS["en"]["none_graded"] in report.unit_page("Class", "en", unit)
    assert "91_one" in report.class_page("Class", "en", [unit])


def test_slow_answers_stand_out_of_the_times() -> None:
    verdicts_ = [of(f"s{i}", solved("one")) for i in range(10)]
    verdicts_[3]["exercises"][0]["tests"][0]["seconds"] = 30.0
    [times] = statistics.exercise_times([*verdicts_, of("s11", untouched("one"))])
    assert len(times.seconds) == 10
    assert times.slowest == "s3"
    assert times.median == pytest.approx(0.2)
    assert times.high == pytest.approx(0.2)
    assert times.longest == pytest.approx(30.1)
