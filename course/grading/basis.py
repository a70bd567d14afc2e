"""What decides the verdict on each exercise, so finely that a change of one test touches one exercise.

The store keeps a verdict under one hash of everything: any change asks for a new examination of everything. A basis
says more: per test, the hash of its function and of all that it can reach, helper by helper, through the test file and
the reference; per exercise, that of its known mistakes; and once, that of what no exercise can be told apart by: the
examiner, the packages, the class's cohort and key. Comments and layout are in no hash. Where code reaches for names in
a way that can't be followed (`globals`, `eval`, a star import), its whole file counts.

A basis stands beside the verdict it belongs to, in verdicts/<student>/<unit>.basis, and itself in store/basis/.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course import paths
from course.checking.draw import PUBLIC_KEY
from course.errors import CourseError
from course.grading import sandbox, store
from course.grading.classroom import Classroom, write_text
from course.grading.examine import Limits, UnitFiles, environment

Basis = dict[str, Any]

_FOLLOWED = ("reference_impl",)
# What these may reach can't be told from the text.
_OPAQUE = frozenset({"globals", "eval", "exec", "__import__", "importlib", "getattr", "vars", "locals", "sys"})


# --------------------------------------------------------------------------------------------------------------------
# What a piece of code can reach


@dataclass
class Module:
    """A file's top level: what each name is bound by, what names stand for in other modules, what runs on import."""

    file: Path
    bound: dict[str, list[ast.stmt]] = field(default_factory=dict)
    modules: dict[str, Path] = field(default_factory=dict)
    names: dict[str, tuple[Path, str]] = field(default_factory=dict)
    effects: list[ast.stmt] = field(default_factory=list)
    opaque: bool = False


@functools.lru_cache(maxsize=256)
def _module(file: Path, _stamp: tuple[int, int]) -> Module:
    module = Module(file)
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            _add_import(module, node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            module.bound.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            for part in ast.walk(node):
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    module.bound.setdefault(part.id, []).append(node)
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            module.effects.append(node)
    return module


def module_of(file: Path) -> Module:
    """The top level of a file as it is now."""
    found = file.stat()
    return _module(file, (found.st_mtime_ns, found.st_size))


def _add_import(module: Module, node: ast.Import | ast.ImportFrom) -> None:
    for alias in node.names:
        if isinstance(node, ast.Import):
            target = _file_of(alias.name)
            if target is not None:
                if alias.asname:
                    module.modules[alias.asname] = target
                else:  # `import reference_impl.quality`: reached through dots that are not followed
                    module.opaque = True
                    module.modules[alias.name] = target
            continue
        source = _file_of(node.module or "") if node.level == 0 else None
        if node.level and _is_followed_file(module.file):
            source = _relative(module.file, node)
        if alias.name == "*":
            if source is not None:
                module.opaque = True
                module.modules[f"* of {source}"] = source
            continue
        bound = alias.asname or alias.name
        submodule = _file_of(f"{node.module}.{alias.name}") if node.level == 0 else None
        if submodule is not None:
            module.modules[bound] = submodule
        elif source is not None:
            module.names[bound] = (source, alias.name)


def _is_followed_file(file: Path) -> bool:
    return any((paths.ROOT / name) in file.parents for name in _FOLLOWED)


def _relative(file: Path, node: ast.ImportFrom) -> Path | None:
    folder = file.parent
    for _ in range(node.level - 1):
        folder = folder.parent
    return _as_file(folder.joinpath(*(node.module or "").split("."))) if node.module else _as_file(folder)


def _file_of(name: str) -> Path | None:
    return _as_file(paths.ROOT.joinpath(*name.split("."))) if name.split(".")[0] in _FOLLOWED else None


def _as_file(place: Path) -> Path | None:
    if place.with_suffix(".py").is_file():
        return place.with_suffix(".py")
    package = place / "__init__.py"
    return package if package.is_file() else None


def reach(file: Path, names: Iterable[str]) -> dict[str, str]:
    """All that these names of a file can reach: "file:name" to its structure; "file:*" is a whole file."""
    found: dict[str, str] = {}
    waiting = [(file, name) for name in names]
    while waiting:
        where, name = waiting.pop()
        label = f"{_label(where)}:{name}"
        if label in found:
            continue
        module = module_of(where)
        if name == "*" or module.opaque:
            found[label] = _whole(where)
            waiting += [(target, "*") for target in module.modules.values()]
            waiting += list(module.names.values())
            continue
        nodes = [*module.bound.get(name, []), *module.effects]
        if name not in module.bound:
            if name in module.names:
                waiting.append(module.names[name])
                continue
            if name in module.modules:
                waiting.append((module.modules[name], "*"))
                continue
        found[label] = "\n".join(ast.dump(node) for node in nodes)
        for node in nodes:
            waiting += _used(module, node)
    return found


def _used(module: Module, node: ast.AST) -> Iterator[tuple[Path, str]]:
    """Where a piece of code goes on: names of its own file, names of other modules, attributes of modules."""
    through_dots = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute):
            if isinstance(part.value, ast.Name) and part.value.id in module.modules:
                through_dots.add(id(part.value))
                yield module.modules[part.value.id], part.attr
            if part.attr in module.bound:  # `draw.numbers` is the generator `numbers` of this file
                yield module.file, part.attr
    for part in ast.walk(node):
        name = part.id if isinstance(part, ast.Name) else part.arg if isinstance(part, ast.arg) else None
        if name is None or id(part) in through_dots:
            continue
        if name in _OPAQUE and name not in module.bound:
            yield module.file, "*"
        elif name in module.bound or name in module.names or name in module.modules:
            yield module.file, name


