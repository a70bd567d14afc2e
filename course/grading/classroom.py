"""A class: a folder outside the repository that holds everything about its students.

class.toml           what the class is called, which database and which execution it uses
secret.key           what hidden inputs and the class's cohort are drawn from; only the instructor may read it
roster.csv           who is in the class
nbgrader_config.py   makes `nbgrader` and formgrader work here
gradebook.db         nbgrader's gradebook
data/                the class's own cohort, and its truth
release/<lang>/      what students get
submitted/           what they hand in: submitted/{student}/{unit}/*.ipynb
attempts/            every version that was handed in, with its time
verdicts/            what the examination found, one JSON per student and unit
autograded/          the notebooks with their points, for formgrader
feedback/            what students read
report.html          what the instructor reads, with reports/<unit>.html; grades.csv, the grades for the records
store/               every examination, by content
"""

from __future__ import annotations

import csv
import json
import os
import re
import secrets
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from course import paths
from course.errors import CourseError
from course.grading.deadlines import Rules, read_rules
from course.grading.store import write_atomically

SETTINGS = "class.toml"
KEY = "secret.key"
ROSTER = "roster.csv"
EXECUTIONS = ("course", "nbgrader")
_ROSTER_COLUMNS = ("id", "first_name", "last_name", "email", "language")
# Written where they are used: more time for everything, and what a learning platform calls the student.
_MORE_ROSTER_COLUMNS = ("extension", "section", "login", "sis_id", "canvas_id", "moodle_id")
# nbgrader makes folders and URLs of student ids, and joins keys with "+".
STUDENT_ID = re.compile(r"[^\W_][\w.@-]{0,63}", re.UNICODE)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Student:
    """One line of the roster."""

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    language: str = ""
    extension: str = ""
    section: str = ""
    login: str = ""
    sis_id: str = ""
    canvas_id: str = ""
    moodle_id: str = ""

    @property
    def name(self) -> str:
        """First and last name, as far as they are known; Chinese names are written without a space."""
        between = "" if _is_chinese(self.first_name + self.last_name) else " "
        parts = (self.last_name, self.first_name) if not between else (self.first_name, self.last_name)
        return between.join(part for part in parts if part)


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= letter <= "\u9fff" for letter in text)


@dataclass(frozen=True)
class Classroom:
    """An existing class and where its things are."""

    folder: Path
    name: str
    course_id: str
    language: str
    execution: str
    database: str

    @classmethod
    def open(cls, folder: Path | str) -> Classroom:
        """The class in a folder.

        Raises
        ------
        CourseError : the folder holds no class, or its class.toml can't be used
        """
        folder = Path(folder).expanduser().resolve()
        file = folder / SETTINGS
        if not file.is_file():
            raise CourseError(
                f"{folder} is not a class (it has no {SETTINGS}); make one with: course class new {folder}"
            )
        settings = _read_settings(file)
        values = {name: _setting(file, settings, name, default) for name, default in _DEFAULTS.items()}
        _one_of(file, "language", values["language"], paths.LANGUAGES)
        _one_of(file, "execution", values["execution"], EXECUTIONS)
        return cls(folder=folder, **values)

    @classmethod
    def around(cls, place: Path | str) -> Classroom:
        """The class that a place inside it belongs to."""
        place = Path(place).resolve()
        for folder in (place, *place.parents):
            if (folder / SETTINGS).is_file():
                return cls.open(folder)
        raise CourseError(f"{place} is not inside a class: no folder above it has a {SETTINGS}")

    @property
    def database_url(self) -> str:
        """Where nbgrader's gradebook is."""
        return self.database or f"sqlite:///{self.folder / 'gradebook.db'}"

    @cached_property
    def key(self) -> bytes:
        """The secret that hidden inputs are drawn from."""
        return read_key(self.folder)

    @property
    def submitted(self) -> Path:
        """What students handed in."""
        return self.folder / "submitted"

    @property
    def autograded(self) -> Path:
        """Executed notebooks with their points."""
        return self.folder / "autograded"

    @property
    def feedback(self) -> Path:
        """Pages for students."""
        return self.folder / "feedback"

    @property
    def verdicts(self) -> Path:
        """The verdict in force, per student and unit."""
        return self.folder / "verdicts"

    @property
    def report(self) -> Path:
        """The page for the instructor on the whole class."""
        return self.folder / "report.html"

    def unit_report(self, unit: str) -> Path:
        """The page for the instructor on one unit."""
        return self.folder / "reports" / f"{unit}.html"

    @property
    def store(self) -> Path:
        """Everything ever examined, by content."""
        return self.folder / "store"

    @property
    def data(self) -> Path:
        """The class's cohort, with its truth beside it."""
        return self.folder / "data"

    @property
    def cohort(self) -> Path:
        """The class's own cohort: students get it."""
        return self.data / "cohort"

    @property
    def truth(self) -> Path:
        """What was planted in the cohort: students never get it."""
        return self.data / "truth" / "cohort.json"

    def release(self, language: str) -> Path:
        """What students get in a language."""
        return self.folder / "release" / language

    @cached_property
    def rules(self) -> Rules:
        """What is due when, who has longer, what lateness costs, and which attempt counts."""
        file = self.folder / SETTINGS
        extensions = {student.id: student.extension for student in self.roster.values()}
        return read_rules(file, _read_settings(file), extensions)

    @cached_property
    def roster(self) -> dict[str, Student]:
        """Who is in the class, by id."""
        return read_roster(self.folder / ROSTER)


