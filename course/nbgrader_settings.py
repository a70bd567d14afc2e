"""What nbgrader must be told in the same words wherever it runs: when we release a unit and inside a class folder.

An nbgrader_config.py says `from course.nbgrader_settings import apply` and then `apply(get_config())`.
"""

from __future__ import annotations

from typing import Any

# The released text of a written answer is the same bytes in both languages, so that one gradebook serves both.
TEXT_STUB = "YOUR ANSWER HERE · 在此作答"
CODE_STUB = "# YOUR CODE HERE\nraise NotImplementedError()"

BEGIN_SOLUTION, END_SOLUTION = "### BEGIN SOLUTION", "### END SOLUTION"
BEGIN_HIDDEN, END_HIDDEN = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
BEGIN_SCHEME, END_SCHEME = "### BEGIN MARK SCHEME", "### END MARK SCHEME"
AUTOTEST = "### AUTOTEST"  # nbgrader starts a kernel for a cell with this word: no cell of ours may hold it
DELIMITERS = (BEGIN_SOLUTION, END_SOLUTION, BEGIN_HIDDEN, END_HIDDEN, BEGIN_SCHEME, END_SCHEME, AUTOTEST, "### HASHED")

DIRECTORY_STRUCTURE = "{nbgrader_step}/{student_id}/{assignment_id}"
METADATA_SCHEMA = 3


def apply(config: Any) -> None:
    """Set on a traitlets configuration all that decides what a released notebook looks like."""
    config.ClearSolutions.code_stub = {"python": CODE_STUB}
    config.ClearSolutions.text_stub = TEXT_STUB
    config.ClearSolutions.begin_solution_delimeter = BEGIN_SOLUTION
    config.ClearSolutions.end_solution_delimeter = END_SOLUTION
    config.ClearHiddenTests.begin_test_delimeter = BEGIN_HIDDEN
    config.ClearHiddenTests.end_test_delimeter = END_HIDDEN
    config.ClearMarkScheme.begin_mark_scheme_delimeter = BEGIN_SCHEME
    config.ClearMarkScheme.end_mark_scheme_delimeter = END_SCHEME
    config.CourseDirectory.directory_structure = DIRECTORY_STRUCTURE
    config.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", "feedback"]