def _whole(file: Path) -> str:
    return ast.dump(ast.parse(file.read_text(encoding="utf-8")))


def _label(file: Path) -> str:
    """A file by what it is: that of a unit by its name, wherever it lies."""
    inside = paths.ROOT in file.parents and paths.VISIBLE not in file.parents and paths.HIDDEN not in file.parents
    return file.relative_to(paths.ROOT).as_posix() if inside else file.name


# --------------------------------------------------------------------------------------------------------------------
# A unit's basis


def of_unit(
    files: UnitFiles,
    *,
    key: bytes | None = None,
    cohort: Path | None = None,
    truth: Path | None = None,
    limits: Limits | None = None,
) -> Basis:
    """What decides the verdicts on a unit now; cohort and truth are a folder and a file.

    Returns
    -------
    {"unit", "common": {what: digest}, "exercises": {name: {"kind", "tests": {id: digest}, "mistakes": digest}}}
    """
    names = [exercise.name for exercise in files.exercises]
    tests: dict[str, dict[str, str]] = {name: {} for name in names}
    for kind, found in (("visible", files.visible), ("hidden", files.hidden)):
        for file in found:
            for name, owner in tests_in(file, names):
                tests[owner][f"{kind}/{name}"] = store.digest(reach(file, [name]))
    exercises = {
        exercise.name: {
            "kind": exercise.kind,
            "tests": tests[exercise.name],
            "mistakes": _mistakes(files, exercise.name, exercise.kind),
        }
        for exercise in files.exercises
    }
    common = _common(key, cohort, truth, limits or Limits())
    return {"unit": files.name, "common": {**common, "records": _records(files)}, "exercises": exercises}


def _records(files: UnitFiles) -> str:
    """Classes of the reference that may cross from a student's kernel."""
    found: dict[str, str] = {}
    for name in files.references:
        file = _file_of(name)
        if file is not None:
            bound = module_of(file).bound.items()
            found |= reach(file, [own for own, nodes in bound if any(isinstance(node, ast.ClassDef) for node in nodes)])
    return store.digest(found)


def tests_in(file: Path, exercises: Iterable[str]) -> list[tuple[str, str]]:
    """The tests of a file with the exercise each belongs to: its first parameter that is one."""
    known = set(exercises)
    found = []
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            owner = next((argument.arg for argument in node.args.args if argument.arg in known), None)
            if owner is None:
                raise CourseError(f"{file}: {node.name} belongs to no exercise")
            found.append((node.name, owner))
    return found


def _mistakes(files: UnitFiles, exercise: str, kind: str) -> str:
    parts: dict[str, Any] = {}
    if files.mistakes is not None:
        module = module_of(files.mistakes)
        own = [name for name, nodes in module.bound.items() if any(_is_mistake_of(node, exercise) for node in nodes)]
        parts["code"] = reach(files.mistakes, own)
    if kind == "value" and files.solution is not None and files.solution.is_file():
        # A mistake of a value is worked out from the names of the solved lesson.
        cells = json.loads(files.solution.read_text(encoding="utf-8"))["cells"]
        parts["lesson"] = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return store.digest(parts)


def _is_mistake_of(node: ast.stmt, exercise: str) -> bool:
    return isinstance(node, ast.FunctionDef) and any(
        isinstance(mark, ast.Call)
        and any(word.arg == "of" and getattr(word.value, "value", exercise) == exercise for word in mark.keywords)
        for mark in node.decorator_list
    )


def _common(key: bytes | None, cohort: Path | None, truth: Path | None, limits: Limits) -> dict[str, str]:
    return {
        "examiner": _examiner(paths.ROOT),
        **{f"package {name}": version for name, version in environment().items()},
        "key": store.seed_digest(key or PUBLIC_KEY),
        "cohort": "" if cohort is None else store.file_digest({path.name: path for path in sorted(cohort.iterdir())}),
        "truth": "" if truth is None else store.file_digest({"truth": truth}),
        "limits": store.digest(dataclasses.asdict(limits)),
        "isolation": sandbox.chosen().name,
    }


