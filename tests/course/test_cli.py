"""The command's own errors: one line each, with where the help is."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import pytest

from course import cli


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    """The exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["course", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["grade"], "Missing argument"),
        (["grad", "x"], "No such command 'grad'"),
        (["audit", "--keyss"], "No such option: --keyss"),
        (["grade", "--jobs", "many", "DIR"], "--jobs"),
    ],
)
def test_a_wrong_call_is_one_line(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("course: ")
    assert words in said.err
    assert "--help" in said.err


def test_without_arguments_there_is_the_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 2
    said = capsys.readouterr()
    assert "Usage: course" in said.out
    assert said.err == ""


def test_ctrl_c_is_one_line_in_any_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("course.authoring.new.create", stop)
    assert run(monkeypatch, "new", "99_interrupted") == 130
    assert capsys.readouterr().err.startswith("course: interrupted")
