"""From a reference function to what a notebook needs: its source, cut open for nbgrader, and all it stands on.

Modules are read as text and never imported: what a learner gets is what the author wrote, comments and layout
included, and the build does not depend on what runs here.
"""

from __future__ import annotations

import ast
import builtins
import functools
import symtable
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from course import nbgrader_settings as nbgrader
from course.authoring.unit import module_path, shown
from course.errors import CourseError

STUDENTS_HAVE = "reference_impl.cohort"
_BUILTIN = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__"}


class SourceError(CourseError):
    """A reference function that can't become an exercise: file, line, why."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{shown(path)}:{line}: {problem}")


@dataclass(frozen=True)
class Definition:
    """One thing a module defines at its top level."""

    name: str
    module: Module
    node: ast.stmt
    kind: str  # "import", "function", "class" or "constant"

    @property
    def text(self) -> str:
        """Its source, with the comment lines that stand directly above it."""
        return self.module.text_of(self.node)

    def fail(self, problem: str) -> SourceError:
        """An error at this definition."""
        return SourceError(self.module.path, self.node.lineno, problem)


@dataclass(frozen=True, eq=False)
class Module:
    """A module of the reference implementation, as text and as a syntax tree."""

    name: str
    path: Path
    lines: tuple[str, ...] = field(repr=False)
    definitions: dict[str, Definition] = field(default_factory=dict, repr=False)

    def text_of(self, node: ast.stmt) -> str:
        """Source of a statement with its decorators and the comment directly above."""
        decorators: list[ast.expr] = getattr(node, "decorator_list", [])
        start = min([node.lineno, *(decorator.lineno for decorator in decorators)])
        while start > 1 and self.lines[start - 2].startswith("#"):
            start -= 1
        assert node.end_lineno is not None
        return "\n".join(self.lines[start - 1 : node.end_lineno])


def read_module(name: str) -> Module:
    """Read a module of the reference implementation by its dotted name."""
    path = module_path(name)
    try:
        stamp = path.stat()
    except FileNotFoundError:
        raise CourseError(f"{shown(path)}: there is no such file for the module {name}") from None
    return _read_module(name, path, stamp.st_mtime_ns, stamp.st_size)


@functools.lru_cache(maxsize=256)
def _read_module(name: str, path: Path, _changed: int, _size: int) -> Module:
    text = path.read_text(encoding="utf-8")
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise SourceError(path, error.lineno or 1, f"not valid Python: {error.msg}") from None
    module = Module(name, path, tuple(text.splitlines()))
    for node in _top_level(tree.body):
        for defined, kind in _defines(node):
            module.definitions.setdefault(defined, Definition(defined, module, node, kind))
    return module


def _top_level(body: Iterable[ast.stmt]) -> Iterable[ast.stmt]:
    """Statements of a module; imports that are only for type checking count as imports."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from node.body
        else:
            yield node


def _defines(node: ast.stmt) -> list[tuple[str, str]]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return [(node.name, "function")]
    if isinstance(node, ast.ClassDef):
        return [(node.name, "class")]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [((alias.asname or alias.name).split(".")[0], "import") for alias in node.names]
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [leaf for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
        return [(name.id, "constant") for name in names]
    return []


# ---------------------------------------------------------------------------------------------------------------------
# What a piece of source stands on


def free_names(source: str) -> set[str]:
    """Names that a definition takes from its module: in its body, defaults, decorators and annotations.

    >>> sorted(free_names("def f(x: A = B):\\n    y = C(x)\\n    return [D(z) for z in y]"))
    ['A', 'B', 'C', 'D']
    """
    top = symtable.symtable(source, "<source>", "exec")
    own = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_namespace()}
    found = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    pending = list(top.get_children())
    while pending:
        table = pending.pop()
        found |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
        pending.extend(table.get_children())
    return found - own - _BUILTIN


