"""The codec: exact round trips, and nothing but `WireError` from bytes that are no message."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import pickle
import struct
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from course.checking import wire
from course.checking.wire import Bounds, Handle, StudentError, WireError, decode, encode


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass(frozen=True)
class Gate:
    name: str
    lower: float = -math.inf


RECORDS = {"Pair": Pair, "Gate": Gate}


def identical(first: Any, second: Any) -> bool:
    """Equal in class, dtype, labels and every bit of every value."""
    if type(first) is not type(second):
        return False
    if isinstance(first, pd.DataFrame):
        pd.testing.assert_frame_equal(first, second, check_exact=True, check_column_type="exact")
        return True
    if isinstance(first, pd.Series):
        pd.testing.assert_series_equal(first, second, check_exact=True)
        return True
    if isinstance(first, pd.Index):
        pd.testing.assert_index_equal(first, second, exact=True)
        return first.names == second.names
    if isinstance(first, (np.ndarray, np.generic)):
        if first.dtype != second.dtype or first.shape != second.shape:
            return False
        if first.dtype.kind == "O":
            return all(identical(a, b) for a, b in zip(first.ravel(), second.ravel(), strict=True))
        return first.tobytes() == second.tobytes()
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(identical(a, b) for a, b in zip(first, second, strict=True))
    if isinstance(first, dict):
        return identical(list(first.items()), list(second.items()))
    if isinstance(first, float):
        return struct.pack("d", first) == struct.pack("d", second) or (math.isnan(first) and math.isnan(second))
    if isinstance(first, complex):
        return identical(first.real, second.real) and identical(first.imag, second.imag)
    if isinstance(first, (set, frozenset)):
        return first == second
    return repr(first) == repr(second)


PLAIN = [
    *(
        None,
        True,
        False,
        0,
        -1,
        2**63 - 1,
        -(2**63),
        2**64,
        -(2**500),
        0.0,
        -0.0,
        1e-320,
        math.nan,
        math.inf,
        -math.inf,
    ),
    *(
        1 + 2j,
        complex(math.nan, -0.0),
        "",
        "a",
        'quote " [,] {} \\ ',
        "多组学 🧬",
        "x" * 1000,
        b"",
        b"\x00\xff",
        bytearray(b"ab"),
    ),
    *([], [1, [2, [3]]], (), (1, "a"), {}, {"b": 1, "a": 2, 3: None, (1, 2): "t"}, {1, 2}, frozenset({"a"}), set()),
    *(slice(1, None, -1), range(2, 9), ..., pd.NaT, pd.NA, pd.Timestamp("2020-02-28"), pd.Timedelta("90s")),
    pd.Timestamp("2021-05-01 12:00", tz="UTC"),
]
ARRAYS = [
    np.arange(6).reshape(2, 3),
    np.asfortranarray(np.eye(3)),
    np.arange(10)[::2],
    np.zeros((0, 4)),
    np.array(5.0),
    np.array([True, False]),
    np.array([1.5, np.nan, -0.0, np.inf], dtype="f2"),
    np.arange(3, dtype=">i4"),
    np.array([1 + 1j], dtype="c8"),
    np.array(["a", "多组学", ""]),
    np.array([b"ab", b"c"]),
    np.array(["2020-01-01", "NaT"], dtype="M8[D]"),
    np.array([1, 2], dtype="m8[ns]"),
    np.array(["x", None, 3, [1, 2]], dtype=object),
    np.array([["x", "y"], ["z", ""]], dtype=object),
    *(np.dtype(kind).type(1) for kind in ("?", "i1", "u8", "f4", "c16")),
    *(np.str_("s"), np.bytes_(b"b"), np.datetime64("2020-01-01T00:00", "m"), np.timedelta64(3, "D"), np.float64("nan")),
]
TABLES = [
    pd.Series([1, 2], name="x"),
    pd.Series(["a", None, "多"], index=["r", "s", "t"]),
    pd.Series(["a", "b"], dtype=object),
    pd.Series(["a", None], dtype="string"),
    *(pd.Series([1, None], dtype=kind) for kind in ("Int8", "UInt64", "Float32", "boolean")),
    pd.Series(pd.Categorical(["a", "b", None], categories=["b", "a", "c"], ordered=True), name=("t", 1)),
    pd.Series(pd.to_datetime(["2020-01-01", None])),
    pd.Series(pd.to_datetime(["2020-01-01", None], utc=True)),
    pd.Series([], dtype=float),
    pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [1.5, np.nan], "d": [True, False]}, index=["r", "s"]),
    pd.DataFrame(np.eye(3)),
    pd.DataFrame(np.eye(2), columns=["same", "same"]),
    pd.DataFrame([[1, 2.0]], columns=["same", "same"]),
    pd.DataFrame(),
    pd.DataFrame(index=["a", "b"]),
    pd.DataFrame(columns=["a"], dtype=float),
    pd.DataFrame({("a", "b"): [1], ("a", "c"): [2.0]}),
    pd.DataFrame({"when": pd.date_range("2020", periods=2)}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
    pd.Index([1, 2], name="n"),
    pd.Index(["a", "b"], name=("x", "y")),
    pd.Index(["a", 1], dtype=object),
    pd.Index([True, False]),
    pd.RangeIndex(1, 9, 2, name="r"),
    pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["p", None]),
    pd.MultiIndex.from_tuples([("a", 1.0), ("b", np.nan)]),
    pd.date_range("2020", periods=3, freq="D", name="d"),
    pd.date_range("2020", periods=3, tz="UTC"),
    pd.timedelta_range("1h", periods=2, freq="h"),
    pd.CategoricalIndex(["a", "b"]),
    pd.Categorical(["x", None]),
    pd.array([1, None], dtype="Int64"),
]


@pytest.mark.parametrize(
    "value", [*PLAIN, *ARRAYS, *TABLES], ids=lambda value: f"{type(value).__name__} {value!r}"[:40]
)
def test_a_value_arrives_as_it_was(value: Any) -> None:
    assert identical(value, decode(encode(value)))


@pytest.mark.parametrize("value", ARRAYS[:4])
def test_an_array_that_arrived_is_our_own(value: np.ndarray) -> None:
    arrived = decode(encode(value))
    assert arrived.flags.writeable
    assert arrived.flags.owndata or arrived.base.flags.owndata


@pytest.mark.parametrize(
    "bits", [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]
)
def test_a_generator_goes_on_where_it_was(bits: Any) -> None:
    rng = np.random.Generator(bits(5))
    rng.random(3)
    rng.integers(0, 9, dtype="uint32")
    arrived = decode(encode(rng))
    assert type(arrived.bit_generator) is bits
    assert arrived.normal(size=4).tolist() == rng.normal(size=4).tolist()


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
def test_a_sparse_table_crosses(kind: Any) -> None:
    table = kind(np.diag([1.0, 0.0, 3.0]))
    arrived = decode(encode(table))
    assert type(arrived) is kind
    assert (arrived.toarray() == table.toarray()).all()


def test_records_arrive_as_the_receivers_own_class() -> None:
    value = [Pair(np.arange(2), "b"), Gate("depth", 3.0)]
    arrived = decode(encode(value, records=RECORDS), records=RECORDS)
    assert type(arrived[0]) is Pair
    assert arrived[0].left.tolist() == [0, 1]
    assert arrived[1] == value[1]


def test_a_named_tuple_nobody_declared_is_a_tuple() -> None:
    assert decode(encode(Pair(1, 2))) == (1, 2)
    assert type(decode(encode(Pair(1, 2)))) is tuple


def test_a_record_with_other_fields_is_refused() -> None:
    @dataclasses.dataclass
    class Gate:
        code: str

    with pytest.raises(WireError, match="other fields"):
        decode(encode(Gate("x"), records={"Gate"}), records=RECORDS)
    with pytest.raises(WireError, match="not known here"):
        decode(encode(Gate("x"), records={"Gate"}))


def test_an_unfitted_model_crosses_with_its_parameters() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    arrived = decode(encode([LogisticRegression(C=3.0), StratifiedKFold(4, shuffle=True, random_state=1)]))
    assert arrived[0].get_params() == LogisticRegression(C=3.0).get_params()
    assert (arrived[1].n_splits, arrived[1].shuffle, arrived[1].random_state) == (4, True, 1)


def test_a_fitted_model_stays_where_it_is() -> None:
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(np.eye(2), [0, 1])
    with pytest.raises(WireError, match="does not cross"):
        encode(model)
    arrived = decode(encode(model, to_handle=lambda value: Handle(7, "L")), from_handle=lambda handle: handle)
    assert arrived == Handle(7, "L")


class Text(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


class Numbers(np.ndarray):
    def __array_ufunc__(self, *_: Any, **__: Any) -> bool:
        return True


class Always(dict):
    def __getitem__(self, key: Any) -> int:
        return 42


class Table(pd.DataFrame):
    def equals(self, other: object) -> bool:
        return True


@pytest.mark.parametrize(
    ("liar", "plain"),
    [
        (Text("a"), "a"),
        (np.arange(3).view(Numbers), np.arange(3)),
        (Always(a=1), {"a": 1}),
        (type("Big", (int,), {"__eq__": lambda *_: True, "__hash__": int.__hash__})(3), 3),
        (type("Real", (float,), {"__eq__": lambda *_: True, "__hash__": float.__hash__})(3), 3.0),
        (type("Many", (list,), {"__len__": lambda _: 9})([1]), [1]),
        (Table({"a": [1]}), pd.DataFrame({"a": [1]})),
    ],
)
def test_a_subclass_arrives_as_its_base(liar: Any, plain: Any) -> None:
    arrived = decode(encode(liar))
    assert identical(arrived, plain)


def test_exceptions_arrive_as_the_nearest_built_in() -> None:
    class SingularError(np.linalg.LinAlgError):
        pass

    assert repr(decode(encode(SingularError("no inverse")))) == "ValueError('no inverse')"
    assert repr(decode(encode(KeyError("k")))) == "KeyError('k')"
    assert type(decode(encode(UnicodeDecodeError("utf-8", b"x", 0, 1, "bad")))) is UnicodeError
    for odd in (Exception("x"), SystemExit(0), KeyboardInterrupt(), GeneratorExit()):
        assert type(decode(encode(odd))) is StudentError


def test_half_a_character_does_not_cross() -> None:
    with pytest.raises(WireError, match="surrogate"):
        encode("\ud800")


def test_what_is_too_large_is_refused_before_it_is_built() -> None:
    bounds = Bounds(size=1000, header=1000, nodes=50, depth=5)
    with pytest.raises(WireError, match="larger than"):
        encode(np.zeros(1000), bounds=bounds)
    with pytest.raises(WireError, match="parts"):
        encode(list(range(60)), bounds=bounds)
    with pytest.raises(WireError, match="deep"):
        encode([[[[[[[1]]]]]]], bounds=bounds)
    with pytest.raises(WireError):
        decode(encode(np.zeros(2000)), bounds=bounds)
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    with pytest.raises(WireError):
        encode(cyclic)


def message(tree: Any, *buffers: bytes) -> bytes:
    """A message written by hand."""
    header = tree if isinstance(tree, bytes) else json.dumps(tree, separators=(",", ":")).encode()
    lengths = struct.pack(f"<{len(buffers)}Q", *map(len, buffers))
    return struct.pack("<8sII", b"MOWIRE1\n", len(header), len(buffers)) + header + lengths + b"".join(buffers)


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"MOWIRE1\n",
        pickle.dumps([1]),
        message(["list", 1])[:-1],
        message(["list", 1]) + b"x",
        message(["array", "<f8", [2**31, 2**31]], b""),
        message(["array", "<f8", [-1]], b"12345678"),
        message(["array", "O", [1]], b"12345678"),
        message(["array", "<f8, (1000000,)f8", [1]], b"12345678"),
        message(["array", ["U", 0], [2**30]], b""),
        message(["array", ["U", 1], [1]], b"\xff\xff\xff\xff"),
        message(["array", "<f8", [1]] * 1, b"1234567"),
        message(["list", ["array", "<f8", [1]], ["array", "<f8", [1]]], b"12345678"),
        message(["bytes"], b"a", b"unused"),
        message(["text"], b"\xff"),
        message(["text"], b"\xed\xa0\x80"),
        message(["int", "f" * 10_000]),
        message(b"1" * 5000),
        message(b"NaN"),
        message(b'{"a":1}'),
        message(b"[" * 100_000),
        message(b"[" * 100_000 + b"]" * 100_000),
        message(["os.system", "true"]),
        message(["estimator", "os.system", ["dict", ["list"], ["list"]]]),
        message(["record", "Popen", ["list", "args"], ["list", "true"]]),
        message(["dict", ["list", ["list"]], ["list", 1]]),
        message(["range", 0, 2**60, 1]),
        message(["rangeindex", None, 0, 2**60, 1]),
        message(["csr", "csr_array", [2, 2], *[["array", "<i4", [1]]] * 3], b"1234", b"\x09\0\0\0", b"\0\0\0\0"),
        message(["handle", 1, "x"]),
        message(["generator", ["dict", ["list", "bit_generator"], ["list", "MT19937"]]]),
        message(["frame", ["rangeindex", None, 0, 2, 1], ["rangeindex", None, 0, 1, 1], [], []]),
    ],
)
def test_hostile_bytes_are_refused(hostile: bytes) -> None:
    with pytest.raises(WireError):
        decode(hostile, records=RECORDS)


def test_keys_whose_hashes_can_be_chosen_are_few() -> None:
    colliding = [["int", format(number * (2**61 - 1), "x")] for number in range(2**3, 6_000)]
    with pytest.raises(WireError, match="keys"):
        decode(message(["set", *colliding]))


def test_no_text_in_the_tree_can_hide_nodes_from_the_count() -> None:
    with pytest.raises(WireError):
        decode(message(b"[" + b'"list",' * 2_000_000 + b"1]"))


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary(), st.just(...)
)
KEYS = st.one_of(st.text(max_size=8), st.integers(), st.booleans(), st.tuples(st.text(max_size=3), st.integers()))
NUMBERS = st_numpy.arrays(
    st.one_of(
        st_numpy.boolean_dtypes(),
        st_numpy.integer_dtypes(endianness="?"),
        st_numpy.floating_dtypes(sizes=(16, 32, 64), endianness="?"),
        st_numpy.complex_number_dtypes(sizes=(64, 128), endianness="?"),
        st_numpy.datetime64_dtypes(endianness="<"),
        st_numpy.unicode_string_dtypes(min_len=1, max_len=5, endianness="<"),
    ),
    st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
VALUES = st.recursive(
    st.one_of(SCALARS, NUMBERS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.tuples(inner, inner), st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
def test_any_value_arrives_as_it_was(value: Any) -> None:
    assert identical(value, decode(encode(value)))


_SEEDS = [encode(value) for value in [*PLAIN, *ARRAYS, *TABLES, np.random.default_rng(1), Handle(1, "x")]]
_SEEDS += [encode([Pair(1, Gate("a"))], records=RECORDS), encode(sparse.csr_array(np.eye(3))), encode(ValueError("x"))]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_mutated_messages_give_a_value_or_a_wire_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(40):
        mutated = bytearray(_SEEDS[rng.integers(len(_SEEDS))])
        for _ in range(rng.integers(1, 5)):
            place = int(rng.integers(len(mutated)))
            how = rng.integers(4)
            if how == 0:
                mutated[place] = int(rng.integers(256))
            elif how == 1:
                mutated[place] = int(rng.choice(list(b'[]",0123456789-lf')))
            elif how == 2:
                del mutated[place : place + int(rng.integers(1, 9))]
            else:
                mutated[place:place] = mutated[place : place + int(rng.integers(1, 9))]
            mutated = mutated or bytearray(b"x")
        with contextlib.suppress(WireError):
            decode(bytes(mutated), records=RECORDS, from_handle=lambda handle: handle)


def test_decoding_loads_no_module_that_a_message_names(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(wire.importlib, "import_module", lambda name: asked.append(name) or 1 / 0)
    with pytest.raises(WireError):
        decode(message(["estimator", "antigravity", ["dict", ["list"], ["list"]]]))
    assert asked == []
