"""The runner: one pytest session, many subjects, and points only for a test that ran to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from course.checking.draw import Draw
from course.checking.runner import (
    Context,
    Halt,
    NotAttempted,
    Outcome,
    Runner,
    Status,
    TestFileError,
    read_message,
    with_tests,
)

HEAD = "import pytest, warnings\nimport numpy as np\nfrom course.checking import drawn, points\n"
DOC = '    """What should hold.\n\n    应当成立的性质。"""\n'


class Named:
    """A subject made of a mapping; a Halt among its values is raised."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers

    def get(self, name: str) -> Any:
        if name not in self.answers:
            raise NotAttempted(f"{name} is not defined")
        return self.answers[name]


@pytest.fixture
def outcomes(tmp_path: Path) -> Callable[..., list[Outcome]]:
    """Write a hidden test file from bodies, run it against answers, return the outcomes."""

    def run(body: str, *, times: int = 1, key: bytes = b"key", **answers: Any) -> list[Outcome]:
        path = tmp_path / "test_unit.py"
        path.write_text(HEAD + body.replace("DOC\n", DOC), encoding="utf-8")

        def each(runner: Runner) -> list[Outcome]:
            found: list[Outcome] = []
            for _ in range(times):
                found = runner.run(Named(answers), Context(key))
            return found

        return with_tests(each, exercises=["f", "v"], hidden=[path])

    return run


def _raise(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (lambda x: x + 1, Status.PASSED),
        (lambda x: x, Status.FAILED),
        (lambda x: _raise(NotImplementedError()), Status.NOT_ATTEMPTED),
        (lambda x: _raise(KeyError("a")), Status.ERROR),
        (lambda x: _raise(SystemExit(0)), Status.ERROR),
        (lambda x: _raise(Halt(Status.TIMEOUT, "10 s")), Status.TIMEOUT),
        (lambda x: _raise(pytest.skip.Exception("skipped")), Status.ERROR),
        (lambda x: _raise(pytest.xfail.Exception("expected")), Status.FAILED),
        (lambda x: _raise(pytest.exit.Exception("out", 0)), None),
    ],
)
def test_only_a_test_that_ran_to_its_end_passes(outcomes, answer, status):
    body = "@points(3)\ndef test_adds(f):\nDOC\n    assert f(1) == 2\n"
    if status is None:
        with pytest.raises(pytest.exit.Exception):
            outcomes(body, f=answer)
        return
    (outcome,) = outcomes(body, f=answer, times=3)
    assert outcome.status is status
    assert outcome.points == (3 if status is Status.PASSED else 0)


def test_a_halt_is_not_swallowed_by_a_test_that_expects_an_exception(outcomes):
    body = "@points(1)\ndef test_refuses(f):\nDOC\n    with pytest.raises(Exception):\n        f(-1)\n"
    (outcome,) = outcomes(body, f=lambda x: _raise(Halt(Status.KERNEL_DIED)))
    assert outcome.status is Status.KERNEL_DIED


def test_a_missing_answer_costs_its_own_tests_only_and_stays_missing(outcomes):
    body = "@points(1)\ndef test_f(f):\nDOC\n    assert f(0) == 0\n@points(1)\ndef test_v(v):\nDOC\n    assert v == 1\n"
    first, second = outcomes(body, f=lambda x: x, times=3)
    assert (first.status, second.status) == (Status.PASSED, Status.NOT_ATTEMPTED)
    assert second.detail == "v is not defined"


def test_a_warning_never_decides(outcomes):
    body = "@points(1)\ndef test_f(f):\nDOC\n    warnings.warn('loud', DeprecationWarning)\n    assert f(0) == 0\n"
    assert outcomes(body, f=lambda x: x)[0].passed


def test_inputs_depend_on_key_and_test_and_nothing_else(outcomes):
    body = (
        "@drawn\ndef numbers(rng, n): return rng.random(n)\n"
        "@points(1)\ndef test_a(f, draw):\nDOC\n    f(draw.numbers(4))\n"
        "@points(1)\ndef test_b(f, draw):\nDOC\n    f(draw.numbers(4))\n"
    )
    seen: list[tuple[float, ...]] = []
    for key in (b"one", b"one", b"two"):
        outcomes(body, key=key, f=lambda x: seen.append(tuple(x)))
    assert seen[0:2] == seen[2:4]
    assert len({*seen}) == 4


def test_the_failing_assertion_is_explained(outcomes):
    (outcome,) = outcomes("@points(1)\ndef test_f(f):\nDOC\n    assert f(1) == [2, 3]\n", f=lambda x: [2, 4])
    assert "At index 1 diff: 4 != 3" in outcome.detail


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("def test_f(f):\nDOC\n    pass\n", "has no points"),
        ("@points(1)\ndef test_f(f):\n    '''Only English.'''\n", "two paragraphs"),
        ("@points(1)\ndef test_f(f):\n    '''One.\n\n    Two.'''\n", "not Chinese"),
        ("@points(1)\ndef test_f(draw):\nDOC\n    pass\n", "belongs to no exercise"),
        ("def test_f(:\n", "SyntaxError"),
        ("@points(0)\ndef test_f(f): pass\n", "at least 1"),
    ],
)
def test_a_test_in_the_wrong_form_is_an_authors_error(outcomes, body, complaint):
    with pytest.raises(TestFileError, match=complaint):
        outcomes(body, f=len)


def test_visible_and_hidden_tests_of_one_name_are_two_tests(tmp_path):
    files = {}
    for kind in ("visible", "hidden"):
        folder = tmp_path / kind
        folder.mkdir()
        files[kind] = folder / "test_unit.py"
        files[kind].write_text(HEAD + "@points(1)\ndef test_f(f):\n" + DOC, encoding="utf-8")
    tests = with_tests(
        lambda runner: runner.tests, exercises=["f"], visible=[files["visible"]], hidden=[files["hidden"]]
    )
    assert [(test.id, test.visible) for test in tests] == [("visible/test_f", True), ("hidden/test_f", False)]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TestFileError, match=r"test_none\.py"):
        with_tests(lambda runner: None, exercises=["f"], hidden=[tmp_path / "test_none.py"])


def test_an_error_of_the_caller_comes_back_as_it_is(tmp_path):
    path = tmp_path / "test_unit.py"
    path.write_text(HEAD + "@points(1)\ndef test_f(f):\n" + DOC, encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        with_tests(lambda runner: _raise(KeyboardInterrupt()), exercises=["f"], hidden=[path])


def test_the_message_has_both_languages():
    assert read_message("One\n    line.\n\n    一行。", "here") == {"en": "One line.", "zh": "一行。"}


def test_an_unknown_generator_is_named():
    with pytest.raises(AttributeError, match=r"'dice' \(known: coins\)"):
        Draw(b"key", "id", {"coins": len}).dice(3)
