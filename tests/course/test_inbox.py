"""Taking work in: whose it is in every script, what platforms call it, and archives that mean harm."""

from __future__ import annotations

import io
import json
import stat
import struct
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from course import paths
from course.errors import CourseError
from course.grading import archive, attempts
from course.grading.classroom import Classroom
from course.grading.inbox import People, bring_in
from course.grading.intake import Library, Unreadable

from . import test_intake
from .test_intake import OTHER, UNIT, save, solved

ROSTER = """id,first_name,last_name,email,login,canvas_id,moodle_id
s1,Ada,Lovelace,ada@uni.edu,,,
s2,小明,王,,,,
s3,Zoë,Muñoz,,,,
s4,محمد,العلي,,,,
s5,José,Álvarez,,,9005,
s6,Jose,Alvarez,,,9006,
s7,Li,An,,,,
s8,เด็กดี,ศรีสุข,,,,
s9,Bob,Smith,,bsmith,,777
"""


library = test_intake.library


@pytest.fixture
def classroom(tmp_path: Path) -> Classroom:
    folder = tmp_path / "class"
    (folder / "submitted").mkdir(parents=True)
    (folder / "class.toml").write_text('name = "A class"\n')
    (folder / "roster.csv").write_text(ROSTER, encoding="utf-8")
    return Classroom.open(folder)


def text(notebook: dict[str, Any]) -> bytes:
    return json.dumps(notebook).encode()


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return stream.getvalue()


def brought(classroom: Classroom, place: Path, known: Library) -> tuple[list[str], dict[str, str]]:
    files, left = bring_in(classroom, place, known)
    names = [str(file.relative_to(classroom.submitted)) for file in files]
    return names, {item.file.name: item.reason["en"] for item in left}


# --------------------------------------------------------------------------------------------------------------------
# Whose it is


@pytest.mark.parametrize(
    ("name", "student"),
    [
        # Canvas: the sortable name without what is no word, lower case; a late mark; two numbers; the file
        ("lovelaceada_340934_208490284_03_robust_qc.ipynb", "s1"),
        ("lovelaceada_LATE_340934_208490284_hw-1.ipynb", "s1"),
        ("王小明_112_113_作业.ipynb", "s2"),
        ("muñozzoë_1_2_x.ipynb", "s3"),
        (unicodedata.normalize("NFD", "muñozzoë_1_2_x.ipynb"), "s3"),
        ("munozzoe_1_2_x.ipynb", "s3"),
        ("العليمحمد_1_2_x.ipynb", "s4"),
        ("ศรีสุขเด็กดี_1_2_x.ipynb", "s8"),
        ("álvarezjosé_9005_2_x.ipynb", "s5"),
        ("alvarezjose_9006_2_x.ipynb", "s6"),
        ("álvarezjosé_1_2_x.ipynb", "s5"),
        ("smithbob_1_2_s1.ipynb", "s9"),  # what a student calls a file hands nothing in for another
        # Moodle: full name and participant, as folder or in front of the file
        ("Ada Lovelace_657737_assignsubmission_file/03_robust_qc.ipynb", "s1"),
        ("Ada Lovelace_657737_assignsubmission_file_/03_robust_qc.ipynb", "s1"),
        ("Ada Lovelace_657737_assignsubmission_file_03_robust_qc.ipynb", "s1"),
        ("王小明_657738_assignsubmission_file/x.ipynb", "s2"),
        ("小明 王_657738_assignsubmission_file/x.ipynb", "s2"),
        (unicodedata.normalize("NFD", "Zoë Muñoz_3_assignsubmission_file/x.ipynb"), "s3"),
        ("Somebody Else_777_assignsubmission_file/x.ipynb", "s9"),
        ("bsmith_5_assignsubmission_file/x.ipynb", "s9"),
        # A folder of files
        ("作业一王小明最终版.ipynb", "s2"),
        ("hw1 Zoe Munoz final.ipynb", "s3"),
        ("Muñoz, Zoë/notebook.ipynb", "s3"),
        ("s7/notebook.ipynb", "s7"),
        ("homework of S1.ipynb", "s1"),
        ("s1/s9.ipynb", "s1"),  # the outer name decides
    ],
)
def test_students_are_told_in_every_script(classroom: Classroom, name: str, student: str) -> None:
    assert People(classroom).student_of(PurePosixPath(name), [UNIT]) == student


