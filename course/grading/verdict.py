"""The verdict on one submission: what it holds, that it holds together, and how it is kept.

A verdict is plain JSON; `verdict.schema.json` beside this file is its form and README.md explains its fields. What a
schema can't say is checked here: points are the sum of those of the tests that passed, and what was not graded has
none.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from course.checking.runner import Outcome, Status
from course.grading.store import printable, write_atomically

SCHEMA = Path(__file__).with_name("verdict.schema.json")
NOT_ISOLATED = "not isolated"
# What commands a terminal or turns the direction of reading; a verdict is printed and read by people.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

Verdict = dict[str, Any]


class VerdictError(Exception):
    """A verdict that is not in the agreed form: a failure of ours, never a student's."""


def build(
    *,
    student: str,
    unit: str,
    language: str,
    submission: str,
    tests: str,
    environment: Mapping[str, str],
    seconds: float,
    exercises: Sequence[Mapping[str, Any]],
    cells: Sequence[Mapping[str, Any]] = (),
    repairs: Sequence[str] = (),
    written: Mapping[str, Any] | None = None,
    isolation: str = NOT_ISOLATED,
) -> Verdict:
    """The verdict on a submission that was examined.

    Raises
    ------
    VerdictError : the parts do not make a verdict in the agreed form
    """
    verdict: Verdict = {
        "schema": 1,
        "status": "graded",
        "reason": None,
        "student": student,
        "unit": unit,
        "language": language,
        "submission": submission,
        "tests": tests,
        "environment": dict(environment),
        "isolation": isolation,
        "points": sum(exercise["points"] for exercise in exercises),
        "max_points": sum(exercise["max_points"] for exercise in exercises),
        "seconds": round(seconds, 3),
        "repairs": list(repairs),
        "cells": [dict(cell) for cell in cells],
        "exercises": [dict(exercise) for exercise in exercises],
        "written": dict(written) if written else None,
    }
    verdict = _readable(printable(verdict))
    validate(verdict)
    return verdict


def _readable(part: Any) -> Any:
    """A part of a verdict without characters that do something instead of being read.

    >>> _readable({"message": "\\x1b]0;title\\x07"})
    {'message': '\ufffd]0;title\ufffd'}
    """
    if isinstance(part, str):
        return _CONTROLS.sub("\ufffd", part)
    if isinstance(part, dict):
        return {key: _readable(value) for key, value in part.items()}
    return [_readable(value) for value in part] if isinstance(part, list) else part


def not_graded(
    reason: str,
    *,
    student: str,
    unit: str,
    language: str = "en",
    submission: str,
    tests: str = "0" * 64,
    environment: Mapping[str, str] | None = None,
    max_points: float = 0,
    seconds: float = 0.0,
    repairs: Sequence[str] = (),
    written: Mapping[str, Any] | None = None,
    isolation: str = NOT_ISOLATED,
) -> Verdict:
    """The verdict where we failed: it has a reason and no points, which is not the same as zero points."""
    verdict = {
        "schema": 1,
        "status": "not_graded",
        "reason": reason,
        "student": student,
        "unit": unit,
        "language": language,
        "submission": submission,
        "tests": tests,
        "environment": dict(environment or {}),
        "isolation": isolation,
        "points": None,
        "max_points": max_points,
        "seconds": round(seconds, 3),
        "repairs": list(repairs),
        "cells": [],
        "exercises": [],
        "written": dict(written) if written else None,
    }
    verdict = _readable(printable(verdict))
    validate(verdict)
    return verdict


def exercise_entry(
    name: str,
    kind: str,
    outcomes: Sequence[Outcome],
    mistake: Mapping[str, str] | None = None,
    *,
    exposed: Collection[str] = (),
) -> dict[str, Any]:
    """The part of a verdict on one exercise, from how its tests ended.

    `exposed` names the tests that ran when the student's code had been given hidden inputs, by this test or before.
    """
    tests = [test_entry(outcome, exposed=outcome.test.id in exposed) for outcome in outcomes]
    return {
        "name": name,
        "kind": kind,
        "points": sum(test["points"] for test in tests),
        "max_points": sum(test["max_points"] for test in tests),
        "status": exercise_status(test["status"] for test in tests),
        "mistake": {key: mistake[key] for key in ("name", "en", "zh")} if mistake else None,
        "tests": tests,
    }


