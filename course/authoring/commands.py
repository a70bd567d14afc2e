"""Commands of this part, added to the `course` command. Heavy imports wait until a command runs."""

from __future__ import annotations

from typing import Annotated

import typer

from course import paths
from course.errors import CourseError

Units = Annotated[list[str] | None, typer.Argument(help="Units by number or name; all of them if none is named.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    from course.authoring import audit_command

    app.command("build")(build)
    app.command("new")(new)
    app.command("compare")(compare)
    audit_command.register(app)


def chosen(units: list[str] | None) -> list[str]:
    """The units a person means; all of them if none is named."""
    names = list(dict.fromkeys(paths.find_unit(unit) for unit in units)) if units else paths.unit_names()
    if not names:
        raise CourseError("there is no unit in course/units yet; `course new 01_name` makes one")
    return names


def build(
    units: Units = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if anything differs.")] = False,
) -> None:
    """Derive solutions/ and exercises/ from the lessons, unit.toml and the reference."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from course.authoring import build as builder

    names = chosen(units)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Building", total=len(names))

        def next_unit(name: str) -> None:
            bar.update(task, description=f"Building {name}", completed=names.index(name))

        files = builder.derive_all(names, next_unit)
    everything = not units
    if not check:
        changed = builder.write(files, names, all_units=everything)
        for path in changed:
            typer.echo(f"  {path}")
        typer.echo(f"{_count(names)}: {len(files)} files derived, {len(changed)} changed")
        return
    differences = builder.compare(files, names, all_units=everything)
    for difference in differences:
        typer.echo(f"  {difference.path}: {difference.what}")
    if differences:
        typer.echo(
            f"course: {len(differences)} of {len(files)} derived files differ from their sources; "
            "run `course build` and commit the result",
            err=True,
        )
        raise typer.Exit(1)
    if everything:
        _require_current_comparison()
    typer.echo(f"{_count(names)}: {len(files)} derived files are what their sources say")


def _require_current_comparison() -> None:
    """The numbers in the lessons of units 08 to 13 are derived too."""
    from course.authoring import compare_record

    complaints = compare_record.complaints()
    for complaint in complaints:
        typer.echo(f"  {complaint}")
    if complaints:
        raise CourseError("the closing comparison is out of date; run `course compare --write`, then `course build`")


def _count(names: list[str]) -> str:
    return "1 unit" if len(names) == 1 else f"{len(names)} units"


def new(name: Annotated[str, typer.Argument(help="Number and name of the unit, such as 04_normalization.")]) -> None:
    """Make a unit that builds, passes its tests and is ready to fill."""
    from course.authoring.new import create

    created = create(name)
    for path in created.files:
        typer.echo(f"  {path}")
    typer.echo(created.next_steps)


def compare(
    write: Annotated[
        bool, typer.Option("--write", help="Put the recorded numbers into the lessons that show them.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Run nothing; fail if the record or a lesson is out of date.")
    ] = False,
) -> None:
    """Run all integration methods on one cohort: subtypes, disease, a missing layer, time. Goes on where it stopped."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from course.authoring import compare_record as comparison

    if check:
        if complaints := comparison.complaints():
            raise CourseError(f"{complaints[0]}; run `course compare --write`, then `course build`")
        typer.echo("the comparison is of the methods and the cohort as they are")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Comparing")
        for name, number, total in comparison.run():
            bar.update(task, description=f"Comparing: {name}", completed=number, total=total)
    typer.echo(comparison.table().to_string())
    if write:
        for path in comparison.write_blocks():
            typer.echo(f"  {path.relative_to(paths.ROOT)}")
