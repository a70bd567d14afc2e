"""The `course` command."""

from __future__ import annotations

import sys

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


def main() -> None:
    """Run the command; what a person can mend is one line, never a traceback."""
    try:
        app()
    except CourseError as error:
        print(f"course: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("course: interrupted; what was finished is kept", file=sys.stderr)
        sys.exit(130)
