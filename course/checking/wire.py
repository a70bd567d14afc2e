"""Values as bytes: how data crosses between a trusted process and a student's kernel.

A message is a JSON tree followed by raw buffers. The tree has a closed list of node tags, arrays a closed list of
dtypes, and `decode` builds only the exact classes of those lists: no code is loaded, no class is looked up by a name
from the message, nothing is unpickled. Every length is checked against the bytes that are there before anything is
allocated, a buffer can be used once only, and depth and number of nodes are bounded, so a hostile message costs little.
Whatever is wrong with it, `decode` raises `WireError` and nothing else.

A subclass arrives as its base (a `str` with an `__eq__` of its own is a plain `str` on the other side). What the lists
do not hold stays where it is and crosses as a handle.

Three kinds of class need both sides to agree on a name: *records* (dataclasses and named tuples), built by the receiver
from its own list; *estimators* of scikit-learn, from the list below; and exceptions, as the nearest built-in.
"""

from __future__ import annotations

import builtins
import dataclasses
import importlib
import itertools
import json
import math
import re
import struct
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd


class WireError(Exception):
    """These bytes are no message, or this value can't become one."""


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The most that a message may hold."""

    size: int = 128 * 2**20
    header: int = 8 * 2**20
    nodes: int = 400_000
    depth: int = 60
    odd_keys: int = 5_000  # keys whose hashes an attacker can choose freely
    integer_bits: int = 8_192  # longer ones have no decimal form in Python
    text: int = 64 * 2**20


BOUNDS = Bounds()


class StudentError(Exception):
    """What a bare `Exception`, or something that is no `Exception`, becomes when it crosses."""


@dataclasses.dataclass(frozen=True)
class Handle:
    """A value that stayed on the other side: its number there, and what it called its class."""

    number: int
    kind: str


class Opaque:
    """What stands here for an object of the other side that is no data; it is equal to nothing but itself."""


_MAGIC = b"MOWIRE1\n"
_PREFIX = struct.Struct("<8sII")  # magic, length of the tree, number of buffers
_SHORT_TEXT = re.compile(r"[A-Za-z0-9_ .:+-]{0,64}")  # stays in the tree, where commas and brackets are counted

# The only dtypes there are. They are looked up by name, never parsed.
_NUMERIC = ["?", *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)), "f2", "f4", "f8", "c8", "c16"]
_DTYPES: dict[str, np.dtype] = {np.dtype(name).newbyteorder("<").str: np.dtype(name) for name in _NUMERIC}
_DTYPES |= {dtype.newbyteorder(">").str: dtype.newbyteorder(">") for dtype in _DTYPES.values() if dtype.itemsize > 1}
_TIME_UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as")
for _kind, _unit in itertools.product("mM", _TIME_UNITS):
    _time = np.dtype(f"<{_kind}8[{_unit}]")
    _DTYPES[_time.str] = _time
_DTYPES |= {dtype.str: dtype for dtype in (np.dtype("<m8"), np.dtype("<M8"))}

_MASKED: dict[str, Any] = {f"{sign}Int{bits}": pd.arrays.IntegerArray for sign in ("", "U") for bits in (8, 16, 32, 64)}
_MASKED |= {f"Float{bits}": pd.arrays.FloatingArray for bits in (32, 64)}
_MASKED["boolean"] = pd.arrays.BooleanArray
_MASKED_NUMPY = {name: np.dtype("bool" if name == "boolean" else name.lower()) for name in _MASKED}
_STRING_DTYPES = {"str": pd.StringDtype(na_value=np.nan), "string": pd.StringDtype()}
_FREQUENCY = re.compile(r"-?\d{0,6}(D|B|h|min|s|ms|us|ns|MS|ME|QS|QE|YS|YE|W)", re.ASCII)
_LONGEST_RANGE = 2**22
_LARGEST_DENSE = 2**24  # entries of a sparse table, if someone makes a dense one of it
_LARGEST_EMPTY = 2**24  # rows of a table without columns: a loop over them would find nothing for very long
_DATETIME_UNITS = ("s", "ms", "us", "ns")

# Models that can be handed over unfitted; a fitted one crosses as a handle.
ESTIMATORS = {
    name: f"sklearn.{module}"
    for module, names in {
        "linear_model": "ElasticNet Lasso LinearRegression LogisticRegression Ridge RidgeClassifier",
        "ensemble": "RandomForestClassifier RandomForestRegressor GradientBoostingClassifier GradientBoostingRegressor",
        "svm": "SVC SVR LinearSVC LinearSVR",
        "neighbors": "KNeighborsClassifier KNeighborsRegressor",
        "tree": "DecisionTreeClassifier DecisionTreeRegressor",
        "naive_bayes": "GaussianNB",
        "discriminant_analysis": "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis",
        "dummy": "DummyClassifier DummyRegressor",
        "decomposition": "PCA NMF TruncatedSVD FactorAnalysis",
        "cross_decomposition": "PLSRegression PLSCanonical CCA PLSSVD",
        "cluster": "KMeans AgglomerativeClustering SpectralClustering",
        "preprocessing": "StandardScaler MinMaxScaler RobustScaler QuantileTransformer PowerTransformer",
        "impute": "SimpleImputer KNNImputer",
        "model_selection": "KFold StratifiedKFold GroupKFold ShuffleSplit StratifiedShuffleSplit",
    }.items()
    for name in names.split()
}

_BUILTIN_EXCEPTIONS = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type)
    and issubclass(kind, Exception)
    and kind is not Exception
    # these can't be built from a message alone
    and not issubclass(kind, UnicodeError if name != "UnicodeError" else ())
    and not name.endswith("ExceptionGroup")
    # these would quietly end a loop over calls (`map`, `zip`) on the other side
    and name not in ("StopIteration", "StopAsyncIteration")
}
_BUILTIN_WARNINGS = {name: kind for name, kind in _BUILTIN_EXCEPTIONS.items() if issubclass(kind, Warning)}


def encode(
    value: Any,
    *,
    records: Container[str] = (),
    to_handle: Callable[[Any], Handle] | None = None,
    bounds: Bounds = BOUNDS,
) -> bytes:
    """A value as a message.

    Parameters
    ----------
    value : what is to cross
    records : names of the dataclasses and named tuples that the other side knows
    to_handle : keeps a value that can't cross and gives its handle; without it such a value is an error
    bounds : the most that the message may hold

    Raises
    ------
    WireError : the value is too large, too deep, or of a kind that doesn't cross

    Examples
    --------
    >>> decode(encode({"a": [1, 2.5, None], "b": np.arange(3)}))
    {'a': [1, 2.5, None], 'b': array([0, 1, 2])}
    """
    writer = _Writer(records, to_handle, bounds)
    try:
        tree = writer.node(value, 0)
        header = json.dumps(tree, separators=(",", ":"), allow_nan=False).encode("ascii")
    except WireError:
        raise
    except RecursionError:
        raise WireError("the value is nested too deeply") from None
    except Exception as error:  # a student's class may do anything while it is looked at
        raise WireError(f"a value of class {type(value).__name__} can't be read: {type(error).__name__}") from error
    if len(header) > bounds.header:
        raise WireError(f"the value has too many parts ({len(header)} bytes of structure)")
    lengths = struct.pack(f"<{len(writer.buffers)}Q", *map(len, writer.buffers))
    return b"".join([_PREFIX.pack(_MAGIC, len(header), len(writer.buffers)), header, lengths, *writer.buffers])


def decode(
    message: bytes,
    *,
    records: Mapping[str, type] | Callable[[str], type | None] | None = None,
    from_handle: Callable[[Handle], Any] | None = None,
    exceptions: Mapping[str, type[Exception]] | None = None,
    bounds: Bounds = BOUNDS,
) -> Any:
    """The value of a message, built of exact built-in, NumPy and pandas classes.

    Parameters
    ----------
    message : bytes from the other side, not trusted in any way
    records : dataclasses and named tuples that may be built, by name
    from_handle : turns a handle into what stands for it here; without it a handle is an error
    exceptions : exception classes that may be built beside the built-in ones, by name
    bounds : the most that the message may hold

    Raises
    ------
    WireError : whatever is wrong with the message
    """
    try:
        return _Reader(message, records, from_handle, exceptions or {}, bounds).value()
    except WireError:
        raise
    except RecursionError:
        raise WireError("the message is nested too deeply") from None
    except Exception as error:  # the checks come first; what a library still refuses is refused
        raise WireError(f"not a message: {type(error).__name__}: {str(error)[:200]}") from error


def class_tree(kind: type) -> list[str]:
    """Names of a class and its bases, nearest first.

    >>> class_tree(KeyError)[:3]
    ['KeyError', 'LookupError', 'Exception']
    """
    return [str(base.__name__) for base in type.mro(kind)][:30]


def nearest_exception(names: list[str], text: str, declared: Mapping[str, type[Exception]] | None = None) -> Exception:
    """The exception to raise here for one that was raised there.

    >>> nearest_exception(["SingularError", "ValueError", "Exception"], "no inverse")
    ValueError('no inverse')
    >>> nearest_exception(["SystemExit", "BaseException"], "1")
    StudentError('SystemExit: 1')
    """
    for name in names:
        kind = (declared or {}).get(name) or _BUILTIN_EXCEPTIONS.get(name)
        if kind is not None:
            return kind(text)
    first = names[0] if names else "Exception"
    return StudentError(text if first == "Exception" else f"{first}: {text}")


def nearest_warning(names: list[str]) -> type[Warning]:
    """The category to warn with here for a warning that was given there.

    >>> nearest_warning(["ConvergenceWarning", "UserWarning", "Warning"])
    <class 'UserWarning'>
    """
    return next((_BUILTIN_WARNINGS[name] for name in names if name in _BUILTIN_WARNINGS), Warning)


class _Writer:
    """Turns a value into the tree and the list of buffers."""

    def __init__(self, records: Container[str], to_handle: Callable[[Any], Handle] | None, bounds: Bounds) -> None:
        self.records = records
        self.to_handle = to_handle
        self.bounds = bounds
        self.buffers: list[bytes] = []
        self.left = bounds.size
        self.nodes = 0

    def node(self, value: Any, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > self.bounds.nodes:
            raise WireError(f"the value has more than {self.bounds.nodes} parts")
        if depth > self.bounds.depth:
            raise WireError(f"the value is nested more than {self.bounds.depth} deep")
        if value is None or value is True or value is False:
            return value
        kind = type(value)
        write = _WRITERS.get(kind)
        if write is None:
            write = next((write for base, write in _BASES if isinstance(value, base)), None)
        if write is None:
            write = _write_other
        return write(self, value, depth)

    def items(self, values: Any, depth: int) -> list[Any]:
        return [self.node(value, depth + 1) for value in values]

    def buffer(self, content: bytes) -> None:
        self.left -= len(content)
        if self.left < 0:
            raise WireError(f"the value is larger than {self.bounds.size} bytes")
        self.buffers.append(content)

    def text(self, value: str) -> Any:
        value = str.__str__(value)
        if _SHORT_TEXT.fullmatch(value):
            return value
        self.buffer(_utf8(value))
        return ["text"]


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise WireError("a text holds half a character (a lone surrogate)") from None


def _write_int(writer: _Writer, value: Any, depth: int) -> Any:  # noqa: ARG001
    number = int.__index__(value)
    if -(2**63) <= number < 2**63:
        return number
    if number.bit_length() > writer.bounds.integer_bits:
        raise WireError(f"an integer has more than {writer.bounds.integer_bits} bits")
    return ["int", format(number, "x")]


def _write_float(writer: _Writer, value: Any, depth: int) -> Any:  # noqa: ARG001
    number = float.__float__(value)
    return number if math.isfinite(number) else ["float", repr(number)]


def _write_complex(writer: _Writer, value: Any, depth: int) -> Any:
    number = complex.__complex__(value)
    return ["complex", _write_float(writer, number.real, depth), _write_float(writer, number.imag, depth)]


def _write_str(writer: _Writer, value: Any, depth: int) -> Any:  # noqa: ARG001
    return writer.text(value)


def _write_bytes(writer: _Writer, value: Any, depth: int) -> Any:  # noqa: ARG001
    writer.buffer(memoryview(value).tobytes())
    return ["bytearray" if isinstance(value, bytearray) else "bytes"]


def _write_list(writer: _Writer, value: Any, depth: int) -> Any:
    return ["list", *writer.items(list.__iter__(value), depth)]


def _write_tuple(writer: _Writer, value: Any, depth: int) -> Any:
    kind = type(value)
    fields = getattr(kind, "_fields", None)
    if kind is not tuple and kind.__name__ in writer.records and isinstance(fields, tuple):
        return _record(writer, kind.__name__, fields, list(tuple.__iter__(value)), depth)
    return ["tuple", *writer.items(tuple.__iter__(value), depth)]


def _record(writer: _Writer, name: str, fields: Any, values: list[Any], depth: int) -> Any:
    named = [writer.text(field) for field in fields]
    return ["record", writer.text(name), named, writer.items(values, depth)]


def _write_dict(writer: _Writer, value: Any, depth: int) -> Any:
    pairs = list(dict.items(value))
    keys = writer.items((key for key, _ in pairs), depth)
    return ["dict", keys, writer.items((item for _, item in pairs), depth)]


def _write_set(writer: _Writer, value: Any, depth: int) -> Any:
    frozen = isinstance(value, frozenset)
    members = frozenset.__iter__(value) if frozen else set.__iter__(value)
    return ["frozenset" if frozen else "set", *writer.items(members, depth)]


def _write_slice(writer: _Writer, value: Any, depth: int) -> Any:
    return ["slice", *writer.items((value.start, value.stop, value.step), depth)]


def _write_range(writer: _Writer, value: Any, depth: int) -> Any:
    return ["range", *writer.items((value.start, value.stop, value.step), depth)]


def _write_array(writer: _Writer, value: Any, depth: int) -> Any:
    array = np.ndarray.view(value, np.ndarray) if type(value) is not np.ndarray else value
    if array.dtype.kind == "O":
        return _write_objects(writer, array, depth)
    name = array.dtype.str
    if array.dtype.kind in "SU":
        if array.dtype.byteorder == ">":
            array = array.astype(array.dtype.newbyteorder("<"))
        name = ["S" if array.dtype.kind == "S" else "U", array.dtype.itemsize // (1 if array.dtype.kind == "S" else 4)]
    elif name.replace("|", "<") not in _DTYPES and name not in _DTYPES:
        return _write_other(writer, value, depth)
    else:
        name = name if name in _DTYPES else name.replace("|", "<")
    writer.buffer(np.ascontiguousarray(array).tobytes())
    return ["array", name, list(array.shape)]


def _write_objects(writer: _Writer, array: np.ndarray, depth: int) -> Any:
    flat = array.ravel().tolist()
    if flat and all(type(item) is str for item in flat):
        return ["texts", list(array.shape), _write_texts(writer, flat)]
    return ["objects", list(array.shape), *writer.items(flat, depth)]


def _write_texts(writer: _Writer, texts: list[str | None]) -> int:
    """Many strings as two buffers, their lengths (-1: missing) and their characters; returns how many."""
    coded = [None if text is None else _utf8(text) for text in texts]
    writer.buffer(np.array([-1 if code is None else len(code) for code in coded], dtype="<i8").tobytes())
    writer.buffer(b"".join(code for code in coded if code is not None))
    return len(coded)


def _write_scalar(writer: _Writer, value: Any, depth: int) -> Any:
    array = np.asarray(value)
    return ["scalar", _write_array(writer, array, depth)]


def _write_generator(writer: _Writer, value: Any, depth: int) -> Any:
    state = value.bit_generator.state
    if state.get("bit_generator") not in _BIT_GENERATORS:
        raise WireError(f"a generator of kind {state.get('bit_generator')!r} does not cross")
    return ["generator", *writer.items((state,), depth)]


def _write_index(writer: _Writer, value: Any, depth: int) -> Any:
    if isinstance(value, pd.MultiIndex):
        levels = writer.items(value.levels, depth)
        codes = writer.items((np.asarray(code) for code in value.codes), depth)
        return ["multiindex", levels, codes, writer.items(list(value.names), depth)]
    name = writer.node(value.name, depth + 1)
    if isinstance(value, pd.RangeIndex):
        return ["rangeindex", name, *(int(part) for part in (value.start, value.stop, value.step))]
    frequency: str | None = None
    if isinstance(value, (pd.DatetimeIndex, pd.TimedeltaIndex)) and value.freq is not None:
        frequency = str(value.freqstr)
        frequency = frequency if _FREQUENCY.fullmatch(frequency) else None
    return ["index", name, _write_column(writer, value.array, depth), frequency]


def _write_series(writer: _Writer, value: Any, depth: int) -> Any:
    name = writer.node(value.name, depth + 1)
    return ["series", name, writer.node(value.index, depth + 1), _write_column(writer, value.array, depth)]


def _write_frame(writer: _Writer, value: Any, depth: int) -> Any:
    index, columns = writer.node(value.index, depth + 1), writer.node(value.columns, depth + 1)
    groups: dict[np.dtype, list[int]] = {}
    single: list[int] = []
    dtypes = list(value.dtypes)
    for position, dtype in enumerate(dtypes):
        if isinstance(dtype, np.dtype) and dtype.kind != "O":
            groups.setdefault(dtype, []).append(position)
        else:
            single.append(position)
    blocks = []
    for positions in groups.values():
        whole = len(positions) == len(dtypes)
        block = (value if whole else value.iloc[:, positions]).to_numpy()
        place = None if whole else writer.node(np.array(positions, dtype=np.int64), depth + 1)
        blocks.append([place, _write_array(writer, block, depth)])
    columns_alone = [[position, _write_column(writer, value.iloc[:, position].array, depth)] for position in single]
    return ["frame", index, columns, blocks, columns_alone]


def _write_column(writer: _Writer, array: Any, depth: int) -> Any:
    """One-dimensional data as pandas keeps it."""
    if isinstance(array, pd.arrays.NumpyExtensionArray) and not isinstance(array.dtype, pd.StringDtype):
        array = array.to_numpy()
    dtype = array.dtype
    if isinstance(dtype, np.dtype):
        return _write_array(writer, np.asarray(array), depth)
    if isinstance(dtype, pd.StringDtype):
        name = "string" if dtype.na_value is pd.NA else "str"
        texts = [None if missing else str(item) for item, missing in zip(array, array.isna(), strict=True)]
        return ["strings", name, _write_texts(writer, texts)]
    if dtype.name in _MASKED:
        missing = np.asarray(array.isna(), dtype=bool)
        filled = array.to_numpy(dtype=_MASKED_NUMPY[dtype.name], na_value=_MASKED_NUMPY[dtype.name].type(0))
        return ["masked", dtype.name, _write_array(writer, filled, depth), _write_array(writer, missing, depth)]
    if isinstance(dtype, pd.CategoricalDtype):
        categories = writer.node(dtype.categories, depth + 1)
        codes = _write_array(writer, np.asarray(array.codes, dtype=np.int64), depth)
        return ["categorical", categories, codes, bool(dtype.ordered)]
    if isinstance(dtype, pd.DatetimeTZDtype) and str(dtype.tz) == "UTC":
        return ["utc", dtype.unit, _write_array(writer, np.asarray(array.asi8), depth)]
    raise WireError(f"data of dtype {dtype} does not cross")


def _write_categorical(writer: _Writer, value: Any, depth: int) -> Any:
    return ["extension", _write_column(writer, value, depth)]


def _write_timestamp(writer: _Writer, value: Any, depth: int) -> Any:  # noqa: ARG001
    if value.tz is not None and str(value.tz) != "UTC":
        raise WireError("a time stamp in a time zone other than UTC does not cross")
    return ["timestamp", int(value.asm8.view("i8")), value.unit, value.tz is not None]


def _write_timedelta(writer: _Writer, value: Any, depth: int) -> Any:  # noqa: ARG001
    return ["timedelta", int(value.asm8.view("i8")), value.unit]


def _write_exception(writer: _Writer, value: Any, depth: int) -> Any:  # noqa: ARG001
    return ["exception", [writer.text(name) for name in class_tree(type(value))], writer.text(exception_text(value))]


def exception_text(error: BaseException) -> str:
    """The message of an exception, whatever its class does when asked for it.

    >>> exception_text(KeyError("the key"))
    'the key'
    """
    try:
        arguments = error.args
        alone = isinstance(error, KeyError) and len(arguments) == 1 and isinstance(arguments[0], str)
        text = str.__str__(arguments[0] if alone else str(error))
    except Exception as problem:
        text = f"(its message can't be read: {type(problem).__name__})"
    return text[:4000].encode("utf-8", "replace").decode("utf-8")


def _write_handle(writer: _Writer, value: Handle, depth: int) -> Any:  # noqa: ARG001
    return ["handle", value.number, writer.text(value.kind[:200])]


def _write_other(writer: _Writer, value: Any, depth: int) -> Any:
    """Records, sparse tables and estimators; everything else stays here and gets a handle."""
    kind = type(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and kind.__name__ in writer.records:
        fields = [field.name for field in dataclasses.fields(value)]
        return _record(writer, kind.__name__, fields, [getattr(value, field) for field in fields], depth)
    module = str(getattr(kind, "__module__", ""))
    if module.startswith("scipy.sparse") and kind.__name__ in ("csr_array", "csr_matrix"):
        parts = writer.items((value.data, value.indices, value.indptr), depth)
        return ["csr", kind.__name__, [int(size) for size in value.shape], *parts]
    if ESTIMATORS.get(kind.__name__, "\0") in (module, module.rsplit("._", 1)[0]) and not _is_fitted(value):
        return ["estimator", kind.__name__, *writer.items((_parameters(value),), depth)]
    if value is Ellipsis or value is pd.NaT or value is pd.NA:
        return [{id(Ellipsis): "ellipsis", id(pd.NaT): "nat", id(pd.NA): "na"}[id(value)]]
    if writer.to_handle is None:
        raise WireError(f"a value of class {kind.__name__} does not cross")
    return _write_handle(writer, writer.to_handle(value), depth)


def _is_fitted(estimator: Any) -> bool:
    return any(name.endswith("_") and not name.startswith("_") for name in vars(estimator))


def _parameters(estimator: Any) -> dict[str, Any]:
    if hasattr(estimator, "get_params"):
        return dict(estimator.get_params(deep=False))
    return {name: value for name, value in vars(estimator).items() if not name.startswith("_")}


_WRITERS: dict[type, Callable[[_Writer, Any, int], Any]] = {
    int: _write_int,
    float: _write_float,
    str: _write_str,
    list: _write_list,
    tuple: _write_tuple,
    dict: _write_dict,
    np.ndarray: _write_array,
    type(None): lambda writer, value, depth: None,  # noqa: ARG005
}
_BASES: list[tuple[Any, Callable[[_Writer, Any, int], Any]]] = [
    (np.generic, _write_scalar),  # before float and str: numpy's are subclasses of those
    (pd.DataFrame, _write_frame),
    (pd.Series, _write_series),
    (pd.Index, _write_index),
    (pd.api.extensions.ExtensionArray, _write_categorical),
    (np.ndarray, _write_array),
    (type(pd.NaT), _write_other),  # NaT is a datetime too
    (pd.Timestamp, _write_timestamp),
    (pd.Timedelta, _write_timedelta),
    (np.random.Generator, _write_generator),
    (Handle, _write_handle),
    (BaseException, _write_exception),
    (int, _write_int),
    (float, _write_float),
    (complex, _write_complex),
    (str, _write_str),
    ((bytes, bytearray), _write_bytes),
    (list, _write_list),
    (tuple, _write_tuple),
    (dict, _write_dict),
    ((set, frozenset), _write_set),
    (slice, _write_slice),
    (range, _write_range),
]


class _Reader:
    """Builds the value; buffers are taken in the order of the tree, each once."""

    def __init__(
        self,
        message: bytes,
        records: Mapping[str, type] | Callable[[str], type | None] | None,
        from_handle: Callable[[Handle], Any] | None,
        exceptions: Mapping[str, type[Exception]],
        bounds: Bounds,
    ) -> None:
        self.records = records
        self.from_handle = from_handle
        self.exceptions = exceptions
        self.bounds = bounds
        self.odd_keys = 0
        self.tree, self.buffers = self._split(message)

    def _split(self, message: bytes) -> tuple[Any, Iterator[memoryview]]:
        if not isinstance(message, bytes) or not _PREFIX.size <= len(message) <= self.bounds.size + self.bounds.header:
            raise WireError("a message has a length between its prefix and the bound")
        magic, size, count = _PREFIX.unpack_from(message)
        if magic != _MAGIC:
            raise WireError("this is no message")
        after_tree = _PREFIX.size + size
        start = after_tree + 8 * count
        if size > self.bounds.header or count > self.bounds.nodes or start > len(message):
            raise WireError("the tree of a message is longer than what there is")
        lengths = struct.unpack_from(f"<{count}Q", message, after_tree)
        if start + sum(lengths) != len(message):
            raise WireError("the buffers of a message do not fill it")
        header = message[_PREFIX.size : after_tree]
        # No text in the tree holds a comma or a bracket, so this counts the nodes before they exist.
        if header.count(b",") + header.count(b"[") > 2 * self.bounds.nodes or b"{" in header or b"\\" in header:
            raise WireError("the tree of a message has too many parts or is not in its form")
        tree = json.loads(header.decode("ascii"), parse_int=_small_int, parse_constant=_no_constant)
        view = memoryview(message)
        ends = itertools.accumulate(lengths, initial=start)
        return tree, iter([view[begin:end] for begin, end in itertools.pairwise(ends)])

    def value(self) -> Any:
        result = self.node(self.tree, 0)
        if next(self.buffers, None) is not None:
            raise WireError("a message has a buffer that nothing uses")
        return result

    def node(self, tree: Any, depth: int) -> Any:
        if depth > self.bounds.depth:
            raise WireError(f"a message is nested more than {self.bounds.depth} deep")
        if not isinstance(tree, list):
            return tree  # None, bool, int, float or str: json makes nothing else
        if not tree or not isinstance(tree[0], str) or tree[0] not in _READERS:
            raise WireError("a message has a node of unknown kind")
        arguments = tree[1:]
        read, count = _READERS[tree[0]]
        if count is not None and len(arguments) != count:
            raise WireError(f"a node {tree[0]!r} has {count} parts, not {len(arguments)}")
        return read(self, arguments, depth)

    def items(self, trees: Any, depth: int) -> list[Any]:
        return [self.node(tree, depth + 1) for tree in _list(trees)]

    def buffer(self) -> memoryview:
        try:
            return next(self.buffers)
        except StopIteration:
            raise WireError("a message lacks a buffer") from None

    def of(self, kind: type | tuple[type, ...], tree: Any, depth: int) -> Any:
        value = self.node(tree, depth + 1)
        if type(value) is not kind and not (isinstance(kind, tuple) and type(value) in kind):
            raise WireError(f"a {type(value).__name__} stands where a message needs something else")
        return value

    def array(self, tree: Any, depth: int, kinds: str, ndim: int = 1) -> np.ndarray:
        array = self.of(np.ndarray, tree, depth)
        if array.dtype.kind not in kinds or array.ndim != ndim:
            raise WireError(f"an array of dtype {array.dtype} stands where a message needs another")
        return array

    def index(self, tree: Any, depth: int) -> pd.Index:
        index = self.node(tree, depth + 1)
        if not isinstance(index, pd.Index):
            raise WireError(f"a {type(index).__name__} stands where a message needs an index")
        return index

    def label(self, tree: Any, depth: int) -> Any:
        name = self.node(tree, depth + 1)
        hash(name)
        return name

    def key(self, value: Any) -> Any:
        if isinstance(value, Opaque):
            raise WireError("an object that stayed in the kernel can't be a key")
        plain = type(value) in (str, bytes, bool, type(None))
        if not plain and not (type(value) is int and abs(value) < 2**31):
            self.odd_keys += 1
            if self.odd_keys > self.bounds.odd_keys:
                raise WireError(f"a message has more than {self.bounds.odd_keys} keys that are neither text nor small")
        return value


def _small_int(digits: str) -> int:
    if len(digits) > 20:
        raise WireError("an integer in a message is too long")
    return int(digits)


def _no_constant(name: str) -> Any:
    raise WireError(f"a message holds {name}")


def _list(tree: Any) -> list[Any]:
    if not isinstance(tree, list):
        raise WireError("a message lacks a list")
    return tree


def _int(tree: Any, low: int = -(2**63), high: int = 2**64) -> int:
    if type(tree) is not int or not low <= tree < high:
        raise WireError("a message lacks an integer, or it is out of range")
    return tree


def _word(tree: Any) -> str:
    if type(tree) is not str:
        raise WireError("a message lacks a name")
    return tree


def _shape(tree: Any) -> tuple[int, ...]:
    shape = tuple(_int(size, 0, 2**31) for size in _list(tree))
    if len(shape) > 16:
        raise WireError("an array in a message has too many dimensions")
    if 0 in shape and math.prod(size or 1 for size in shape) > _LARGEST_EMPTY:
        raise WireError("an empty array in a message has too large a shape")
    return shape


def _read_text(reader: _Reader, arguments: list[Any], depth: int) -> str:  # noqa: ARG001
    return _decode_text(reader.buffer(), reader.bounds)


def _decode_text(buffer: memoryview, bounds: Bounds) -> str:
    if len(buffer) > bounds.text:
        raise WireError("a text in a message is too long")
    return str(buffer, "utf-8")


def _read_int(reader: _Reader, arguments: list[Any], depth: int) -> int:  # noqa: ARG001
    digits = _word(arguments[0])
    if len(digits) > reader.bounds.integer_bits // 4 + 2 or not re.fullmatch(r"-?[0-9a-f]+", digits, re.ASCII):
        raise WireError("an integer in a message is too long")
    return int(digits, 16)


def _read_float(reader: _Reader, arguments: list[Any], depth: int) -> float:  # noqa: ARG001
    if arguments[0] not in ("nan", "inf", "-inf"):
        raise WireError("a message has a float of unknown kind")
    return float(arguments[0])


def _read_complex(reader: _Reader, arguments: list[Any], depth: int) -> complex:
    real, imaginary = (reader.of(float, part, depth) for part in arguments)
    return complex(real, imaginary)


def _read_bytes(reader: _Reader, arguments: list[Any], depth: int) -> bytes:  # noqa: ARG001
    return bytes(reader.buffer())


def _read_bytearray(reader: _Reader, arguments: list[Any], depth: int) -> bytearray:  # noqa: ARG001
    return bytearray(reader.buffer())


def _read_list(reader: _Reader, arguments: list[Any], depth: int) -> list[Any]:
    return reader.items(arguments, depth)


def _read_tuple(reader: _Reader, arguments: list[Any], depth: int) -> tuple[Any, ...]:
    return tuple(reader.items(arguments, depth))


def _read_set(reader: _Reader, arguments: list[Any], depth: int) -> set[Any]:
    return {reader.key(item) for item in reader.items(arguments, depth)}


def _read_frozenset(reader: _Reader, arguments: list[Any], depth: int) -> frozenset[Any]:
    return frozenset(_read_set(reader, arguments, depth))


def _read_dict(reader: _Reader, arguments: list[Any], depth: int) -> dict[Any, Any]:
    keys = [reader.key(key) for key in reader.items(arguments[0], depth)]
    values = reader.items(arguments[1], depth)
    if len(keys) != len(values):
        raise WireError("a dict in a message has keys without values")
    return dict(zip(keys, values, strict=True))


def _read_slice(reader: _Reader, arguments: list[Any], depth: int) -> slice:
    return slice(*(reader.of((type(None), int), part, depth) for part in arguments))


def _read_range(reader: _Reader, arguments: list[Any], depth: int) -> range:  # noqa: ARG001
    start, stop, step = (_int(part, -(2**62), 2**62) for part in arguments)
    return _bounded(range(start, stop, step))


def _bounded(numbers: range) -> range:
    """A range costs nothing until someone makes a list of it."""
    if len(range(numbers.start, numbers.stop, numbers.step)[: _LONGEST_RANGE + 1]) > _LONGEST_RANGE:
        raise WireError(f"a range in a message is longer than {_LONGEST_RANGE}")
    return numbers


def _read_array(reader: _Reader, arguments: list[Any], depth: int) -> np.ndarray:  # noqa: ARG001
    name, shape = arguments[0], _shape(arguments[1])
    if isinstance(name, list):
        dtype = _text_dtype(name)
    elif type(name) is str and name in _DTYPES:
        dtype = _DTYPES[name]
    else:
        raise WireError("an array in a message has a dtype of unknown kind")
    buffer = reader.buffer()
    if math.prod(shape) * dtype.itemsize != len(buffer):
        raise WireError("an array in a message does not fit its buffer")
    if dtype.kind == "b":
        return np.frombuffer(buffer, np.uint8).reshape(shape).astype(bool)  # any other byte than 0 is True
    if not len(buffer):
        return np.empty(shape, dtype)
    if dtype.kind == "U" and int(np.frombuffer(buffer, "<u4").max()) > 0x10FFFF:
        raise WireError("a text array in a message holds something that is no character")
    return np.frombuffer(buffer, dtype).reshape(shape).copy()


def _text_dtype(name: list[Any]) -> np.dtype:
    if len(name) != 2 or name[0] not in ("S", "U"):
        raise WireError("an array in a message has a dtype of unknown kind")
    return np.dtype((np.str_ if name[0] == "U" else np.bytes_, _int(name[1], 1, 2**20)))


def _read_texts(reader: _Reader, arguments: list[Any], depth: int) -> np.ndarray:  # noqa: ARG001
    shape = _shape(arguments[0])
    texts = _texts(reader, arguments[1])
    if math.prod(shape) != len(texts):
        raise WireError("an array of texts in a message does not have that many")
    return _object_array(texts).reshape(shape)


def _texts(reader: _Reader, count: Any) -> list[str | None]:
    lengths_buffer, characters = reader.buffer(), reader.buffer()
    if len(lengths_buffer) != 8 * _int(count, 0) or len(characters) > reader.bounds.text:
        raise WireError("the texts of a message do not have that many lengths")
    if len(lengths_buffer) > 8 * 2**22:
        raise WireError("a message has too many texts")
    lengths = np.frombuffer(lengths_buffer, "<i8")
    if len(lengths) and (lengths.min() < -1 or lengths.max() > len(characters)):
        raise WireError("a text in a message has an impossible length")
    steps = np.maximum(lengths, 0)
    if int(steps.sum()) != len(characters):
        raise WireError("the texts of a message do not fill their buffer")
    ends = np.cumsum(steps).tolist()
    whole = bytes(characters)
    return [
        None if size < 0 else whole[end - size : end].decode("utf-8")
        for size, end in zip(lengths.tolist(), ends, strict=True)
    ]


def _object_array(values: list[Any]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):  # numpy would unpack a value that is a sequence
        array[position] = value
    return array


def _read_objects(reader: _Reader, arguments: list[Any], depth: int) -> np.ndarray:
    if not arguments:
        raise WireError("an array in a message lacks its shape")
    shape = _shape(arguments[0])
    if math.prod(shape) != len(arguments) - 1:
        raise WireError("an array of objects in a message does not have that many")
    return _object_array(reader.items(arguments[1:], depth)).reshape(shape)


def _read_scalar(reader: _Reader, arguments: list[Any], depth: int) -> Any:
    array = reader.of(np.ndarray, arguments[0], depth)
    if array.shape != () or array.dtype.kind == "O":
        raise WireError("a scalar in a message is an array")
    return array[()]


_UINT64, _UINT32 = 2**64, 2**32
_COUNTERS = {"has_uint32": 2, "uinteger": _UINT32}
# Per bit generator: the range of each integer and the dtype and length of each array of its state.
_BIT_GENERATORS: dict[str, tuple[type, dict[str, Any], dict[str, Any]]] = {
    "PCG64": (np.random.PCG64, {"state": 2**128, "inc": 2**128}, _COUNTERS),
    "PCG64DXSM": (np.random.PCG64DXSM, {"state": 2**128, "inc": 2**128}, _COUNTERS),
    "MT19937": (np.random.MT19937, {"key": ("uint32", 624), "pos": 625}, {}),
    "Philox": (
        np.random.Philox,
        {"counter": ("uint64", 4), "key": ("uint64", 2)},
        {"buffer": ("uint64", 4), "buffer_pos": 5, **_COUNTERS},
    ),
    "SFC64": (np.random.SFC64, {"state": ("uint64", 4)}, _COUNTERS),
}


def _read_generator(reader: _Reader, arguments: list[Any], depth: int) -> np.random.Generator:
    state = reader.of(dict, arguments[0], depth)
    name = state.pop("bit_generator", None)
    if type(name) is not str or name not in _BIT_GENERATORS:
        raise WireError("a generator in a message is of unknown kind")
    kind, inner, outer = _BIT_GENERATORS[name]
    inside = state.pop("state", None)
    if type(inside) is not dict:
        raise WireError("a generator in a message has no state")
    _check_state(inside, inner)
    _check_state(state, outer)
    bits = kind(0)
    bits.state = {"bit_generator": name, "state": inside, **state}
    return np.random.Generator(bits)


def _check_state(state: dict[Any, Any], form: Mapping[str, Any]) -> None:
    if state.keys() != form.keys():
        raise WireError("the state of a generator in a message has other parts")
    for name, bound in form.items():
        value = state[name]
        if isinstance(bound, tuple):
            if type(value) is not np.ndarray or value.dtype != bound[0] or value.shape != (bound[1],):
                raise WireError("the state of a generator in a message is malformed")
        else:
            _int(value, 0, bound)


def _read_multiindex(reader: _Reader, arguments: list[Any], depth: int) -> pd.MultiIndex:
    levels = [reader.index(tree, depth) for tree in _list(arguments[0])]
    codes = [reader.array(tree, depth, "i") for tree in _list(arguments[1])]
    names = [reader.label(tree, depth) for tree in _list(arguments[2])]
    if not levels or not len(levels) == len(codes) == len(names) or len({len(code) for code in codes}) != 1:
        raise WireError("an index in a message has levels that do not fit")
    for level, code in zip(levels, codes, strict=True):
        _check_codes(code, len(level))
        if isinstance(level, pd.MultiIndex) or not level.is_unique:
            raise WireError("an index in a message repeats a level")
    return pd.MultiIndex(levels=levels, codes=codes, names=names, verify_integrity=True)  # type: ignore[arg-type]


def _check_codes(codes: np.ndarray, size: int) -> None:
    if len(codes) and (codes.min() < -1 or codes.max() >= size):
        raise WireError("a code in a message points nowhere")


def _read_rangeindex(reader: _Reader, arguments: list[Any], depth: int) -> pd.RangeIndex:
    name = reader.label(arguments[0], depth)
    start, stop, step = (_int(part, -(2**62), 2**62) for part in arguments[1:])
    return pd.RangeIndex(_bounded(range(start, stop, step)), name=name)


def _read_index(reader: _Reader, arguments: list[Any], depth: int) -> pd.Index:
    name = reader.label(arguments[0], depth)
    values = _column(reader, arguments[1], depth)
    index = pd.Index(values, name=name, dtype=values.dtype, copy=False)
    if arguments[2] is not None:
        if not isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)) or not _FREQUENCY.fullmatch(
            _word(arguments[2])
        ):
            raise WireError("an index in a message has a frequency of unknown kind")
        index = type(index)(index, freq=arguments[2], name=name)
    return index


def _column(reader: _Reader, tree: Any, depth: int) -> Any:
    values = reader.node(tree, depth + 1)
    if isinstance(values, pd.api.extensions.ExtensionArray) or (isinstance(values, np.ndarray) and values.ndim == 1):
        return values
    raise WireError(f"a {type(values).__name__} stands where a message needs a column")


def _read_series(reader: _Reader, arguments: list[Any], depth: int) -> pd.Series:
    name, index = reader.label(arguments[0], depth), reader.index(arguments[1], depth)
    values = _column(reader, arguments[2], depth)
    if len(values) != len(index):
        raise WireError("a series in a message does not fit its index")
    return pd.Series(values, index=index, name=name, dtype=values.dtype, copy=False)


def _read_frame(reader: _Reader, arguments: list[Any], depth: int) -> pd.DataFrame:
    index, columns = reader.index(arguments[0], depth), reader.index(arguments[1], depth)
    shape = (len(index), len(columns))
    if shape[1] > reader.bounds.nodes:
        raise WireError("a table in a message has too many columns")
    parts: dict[int, Any] = {}
    for block in _list(arguments[2]):
        place, tree = _pair(block)
        positions = None if place is None else reader.array(place, depth, "i").tolist()
        values = reader.array(tree, depth, "biufcmMSU", ndim=2)
        if positions is None and len(arguments[2]) == 1 and not arguments[3]:
            if values.shape != shape:
                raise WireError("a table in a message does not fit its labels")
            return pd.DataFrame(values, index=index, columns=columns, copy=False)
        if positions is None or values.shape != (shape[0], len(positions)):
            raise WireError("a table in a message does not fit its labels")
        for number, position in enumerate(positions):
            parts[position] = values[:, number]
    for column in _list(arguments[3]):
        position, tree = _pair(column)
        parts[_int(position)] = _column(reader, tree, depth)
    if sorted(parts) != list(range(shape[1])) or any(len(values) != shape[0] for values in parts.values()):
        raise WireError("a table in a message does not fit its labels")
    series = {
        number: pd.Series(parts[number], index=index, dtype=parts[number].dtype, copy=False)
        for number in range(shape[1])
    }
    frame = pd.DataFrame(series, index=index)
    frame.columns = columns
    return frame


def _pair(tree: Any) -> tuple[Any, Any]:
    if len(_list(tree)) != 2:
        raise WireError("a message lacks a pair")
    return tree[0], tree[1]


def _read_strings(reader: _Reader, arguments: list[Any], depth: int) -> Any:  # noqa: ARG001
    name = _word(arguments[0])
    if name not in _STRING_DTYPES:
        raise WireError("a message has strings of unknown kind")
    texts = _object_array(_texts(reader, arguments[1]))
    return pd.array(texts, dtype=_STRING_DTYPES[name])


def _read_masked(reader: _Reader, arguments: list[Any], depth: int) -> Any:
    name = _word(arguments[0])
    if name not in _MASKED:
        raise WireError("a message has data of unknown kind")
    values, mask = (reader.array(tree, depth, "biuf") for tree in arguments[1:])
    if values.dtype != _MASKED_NUMPY[name] or mask.dtype != bool or len(values) != len(mask):
        raise WireError("data in a message do not fit their mask")
    return _MASKED[name](values, mask)


def _read_categorical(reader: _Reader, arguments: list[Any], depth: int) -> Any:
    categories, codes = reader.index(arguments[0], depth), reader.array(arguments[1], depth, "i")
    if isinstance(categories, pd.MultiIndex) or not categories.is_unique or categories.hasnans:
        raise WireError("categories in a message repeat or are missing")
    _check_codes(codes, len(categories))
    if type(arguments[2]) is not bool:
        raise WireError("categories in a message are ordered or not")
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(categories, ordered=arguments[2]))


def _read_utc(reader: _Reader, arguments: list[Any], depth: int) -> Any:
    if arguments[0] not in _DATETIME_UNITS:
        raise WireError("times in a message have a unit of unknown kind")
    values = reader.array(arguments[1], depth, "i")
    if values.dtype != np.int64:
        raise WireError("times in a message are 64-bit integers")
    times = pd.DatetimeIndex(values.view(f"M8[{arguments[0]}]"))
    return times.tz_localize("UTC").array


def _read_extension(reader: _Reader, arguments: list[Any], depth: int) -> Any:
    values = _column(reader, arguments[0], depth)
    return pd.array(values, dtype=values.dtype, copy=False) if isinstance(values, np.ndarray) else values


def _read_timestamp(reader: _Reader, arguments: list[Any], depth: int) -> pd.Timestamp:  # noqa: ARG001
    ticks, unit, utc = _int(arguments[0], -(2**63), 2**63), arguments[1], arguments[2]
    if unit not in _DATETIME_UNITS or type(utc) is not bool:
        raise WireError("a time in a message has a unit of unknown kind")
    stamp = pd.Timestamp(np.datetime64(ticks, unit))
    return stamp.tz_localize("UTC") if utc else stamp


def _read_timedelta(reader: _Reader, arguments: list[Any], depth: int) -> pd.Timedelta:  # noqa: ARG001
    if arguments[1] not in _DATETIME_UNITS:
        raise WireError("a duration in a message has a unit of unknown kind")
    return pd.Timedelta(np.timedelta64(_int(arguments[0], -(2**63), 2**63), arguments[1]))


def _read_exception(reader: _Reader, arguments: list[Any], depth: int) -> Exception:
    names = [reader.of(str, tree, depth) for tree in _list(arguments[0])]
    return nearest_exception(names[:30], reader.of(str, arguments[1], depth), reader.exceptions)


def _read_handle(reader: _Reader, arguments: list[Any], depth: int) -> Any:
    if reader.from_handle is None:
        raise WireError("a message has a handle, and nothing here knows handles")
    return reader.from_handle(Handle(_int(arguments[0], 0, 2**31), reader.of(str, arguments[1], depth)[:200]))


def _read_record(reader: _Reader, arguments: list[Any], depth: int) -> Any:
    name = reader.of(str, arguments[0], depth)
    known = reader.records(name) if callable(reader.records) else (reader.records or {}).get(name)
    if known is None:
        raise WireError(f"a message has a record of class {name[:80]!r}, which is not known here")
    fields = [reader.of(str, tree, depth) for tree in _list(arguments[1])]
    values = reader.items(arguments[2], depth)
    if len(fields) != len(values) or set(fields) != set(record_fields(known)) or len(set(fields)) != len(fields):
        raise WireError(f"a record {name[:80]!r} in a message has other fields than the class")
    return known(**dict(zip(fields, values, strict=True)))


def record_fields(kind: type) -> tuple[str, ...]:
    """Names of the fields of a dataclass or named tuple."""
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    return tuple(getattr(kind, "_fields", ()))


def _read_csr(reader: _Reader, arguments: list[Any], depth: int) -> Any:
    if arguments[0] not in ("csr_array", "csr_matrix"):
        raise WireError("a sparse table in a message is of unknown kind")
    shape = _shape(arguments[1])
    data = reader.array(arguments[2], depth, "biufc")
    indices, starts = (reader.array(tree, depth, "i") for tree in arguments[3:])
    fits = (
        len(shape) == 2
        and math.prod(shape) <= _LARGEST_DENSE
        and len(starts) == shape[0] + 1
        and len(data) == len(indices)
    )
    if not fits or indices.dtype.itemsize < 4 or starts.dtype != indices.dtype or not data.dtype.isnative:
        raise WireError("a sparse table in a message has parts that do not fit")
    if starts[0] != 0 or starts[-1] != len(data) or np.any(np.diff(starts) < 0):
        raise WireError("a sparse table in a message has rows that do not fit")
    if len(indices) and (indices.min() < 0 or indices.max() >= shape[1]):
        raise WireError("a sparse table in a message has an entry outside")
    sparse = importlib.import_module("scipy.sparse")
    return getattr(sparse, arguments[0])((data, indices, starts), shape=shape)


def _read_estimator(reader: _Reader, arguments: list[Any], depth: int) -> Any:
    name = _word(arguments[0])
    if name not in ESTIMATORS:
        raise WireError("a model in a message is not of the list")
    parameters = reader.of(dict, arguments[1], depth)
    if not all(type(key) is str for key in parameters):
        raise WireError("a model in a message has parameters without names")
    if not all(_is_harmless_parameter(key, value) for key, value in parameters.items()):
        raise WireError("a model in a message has a parameter that does not cross")
    return getattr(importlib.import_module(ESTIMATORS[name]), name)(**parameters)


def _is_harmless_parameter(name: str, value: Any) -> bool:
    """Whether a model with it touches nothing but its data: `memory` would name a folder of pickles to load."""
    if isinstance(value, Opaque):
        return False
    return (
        name not in ("memory", "verbose", "n_jobs") or value is None or (type(value) in (bool, int) and value in (0, 1))
    )


# The closed list of nodes: what reads each, and how many parts it has (None: any number).
_READERS: dict[str, tuple[Callable[[_Reader, list[Any], int], Any], int | None]] = {
    "text": (_read_text, 0),
    "int": (_read_int, 1),
    "float": (_read_float, 1),
    "complex": (_read_complex, 2),
    "bytes": (_read_bytes, 0),
    "bytearray": (_read_bytearray, 0),
    "list": (_read_list, None),
    "tuple": (_read_tuple, None),
    "set": (_read_set, None),
    "frozenset": (_read_frozenset, None),
    "dict": (_read_dict, 2),
    "slice": (_read_slice, 3),
    "range": (_read_range, 3),
    "array": (_read_array, 2),
    "texts": (_read_texts, 2),
    "objects": (_read_objects, None),
    "scalar": (_read_scalar, 1),
    "generator": (_read_generator, 1),
    "multiindex": (_read_multiindex, 3),
    "rangeindex": (_read_rangeindex, 4),
    "index": (_read_index, 3),
    "series": (_read_series, 3),
    "frame": (_read_frame, 4),
    "strings": (_read_strings, 2),
    "masked": (_read_masked, 3),
    "categorical": (_read_categorical, 3),
    "utc": (_read_utc, 2),
    "extension": (_read_extension, 1),
    "timestamp": (_read_timestamp, 3),
    "timedelta": (_read_timedelta, 2),
    "exception": (_read_exception, 2),
    "handle": (_read_handle, 2),
    "record": (_read_record, 3),
    "csr": (_read_csr, 5),
    "estimator": (_read_estimator, 2),
    "ellipsis": (lambda reader, arguments, depth: Ellipsis, 0),  # noqa: ARG005
    "nat": (lambda reader, arguments, depth: pd.NaT, 0),  # noqa: ARG005
    "na": (lambda reader, arguments, depth: pd.NA, 0),  # noqa: ARG005
}
