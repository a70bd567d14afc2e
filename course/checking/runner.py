"""Run the tests of a unit, which are ordinary pytest functions, against any subject.

A *subject* is whoever answers the exercises: the reference, a known mistake, a mutant, a learner's notebook, a
student's kernel. One pytest session collects the tests once; `Runner.run` then runs them against one subject after
another, so that a check costs milliseconds and an audit can try thousands of subjects.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import inspect
import io
import os
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from _pytest.assertion.rewrite import rewrite_asserts
from _pytest.outcomes import Failed

from course.checking.draw import PUBLIC_KEY, Draw

T = TypeVar("T")

# The session serves us, not a terminal: no plugin may print, cache, capture or judge.
_UNWANTED = (
    *("cacheprovider", "terminal", "warnings", "logging", "doctest", "junitxml", "pastebin", "stepwise"),
    *("unraisableexception", "threadexception", "faulthandler", "setuponly", "setupplan"),
)
_PYTEST_OPTIONS = [
    *("--noconftest", "--disable-plugin-autoload", "--capture=no", "-c", os.devnull),
    *(word for name in _UNWANTED for word in ("-p", f"no:{name}")),
]


class Status(StrEnum):
    """How a test ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_ATTEMPTED = "not_attempted"
    ERROR = "error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    KERNEL_DIED = "kernel_died"


class TestFileError(Exception):
    """A test file that can't be collected: an author's error, never a student's."""

    __test__ = False


class Halt(Failed):
    """Ends the running test with a status; no `except Exception` of a test can swallow it."""

    def __init__(self, status: Status, detail: str = "") -> None:
        super().__init__(detail, pytrace=False)
        self.status = status


class NotAttempted(Halt):
    """The subject has no answer to this exercise yet."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(Status.NOT_ATTEMPTED, detail)


class Subject(Protocol):
    """Who answers the exercises."""

    def get(self, name: str) -> Any:
        """The function or value of that name; raises `NotAttempted` where there is none."""


@dataclass(frozen=True)
class Test:
    """One test: what it belongs to, what it is worth, and what a student reads when it fails."""

    __test__ = False

    id: str
    exercise: str
    points: int
    visible: bool
    message: dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """How one test ended for one subject."""

    test: Test
    status: Status
    detail: str
    seconds: float
    exception: BaseException | None = field(default=None, repr=False, compare=False)

    @property
    def passed(self) -> bool:
        """Whether the test ran to its end and held."""
        return self.status is Status.PASSED

    @property
    def points(self) -> int:
        """Points earned: those of the test if it passed, otherwise none."""
        return self.test.points if self.passed else 0


class Context:
    """What a test may ask for beside the subject: the key its inputs are drawn from, the cohort and its truth."""

    def __init__(
        self,
        key: bytes = PUBLIC_KEY,
        *,
        cohort: Callable[[], Any] | None = None,
        truth: Callable[[], dict[str, Any]] | None = None,
    ) -> None:
        self.key = key
        self._cohort = cohort
        self._truth = truth

    @cached_property
    def cohort(self) -> Any:
        """The class's cohort, or the frozen one."""
        if self._cohort is not None:
            return self._cohort()
        from reference_impl.cohort import load

        return load("cohort")

    @cached_property
    def truth(self) -> dict[str, Any]:
        """What was planted in the cohort."""
        if self._truth is None:
            raise TestFileError("this test asks for the truth of the cohort, which only hidden tests have")
        return self._truth()


@dataclass
class _Current:
    subject: Subject | None = None
    context: Context | None = None
    test: Test | None = None
    exception: BaseException | None = None
    finished: bool = False


