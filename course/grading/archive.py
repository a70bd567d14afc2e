"""Reading zips that anybody may have made: notebooks are taken out into memory, nothing is ever unpacked.

An archive is looked at before a byte of it is decompressed. What reaches outside, links, is locked, claims to be
huge or packs the same bytes many times over is refused as a whole, with one line; the rest of the delivery is not
touched by it. Names are given back as people wrote them, whatever system packed them.
"""

from __future__ import annotations

import itertools
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath
from typing import IO

from course.grading.intake import LARGEST_NOTEBOOK, Unreadable

MOST_FILES = 50_000  # of a class's download; a term of a large class stays below
MOST_FILES_OF_ONE = 2_000  # of an archive inside an archive: one student's
MOST_BYTES = 2 * 2**30  # of all notebooks of an archive
LARGEST_RATIO = 1_100  # of an honest notebook's bytes to its packed ones; deflate itself ends at 1,032
_UTF8_FLAG, _LOCKED_FLAG = 0x800, 0x1
_UNICODE_PATH = 0x7075
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_CHUNK = 2**20


@dataclass(frozen=True)
class Packed:
    """A file of an archive: its name as it was written, parts by part, and its bytes."""

    path: PurePosixPath
    content: bytes


def packed_files(stream: IO[bytes] | bytes, *, inside: bool = False) -> Iterator[Packed]:
    """The notebooks and archives of a zip, and the names of its other files with no bytes.

    Parameters
    ----------
    stream : the archive
    inside : whether it is an archive inside another one, which holds one person's work

    Raises
    ------
    Unreadable : it is no zip, is damaged, or is one that nobody honest makes; says which
    """
    try:
        archive = zipfile.ZipFile(BytesIO(stream) if isinstance(stream, bytes) else stream)
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, struct.error, IndexError, UnicodeDecodeError):
        raise Unreadable(
            "it is no zip or is cut off; download it again", "它不是 zip 文件或不完整；请重新下载"
        ) from None
    with archive:
        entries = archive.infolist()
        _look_at(entries, MOST_FILES_OF_ONE if inside else MOST_FILES)
        left = MOST_BYTES
        for entry in entries:
            path = _path(entry)
            if entry.is_dir() or is_clutter(path):
                continue
            wanted = path.suffix.lower() in (".ipynb", ".zip")
            content = _content(archive, entry, path) if wanted else b""
            left -= len(content)
            if left < 0:
                raise Unreadable(
                    f"its notebooks are larger than {MOST_BYTES >> 30} GiB together",
                    f"其中的笔记本合计超过 {MOST_BYTES >> 30} GiB",
                )
            yield Packed(path, content)


def is_clutter(path: PurePosixPath) -> bool:
    """Whether a file was put there by a system or by Jupyter and not by a person."""
    return any(part.startswith((".", "__")) for part in path.parts)


def _look_at(entries: list[zipfile.ZipInfo], most: int) -> None:
    """Refuse what an honest archive never has, before anything is decompressed."""
    if len(entries) > most:
        raise Unreadable(
            f"it holds {len(entries)} files, more than {most}", f"其中有 {len(entries)} 个文件，超过 {most} 个"
        )
    for entry in entries:
        shown = _shown(_name(entry))
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.flag_bits & _LOCKED_FLAG:
            raise Unreadable(
                f"it is locked with a password ({shown}); pack it without one",
                f"它带有密码（{shown}）；请不加密重新打包",
            )
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise Unreadable(f"it holds a link or a special file ({shown})", f"其中含有链接或特殊文件（{shown}）")
        if _leads_outside(_name(entry)):
            raise Unreadable(f"it names a file outside of itself ({shown})", f"其中的文件名指向压缩包之外（{shown}）")
        if entry.compress_type not in _READABLE:
            raise Unreadable(
                f"it is packed in a way that can't be read (method {entry.compress_type}); pack it as an ordinary zip",
                f"其压缩方式无法读取（方法 {entry.compress_type}）；请打包为普通 zip",
            )
        if entry.file_size > LARGEST_RATIO * max(1024, entry.compress_size):
            raise Unreadable(
                f"{shown} would unpack to {entry.file_size >> 20} MiB from almost nothing",
                f"{shown} 解压后达 {entry.file_size >> 20} MiB，压缩率异常",
            )
    _refuse_overlaps(entries)


def _refuse_overlaps(entries: list[zipfile.ZipInfo]) -> None:
    """The same packed bytes must not stand for many files: that is how small archives become huge."""
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    for entry, following in itertools.pairwise(ordered):
        if entry.header_offset + 30 + entry.compress_size > following.header_offset:
            raise Unreadable("its files overlap each other", "其中的文件数据相互重叠")


def _leads_outside(name: str) -> bool:
    parts = re.split(r"[/\\]", name)
    return (
        name.startswith(("/", "\\")) or ".." in parts or "\0" in name or re.match(r"[A-Za-z]:[/\\]", name) is not None
    )


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: PurePosixPath) -> bytes:
    if entry.file_size > LARGEST_NOTEBOOK and path.suffix.lower() == ".ipynb":
        size = entry.file_size >> 20
        raise Unreadable(
            f"{_shown(str(path))} is larger than {LARGEST_NOTEBOOK >> 20} MiB ({size} MiB)",
            f"{_shown(str(path))} 超过 {LARGEST_NOTEBOOK >> 20} MiB（{size} MiB）",
        )
    if entry.file_size > MOST_BYTES:
        raise Unreadable(f"{_shown(str(path))} is too large", f"{_shown(str(path))} 过大")
    parts, size = [], 0
    try:
        with archive.open(entry) as packed:
            while chunk := packed.read(_CHUNK):
                size += len(chunk)
                if size > entry.file_size:  # it lied about its size
                    raise zipfile.BadZipFile
                parts.append(chunk)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        RuntimeError,
        NotImplementedError,
        ValueError,
        MemoryError,
    ):
        raise Unreadable(f"{_shown(str(path))} in it is damaged", f"其中的 {_shown(str(path))} 已损坏") from None
    except Exception as error:  # lzma and bz2 have errors of their own
        if type(error).__name__ not in ("LZMAError", "error"):
            raise
        raise Unreadable(f"{_shown(str(path))} in it is damaged", f"其中的 {_shown(str(path))} 已损坏") from None
    return b"".join(parts)


def _path(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(unicodedata.normalize("NFC", _name(entry)).replace("\\", "/"))


def _name(entry: zipfile.ZipInfo) -> str:
    """The name as it was written: zips of old or Windows systems keep it in the bytes of that system's language."""
    raw = entry.orig_filename
    if entry.flag_bits & _UTF8_FLAG:
        return raw
    told = _unicode_path(entry)
    if told is not None:
        return told
    try:
        packed = raw.encode("cp437")
    except UnicodeEncodeError:
        return raw
    if packed.isascii():
        return raw
    for encoding in ("utf-8", "gb18030"):
        try:
            return packed.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw


def _unicode_path(entry: zipfile.ZipInfo) -> str | None:
    """Info-ZIP's extra field: the name in UTF-8, valid where it belongs to the name that stands in the entry."""
    extra = entry.extra
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        body, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(body) > 5 and body[0] == 1:
            try:
                whole = zlib.crc32(entry.orig_filename.encode("cp437")) == struct.unpack("<I", body[1:5])[0]
                return body[5:].decode("utf-8") if whole else None
            except (UnicodeDecodeError, UnicodeEncodeError):
                return None
    return None


def _shown(name: str) -> str:
    """A name that can stand in one line of a terminal."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in name)
    return clean if len(clean) <= 80 else f"{clean[:77]}..."
