"""What may come out of a message, and messages that are nearly right: for the fuzz tests of the codec."""

from __future__ import annotations

import builtins
import json
import struct
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sparse
from hypothesis import strategies as st

from course.checking import wire
from tests.course.test_wire import _SEEDS, RECORDS

SEEDS = _SEEDS

_PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray, slice, range, type(...))
_CONTAINERS = (list, tuple, set, frozenset)
_PANDAS = (pd.Index, pd.Series, pd.DataFrame, pd.api.extensions.ExtensionArray, pd.Timestamp, pd.Timedelta)
_LARGEST = 2**31  # bytes that a value may take


def check_allowed(value: Any, also: tuple[type, ...] = ()) -> None:
    """Fail where a value is of a class that no message may give, or is larger than a message can be."""
    kind = type(value)
    if kind in _PLAIN or kind in also or value is pd.NaT or value is pd.NA:
        return
    if kind in _CONTAINERS:
        for item in value:
            check_allowed(item, also)
    elif kind is dict:
        for key, item in value.items():
            check_allowed(key, also)
            check_allowed(item, also)
    elif kind is np.ndarray:
        assert value.nbytes < _LARGEST
        if value.dtype.kind == "O":
            for item in value.ravel():
                check_allowed(item, also)
    elif isinstance(value, _PANDAS):
        assert kind.__module__.split(".")[0] == "pandas", kind
        assert np.prod(np.shape(value)) < _LARGEST
    elif isinstance(value, BaseException):
        assert kind is wire.StudentError or getattr(builtins, kind.__name__, None) is kind, kind
    elif kind in (sparse.csr_array, sparse.csr_matrix):
        assert np.prod(value.shape) * 16 < _LARGEST
    elif kind in RECORDS.values():
        for name in wire.record_fields(kind):
            check_allowed(getattr(value, name), also)
    else:
        numpys = isinstance(value, (np.generic, np.random.Generator)) and kind.__module__.startswith("numpy")
        known = wire.ESTIMATORS.get(kind.__name__)
        assert numpys or (known and kind.__module__.startswith(known)), kind


def message(tree: Any, buffers: list[bytes]) -> bytes:
    """A message whose prefix and lengths are right, whatever is in it."""
    header = json.dumps(tree, separators=(",", ":")).encode()
    lengths = struct.pack(f"<{len(buffers)}Q", *map(len, buffers))
    return struct.pack("<8sII", b"MOWIRE1\n", len(header), len(buffers)) + header + lengths + b"".join(buffers)


_WORDS = st.sampled_from(
    [
        *(
            "<f8",
            "<i8",
            "|b1",
            "?",
            "<M8[ns]",
            ">i4",
            "csr_array",
            "Int8",
            "boolean",
            "str",
            "string",
            "ns",
            "D",
            "PCG64",
        ),
        *("bit_generator", "state", "inc", "has_uint32", "uinteger", "Gate", "Pair", "name", "lower", "left", "right"),
        *("PCA", "memory", "n_components", "ValueError", "StopIteration", "nan", "-inf", "f" * 20, "a", "", "0"),
    ]
)
_NUMBERS = st.one_of(st.integers(-3, 9), st.sampled_from([2**31, 2**62, 2**64, -(2**63)]))
_LEAVES = st.one_of(st.none(), st.booleans(), _NUMBERS, st.floats(allow_nan=False, allow_infinity=False), _WORDS)
_TAGS = st.sampled_from(sorted(wire._READERS))


def _node(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def of(tag: str) -> st.SearchStrategy[Any]:
        count = wire._READERS[tag][1]
        parts = st.one_of(inner, st.lists(st.one_of(_NUMBERS, inner), max_size=3))
        size = {"min_size": count, "max_size": count} if count is not None else {"max_size": 4}
        return st.lists(parts, **size).map(lambda arguments: [tag, *arguments])

    return _TAGS.flatmap(of)


TREES = st.recursive(_LEAVES, _node, max_leaves=14)
_SIZES = st.sampled_from([0, 1, 4, 8, 8, 8, 16, 16, 24, 32, 64])
BUFFERS = st.lists(
    st.one_of(
        st.binary(max_size=40),
        _SIZES.map(bytes),
        st.lists(st.integers(-1, 4), max_size=5).map(lambda numbers: np.array(numbers, "<i8").tobytes()),
    ),
    max_size=8,
)
MESSAGES = st.builds(message, TREES, BUFFERS)
