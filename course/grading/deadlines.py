"""When work is due, who has longer, what lateness costs, and which of several attempts counts: the rules of a class.

They stand in class.toml:

    attempts = "last"                       # which counts: "last", "best" or "last_before_deadline"

    [due]
    03_robust_qc = 2027-03-01T23:59:00+08:00

    [extensions.s07]                        # days, hours, minutes, weeks; "all" is every unit
    03_robust_qc = "3 days"

    [late]
    method = "per_day"                      # "none", "zero" or "per_day"
    per_day = 0.1                           # the share of the points earned that each day begun takes
    grace = "15 minutes"
    most = 1.0                              # the largest share that lateness can take

and, for everything a student hands in, in the roster's column `extension`. Extensions add up to neither: that of the
unit counts, then that of all units, then the roster's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from course import paths
from course.errors import CourseError

POLICIES = ("last", "best", "last_before_deadline")
METHODS = ("none", "zero", "per_day")
ALL_UNITS = "all"
_UNITS_OF_TIME = {"minute": 60, "min": 60, "hour": 3600, "h": 3600, "day": 86400, "d": 86400, "week": 604800}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")


# --------------------------------------------------------------------------------------------------------------------
# Lateness


@dataclass(frozen=True)
class LateRule:
    """What lateness costs."""

    method: str = "none"
    per_day: float = 0.0
    grace: timedelta = timedelta()
    most: float = 1.0

    def penalty(self, score: float, seconds_late: float) -> float:
        """Points taken off a score; each day begun after the grace time counts.

        >>> LateRule("per_day", per_day=0.1).penalty(50, 86401)
        10.0
        >>> LateRule("zero").penalty(50, 1), LateRule("zero", grace=timedelta(minutes=5)).penalty(50, 300)
        (50.0, 0.0)
        """
        if score <= 0 or seconds_late <= self.grace.total_seconds() or self.method == "none":
            return 0.0
        if self.method == "zero":
            return float(score)
        days = math.ceil(seconds_late / 86400)
        return round(score * min(self.most, 1.0, self.per_day * days), 6)


@dataclass(frozen=True)
class Rules:
    """The rules of a class."""

    attempts: str = "last"
    due: Mapping[str, datetime] = field(default_factory=dict)
    extensions: Mapping[str, Mapping[str, timedelta]] = field(default_factory=dict)
    late: LateRule | None = None

    def extension(self, student: str, unit: str) -> timedelta:
        """How much longer a student has for a unit."""
        own = self.extensions.get(student, {})
        return own.get(unit, own.get(ALL_UNITS, timedelta()))

    def deadline(self, student: str, unit: str) -> datetime | None:
        """When a student's work on a unit is due, with the extension; None where it never is."""
        due = self.due.get(unit)
        return None if due is None else due + self.extension(student, unit)

    def seconds_late(self, student: str, unit: str, handed_in: datetime | None) -> float:
        """How late something is; what bears no time is not late."""
        deadline = self.deadline(student, unit)
        if deadline is None or handed_in is None:
            return 0.0
        return max(0.0, (_utc(handed_in) - deadline).total_seconds())


