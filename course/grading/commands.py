"""Commands of grading, added to the `course` command. Heavy imports wait until a command runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from course import paths
from course.errors import CourseError

if TYPE_CHECKING:
    from course.grading.classroom import Classroom
    from course.grading.cluster import Cluster

ClassFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The class's folder.", show_default=False)]
Units = Annotated[
    list[str] | None, typer.Option("--unit", help="A unit by number or name; may be repeated. Default: all.")
]
NoSandbox = Annotated[
    bool,
    typer.Option(
        "--no-sandbox", help="Run students' code with your own rights, at your own risk; every result says so."
    ),
]
Language = Annotated[str | None, typer.Option("--language", help="en or zh.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    classes = typer.Typer(no_args_is_help=True, help="Make a class.")
    classes.command("new")(class_new)
    app.add_typer(classes, name="class")
    app.command("bundle")(bundle)
    app.command("grade")(grade)
    app.command("regrade")(regrade)
    app.command("feedback")(feedback)
    app.command("report")(report)
    app.command("export")(export)
    app.command("formgrade")(formgrade)
    app.command("demo")(demo)
    app.command("doctor")(doctor)


def isolate(no_sandbox: bool) -> None:
    """Find the isolation of this machine, once for the whole run; without one nothing is begun."""
    from course.grading import sandbox

    if no_sandbox:
        sandbox.use("none")
    with _steps("Trying the sandbox"):
        sandbox.chosen()


@contextmanager
def _steps(what: str) -> Iterator[Callable[[str], None]]:
    """A line on the terminal that says which step runs."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status(what) as line:

        def say(step: str) -> None:
            line.update(f"{what}: {step}")

        yield say


def class_new(
    folder: ClassFolder,
    name: Annotated[str, typer.Option(help="What the class is called; by default the folder's name.")] = "",
    roster: Annotated[Path | None, typer.Option(help="CSV file of students with a column id.")] = None,
    language: Annotated[str, typer.Option(help="Language of the instructor's report: en or zh.")] = "en",
    database: Annotated[str, typer.Option(help="SQLAlchemy URL of the gradebook; default: a file in DIR.")] = "",
) -> None:
    """Make a class: a folder outside the repository with key, roster, gradebook and a cohort of its own."""
    from course.grading import classroom as classrooms

    _check_language(language)
    with _steps("Making the class") as say:
        made = classrooms.create(folder, name=name, roster=roster, language=language, database=database, progress=say)
    typer.echo(f"{made.name} is in {made.folder}")
    typer.echo(f"  {classrooms.KEY}   decides all drawn inputs: keep a copy, show it to nobody")
    typer.echo(f"  {classrooms.ROSTER}   {len(made.roster)} students; add lines as they come")
    typer.echo(f"Next: course bundle {made.folder}")


def bundle(folder: ClassFolder, unit: Units = None, language: Language = None) -> None:
    """Release units to a class and pack what students get: one zip per language, without answers or hidden tests."""
    from course.grading import release
    from course.grading.classroom import Classroom

    classroom = Classroom.open(folder)
    with _steps("Releasing") as say:
        made = release.bundle(classroom, unit, _languages(language), progress=say)
    for file in made:
        typer.echo(f"{file}  ({file.stat().st_size / 2**20:.1f} MB)")


