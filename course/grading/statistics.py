"""What a class's verdicts say of tests and exercises: how hard a test is, whether it separates, how long things took.

Difficulty is the share of those who attempted a test's exercise and passed the test. Discrimination is the item-rest
correlation: over the same students, the correlation between passing the test (0 or 1) and the points earned in all
other tests of the unit. A good test is passed more often by those who do well elsewhere; one below zero is passed more
often by those who do badly, and deserves a look.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from course.grading.verdict import Verdict

FEWEST = 10  # students that a correlation is given for; below that it says nothing
LOW = 0.1  # a correlation that even with its uncertainty stays below this does not separate
_NORMAL_95 = 1.96


@dataclass
class Item:
    """How one test went, over those who attempted its exercise."""

    id: str
    exercise: str
    max_points: float
    message: dict[str, str]
    statuses: Counter[str] = field(default_factory=Counter)
    passed: list[bool] = field(default_factory=list)
    rest: list[float] = field(default_factory=list)

    @property
    def attempted(self) -> int:
        """Students who attempted the exercise."""
        return len(self.passed)

    @property
    def share(self) -> float:
        """Share of them who passed: the difficulty, 1 where everybody did."""
        return sum(self.passed) / self.attempted if self.attempted else 1.0

    @property
    def discrimination(self) -> float | None:
        """Item-rest correlation; None for fewer than ten students, or where all did alike."""
        return correlation(self.passed, self.rest) if self.attempted >= FEWEST else None

    @property
    def suspect(self) -> bool:
        """Whether the test fails to separate: the 95 % interval of its correlation stays below 0.1.

        The interval is Fisher's, of width 1.96 / sqrt(n - 3) on the scale of artanh.
        """
        found = self.discrimination
        if found is None:
            return False
        upper = (
            math.atanh(max(found, -0.999999)) + _NORMAL_95 / math.sqrt(self.attempted - 3) if found < 1 else math.inf
        )
        return math.tanh(upper) < LOW

    @property
    def unpassed(self) -> bool:
        """Whether nobody passed although many tried: too hard, or broken."""
        return self.attempted >= FEWEST and not any(self.passed)


def correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Pearson's correlation; None where one of the two does not vary.

    >>> correlation([0, 0, 1, 1], [1, 2, 3, 4]) > 0.89
    True
    >>> correlation([1, 1], [1, 2]) is None
    True
    """
    n = len(first)
    if n < 2:
        return None
    a, b = [value - sum(first) / n for value in first], [value - sum(second) / n for value in second]
    scale = math.sqrt(sum(value * value for value in a) * sum(value * value for value in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / scale if scale > 1e-12 else None


def items(graded: Sequence[Verdict]) -> list[Item]:
    """All tests in the order of the unit, with those who attempted their exercise."""
    found: dict[str, Item] = {}
    for verdict in graded:
        for exercise in verdict["exercises"]:
            for test in exercise["tests"]:
                item = found.setdefault(
                    test["id"], Item(test["id"], exercise["name"], test["max_points"], test["message"])
                )
                item.statuses[test["status"]] += 1
                if test["status"] != "not_attempted":
                    item.passed.append(test["status"] == "passed")
                    item.rest.append(verdict["points"] - test["points"])
    return list(found.values())


@dataclass(frozen=True)
class Times:
    """Seconds that examining one exercise took, over the class: running its cell and its tests."""

    name: str
    seconds: tuple[float, ...]
    slowest: str

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.seconds)

    @property
    def high(self) -> float:
        """Nine of ten took no longer."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, math.ceil(0.9 * len(ordered)) - 1)]

    @property
    def longest(self) -> float:
        """The longest."""
        return max(self.seconds)


def exercise_times(graded: Sequence[Verdict]) -> list[Times]:
    """How long each exercise took to run and test, over those who attempted it, in the order of the unit."""
    seconds: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for verdict in graded:
        cells = {cell["id"]: cell["seconds"] for cell in verdict["cells"]}
        for exercise in verdict["exercises"]:
            if exercise["status"] != "not_attempted":
                tests = sum(test["seconds"] for test in exercise["tests"])
                took = tests + cells.get(exercise["name"], 0.0)  # the answer cell bears its name
                seconds[exercise["name"]].append((took, verdict["student"]))
    return [
        Times(name, tuple(took for took, _ in found), max(found, key=lambda entry: entry[0])[1])
        for name, found in seconds.items()
    ]


def spread(values: Sequence[float]) -> float:
    """Standard deviation of a sample; 0 for one value.

    >>> spread([1, 3]), spread([4])
    (1.4142135623730951, 0.0)
    """
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def reliability(graded: Sequence[Verdict]) -> float | None:
    """Cronbach's alpha over the exercises: how much they measure together; None where it can't be told."""
    if len(graded) < FEWEST:
        return None
    columns: dict[str, list[float]] = defaultdict(list)
    for verdict in graded:
        for exercise in verdict["exercises"]:
            columns[exercise["name"]].append(exercise["points"])
    whole = spread([verdict["points"] for verdict in graded]) ** 2
    if len(columns) < 2 or whole <= 0 or any(len(column) != len(graded) for column in columns.values()):
        return None
    parts = sum(spread(column) ** 2 for column in columns.values())
    return len(columns) / (len(columns) - 1) * (1 - parts / whole)


def tally_mistakes(graded: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Which known mistakes were made, by how many and by whom; the commonest first."""
    students: dict[tuple[str, str], list[str]] = defaultdict(list)
    texts: dict[tuple[str, str], Mapping[str, str]] = {}
    wrong: Counter[str] = Counter()
    for verdict in graded:
        for exercise in verdict["exercises"]:
            wrong[exercise["name"]] += exercise["status"] not in ("passed", "not_attempted")
            if exercise["mistake"]:
                key = (exercise["name"], exercise["mistake"]["name"])
                students[key].append(verdict["student"])
                texts[key] = exercise["mistake"]
    order = sorted(students, key=lambda key: (-len(students[key]), key))
    return [
        {"exercise": key[0], "name": key[1], "text": texts[key], "students": students[key], "of": wrong[key[0]]}
        for key in order
    ]
