"""An instructor opens the report in a browser: it sorts, it finds, it runs no script but its own, and it prints."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from course.authoring import browser
from course.grading import report
from course.grading import verdict as verdicts
from course.grading.report import Graded, UnitReport

from .crowd import BROKEN, crowd

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        browser.find_chromium() is None, reason="there is no browser here; install one: apt-get install chromium"
    ),
]
N = 60
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both pages in both languages; a student's name tries to run a script."""
    place = Path(os.environ.get("COURSE_PICTURES", tmp_path_factory.mktemp("report")))
    found = crowd(N, seed=2)
    reason = f"the file is not a notebook {EVIL}"
    found.append(Graded(verdicts.not_graded(reason, student="s9999", unit="91_one", submission="c" * 64)))
    unit = UnitReport.of("91_one", found)
    names = {item.verdict["student"]: f"王小明 {EVIL}" for item in found}
    for language in ("en", "zh"):
        page = report.unit_page("Class", language, unit, names=names, class_link=f"class_{language}.html")
        (place / f"unit_{language}.html").write_text(page, encoding="utf-8")
        links = {"91_one": f"unit_{language}.html"}
        page = report.class_page("Class", language, [unit], names=names, links=links)
        (place / f"class_{language}.html").write_text(page, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def opened() -> Iterator[Any]:
    with browser.chromium(width=1250, height=1000) as page:
        yield page


@pytest.fixture(params=["unit_en", "unit_zh", "class_en", "class_zh"])
def page(request: pytest.FixtureRequest, folder: Path, opened: Any) -> Iterator[Any]:
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda asking: asked.append(asking.url))
    file = folder / f"{request.param}.html"
    opened.emulate_media(media="screen")
    opened.set_viewport_size({"width": 1250, "height": 1000})
    opened.goto(file.as_uri())
    yield opened
    assert said == []
    assert asked == [file.as_uri()], "a report asks the network for nothing"
    for kind in ("console", "pageerror", "request"):
        opened._impl_obj.remove_all_listeners(kind)


def column(page: Any, part: str, number: int) -> list[str]:
    cells = page.locator(f"#{part} tbody tr:visible td:nth-child({number})")
    return [
        text or "" for text in cells.evaluate_all("cells => cells.map(cell => cell.dataset.sort ?? cell.innerText)")
    ]


def test_nothing_of_a_student_runs_and_pages_fit(page: Any) -> None:
    assert page.title() != "owned"
    assert page.locator("img").count() == 0
    for width in (1250, 420):
        page.set_viewport_size({"width": width, "height": 1000})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 1250, "height": 1000})


def test_students_are_sorted_by_a_click_and_found_by_a_word(page: Any) -> None:
    last = page.locator("#students thead th button").last
    points = page.locator("#students thead th button").nth(1)
    assert last.is_visible()
    points.click()
    down = [float(value) for value in column(page, "students", 2) if value]
    assert down == sorted(down, reverse=True)
    points.press("Enter")  # by keyboard, too
    up = [float(value) for value in column(page, "students", 2) if value]
    assert up == sorted(up)
    assert page.locator("#students th[aria-sort=ascending]").count() == 1
    assert len(up) == N
    page.locator("#students input").fill("s0007")
    assert column(page, "students", 1) == ["s0007"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_plots_and_tests_are_there(language: str, folder: Path, opened: Any) -> None:
    opened.goto((folder / f"unit_{language}.html").as_uri())
    for part in ("scores", "tests", "time"):
        plot = opened.locator(f"#{part} figure svg")
        assert plot.count() == 1
        assert plot.bounding_box()["height"] > 150
        assert plot.get_attribute("aria-label")
    marked = opened.locator("#tests polygon")
    assert marked.count() == 1  # one diamond, for the test that the weak pass
    assert BROKEN in (marked.locator("title").text_content() or "")
    assert BROKEN in opened.locator("#tests tbody tr", has_text="◆").inner_text()
    hard = [float(value) for value in column(opened, "tests", 5)]
    assert hard == sorted(hard)


def test_in_print_nothing_is_hidden_and_no_control_is_left(folder: Path, opened: Any) -> None:
    opened.goto((folder / "unit_en.html").as_uri())
    opened.emulate_media(media="print")
    assert opened.locator("nav").is_hidden()
    assert opened.locator(".find").first.is_hidden()
    assert opened.locator("#students tbody tr:visible").count() == N
    opened.screenshot(path=str(folder / "print.png"), full_page=True)
    opened.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert all(opened.locator("details").evaluate_all("all => all.map(details => details.open)"))
    opened.emulate_media(media="screen")


def test_shares_differ_without_colour(folder: Path, opened: Any) -> None:
    """In grey, neighbouring shares of a bar differ: three greys, and stripes where two would be alike."""
    opened.goto((folder / "unit_en.html").as_uri())
    fills = opened.evaluate(
        """() => Object.fromEntries(["solved", "partly", "nothing", "not_attempted"].map(kind =>
            [kind, getComputedStyle(document.querySelector(`.key rect.${kind}`)).fill]))"""
    )
    assert "url(" in fills["nothing"]
    greys = []
    for kind in ("solved", "partly", "not_attempted"):
        red, green, blue = (int(part) for part in fills[kind].removeprefix("rgb(").removesuffix(")").split(","))
        greys.append(0.299 * red + 0.587 * green + 0.114 * blue)
    assert all(later - earlier > 35 for earlier, later in itertools.pairwise(greys))
