"""Which known mistake is behind a wrong answer? Decided by behaviour: the same calls give the same outcomes.

While the tests run, a `Recorder` stands between them and the subject and keeps every call with a copy of its arguments
and what came of it. Afterwards each known mistake answers the same calls. The one whose outcomes are all the
subject's own is the mistake that was made.

    recorder = Recorder(subject)
    outcomes = runner.run(recorder, context, tests_of_the_exercise)
    if not all(outcome.passed for outcome in outcomes):
        found = recognise(recorder.calls("robust_z"), load_mistakes(path, of="robust_z"))
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from course.checking.compare import same
from course.checking.marks import Mistake
from course.checking.runner import NotAttempted, Subject, TestFileError, load_test_file

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Answers:
    """A subject that answers from a mapping: a module's functions, a notebook's names, one mutant among references."""

    def __init__(self, *names: Mapping[str, Any]) -> None:
        self._names = names

    def get(self, name: str) -> Any:
        """The first answer of that name; `NotAttempted` where there is none or it is still `...`."""
        for names in self._names:
            if name in names:
                if names[name] is Ellipsis:
                    raise NotAttempted(f"{name} is still ...")
                return names[name]
        raise NotAttempted(f"{name} is not defined")


@dataclass(frozen=True)
class Raised:
    """The outcome of a call that raised: the nearest built-in class, as errors also arrive from a student's kernel."""

    kind: type[BaseException]

    @classmethod
    def by(cls, error: BaseException) -> Raised:
        """What is kept of an error."""
        return cls(next(kind for kind in type(error).__mro__ if kind.__module__ == "builtins"))


@dataclass(frozen=True)
class Call:
    """One answer of a subject: to a call with these arguments, or a value (`arguments` is None)."""

    arguments: Arguments | None
    outcome: Any
    after: Arguments | None = None


class Recorder:
    """A subject that passes everything on to another one and keeps what was asked and answered.

    Arguments and results are copied with `copy.deepcopy`; a handle to an object elsewhere should copy as itself.
    Calls that ended in a `Halt` (timeout, killed kernel, not attempted) are kept with it as the outcome; no mistake
    gives such an outcome, so they are never recognised.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._calls: dict[str, list[Call]] = {}

    def calls(self, exercise: str) -> list[Call]:
        """What was recorded of one exercise, in order."""
        return self._calls.get(exercise, [])

    def get(self, name: str) -> Any:
        """The subject's answer, wrapped if it can be called."""
        answer = self._subject.get(name)
        kept = self._calls.setdefault(name, [])
        if callable(answer):
            return _recording(answer, kept)
        kept.append(Call(None, copy.deepcopy(answer)))
        return answer


def _recording(function: Callable[..., Any], kept: list[Call]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        before = _snapshot(args, kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            kept.append(Call(before, Raised.by(error), _snapshot(args, kwargs)))
            raise
        kept.append(Call(before, copy.deepcopy(result), _snapshot(args, kwargs)))
        return result

    return call


def _snapshot(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    return copy.deepcopy(args), copy.deepcopy(kwargs)


def load_mistakes(path: Path, *, of: str | None = None) -> list[Mistake]:
    """The known mistakes of a file, in its order; of one exercise, if given.

    Raises
    ------
    TestFileError : there is no such file, or two mistakes share a name
    """
    if not path.is_file():
        raise TestFileError(f"there is no file of known mistakes {path}")
    module = load_test_file(path)
    found = [value.course_mistake for value in vars(module).values() if hasattr(value, "course_mistake")]
    return [mistake for mistake in found if of is None or mistake.of == of]


def recognise(
    calls: Sequence[Call], mistakes: Iterable[Mistake], namespace: Mapping[str, Any] | None = None
) -> Mistake | None:
    """The one known mistake that gives the recorded outcome on every recorded call; None if none or several do.

    Parameters
    ----------
    calls : what a `Recorder` kept of one exercise whose tests did not all pass
    mistakes : the known mistakes of that exercise
    namespace : for a value exercise: the names of the solved lesson before that cell, which a mistake's parameters name
    """
    if not calls:
        return None
    found = [mistake for mistake in mistakes if answers_alike(mistake, calls, namespace)]
    return found[0] if len(found) == 1 else None


def answers_alike(mistake: Mistake, calls: Sequence[Call], namespace: Mapping[str, Any] | None = None) -> bool:
    """Whether a known mistake gives the recorded outcome on every recorded call."""
    values = [call.outcome for call in calls if call.arguments is None]
    if values:
        answer = mistaken_value(mistake, namespace or {})
        return all(same(answer, value) for value in values)
    return all(_same_call(mistake.function, call) for call in calls)


def mistaken_value(mistake: Mistake, namespace: Mapping[str, Any]) -> Any:
    """The wrong value that a mistake of a value exercise computes from the lesson's names."""
    parameters = inspect.signature(mistake.function).parameters
    missing = [name for name in parameters if name not in namespace]
    if missing:
        raise TestFileError(
            f"the mistake {mistake.name} of {mistake.of} asks for {', '.join(missing)}, "
            "which the lesson does not define before that exercise"
        )
    return _outcome(mistake.function, (), {name: copy.deepcopy(namespace[name]) for name in parameters})


def _same_call(function: Callable[..., Any], call: Call) -> bool:
    assert call.arguments is not None
    args, kwargs = copy.deepcopy(call.arguments)
    outcome = _outcome(function, args, kwargs)
    if not same(outcome, call.outcome):
        return False
    return call.after is None or _same_arguments((args, kwargs), call.after)


def _outcome(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(*args, **kwargs)
        except Exception as error:
            return Raised.by(error)


def _same_arguments(
    first: tuple[tuple[Any, ...], dict[str, Any]], second: tuple[tuple[Any, ...], dict[str, Any]]
) -> bool:
    """Whether both calls left their arguments alike; how far a generator was used is no part of an answer."""
    pairs = [*zip(first[0], second[0], strict=True), *((first[1][name], second[1][name]) for name in first[1])]
    return all(isinstance(a, np.random.Generator) or same(a, b) for a, b in pairs)
