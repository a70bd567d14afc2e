"""Controls take minutes and stock nbgrader: they run only when asked for, with `-m controls`."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the controls out of an ordinary run."""
    if "controls" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("controls")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
