"""Feedback pages: what a student reads, in the notebook's language, with everything escaped and nothing given away."""

from __future__ import annotations

import html
import re

import pytest

from course.grading import feedback, pages
from course.grading import verdict as verdicts
from course.grading.gradebook import Marked
from tests.course.samples import a_test, a_verdict, an_exercise

EVIL = "<script>alert(1)</script>"
STATUSES = ("passed", "failed", "not_attempted", "error", "timeout", "memory", "kernel_died")


def text_of(page: str) -> str:
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", " ", body))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_told_by_word_and_sign(status: str, language: str) -> None:
    page = feedback.page(a_verdict([an_exercise("first", [a_test("one", status)])], language=language))
    section = page[page.index("<section") : page.index("</section>")]
    assert pages.STATUSES[status].word[language] in section
    assert pages.STATUSES[status].sign in section


def test_points_per_exercise_test_and_in_all() -> None:
    words = " ".join(text_of(feedback.page(a_verdict(), written=Marked(3, 4, "Good."))).split())
    assert "5 / 8 points" in words
    assert "2 / 4" in words
    assert "0 / 2" in words
    assert "Graded by a person." in words
    assert "Good." in words


def test_open_written_question_makes_the_score_not_final() -> None:
    assert "Not final yet" in feedback.page(a_verdict(), written=Marked(None, 4, ""))
    assert "Not final yet" not in feedback.page(a_verdict(), written=Marked(0, 4, ""))


@pytest.mark.parametrize(("language", "text"), [("en", "You divided twice."), ("zh", "你除了两次。")])
def test_mistake_is_explained_in_the_notebooks_language(language: str, text: str) -> None:
    mistake = {"name": "divides_twice", "en": "You divided twice.", "zh": "你除了两次。"}
    failed = an_exercise("first", [a_test("one", "failed")], mistake)
    page = feedback.page(a_verdict([failed], language=language))
    assert text in page
    assert ("zh-Hans" in page) == (language == "zh")
    assert (pages.STATUSES["failed"].word["en"] in text_of(page)) == (language == "en")


def test_everything_from_a_student_is_escaped() -> None:
    verdict = a_verdict(
        [an_exercise("first", [a_test("one", "failed", visible=True, detail=EVIL)])],
        student="s1",
        repairs=[f"renamed_file: {EVIL}.ipynb", EVIL],
        cells=[{"id": "x1", "status": "error", "seconds": 0.1, "message": f"ValueError: {EVIL}"}],
    )
    page = feedback.page(
        verdict,
        class_name=EVIL,
        name=EVIL,
        written=Marked(1, 4, EVIL),
        comments={"first": EVIL},
        cells=[{"id": "x1", "source": f"1/0  # {EVIL}"}],
    )
    assert EVIL not in page
    assert page.count(html.escape(EVIL)) >= 8


def test_page_runs_nothing_and_loads_nothing() -> None:
    page = feedback.page(a_verdict())
    assert "<script" not in page
    assert not re.search(r"""(?:src|href)\s*=|url\(|@import|https?:""", page)
    assert "default-src 'none'" in page


def test_cells_that_raised_are_told_by_place_but_open_exercises_are_not() -> None:
    verdict = a_verdict(
        cells=[
            {"id": "a", "status": "ok", "seconds": 0.1, "message": ""},
            {"id": "b", "status": "error", "seconds": 0.1, "message": "NotImplementedError"},
            {"id": "c", "status": "timeout", "seconds": 9.0, "message": "took longer than 60 s"},
        ]
    )
    cells = [{"id": "a", "source": "1"}, {"id": "b", "source": "f()"}, {"id": "c", "source": "while True: pass"}]
    words = " ".join(text_of(feedback.page(verdict, cells=cells)).split())
    assert "Cell 3 took too long and was stopped: while True: pass" in words
    assert "Cell 2" not in words


def test_long_messages_are_cut() -> None:
    verdict = a_verdict(cells=[{"id": "c", "status": "error", "seconds": 0.1, "message": "x" * 5000}])
    assert "x" * (feedback.LONGEST_MESSAGE + 1) not in feedback.page(verdict)


def test_repairs_are_told_in_the_notebooks_language() -> None:
    page = feedback.page(a_verdict(repairs=["missing_check: check_first"], language="zh"))
    assert "检查单元格 check_first 缺失，已补回。" in page


def test_not_graded_is_no_zero() -> None:
    verdict = verdicts.not_graded("the file is empty", student="s1", unit="91_one", submission="a" * 64)
    words = " ".join(text_of(feedback.page(verdict)).split())
    assert "Not graded: the file is empty" in words
    assert "This is not a zero" in words
    assert "0 /" not in words
