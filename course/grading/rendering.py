"""The autograded notebook: what formgrader shows, with the points where nbgrader looks for them.

A check cell's output is a table of its tests for the grader's eye, and the points as the cell's value, which is how
nbgrader's own `determine_grade` reads partial credit. Formgrader shows HTML as it finds it, so what a student wrote or
displayed carries none: tags in prose are shown as text, and outputs are text and pictures.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from course.grading import pages
from course.grading.intake import Library
from course.grading.store import write_atomically
from course.grading.verdict import Verdict

LARGEST_OUTPUT = 200_000  # letters that one output may show in formgrader
_SAFE_KINDS = ("text/plain", "image/png", "image/jpeg", "text/latex")


def rendered(executed: Mapping[str, Any], verdict: Verdict, library: Library | None = None) -> dict[str, Any]:
    """The executed notebook with the points of each exercise as its check cell's value.

    Parameters
    ----------
    executed : nbformat 4 notebook as the kernel left it
    verdict : a graded verdict on it
    library : of released notebooks, whose own prose is shown as it is
    """
    template = (library or Library()).template(verdict["unit"], verdict["language"])
    released = {cell["source"] for cell in template.cells}
    exercises = {f"check_{exercise['name']}": exercise for exercise in verdict["exercises"]}
    cells = []
    for cell in executed["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if grade_id in exercises:
            exercise = exercises[grade_id]
            cells.append({**cell, "execution_count": None, "outputs": check_outputs(exercise, verdict["language"])})
        elif cell["cell_type"] == "code":
            outputs = [harmless_output(output) for output in cell.get("outputs", [])]
            cells.append({**cell, "outputs": [output for output in outputs if output is not None]})
        elif cell["source"] in released:
            cells.append(dict(cell))
        else:
            cells.append({**cell, "source": harmless_prose(cell["source"])})
    metadata = {**executed["metadata"], "course": {"unit": verdict["unit"], "language": verdict["language"]}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def check_outputs(exercise: Mapping[str, Any], language: str) -> list[dict[str, Any]]:
    """Outputs of a check cell: a table, then the points as the cell's value."""
    points = float(exercise["points"])
    plain = f"{exercise['name']}: {pages.number(points)} / {pages.number(exercise['max_points'])}"
    return [
        {
            "output_type": "display_data",
            "data": {"text/html": check_table(exercise, language), "text/plain": plain},
            "metadata": {},
        },
        {
            "output_type": "execute_result",
            "data": {"text/plain": repr(points)},
            "metadata": {},
            "execution_count": None,
        },
    ]


def check_table(exercise: Mapping[str, Any], language: str) -> str:
    """The tests of an exercise as an HTML table for the person who grades."""
    rows = []
    for test in exercise["tests"]:
        look = pages.STATUSES[test["status"]]
        rows.append(
            f"<tr><td style='white-space:nowrap'>{look.sign} {html.escape(look.word[language])}</td>"
            f"<td style='text-align:left'>{html.escape(test['message'][language])}</td>"
            f"<td style='text-align:left'><code>{html.escape(test['id'])}</code></td>"
            f"<td style='text-align:right;white-space:nowrap'>"
            f"{pages.number(test['points'])} / {pages.number(test['max_points'])}</td></tr>"
        )
    mistake = exercise["mistake"]
    told = f"<p><b>{html.escape(mistake['name'])}</b>: {html.escape(mistake[language])}</p>" if mistake else ""
    return f"<div>{told}<table>{''.join(rows)}</table></div>"


def harmless_prose(source: str) -> str:
    """Markdown in which a tag is shown and not obeyed; a plain "less than" stays as it is.

    >>> harmless_prose("if a < b: <script>alert(1)</script>")
    'if a < b: &lt;script>alert(1)&lt;/script>'
    """
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", source)


def harmless_output(output: Mapping[str, Any]) -> dict[str, Any] | None:
    """An output of student code as text or picture, cut to a size that a browser can show; None if nothing is left."""
    if output.get("output_type") == "stream":
        text = output["text"] if isinstance(output["text"], str) else "".join(output["text"])
        return {**output, "text": text[:LARGEST_OUTPUT]}
    if output.get("output_type") in ("display_data", "execute_result"):
        data = {kind: content for kind, content in output.get("data", {}).items() if kind in _SAFE_KINDS}
        if "text/latex" in data:
            data["text/latex"] = harmless_prose("".join(data["text/latex"]))
        return {**output, "data": data, "metadata": {}} if data else None
    return dict(output)


def write(folder: Path, unit: str, notebook: Mapping[str, Any]) -> Path:
    """Write an autograded notebook so that formgrader sees the old one or the new one."""
    import nbformat

    file = folder / f"{unit}.ipynb"
    text = nbformat.writes(nbformat.from_dict(dict(notebook)))
    write_atomically(file, (text + "\n").encode("utf-8"))
    return file
