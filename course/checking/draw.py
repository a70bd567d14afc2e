"""Inputs of a test, drawn from a seed that only the instructor's key knows."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

PUBLIC_KEY = b"multiomics-course: the public key, used where there is no class"


class Draw:
    """Seeded inputs for one test: `.rng`, and the generators kept beside the tests.

    Parameters
    ----------
    key : the class's key, or `PUBLIC_KEY`
    test_id : the test that draws; every test has a stream of its own
    generators : functions of (rng, ...) that become methods

    Examples
    --------
    >>> draw = Draw(PUBLIC_KEY, "hidden/test_x", {"coins": lambda rng, n: rng.integers(0, 2, n)})
    >>> draw.coins(3).shape
    (3,)
    >>> same = Draw(PUBLIC_KEY, "hidden/test_x")
    >>> bool(same.rng.random() == Draw(PUBLIC_KEY, "hidden/test_x").rng.random())
    True
    """

    def __init__(self, key: bytes, test_id: str, generators: Mapping[str, Callable[..., Any]] | None = None) -> None:
        seed = int.from_bytes(hmac.digest(key, test_id.encode(), "sha256")[:16], "big")
        self.rng = np.random.default_rng(seed)
        self._generators = dict(generators or {})

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            return functools.partial(self.__dict__["_generators"][name], self.rng)
        except KeyError:
            known = ", ".join(sorted(self.__dict__.get("_generators", {}))) or "none"
            raise AttributeError(
                f"there is no generator named {name!r} (known: {known}); mark one with @drawn in the test file"
            ) from None
