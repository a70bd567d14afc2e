"""What isolation is there: asked once, so that attacks which take a sandbox say why they are left out."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Iterator
from typing import Any

from course.errors import CourseError


def _sandbox() -> Any:
    """The package of the sandbox; None where there is none yet."""
    try:
        return importlib.import_module("course.grading.sandbox")
    except ModuleNotFoundError:
        return None


@functools.cache
def isolation() -> str | None:
    """The sandbox that kernels run in here; None where there is none."""
    sandbox = _sandbox()
    if sandbox is None:
        return None
    with using(None):
        try:
            key = sandbox.chosen().key
            return None if key == "none" else key
        except CourseError:
            return None


@contextlib.contextmanager
def using(key: str | None) -> Iterator[None]:
    """Let kernels that are started meanwhile use this isolation: "none", or None for the best there is."""
    sandbox = _sandbox()
    if sandbox is None:
        yield
        return
    before = list(sandbox._chosen)
    sandbox.use(key)
    try:
        yield
    finally:
        sandbox._chosen[:] = before


def missing(needs: str | None) -> str | None:
    """Why an attack can't be tried here, if it can't."""
    if needs is None or isolation() is not None:
        return None
    return f"no sandbox here, and it takes one to stop this ({needs}); see: course doctor"
