"""The examination of one submission: the tests run here, the student's code runs in its kernel, and values cross.

The cells of the submission run in order. At the place of a check cell the kernel waits, and the tests of that exercise
run in this process: `with_tests` collects them from the repository, never from the submission, and their fixtures are
proxies. A call of a proxy asks the kernel and gets data back (`course.checking.wire`). Points come only from a test
that ran to its end and passed here.

    with Examiner() as examiner:
        examination = examiner.examine(notebook, unit="03_robust_qc", key=key, cohort=folder, truth=truth)
    examination.verdict["points"]
"""

from __future__ import annotations

import builtins
import copy
import dataclasses
import functools
import importlib
import inspect
import json
import queue
import threading
import time
import tomllib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
from nbformat import NotebookNode

from course import paths
from course.checking import wire
from course.checking.draw import PUBLIC_KEY
from course.checking.recognise import Recorder, load_mistakes, recognise
from course.checking.runner import (
    Context,
    Halt,
    NotAttempted,
    Outcome,
    Runner,
    Status,
    Subject,
    Test,
    TestFileError,
    with_tests,
)
from course.errors import CourseError
from course.grading import sandbox, store, verdict
from course.grading.kernel import (
    CellResult,
    CellStatus,
    Kernel,
    KernelDied,
    KernelStartError,
    KernelTimeout,
    Limits,
    Workshop,
    iter_environment,
)

__all__ = ["Examination", "ExaminationError", "Examiner", "Limits", "UnitFiles", "examine", "record_key"]


class ExaminationError(Exception):
    """We failed: the submission is not graded, which is not the same as zero."""


@dataclass(frozen=True)
class Exercise:
    """One exercise to examine."""

    name: str
    kind: str


@dataclass(frozen=True)
class UnitFiles:
    """What a unit is examined with; all of it trusted."""

    name: str
    language: str
    exercises: tuple[Exercise, ...]
    visible: tuple[Path, ...]
    hidden: tuple[Path, ...]
    mistakes: Path | None = None
    support: Path | None = None
    solution: Path | None = None
    written: Mapping[str, Any] | None = field(default=None, hash=False)
    references: tuple[str, ...] = ()

    @classmethod
    def of(cls, unit: str, language: str = "en") -> UnitFiles:
        """The files of a unit of the course.

        Raises
        ------
        CourseError : the unit is not built
        """
        return _unit_files(unit, language if language in paths.LANGUAGES else "en")

    @property
    def tests_digest(self) -> str:
        """The sha256 of all that decides which answers are right and what is said of them."""
        files = {f"test {path.parent.name}/{path.name}": path for path in (*self.visible, *self.hidden)}
        if self.mistakes is not None:
            files["mistakes"] = self.mistakes
        if self.solution is not None:
            files["solution"] = self.solution
        return store.digest(
            {
                "files": store.file_digest(files),
                "engine": engine_digest(),
                "exercises": [[exercise.name, exercise.kind] for exercise in self.exercises],
            }
        )


@functools.cache
def _unit_files(unit: str, language: str) -> UnitFiles:
    described = paths.unit_folder(unit) / "unit.toml"
    support = paths.exercise_folder(unit, language) / "support"
    for path in (described, support / "unit.json", paths.hidden_tests(unit)):
        if not path.is_file():
            raise CourseError(f"unit {unit} can't be examined: {path} is missing; run: course build {unit}")
    description = tomllib.loads(described.read_text(encoding="utf-8"))
    built = json.loads((support / "unit.json").read_text(encoding="utf-8"))
    written = built.get("written")
    return UnitFiles(
        name=unit,
        language=language,
        exercises=tuple(Exercise(entry["name"], entry["kind"]) for entry in built["exercises"]),
        visible=tuple(path for path in [paths.visible_tests(unit)] if path.is_file()),
        hidden=(paths.hidden_tests(unit),),
        mistakes=paths.known_mistakes(unit) if paths.known_mistakes(unit).is_file() else None,
        support=support,
        solution=paths.solution_notebook(unit, language),
        written={"name": written["name"], "max_points": written["points"]} if written else None,
        references=tuple(sorted({entry["reference"] for entry in description["exercises"] if "reference" in entry})),
    )


@functools.cache
def engine_digest() -> str:
    """The sha256 of the reference and of the examiner itself."""
    folders = (paths.ROOT / "reference_impl", paths.ROOT / "course" / "checking")
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    files += [Path(__file__).with_name(f"{name}.py") for name in ("examine", "kernel", "provisioner", "boot")]
    return store.file_digest({str(path.relative_to(paths.ROOT)): path for path in files})


@functools.cache
def environment() -> dict[str, str]:
    """Versions of what decides a result."""
    return dict(iter_environment())


