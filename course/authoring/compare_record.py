"""The numbers of the closing comparison: kept, known to be current, and shown in the lessons.

`course compare` measures every method on the frozen cohort and writes `course/comparison.json`: the numbers, and a hash
of what they were made from. What is finished is kept in a file beside it, so that a run that was stopped goes on. The
lessons of units 08 to 13 show the numbers in a block that `course compare --write` fills; `course build --check` fails
where record or block are out of date. It computes nothing again: a second digit may differ between machines.
Of seconds only the order of magnitude is recorded, for they belong to one machine.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from course import paths
from course.authoring import comparison_block
from course.authoring.compare import TASKS, Entry, Layers, entries, measure
from course.errors import CourseError

RECORD = paths.ROOT / "course" / "comparison.json"
UNFINISHED = paths.ROOT / "course" / "comparison.unfinished.json"
BLOCK = re.compile(r"(# comparison:begin[^\n]*\n).*?(# comparison:end)", re.DOTALL)
IMPORTS = "import matplotlib.pyplot as plt\nimport numpy as np\nimport pandas as pd\n"


# --- Measuring -------------------------------------------------------------------------------------------------------


def run(methods: list[Entry] | None = None) -> Iterator[tuple[str, int, int]]:
    """Measure every method that is not measured yet; yields the name, number and count before each, and at the end.

    Raises
    ------
    CourseError : the cohort or its truth is not there
    """
    methods = entries() if methods is None else methods
    if not paths.TRUTH.is_file():
        raise CourseError(f"the comparison needs the cohort's truth, and {paths.TRUTH} is not there")
    layers, truth, disease = prepared()
    inputs = digest()
    done = _unfinished(inputs)
    for number, entry in enumerate(methods):
        if entry.name not in done:
            yield entry.en, number, len(methods)
            done[entry.name] = measure(entry, layers, truth, disease)
            _write(UNFINISHED, {"inputs": inputs, "methods": done})
    _write(RECORD, {"inputs": inputs, "methods": {entry.name: done[entry.name] for entry in methods}})
    UNFINISHED.unlink(missing_ok=True)
    yield "", len(methods), len(methods)


def prepared() -> tuple[Layers, dict[str, Any], np.ndarray]:
    """The cohort's repaired layers, its truth, and who is a case."""
    from course.simulation.accept import clean_layers
    from reference_impl.cohort import load

    truth = json.loads(paths.TRUTH.read_text(encoding="utf-8"))
    cohort = load("cohort", folder=paths.COHORT)
    layers = clean_layers(cohort, truth)
    layers = {name: table.loc[:, table.std() > 0] for name, table in layers.items()}
    patients = next(iter(layers.values())).index
    return layers, truth, (cohort.clinical.loc[patients, "disease"] == "case").to_numpy().astype(int)


def _unfinished(inputs: str) -> dict[str, Any]:
    """What was measured before from the same inputs."""
    for file in (UNFINISHED, RECORD):
        if file.is_file():
            told = json.loads(file.read_text(encoding="utf-8"))
            if told["inputs"] == inputs:
                return told["methods"]
    return {}


def _write(path: Path, content: dict[str, Any]) -> None:
    hidden = path.with_name(f".{path.name}")
    hidden.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    hidden.replace(path)


# --- Is the record current? ------------------------------------------------------------------------------------------


def digest() -> str:
    """A hash of what the numbers are made from: the code of the methods, the cohort and its truth; not the prose."""
    found = hashlib.sha256()
    for source in sources():
        code = code_of(source.read_text(encoding="utf-8"))
        found.update(f"{source.relative_to(paths.ROOT).as_posix()} {len(code)}\n{code}".encode())
    for data in (paths.COHORT / "SHA256SUMS", paths.TRUTH):
        found.update(f"{data.name} ".encode() + hashlib.sha256(data.read_bytes()).digest())
    return found.hexdigest()


def sources() -> list[Path]:
    """The modules that decide the numbers: the integration methods with their sub-packages, and what prepares data."""
    reference = paths.ROOT / "reference_impl"
    methods = sorted((reference / "integration").rglob("*.py"))
    return [
        *(source for source in methods if not source.stem.endswith("_plots")),
        *(reference / "cohort.py", reference / "validation.py"),
        *(paths.ROOT / "course" / "simulation" / "accept.py", paths.ROOT / "course" / "authoring" / "compare.py"),
    ]


