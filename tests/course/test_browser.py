"""A student opens a notebook in JupyterLab: checks, a hint, the progress picture and plots, in both languages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from course import paths
from course.authoring import browser, pictures

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        browser.find_chromium() is None, reason="there is no browser here; install one: apt-get install chromium"
    ),
]

UNIT = "03_robust_qc"
WORDS = {
    "en": {
        "passed": "✓ passed",
        "not yet": "✗ not yet",
        "not attempted": "○ not attempted",
        "footer": "Visible checks only. Hidden tests run when you submit.",
        "hint": "Hint 1 of",
        "next hint": "Hint 2 of",
        "progress": "Where you stand",
    },
    "zh": {
        "passed": "✓ 通过",
        "not yet": "✗ 尚未通过",
        "not attempted": "○ 尚未作答",
        "footer": "这里只运行可见检查；提交之后才运行隐藏测试。",
        "hint": "提示 1/",
        "next hint": "提示 2/",
        "progress": "学习进度",
    },
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """JupyterLab over the half-solved folders of both languages, far from the repository."""
    root = tmp_path_factory.mktemp("home")
    for language in paths.LANGUAGES:
        pictures.half_solved(UNIT, language, root / language)
    with browser.jupyterlab(root, tmp_path_factory.mktemp("jupyter")) as found:
        yield found


@pytest.mark.parametrize("language", paths.LANGUAGES)
def test_a_students_notebook(language: str, address: str, tmp_path: Path) -> None:
    folder = Path(os.environ.get("COURSE_PICTURES", tmp_path))  # set it to look at what the browser saw
    words = WORDS[language]
    with browser.chromium() as page:
        browser.open_notebook(page, address, f"{language}/{UNIT}.ipynb")
        browser.run_all(page)
        errors = page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]').all_inner_texts()
        assert errors == []
        warned = page.locator(
            '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]'
        ).all_inner_texts()
        assert warned == [], "no warning, of missing glyphs for example, may disturb"

        def look(code: str, name: str) -> str:
            output = browser.output_of(page, code)
            output.scroll_into_view_if_needed()
            output.screenshot(path=str(folder / f"{language}-{name}.png"))
            return output.inner_text()

        passed = look('check("robust_z")', "passed")
        assert words["passed"] in passed
        assert words["not yet"] not in passed
        assert words["footer"] in passed
        wrong = look('check("mad_outliers")', "not-yet")
        assert words["not yet"] in wrong
        assert words["passed"] in wrong
        assert words["not attempted"] in look('check("failed_libraries")', "not-attempted")

        hints = page.locator(".jp-CodeCell").filter(has_text="hint(").last.locator(".jp-OutputArea-output")
        told = hints.all_inner_texts()
        assert words["hint"] in told[0]
        assert words["next hint"] in told[1]

        stand = look(pictures.AT_THE_END[-1], "progress")
        assert words["progress"] in stand
        assert all(words[word] in stand for word in ("passed", "not attempted"))
        bars = page.locator(".course-progress [role=img]")
        about = json.loads(
            (paths.exercise_folder(UNIT, language) / "support" / "unit.json").read_text(encoding="utf-8")
        )
        assert bars.count() == len(about["exercises"])
        assert all(bars.nth(number).get_attribute("aria-label") for number in range(bars.count()))

        plots = page.locator(".jp-RenderedImage img")
        assert plots.count() >= 3
        for number in range(plots.count()):
            plots.nth(number).scroll_into_view_if_needed()
            plots.nth(number).screenshot(path=str(folder / f"{language}-plot-{number + 1}.png"))
            assert plots.nth(number).evaluate("image => image.naturalWidth") > 200