def record_key(
    notebook: Mapping[str, Any],
    files: UnitFiles,
    *,
    key: bytes | None,
    cohort: Path | None,
    limits: Limits,
    truth: Mapping[str, Any] | None = None,
    isolation: str | None = None,
) -> str:
    """The name under which the verdict on this submission is kept: changes with all that decides the verdict.

    `isolation` is the name of what keeps the student's code away; by default what this process has chosen.
    """
    return store.digest(
        {
            "submission": store.submission_digest(notebook),
            "tests": files.tests_digest,
            "environment": environment(),
            "seed": store.seed_digest(key or PUBLIC_KEY),
            "cohort": folder_digest(cohort),
            "truth": store.digest(dict(truth)) if truth is not None else None,
            "limits": dataclasses.asdict(limits),
            "isolation": isolation or sandbox.chosen().name,
            "language": files.language,
        }
    )


def folder_digest(folder: Path | None) -> str | None:
    """The sha256 of a folder's files, without those below it."""
    if folder is None:
        return None
    return store.file_digest({path.name: path for path in sorted(folder.iterdir()) if path.is_file()})


@dataclass(frozen=True)
class Examination:
    """What came of an examination: the verdict, and the submission with the outputs of its cells."""

    verdict: dict[str, Any]
    executed: NotebookNode
    seconds: dict[str, float] = field(default_factory=dict)


def examine(
    notebook: NotebookNode,
    *,
    unit: str | UnitFiles,
    key: bytes | None = None,
    cohort: Path | None = None,
    truth: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    student: str = "",
    repairs: Sequence[str] = (),
) -> Examination:
    """Examine one submission; `Examiner.examine` says what the arguments are and keeps things warm for the next one."""
    with Examiner() as examiner:
        return examiner.examine(
            notebook,
            unit=unit,
            key=key,
            cohort=cohort,
            truth=truth,
            limits=limits,
            student=student,
            repairs=repairs,
        )


class Examiner:
    """Examines one submission after another; tests are collected once per unit, by a thread that keeps the session."""

    def __init__(self) -> None:
        self._workshop: Workshop | None = None
        self._sessions: dict[UnitFiles, _TestSession] = {}

    def __enter__(self) -> Examiner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the sessions and remove what kernels shared."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
        if self._workshop is not None:
            self._workshop.close()
            self._workshop = None

    def examine(
        self,
        notebook: NotebookNode,
        *,
        unit: str | UnitFiles,
        key: bytes | None = None,
        cohort: Path | None = None,
        truth: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        student: str = "",
        repairs: Sequence[str] = (),
    ) -> Examination:
        """Run a submission in a kernel, run the tests here, and give the verdict.

        Parameters
        ----------
        notebook : the submission, repaired by intake; exercises are found by the `grade_id`s of its check cells
        unit : name of the unit
        key : the class's key, from which hidden inputs are drawn; without it, the public key
        cohort : folder of the class's cohort; without it, the frozen one
        truth : what was planted in that cohort; without `cohort` and `truth`, the truth of the frozen one
        limits : what the submission may use
        student : goes into the verdict
        repairs : what intake mended; goes into the verdict

        Raises
        ------
        ExaminationError : we failed; the submission is not graded
        CourseError : the unit is not built
        """
        started = time.monotonic()
        files = UnitFiles.of(unit, _language(notebook)) if isinstance(unit, str) else unit
        limits = limits or Limits()
        plan = _Plan(files, key or PUBLIC_KEY, *_data(cohort, truth), limits)
        try:
            if self._workshop is None:
                self._workshop = Workshop()
            kernel = _KernelSession(notebook, plan, self._workshop)
        except KernelStartError as error:
            raise ExaminationError(str(error)) from error
        try:  # the kernel starts while the tests are collected
            session = self._session(files)
            exercises = session.call(lambda runner: _examine_all(runner, kernel, plan))
        except (KernelStartError, TestFileError, OSError) as error:
            raise ExaminationError(str(error)) from error
        finally:
            kernel.close()
        result = verdict.build(
            student=student,
            unit=files.name,
            language=files.language,
            submission=store.submission_digest(notebook),
            tests=files.tests_digest,
            environment=environment(),
            seconds=time.monotonic() - started,
            exercises=exercises,
            cells=kernel.cell_entries(),
            repairs=repairs,
            written=files.written,
            isolation=self._workshop.isolation.name,
        )
        return Examination(result, kernel.executed(exercises))

    def _session(self, files: UnitFiles) -> _TestSession:
        if files not in self._sessions:
            self._sessions[files] = _TestSession(files)
        return self._sessions[files]


def _language(notebook: Mapping[str, Any]) -> str:
    course = notebook.get("metadata", {}).get("course", {})
    language = course.get("language") if isinstance(course, Mapping) else None
    return language if language in paths.LANGUAGES else "en"


def _data(cohort: Path | None, truth: Mapping[str, Any] | None) -> tuple[Path | None, Mapping[str, Any] | None]:
    """The class's cohort and truth, or the frozen ones; never one of each."""
    if cohort is not None:
        return Path(cohort), truth
    if truth is not None or not paths.COHORT.is_dir():
        return None, truth
    return paths.COHORT, json.loads(paths.TRUTH.read_text(encoding="utf-8")) if paths.TRUTH.is_file() else None


