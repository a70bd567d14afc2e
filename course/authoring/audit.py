"""The tests are tested: does every test hold for the reference, and earn its place by what it catches?

Per exercise, in forked children: the reference on many keys, every known mistake on the same keys (it must fail, and be
recognised by what it does), the empty starter, and every mutant of the reference once. A mutant that no hidden test
notices must be listed as equivalent, with a reason, in `tests/hidden/equivalent_NN_name.toml`.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import functools
import importlib
import json
import signal
import sys
import time
import tomllib
import types
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from course import paths
from course.authoring.forked import Done, Job, run_forked
from course.authoring.mutants import Mutant, mutants_of
from course.checking.draw import PUBLIC_KEY
from course.checking.marks import Mistake
from course.checking.recognise import Answers, Recorder, answers_alike, load_mistakes, mistaken_value
from course.checking.runner import Context, Halt, Outcome, Runner, Status, Test, TestFileError, with_tests
from course.checking.solution import ReferenceSubject, solution_cells, value_namespaces
from course.errors import CourseError

KEYS_PER_JOB = 10
FEWEST = {"visible tests": 2, "hidden tests": 3, "known mistakes": 2}
EQUIVALENT_SHARE = 0.05
SLOWER = 10.0  # a mutant may take this many times the reference's processor time …
GRACE = 2.0  # … and these seconds, before a test counts as hanging
WALL = 900.0  # seconds on the wall after which a child is taken for dead


# --- what is audited -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Equivalent:
    """A mutant that no test can tell from the reference, and why."""

    function: str
    operator: str
    before: str
    after: str
    reason: str
    occurrence: int = 1

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """The mutant's key."""
        return self.function, self.operator, self.before, self.after, self.occurrence


@dataclass(frozen=True)
class Subjects:
    """All that answers one exercise."""

    reference: Any
    starter: Any
    mistakes: list[Mistake]
    mutants: Sequence[tuple[Mutant, Callable[[], Any]]]
    code: list[types.CodeType]  # of the reference, for coverage


@dataclass(frozen=True)
class Material:
    """A unit ready to be audited."""

    unit: str
    exercises: list[str]
    visible: Path
    hidden: Path
    subjects: Mapping[str, Subjects]
    equivalents: list[Equivalent]
    context: Callable[[bytes], Context]


def read_equivalents(path: Path) -> list[Equivalent]:
    """The mutants that are listed as equivalent; none if there is no file.

    Raises
    ------
    CourseError : an entry lacks a field or its reason
    """
    if not path.is_file():
        return []
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", [])
        found = [Equivalent(**entry) for entry in entries]
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise CourseError(
            f"{path.name}: {error}; each [[equivalent]] has function, operator, before, after, reason "
            "and, if several read alike, occurrence"
        ) from error
    for entry in found:
        if len(entry.reason.split()) < 3:
            raise CourseError(f"{path.name}: say why the change of {entry.before!r} changes nothing")
    return found


def equivalents_file(unit: str) -> Path:
    """Where a unit lists its equivalent mutants."""
    return paths.HIDDEN / f"equivalent_{unit}.toml"


def read_unit_material(unit: str) -> Material:
    """Everything the audit of a unit of the course needs.

    Raises
    ------
    CourseError : something is missing; a lesson that does not run counts as that
    """
    reference = ReferenceSubject.of_unit(unit)
    notebook = paths.solution_notebook(unit, "en")
    if not notebook.is_file():
        raise CourseError(f"unit {unit}: there is no {notebook.relative_to(paths.ROOT)}; run `course build` first")
    cells = dict(solution_cells(notebook))
    try:
        lessons = value_namespaces(notebook, [name for name, module in reference.exercises.items() if module is None])
    except RuntimeError as error:
        raise CourseError(f"unit {unit}: {error}") from error
    starters = read_starters(paths.exercise_notebook(unit, "en"))
    try:
        mistakes = load_mistakes(paths.known_mistakes(unit))
        _refuse_strays(unit, mistakes, reference.exercises)
        subjects = {}
        for name, module in reference.exercises.items():
            own = [mistake for mistake in mistakes if mistake.of == name]
            if module is None:
                subjects[name] = value_subjects(name, cells[name], lessons[name], own, starters)
            else:
                subjects[name] = function_subjects(name, module, own, starters)
    except TestFileError as error:
        raise CourseError(f"unit {unit}: {error}") from error
    return Material(
        unit=unit,
        exercises=list(reference.exercises),
        visible=paths.visible_tests(unit),
        hidden=paths.hidden_tests(unit),
        subjects=subjects,
        equivalents=read_equivalents(equivalents_file(unit)),
        context=_course_context,
    )