def code_of(text: str) -> str:
    """What Python does with a source, as one line: no comment, docstring, layout or annotation, in every version.

    >>> code_of('def f(x: int):  # why\\n    "What."\\n    return x') == code_of("def f(x): return (x)")
    True
    """
    return _canonical(ast.parse(text))


def _canonical(node: Any) -> str:
    """`ast.dump` differs between versions of Python in the empty fields that it writes."""
    if isinstance(node, list):
        return f"[{','.join(map(_canonical, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        fields["body"] = [part for part in node.body if not _is_text(part)]
    if isinstance(node, ast.JoinedStr):  # Python 3.12 writes empty parts into formats
        fields["values"] = [part for part in node.values if getattr(part, "value", None) != ""]
    ignored = ("annotation", "returns", "type_comment", "type_ignores", "kind", "ctx")
    told = [
        f"{name}={_canonical(value)}" for name, value in fields.items() if value not in (None, []) or name == "value"
    ]
    return f"{type(node).__name__}({','.join(field for field in told if field.split('=')[0] not in ignored)})"


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def record() -> dict[str, Any]:
    """What was measured last.

    Raises
    ------
    CourseError : nothing was measured
    """
    if not RECORD.is_file():
        raise CourseError("nothing was compared yet; run `course compare --write`")
    return json.loads(RECORD.read_text(encoding="utf-8"))


def is_current() -> bool:
    """Whether the record was made from the methods and the cohort as they are."""
    return RECORD.is_file() and record()["inputs"] == digest()


def complaints() -> list[str]:
    """What is out of date; nothing if no lesson shows the comparison."""
    lessons = lessons_with_a_block()
    if not lessons:
        return []
    if not is_current():
        return [f"{_short(RECORD)}: is not of the methods and the cohort as they are"]
    return [
        f"{_short(lesson)}: shows other numbers than {_short(RECORD)}" for lesson in lessons if not is_shown(lesson)
    ]


def _short(path: Path) -> str:
    return path.relative_to(paths.ROOT).as_posix() if path.is_relative_to(paths.ROOT) else path.name


# --- In the lessons --------------------------------------------------------------------------------------------------


def block(unit: str) -> str:
    """The lines that stand in a lesson: the numbers, what draws them, and the unit's number."""
    names = {entry.name: (entry.en, entry.zh) for entry in entries()}
    lines = ["COMPARISON = [  # unit, method, subtypes, disease, missing layer, seconds"]
    for name, told in record()["methods"].items():
        en, zh = names[name]
        values = ", ".join(repr(told[task]) for task in TASKS)
        lines.append(f'    ("{told["unit"]}", label("{en}", "{zh}"), {values}, "{told["seconds"]}"),')
    drawing = inspect.getsource(comparison_block.show_comparison).replace(": list[tuple[Any, ...]]", "")
    rows = "\n".join([*lines, "]\n"])
    return f'{IMPORTS}\n{rows}\n\n{drawing}\n\nshow_comparison(COMPARISON, "{unit}")\n'


def lessons_with_a_block() -> list[Path]:
    """The lessons that show the comparison."""
    found = [paths.UNITS / unit / "lesson.md" for unit in paths.unit_names()]
    return [lesson for lesson in found if BLOCK.search(lesson.read_text(encoding="utf-8"))]


def is_shown(lesson: Path) -> bool:
    """Whether a lesson shows the numbers of the record."""
    text = lesson.read_text(encoding="utf-8")
    return with_block(text, lesson.parent.name[:2]) == text


def with_block(text: str, unit: str) -> str:
    """A lesson's text with the numbers of the record in its block."""
    shown = block(unit)
    return BLOCK.sub(lambda match: match.group(1) + shown + match.group(2), text)


def write_blocks() -> list[Path]:
    """Put the numbers into the lessons; returns those that changed."""
    changed = []
    for lesson in lessons_with_a_block():
        text = lesson.read_text(encoding="utf-8")
        if (new := with_block(text, lesson.parent.name[:2])) != text:
            lesson.write_text(new, encoding="utf-8")
            changed.append(lesson)
    return changed


def table() -> pd.DataFrame:
    """The record as a table, for the terminal."""
    told = pd.DataFrame.from_dict(record()["methods"], orient="index").astype(object)
    told = told.rename(index={entry.name: entry.en for entry in entries()})
    return told.where(told.notna(), "–")
