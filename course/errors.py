"""The one error a person at the command should see."""


class CourseError(Exception):
    """Something the person can mend: what is wrong, where, and what to do, in one line."""
