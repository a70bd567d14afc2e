"""An attack: a submission that tries to get what it did not earn, or to harm somebody; in a small declarative form.

An attack says what its honest part earns, what the report should show, and in which control it succeeds: stock
nbgrader, our engine without its sandbox, or a check of its own with one protection taken away. Whatever the source of
a cell needs to know of its surroundings stands in it as `<<name>>` (see `Scene`), since an attacker would know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from tests.course.attacks import unit

FAMILIES = {
    "reading": "Reading tests or answers",
    "lying": "Lying objects and values",
    "patching": "Patching libraries, asserts, builtins, tracing",
    "ending": "Exits, kills, survivors",
    "forging": "Forged notebooks and files",
    "hooks": "IPython hooks and messages",
    "others": "The gradebook and other students",
    "network": "Network",
    "resources": "Resources",
    "leaks": "Hidden inputs into the feedback",
    "pages": "Pages",
}
ATTACKS: dict[str, Attack] = {}


@dataclass(frozen=True)
class Attack:
    """One dishonest submission.

    Attributes
    ----------
    name, family : what it is called
    tries : what it tries, for the table
    cells : source of cells, by exercise or `before`, `given`, `last`, `written`; the other exercises are solved rightly
    forge : changes the notebook's file itself: metadata, ids, outputs
    files : handed in beside the notebook
    wrong : exercises that this submission does not solve, so that all their points would be stolen
    earns : what its honest part earns where that is not what a wrong answer earns
    shows : what the verdict says: status of an exercise by its name, of a cell as "cell before"
    harm : name of what is looked at to see whether it did harm; see `Scene.harmed`
    needs : the promise of a sandbox that stops it, if it takes one
    control : "stock" (nbgrader), "open" (our engine, no sandbox), or a function that takes a protection away
    """

    name: str
    family: str
    tries: str
    cells: Mapping[str, str] = field(default_factory=dict)
    forge: Callable[[NotebookNode], None] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()
    earns: Mapping[str, int] = field(default_factory=dict)
    shows: Mapping[str, str] = field(default_factory=dict)
    harm: str | None = None
    needs: str | None = None
    control: str | Callable[[Scene], bool] = "stock"
    also_stock: bool = True

    def __post_init__(self) -> None:
        assert self.family in FAMILIES, self.family
        assert self.name not in ATTACKS, self.name
        ATTACKS[self.name] = self

    @property
    def expected(self) -> dict[str, int]:
        """Points per exercise that its honest part earns."""
        honest = {name: unit.EARNED_BY_WRONG[name] if name in self.wrong else unit.FULL[name] for name in unit.FULL}
        return honest | dict(self.earns)

    @property
    def expected_of_stock(self) -> dict[str, int]:
        """The same with stock nbgrader, where a check cell is all or nothing."""
        return {name: points if points == unit.FULL[name] else 0 for name, points in self.expected.items()}

    def notebook(self, scene: Scene) -> NotebookNode:
        """The submission as it is handed in."""
        cells = {name: unit.WRONG[name] for name in self.wrong}
        cells |= {name: scene.fill(source) for name, source in self.cells.items()}
        made = unit.submission(cells)
        if self.forge is not None:
            self.forge(made)
        return made


@dataclass
class Scene:
    """Where an attack takes place: what is there to be read or harmed, and whether it was.

    `places` are put into the source of cells; `checks` say of each kind of harm whether it happened.
    """

    folder: Path
    places: dict[str, str] = field(default_factory=dict)
    checks: dict[str, Callable[[], bool]] = field(default_factory=dict)

    def fill(self, source: str) -> str:
        """Put the places into a source."""
        for name, place in self.places.items():
            source = source.replace(f"<<{name}>>", place)
        return source

    def harmed(self, what: str | None) -> bool:
        """Whether that harm was done."""
        return what is not None and self.checks[what]()


def points_of(verdict: Mapping[str, Any]) -> dict[str, int]:
    """Points per exercise of a verdict."""
    return {exercise["name"]: exercise["points"] for exercise in verdict["exercises"]}


def shown(verdict: Mapping[str, Any]) -> dict[str, str]:
    """What a verdict says, in the words of `Attack.shows`."""
    exercises = {exercise["name"]: exercise["status"] for exercise in verdict["exercises"]}
    return exercises | {f"cell {cell['id']}": cell["status"] for cell in verdict["cells"]}
