"""Coverage-guided fuzzing of what the grader reads from a student's kernel.

    uv run --group fuzz python tests/fuzz/fuzz_wire.py -max_total_time=300

Atheris writes bytes, keeps those that reach new branches of `course.checking.wire`, and mutates them further. For each
message the reader must give a value made of the allowed classes only, or raise `WireError`; anything else, an hour of
work and a gigabyte of memory included, ends the run with the bytes that did it in a file `crash-…`. A third of the
inputs are messages as they are, a third are given a right prefix and right lengths, and from a third Hypothesis builds
trees of right nodes, so that mutations reach what lies behind the first checks. README.md has what was run.
"""

from __future__ import annotations

import contextlib
import random
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import atheris

with atheris.instrument_imports(include=["course.checking.wire", "course.grading.examine"]):
    from course.checking import wire
    from course.grading import examine

import numpy as np
from hypothesis import HealthCheck, given, settings

from tests.course.wire_values import MESSAGES, RECORDS, SEEDS, check_allowed

SLOW = 10.0  # seconds that no message may take


def framed(data: bytes) -> bytes:
    """Bytes with a right prefix: the first byte says how many buffers, the next two how long the tree is."""
    if len(data) < 4:
        return data
    count, size = data[0] % 8, int.from_bytes(data[1:3], "little")
    header, rest = data[3 : 3 + size], data[3 + size :]
    step = len(rest) // count if count else 0
    buffers = [rest[i * step : (i + 1) * step] for i in range(count)]
    lengths = struct.pack(f"<{count}Q", *map(len, buffers))
    return struct.pack("<8sII", b"MOWIRE1\n", len(header), count) + header + lengths + b"".join(buffers)


class Stays(wire.Opaque):
    """What a handle becomes."""


def one_input(data: bytes) -> None:
    """Make a message of the bytes in one of three ways and read it."""
    how = data[0] % 3 if data else 0
    if how == 2:
        _from_a_tree.hypothesis.fuzz_one_input(data[1:])
    else:
        read(framed(data[1:]) if how else data[1:])


@settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(MESSAGES)
def _from_a_tree(message: bytes) -> None:
    read(message)


def read(message: bytes) -> None:
    """Read one message; then put what came into the place of an argument, as an examination does."""
    started = time.monotonic()
    with contextlib.suppress(wire.WireError):
        value = wire.decode(message, records=RECORDS, from_handle=lambda _: Stays())
        check_allowed(value, (Stays,))
        _use(value)
    if time.monotonic() - started > SLOW:
        raise RuntimeError(f"this message takes {time.monotonic() - started:.0f} s")


def _use(value: Any) -> None:
    """What the examination does with an answer before any test sees it."""
    originals: list[Any] = [[1, [2]], {"a": 1}, np.arange(3.0), np.random.default_rng(1)]
    for original in originals:
        examine.restore(original, value)
    if isinstance(value, dict):
        with contextlib.suppress(examine.Halt):
            examine._exception_in(value, {})
        examine._warnings_in(value)
        examine._changed_arguments((1, 2), {"x": 3}, value)


def main() -> None:
    """Fuzz from the messages of the tests."""
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS):
            Path(corpus, f"message-{number}").write_bytes(b"\0" + seed)
            Path(corpus, f"tree-{number}").write_bytes(b"\2" + random.Random(number).randbytes(600))
        atheris.Setup([*sys.argv, corpus, "-rss_limit_mb=3000", "-timeout=20", "-max_len=65536"], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