def _refuse_strays(unit: str, mistakes: Sequence[Mistake], exercises: Mapping[str, Any]) -> None:
    for mistake in mistakes:
        if mistake.of not in exercises:
            raise CourseError(
                f"mistakes_{unit}.py: {mistake.name} is of {mistake.of!r}, which is no exercise of {unit}"
            )


def _course_context(key: bytes) -> Context:
    return Context(key, cohort=_frozen_cohort, truth=_frozen_truth)


@functools.cache
def _frozen_cohort() -> Any:
    from reference_impl.cohort import load

    return load("cohort")


@functools.cache
def _frozen_truth() -> dict[str, Any]:
    truth: dict[str, Any] = json.loads(paths.TRUTH.read_text(encoding="utf-8"))
    return truth


# --- who answers ---------------------------------------------------------------------------------------------------


def function_subjects(name: str, module_name: str, mistakes: list[Mistake], starters: Mapping[str, Any]) -> Subjects:
    """What answers a function exercise: its reference, starter, known mistakes, and mutants.

    Mutants are of what a learner writes. The helpers a reference calls are handed out with the exercise.
    """
    module = importlib.import_module(module_name)
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
    mutants = [(one, functools.partial(_mutated_function, one, module)) for one in mutants_of(function, name)]
    reference = getattr(module, name)
    return Subjects(reference, starters.get(name, ...), mistakes, mutants, [reference.__code__])


def _mutated_function(mutant: Mutant, module: types.ModuleType) -> Any:
    """The exercise's function with one change.

    It alone is defined anew, in a copy of the module's names, so that classes stay the same classes.
    """
    namespace = dict(vars(module))
    assert isinstance(mutant.tree, ast.FunctionDef)
    code = compile(ast.Module([mutant.tree], []), f"<mutant of {mutant.function}>", "exec", dont_inherit=True)
    exec(code, namespace)
    return namespace[mutant.function]


def value_subjects(
    name: str, cell: str, lesson: Mapping[str, Any], mistakes: list[Mistake], starters: Mapping[str, Any]
) -> Subjects:
    """What answers a value exercise: the solved lesson's value, nothing, wrong values, and mutants of the solution."""
    known = []
    for mistake in mistakes:
        value = mistaken_value(mistake, lesson)
        known.append(replace(mistake, function=functools.partial(_given, value)))
    tree = ast.parse(cell)
    mutants = [(mutant, functools.partial(_mutated_value, name, mutant, lesson)) for mutant in mutants_of(tree, name)]
    return Subjects(_run_cell(tree, name, lesson), starters.get(name, ...), known, mutants, [])


def read_starters(notebook: Path) -> dict[str, Any]:
    """What a released notebook defines before anybody has written in it: imports, given code, and the starters."""
    if not notebook.is_file():
        raise CourseError(f"there is no {notebook}; run `course build` first")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    cells = [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells):
        grading = cell["metadata"].get("nbgrader", {})
        if number == 0 or "given" in cell["metadata"].get("tags", []) or grading.get("solution"):
            with contextlib.suppress(NotImplementedError):  # the starter of a value
                exec("".join(cell["source"]), namespace)
    return namespace


def _given(value: Any) -> Any:
    return value


def _mutated_value(name: str, mutant: Mutant, lesson: Mapping[str, Any]) -> Any:
    assert isinstance(mutant.tree, ast.Module)
    return _run_cell(mutant.tree, name, lesson)


def _run_cell(tree: ast.Module, name: str, lesson: Mapping[str, Any]) -> Any:
    """Run a solution cell on copies of the names it uses, and return what it stored."""
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & set(lesson)
    namespace = dict(lesson) | {one: _copied(lesson[one]) for one in used}
    namespace.pop(name, None)
    exec(compile(tree, f"<{name}>", "exec", dont_inherit=True), namespace)
    return namespace[name]


