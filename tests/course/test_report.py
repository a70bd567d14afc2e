"""The class report: what it counts, and that the page is whole, safe and readable without colour."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from course.grading import charts, report
from course.grading import verdict as verdicts
from course.grading.gradebook import Marked
from course.grading.report import Graded
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


def test_hardest_test_is_that_which_fewest_of_those_who_tried_passed() -> None:
    tallies = report.tally_tests([of("s1", solved("one")), of("s2", half("one")), of("s3", untouched("one"))])
    assert [(tally.id, tally.attempted, tally.share) for tally in tallies] == [
        ("hidden/test_one_b", 2, 0.5),
        ("hidden/test_one_a", 2, 1.0),
    ]


def test_tests_that_nobody_tried_are_no_hard_tests() -> None:
    assert report.tally_tests([of("s1", untouched("one"))]) == []


def test_mistakes_are_counted_the_commonest_first() -> None:
    rare = {"name": "rare", "en": "Rare.", "zh": "少。"}
    common = {"name": "common", "en": "Common.", "zh": "多。"}
    verdicts_ = [of("s1", half("one", rare)), of("s2", half("one", common)), of("s3", half("one", common))]
    found = report.tally_mistakes(verdicts_)
    assert [(row["name"], row["students"]) for row in found] == [("common", ["s2", "s3"]), ("rare", ["s1"])]


def test_exercises_are_told_by_how_they_went() -> None:
    verdicts_ = [of(f"s{i}", made("one")) for i, made in enumerate((solved, half, half, untouched, hopeless))]
    [row] = report.tally_exercises(verdicts_)
    assert dict(row["went"]) == {"solved": 1, "partly": 2, "not_attempted": 1, "nothing": 1}
    assert row["points"] == [4, 2, 2, 0, 0]


def a_page(language: str = "en") -> str:
    refused = verdicts.not_graded(f"broken {EVIL}", student="s9", unit="91_one", submission="c" * 64)
    found = [
        Graded(of("s1", solved("one"), solved("two"), repairs=["renamed_file: x.ipynb"]), Marked(None, 4, "")),
        Graded(of("s2", half("one"), hopeless("two")), Marked(3, 4, "")),
        Graded(of("s3", untouched("one"), untouched("two")), Marked(0, 4, "")),
        Graded(refused),
    ]
    return report.page(
        f"Class {EVIL}",
        language,
        found,
        names={"s1": EVIL, "s9": "Nine"},
        n_students=20,
        links={("s1", "91_one"): "feedback/s1/91_one/91_one.html"},
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_page_holds_all_parts(language: str) -> None:
    page, words = a_page(language), report.WORDS[language]
    for part in ("scores", "exercises", "hard", "mistakes", "students", "human"):
        assert f">{words[part]}</h2>" in page
    assert words["overview"].format(students=20, submissions=4) in page
    assert words["written_waiting"].format(n=1) in page
    assert words["isolation_warning"] in page
    assert "s9" in page
    assert "broken" in page


def test_not_graded_is_no_score() -> None:
    page = a_page()
    scores = page[page.index("<svg") : page.index("</svg>")]
    assert "3 students" in scores
    assert "median 2" in scores


def test_everything_from_outside_is_escaped_and_nothing_is_loaded() -> None:
    page = a_page()
    assert EVIL not in page
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert re.findall(r"""(?:src|href)="([^"]*)""", page) == ["feedback/s1/91_one/91_one.html"]


def test_pictures_are_whole_and_told_in_words() -> None:
    pictures = re.findall(r"<svg.*?</svg>", a_page(), flags=re.DOTALL)
    assert len(pictures) > 3
    for picture in pictures:
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
    assert report.WORDS["en"]["none_graded"] in report.page("Class", "en", [Graded(refused)])