class Runner:
    """The collected tests, ready to run against any subject."""

    def __init__(self, items: dict[str, tuple[Test, pytest.Function]], current: _Current) -> None:
        self._items = items
        self._current = current

    @property
    def tests(self) -> list[Test]:
        """All tests, in the order of the files."""
        return [test for test, _ in self._items.values()]

    def run(self, subject: Subject, context: Context, tests: Iterable[Test] | None = None) -> list[Outcome]:
        """Run the tests (all, or those given) against a subject; what it prints or warns is dropped."""
        chosen = self.tests if tests is None else list(tests)
        return [self._run_one(subject, context, test) for test in chosen]

    def _run_one(self, subject: Subject, context: Context, test: Test) -> Outcome:
        item = self._items[test.id][1]
        current = self._current
        current.subject, current.context, current.test = subject, context, test
        current.exception, current.finished = None, False
        item._initrequest()  # a function item runs once by default: give it fresh fixtures
        started = time.perf_counter()
        with _quiet():
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        seconds = time.perf_counter() - started
        status, detail = _judge(current)
        exception, current.subject, current.exception = current.exception, None, None
        return Outcome(test, status, detail, seconds, exception)


def _judge(current: _Current) -> tuple[Status, str]:
    """A test passed only if its body ran to the end and no phase raised."""
    exception = current.exception
    if exception is None:
        return (Status.PASSED, "") if current.finished else (Status.ERROR, "the test did not run to its end")
    if isinstance(exception, Halt):
        return exception.status, str(exception)
    if isinstance(exception, NotImplementedError):
        return Status.NOT_ATTEMPTED, str(exception)
    detail = f"{type(exception).__name__}: {exception}" if str(exception) else type(exception).__name__
    if isinstance(exception, (AssertionError, Failed)):
        return Status.FAILED, str(exception)
    return Status.ERROR, detail


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _without_settings() -> Iterator[None]:
    """Hide what a person has told pytest to do in their own projects."""
    hidden = {name: os.environ.pop(name) for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS") if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


class _Module(pytest.Module):
    """A test file, read afresh each time and under a name that no other file has."""

    def _getobj(self) -> types.ModuleType:
        return load_test_file(self.path, config=self.config)


def load_test_file(path: Path, config: pytest.Config | None = None) -> types.ModuleType:
    """Import a test or mistakes file from its path, with pytest's assertion messages."""
    source = path.read_bytes()
    tree = ast.parse(source, filename=str(path))
    rewrite_asserts(tree, source, str(path), config)
    name = f"_course_{path.parent.name}_{path.stem}"
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(tree, str(path), "exec", dont_inherit=True), module.__dict__)
    return module


class _Plugin:
    """Feeds the session: collects our way, provides the fixtures, and hands the loop to the caller."""

    def __init__(self, exercises: Sequence[str], hidden: set[Path], body: Callable[[Runner], Any]) -> None:
        self.exercises = list(exercises)
        self.hidden = hidden
        self.body = body
        self.current = _Current()
        self.errors: list[str] = []
        self.result: Any = None
        self.raised: BaseException | None = None
        self.ran = False

    @classmethod
    def with_fixtures_for(cls, exercises: Sequence[str]) -> type[_Plugin]:
        """A plugin class that has one fixture per exercise: pytest looks for fixtures on the class only."""
        fixtures = {f"exercise_{name}": _exercise_fixture(name) for name in exercises}
        return type("_PluginWithFixtures", (cls,), fixtures)

    @pytest.fixture
    def draw(self, request: pytest.FixtureRequest) -> Draw:
        assert self.current.context is not None
        assert self.current.test is not None
        return Draw(self.current.context.key, self.current.test.id, generators(request.module))

    @pytest.fixture
    def cohort(self) -> Any:
        """A copy, so that code which changes it spoils no other test."""
        assert self.current.context is not None
        return copy.deepcopy(self.current.context.cohort)

    @pytest.fixture
    def truth(self) -> Any:
        """A copy, as of the cohort."""
        assert self.current.context is not None
        return copy.deepcopy(self.current.context.truth)

    def pytest_pycollect_makemodule(self, module_path: Path, parent: Any) -> _Module:
        return _Module.from_parent(parent, path=module_path)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(str(report.longrepr))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo) -> Iterator[None]:
        if call.excinfo is not None and self.current.exception is None:
            self.current.exception = call.excinfo.value
        elif call.when == "call" and call.excinfo is None:
            self.current.finished = True
        yield

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        try:
            if self.errors:
                raise TestFileError("\n".join(self.errors))
            self.result = self.body(Runner(self._describe(session.items), self.current))
            self.ran = True
        except BaseException as error:  # pytest would swallow it: keep it for the caller
            self.raised = error
        return True

    def _describe(self, items: Sequence[pytest.Item]) -> dict[str, tuple[Test, pytest.Function]]:
        found: dict[str, tuple[Test, pytest.Function]] = {}
        for item in items:
            assert isinstance(item, pytest.Function)
            test = self._test_of(item)
            if test.id in found:
                raise TestFileError(f"{item.path}: two tests are named {item.name}")
            found[test.id] = (test, item)
        return found

    def _test_of(self, item: pytest.Function) -> Test:
        where = f"{item.path.name}: {item.name}"
        worth = getattr(item.function, "course_points", None)
        if worth is None:
            raise TestFileError(f"{where} has no points; mark it with @points(n)")
        owners = [name for name in inspect.signature(item.function).parameters if name in self.exercises]
        if not owners:
            known = ", ".join(self.exercises)
            raise TestFileError(f"{where} belongs to no exercise: none of its parameters is one of {known}")
        visible = item.path.resolve() not in self.hidden
        kind = "visible" if visible else "hidden"
        return Test(f"{kind}/{item.name}", owners[0], worth, visible, read_message(item.function.__doc__, where))


