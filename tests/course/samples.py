"""Verdicts made by hand, for the tests of what follows from a verdict."""

from __future__ import annotations

from typing import Any

from course.grading import verdict as verdicts


def a_test(name: str, status: str = "passed", *, visible: bool = False, detail: str = "") -> dict[str, Any]:
    return {
        "id": f"{'visible' if visible else 'hidden'}/test_{name}",
        "visible": visible,
        "points": 2 if status == "passed" else 0,
        "max_points": 2,
        "status": status,
        "message": {"en": f"Property {name} holds.", "zh": f"性质 {name} 成立。"},
        "detail": detail,
        "seconds": 0.1,
    }


def an_exercise(name: str, tests: list[dict[str, Any]], mistake: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "function",
        "points": sum(test["points"] for test in tests),
        "max_points": sum(test["max_points"] for test in tests),
        "status": verdicts.exercise_status(test["status"] for test in tests),
        "mistake": mistake,
        "tests": tests,
    }


def a_verdict(exercises: list[dict[str, Any]] | None = None, **changes: Any) -> verdicts.Verdict:
    known = {
        "student": "s1",
        "unit": "91_one",
        "language": "en",
        "submission": "a" * 64,
        "tests": "b" * 64,
        "environment": {},
        "seconds": 1.0,
        "written": {"name": "why", "max_points": 4},
    }
    chosen = exercises if exercises is not None else [an_exercise("first", [a_test("one"), a_test("two", "failed")])]
    return verdicts.build(exercises=chosen, **{**known, **changes})
