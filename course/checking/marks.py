"""The marks that authors put on tests, generators and known mistakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def points(number: int) -> Callable[[F], F]:
    """Say how many points a test is worth.

    >>> @points(2)
    ... def test_symmetry(): ...
    >>> test_symmetry.course_points
    2
    """
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f"points must be a whole number of at least 1, not {number!r}")

    def mark(function: F) -> F:
        function.course_points = number  # type: ignore[attr-defined]
        return function

    return mark


def drawn(function: F) -> F:
    """Make a function of (rng, ...) a named generator: tests call it as `draw.<its name>(...)`.

    >>> @drawn
    ... def coins(rng, n): return rng.integers(0, 2, n)
    >>> coins.course_drawn
    True
    """
    function.course_drawn = True  # type: ignore[attr-defined]
    return function


@dataclass(frozen=True)
class Mistake:
    """A wrong answer people really give, and what to say to who gives it."""

    name: str
    of: str
    message: dict[str, str]
    function: Callable[..., Any]


def mistake(*, of: str, en: str, zh: str) -> Callable[[F], F]:
    """Mark a function as a known mistake of the exercise `of`.

    >>> @mistake(of="robust_z", en="You divided by the MAD itself.", zh="你直接除以了 MAD。")
    ... def unscaled_mad(x): ...
    >>> unscaled_mad.course_mistake.of
    'robust_z'
    """
    if not en.strip() or not zh.strip():
        raise ValueError(f"the mistake of {of!r} needs its message in English and in Chinese")

    def mark(function: F) -> F:
        found = Mistake(function.__name__, of, {"en": en, "zh": zh}, function)
        function.course_mistake = found  # type: ignore[attr-defined]
        return function

    return mark
