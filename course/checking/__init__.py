"""What a notebook imports: check, hint, progress; and what authors of tests import: points, drawn, mistake."""

from course.checking.draw import PUBLIC_KEY, Draw
from course.checking.marks import Mistake, drawn, mistake, points

__all__ = ["PUBLIC_KEY", "Draw", "Mistake", "drawn", "mistake", "points"]
