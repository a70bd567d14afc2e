"""Taking work in from wherever it was handed in: a folder, a zip, nbgrader's exchange, a download of Canvas or Moodle.

The student is told from the place that a platform gives a file: its name, and for that the roster; the unit is told
from what is inside the notebook. Names are compared as people read them: in any script, composed or decomposed, with
or without accents where that is unambiguous. What was handed in before is kept as an attempt.

Canvas names files last-name-first-name_LATE_user-id_attachment-id_file (its class ContentZipper); Moodle names folders
or files Full Name_participant_assignsubmission_file_ (its class mod_assign\\downloader); nbgrader's exchange keeps
inbound/student+assignment+time+random/.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from course.errors import CourseError
from course.grading import archive, attempts
from course.grading.classroom import STUDENT_ID, Classroom, Student, write_text
from course.grading.intake import Library, Refused, Submission, Unreadable, choose_version, notebooks_in, take
from course.grading.store import write_atomically

_CANVAS = re.compile(
    r"(?P<name>.+?)(?P<late>_LATE)?_(?P<user>\d+)_(?P<attachment>\d+)_(?P<file>.+)", re.IGNORECASE | re.DOTALL
)
_MOODLE = re.compile(
    r"(?P<name>.+)_(?P<user>\d+)_assignsubmission_(?:file|onlinetext|comments)(?:_(?P<file>.+)|_)?", re.DOTALL
)
_EXCHANGE = re.compile(r"(?P<student>.+)\+(?P<unit>[^+]+)\+(?P<time>\d{4}-\d\d-\d\d[^+]*)(?:\+[^+]*)?")


@dataclass(frozen=True)
class Delivered:
    """One notebook as it came: its path in what was delivered, its bytes or file, and when it was handed in."""

    path: PurePosixPath
    source: Path | bytes
    origin: Path
    time: datetime | None = None
    student: str = ""

    @property
    def file_name(self) -> str:
        """What the student called the file: without what the platform put before it."""
        name = self.path.name
        for pattern in (_MOODLE, _CANVAS):
            match = pattern.fullmatch(name)
            if match and match["file"]:
                return match["file"]
        return name


def bring_in(classroom: Classroom, place: Path, library: Library) -> tuple[list[Path], list[Refused]]:
    """Take the notebooks of a delivery into the class's tree.

    Returns
    -------
    (files now in the class, what was left where it is with the reason)

    Raises
    ------
    CourseError : there is nothing at that place
    """
    if not place.exists():
        raise CourseError(f"there is no folder or zip {place} to take notebooks from")
    left: list[Refused] = []
    brought: list[Path] = []
    people = People(classroom)
    taken: dict[tuple[str, str], list[tuple[Delivered, Submission]]] = {}
    scratch = classroom.folder / ".inbox"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        for number, item in enumerate(deliveries(place, left)):
            student = item.student
            try:
                student = student or people.student_of(item.path, library.units)
                file = _staged(scratch / str(number), item)
                submission = take(file, student, library)
            except Unreadable as error:
                left.append(Refused(student, "", item.origin / item.path, {"en": error.en, "zh": error.zh}))
                continue
            taken.setdefault((student, submission.unit), []).append((item, submission))
        for versions in taken.values():
            brought += _put(classroom, versions, library)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return sorted(brought), left


def _staged(folder: Path, item: Delivered) -> Path:
    """The notebook in a file of its own, under the name that the student gave it."""
    folder.mkdir(parents=True)
    file = folder / _plain_name(item.file_name)
    if isinstance(item.source, bytes):
        file.write_bytes(item.source)
    else:
        if item.source.is_symlink() or not item.source.is_file():
            raise Unreadable("it is a link or a special file, not a notebook", "它是链接或特殊文件，不是笔记本")
        shutil.copyfile(item.source, file, follow_symlinks=False)
    return file


def _plain_name(name: str) -> str:
    """A name that any file system takes: at most 120 bytes, nothing that means something to a shell or a path."""
    stem = unicodedata.normalize("NFC", PurePosixPath(name).stem)
    stem = re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]', "_", stem).strip(". ") or "notebook"
    while len(stem.encode("utf-8")) > 120:
        stem = stem[:-1]
    return f"{stem}.ipynb"


def _put(classroom: Classroom, versions: Sequence[tuple[Delivered, Submission]], library: Library) -> list[Path]:
    """Put a student's notebooks of one unit where they are graded: those with a time one after another, as attempts."""
    student, unit = versions[0][1].student, versions[0][1].unit
    folder = classroom.submitted / student / unit
    timed = sorted((pair for pair in versions if pair[0].time), key=lambda pair: pair[0].time or datetime.min)
    now: list[Path] = []
    rounds = [[pair] for pair in timed] or [list(versions)]
    for one_round in rounds:
        _keep_what_is_there(classroom, folder, student, unit, library)
        folder.mkdir(parents=True, exist_ok=True)
        now = []
        for item, submission in one_round:
            target = _free_name(folder / submission.file.name, now)
            write_atomically(target, submission.file.read_bytes())
            now.append(target)
            if item.time is not None:
                write_text(folder / "timestamp.txt", f"{item.time.isoformat(sep=' ')} UTC\n")
        for old in notebooks_in(folder):
            if old not in now:
                old.unlink()
    return now