@dataclass
class Closure:
    """All that an exercise stands on: import lines, then definitions, each after what it uses."""

    imports: dict[str, str] = field(default_factory=dict)  # name -> statement
    definitions: dict[str, Definition] = field(default_factory=dict)

    def take(self, definition: Definition, exercises: frozenset[str]) -> None:
        """Add what a definition needs, and what that needs, except other exercises of the unit."""
        for name in sorted(free_names(definition.text) - exercises):
            needed = definition.module.definitions.get(name)
            if needed is None:
                raise definition.fail(f"{definition.name} uses {name}, which {definition.module.name} does not define")
            if needed.kind == "import":
                self._take_import(needed, name, exercises)
            else:
                self._take_definition(needed, exercises)

    def _take_definition(self, needed: Definition, exercises: frozenset[str]) -> None:
        known = self.definitions.get(needed.name)
        if known is not None:
            if known.node is not needed.node:
                raise needed.fail(
                    f"{needed.name} is also defined in {known.module.name}; one notebook can't give both: rename one"
                )
            return
        # Held here before its own needs are taken, so that two helpers may call each other …
        self.definitions[needed.name] = needed
        self.take(needed, exercises)
        # … and moved behind them, because a default or a decorator is read at once.
        self.definitions[needed.name] = self.definitions.pop(needed.name)

    def _take_import(self, needed: Definition, name: str, exercises: frozenset[str]) -> None:
        node = needed.node
        alias = _alias(node, name)
        if isinstance(node, ast.ImportFrom):
            source = _absolute(node, needed)
            if source == STUDENTS_HAVE or not source.startswith("reference_impl"):
                self._add_import(needed, name, f"from {source} import {_as(alias)}")
                return
            found = read_module(source).definitions.get(alias.name)
            if found is None:
                raise needed.fail(f"import names, not modules: {alias.name} is not defined in {source}")
            if alias.asname not in (None, alias.name):
                raise needed.fail(f"import {alias.name} under its own name, so that it can be given in a notebook")
            if alias.name in exercises:
                raise needed.fail(f"{alias.name} is an exercise of the unit and comes from another module")
            if found.kind == "import":
                self._take_import(found, alias.name, exercises)
            else:
                self._take_definition(found, exercises)
        elif alias.name.split(".")[0] in ("reference_impl", "course"):
            raise needed.fail(f"`import {alias.name}` can't be given in a notebook; import the names you use")
        else:
            self._add_import(needed, name, f"import {_as(alias)}")

    def _add_import(self, needed: Definition, name: str, statement: str) -> None:
        known = self.imports.setdefault(name, statement)
        if known != statement:
            raise needed.fail(f"{name} means `{statement}` here and `{known}` in another module; use one name for one")


def _alias(node: ast.stmt, name: str) -> ast.alias:
    assert isinstance(node, (ast.Import, ast.ImportFrom))
    return next(alias for alias in node.names if (alias.asname or alias.name).split(".")[0] == name)


