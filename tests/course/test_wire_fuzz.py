"""Messages that are nearly right give a value of the allowed classes or a `WireError`, and cost little.

The short form; `tests/fuzz/fuzz_wire.py` searches for hours with coverage to guide it.
"""

from __future__ import annotations

import contextlib
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from course.checking import wire
from course.checking.runner import Halt
from course.grading import examine
from tests.course.wire_values import MESSAGES, RECORDS, SEEDS, check_allowed, message

SETTINGS = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


class Stays(wire.Opaque):
    """What a handle becomes."""


def decoded(data: bytes) -> Any:
    return wire.decode(data, records=RECORDS, from_handle=lambda _: Stays())


@SETTINGS
@given(MESSAGES)
@example(message(["csr", "csr_array", [1, 2**28], ["array", "<f8", [0]], *[["array", "<i4", [n]] for n in (0, 2)]], []))
@example(message(["array", "<f8", [2**31 - 1, 0]], [b""]))
def test_any_tree_gives_an_allowed_value_or_a_wire_error(data: bytes) -> None:
    with contextlib.suppress(wire.WireError):
        check_allowed(decoded(data), (Stays,))


@SETTINGS
@given(MESSAGES, st.integers(0, 3))
def test_what_came_can_stand_for_any_argument_or_answer(data: bytes, which: int) -> None:
    with contextlib.suppress(wire.WireError):
        value = decoded(data)
        examine.restore([[1, [2]], {"a": 1}, np.arange(3.0), np.random.default_rng(1)][which], value)
        answer = value if isinstance(value, dict) else {"names": value, "text": value, "warnings": value}
        with contextlib.suppress(Halt):
            assert isinstance(examine._exception_in(answer, {}), Exception)
        assert len(examine._warnings_in(answer)) <= examine._MOST_WARNINGS
        examine._changed_arguments((1, 2), {"x": 3}, value)


@pytest.mark.parametrize(
    "data",
    [
        message(["range", 0, 2**22 + 1, 1], []),
        message(["rangeindex", None, 0, 2**23, 1], []),
        message(["array", "<f8", [2**26, 0]], [b""]),
        message(["int", "f" * 2100], []),
        message(
            [
                "csr",
                "csr_array",
                [1, 2**25],
                *[["array", kind, [n]] for kind, n in (("<f8", 0), ("<i4", 0), ("<i4", 2))],
            ],
            [b"", b"", bytes(8)],
        ),
        message(["estimator", "AgglomerativeClustering", ["dict", ["list", "memory"], ["list", "cache"]]], []),
        message(["estimator", "PCA", ["dict", ["list", "n_components"], ["list", ["handle", 1, "x"]]]], []),
        message(["set", ["handle", 1, "x"]], []),
        message(["dict", ["list", ["handle", 1, "x"]], ["list", 1]], []),
    ],
)
def test_small_messages_of_something_large_or_active_are_refused(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        decoded(data)


def test_a_message_costs_a_few_times_its_length() -> None:
    heavy = [
        *(wire.encode(value) for value in (list(range(60_000)), ["text"] * 20_000, np.zeros(10**6))),
        wire.encode({f"key {i}": float(i) for i in range(20_000)}),
        message(["set", *range(50_000)], []),
        message(["list", *[["list"]] * 40_000], []),
    ]
    for data in heavy:
        tracemalloc.start()
        started = time.process_time()
        with contextlib.suppress(wire.WireError):
            decoded(data)
        seconds, peak = time.process_time() - started, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert seconds < 10
        assert peak < 120 * len(data) + 2**20  # a number of one digit is 32 bytes of Python


def test_the_seeds_are_messages() -> None:
    for seed in SEEDS:
        check_allowed(decoded(seed), (Stays,))
