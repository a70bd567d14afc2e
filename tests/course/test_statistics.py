"""Difficulty and discrimination of tests, against numpy and against classes whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from course.grading import statistics

from .crowd import BROKEN, crowd


@pytest.fixture(scope="module")
def items() -> dict[str, statistics.Item]:
    return {item.id: item for item in statistics.items([item.verdict for item in crowd(200, seed=4)])}


def test_item_rest_correlation_is_numpys(items: dict[str, statistics.Item]) -> None:
    for item in items.values():
        assert item.discrimination == pytest.approx(np.corrcoef(item.passed, item.rest)[0, 1])


def test_own_points_are_not_in_the_rest() -> None:
    found = crowd(30, seed=1)
    for item in statistics.items([item.verdict for item in found]):
        verdicts = [graded.verdict for graded in found]
        whole = [verdict["points"] for verdict in verdicts]
        tests = [
            next(test for part in verdict["exercises"] for test in part["tests"] if test["id"] == item.id)
            for verdict in verdicts
        ]
        rest = [points - test["points"] for points, test in zip(whole, tests, strict=True)]
        tried = [value for value, test in zip(rest, tests, strict=True) if test["status"] != "not_attempted"]
        assert item.rest == tried


def test_the_test_that_the_weak_pass_is_the_only_suspect(items: dict[str, statistics.Item]) -> None:
    assert [name for name, item in items.items() if item.suspect] == [BROKEN]
    assert (items[BROKEN].discrimination or 0) < 0


def test_in_small_classes_nothing_is_claimed() -> None:
    for item in statistics.items([item.verdict for item in crowd(9, seed=2)]):
        assert item.discrimination is None
        assert not item.suspect
        assert not item.unpassed


def test_uncertainty_protects_a_test_in_a_class_of_twelve() -> None:
    """A correlation of zero in twelve students may be one of 0.5: it accuses no test."""
    item = statistics.Item("hidden/test_x", "x", 1, {}, passed=[True, False] * 6, rest=[1, 1, 2, 2] * 3)
    assert item.discrimination == pytest.approx(0)
    assert not item.suspect
    many = statistics.Item("hidden/test_x", "x", 1, {}, passed=[True, False] * 600, rest=[1, 1, 2, 2] * 300)
    assert many.suspect


def test_reliability_is_cronbachs_alpha() -> None:
    found = [item.verdict for item in crowd(50, seed=3)]
    table = np.array([[part["points"] for part in verdict["exercises"]] for verdict in found])
    k = table.shape[1]
    alpha = k / (k - 1) * (1 - table.var(axis=0, ddof=1).sum() / table.sum(axis=1).var(ddof=1))
    assert statistics.reliability(found) == pytest.approx(alpha)
    assert statistics.reliability(found[:5]) is None