def _read_settings(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{file} can't be read: {error}; correct that line") from None


def shown_url(database: str) -> str:
    """A database's URL for messages: without the password.

    >>> shown_url("postgresql+psycopg://ada:secret@host/grades")
    'postgresql+psycopg://ada:***@host/grades'
    """
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", database)


def set_database(classroom: Classroom, url: str) -> Classroom:
    """Move a class to another gradebook: class.toml says so from now on, to nbgrader and formgrader too.

    Raises
    ------
    CourseError : the line of class.toml can't be found
    """
    if url == classroom.database:
        return classroom
    file = classroom.folder / SETTINGS
    text = file.read_text(encoding="utf-8")
    line = f"database = {_quoted(url)}"
    changed, n = re.subn(r"^database\s*=.*$", lambda _: line, text, flags=re.MULTILINE)
    if n == 0:  # before the first table, where plain settings end
        changed = f"{line}\n{text}"
    if n > 1 or tomllib.loads(changed).get("database") != url:
        raise CourseError(f"{file}: write the line yourself: {line}")
    write_text(file, changed)
    return Classroom.open(classroom.folder)


_DEFAULTS = {"name": "", "course_id": "multiomics", "language": "en", "execution": "course", "database": ""}


def _setting(file: Path, settings: Mapping[str, object], name: str, default: str) -> str:
    value = settings.get(name, default)
    if not isinstance(value, str):
        raise CourseError(f"{file}: {name} must be a text in quotes, not {value!r}")
    return value


def _one_of(file: Path, name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise CourseError(f"{file}: {name} is {value!r}; it must be one of {', '.join(allowed)}")


def read_key(folder: Path) -> bytes:
    """The class's key from its file."""
    file = folder / KEY
    try:
        key = bytes.fromhex(file.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        raise CourseError(
            f"{file} is missing: without the class's key its hidden inputs can't be drawn again; restore it"
        ) from None
    except (ValueError, UnicodeDecodeError):
        key = b""
    if len(key) < 16:
        raise CourseError(f"{file} holds no key (at least 32 hexadecimal digits); restore it from a copy")
    return key


def read_roster(file: Path) -> dict[str, Student]:
    """Students from a CSV file with at least a column `id`.

    Raises
    ------
    CourseError : no such file, no column id, an id that is empty, used twice, or can't be the name of a folder
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            lines = [(reader.line_num, line) for line in reader]
    except FileNotFoundError:
        raise CourseError(f"there is no roster {file}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise CourseError(f"{file} can't be read as CSV in UTF-8: {error}") from None
    if "id" not in columns:
        raise CourseError(f"{file} has no column id (its columns: {', '.join(columns) or 'none'})")
    students: dict[str, Student] = {}
    for number, line in lines:
        names = (*_ROSTER_COLUMNS, *_MORE_ROSTER_COLUMNS)
        student = Student(**{name: (line.get(name) or "").strip() for name in names})
        where = f"{file}, line {number}"
        check_student_id(student.id, where)
        if student.id in students:
            raise CourseError(
                f"{where}: the id {student.id} is already used above; every student needs an id of their own"
            )
        if student.language not in ("", *paths.LANGUAGES):
            raise CourseError(f"{where}: language is {student.language!r}; it must be {' or '.join(paths.LANGUAGES)}")
        students[student.id] = student
    return students


def check_student_id(text: str, where: str) -> str:
    """The id, if it can be the name of a folder and a part of a web address."""
    if not STUDENT_ID.fullmatch(text):
        raise CourseError(
            f"{where}: {text!r} can't be a student's id; use up to 64 letters, digits, . @ - _, "
            "starting with a letter or digit"
        )
    return text


def write_text(file: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, never a part."""
    write_atomically(file, text.encode("utf-8"))


@contextmanager
def folder_at_once(target: Path, mode: int = 0o755) -> Iterator[Path]:
    """Build a folder aside and move it into place when it is complete; after an error nothing is left.

    An empty folder in the target's place is replaced; a full one is an error. `mode` is who may enter it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:40]}."))
    try:
        yield aside
        os.chmod(aside, mode)
        os.rename(aside, target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def replace_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Fill a folder aside, then put it in place of an existing one."""
    with folder_at_once(target.with_name(f"{target.name}.new")) as aside:
        fill(aside)
    new, old = target.with_name(f"{target.name}.new"), target.with_name(f"{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.rename(target, old)
    os.rename(new, target)
    shutil.rmtree(old, ignore_errors=True)


def check_place(folder: Path) -> Path:
    """The absolute path, if a class may be made there."""
    folder = folder.expanduser().resolve()
    if folder == paths.ROOT or paths.ROOT in folder.parents:
        raise CourseError(
            f"{folder} is inside the course's repository; student data never enters it: choose a folder elsewhere"
        )
    if folder.is_dir() and any(folder.iterdir()):
        raise CourseError(f"{folder} exists and is not empty; choose a new folder, nothing was changed")
    if folder.exists() and not folder.is_dir():
        raise CourseError(f"{folder} is a file; choose a new folder, nothing was changed")
    return folder


def create(
    folder: Path | str,
    *,
    name: str = "",
    roster: Path | None = None,
    language: str = "en",
    database: str = "",
    key: bytes | None = None,
    progress: Progress = lambda _: None,
) -> Classroom:
    """Make a class in a new folder: complete, or not at all.

    Parameters
    ----------
    folder : a folder outside the repository that does not exist or is empty
    name : what the class is called; by default the folder's name
    roster : CSV file with the column id, and any of first_name, last_name, email, language
    language : of the instructor's pages
    database : SQLAlchemy URL of nbgrader's gradebook; by default gradebook.db in the folder
    key : the class's secret; by default a new random one
    """
    place = check_place(Path(folder))
    students = read_roster(roster) if roster is not None else {}
    try:
        with folder_at_once(place, 0o700) as aside:
            progress("settings, key and roster")
            _write_settings(aside, name or place.name, language, database)
            write_key(aside, key or secrets.token_bytes(32))
            write_roster(aside / ROSTER, students)
            for part in ("submitted", "release"):
                (aside / part).mkdir()
            progress("the class's own cohort, drawn from its key")
            draw_cohort(read_key(aside), aside / "data")
            progress("gradebook")
            classroom = Classroom.open(aside)
            from course.grading.gradebook import open_gradebook

            with open_gradebook(classroom) as gradebook:
                gradebook.enter_roster(students.values())
    except OSError as error:
        raise CourseError(f"{place} can't be made: {error}; choose a folder that you may write to") from error
    return Classroom.open(place)


def _write_settings(folder: Path, name: str, language: str, database: str) -> None:
    text = f"""# A class of the multi-omics course. This folder holds student data: keep it private.

name = {_quoted(name)}
course_id = "multiomics"

# The language of the instructor's report: "en" or "zh". Students read feedback in the language of their notebook.
language = {_quoted(language)}

# Who runs the cells under `nbgrader autograde`: "course" examines apart from the student's code;
# "nbgrader" is nbgrader's own execution, without the course's protections.
execution = "course"

# Empty: gradebook.db in this folder. Otherwise an SQLAlchemy URL, such as postgresql+psycopg://user@host/name
database = {_quoted(database)}

# Of several versions that a student hands in: "last", "best", or "last_before_deadline".
attempts = "last"

# When units are due, who has longer (or in the roster's column extension), and what lateness costs:
# [due]
# 03_robust_qc = 2027-03-01T23:59:00+08:00
# [extensions.student-id]
# 03_robust_qc = "3 days"
# [late]
# method = "per_day"   # or "zero", "none"
# per_day = 0.1        # of the points earned, for each day begun
# grace = "15 minutes"
"""
    write_text(folder / SETTINGS, text)
    config = '''"""nbgrader's settings for this class; they come from the course."""

from course.nbgrader_config import configure

configure(get_config(), __file__)  # noqa: F821 (nbgrader provides get_config)
'''
    write_text(folder / "nbgrader_config.py", config)
    # Should the folder ever become a git repository, what is private stays out of it.
    write_text(folder / ".gitignore", "*\n")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def write_key(folder: Path, key: bytes) -> None:
    """Write the key so that only its owner may read it."""
    descriptor = os.open(folder / KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(key.hex() + "\n")


def write_roster(file: Path, students: Mapping[str, Student]) -> None:
    """Write the roster, complete or not at all."""
    used = [name for name in _MORE_ROSTER_COLUMNS if any(getattr(student, name) for student in students.values())]
    columns = (*_ROSTER_COLUMNS, *used)
    lines = [",".join(columns)]
    for student in students.values():
        lines.append(",".join(_csv_field(getattr(student, column)) for column in columns))
    write_text(file, "\n".join(lines) + "\n")


def _csv_field(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text


def draw_cohort(key: bytes, data: Path) -> None:
    """The cohort that only this class has, and apart from it what was planted in it."""
    from course.simulation import draw_class_cohort

    truth = draw_class_cohort(key, data / "cohort")
    write_text(data / "truth" / "cohort.json", json.dumps(truth, ensure_ascii=False, indent=1) + "\n")
