"""An attack against our engine: handed in, taken by intake, examined, written into notebook and feedback.

What lies around (a gradebook, another submission, sockets, bystanders) is set up once per `Stage` and watched.
"""

from __future__ import annotations

import contextlib
import html.parser
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import nbformat

from course.checking.draw import PUBLIC_KEY, Draw
from course.checking.runner import generators, load_test_file
from course.grading import examine, feedback, intake, kernel, pages, rendering, verdict
from course.grading.examine import Examiner
from tests.course.attacks import unit
from tests.course.attacks.form import ATTACKS, Attack, Scene, points_of, shown
from tests.course.attacks.isolation import isolation, using

SECRET = "COURSE_ATTACK_SECRET"
NOTHING = dict.fromkeys(unit.FULL, 0)


@dataclass(frozen=True)
class Result:
    """What came of an attack."""

    points: dict[str, int]
    shows: dict[str, str]
    page: str
    notebook: dict[str, Any]
    seconds: float


class Stage:
    """A class with one victim, and an examiner that stays warm from one attack to the next."""

    def __init__(self, folder: Path, *, sandboxed: bool) -> None:
        self.sandboxed = sandboxed
        self.files = unit.make_unit(folder / "course" / "tests")
        self.scene = Scene(folder)
        self.last: Result | None = None
        self._closing = contextlib.ExitStack()
        self.examiner = self._closing.enter_context(open_examiner(sandboxed=sandboxed))
        os.environ[SECRET] = "1"
        self._closing.callback(os.environ.pop, SECRET, None)
        furnish(self.scene, self._closing)
        self.scene.places |= {"hidden": str(self.files.hidden[0]), "solution": str(self.files.solution), "stock": ""}
        self.scene.checks |= {
            "leak": lambda: bool(self.last and any(text in self.last.page for text in self.hidden_inputs())),
            "page": lambda: bool(
                self.last and (hostile(self.last.page) or hostile(formgrader_page(self.last.notebook)))
            ),
            "terminal": lambda: bool(self.last and "\x1b" in self.last.page + json.dumps(self.last.shows)),
            "next student": lambda: self.examine(unit.submission({})).points != unit.FULL,
            "next kernel": self._next_kernel_is_touched,
        }

    def close(self) -> None:
        """End what was set up."""
        self._closing.close()

    def hidden_inputs(self) -> list[str]:
        """The numbers that hidden tests draw, as text."""
        names = generators(load_test_file(self.files.hidden[0]))
        drawn = Draw(PUBLIC_KEY, "hidden/test_doubles_all", names).numbers(6)
        return [repr(float(number)) for number in drawn]

    def _next_kernel_is_touched(self) -> bool:
        marker = Path(self.scene.places["marker"])
        self.examine(unit.submission({}))
        found = marker.exists()
        marker.unlink(missing_ok=True)
        return found

    def run(self, attack: Attack) -> Result:
        """Hand an attack in and grade it."""
        notebook = attack.notebook(self.scene)
        folder = self.scene.folder / "submitted" / attack.name / unit.UNIT
        hand_in(folder, notebook, {name: self.scene.fill(text) for name, text in attack.files.items()})
        self.last = self.grade(folder / f"{unit.UNIT}.ipynb")
        return self.last

    def grade(self, file: Path) -> Result:
        """Grade a file as `course grade` does."""
        try:
            cells, _, _ = intake.read_notebook(file)
            cells, _ = intake.mend(cells, template())
        except intake.Unreadable as refused:
            return Result(dict(NOTHING), {"not taken": str(refused.en)}, "", {"cells": []}, 0.0)
        notebook = {"cells": cells, "metadata": template().metadata, "nbformat": 4, "nbformat_minor": 5}
        return self.examine(nbformat.from_dict(notebook))

    def examine(self, notebook: Any) -> Result:
        """Examine a notebook and write what follows from it."""
        started = time.perf_counter()
        found = self.examiner.examine(notebook, unit=self.files, limits=unit.QUICK, student="mallory")
        page = feedback.page(found.verdict, cells=notebook["cells"])
        written = rendering.rendered(found.executed, found.verdict, _Released())
        return Result(points_of(found.verdict), shown(found.verdict), page, written, time.perf_counter() - started)


@contextlib.contextmanager
def open_examiner(*, sandboxed: bool) -> Iterator[Examiner]:
    """An examiner with the best isolation there is, or with none."""
    with using(isolation() if sandboxed else "none"), Examiner() as examiner:
        yield examiner