def _exercise_fixture(name: str) -> Any:
    @pytest.fixture(name=name)
    def exercise(self: _Plugin) -> Any:
        assert self.current.subject is not None
        return self.current.subject.get(name)

    return exercise


def read_message(docstring: str | None, where: str) -> dict[str, str]:
    """The two languages of a test's docstring: English, an empty line, Chinese.

    >>> read_message("Rows sum to one.\\n\\n    每行之和为一。", "test_rows")
    {'en': 'Rows sum to one.', 'zh': '每行之和为一。'}
    """
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(docstring or "").split("\n\n") if part.strip()]
    if len(paragraphs) != 2:
        raise TestFileError(
            f"{where} needs a docstring of two paragraphs, English then Chinese; it has {len(paragraphs)}"
        )
    english, chinese = paragraphs
    if not any("\u4e00" <= letter <= "\u9fff" for letter in chinese):
        raise TestFileError(f"{where}: the second paragraph of its docstring is not Chinese")
    return {"en": english, "zh": chinese}


def generators(module: types.ModuleType) -> dict[str, Callable[..., Any]]:
    """The functions of a module that are marked with @drawn, by name."""
    return {name: value for name, value in vars(module).items() if getattr(value, "course_drawn", False)}


def with_tests(
    body: Callable[[Runner], T],
    *,
    exercises: Sequence[str],
    visible: Sequence[Path] = (),
    hidden: Sequence[Path] = (),
) -> T:
    """Collect test files once and hand a `Runner` to `body`; returns what `body` returns.

    Parameters
    ----------
    body : called once, inside the pytest session; may run any number of subjects
    exercises : names of the unit's exercises, which become fixtures
    visible, hidden : test files; a test's id is "visible/test_name" or "hidden/test_name"

    Raises
    ------
    TestFileError : a file is missing or can't be collected, or a test is not in the agreed form
    """
    files = [*visible, *hidden]
    for path in files:
        if not path.is_file():
            raise TestFileError(f"there is no test file {path}")
    plugin = _Plugin.with_fixtures_for(exercises)(exercises, {path.resolve() for path in hidden}, body)
    root = os.path.commonpath([path.resolve().parent for path in files])
    arguments = [*_PYTEST_OPTIONS, f"--rootdir={root}", *(str(path.resolve()) for path in files)]
    with _without_settings():
        code = pytest.main(arguments, plugins=[plugin])
    if plugin.raised is not None:
        raise plugin.raised
    if not plugin.ran:
        raise TestFileError("\n".join(plugin.errors) or f"pytest ended with {code!r} before any test ran")
    return plugin.result
