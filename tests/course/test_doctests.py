"""The examples in the docstrings of the machinery hold."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import course.authoring
import course.checking

MODULES = sorted(
    module.name
    for package in (course.authoring, course.checking)
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    if not module.ispkg
)


@pytest.mark.parametrize("name", [*MODULES, "course.paths"])
def test_examples(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
