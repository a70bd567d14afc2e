"""Every attack earns exactly what its honest part earns, harms nobody, and is told for what it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.course.attacks import unit
from tests.course.attacks.families import ATTACKS
from tests.course.attacks.form import FAMILIES, Attack
from tests.course.attacks.isolation import isolation, missing
from tests.course.attacks.running import Stage

# On a busy machine the kernel makes output faster than it is read: what is not read yet fills its memory first.
TOLD_ALIKE = {"output": ("output", "memory")}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A class with one victim; the examiner stays warm, as in `course grade`."""
    with contextlib.closing(Stage(tmp_path_factory.mktemp("class"), sandboxed=isolation() is not None)) as made:
        yield made


def test_there_are_enough_attacks_of_every_family() -> None:
    assert len(ATTACKS) >= 50
    assert {attack.family for attack in ATTACKS.values()} == set(FAMILIES)


def test_honest_work_earns_everything_and_wrong_work_what_is_expected(stage: Stage) -> None:
    assert stage.examine(unit.submission({})).points == unit.FULL
    assert stage.examine(unit.submission(unit.WRONG)).points == unit.EARNED_BY_WRONG


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_attack_earns_what_its_honest_part_earns_and_harms_nobody(stage: Stage, attack: Attack) -> None:
    reason = missing(attack.needs)
    if reason is not None:
        pytest.skip(reason)
    result = stage.run(attack)
    assert result.points == attack.expected
    assert not stage.scene.harmed(attack.harm), f"it did harm: {attack.harm}"
    for where, what in attack.shows.items():
        assert any(word in result.shows[where] for word in TOLD_ALIKE.get(what, (what,))), result.shows


def test_after_all_of_them_honest_work_still_earns_everything(stage: Stage) -> None:
    assert stage.examine(unit.submission({})).points == unit.FULL