def _as(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def _absolute(node: ast.ImportFrom, where: Definition) -> str:
    if not node.level:
        return node.module or ""
    package = where.module.name.split(".")[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


# ---------------------------------------------------------------------------------------------------------------------
# The exercise


@dataclass(frozen=True)
class FunctionSource:
    """A reference function cut into what the learner keeps and what the learner writes."""

    definition: Definition
    head: str  # decorators, signature, docstring
    body: str  # the answer, as the author wrote it

    @property
    def solution(self) -> str:
        """Source of the solution cell, its answer between nbgrader's marks."""
        return solution_cell(self.body, self.head)


def solution_cell(answer: str, head: str) -> str:
    """An answer between nbgrader's marks, which stand as deep as the answer itself."""
    first = next(line for line in answer.splitlines() if line.strip())
    indent = first[: len(first) - len(first.lstrip())]
    return "\n".join([head, f"{indent}{nbgrader.BEGIN_SOLUTION}", answer, f"{indent}{nbgrader.END_SOLUTION}"])


def read_function(module_name: str, name: str) -> FunctionSource:
    """Read an exercise's function from its module.

    Raises
    ------
    SourceError : it is missing, is no function, has no docstring, or holds one of nbgrader's marks
    """
    module = read_module(module_name)
    definition = module.definitions.get(name)
    if definition is None:
        raise SourceError(module.path, 1, f"there is no function {name!r} here, as unit.toml says")
    node = definition.node
    if not isinstance(node, ast.FunctionDef):
        raise definition.fail(f"{name!r} is a {definition.kind}; an exercise asks for a function or for a value")
    docstring = node.body[0]
    if ast.get_docstring(node) is None or docstring.end_lineno is None or node.end_lineno is None:
        raise definition.fail(f"{name!r} has no docstring; it is the reference text of the exercise")
    if len(node.body) < 2 or node.body[1].lineno <= docstring.end_lineno:
        raise definition.fail(f"{name!r} has no body below its docstring, so there is nothing to write")
    start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    head = "\n".join(module.lines[start - 1 : docstring.end_lineno])
    body = "\n".join(module.lines[docstring.end_lineno : node.end_lineno]).lstrip("\n")
    for mark in nbgrader.DELIMITERS:
        if mark.lstrip("# ") in head + body:
            raise definition.fail(f"{name!r} contains {mark!r}, which belongs to nbgrader")
    return FunctionSource(definition, head, body)


@dataclass
class Shelf:
    """What a notebook has been given so far, so that nothing is given twice."""

    exercises: tuple[str, ...]
    names: dict[str, str] = field(default_factory=dict)  # import name -> statement
    given: dict[str, ast.stmt] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)

    def see(self, code: str) -> None:
        """Note the imports that a cell of the lesson makes at its top level."""
        for node in ast.parse(code).body:
            if isinstance(node, ast.Import):
                self.names |= {(a.asname or a.name).split(".")[0]: f"import {_as(a)}" for a in node.names}
            elif isinstance(node, ast.ImportFrom):
                self.names |= {a.asname or a.name: f"from {node.module} import {_as(a)}" for a in node.names}

    def hand_out(self, function: FunctionSource) -> str:
        """Source of the cell to give above an exercise; empty if it needs nothing new."""
        name = function.definition.name
        self._refuse_later_exercises(function)
        closure = Closure()
        closure.take(function.definition, frozenset(self.exercises))
        self.written.add(name)
        imports = [line for key, line in closure.imports.items() if self._is_new_import(function, key, line)]
        definitions = [found for found in closure.definitions.values() if self._is_new(found)]
        self.names |= closure.imports
        self.given |= {found.name: found.node for found in closure.definitions.values()}
        parts = ["\n".join(sorted(set(imports)))] if imports else []
        parts += _paragraphs(definitions)
        return "\n\n\n".join(parts)

    def _refuse_later_exercises(self, function: FunctionSource) -> None:
        closure = Closure()
        closure.take(function.definition, frozenset(self.exercises))
        sources = [function.definition, *closure.definitions.values()]
        for source in sources:
            for other in sorted(free_names(source.text) & set(self.exercises)):
                if other not in self.written and other != function.definition.name:
                    raise source.fail(
                        f"{source.name} calls {other}, an exercise that the lesson sets only after "
                        f"{function.definition.name}; change their order"
                    )

    def _is_new_import(self, function: FunctionSource, name: str, statement: str) -> bool:
        known = self.names.get(name)
        if known is not None and known != statement:
            raise function.definition.fail(
                f"{function.definition.name} needs `{statement}`, but the lesson says `{known}`; use one name for one"
            )
        return known is None

    def _is_new(self, definition: Definition) -> bool:
        known = self.given.get(definition.name)
        if known is not None and known is not definition.node:
            raise definition.fail(f"the lesson was already given another {definition.name}; rename one of them")
        return known is None


def _paragraphs(definitions: list[Definition]) -> list[str]:
    """Sources in order; constants that follow each other stay together, one statement is given once."""
    parts: list[str] = []
    previous: Definition | None = None
    for found in {id(found.node): found for found in definitions}.values():
        text = textwrap.dedent(found.text)
        if previous is not None and previous.kind == found.kind == "constant":
            parts[-1] += "\n" + text
        else:
            parts.append(text)
        previous = found
    return parts
