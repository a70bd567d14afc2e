"""What a notebook calls: `check`, `hint`, `progress` and `label`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from course.checking import page
from course.checking.page import Sheet
from course.checking.runner import Context, NotAttempted, Outcome, Runner, Test, with_tests
from course.checking.style import use_house_style
from course.checking.support import Exercise, NotebookError, Support, find_support, need_support
from course.checking.wire import record_fields

_hints_shown: dict[tuple[str, str], int] = {}


class Learner:
    """The subject of a notebook: what its learner has defined so far."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.names = names
        self.returned_nothing = False

    def get(self, name: str) -> Any:
        """The learner's function or value."""
        answer = self.names.get(name, ...)
        if answer is Ellipsis:
            raise NotAttempted(name)
        return self._watched(answer) if callable(answer) else answer

    def _watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, noting whether its last call returned None: the commonest slip is a missing `return`."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            self.returned_nothing = False
            args, kwargs = as_notebooks((args, kwargs), self.names)
            result = function(*args, **kwargs)
            self.returned_nothing = result is None
            return result

        return call


def as_notebooks(value: Any, names: Mapping[str, Any]) -> Any:
    """The arguments with every record (dataclass or named tuple) as the notebook's own class of that name.

    A test makes a `Gate` of the reference's class; what the notebook calls a `Gate` is defined in one of its cells.
    """
    if type(value) in (list, tuple):
        return type(value)(as_notebooks(item, names) for item in value)
    if type(value) is dict:
        return {key: as_notebooks(item, names) for key, item in value.items()}
    fields = record_fields(type(value))
    own = names.get(type(value).__name__)
    if not fields or not isinstance(own, type) or own is type(value) or record_fields(own) != fields:
        return value
    return own(**{field: as_notebooks(getattr(value, field), names) for field in fields})


def check(name: str) -> None:
    """Run the visible checks of one exercise on what you have written, and show how they went."""
    support = need_support()
    exercise = support.exercise(name)
    names = notebook_names(sys._getframe(1).f_globals)
    sheets = examine(support, [exercise], names)
    show(page.check_page(sheets[0], support.language))


def hint(name: str, rung: int | None = None) -> None:
    """Show the next hint of an exercise, or the one of that number."""
    support = need_support()
    hints = support.exercise(name).hints[support.language]
    if rung is None:
        rung = min(_hints_shown.get((support.unit, name), 0) + 1, len(hints))
        _hints_shown[support.unit, name] = rung
    if rung not in range(1, len(hints) + 1):
        raise NotebookError(support.say(NO_SUCH_HINT).format(name=name, rung=rung, last=len(hints)))
    show(page.hint_page(hints, rung, support.language))


NO_SUCH_HINT = {
    "en": "{name} has hints 1 to {last}; there is no hint {rung!r}.",
    "zh": "{name} 的提示编号为 1 到 {last}，没有第 {rung!r} 条。",
}


def progress() -> None:
    """Run the visible checks of all exercises and draw where you stand."""
    support = need_support()
    names = notebook_names(sys._getframe(1).f_globals)
    sheets = examine(support, list(support.exercises), names)
    show(page.progress_page(sheets, support.title[support.language], support.language))


def label(english: str, chinese: str) -> str:
    """The text in the notebook's language; English where there is no notebook."""
    return chinese if _language() == "zh" else english


def examine(support: Support, exercises: list[Exercise], names: Mapping[str, Any]) -> list[Sheet]:
    """Run the visible checks of some exercises on what is defined in `names`."""
    context = Context(cohort=functools.partial(_cohort, support.folder))

    def run(runner: Runner) -> list[Sheet]:
        return [_sheet(exercise, runner, names, context) for exercise in exercises]

    return with_tests(run, exercises=support.names, visible=[support.tests])


def _sheet(exercise: Exercise, runner: Runner, names: Mapping[str, Any], context: Context) -> Sheet:
    results = []
    for test in runner.tests:
        if test.exercise == exercise.name:
            results.append(_result(test, runner, Learner(names), context))
    return Sheet(exercise, results)


def _result(test: Test, runner: Runner, learner: Learner, context: Context) -> page.Result:
    outcome: Outcome = runner.run(learner, context, [test])[0]
    return page.read_outcome(outcome, learner.names, returned_nothing=learner.returned_nothing)


@functools.cache
def _cohort(_folder: Path) -> Any:
    """The cohort, read once a session; each test gets its own copy of it."""
    from reference_impl.cohort import load

    return load("cohort")


def _language() -> str:
    support = find_support()
    return support.language if support else "en"


def notebook_names(caller: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the notebook has defined; outside of one, what the caller has."""
    shell = _shell()
    return caller if shell is None else shell.user_ns


def show(shown: page.Page) -> None:
    """Display in Jupyter; print elsewhere."""
    if _shell() is None:
        print(shown["text/plain"])
        return
    from IPython.display import display

    display(dict(shown), raw=True)


def _shell() -> Any:
    interactive = sys.modules.get("IPython")
    return interactive.get_ipython() if interactive else None


def prepare_plots() -> None:
    """In an exercise's folder: the house style, and Chinese letters if it is a Chinese one."""
    support = find_support()
    if support is not None:
        use_house_style(support.language)