def _utc(time: datetime) -> datetime:
    """nbgrader keeps times in UTC without saying so."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


# --------------------------------------------------------------------------------------------------------------------
# Attempts


@dataclass(frozen=True)
class Attempt:
    """One of the versions that a student handed in: when, how late, and what it earned if that is known.

    `points` are those from tests, None where it was not examined or not graded; `penalty` is what lateness takes.
    """

    number: int
    handed_in: datetime | None = None
    seconds_late: float = 0.0
    points: float | None = None
    penalty: float = 0.0


def in_force(attempts: Sequence[Attempt], policy: str) -> Attempt:
    """The attempt that counts: a function of the attempts and nothing else.

    "last": the last one. "last_before_deadline": the last that is not late, or the last one where all are, as nbgrader
    collects. "best": the one with the most points after the penalty, the earlier of equals; the last one where none
    has points.

    >>> early, late = Attempt(1, points=5), Attempt(2, points=9, seconds_late=60, penalty=6)
    >>> [in_force([late, early], policy).number for policy in POLICIES]
    [2, 1, 1]
    """
    if policy not in POLICIES:
        raise ValueError(f"the policy is {policy!r}; it must be one of {', '.join(POLICIES)}")
    if not attempts:
        raise ValueError("there is no attempt to choose from")
    ordered = sorted(attempts, key=lambda attempt: attempt.number)
    if policy == "last_before_deadline":
        return next((attempt for attempt in reversed(ordered) if attempt.seconds_late <= 0), ordered[-1])
    if policy == "best":
        known = [attempt for attempt in ordered if attempt.points is not None]
        return max(known, key=lambda attempt: (attempt.points or 0) - attempt.penalty, default=ordered[-1])
    return ordered[-1]


# --------------------------------------------------------------------------------------------------------------------
# Reading


def read_rules(file: Path, settings: Mapping[str, Any], roster: Mapping[str, str]) -> Rules:
    """The rules from class.toml's content and the roster's extensions.

    Parameters
    ----------
    file : for messages
    settings : content of class.toml
    roster : per student, the text of the roster's column `extension`

    Raises
    ------
    CourseError : a rule can't be understood; names it and what it should look like
    """
    attempts = settings.get("attempts", "last")
    if attempts not in POLICIES:
        raise CourseError(f"{file}: attempts is {attempts!r}; it must be one of {', '.join(POLICIES)}")
    due = {_unit(file, "due", unit): _time(file, unit, value) for unit, value in _table(file, settings, "due").items()}
    extensions: dict[str, dict[str, timedelta]] = {}
    for student, text in roster.items():
        if text:
            extensions[student] = {ALL_UNITS: duration(text, f"the roster's extension of {student}")}
    for student, given in _table(file, settings, "extensions").items():
        if not isinstance(given, Mapping):
            raise CourseError(f'{file}: extensions.{student} must be a table, such as {{ 03_robust_qc = "3 days" }}')
        for unit, text in given.items():
            where = f"{file}: extensions.{student}.{unit}"
            name = ALL_UNITS if unit == ALL_UNITS else _unit(file, f"extensions.{student}", unit)
            extensions.setdefault(student, {})[name] = duration(text, where)
    return Rules(attempts, due, extensions, _late(file, settings))


def _table(file: Path, settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = settings.get(name, {})
    if not isinstance(table, Mapping):
        raise CourseError(f"{file}: {name} must be a table, [{name}]")
    return table


def _unit(file: Path, table: str, text: str) -> str:
    try:
        return paths.find_unit(text)
    except CourseError as error:
        raise CourseError(f"{file}: [{table}]: {error}") from None


def _time(file: Path, unit: str, value: object) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise CourseError(
            f"{file}: due.{unit} must be a time with its distance from UTC, such as 2027-03-01T23:59:00+08:00"
        )
    return value.astimezone(UTC)


def _late(file: Path, settings: Mapping[str, Any]) -> LateRule | None:
    table = _table(file, settings, "late")
    if not table:
        return None
    unknown = set(table) - {"method", "per_day", "grace", "most"}
    if unknown:
        raise CourseError(f"{file}: [late] has {', '.join(sorted(unknown))}; it knows method, per_day, grace and most")
    method = table.get("method", "per_day")
    if method not in METHODS:
        raise CourseError(f"{file}: late.method is {method!r}; it must be one of {', '.join(METHODS)}")
    return LateRule(
        method,
        _share(file, "per_day", table.get("per_day", 0.0 if method != "per_day" else 0.1)),
        duration(table.get("grace", "0 min"), f"{file}: late.grace"),
        _share(file, "most", table.get("most", 1.0)),
    )


def _share(file: Path, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise CourseError(f"{file}: late.{name} is {value!r}; it must be a share between 0 and 1")
    return float(value)


def duration(text: object, where: str) -> timedelta:
    """A length of time in words.

    >>> duration("2 days", "here"), duration("90 min", "here"), duration("1 day 12 hours", "here")
    (datetime.timedelta(days=2), datetime.timedelta(seconds=5400), datetime.timedelta(days=1, seconds=43200))
    """
    problem = CourseError(f"{where} is {text!r}; write a length of time such as '3 days', '36 hours' or '15 minutes'")
    if not isinstance(text, str) or not text.strip():
        raise problem
    seconds, at = 0.0, 0
    lowered = text.lower()
    while at < len(lowered):
        match = _DURATION.match(lowered, at)
        unit = match[2].removesuffix("s") if match else ""
        if match is None or unit not in _UNITS_OF_TIME:
            raise problem
        seconds += float(match[1]) * _UNITS_OF_TIME[unit]
        at = match.end()
    return timedelta(seconds=seconds)