@pytest.mark.parametrize(
    "name",
    [
        "munoz_1_2_x.ipynb",
        "Julian homework.ipynb",  # "Li An" is not in it
        "alvarez jose or álvarez josé.ipynb",
        "x_1_2_s1.ipynb",
        "Nobody_5_assignsubmission_file/s1.ipynb",
    ],
)
def test_who_is_not_known_for_sure_is_nobody(classroom: Classroom, name: str) -> None:
    with pytest.raises(Unreadable) as caught:
        People(classroom).student_of(PurePosixPath(name), [UNIT])
    assert any("\u4e00" <= letter <= "\u9fff" for letter in caught.value.zh)


def test_class_without_roster_takes_what_platforms_say(tmp_path: Path) -> None:
    (tmp_path / "class.toml").write_text("")
    (tmp_path / "roster.csv").write_text("id\n")
    people = People(Classroom.open(tmp_path))
    assert people.student_of(PurePosixPath("王 小明_65_assignsubmission_file/x.ipynb"), []) == "王-小明-65"
    assert people.student_of(PurePosixPath("lovelaceada_34_20_x.ipynb"), []) == "lovelaceada-34"


# --------------------------------------------------------------------------------------------------------------------
# Deliveries


def test_canvas_download_with_a_students_own_zip(classroom: Classroom, library: Library, tmp_path: Path) -> None:
    inner = zipped({"work/03.ipynb": text(solved()), "work/.ipynb_checkpoints/03.ipynb": b"{", "__MACOSX/x.ipynb": b""})
    download = save_bytes(
        tmp_path / "submissions.zip",
        zipped(
            {
                "lovelaceada_34_1_homework.ipynb": text(solved()),
                "lovelaceada_34_2_second.ipynb": text(solved(OTHER)),
                "王小明_LATE_35_3_作业.zip": inner,
                "smithbob_36_4_report.pdf": b"%PDF",
            }
        ),
    )
    assert brought(classroom, download, library) == (
        [f"s1/{UNIT}/homework.ipynb", f"s1/{OTHER}/second.ipynb", f"s2/{UNIT}/03.ipynb"],
        {},
    )


