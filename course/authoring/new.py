"""`course new`: a unit that builds, passes its tests, and is ready to fill."""

from __future__ import annotations

import keyword
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from course import paths
from course.authoring.unit import UNIT_NAME
from course.errors import CourseError

# Modules of reference_impl that are no unit's own.
SHARED = ("cohort", "validation", "integration", "applications")


@dataclass(frozen=True)
class Created:
    """What was made, and what its author does next."""

    files: list[Path]
    next_steps: str


def create(name: str) -> Created:
    """Make the files of a unit and build it; nothing is left behind if that fails.

    Raises
    ------
    CourseError : the name is not NN_name, its number is taken, or one of its files exists
    """
    topic = _topic(name)
    contents = {place: _filled(template, name, topic) for place, template in _places(name, topic).items()}
    for place in contents:
        if place.exists():
            raise CourseError(f"{place.relative_to(paths.ROOT)} exists; choose another name or fill what is there")
    derived: list[Path] = []
    try:
        for place, content in contents.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content, encoding="utf-8")
        derived = _build(name)
    except BaseException:
        _take_back([*contents, *derived])
        raise
    files = [place.relative_to(paths.ROOT) for place in contents] + derived
    return Created(files, _next_steps(name, topic))


def _topic(name: str) -> str:
    """The name of the unit without its number, which also names its module of the reference."""
    if not UNIT_NAME.fullmatch(name):
        raise CourseError(f"a unit is named NN_name in lower case, such as 04_normalization; {name!r} is not")
    number, topic = name.split("_", 1)
    if keyword.iskeyword(topic) or topic in SHARED:
        raise CourseError(f"{topic!r} can't name a unit: reference_impl/{topic} means something else")
    taken = [unit for unit in paths.unit_names() if unit.startswith(f"{number}_")]
    if taken:
        raise CourseError(f"number {number} is taken by {taken[0]}; choose a free one")
    return topic


def _places(name: str, topic: str) -> dict[Path, str]:
    """Where each file of a unit stands, and the template it starts from."""
    folder = paths.unit_folder(name)
    return {
        folder / "unit.toml": "unit.toml.txt",
        folder / "lesson.md": "lesson.md.txt",
        paths.ROOT / "reference_impl" / f"{topic}.py": "reference.py.txt",
        paths.visible_tests(name): "visible.py.txt",
        paths.hidden_tests(name): "hidden.py.txt",
        paths.known_mistakes(name): "mistakes.py.txt",
        paths.ROOT / "tests" / "reference" / f"test_{topic}.py": "reference_test.py.txt",
    }


def _filled(template: str, name: str, topic: str) -> str:
    text = (resources.files("course.authoring") / "template" / template).read_text(encoding="utf-8")
    title = topic.replace("_", " ").capitalize()
    return text.replace("@@unit@@", name).replace("@@name@@", topic).replace("@@title@@", title)


def _build(name: str) -> list[Path]:
    from course.authoring import build

    files = build.derive(name)
    return build.write(files, [name], all_units=False)


def _take_back(places: list[Path]) -> None:
    for place in places:
        path = paths.ROOT / place
        path.unlink(missing_ok=True)
        if path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()


def _next_steps(name: str, topic: str) -> str:
    return f"""
Unit {name} builds and passes its tests. What to do with it:

  1. write the method            reference_impl/{topic}.py
  2. say what is asked           course/units/{name}/unit.toml
  3. teach it in two languages   course/units/{name}/lesson.md
  4. check it, test it           tests/visible/test_{name}.py, tests/hidden/test_{name}.py
  5. list what people get wrong  tests/hidden/mistakes_{name}.py

After each change:

  course build {name}
  course audit {name}
  pytest tests/visible/test_{name}.py tests/hidden/test_{name}.py

course/README.md says how each of them is written."""