def furnish(scene: Scene, closing: contextlib.ExitStack) -> None:
    """Set up what an attack may read or harm, and how to see that it did."""
    folder = scene.folder
    token = uuid.uuid4().hex
    victim = folder / "submitted" / "victim" / unit.UNIT / f"{unit.UNIT}.ipynb"
    hand_in(victim.parent, unit.submission({}), {})
    before = victim.read_bytes()
    database = folder / "gradebook.db"
    if not database.exists():
        _stand_in_gradebook(database)
    for name in ("home", "shared", "verdicts"):
        (folder / name).mkdir(exist_ok=True)
    bystander = subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(3000)"],
        env={"COURSE_ATTACK_BYSTANDER": token, SECRET: "1"},
    )
    closing.callback(bystander.kill)
    tcp, udp, abstract, named = (closing.enter_context(made) for made in _listeners(folder, token))
    scene.places |= {
        "start": str(folder),
        "victim": str(victim),
        "database": str(database),
        "marker": str(folder / "marker"),
        "shared": str(Path(tempfile.gettempdir()) / f"note-{token}"),
        "verdict": str(folder / "verdicts" / "mallory.json"),
        "home": str(folder / "home"),
        "grader": str(os.getpid()),
        "bystander": str(bystander.pid),
        "port": str(tcp.getsockname()[1]),
        "abstract": f"attack-{token}",
        "socket": named.getsockname(),
        "token": token,
    }
    scene.checks |= {
        "victim": lambda: _was_changed(victim, before),
        "marker": lambda: _gone(Path(scene.places["marker"])),
        "note": lambda: _gone(Path(scene.places["shared"])),
        "verdict": lambda: _gone(Path(scene.places["verdict"])),
        "grades": lambda: _query(database, "select min(coalesce(auto_score, 1)) from grade") == 0,
        "trigger": lambda: _query(database, "select count(*) from sqlite_master where type = 'trigger'") > 0,
        "bystander": lambda: _ended(bystander),
        "survivor": lambda: _survives(token),
        "call": lambda: _was_called(tcp),
        "datagram": lambda: _got_a_packet(udp),
        "abstract": lambda: _was_called(abstract),
        "socket": lambda: _was_called(named),
    }


def hand_in(folder: Path, notebook: Any, files: dict[str, str]) -> None:
    """Write a submission's files; `-> place` makes a link."""
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / f"{unit.UNIT}.ipynb")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            path.unlink(missing_ok=True)
            path.symlink_to(text.removeprefix("-> "))
        else:
            path.write_text(text, encoding="utf-8")