def save_bytes(file: Path, content: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def test_moodle_download_unpacked_or_not(classroom: Classroom, library: Library, tmp_path: Path) -> None:
    files = {
        "Ada Lovelace_65_assignsubmission_file/x.ipynb": text(solved()),
        "王小明_66_assignsubmission_file_/练习.ipynb": text(solved(language="zh")),
        "Zoë Muñoz_67_assignsubmission_onlinetext/onlinetext.html": b"<p>",
    }
    expected = [f"s1/{UNIT}/x.ipynb", f"s2/{UNIT}/练习.ipynb"]
    assert brought(classroom, save_bytes(tmp_path / "m.zip", zipped(files)), library) == (expected, {})
    for name, content in files.items():
        save_bytes(tmp_path / "unpacked" / unicodedata.normalize("NFD", name), content)
    assert brought(classroom, tmp_path / "unpacked", library) == (expected, {})


def test_exchange_gives_every_attempt_with_its_time(classroom: Classroom, library: Library, tmp_path: Path) -> None:
    inbound = tmp_path / "exchange" / "multiomics" / "inbound"
    first, second = solved(), solved()
    second["cells"].append({**second["cells"][0], "id": "more", "source": "More."})
    save(inbound / f"s1+{UNIT}+2027-03-01 12:00:00.000000 UTC+AbC" / f"{UNIT}.ipynb", first)
    save(inbound / f"s1+{UNIT}+2027-03-02 12:00:00.000000 UTC+Xyz" / f"{UNIT}.ipynb", second)
    save(inbound / f"a+b@uni+{UNIT}+2027-03-01 12:00:00 UTC" / f"{UNIT}.ipynb", first)
    (inbound / f"s2+{UNIT}+2027-03-01 12:00:00.000000 UTC+Q").mkdir()
    names, left = brought(classroom, tmp_path / "exchange", library)
    assert names == [f"s1/{UNIT}/{UNIT}.ipynb"]
    assert "it holds no notebook" in left.values()
    assert len(left) == 2  # and an id that no folder can bear
    kept = attempts.read(classroom, "s1", UNIT)
    assert [item.handed_in.day for item in kept if item.handed_in] == [1]  # the second is what is handed in now
    assert "2027-03-02" in (classroom.submitted / "s1" / UNIT / "timestamp.txt").read_text()


def test_new_delivery_replaces_the_old_and_keeps_it_as_an_attempt(
    classroom: Classroom,
    library: Library,
    tmp_path: Path,
) -> None:
    save(tmp_path / "one" / "s1.ipynb", solved())
    brought(classroom, tmp_path / "one", library)
    later = solved()
    later["cells"].append({**later["cells"][0], "id": "more", "source": "More."})
    save(tmp_path / "two" / "s1 again.ipynb", later)
    assert brought(classroom, tmp_path / "two", library)[0] == [f"s1/{UNIT}/s1 again.ipynb"]
    assert [file.name for file in (classroom.submitted / "s1" / UNIT).glob("*.ipynb")] == ["s1 again.ipynb"]
    assert len(attempts.read(classroom, "s1", UNIT)) == 1
    brought(classroom, tmp_path / "two", library)
    brought(classroom, tmp_path / "two", library)
    assert len(attempts.read(classroom, "s1", UNIT)) == 2


def test_place_that_is_not_there_is_said(classroom: Classroom, library: Library, tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="there is no folder or zip"):
        bring_in(classroom, tmp_path / "nothing", library)


# --------------------------------------------------------------------------------------------------------------------
# Names that other systems packed


def with_raw_name(name: bytes, content: bytes, extra: bytes = b"") -> bytes:
    """A zip whose name is in the bytes of an old system: no flag says what they mean."""
    stand_in = "n" * len(name)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        entry = zipfile.ZipInfo(stand_in)
        entry.extra = extra
        made.writestr(entry, content)
    return stream.getvalue().replace(stand_in.encode(), name)


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
def test_names_of_old_systems_are_read(encoding: str) -> None:
    packed = with_raw_name("王小明_1_2_作业.ipynb".encode(encoding), b"{}")
    [found] = archive.packed_files(packed)
    assert str(found.path) == "王小明_1_2_作业.ipynb"


def test_unicode_path_field_is_believed_where_it_belongs_to_the_name() -> None:
    raw = b"?_1_2_x.ipynb"
    body = b"\x01" + struct.pack("<I", zlib.crc32(raw)) + "李_1_2_x.ipynb".encode()
    extra = struct.pack("<HH", 0x7075, len(body)) + body
    [found] = archive.packed_files(with_raw_name(raw, b"{}", extra))
    assert str(found.path) == "李_1_2_x.ipynb"
    wrong = b"\x01" + struct.pack("<I", 1) + b"s9_1_2_x.ipynb"
    [found] = archive.packed_files(with_raw_name(raw, b"{}", struct.pack("<HH", 0x7075, len(wrong)) + wrong))
    assert str(found.path) == "?_1_2_x.ipynb"


# --------------------------------------------------------------------------------------------------------------------
# Archives that mean harm


def special(name: str, mode: int, content: bytes = b"/etc/passwd") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = (mode | 0o777) << 16
        made.writestr(entry, content)
    return stream.getvalue()


def patched(content: bytes, *, flag: int = 0, method: int | None = None, size: int | None = None) -> bytes:
    """A zip whose directory says something else: locked, packed in another way, of another size."""
    changed = bytearray(zipped({"s1.ipynb": content}))
    central = changed.rindex(b"PK\x01\x02")
    for start, at in ((0, 6), (central, 8)):
        (before,) = struct.unpack_from("<H", changed, start + at)
        struct.pack_into("<H", changed, start + at, before | flag)
        if method is not None:
            struct.pack_into("<H", changed, start + at + 2, method)
    if size is not None:
        struct.pack_into("<I", changed, central + 24, size)
    return bytes(changed)


def many() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for number in range(archive.MOST_FILES_OF_ONE + 1):
            made.writestr(f"{number}.txt", b"")
    return stream.getvalue()


def overlapping() -> bytes:
    """Two entries of the directory stand for the same packed bytes."""
    whole = zipped({"a.ipynb": b"x" * 1000})
    at = whole.rindex(b"PK\x01\x02")
    end = whole.rindex(b"PK\x05\x06")
    entry, tail = whole[at:end], bytearray(whole[end:])
    struct.pack_into("<HH", tail, 8, 2, 2)
    struct.pack_into("<I", tail, 12, 2 * len(entry))
    return whole[:at] + entry + entry + bytes(tail)


def damaged() -> bytes:
    whole = bytearray(zipped({"s1.ipynb": bytes(range(256)) * 20}))
    whole[60:90] = b"\xff" * 30
    return bytes(whole)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "traversal": (lambda: zipped({"../../s1.ipynb": b"{}"}), "names a file outside"),
    "inner traversal": (lambda: zipped({"a/../../s1.ipynb": b"{}"}), "names a file outside"),
    "absolute": (lambda: zipped({"/tmp/s1.ipynb": b"{}"}), "names a file outside"),
    "backslash": (lambda: zipped({"..\\..\\s1.ipynb": b"{}"}), "names a file outside"),
    "drive": (lambda: zipped({"C:\\s1.ipynb": b"{}"}), "names a file outside"),
    "link": (lambda: special("s1.ipynb", stat.S_IFLNK), "link or a special file"),
    "device": (lambda: special("s1.ipynb", stat.S_IFCHR), "link or a special file"),
    "pipe": (lambda: special("s1.ipynb", stat.S_IFIFO), "link or a special file"),
    "locked": (lambda: patched(b"{}", flag=1), "locked with a password"),
    "unknown packing": (lambda: patched(b"{}", method=9), "packed in a way that can't be read"),
    "claims to be huge": (lambda: patched(b"{}", size=3 * 2**30), "from almost nothing"),
    "large notebook": (
        lambda: zipped({"s1.ipynb": bytes(2**20) * 65}),
        "larger than 64 MiB",
    ),
    "overlap": (overlapping, "overlap"),
    "count": (many, "files, more than"),
    "damaged": (damaged, "is damaged"),
    "cut off": (lambda: zipped({"s1.ipynb": b"x" * 500})[:-40], "no zip or is cut off"),
    "no zip": (lambda: b"PK\x03\x04 but no more", "no zip or is cut off"),
    "empty": (lambda: b"", "no zip or is cut off"),
    "zip in zip in zip": (lambda: zipped({"a.zip": zipped({"s1.ipynb": b"{}"})}), "zip inside a zip"),
    "nothing": (lambda: zipped({"readme.txt": b"hello"}), "no notebook"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archive_is_refused_in_one_line_and_harms_nobody(
    kind: str,
    classroom: Classroom,
    library: Library,
    tmp_path: Path,
) -> None:
    make, reason = HOSTILE[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = make()
    inbox = tmp_path / "deep" / "er" / "downloads"
    save_bytes(inbox / "smithbob_9_9_work.zip", content)
    save(inbox / "lovelaceada_1_2_x.ipynb", solved())
    outside = {path for path in tmp_path.rglob("*") if "class" not in path.parts}
    if kind == "zip in zip in zip":
        save_bytes(inbox / "smithbob_9_9_work.zip", zipped({"smithbob_9_9_work.zip": content}))
    names, left = brought(classroom, inbox, library)
    assert names == [f"s1/{UNIT}/x.ipynb"], "the others' work is taken"
    assert len(left) == 1
    [told] = left.values()
    assert reason in told
    assert "\n" not in told
    assert {path for path in tmp_path.rglob("*") if "class" not in path.parts} == outside
    assert sorted(path.name for path in classroom.submitted.iterdir()) == ["s1"]
    assert not (classroom.folder / ".inbox").exists()


def test_hostile_archive_inside_a_download_costs_only_its_owner(
    classroom: Classroom,
    library: Library,
    tmp_path: Path,
) -> None:
    download = zipped({"smithbob_9_9_w.zip": zipped({"../x.ipynb": b"{}"}), "lovelaceada_1_2_x.ipynb": text(solved())})
    names, left = brought(classroom, save_bytes(tmp_path / "d.zip", download), library)
    assert names == [f"s1/{UNIT}/x.ipynb"]
    assert list(left) == ["smithbob_9_9_w.zip"]


def test_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for number in range(8):
            made.writestr(f"{number}.ipynb", bytes(6 * 2**20))
    read = []
    real = zipfile.ZipExtFile.read
    monkeypatch.setattr(archive, "MOST_BYTES", 10 * 2**20)
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda self, n=-1: read.append(n) or real(self, n))
    with pytest.raises(Unreadable, match="larger than"):
        list(archive.packed_files(stream.getvalue()))
    assert all(0 < n <= 2**20 for n in read)
    assert len(read) < 3 * 8


def test_link_and_pipe_in_a_folder_are_not_followed(classroom: Classroom, library: Library, tmp_path: Path) -> None:
    import os

    save(tmp_path / "elsewhere.ipynb", solved())
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "s1.ipynb").symlink_to(tmp_path / "elsewhere.ipynb")
    (inbox / "s2.zip").symlink_to(tmp_path / "elsewhere.ipynb")
    os.mkfifo(inbox / "s3.ipynb")
    names, left = brought(classroom, inbox, library)
    assert names == []
    assert set(left) == {"s1.ipynb", "s3.ipynb"}
    assert all("link or a special file" in reason for reason in left.values())


def test_names_on_the_disk_are_plain(classroom: Classroom, library: Library, tmp_path: Path) -> None:
    odd = f"lovelaceada_1_2_{'長' * 300}\x1b[31m.ipynb"
    names, left = brought(classroom, save_bytes(tmp_path / "d.zip", zipped({odd: text(solved())})), library)
    assert left == {}
    [name] = names
    assert len(Path(name).name.encode()) <= 130
    assert "\x1b" not in name
    assert paths.LANGUAGES  # the fixture's folder of templates is in use
