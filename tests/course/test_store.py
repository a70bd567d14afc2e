"""The store: never half written, found again by content, silent about the key; and the form of a verdict."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from course.checking.runner import Outcome, Status, Test
from course.errors import CourseError
from course.grading import store as stores
from course.grading import verdict as verdicts
from course.grading.store import Store, digest, seed_digest, submission_digest, write_atomically
from course.paths import ROOT

KEY = "a" * 64


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "store")
    assert store.get(KEY) is None
    store.put(KEY, {"verdict": {"points": 3, "text": "多组学"}})
    assert store.get(KEY) == {"verdict": {"points": 3, "text": "多组学"}, "key": KEY}
    assert KEY in store
    assert list(store.keys()) == [KEY]


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b", b"not gzip", b"{}"])
def test_a_damaged_record_counts_as_none(tmp_path: Path, damage: bytes) -> None:
    store = Store(tmp_path)
    path = store.put(KEY, {"verdict": {}})
    whole = path.read_bytes()
    for content in (damage, whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        assert store.get(KEY) is None
    path.rename(store.put("b" * 64, {}))  # a record under another's name is not that one's
    path.write_bytes(whole)
    os.replace(path, store.path("b" * 64))
    assert store.get("b" * 64) is None


def test_a_key_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sha256"):
        Store(tmp_path).path("../../etc/passwd")


def test_a_file_in_the_place_of_the_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("x")
    with pytest.raises(CourseError, match="is a file"):
        Store(tmp_path / "store")


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "verdict.json"
    write_atomically(path, b"before")

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(stores.os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_whole_records_only(tmp_path: Path) -> None:
    script = f"""
import itertools
from pathlib import Path
from course.grading.store import Store, digest
store = Store(Path({str(tmp_path)!r}))
print("ready", flush=True)
for number in itertools.count():
    store.put(digest(number % 7), {{"text": str(number) * 100_000}})
"""
    for wait in (0.05, 0.11, 0.17):
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(wait)
            os.kill(writer.pid, signal.SIGKILL)
    store = Store(tmp_path)
    assert list(store.keys())
    assert all(store.get(key) is not None for key in store.keys())  # noqa: SIM118
    store.sweep()
    assert not list(tmp_path.glob("??/.*"))


def test_a_submission_is_its_cells_and_nothing_else() -> None:
    cell = {"cell_type": "code", "source": "x = 1", "metadata": {"nbgrader": {"grade_id": "x"}}, "outputs": []}
    base = {"cells": [cell], "metadata": {}}
    same = copy.deepcopy(base)
    same["cells"][0] |= {"outputs": [1], "execution_count": 9, "id": "other", "source": ["x = ", "1"]}
    assert submission_digest(base) == submission_digest(same)
    for change in ({"source": "x = 2"}, {"cell_type": "markdown"}, {"metadata": {}}):
        other = copy.deepcopy(base)
        other["cells"][0] |= change
        assert submission_digest(base) != submission_digest(other)


def test_the_name_of_a_key_does_not_hold_the_key() -> None:
    key = b"0123456789abcdef0123456789abcdef"
    assert key.hex() not in seed_digest(key)
    assert seed_digest(key) != digest(key.hex())


def outcome(status: Status, points: int = 2, visible: bool = False, error: Exception | None = None) -> Outcome:
    name = "visible/test_a" if visible else "hidden/test_a"
    test = Test(name, "f", points, visible, {"en": "It holds.", "zh": "成立。"})
    return Outcome(test, status, f"saw 42: {error}", 0.5, error)


@pytest.fixture
def verdict() -> dict[str, Any]:
    outcomes = [outcome(Status.PASSED), outcome(Status.ERROR, 1, error=ValueError("hidden input"))]
    return verdicts.build(
        student="ada",
        unit="03_robust_qc",
        language="en",
        submission=KEY,
        tests=KEY,
        environment={"python": "3.12.1"},
        seconds=1.5,
        exercises=[verdicts.exercise_entry("f", "function", outcomes)],
        written={"name": "why", "max_points": 4},
    )


def test_a_verdict_follows_its_schema(verdict: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(verdicts.schema())
    jsonschema.validate(verdict, verdicts.schema())
    assert (verdict["points"], verdict["max_points"]) == (2, 3)
    assert verdict["isolation"] == "not isolated"


def test_a_hidden_failure_shows_no_text_of_the_student(verdict: dict[str, Any]) -> None:
    assert "hidden input" not in json.dumps(verdict)
    assert verdict["exercises"][0]["tests"][1]["detail"] == "ValueError"
    shown = verdicts.test_entry(outcome(Status.FAILED, visible=True))
    assert shown["detail"].startswith("saw 42")


def test_a_verdict_survives_its_file(verdict: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "verdicts" / "ada.json"
    verdicts.write(verdict, path)
    assert verdicts.read(path) == verdict
    assert "成立" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": 3}, "points is 3"),
        ({"max_points": 9}, "max_points is 9"),
        ({"points": None}, "graded verdict has them"),
        ({"points": float("nan")}, "points"),
        ({"status": "fine"}, "status"),
        ({"reason": "x"}, "reason"),
        ({"extra": 1}, "extra"),
        ({"submission": "abc"}, "submission"),
    ],
)
def test_a_verdict_that_does_not_hold_together_is_refused(
    verdict: dict[str, Any], change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(verdicts.VerdictError, match=message):
        verdicts.write(verdict | change, tmp_path / "v.json")
    assert not list(tmp_path.iterdir())


def test_points_of_a_test_that_did_not_pass_are_refused(verdict: dict[str, Any]) -> None:
    verdict["exercises"][0]["tests"][1]["points"] = 1
    verdict["exercises"][0]["points"] = verdict["points"] = 3
    with pytest.raises(verdicts.VerdictError, match="1 points for a test that error"):
        verdicts.validate(verdict)


def test_what_is_not_graded_has_no_points() -> None:
    verdict = verdicts.not_graded("the disk was full", student="ada", unit="03", submission=KEY)
    assert verdict["points"] is None
    with pytest.raises(verdicts.VerdictError, match="graded verdict has them"):
        verdicts.validate(verdict | {"points": 0})


def test_a_file_that_is_no_verdict_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"[]", b"{", b"\xff"):
        (tmp_path / "v.json").write_bytes(content)
        with pytest.raises(verdicts.VerdictError):
            verdicts.read(tmp_path / "v.json")
    with pytest.raises(verdicts.VerdictError, match="can't be read"):
        verdicts.read(tmp_path / "none.json")