@functools.cache
def _examiner(root: Path) -> str:
    """The code that examines, comments aside; the reference is followed per test instead."""
    grading = Path(__file__).parent
    files = sorted((root / "course" / "checking").rglob("*.py"))
    files += [grading / f"{name}.py" for name in ("examine", "kernel", "provisioner", "boot")]
    files += sorted((grading / "sandbox").rglob("*.py"))
    files.append(root / "reference_impl" / "cohort.py")  # students have it, too
    return store.digest({_label(file): _whole(file) for file in files if file.is_file()})


class Current:
    """What would decide the verdicts of a class now, worked out once per unit and language."""

    def __init__(self, classroom: Classroom) -> None:
        self.classroom = classroom
        self._known: dict[tuple[str, str], Basis] = {}

    def of(self, unit: str, language: str) -> Basis:
        """The basis of a unit in a language."""
        if (unit, language) not in self._known:
            room = self.classroom
            files = UnitFiles.of(unit, language)
            self._known[unit, language] = of_unit(files, key=room.key, cohort=room.cohort, truth=room.truth)
        return self._known[unit, language]


# --------------------------------------------------------------------------------------------------------------------
# Kept beside a verdict


def _beside(classroom: Classroom, student: str, unit: str) -> Path:
    return classroom.verdicts / student / f"{unit}.basis"


def write(classroom: Classroom, student: str, unit: str, basis: Basis) -> None:
    """Note what a verdict in force was decided by."""
    name = store.digest(basis)
    file = classroom.store / "basis" / f"{name}.json"
    if not file.is_file():
        write_text(file, json.dumps(basis, indent=1, sort_keys=True) + "\n")
    beside = _beside(classroom, student, unit)
    if not beside.is_file() or beside.read_text(encoding="ascii").strip() != name:
        write_text(beside, name + "\n")


def read(classroom: Classroom, student: str, unit: str) -> Basis | None:
    """What the verdict in force was decided by; None where that is not known."""
    try:
        name = _beside(classroom, student, unit).read_text(encoding="ascii").strip()
        return json.loads((classroom.store / "basis" / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


# --------------------------------------------------------------------------------------------------------------------
# What a change touches


@dataclass(frozen=True)
class Touched:
    """The exercises that a change touches, and why; tests by what became of them: "changed", "new", "removed"."""

    reasons: Mapping[str, str]
    tests: Mapping[str, str]
    everything: str = ""

    def __bool__(self) -> bool:
        return bool(self.reasons)


def touched(before: Basis | None, now: Basis) -> Touched:
    """Which exercises must be examined again.

    >>> now = {"common": {}, "exercises": {"f": {"kind": "function", "tests": {"hidden/test_a": "1"}, "mistakes": "2"}}}
    >>> bool(touched(now, now)), touched(None, now).reasons
    (False, {'f': 'what it was graded with is not known'})
    """
    tests = _changed_tests(before, now)
    whole = _everything(before, now)
    if whole:
        return Touched(dict.fromkeys(now["exercises"], whole), tests, whole)
    assert before is not None
    reasons = {}
    for name, part in now["exercises"].items():
        old = before["exercises"].get(name)
        if old is None:
            reasons[name] = "new exercise"
            continue
        parts = [
            f"{test.partition('/')[2]} {tests[test]}" for test in {**old["tests"], **part["tests"]} if test in tests
        ]
        if old["mistakes"] != part["mistakes"]:
            parts.append("known mistakes changed")
        if old["kind"] != part["kind"]:
            parts.append("kind changed")
        if parts:
            reasons[name] = ", ".join(parts)
    for name in before["exercises"]:
        if name not in now["exercises"]:
            reasons[name] = "exercise removed"
    return Touched(reasons, tests)


def _everything(before: Basis | None, now: Basis) -> str:
    if before is None:
        return "what it was graded with is not known"
    changed = sorted(
        what for what in {**before["common"], **now["common"]} if before["common"].get(what) != now["common"].get(what)
    )
    return f"{', '.join(changed)} changed" if changed else ""


def _changed_tests(before: Basis | None, now: Basis) -> dict[str, str]:
    if before is None:
        return {}
    old = {test: digest for part in before["exercises"].values() for test, digest in part["tests"].items()}
    new = {test: digest for part in now["exercises"].values() for test, digest in part["tests"].items()}
    became = {test: "removed" for test in old if test not in new}
    became |= {test: "new" if test not in old else "changed" for test in new if old.get(test) != new[test]}
    return became
