"""Every attack succeeds where a protection is missing, so that the test of it can fail.

    uv run pytest -m controls -n0 tests/course/attacks

runs each against stock nbgrader, our engine without its sandbox, or with one protection taken away. Without `-m
controls` only the record of the last such run is looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.course.attacks import record
from tests.course.attacks.families import ATTACKS
from tests.course.attacks.form import Attack


def test_the_record_is_of_these_attacks() -> None:
    recorded = {name: result["digest"] for name, result in record.read()["attacks"].items()}
    outdated = [name for name, attack in ATTACKS.items() if recorded.get(name) != record.digest(attack)]
    assert not outdated, f"run: python -m tests.course.attacks.record {' '.join(outdated[:5])} …"
    assert set(recorded) == set(ATTACKS)


def test_the_table_is_that_of_the_record() -> None:
    text = record.TABLE.read_text(encoding="utf-8")
    assert record.BEGIN + "\n" + record.table(record.read()) + "\n" + record.END in text


def test_every_recorded_control_let_its_attack_succeed() -> None:
    results = record.read()["attacks"]
    failed = [name for name, attack in ATTACKS.items() if not record.control_succeeded(attack, results[name])]
    assert failed == []


def test_no_recorded_attack_achieved_anything_against_us() -> None:
    results = record.read()["attacks"]
    assert {name: result["ours"] for name, result in results.items() if result.get("ours")} == {}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """All attacks, run everywhere."""
    return record.measure(list(ATTACKS.values()), Path(tmp_path_factory.mktemp("all")))


@pytest.mark.controls
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_attack_succeeds_in_its_control_and_not_against_us(measured: dict[str, dict[str, Any]], attack: Attack) -> None:
    assert record.control_succeeded(attack, measured[attack.name])
    assert measured[attack.name].get("ours", "") == ""
