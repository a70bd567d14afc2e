"""What isolation is there: asked once, so that attacks which take a sandbox say why they are left out."""

from __future__ import annotations

import functools


@functools.cache
def isolation() -> str | None:
    """The sandbox that kernels run in here; None where there is none."""
    try:
        from course.grading import sandbox  # type: ignore[attr-defined]

        best = sandbox.isolation
    except (ImportError, AttributeError):
        return None
    return best()


def missing(needs: str | None) -> str | None:
    """Why an attack can't be tried here, if it can't."""
    if needs is None or isolation() is not None:
        return None
    return f"no sandbox here, and it takes one to stop this ({needs}); see: course doctor"
