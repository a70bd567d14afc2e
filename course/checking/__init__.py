"""What a notebook imports: check, hint, progress, label; and what authors of tests import: points, drawn, mistake."""

from course.checking.draw import PUBLIC_KEY, Draw
from course.checking.marks import Mistake, drawn, mistake, points
from course.checking.notebook import check, hint, label, prepare_plots, progress

__all__ = ["PUBLIC_KEY", "Draw", "Mistake", "check", "drawn", "hint", "label", "mistake", "points", "progress"]

prepare_plots()