def _copied(value: Any) -> Any:
    return value if isinstance(value, types.ModuleType) else copy.deepcopy(value)


# --- what children do ----------------------------------------------------------------------------------------------

Statuses = dict[str, Status]  # by the test's id


@dataclass(frozen=True)
class Examination:
    """A unit's tests, collected, with everything a child needs to run them."""

    material: Material
    runner: Runner

    def tests(self, exercise: str, *, visible: bool | None = None) -> list[Test]:
        """The tests of an exercise: all, only the visible ones, or only the hidden ones."""
        return [
            test
            for test in self.runner.tests
            if test.exercise == exercise and (visible is None or test.visible is visible)
        ]

    def answers(self, exercise: str, answer: Any) -> Answers:
        """A subject that gives this answer to one exercise and the reference's to all others."""
        references = {name: subjects.reference for name, subjects in self.material.subjects.items()}
        return Answers({exercise: answer}, references)

    def run_reference(self, exercise: str, keys: Sequence[bytes]) -> list[list[tuple[str, Status, str, float]]]:
        """Per key, each test's id, status, detail and processor seconds."""
        subject = self.answers(exercise, self.material.subjects[exercise].reference)
        return [
            [_timed(self.runner, subject, self.material.context(key), test) for test in self.tests(exercise)]
            for key in keys
        ]

    def run_mistake(
        self,
        exercise: str,
        mistake: Mistake,
        keys: Sequence[bytes],
        first: Sequence[str] = (),
        *,
        itself_shown: bool = False,
    ) -> list[tuple[Statuses, list[str]]]:
        """Per key, how the tests ended, and which known mistakes answer alike on everything that was asked.

        With `first`, hidden tests that are known to catch the mistake run first, and the others only until the mistake
        has failed and is the only one that answers so: more calls could not make another one answer alike. That it
        answers as itself is shown by replaying, too, unless `itself_shown`: once is enough, on the first key.
        """
        subjects = self.material.subjects[exercise]
        answer = mistake.function() if _is_value(subjects) else mistake.function
        tests = sorted(self.tests(exercise, visible=False if first else None), key=lambda test: test.id not in first)
        found = []
        for key in keys:
            recorder = Recorder(self.answers(exercise, answer))
            context, statuses, alike = self.material.context(key), Statuses(), list[str]()
            for number, test in enumerate(tests, 1):
                statuses[test.id] = self.runner.run(recorder, context, [test])[0].status
                has_failed = any(status is not Status.PASSED for status in statuses.values())
                if number == len(tests) or (first and has_failed):
                    calls = recorder.calls(exercise)
                    alike = [
                        other.name
                        for other in subjects.mistakes
                        if calls and ((itself_shown and other is mistake) or answers_alike(other, calls))
                    ]
                    if first and alike == [mistake.name]:
                        break
            found.append((statuses, alike))
        return found

    def run_starter(self, exercise: str) -> Statuses:
        """How each test ends for who has not begun."""
        subject = self.answers(exercise, self.material.subjects[exercise].starter)
        return _statuses(self.runner.run(subject, self.material.context(PUBLIC_KEY), self.tests(exercise)))

    def run_mutant(self, exercise: str, number: int, limits: Mapping[str, float], proven: Container[str]) -> Statuses:
        """How hidden tests end for a mutant.

        Tests that have caught nothing yet run in any case, to give them their chance; the others (`proven`, as it is
        when the child starts) only until one of them catches it.
        """
        context, statuses = self.material.context(PUBLIC_KEY), Statuses()
        tests = sorted(self.tests(exercise, visible=False), key=lambda test: test.id in proven)
        try:
            answer = self.material.subjects[exercise].mutants[number][1]()
        except Exception:
            return {test.id: Status.ERROR for test in tests}
        for test in tests:
            if test.id in proven and any(status is not Status.PASSED for status in statuses.values()):
                break
            with _processor_limit(limits[test.id]):
                outcome = self.runner.run(self.answers(exercise, answer), context, [test])[0]
            statuses[test.id] = outcome.status
            if outcome.status is Status.TIMEOUT:
                break
        return statuses

    def run_traced(self, exercise: str) -> tuple[int, list[int]]:
        """How many lines the reference has, and the numbers of those that no test runs."""
        subjects = self.material.subjects[exercise]
        ran: set[tuple[types.CodeType, int]] = set()
        own = {inner for code in subjects.code for inner in _with_inner(code)}

        def trace(frame: types.FrameType, event: str, _argument: Any) -> Any:
            if frame.f_code not in own:
                return None
            if event == "line":
                ran.add((frame.f_code, frame.f_lineno))
            return trace

        sys.settrace(trace)
        try:
            subject = self.answers(exercise, subjects.reference)
            self.runner.run(subject, self.material.context(PUBLIC_KEY), self.tests(exercise))
        finally:
            sys.settrace(None)
        lines = {line for code in own for _, _, line in code.co_lines() if line and line != code.co_firstlineno}
        return len(lines), sorted(lines - {line for _, line in ran})


