"""`course audit`: does every hidden test earn its place?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from course import paths
from course.authoring.commands import Units, chosen

KEYS = 50  # the reference must hold, and each mistake fail, on at least so many

if TYPE_CHECKING:
    from rich.console import Console

    from course.authoring.audit import ExerciseAudit, UnitAudit


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("audit")(audit)


def audit(
    units: Units = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; audit only what changed since its record; fail if unclean.")
    ] = False,
    keys: Annotated[int, typer.Option(help="How many keys to draw inputs from; fewer leave no record.", min=1)] = KEYS,
) -> None:
    """Run reference, known mistakes, starter and mutants against the tests, and say which test catches nothing."""
    import sklearn.cluster  # noqa: F401  only what is loaded is limited below, and OpenMP threads survive no fork
    from rich.console import Console
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from course.authoring import audit_record as records

    names = chosen(units)
    console = Console(width=None if sys.stdout.isatty() else 120)
    clean, fresh = True, dict[str, records.Record]()
    with threadpool_limits(1):  # the children share the cores already
        for name in names:
            if check and records.is_current(name):
                clean &= _tell_recorded(console, name)
                continue
            inputs = records.hash_of(name)
            audited = _audit_one(console, name, keys)
            _tell(console, audited)
            clean &= audited.clean
            fresh[name] = records.as_record(audited, inputs)
            if not check and keys >= KEYS:
                records.write_record(fresh[name])
    latest = [fresh.get(unit) or records.read_record(unit) for unit in paths.unit_names()]
    kept = [record for record in latest if record is not None]
    if not check:
        if keys >= KEYS:
            records.write_table(kept)
    elif not records.table_is_current(kept):
        console.print(
            "course/README.md: its table is not what the records say; run `course audit` and commit the result"
        )
        clean = False
    if not clean:
        raise typer.Exit(1)


def _tell_recorded(console: Console, name: str) -> bool:
    from course.authoring import audit_record as records

    record = records.read_record(name)
    assert record is not None
    verdict = "clean" if record["clean"] else "NOT clean; run `course audit` to see why"
    console.print(f"{name}: nothing changed since its audit, which was {verdict}")
    return bool(record["clean"])


def _audit_one(console: Console, name: str, keys: int) -> UnitAudit:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from course.authoring.audit import audit as audit_unit
    from course.authoring.audit import read_unit_material

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # No refreshing thread: the audit forks, and a child must not inherit a lock that such a thread holds.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task(f"{name}: solving the lesson", total=None)
        bar.refresh()

        def show(done: int, total: int, what: str) -> None:
            bar.update(task, description=f"{name}: {what}", completed=done, total=total)
            bar.refresh()

        return audit_unit(read_unit_material(name), keys=keys, progress=show)


def _tell(console: Console, audited: UnitAudit) -> None:
    from rich.table import Table

    shown = Table(title=f"{audited.unit} ({audited.seconds:.0f} s)", title_justify="left")
    shown.add_column("exercise", no_wrap=True)
    for column in ("points", "tests", "mistakes", "mutants", "equivalent", "alive", "redundant", "lines", "seconds"):
        shown.add_column(column, justify="right")
    for exercise in audited.exercises:
        shown.add_row(*map(str, _cells(exercise)), style=None if not exercise.problems else "bold")
    console.print(shown)
    for exercise in audited.exercises:
        _tell_problems(console, exercise)
    for problem in audited.problems:
        console.print(f"✗ {problem}", markup=False, highlight=False)
    console.print(f"{audited.unit}: {'clean' if audited.clean else 'NOT clean'}\n")


def _cells(exercise: ExerciseAudit) -> Sequence[Any]:
    ran = exercise.lines - len(exercise.lines_missed)
    return (
        exercise.name,
        exercise.points,
        f"{exercise.visible} + {exercise.hidden}",
        f"{exercise.mistakes_caught}/{exercise.mistakes}",
        f"{exercise.killed}/{exercise.mutants}",
        exercise.equivalent,
        len(exercise.alive),
        len(exercise.redundant),
        f"{ran}/{exercise.lines}" if exercise.lines else "value",
        f"{exercise.seconds:.2f}",
    )


def _tell_problems(console: Console, exercise: ExerciseAudit) -> None:
    if exercise.lines_missed:
        missed = ", ".join(map(str, exercise.lines_missed))
        console.print(f"  {exercise.name}: no test runs line {missed} of the reference", markup=False, highlight=False)
    for problem in exercise.problems:
        console.print(f"✗ {exercise.name}: {problem}", markup=False, highlight=False)
    for number, mutant in enumerate(exercise.alive, 1):
        again = f", occurrence {mutant.occurrence}" if mutant.occurrence > 1 else ""
        console.print(f"  alive {number}: {mutant.function} ({mutant.operator}{again})", markup=False, highlight=False)
        for line in mutant.diff.splitlines():
            console.print(
                f"      {line}", style="red" if line.startswith("-") else "green", markup=False, highlight=False
            )