class _TestSession:
    """A pytest session that stays open in a thread of its own and runs what it is given."""

    def __init__(self, files: UnitFiles) -> None:
        self._tasks: queue.SimpleQueue[tuple[Callable[[Runner], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._ended: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(files,), name=f"tests of {files.name}", daemon=True)
        self._thread.start()

    def _run(self, files: UnitFiles) -> None:
        try:
            with_tests(
                self._serve,
                exercises=[exercise.name for exercise in files.exercises],
                visible=files.visible,
                hidden=files.hidden,
            )
            self._ended = ExaminationError("the session of tests was closed")
        except BaseException as error:
            self._ended = error
        while True:  # whoever still waits gets the reason
            task = self._tasks.get()
            if task is None:
                return
            task[1].set_exception(self._ended)

    def _serve(self, runner: Runner) -> None:
        while (task := self._tasks.get()) is not None:
            function, future = task
            try:
                future.set_result(function(runner))
            except BaseException as error:
                future.set_exception(error)
        self._tasks.put(None)

    def call(self, function: Callable[[Runner], Any]) -> Any:
        """Run a function with the collected tests and return its result."""
        future: Future[Any] = Future()
        self._tasks.put((function, future))
        return future.result()

    def close(self) -> None:
        """End the session."""
        self._tasks.put(None)
        self._thread.join(timeout=5)


@dataclass(frozen=True)
class _Plan:
    """What one submission is examined with."""

    files: UnitFiles
    key: bytes
    cohort: Path | None
    truth: Mapping[str, Any] | None
    limits: Limits

    def context(self) -> Context:
        """A fresh one for each test: a student's function may change the cohort it is given."""
        truth = self.truth
        return Context(
            self.key,
            cohort=(lambda: copy.deepcopy(_load(self.cohort))) if self.cohort is not None else None,
            truth=(lambda: copy.deepcopy(dict(truth))) if truth is not None else None,
        )

    @functools.cached_property
    def records(self) -> dict[str, type]:
        """Dataclasses and named tuples that may cross."""
        from reference_impl.cohort import MultiOmics

        return {"MultiOmics": MultiOmics} | _declared(
            self.files.references, lambda kind: bool(wire.record_fields(kind))
        )

    @functools.cached_property
    def object_names(self) -> frozenset[str]:
        """What may be asked of an object that stays in the kernel: what models have, here and in scikit-learn."""
        names = set(_MODEL_NAMES)
        for kind in _declared(self.files.references, lambda _: True).values():
            names |= {name for name in (*dir(kind), *_parameters(kind)) if not name.startswith("_")}
        return frozenset(names - _JUDGEMENTS)

    @functools.cached_property
    def exceptions(self) -> dict[str, type[Exception]]:
        """Exceptions of the reference that may be raised here by name."""
        return _declared(self.files.references, lambda kind: issubclass(kind, Exception))


# An object in the kernel answers for itself, so it may only be asked for what a test then looks at here.
_MODEL_NAMES = (
    *("fit", "predict", "transform", "fit_transform", "fit_predict", "predict_proba", "predict_log_proba"),
    *("decision_function", "inverse_transform", "get_params", "set_params", "encode", "decode", "impute"),
)
_JUDGEMENTS = frozenset({"score", "all", "any", "equals"})  # these would be the student's word on their own answer


def _parameters(kind: type) -> list[str]:
    try:
        return list(inspect.signature(kind).parameters)
    except (TypeError, ValueError):
        return []


def _declared(modules: Iterable[str], wanted: Callable[[type], bool]) -> dict[str, Any]:
    found = {}
    for name in modules:
        module = importlib.import_module(name)
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__.startswith("reference_impl") and wanted(kind):
                found[kind.__name__] = kind
    return found


@functools.lru_cache(maxsize=4)
def _load(folder: Path) -> Any:
    from reference_impl.cohort import load

    return load(folder=folder)


@functools.lru_cache(maxsize=8)
def _lesson_names(solution: Path, names: tuple[str, ...], cohort: Path | None) -> dict[str, dict[str, Any]]:
    """Names of the solved lesson at each value exercise; the lesson is run once per class."""
    from course.checking.solution import value_namespaces

    return value_namespaces(solution, list(names), cohort=cohort)


def _examine_all(runner: Runner, kernel: _KernelSession, plan: _Plan) -> list[dict[str, Any]]:
    """Run the cells in order and examine each exercise at its check cell; what has none is examined at the end."""
    entries: dict[str, dict[str, Any]] = {}
    places = kernel.check_places()
    order = sorted(plan.files.exercises, key=lambda exercise: places.get(exercise.name, kernel.end))
    for exercise in order:
        kernel.run_until(places.get(exercise.name, kernel.end))
        entries[exercise.name] = _examine_one(runner, kernel, plan, exercise)
    kernel.run_until(kernel.end)
    return [entries[exercise.name] for exercise in plan.files.exercises]


def _examine_one(runner: Runner, kernel: _KernelSession, plan: _Plan, exercise: Exercise) -> dict[str, Any]:
    kernel.begin(exercise.name)
    recorder = Recorder(_Subject(kernel))
    outcomes, exposed = [], set()
    for test in runner.tests:
        if test.exercise == exercise.name:
            kernel.has_seen_hidden_inputs |= not test.visible
            if kernel.has_seen_hidden_inputs:
                exposed.add(test.id)
            outcomes += _run_test(runner, kernel, recorder, test)
    mistake = _mistake_behind(plan, exercise, recorder, outcomes)
    return verdict.exercise_entry(exercise.name, exercise.kind, outcomes, mistake, exposed=exposed)


def _run_test(runner: Runner, kernel: _KernelSession, recorder: Recorder, test: Test) -> list[Outcome]:
    """Run a test; where the student's code changed what it was given, the test must also hold on what was given.

    A test may compute what is right after the call, from the very input that the call could empty or set to zero.
    """
    outcomes = _run_once(runner, kernel, recorder, test)
    if kernel.inputs_were_changed and all(outcome.passed for outcome in outcomes):
        kernel.keeps_inputs = True
        try:
            outcomes = _run_once(runner, kernel, _Subject(kernel), test)
        finally:
            kernel.keeps_inputs = False
    return outcomes


def _run_once(runner: Runner, kernel: _KernelSession, subject: Subject, test: Test) -> list[Outcome]:
    kernel.inputs_were_changed = False
    try:
        outcomes = runner.run(subject, kernel.plan.context(), [test])
    finally:
        kernel.give_back_inputs()
    for outcome in outcomes:
        if isinstance(outcome.exception, TestFileError):
            raise ExaminationError(f"{test.id}: {outcome.exception}") from outcome.exception
        if kernel.failure is not None:
            raise ExaminationError(f"{test.id}: {kernel.failure}")
    return outcomes


def _mistake_behind(
    plan: _Plan, exercise: Exercise, recorder: Recorder, outcomes: Sequence[Outcome]
) -> dict[str, str] | None:
    """The known mistake that answers every recorded call as the student did."""
    if plan.files.mistakes is None or not any(o.status in (Status.FAILED, Status.ERROR) for o in outcomes):
        return None
    namespace = None
    if exercise.kind == "value" and plan.files.solution is not None:
        values = tuple(other.name for other in plan.files.exercises if other.kind == "value")
        namespace = _lesson_names(plan.files.solution, values, plan.cohort).get(exercise.name)
    found = recognise(recorder.calls(exercise.name), _mistakes(plan.files.mistakes, exercise.name), namespace)
    return {"name": found.name, **found.message} if found else None


@functools.lru_cache(maxsize=256)
def _mistakes(path: Path, exercise: str) -> tuple[Any, ...]:
    return tuple(load_mistakes(path, of=exercise))


class _KernelSession:
    """A submission's kernel: runs its cells up to a place, and comes back there when it dies."""

    def __init__(self, notebook: NotebookNode, plan: _Plan, workshop: Workshop) -> None:
        self.plan = plan
        self.limits = plan.limits
        self._workshop = workshop
        self._notebook = nbformat.from_dict(store.printable(notebook))
        self._cells = self._notebook.cells
        for cell in self._cells:
            cell.source = cell.source if isinstance(cell.source, str) else "".join(cell.source)
        self._output_left = _MOST_OUTPUT_CELLS * plan.limits.output_bytes
        self.end = len(self._cells)
        self._next = 0
        self._results: dict[int, CellResult] = {}
        self._skip: set[int] = set()
        self._slow_cells = 0
        self._examined = False
        self._first_examination = self.end
        self._exercise = ""
        self._deaths: dict[str, int] = {}
        self._timeouts: dict[str, int] = {}
        self._deadline = time.monotonic() + plan.limits.total_seconds
        self.failure: str | None = None
        self.has_seen_hidden_inputs = False
        self.keeps_inputs = False
        self.inputs_were_changed = False
        self._given: list[tuple[Any, Any]] = []
        self.generation = 0
        self._functions: set[tuple[int, int, str]] = set()
        self._kernel: Kernel | None = self._new_kernel()

    def _new_kernel(self) -> Kernel:
        self.generation += 1
        files = self.plan.files
        return Kernel(self._workshop, support=files.support, cohort=self.plan.cohort, limits=self.limits)

    def close(self) -> None:
        """End the kernel."""
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None

    # Cells

    def check_places(self) -> dict[str, int]:
        """Where each exercise's check cell is; of several, the last."""
        return {
            grade_id.removeprefix("check_"): position
            for position, cell in enumerate(self._cells)
            if (grade_id := _grade_id(cell)).startswith("check_") and cell.cell_type == "code"
        }

    def run_until(self, place: int) -> None:
        """Run the cells before a place that were not run yet; check cells are never run, they are examined."""
        while self._next < place:
            position = self._next
            if self._runs(position):
                self._results[position] = self._run_for_the_first_time(position)
            self._next = position + 1

    def _runs(self, position: int) -> bool:
        cell = self._cells[position]
        return cell.cell_type == "code" and not _grade_id(cell).startswith("check_") and bool(cell.source.strip())

    def _run_for_the_first_time(self, position: int) -> CellResult:
        left = self._deadline - time.monotonic()
        if left <= 0:
            self._skip.add(position)
            return CellResult(CellStatus.SKIPPED, 0.0, "the time of the whole submission was used up")
        hangs = any(count >= self.limits.patience for count in self._timeouts.values())
        slow = hangs or self._slow_cells >= self.limits.cell_patience
        seconds = min(self.limits.impatient_cell_seconds if slow else self.limits.cell_seconds, left)
        started = time.monotonic()
        try:
            result = self._living().run_cell(self._cells[position].source, seconds)
        except KernelDied as death:
            self._lose_kernel()
            result = CellResult(death.status, time.monotonic() - started, str(death))
        if result.status in (CellStatus.TIMEOUT, CellStatus.OUTPUT, CellStatus.KERNEL_DIED):
            self._skip.add(position)
            self._slow_cells += 1
        if result.status in (CellStatus.MEMORY, CellStatus.OUTPUT) and not self._is_well():
            self._skip.add(position)
            self._lose_kernel()
        result.outputs = self._within_budget(result.outputs)
        return result

    def _is_well(self) -> bool:
        """Whether the kernel still answers; a flood that it could not get rid of takes the memory it needs."""
        if self._kernel is None:
            return True
        request = wire.encode({"do": "get", "name": "np", "records": []})
        try:
            return self._read(self._kernel.ask(request, _ANSWERS_AT_ONCE))["status"] != "raised"
        except (KernelDied, KernelTimeout, wire.WireError):
            return False

    def _within_budget(self, outputs: list[Any]) -> list[Any]:
        """The outputs as any writer can write them, and none once the whole submission has shown too much."""
        outputs = [nbformat.from_dict(output) for output in store.printable(outputs)]
        self._output_left -= sum(len(json.dumps(output)) for output in outputs)
        if self._output_left < 0:
            return [nbformat.v4.new_output("stream", name="stderr", text="[left out: the notebook shows too much]")]
        return outputs

    def _lose_kernel(self) -> None:
        if self._kernel is not None:
            self._kernel.close()
        self._kernel = None

    def _living(self) -> Kernel:
        """The kernel; where it died, a new one in which all cells up to here were run again but those that kill."""
        attempts = 0
        while self._kernel is None:
            attempts += 1
            if attempts > self.limits.deaths:
                raise KernelDied()
            self._kernel = self._new_kernel()
            for position in range(self._next):
                if self._runs(position) and position not in self._skip and not self._repeat(position):
                    break
        return self._kernel

    def _repeat(self, position: int) -> bool:
        """Run a cell again; False if that cost the kernel."""
        assert self._kernel is not None
        try:
            result = self._kernel.run_cell(self._cells[position].source, self.limits.cell_seconds)
        except KernelDied:
            self._skip.add(position)
            self._lose_kernel()
            return False
        if result.status is CellStatus.TIMEOUT:
            self._skip.add(position)
        return True

    # Calls

    def begin(self, exercise: str) -> None:
        """From now on, tests of this exercise ask."""
        self._exercise = exercise
        if not self._examined:
            self._examined, self._first_examination = True, self._next

    def ask(self, what: str, request: dict[str, Any]) -> dict[str, Any]:
        """Ask the kernel; `what` names the function whose patience is used up by slow answers.

        Raises
        ------
        Halt : timeout, memory, a dead kernel, or an answer that can't be read
        """
        try:
            message = wire.encode({**request, "records": list(self.plan.records)}, records=self.plan.records)
        except wire.WireError as error:
            raise self._failed(f"the test gives {what} something that does not cross: {error}") from None
        if self._deaths.get(self._exercise, 0) >= self.limits.deaths:
            raise Halt(Status.KERNEL_DIED, "the kernel died too often in this exercise")
        seconds = self._seconds_for(what)
        try:
            answer = self._living().ask(message, seconds)
            return self._read(answer)
        except KernelTimeout:
            self._timeouts[what] = self._timeouts.get(what, 0) + 1
            raise Halt(Status.TIMEOUT, f"{what} took more than {seconds:g} s") from None
        except KernelDied as death:
            self._lose_kernel()
            if death.status is CellStatus.TIMEOUT:
                self._timeouts[what] = self._timeouts.get(what, 0) + 1
                raise Halt(Status.TIMEOUT, f"{what} took more than {seconds:g} s") from None
            if death.status is CellStatus.MEMORY:
                raise Halt(Status.MEMORY, f"{what} needed more memory than a submission has") from None
            self._deaths[self._exercise] = self._deaths.get(self._exercise, 0) + 1
            raise Halt(Status.KERNEL_DIED, f"the kernel died while it ran {what}") from None
        except KernelStartError as error:
            raise self._failed(str(error)) from None
        except wire.WireError as error:
            raise Halt(Status.ERROR, f"what {what} gave back can't be read: {error}") from None

    def has_function(self, name: str) -> bool:
        """Whether the kernel has said so since its last cell ran; a call tells if it has not that function any more."""
        return (self.generation, self._next, name) in self._functions

    def note_function(self, name: str) -> None:
        """The kernel says that it has that function."""
        self._functions.add((self.generation, self._next, name))

    def take_back(self, args: tuple[Any, ...], kwargs: dict[str, Any], changed: Any) -> None:
        """Change our arguments as the call changed its copies of them, until the test has ended."""
        for given, value in _changed_arguments(args, kwargs, changed):
            is_generator = isinstance(given, np.random.Generator)
            self.inputs_were_changed |= not is_generator
            if is_generator or not self.keeps_inputs:
                self._given.append((given, copy.deepcopy(given)))
                restore(given, value)

    def give_back_inputs(self) -> None:
        """Undo it: what a test file keeps for several tests must be the same for the next student."""
        for given, before in reversed(self._given):
            if isinstance(given, np.random.Generator):
                given.bit_generator.state = before.bit_generator.state
            else:
                restore(given, before)
        self._given.clear()

    def _failed(self, reason: str) -> Halt:
        """We failed, not the student; noted here too, where no test can swallow it."""
        self.failure = reason
        return Halt(Status.ERROR, reason)

    def _seconds_for(self, what: str) -> float:
        patient = self._timeouts.get(what, 0) < self.limits.patience
        seconds = self.limits.call_seconds if patient else self.limits.impatient_seconds
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Halt(Status.TIMEOUT, "the time of the whole submission was used up")
        return min(seconds, max(left, 0.1))

    def _read(self, answer: bytes) -> dict[str, Any]:
        generation = self.generation
        read = wire.decode(
            answer,
            records=self.plan.records,
            exceptions=self.plan.exceptions,
            from_handle=lambda handle: RemoteObject(self, generation, handle),
        )
        if type(read) is not dict or read.get("status") not in _STATUSES:
            raise wire.WireError("the answer is not in its form")
        if read["status"] == "cannot_cross":
            raise wire.WireError(str(read.get("text", ""))[:300])
        return read

    # What is left of it

    def cell_entries(self) -> list[dict[str, Any]]:
        """How each cell ended; after the first examination without the student's text, which could carry inputs."""
        entries = []
        for position, result in sorted(self._results.items()):
            message = result.message
            if position >= self._first_examination and result.status in (CellStatus.ERROR, CellStatus.MEMORY):
                name = message.split(":", 1)[0]
                message = name if hasattr(builtins, name) else "error"
            entries.append(
                {
                    "id": str(self._cells[position].get("id", position)),
                    "status": str(result.status),
                    "seconds": round(result.seconds, 3),
                    "message": message,
                }
            )
        return entries

    def executed(self, exercises: Sequence[Mapping[str, Any]]) -> NotebookNode:
        """The submission with the outputs of its cells; a check cell shows its points."""
        points = {exercise["name"]: exercise["points"] for exercise in exercises}
        for position, cell in enumerate(self._cells):
            if cell.cell_type != "code":
                continue
            result = self._results.get(position)
            cell.outputs = result.outputs if result else []
            cell.execution_count = result.execution_count if result else None
            exercise = _grade_id(cell).removeprefix("check_")
            if _grade_id(cell).startswith("check_") and exercise in points:
                text = {"text/plain": f"{points[exercise]:g}"}
                cell.outputs = [nbformat.v4.new_output("execute_result", data=text, execution_count=None)]
        return self._notebook


_ANSWERS_AT_ONCE = 2.0  # seconds
_MOST_OUTPUT_CELLS = 4  # as many cells as may use up all of their output
_STATUSES = ("value", "function", "raised", "missing", "cannot_cross")


def _grade_id(cell: Mapping[str, Any]) -> str:
    nbgrader = cell.get("metadata", {}).get("nbgrader", {})
    found = nbgrader.get("grade_id") if isinstance(nbgrader, Mapping) else None
    return found if isinstance(found, str) else ""


class _Subject:
    """The student's answers to the exercises, from the kernel."""

    def __init__(self, kernel: _KernelSession) -> None:
        self._kernel = kernel

    def get(self, name: str) -> Any:
        """A proxy of the function of that name, or the value."""
        if self._kernel.has_function(name):
            return RemoteFunction(self._kernel, name, {"name": name})
        answer = self._kernel.ask(name, {"do": "get", "name": name})
        if answer["status"] == "missing":
            raise NotAttempted(f"{name} is not defined")
        if answer["status"] == "function":
            self._kernel.note_function(name)
            return RemoteFunction(self._kernel, name, {"name": name})
        if answer["status"] == "value" and "value" in answer:
            if answer["value"] is Ellipsis:
                raise NotAttempted(f"{name} is still ...")
            return answer["value"]
        raise Halt(Status.ERROR, f"{name} can't be read")


class RemoteFunction:
    """Stands for a function in the kernel: arguments go out by value, the result comes in by value."""

    def __init__(self, kernel: _KernelSession, label: str, target: dict[str, Any]) -> None:
        self._kernel = kernel
        self._label = label
        self._target = target
        self.__name__ = label

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it; what it changes in its arguments is changed in ours."""
        request = {"do": "call", **self._target, "args": args, "kwargs": kwargs}
        answer = self._kernel.ask(self._label, request)
        if answer["status"] == "missing":
            raise NotAttempted(f"{self._label} is not defined")
        try:
            self._kernel.take_back(args, kwargs, answer.get("changed", {}))
            said = _warnings_in(answer)
        except wire.WireError as error:
            raise Halt(Status.ERROR, str(error)) from None
        for category, text in said:
            warnings.warn_explicit(text, category, filename=self._label, lineno=1, registry={})
        if answer["status"] == "raised":
            raise _exception_in(answer, self._kernel.plan.exceptions)
        if answer["status"] != "value" or "value" not in answer:
            raise Halt(Status.ERROR, f"{self._label} gave no value")
        return answer["value"]

    def __deepcopy__(self, memo: dict[int, Any]) -> RemoteFunction:
        return self


class RemoteObject(wire.Opaque):
    """Stands for an object that stayed in the kernel: only what models have can be asked for, and comes as data.

    Everything by which it could pass for data ends the test, whatever the test makes of errors: it has no value,
    length, truth, order or arithmetic, and is neither equal nor unequal to anything.
    """

    def __init__(self, kernel: _KernelSession, generation: int, handle: wire.Handle) -> None:
        self._kernel = kernel
        self._generation = generation
        self._handle = handle

    def __getattr__(self, name: str) -> Any:
        fitted = name.endswith("_") and not name.startswith("_")
        if not fitted and name not in self._kernel.plan.object_names:
            raise AttributeError(f"{self!r} is not asked for {name}")
        target = {"handle": self._living_handle(), "name": name}
        answer = self._kernel.ask(name, {"do": "attribute", **target})
        if answer["status"] == "function":
            return RemoteFunction(self._kernel, name, target)
        if answer["status"] == "raised":
            raise _exception_in(answer, self._kernel.plan.exceptions)
        if answer["status"] == "value" and "value" in answer:
            return answer["value"]
        raise AttributeError(f"{self!r} has no attribute {name}")

    def _living_handle(self) -> wire.Handle:
        if self._generation != self._kernel.generation:
            raise Halt(Status.KERNEL_DIED, "the kernel that had this object is gone")
        return self._handle

    def __deepcopy__(self, memo: dict[int, Any]) -> RemoteObject:
        return self

    def __repr__(self) -> str:
        kind = self._handle.kind if self._handle.kind.isidentifier() else "?"
        return f"<an object of the student's class {kind[:60]}>"


def _is_no_data(self: RemoteObject, *_: Any, **__: Any) -> Any:
    raise Halt(Status.FAILED, f"{self!r} stands where a test needs data")


_AS_DATA = (
    *("eq", "ne", "lt", "le", "gt", "ge", "hash", "bool", "len", "iter", "contains", "getitem", "str", "format"),
    *("float", "int", "index", "complex", "array", "array_ufunc", "array_function"),
    *("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "matmul", "rmatmul", "pow", "rpow"),
    *("neg", "abs", "invert", "and", "rand", "or", "ror", "xor", "rxor", "round"),
)
for _name in _AS_DATA:
    setattr(RemoteObject, f"__{_name}__", _is_no_data)


_LONGEST_TEXT, _MOST_NAMES, _MOST_WARNINGS = 4000, 30, 50


def _exception_in(answer: Mapping[str, Any], declared: Mapping[str, type[Exception]]) -> Exception:
    names, text, line = answer.get("names"), answer.get("text"), answer.get("line")
    if type(names) is not list or not all(type(name) is str for name in names) or type(text) is not str:
        raise Halt(Status.ERROR, "an error in the kernel can't be read")
    names = names[:_MOST_NAMES]
    if "MemoryError" in names:
        raise Halt(Status.MEMORY, "it needed more memory than a submission has")
    error = wire.nearest_exception(names, text[:_LONGEST_TEXT], declared)
    if type(line) is str and line:
        error.students_line = line[:300]  # type: ignore[attr-defined]
    return error


def _warnings_in(answer: Mapping[str, Any]) -> list[tuple[type[Warning], str]]:
    found = []
    listed = answer.get("warnings", [])
    for item in listed[:_MOST_WARNINGS] if type(listed) is list else []:
        if type(item) is not list or len(item) != 2 or type(item[0]) is not list or type(item[1]) is not str:
            raise wire.WireError("a warning is not in its form")
        names = [name for name in item[0][:_MOST_NAMES] if type(name) is str]
        found.append((wire.nearest_warning(names), item[1][:_LONGEST_TEXT]))
    return found


def _changed_arguments(args: tuple[Any, ...], kwargs: dict[str, Any], changed: Any) -> list[tuple[Any, Any]]:
    """Each argument that came back changed, with what it was changed to."""
    if type(changed) is not dict:
        raise wire.WireError("the changed arguments are not in their form")
    found = []
    for place, value in changed.items():
        if type(place) is int and 0 <= place < len(args):
            found.append((args[place], value))
        elif type(place) is str and place in kwargs:
            found.append((kwargs[place], value))
        else:
            raise wire.WireError("an argument came back that was not given")
    return found


def restore(original: Any, changed: Any) -> Any:
    """Change an object in place so that it equals what came back; returns what stands for it where that can't be done.

    >>> numbers = [1, np.array([1.0, 2.0])]
    >>> _ = restore(numbers, [1, np.array([1.0, 5.0])])
    >>> numbers
    [1, array([1., 5.])]
    """
    if type(original) is not type(changed):
        return changed
    if isinstance(original, np.ndarray):
        return _restore_array(original, changed)
    if isinstance(original, (pd.DataFrame, pd.Series)):
        _pandas_inplace(original, changed)
        return original
    if isinstance(original, np.random.Generator):
        _move_generator(original, changed)
        return original
    if isinstance(original, list):
        original[:] = _restored(original, changed)
    elif isinstance(original, tuple):
        return type(original)(_restored(original, changed)) if type(original) is tuple else changed
    elif isinstance(original, dict):
        kept = {key: restore(original[key], value) if key in original else value for key, value in changed.items()}
        original.clear()
        original.update(kept)
    elif isinstance(original, set):
        original.clear()
        original.update(changed)
    elif dataclasses.is_dataclass(original):
        for part in dataclasses.fields(original):
            value = restore(getattr(original, part.name), getattr(changed, part.name))
            object.__setattr__(original, part.name, value)
    else:
        return changed
    return original


def _pandas_inplace(original: Any, changed: Any) -> None:
    original._update_inplace(changed)  # what pandas itself does for `inplace=True`


_MASK = 2**128 - 1
_MULTIPLIERS = {np.random.PCG64: 0x2360ED051FC65DA44385DF649FCCF645, np.random.PCG64DXSM: 0xDA942042E4DD58B5}
_LONGEST_USE = 2**48  # numbers that one call may draw


def _move_generator(original: np.random.Generator, changed: np.random.Generator) -> None:
    """Let our generator go on to where the call left its copy, if that is a place it comes to.

    Any other state is a forgery, and a bad one (a generator that gives zeros for ever) would hang the test that draws
    from it; then, and with kinds of generator for which that can't be told, it only moves on by one number.
    """
    ours, theirs = original.bit_generator.state, changed.bit_generator.state
    multiplier = _MULTIPLIERS.get(type(original.bit_generator))
    same_kind = multiplier is not None and ours["bit_generator"] == theirs["bit_generator"]
    if same_kind and ours["state"]["inc"] == theirs["state"]["inc"]:
        assert multiplier is not None
        places = ours["state"]["state"], theirs["state"]["state"]
        if min(
            steps(*places, multiplier, ours["state"]["inc"]), steps(*places[::-1], multiplier, ours["state"]["inc"])
        ) < (_LONGEST_USE):
            original.bit_generator.state = theirs
            return
    original.bit_generator.random_raw()


def steps(start: int, end: int, multiplier: int, increment: int) -> int:
    """How many numbers a 128-bit linear congruential generator gives on its way from one state to another.

    >>> rng = np.random.default_rng(1)
    >>> first = rng.bit_generator.state["state"]
    >>> _ = rng.bit_generator.random_raw(1000)
    >>> steps(first["state"], rng.bit_generator.state["state"]["state"], _MULTIPLIERS[np.random.PCG64], first["inc"])
    1000
    """
    distance, bit = 0, 1
    while start != end and bit <= _MASK:
        if (start ^ end) & bit:
            start = (start * multiplier + increment) & _MASK
            distance |= bit
        increment = (multiplier + 1) * increment & _MASK
        multiplier = multiplier * multiplier & _MASK
        bit <<= 1
    return distance


def _restored(original: Sequence[Any], changed: Sequence[Any]) -> list[Any]:
    both = [restore(old, new) for old, new in zip(original, changed, strict=False)]
    return both + list(changed[len(both) :])


def _restore_array(original: np.ndarray, changed: np.ndarray) -> np.ndarray:
    if original.shape != changed.shape or original.dtype != changed.dtype:
        return changed
    frozen = not original.flags.writeable
    if frozen:
        original.flags.writeable = True
    np.copyto(original, changed)
    if frozen:
        original.flags.writeable = False
    return original