def _stand_in_gradebook(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("create table grade (id integer, auto_score real, manual_score real)")
        database.execute("insert into grade values (1, 5, null)")
        database.execute("create table source_cell (source text)")
        database.execute("insert into source_cell values (?)", (unit.STOCK_CHECKS["label_of"],))


def _query(file: Path, query: str) -> Any:
    with contextlib.closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchone()[0]


def _listeners(folder: Path, token: str) -> list[socket.socket]:
    tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tcp.bind(("127.0.0.1", 0))
    udp.bind(tcp.getsockname())
    abstract, named = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    abstract.bind("\0attack-" + token)
    place = Path(tempfile.gettempdir()) / f"attack-{token[:8]}.socket"
    named.bind(str(place))
    for listener in (tcp, abstract, named):
        listener.listen()
    for listener in (tcp, udp, abstract, named):
        listener.setblocking(False)
    return [tcp, udp, abstract, named]


def _was_called(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def _got_a_packet(listener: socket.socket) -> bool:
    try:
        return bool(listener.recv(100))
    except BlockingIOError:
        return False


def _gone(file: Path) -> bool:
    found = file.exists()
    file.unlink(missing_ok=True)
    return found


def _was_changed(file: Path, before: bytes) -> bool:
    found = file.read_bytes() != before
    file.write_bytes(before)
    return found


def _ended(process: subprocess.Popen[bytes]) -> bool:
    time.sleep(0.2)
    return process.poll() is not None


def _survives(token: str) -> bool:
    """Whether a process that carries the token is there; it is ended."""
    time.sleep(0.3)
    found = False
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if token.encode() in (process / "cmdline").read_bytes():
                found = True
                os.kill(int(process.name), 9)
    return found


# --------------------------------------------------------------------------------------------------------------------
# The released notebook


class _Released:
    """Stands for the library of released notebooks."""

    def template(self, _unit: str, _language: str) -> intake.Template:
        return template()


def template() -> intake.Template:
    """The notebook as it is released, without answers."""
    notebook = unit.submission(dict.fromkeys(unit.FULL, "raise NotImplementedError()"))
    cells = json.loads(json.dumps(notebook.cells))
    for cell in cells:
        cell.pop("outputs", None)
        cell.pop("execution_count", None)
    return intake.Template(unit.UNIT, "en", tuple(cells), json.loads(json.dumps(notebook.metadata)))


# --------------------------------------------------------------------------------------------------------------------
# Pages


class _Eyes(html.parser.HTMLParser):
    """Notes what in a page could run, load or lead elsewhere."""

    LOADING = ("script", "iframe", "object", "embed", "link", "base", "form", "frame", "applet", "audio", "video")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.LOADING:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            self._attribute(tag, name, "".join((value or "").split()).lower())

    def _attribute(self, tag: str, name: str, value: str) -> None:
        if name.startswith("on") or name in ("srcdoc", "formaction", "background", "ping"):
            self.found.append(f"{tag} {name}")
        elif (
            re.match(r"(javascript|vbscript|data:(?!image/(png|jpeg);base64,)|https?:|//)", value) and name != "content"
        ):
            if not (tag == "a" and value.startswith("http")):
                self.found.append(f"{tag} {name}={value[:30]}")
        elif name == "style" and ("url(" in value or "expression" in value):
            self.found.append(f"{tag} style")


_ACTIVE_TEX = re.compile(r"\\(href|style|class|cssId|require|unicode|mmlToken)(?![A-Za-z])")


def hostile(page: str) -> list[str]:
    """What in a page could run a script, load something or lead elsewhere."""
    eyes = _Eyes()
    eyes.feed(page)
    eyes.close()
    words = re.sub(r"<(code|pre|style|title)\b.*?</\1>", " ", page, flags=re.DOTALL)  # MathJax leaves these alone
    text = html.unescape(re.sub(r"<[^>]*>", " ", words))
    return eyes.found + _ACTIVE_TEX.findall(text)


def formgrader_page(notebook: dict[str, Any]) -> str:
    """The cells of a notebook as nbgrader's formgrader shows them."""
    if not notebook["cells"]:
        return ""
    import nbgrader
    from nbconvert.exporters import HTMLExporter

    exporter = HTMLExporter(
        template_name="formgrade",
        extra_template_basedirs=[
            str(Path(nbgrader.__file__).parent / "server_extensions" / "formgrader" / "templates")
        ],
        mathjax_url="",
        require_js_url="",
    )
    names = ("submission_id", "notebook_id", "assignment_id", "base_url", "notebook_path", "last_name", "first_name")
    resources = {**dict.fromkeys(names, "x"), "student": "mallory", "index": 0, "total": 1}
    page, _ = exporter.from_notebook_node(nbformat.from_dict(notebook), resources=resources)
    return page[page.index('id="notebook-container"') : page.index('<div class="help">')]


def feedback_without_escaping(text: str) -> str:
    """A page on a submission that raised this text, as it would be if the templates did not escape."""
    from tests.course.samples import a_test, a_verdict, an_exercise

    verdict = a_verdict([an_exercise("first", [a_test("one", "failed", visible=True, detail=text)])])
    with mock.patch.object(pages.environment(), "autoescape", False):
        pages.environment().cache.clear()
        try:
            return feedback.page(verdict)
        finally:
            pages.environment().cache.clear()


# --------------------------------------------------------------------------------------------------------------------
# Our engine with one protection off, for controls


def examined_after(name: str, *, keep_changes: bool = False) -> int:
    """Points of an honest student who is examined after an attack; without what undoes its changes, if asked for."""
    undo = (lambda session: None) if keep_changes else examine._KernelSession.give_back_inputs
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(examine._KernelSession, "give_back_inputs", undo),
        contextlib.closing(Stage(Path(folder), sandboxed=False)) as stage,
    ):
        stage.run(ATTACKS[name])
        return sum(stage.examine(unit.submission({})).points.values())


def points_where_a_test_holds_once(name: str) -> dict[str, int]:
    """Points of an attack where tests are not run again on the inputs as they were given."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(examine, "_run_test", examine._run_once),
        contextlib.closing(Stage(Path(folder), sandboxed=False)) as stage,
    ):
        return stage.run(ATTACKS[name]).points


def leaks_where_all_is_told(name: str) -> bool:
    """Whether hidden inputs reach the feedback where all that visible checks saw is told."""

    def entry(*arguments: Any, exposed: Any = ()) -> dict[str, Any]:
        return exercise_entry(*arguments)

    exercise_entry = verdict.exercise_entry
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(verdict, "exercise_entry", entry),
        contextlib.closing(Stage(Path(folder), sandboxed=False)) as stage,
    ):
        stage.run(ATTACKS[name])
        return stage.scene.harmed("leak")


def examine_without_output_limits(name: str, scene: Scene) -> int:
    """Bytes of output that are kept of an attack where nothing limits them."""
    limits = replace(unit.QUICK, output_bytes=2**30, cell_seconds=30.0)
    files = unit.make_unit(scene.folder / "unlimited")
    with (
        mock.patch.object(kernel, "_FRAME", -1),
        mock.patch.object(examine, "_MOST_OUTPUT_CELLS", 8),
        open_examiner(sandboxed=False) as open_,
    ):
        found = open_.examine(ATTACKS[name].notebook(scene), unit=files, limits=limits)
    return sum(len(json.dumps(cell.get("outputs", []))) for cell in found.executed.cells)