def _free_name(file: Path, used: Sequence[Path]) -> Path:
    number, found = 1, file
    while found in used:
        number += 1
        found = file.with_name(f"{file.stem} ({number}){file.suffix}")
    return found


def _keep_what_is_there(classroom: Classroom, folder: Path, student: str, unit: str, library: Library) -> None:
    """What was handed in before becomes an attempt before it is replaced."""
    found = []
    for file in notebooks_in(folder) if folder.is_dir() else []:
        try:
            submission = take(file, student, library, handed_in_as=unit)
        except Unreadable:
            continue
        if submission.unit == unit:
            found.append(submission)
    if found:
        attempts.keep(classroom, choose_version(found, library))


# --------------------------------------------------------------------------------------------------------------------
# What was delivered


def deliveries(place: Path, left: list[Refused]) -> Iterator[Delivered]:
    """The notebooks at a place, in folders and zips and zips inside zips; what can't be read goes to `left`."""
    if place.is_file():
        yield from _from_zip(place, left)
        return
    exchange = _exchange_folders(place)
    if exchange:
        for folder, match in exchange:
            yield from _from_exchange(folder, match, left)
        return
    for file in sorted(place.rglob("*")):
        path = PurePosixPath(file.relative_to(place).as_posix())
        if archive.is_clutter(path) or file.is_dir():
            continue
        if file.suffix.lower() == ".zip" and file.is_file() and not file.is_symlink():
            yield from _from_zip(file, left, PurePosixPath(unicodedata.normalize("NFC", str(path))))
    for file in notebooks_in(place):
        path = PurePosixPath(unicodedata.normalize("NFC", file.relative_to(place).as_posix()))
        yield Delivered(path, file, place)


def _exchange_folders(place: Path) -> list[tuple[Path, re.Match[str]]]:
    """nbgrader's inbound folders: at the place, in its `inbound`, or in that of a course."""
    for root in (place, place / "inbound", *sorted(place.glob("*/inbound"))):
        if root.is_dir():
            folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())
            found = [(path, match) for path in folders if (match := _EXCHANGE.fullmatch(path.name))]
            if found:
                return found
    return []


def _from_exchange(folder: Path, match: re.Match[str], left: list[Refused]) -> Iterator[Delivered]:
    from nbgrader.utils import parse_utc

    student = unicodedata.normalize("NFC", match["student"])
    try:
        if not STUDENT_ID.fullmatch(student):
            raise Unreadable("its name begins with no student's id", "其名称开头不是学生编号")
        time = parse_utc(match["time"])
    except (ValueError, OverflowError):
        left.append(Refused(student, "", folder, {"en": "its name holds no time", "zh": "其名称中没有时间"}))
        return
    except Unreadable as error:
        left.append(Refused(student, "", folder, {"en": error.en, "zh": error.zh}))
        return
    files = notebooks_in(folder)
    if not files:
        left.append(Refused(student, match["unit"], folder, {"en": "it holds no notebook", "zh": "其中没有笔记本"}))
    for file in files:
        path = PurePosixPath(folder.name) / file.relative_to(folder).as_posix()
        yield Delivered(path, file, folder.parent, time, student)