def _is_value(subjects: Subjects) -> bool:
    return not callable(subjects.reference)


def _with_inner(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _with_inner(constant)


def _statuses(outcomes: Sequence[Outcome]) -> Statuses:
    return {outcome.test.id: outcome.status for outcome in outcomes}


def _timed(runner: Runner, subject: Answers, context: Context, test: Test) -> tuple[str, Status, str, float]:
    started = time.process_time()
    outcome = runner.run(subject, context, [test])[0]
    return test.id, outcome.status, outcome.detail, time.process_time() - started


@contextlib.contextmanager
def _processor_limit(seconds: float) -> Iterator[None]:
    """Ends what runs inside after so much processor time: a busy machine makes no difference."""

    def stop(_number: int, _frame: types.FrameType | None) -> None:
        raise Halt(Status.TIMEOUT)

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


# --- the verdict ---------------------------------------------------------------------------------------------------


@dataclass
class ExerciseAudit:
    """What the audit found about one exercise; clean if `problems` is empty."""

    name: str
    points: int = 0
    visible: int = 0
    hidden: int = 0
    mistakes: int = 0
    mistakes_caught: int = 0
    mutants: int = 0
    killed: int = 0
    equivalent: int = 0
    lines: int = 0
    lines_missed: list[int] = field(default_factory=list)
    redundant: list[str] = field(default_factory=list)
    alive: list[Mutant] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def blame(self, condition: object, problem: str) -> None:
        """Note a problem if the condition holds."""
        if condition:
            self.problems.append(problem)


@dataclass
class UnitAudit:
    """What the audit found about a unit."""

    unit: str
    exercises: list[ExerciseAudit]
    problems: list[str]
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not any(exercise.problems for exercise in self.exercises)


Progress = Callable[[int, int, str], object]  # done, all, what


def audit_keys(number: int) -> list[bytes]:
    """The public key, and others that stand for classes."""
    return [PUBLIC_KEY, *(f"audit key {n}".encode() for n in range(1, number))]


def audit(material: Material, *, keys: int, progress: Progress = lambda *_: None) -> UnitAudit:
    """Audit one unit.

    Raises
    ------
    CourseError : its tests can't be collected, or a child of the audit itself failed
    """
    started = time.monotonic()

    def body(runner: Runner) -> list[ExerciseAudit]:
        examination = Examination(material, runner)
        found = {name: ExerciseAudit(name) for name in material.exercises}
        limits = _audit_references(examination, found, audit_keys(keys), progress)
        _audit_others(examination, found, audit_keys(keys), limits, progress)
        return list(found.values())

    try:
        exercises = with_tests(body, exercises=material.exercises, visible=[material.visible], hidden=[material.hidden])
    except TestFileError as error:
        raise CourseError(f"unit {material.unit}: {error}") from error
    return UnitAudit(material.unit, exercises, _stale(material), time.monotonic() - started)


def _stale(material: Material) -> list[str]:
    """Entries of the list of equivalent mutants that describe no mutant."""
    known = {mutant.key for name in material.exercises for mutant, _ in material.subjects[name].mutants}
    return [
        f"{equivalents_file(material.unit).name}: no mutant of {entry.function} turns {entry.before!r} into "
        f"{entry.after!r} ({entry.operator}, occurrence {entry.occurrence}); remove the entry or mend it"
        for entry in material.equivalents
        if entry.key not in known
    ]


def _audit_references(
    examination: Examination, found: Mapping[str, ExerciseAudit], keys: Sequence[bytes], progress: Progress
) -> dict[str, float]:
    """The reference on all keys, the starter and the coverage; returns each test's limit for mutants."""
    jobs: list[Job] = []
    for name, audited in found.items():
        tests = examination.tests(name)
        audited.points = sum(test.points for test in tests)
        audited.visible = sum(test.visible for test in tests)
        audited.hidden = len(tests) - audited.visible
        audited.mistakes = len(examination.material.subjects[name].mistakes)
        counted = zip(FEWEST.items(), (audited.visible, audited.hidden, audited.mistakes), strict=True)
        for (what, fewest), number in counted:
            audited.blame(number < fewest, f"has {number} {what}; {fewest} are needed")
        for first in range(0, len(keys), KEYS_PER_JOB):
            part = keys[first : first + KEYS_PER_JOB]
            jobs.append(Job(f"{name}\nreference", functools.partial(examination.run_reference, name, part), WALL))
        jobs.append(Job(f"{name}\nstarter", functools.partial(examination.run_starter, name), WALL))
        jobs.append(Job(f"{name}\nlines", functools.partial(examination.run_traced, name), WALL))
    limits: dict[str, float] = {}
    failures: dict[tuple[str, str], list[str]] = {}
    for done in _run(jobs, "reference", progress):
        name, what = done.job.name.split("\n")
        audited = found[name]
        if what == "starter":
            begun = [test for test, status in done.result.items() if status is not Status.NOT_ATTEMPTED]
            audited.blame(begun, f"the empty starter is not 'not attempted' in {', '.join(begun)}")
        elif what == "lines":
            audited.lines, audited.lines_missed = done.result
        else:
            for outcomes in done.result:
                audited.seconds = max(audited.seconds, sum(seconds for *_, seconds in outcomes))
                for test, status, detail, seconds in outcomes:
                    limits[test] = max(limits.get(test, 0.0), SLOWER * seconds + GRACE)
                    if status is not Status.PASSED:
                        failures.setdefault((name, test), []).append(detail)
    for (name, test), details in failures.items():
        why = (details[0].strip().splitlines() or ["without a message"])[0]
        found[name].problems.append(f"the reference fails {test} on {len(details)} of {len(keys)} keys: {why}")
    return limits


def _audit_others(
    examination: Examination,
    found: Mapping[str, ExerciseAudit],
    keys: Sequence[bytes],
    limits: Mapping[str, float],
    progress: Progress,
) -> None:
    """Known mistakes on all keys and mutants once."""
    mistakes: dict[tuple[str, str], list[tuple[Statuses, list[str]]]] = {}
    for done in _run(list(_mistake_jobs(examination, keys[:1], {})), "mistakes", progress):
        name, _, which = done.job.name.split("\n")
        mistakes[name, which] = done.result
    caught_by = {key: _hidden_failures(results[0][0]) for key, results in mistakes.items()}
    kills: dict[str, set[str]] = {name: set() for name in found}
    for (name, _), killers in caught_by.items():
        kills[name].update(killers)
    dead: dict[str, set[int]] = {name: set() for name in found}
    jobs = [*_mistake_jobs(examination, keys[1:], caught_by), *_mutant_jobs(examination, limits, kills)]
    for done in _run(jobs, "mistakes and mutants", progress, tolerate="mutant"):
        name, kind, which = done.job.name.split("\n")
        if kind == "mistake":
            mistakes[name, which].extend(done.result)
        else:
            killers = [] if done.trouble else _hidden_failures(done.result)  # a child that died: caught, but by no test
            kills[name].update(killers)
            if done.trouble or killers:
                dead[name].add(int(which))
    for name, audited in found.items():
        own = {which: results for (of, which), results in mistakes.items() if of == name}
        kills[name] |= _judge_mistakes(audited, own)
        _judge_mutants(audited, examination.material, dead[name])
        audited.redundant = [t.id for t in examination.tests(name, visible=False) if t.id not in kills[name]]
        for idle in audited.redundant:
            audited.problems.append(f"{idle} catches no known mistake and no mutant: sharpen or drop it")


def _mistake_jobs(
    examination: Examination, keys: Sequence[bytes], caught_by: Mapping[tuple[str, str], Sequence[str]]
) -> Iterator[Job]:
    for name, subjects in examination.material.subjects.items():
        for mistake in subjects.mistakes:
            first = caught_by.get((name, mistake.name), ())
            for start in range(0, len(keys), KEYS_PER_JOB):
                part = keys[start : start + KEYS_PER_JOB]
                do = functools.partial(examination.run_mistake, name, mistake, part, first, itself_shown=bool(first))
                yield Job(f"{name}\nmistake\n{mistake.name}", do, WALL)


def _mutant_jobs(examination: Examination, limits: Mapping[str, float], kills: Mapping[str, set[str]]) -> Iterator[Job]:
    for name, subjects in examination.material.subjects.items():
        for number in range(len(subjects.mutants)):
            do = functools.partial(examination.run_mutant, name, number, limits, kills[name])
            yield Job(f"{name}\nmutant\n{number}", do, WALL)


def _judge_mistakes(audited: ExerciseAudit, mistakes: Mapping[str, list[tuple[Statuses, list[str]]]]) -> set[str]:
    """Every mistake must fail on every key and be known by what it does; returns the hidden tests that caught one."""
    unseen, killers = [], set[str]()
    for which, results in mistakes.items():
        failures = [_hidden_failures(statuses) for statuses, _ in results]
        killers.update(failures[0])  # the first key is the one that all tests were run on
        escaped = sum(not tests for tests in failures)
        audited.blame(escaped, f"the mistake {which} passes all hidden tests on {escaped} of {len(results)} keys")
        unknown = sum(which not in alike for _, alike in results)
        audited.blame(unknown, f"the mistake {which} is not recognised on {unknown} of {len(results)} keys")
        twins = sorted({other for _, alike in results for other in alike if other != which})
        audited.blame(twins, f"the mistake {which} can't be told from {', '.join(twins)} on some keys")
        audited.mistakes_caught += not (escaped or unknown or twins)
        if all(status is Status.PASSED for test, status in results[0][0].items() if test.startswith("visible/")):
            unseen.append(which)
    audited.blame(mistakes and not unseen, "every known mistake fails a visible test; one must pass them all")
    return killers


def _hidden_failures(statuses: Statuses) -> list[str]:
    return [test for test, status in statuses.items() if status is not Status.PASSED and test.startswith("hidden/")]


def _judge_mutants(audited: ExerciseAudit, material: Material, dead: set[int]) -> None:
    mutants = [mutant for mutant, _ in material.subjects[audited.name].mutants]
    listed = {entry.key for entry in material.equivalents}
    audited.mutants, audited.killed = len(mutants), len(dead)
    for number, mutant in enumerate(mutants):
        if number in dead:
            audited.blame(mutant.key in listed, f"listed as equivalent, but caught: {mutant.function}: {mutant.before}")
        elif mutant.key in listed:
            audited.equivalent += 1
        else:
            audited.alive.append(mutant)
    audited.blame(audited.alive, f"{len(audited.alive)} of {len(mutants)} mutants live")
    most = max(1, int(EQUIVALENT_SHARE * len(mutants)))
    audited.blame(
        audited.equivalent > most,
        f"{audited.equivalent} of {len(mutants)} mutants are listed as equivalent; at most {most} may be",
    )


def _run(jobs: Sequence[Job], what: str, progress: Progress, *, tolerate: str = "") -> Iterator[Done]:
    """Run jobs; one that broke is our failure, unless it is of the kind that may."""
    progress(0, len(jobs), what)
    for number, done in enumerate(run_forked(jobs), 1):
        progress(number, len(jobs), what)
        if done.trouble and tolerate not in done.job.name.split("\n")[1:2]:
            raise CourseError(f"the audit of {' '.join(done.job.name.split())} broke: {done.trouble}")
        yield done
