"""The kernel's side of an examination: answer one request with one file.

The trusted process writes a request as a file into a private folder and makes the kernel run `answer(folder, request,
reply)`. Requests and answers are messages of `course.checking.wire`: names, arguments and results cross as data.
Nothing here is trusted by the other side; student code may change all of it and gains nothing, since whatever answers
is only ever data.

A request is a dict with `do` and what that needs:

| `do` | with | answer |
|---|---|---|
| `get` | `name` | the value of a name of the notebook, or that it can be called |
| `call` | `name` or `handle` + `name`, `args`, `kwargs` | the result, and the arguments that the call changed |
| `attribute` | `handle`, `name` | the attribute of an object that stayed here |
| `forget` | | drops all objects that stayed here |
"""

from __future__ import annotations

import linecache
import os
import sys
import time
import types
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from course.checking import wire

_MOST_WARNINGS = 50
_kept: dict[int, Any] = {}  # what stayed here, by the number of its handle


def stay() -> None:
    """Let `exit()` and `quit()` in a cell end nothing: they would end the kernel some time after that cell."""
    from IPython import get_ipython

    shell = get_ipython()
    if shell is not None:
        shell.ask_exit = lambda: None


def answer(folder: str, request: str, reply: str, names: dict[str, Any] | None = None) -> None:
    """Read a request file, do what it asks with the notebook's names, write the answer file."""
    if names is None:
        names = sys.modules["__main__"].__dict__
    try:
        asked = wire.decode(
            read_once(Path(folder), request), records=lambda name: _record(name, names), from_handle=_object_of
        )
        message = _respond(asked, names)
    except wire.WireError as error:
        message = wire.encode({"status": "cannot_cross", "text": str(error)})
    write_once(Path(folder), reply, message)


def read_once(folder: Path, name: str, limit: int = wire.BOUNDS.size + wire.BOUNDS.header) -> bytes:
    """The bytes of a message file, which is then gone.

    Raises
    ------
    wire.WireError : there is no plain file of that name and of a bounded size
    """
    path = folder / name
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise wire.WireError(f"there is no message ({error.strerror})") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not _is_plain(status.st_mode) or status.st_size > limit:
            raise wire.WireError("a message is a plain file of bounded size")
        content = file.read(limit + 1)
    try:
        path.unlink()
    except OSError as error:
        raise wire.WireError(f"a message can't be removed ({error.strerror})") from None
    if len(content) > limit:
        raise wire.WireError("a message is a plain file of bounded size")
    return content


def _is_plain(mode: int) -> bool:
    return (mode & 0o170000) == 0o100000


def write_once(folder: Path, name: str, content: bytes) -> None:
    """Write a message file that must not be there yet; the reader sees all of it or nothing."""
    hidden = folder / f".{name}"
    descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.rename(hidden, folder / name)


def _record(name: str, names: Mapping[str, Any]) -> type | None:
    """The notebook's own class of that name, or the one of the data container that every student has."""
    kind = names.get(name)
    if kind is None and name == "MultiOmics":
        from reference_impl.cohort import MultiOmics

        kind = MultiOmics
    return kind if isinstance(kind, type) and wire.record_fields(kind) else None


def _object_of(handle: wire.Handle) -> Any:
    try:
        return _kept[handle.number]
    except KeyError:
        raise wire.WireError("that object is gone") from None


def _keep(value: Any) -> wire.Handle:
    number = len(_kept) + 1
    _kept[number] = value
    return wire.Handle(number, type(value).__name__)


def _respond(asked: dict[str, Any], names: dict[str, Any]) -> bytes:
    records = frozenset(asked.get("records", ()))
    try:
        if asked["do"] == "forget":
            _kept.clear()
            return wire.encode({"status": "value", "value": None})
        if asked["do"] == "call":
            return _call(asked, names, records)
        found, value = _look_up(asked, names)
    except wire.WireError:
        raise
    except BaseException as error:
        return wire.encode(_raised(error))
    if not found:
        return wire.encode({"status": "missing"})
    if _is_callable(value):
        return wire.encode({"status": "function"})
    return wire.encode({"status": "value", "value": value}, records=records, to_handle=_keep)


def _look_up(asked: dict[str, Any], names: dict[str, Any]) -> tuple[bool, Any]:
    """Whether there is such a name or attribute, and what it is."""
    name = asked["name"]
    if asked.get("handle") is None:
        return name in names, names.get(name)
    owner = asked["handle"]
    return hasattr(owner, name), getattr(owner, name, None)


def _is_callable(value: Any) -> bool:
    return isinstance(value, type) or (
        callable(value) and not hasattr(value, "get_params") and not isinstance(value, BaseException)
    )


def _call(asked: dict[str, Any], names: dict[str, Any], records: frozenset[str]) -> bytes:
    found, function = _look_up(asked, names)
    if not found:
        return wire.encode({"status": "missing"})
    args, kwargs = asked["args"], asked["kwargs"]
    before = _snapshots(args, kwargs, records)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        started = time.perf_counter()
        try:
            result = function(*args, **kwargs)
            seconds = time.perf_counter() - started
            said: dict[str, Any] = {"status": "value"}
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: a call always has an answer
            seconds = time.perf_counter() - started
            result, said = None, _raised(error)
    after = _snapshots(args, kwargs, records)
    changed = {key: value for key, value in _arguments(args, kwargs).items() if after[key] != before[key]}
    if said["status"] == "value":
        said["value"] = result
    said |= {"seconds": seconds, "warnings": _warned(caught), "changed": changed}
    return wire.encode(said, records=records, to_handle=_keep)


def _arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[int | str, Any]:
    arguments: dict[int | str, Any] = dict(enumerate(args))
    return arguments | kwargs


def _snapshots(args: tuple[Any, ...], kwargs: dict[str, Any], records: frozenset[str]) -> dict[int | str, bytes]:
    return {
        key: wire.encode(value, records=records, to_handle=_number_of)
        for key, value in _arguments(args, kwargs).items()
    }


def _number_of(value: Any) -> wire.Handle:
    """A handle for comparing only: it keeps nothing."""
    return wire.Handle(id(value) % 2**31, type(value).__name__)


def _raised(error: BaseException) -> dict[str, Any]:
    return {
        "status": "raised",
        "names": wire.class_tree(type(error)),
        "text": wire.exception_text(error),
        "line": _students_line(error.__traceback__),
    }


def _students_line(trace: types.TracebackType | None) -> str:
    """The innermost line of the notebook's own code on the way to an error."""
    line = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if "ipykernel_" in code.co_filename or code.co_filename.startswith("<ipython-input"):
            source = linecache.getline(code.co_filename, trace.tb_lineno).strip()
            line = f"{code.co_name}, line {trace.tb_lineno}: {source}"
        trace = trace.tb_next
    return line[:300].encode("utf-8", "replace").decode("utf-8")


def _warned(caught: list[warnings.WarningMessage] | None) -> list[Any]:
    return [
        [wire.class_tree(item.category), wire.exception_text(item.message)]
        if isinstance(item.message, Warning)
        else [wire.class_tree(item.category), str(item.message)[:4000]]
        for item in (caught or [])[:_MOST_WARNINGS]
    ]