def _from_zip(file: Path, left: list[Refused], within: PurePosixPath | None = None) -> Iterator[Delivered]:
    """The notebooks of a zip; one that is refused gives none at all."""
    found: list[Delivered] = []
    refused: list[Refused] = []
    try:
        with file.open("rb") as stream:
            for packed in archive.packed_files(stream, inside=within is not None and _is_personal(within)):
                path = within / packed.path if within is not None else packed.path
                if path.suffix.lower() == ".ipynb" and "support" not in path.parts[:-1]:
                    found.append(Delivered(path, packed.content, file))
                elif path.suffix.lower() == ".zip":
                    found += _from_inner_zip(path, packed.content, file, refused)
    except (Unreadable, OSError) as error:
        reason = (
            error if isinstance(error, Unreadable) else Unreadable(f"it can't be read: {error}", f"无法读取：{error}")
        )
        left.append(Refused("", "", file, {"en": reason.en, "zh": reason.zh}))
        return
    left += refused
    if not found and not refused:
        left.append(Refused("", "", file, {"en": "it holds no notebook", "zh": "其中没有笔记本"}))
    yield from found


def _is_personal(path: PurePosixPath) -> bool:
    """Whether a zip is one student's own: it bears a platform's name."""
    return any(pattern.fullmatch(part) for pattern in (_CANVAS, _MOODLE) for part in path.parts)


def _from_inner_zip(path: PurePosixPath, content: bytes, file: Path, refused: list[Refused]) -> list[Delivered]:
    """A student's own zip inside the download; a zip inside that is one too many."""
    try:
        packed = [
            item
            for item in archive.packed_files(content, inside=True)
            if item.path.suffix.lower() in (".ipynb", ".zip")
        ]
        if any(item.path.suffix.lower() == ".zip" for item in packed):
            raise Unreadable("it holds another zip inside a zip; unpack it once", "压缩包层层嵌套；请先解开一层")
        notebooks = [item for item in packed if "support" not in item.path.parts[:-1]]
        if not notebooks:
            raise Unreadable("it holds no notebook", "其中没有笔记本")
    except Unreadable as error:
        refused.append(Refused("", "", file / path, {"en": error.en, "zh": error.zh}))
        return []
    return [Delivered(path / item.path, item.content, file) for item in notebooks]


# --------------------------------------------------------------------------------------------------------------------
# Whose