def test_entry(outcome: Outcome, *, exposed: bool = False) -> dict[str, Any]:  # noqa: PT028  (it is no test)
    """The part of a verdict on one test; hidden inputs must not come back in the text of a failure.

    Student code that was given hidden inputs can keep them and say them later, in the failure of a visible test: of
    what it says and returns from then on, nothing is told.
    """
    test = outcome.test
    return {
        "id": test.id,
        "visible": test.visible,
        "points": outcome.points,
        "max_points": test.points,
        "status": str(outcome.status),
        "message": dict(test.message),
        "detail": _detail(outcome, exposed),
        "seconds": round(outcome.seconds, 3),
    }


test_entry.__test__ = False  # type: ignore[attr-defined]  # pytest takes its name for a test's


def _detail(outcome: Outcome, exposed: bool) -> str:
    if outcome.passed:
        return ""
    raised = outcome.exception
    if outcome.test.visible and not exposed:
        line = getattr(raised, "students_line", "")
        return (f"{outcome.detail} ({line})" if line else outcome.detail)[:2000]
    known = isinstance(raised, Exception) and type(raised).__module__ == "builtins"
    return type(raised).__name__ if known and outcome.status is Status.ERROR else ""


def exercise_status(statuses: Iterable[str]) -> str:
    """One word for an exercise: what its tests agree on, leaving aside those that passed.

    >>> exercise_status(["passed", "passed"]), exercise_status(["passed", "timeout"])
    ('passed', 'timeout')
    >>> exercise_status(["error", "failed"]), exercise_status(["not_attempted", "not_attempted"])
    ('failed', 'not_attempted')
    """
    bad = {str(status) for status in statuses} - {"passed"}
    if not bad:
        return "passed"
    return bad.pop() if len(bad) == 1 else "failed"


@functools.cache
def schema() -> dict[str, Any]:
    """The form of a verdict, as JSON Schema."""
    return json.loads(SCHEMA.read_text(encoding="utf-8"))


@functools.cache
def _validator() -> Any:
    # jsonschema comes with nbformat, which grading needs anyway
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    return Draft202012Validator(schema())


def validate(verdict: Any) -> None:
    """Check a verdict's form and that its sums hold.

    Raises
    ------
    VerdictError : names the first field that is wrong
    """
    error = next(iter(sorted(_validator().iter_errors(verdict), key=lambda found: list(map(str, found.path)))), None)
    if error is not None:
        where = "/".join(map(str, error.path)) or "the verdict"
        raise VerdictError(f"{where}: {error.message[:300]}")
    if (verdict["status"] == "graded") != (verdict["points"] is not None):
        raise VerdictError("points: a graded verdict has them and no other has")
    if (verdict["status"] == "graded") != (verdict["reason"] is None):
        raise VerdictError("reason: a verdict has one exactly where it is not graded")
    if verdict["status"] == "graded":
        _check_sums(verdict)


def _check_sums(verdict: Verdict) -> None:
    for exercise in verdict["exercises"]:
        for test in exercise["tests"]:
            earned = test["max_points"] if test["status"] == "passed" else 0
            if test["points"] != earned:
                raise VerdictError(f"{test['id']}: {test['points']} points for a test that {test['status']}")
        _check_sum(exercise["name"], exercise, exercise["tests"])
    _check_sum("the verdict", verdict, verdict["exercises"])


def _check_sum(where: str, whole: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> None:
    for field in ("points", "max_points"):
        total = sum(part[field] for part in parts)
        if whole[field] != total:
            raise VerdictError(f"{where}: {field} is {whole[field]}, its parts sum to {total}")


def write(verdict: Verdict, path: Path) -> None:
    """Write a verdict, all of it or nothing."""
    validate(verdict)
    text = json.dumps(verdict, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    write_atomically(Path(path), text.encode("utf-8"))


def read(path: Path) -> Verdict:
    """Read a verdict and check it.

    Raises
    ------
    VerdictError : the file does not hold a verdict
    """
    try:
        verdict = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise VerdictError(f"{path} can't be read as a verdict: {error}") from error
    validate(verdict)
    return verdict
