"""The `course` command."""

from __future__ import annotations

import sys
from typing import Any

import typer

from course.authoring import commands as authoring_commands
from course.errors import CourseError
from course.grading import commands as grading_commands

app = typer.Typer(
    name="course",
    help="Write, teach and grade the multi-omics course.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
authoring_commands.register(app)
grading_commands.register(app)


# What typer raises for a call that it cannot read; typer has it from click and exports only this subclass of it.
_ClickError: Any = typer.BadParameter.__mro__[2]


def main() -> None:
    """Run the command; what a person can mend is one line, never a traceback."""
    try:
        code = app(standalone_mode=False)
    except CourseError as error:
        sys.exit(_say(str(error)))
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except _ClickError as error:
        if not error.format_message():  # called without any argument: the help has been shown
            sys.exit(2)
        sys.exit(_say(_in_one_line(error)))
    if code == 130:
        _say("interrupted; what was finished is kept, and the next run goes on")
    sys.exit(code if isinstance(code, int) else 0)


def _say(text: str) -> int:
    print(f"course: {text}", file=sys.stderr)
    return 2


def _in_one_line(error: Any) -> str:
    """What is wrong with the call, and where its help is."""
    command = error.ctx.command_path if getattr(error, "ctx", None) else "course"
    what = " ".join(error.format_message().split()).rstrip(".")
    return f"{what}; {command} --help shows what it takes"
