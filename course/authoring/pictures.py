"""The pictures of the README, taken from a real notebook in a real browser: `python -m course.authoring.pictures`."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course import paths, picture_sources
from course.authoring import browser
from course.picture_sources import FIGURES

if TYPE_CHECKING:
    from playwright.sync_api import Page

UNIT = "03_robust_qc"
CLASSICAL_Z = """def mad_outliers(x, *, threshold=3.5, side="both"):
    z = (x - np.mean(x, axis=0)) / np.std(x, axis=0)
    return abs(z) > threshold"""
HALF_WAY = {"mad_outliers": CLASSICAL_Z, "failed_libraries": "failed_libraries = ..."}
AT_THE_END = 'hint("mad_outliers")\nhint("mad_outliers")', "progress()  # at the end"


def half_solved(unit: str, language: str, folder: Path) -> None:
    """Put a unit's folder there as a student has it half-way: most solved, one wrong, the last not begun."""
    shutil.copytree(paths.exercise_folder(unit, language), folder)
    solved = json.loads(paths.solution_notebook(unit, language).read_text(encoding="utf-8"))
    answers = {cell["id"]: cell["source"] for cell in solved["cells"]}
    answers |= {name: text.splitlines(keepends=True) for name, text in HALF_WAY.items()}
    path = folder / f"{unit}.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells: list[dict[str, Any]] = []
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("solution") and cell["cell_type"] == "code":
            cell["source"] = answers[cell["id"]]
        cells.append(cell)
        if cell["id"] == f"check_{list(HALF_WAY)[-1]}":
            cells += [_code(f"added-{number}", text) for number, text in enumerate(AT_THE_END)]
            break  # what follows uses an answer that this student has not found yet
    path.write_text(json.dumps({**notebook, "cells": cells}), encoding="utf-8")


def _code(cell_id: str, text: str) -> dict[str, Any]:
    return {
        **{"cell_type": "code", "id": cell_id, "metadata": {}, "source": text.splitlines(keepends=True)},
        **{"outputs": [], "execution_count": None},
    }


def picture_of_a_check(page: Page, path: Path) -> None:
    """An answer with its check below it."""
    answer = browser.cell_with(page, "abs(z) > threshold")
    check = browser.cell_with(page, 'check("mad_outliers")')
    answer.scroll_into_view_if_needed()
    top, bottom = answer.bounding_box(), check.bounding_box()
    assert top is not None
    assert bottom is not None
    height = bottom["y"] + bottom["height"] - top["y"]
    page.screenshot(path=str(path), clip={"x": top["x"], "y": top["y"], "width": top["width"], "height": height})


def main() -> None:
    """Take the pictures."""
    FIGURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="course-pictures-") as scratch:
        home = Path(scratch, "home")
        home.mkdir()
        half_solved(UNIT, "en", home / "en")
        with (
            browser.jupyterlab(home, Path(scratch)) as address,
            browser.chromium(width=900, height=1600, scale=1.5) as page,
        ):
            browser.open_notebook(page, address, f"en/{UNIT}.ipynb")
            browser.run_all(page)
            picture_of_a_check(page, FIGURES / "check.png")
    picture_sources.record("check.png")
    print(f"{FIGURES / 'check.png'}: {(FIGURES / 'check.png').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