def readable(text: str) -> str:
    """A name as it is compared: one form of each letter, no case, no spaces or punctuation.

    >>> readable("Zoe\\u0308 O'Neil") == readable("ZOË O’NEIL"), readable("王 小明")
    (True, '王小明')
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in unicodedata.normalize("NFC", text) if _counts(letter))


def _counts(letter: str) -> bool:
    return letter.isalnum() or unicodedata.category(letter).startswith("M")


def without_accents(text: str) -> str:
    """The same with accents left out, as some platforms write names.

    >>> without_accents("Zoë Muñoz")
    'zoemunoz'
    """
    decomposed = unicodedata.normalize("NFKD", readable(text))
    latin = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return unicodedata.normalize("NFC", latin.replace("ł", "l").replace("ø", "o").replace("đ", "d"))


class People:
    """The roster, to be asked whose a file is."""

    def __init__(self, classroom: Classroom) -> None:
        self.roster = classroom.roster

    def student_of(self, path: PurePosixPath, units: Sequence[str]) -> str:
        """The student that a delivered file belongs to.

        What stands outside decides before what stands inside: a platform's name before the student's own, so that
        nobody can hand in for another by what they call a file.

        Raises
        ------
        Unreadable : nobody, or more than one, goes by that name
        """
        for part in path.parts:
            for pattern, column in ((_MOODLE, "moodle_id"), (_CANVAS, "canvas_id")):
                match = pattern.fullmatch(part)
                if match is not None:
                    return self._of_platform(match, column)
        return self._of_name(path, units)

    def _of_platform(self, match: re.Match[str], column: str) -> str:
        name, number = match["name"], match["user"]
        if not self.roster:
            student = re.sub(r"[^\w.@-]+", "-", f"{name}-{number}").strip("-_.")[:64]
            if STUDENT_ID.fullmatch(student):
                return student
        by_number = [student.id for student in self.roster.values() if number and getattr(student, column) == number]
        return self._one(by_number or self._called(name) or self._ids_in(name))

    def _called(self, name: str) -> list[str]:
        """Students who may be called that: by id, by name in either order, by login or address; exact before loose."""
        for form in (readable, without_accents):
            wanted = form(name)
            hits = [student.id for student in self.roster.values() if wanted in _ways(student, form)]
            if hits:
                return hits
        return []

    def _of_name(self, path: PurePosixPath, units: Sequence[str]) -> str:
        parts = [*path.parts[:-1], path.stem]
        for unit in units:
            parts = [part.replace(unit, " ") for part in parts]
        if not self.roster:
            student = parts[-1].strip(" _-.")
            if STUDENT_ID.fullmatch(student):
                return student
            raise Unreadable(
                "no student's id can be made of its name; name it after the student, or give the class a roster",
                "无法由文件名得到学生编号；请以学生编号命名，或为班级提供名册",
            )
        for part in parts:
            bare = part.removesuffix(".zip")
            hits = self._ids_in(bare) or self._called(bare) or self._names_in(bare)
            if hits:
                return self._one(hits)
        return self._one([])

    def _ids_in(self, text: str) -> list[str]:
        text = unicodedata.normalize("NFC", text)
        return [
            student
            for student in self.roster
            if re.search(
                rf"(?<![^\W_]){re.escape(unicodedata.normalize('NFC', student))}(?![^\W_])", text, re.IGNORECASE
            )
        ]

    def _names_in(self, text: str) -> list[str]:
        """Students whose full name stands in a text, as words of its own; exact before loose, the longest first."""
        words = [word for word in re.split(r"[\W_]+", unicodedata.normalize("NFC", text)) if word]
        spans = ["".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, min(len(words), i + 5) + 1)]
        for form in (readable, without_accents):
            found, whole = {form(span) for span in spans}, form(text)
            hits = {
                student.id: max(
                    (len(way) for way in _full_names(student, form) if _stands(way, found, whole)), default=0
                )
                for student in self.roster.values()
            }
            longest = max(hits.values(), default=0)
            if longest:
                return [student for student, length in hits.items() if length == longest]
        return []

    def _one(self, hits: Sequence[str]) -> str:
        if len(hits) == 1:
            return hits[0]
        en = f"more than one id of the roster: {', '.join(hits)}" if hits else "no id of the roster"
        zh = f"到多个名册编号：{'、'.join(hits)}" if hits else "不到名册中的编号或姓名"
        raise Unreadable(
            f"its name holds {en}; put the student's id into the file's name or the roster's names in order",
            f"文件名中找{zh}；请在文件名中写上学生编号，或补全名册中的姓名",
        )


def _ways(student: Student, form: Callable[[str], str]) -> set[str]:
    """All that a platform may call a student."""
    first, last = student.first_name, student.last_name
    local = student.email.partition("@")[0]
    ways = {form(text) for text in (student.id, first + last, last + first, student.login, student.email, local)}
    return {way for way in ways if way} if first and last else {way for way in ways if way} - {form(first), form(last)}


def _stands(way: str, spans: set[str], whole: str) -> bool:
    """Whether a name stands in a text: as words, or, in a script without spaces, anywhere."""
    return way in spans or ("\u3040" <= way[0] <= "\u9fff" and way in whole)


def _full_names(student: Student, form: Callable[[str], str]) -> set[str]:
    first, last = student.first_name, student.last_name
    return {form(first + last), form(last + first)} if first and last else set()
