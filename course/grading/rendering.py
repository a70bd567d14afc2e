"""The autograded notebook: what formgrader shows, with the points where nbgrader looks for them.

A check cell's output is a table of its tests for the grader's eye, and the points as the cell's value, which is how
nbgrader's own `determine_grade` reads partial credit.

Formgrader shows HTML as it finds it, follows every link and typesets every formula, with the rights of whoever grades.
So a notebook that it shows is made anew, from lists of what is allowed: of a cell its kind, id, source and nbgrader's
marks as released; of an output plain text, and pictures that are PNG or JPEG from their first byte. In prose of a
student, tags and entities are shown as text, links lead to the web only, pictures are not loaded, and TeX that links,
styles or loads is shown as it is written. HTML, SVG, JavaScript, LaTeX, Markdown and widgets of a student are left out.
"""

from __future__ import annotations

import base64
import binascii
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
_PICTURES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\x1b(?!\[[0-9;]*m)")
_ACTIVE_TEX = re.compile(
    r"\\(?=(?:href|url|style|class|cssId|require|unicode|mmlToken|includegraphics|data|html\w*|def|let|newcommand|"
    r"renewcommand|newenvironment|DeclareMathOperator|csname)(?![A-Za-z]))"
)
_NO_WEB_LINK = re.compile(r"\](?=\(\s*(?!https?://|#|mailto:))", re.IGNORECASE)
_APART = "\u200b"  # has no width and belongs to no syntax, so what it stands in is text; a backslash could be escaped


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
        known = template.by_grade_id.get(grade_id)
        shown = {
            "cell_type": cell["cell_type"],
            "id": cell["id"],
            "metadata": {"nbgrader": dict(known["metadata"]["nbgrader"])} if known else {},
            "source": cell["source"],
        }
        if grade_id in exercises:
            outputs = check_outputs(exercises[grade_id], verdict["language"])
            cells.append({**shown, "execution_count": None, "outputs": outputs})
        elif cell["cell_type"] == "code":
            outputs = [harmless for output in cell.get("outputs", []) if (harmless := harmless_output(output))]
            cells.append({**shown, "execution_count": cell.get("execution_count"), "outputs": outputs})
        else:
            prose = cell["source"] if cell["source"] in released else harmless_prose(cell["source"])
            cells.append({**shown, "cell_type": "markdown", "source": prose})
    return {"cells": cells, "metadata": dict(template.metadata), "nbformat": 4, "nbformat_minor": 5}


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
    >>> harmless_prose("[a](javascript:b) [c](https://d.org)")
    '[a]\\u200b(javascript:b) [c](https://d.org)'
    """
    source = harmless_text(source)
    source = re.sub(r"&(?=[#\w])", "&amp;", source)  # an entity could spell what is looked for below
    source = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", source)
    source = source.replace("![", f"!{_APART}[").replace("]:", f"]{_APART}:")
    source = _NO_WEB_LINK.sub(f"]{_APART}", source)
    return _ACTIVE_TEX.sub(lambda slash: slash[0] + _APART, source)


def harmless_text(text: str) -> str:
    """Text without characters that command a terminal or turn the direction of reading; colours stay.

    >>> harmless_text("\\x1b[31mred\\x1b[0m \\x1b]0;title\\x07")
    '\\x1b[31mred\\x1b[0m �]0;title�'
    """
    return _CONTROLS.sub("\ufffd", text)


def harmless_output(output: Mapping[str, Any]) -> dict[str, Any] | None:
    """An output of student code as text or picture, cut to a size that a browser can show; None if nothing is left."""
    kind = output.get("output_type")
    if kind == "stream":
        return {"output_type": kind, "name": output["name"], "text": _shown(output["text"])}
    if kind == "error":
        trace = [_shown(line) for line in output.get("traceback", [])][:200]
        return {
            "output_type": kind,
            "ename": _shown(output["ename"])[:200],
            "evalue": _shown(output["evalue"])[:2000],
            "traceback": trace if sum(map(len, trace)) <= LARGEST_OUTPUT else trace[-1:],
        }
    if kind in ("display_data", "execute_result"):
        data = {name: content for name in _PICTURES if (content := _picture(name, output.get("data", {}).get(name)))}
        if "text/plain" in output.get("data", {}):
            data["text/plain"] = _shown(output["data"]["text/plain"])
        count = {"execution_count": output.get("execution_count")} if kind == "execute_result" else {}
        return {"output_type": kind, "data": data, "metadata": {}, **count} if data else None
    return None


def _shown(text: Any) -> str:
    whole = text if isinstance(text, str) else "".join(map(str, text)) if isinstance(text, list) else str(text)
    return harmless_text(whole[:LARGEST_OUTPUT])


def _picture(kind: str, content: Any) -> str | None:
    """A picture's data, decoded and encoded again, if they are that kind of picture."""
    text = content if isinstance(content, str) else "".join(map(str, content)) if isinstance(content, list) else ""
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    return base64.b64encode(data).decode("ascii") if data.startswith(_PICTURES[kind]) else None


def write(folder: Path, unit: str, notebook: Mapping[str, Any]) -> Path:
    """Write an autograded notebook so that formgrader sees the old one or the new one."""
    import nbformat

    file = folder / f"{unit}.ipynb"
    text = nbformat.writes(nbformat.from_dict(dict(notebook)))
    write_atomically(file, (text + "\n").encode("utf-8"))
    return file