def grade(
    folder: ClassFolder,
    unit: Units = None,
    jobs: Annotated[int | None, typer.Option(help="Processes; by default one per core.", min=1)] = None,
    inbox: Annotated[
        Path | None,
        typer.Option(
            "--from", help="First take in a folder, a zip, nbgrader's exchange, or a Canvas or Moodle download."
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(help="From now on keep the gradebook there, such as postgresql+psycopg://user@host/name."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Examine on the workers of this Dask scheduler, such as tcp://host:8786."),
    ] = None,
    no_sandbox: NoSandbox = False,
) -> None:
    """Grade what was handed in: gradebook, feedback and report. What is known already is not examined again."""
    from course.grading import grade as grading
    from course.grading.classroom import Classroom

    if scheduler is not None and jobs is not None:
        raise CourseError("--jobs is for processes of this machine; how many a cluster has is said when it is started")
    classroom = Classroom.open(folder)
    with _examiners(scheduler, no_sandbox) as cluster:
        classroom = _with_database(classroom, database)
        units = [paths.find_unit(name) for name in unit] if unit else None
        outcome = grading.grade_class(classroom, units=units, jobs=jobs, inbox=inbox, cluster=cluster)
    typer.echo(outcome.summary())
    for line in outcome.troubles():
        typer.echo(f"  {line}", err=True)
    if outcome.troubles():
        raise typer.Exit(1)


@contextmanager
def _examiners(scheduler: str | None, no_sandbox: bool) -> Iterator[Cluster | None]:
    """The cluster, or None for processes of this machine; either has an isolation, found by trying."""
    if scheduler is None:
        isolate(no_sandbox)
        yield None
        return
    from course.grading.cluster import Cluster

    with _steps(f"Asking the workers at {scheduler}"):
        cluster = Cluster(scheduler, isolation="none" if no_sandbox else None)
    with cluster:
        yield cluster


def _with_database(classroom: Classroom, database: str | None) -> Classroom:
    """The class with its gradebook there, if that can be used."""
    from course.grading.classroom import set_database, shown_url

    if database is not None and database != classroom.database:
        from course.grading.gradebook import open_gradebook

        with open_gradebook(dataclasses.replace(classroom, database=database)):
            pass  # it can be used: only then does the class move
        classroom = set_database(classroom, database)
        typer.echo(f"the gradebook is {shown_url(classroom.database_url)} from now on (class.toml says so)")
    return classroom


def regrade(
    folder: ClassFolder,
    unit: Units = None,
    student: Annotated[list[str] | None, typer.Option("--student", help="Only this student; may be repeated.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes; by default one per core.", min=1)] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write what was found; without it, it is only shown.")] = False,
    no_sandbox: NoSandbox = False,
) -> None:
    """After a test or a solution changed: examine again what that touches, and show who moves and why."""
    from course.grading.classroom import Classroom
    from course.grading.regrade import regrade_class

    classroom = Classroom.open(folder)
    isolate(no_sandbox)
    units = [paths.find_unit(name) for name in unit] if unit else None
    outcome = regrade_class(classroom, units=units, students=student, jobs=jobs, apply=apply)
    for line in outcome.lines():
        typer.echo(line)
    for line in outcome.failed:
        typer.echo(f"  {line}", err=True)
    if outcome.failed:
        raise typer.Exit(1)


def feedback(folder: ClassFolder, unit: Units = None) -> None:
    """Write the feedback pages again, with what people have graded since."""
    from course.grading import grade as grading
    from course.grading.classroom import Classroom

    classroom = Classroom.open(folder)
    units = [paths.find_unit(name) for name in unit] if unit else None
    with _steps("Writing feedback"):
        n = grading.rewrite_feedback(classroom, units)
    typer.echo(f"{n} pages in {classroom.feedback}")


def report(folder: ClassFolder, unit: Units = None, language: Language = None) -> None:
    """Write the class report: scores, hard tests, common mistakes, what needs a person."""
    from course.grading import report as reports
    from course.grading.classroom import Classroom

    if language is not None:
        _check_language(language)
    typer.echo(str(reports.write(Classroom.open(folder), units=unit, language=language)))


def export(
    folder: ClassFolder,
    to: Annotated[str, typer.Option(help="The format: csv, canvas, moodle or gradescope.")] = "csv",
    file: Annotated[
        Path | None, typer.Option(help="Where to: a file, for moodle and gradescope a folder; by default in DIR.")
    ] = None,
    unit: Units = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Points so far where a written answer waits for a grade, not nothing.")
    ] = False,
) -> None:
    """Write the grades for your records or for a learning platform."""
    from course.grading import export as exports
    from course.grading.classroom import Classroom

    units = [paths.find_unit(name) for name in unit] if unit else None
    made = exports.export(Classroom.open(folder), to, file, units=units, partial=partial)
    for written in made.files:
        typer.echo(str(written))
    for note in made.notes:
        typer.echo(f"  {note}", err=True)


def formgrade(
    folder: ClassFolder,
    port: Annotated[int, typer.Option(help="Of the local server.")] = 8888,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Open the class in nbgrader's formgrader, where a person grades the written questions."""
    from course.grading.classroom import Classroom
    from course.grading.formgrader import serve

    raise typer.Exit(serve(Classroom.open(folder), port=port, browser=browser))


def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Where; by default a folder multiomics-demo-class beside the repository."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes; by default one per core.", min=1)] = None,
) -> None:
    """Play a whole class: release, 12 submissions by the habits of students, grading, feedback, report."""
    from course.grading import sandbox
    from course.grading.demo import play

    try:
        isolate(no_sandbox=False)
    except CourseError as error:
        typer.echo(f"course: the demo runs its own submissions without isolation: {error}", err=True)
        sandbox.use("none")
    raise typer.Exit(play(folder, jobs=jobs))


def doctor(
    backend: Annotated[
        str | None, typer.Option(help="bubblewrap, bubblewrap-cold or landlock; by default what grading would use.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="Only what takes no time, as grading does it.")] = False,
) -> None:
    """Say what isolation this machine gives students' code, by really trying to break each promise."""
    from course.grading.sandbox import consultation

    raise typer.Exit(consultation.consult(backend, quick=quick))


def _check_language(language: str) -> None:
    if language not in paths.LANGUAGES:
        raise CourseError(f"language is {language!r}; it must be {' or '.join(paths.LANGUAGES)}")


def _languages(language: str | None) -> tuple[str, ...]:
    if language is None:
        return paths.LANGUAGES
    _check_language(language)
    return (language,)
