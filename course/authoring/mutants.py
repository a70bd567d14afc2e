"""Small wrong changes of the reference: each is an error somebody could make, and a hidden test should notice it.

A mutant is one change at one place of the syntax tree. Texts that only people read (docstrings, messages of errors and
warnings), annotations and the signature, which every learner is given, are left alone.
"""

from __future__ import annotations

import ast
import copy
import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Path = tuple[tuple[str, int | None], ...]
Change = tuple[str, Path, ast.AST | None]  # operator, place, new node (None: the node is removed)

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
FUNCTIONS = {
    **{"mean": "median", "median": "mean", "nanmean": "nanmedian", "nanmedian": "nanmean", "std": "var", "var": "std"},
    **{"max": "min", "min": "max", "maximum": "minimum", "minimum": "maximum", "nanmax": "nanmin", "nanmin": "nanmax"},
    **{"any": "all", "all": "any", "argmax": "argmin", "argmin": "argmax", "floor": "ceil", "ceil": "floor"},
    **{"idxmax": "idxmin", "idxmin": "idxmax", "sum": "mean", "nansum": "nanmean"},
}
REMOVABLE = {"abs", "sqrt", "square", "log", "log2", "log10", "exp", "copy", "sorted", "unique", "drop_duplicates"}
SYMMETRIC = {"maximum", "minimum", "max", "min", "add", "multiply", "union1d", "intersect1d", "hypot", "isinstance"}
LARGE = 10  # constants from here on are counts (iterations, starts), where one more or less changes nothing
TINY = 1e-6  # constants below guard against rounding, where a small change changes nothing


@dataclass(frozen=True)
class Mutant:
    """One change of one function.

    `before` and `after` are the changed lines as `ast.unparse` writes them, so that the description survives
    reformatting; `occurrence` tells apart changes that read alike.
    """

    function: str
    operator: str
    before: str
    after: str
    occurrence: int
    tree: ast.AST

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """What it is known by."""
        return self.function, self.operator, self.before, self.after, self.occurrence

    @property
    def diff(self) -> str:
        """The change, as a diff shows it."""
        removed = [f"- {line}" for line in self.before.splitlines()]
        return "\n".join([*removed, *(f"+ {line}" for line in self.after.splitlines())])


def mutants_of(root: ast.FunctionDef | ast.Module, name: str) -> list[Mutant]:
    """All mutants of a function, or of a cell's statements, in the order of its text.

    >>> tree = ast.parse("def share(x):\\n    return x / x.sum(axis=1)")
    >>> for mutant in mutants_of(tree.body[0], "share"):
    ...     print(mutant.operator, "|", mutant.after)
    arithmetic | return x * x.sum(axis=1)
    function | return x / x.mean(axis=1)
    keyword removed | return x / x.sum()
    constant | return x / x.sum(axis=0)
    """
    original = ast.unparse(root)
    seen, count, found = {original}, Counter[tuple[str, str, str]](), []
    for operator, path, node in _changes(root, (), _bound_names(root)):
        tree = _applied(root, path, node)
        text = ast.unparse(tree)
        if text in seen:
            continue
        seen.add(text)
        before, after = _changed_lines(original, text)
        count[operator, before, after] += 1
        found.append(Mutant(name, operator, before, after, count[operator, before, after], tree))
    return found


def _changed_lines(original: str, changed: str) -> tuple[str, str]:
    difference = list(difflib.ndiff(original.splitlines(), changed.splitlines()))
    before = [line[2:].strip() for line in difference if line.startswith("- ")]
    after = [line[2:].strip() for line in difference if line.startswith("+ ")]
    return "\n".join(before), "\n".join(after)


def _applied(root: ast.AST, path: Path, node: ast.AST | None) -> ast.AST:
    """A copy of the tree with one node replaced or removed."""
    tree = copy.deepcopy(root)
    parent = tree
    for field, index in path[:-1]:
        parent = getattr(parent, field) if index is None else getattr(parent, field)[index]
    field, index = path[-1]
    if index is None:
        setattr(parent, field, copy.deepcopy(node))
    elif node is None:
        del getattr(parent, field)[index]
    else:
        getattr(parent, field)[index] = copy.deepcopy(node)
    return ast.fix_missing_locations(tree)


def _bound_names(root: ast.AST) -> Counter[str]:
    """How often each name gets a value: dropping the only assignment of a name would be caught by any test."""
    stored = Counter(
        node.id for node in ast.walk(root) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    stored.update(node.arg for node in ast.walk(root) if isinstance(node, ast.arg))
    return stored


def _changes(node: ast.AST, path: Path, bound: Counter[str]) -> Iterator[Change]:
    """Every change of a node and of what it holds, in the order of the text."""
    yield from _changes_here(node, path, bound)
    for field, child in ast.iter_fields(node):
        if not _mutable(node, field):
            continue
        if isinstance(child, ast.AST):
            yield from _changes(child, (*path, (field, None)), bound)
        elif isinstance(child, list):
            for index, element in enumerate(child):
                if isinstance(element, ast.AST) and not _docstring(node, field, index):
                    yield from _changes(element, (*path, (field, index)), bound)


def _mutable(node: ast.AST, field: str) -> bool:
    if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Assert, ast.Import, ast.ImportFrom)) or _warns(node):
        return False
    return field not in ("annotation", "returns", "decorator_list", "args") or not isinstance(
        node, (ast.FunctionDef, ast.AnnAssign, ast.Lambda)
    )


def _warns(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _called(node) in ("warn", "print", "display")


def _docstring(node: ast.AST, field: str, index: int) -> bool:
    if not (isinstance(node, (ast.FunctionDef, ast.Module)) and field == "body" and index == 0):
        return False
    first = node.body[0]
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def _changes_here(node: ast.AST, path: Path, bound: Counter[str]) -> Iterator[Change]:
    for operator, new in _replacements(node):
        yield operator, path, new
    if isinstance(node, ast.Call) and not _warns(node):
        for index in range(len(node.keywords)):
            yield "keyword removed", (*path, ("keywords", index)), None
    if isinstance(node, ast.comprehension):
        for index in range(len(node.ifs)):
            yield "filter removed", (*path, ("ifs", index)), None
    for field in ("body", "orelse"):
        statements = getattr(node, field, None)
        if isinstance(statements, list):
            for index, statement in enumerate(statements):
                if not _docstring(node, field, index) and _droppable(statement, bound):
                    yield "statement dropped", (*path, (field, index)), ast.Pass()


def _droppable(statement: ast.AST, bound: Counter[str]) -> bool:
    if isinstance(statement, ast.Assign):
        names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
        return all(bound[name] > 1 for name in names) and not any(isinstance(t, ast.Tuple) for t in statement.targets)
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call) and not _warns(statement.value)
    if isinstance(statement, ast.If):
        return not statement.orelse
    return isinstance(statement, (ast.AugAssign, ast.Break, ast.Continue))


def _replacements(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.Compare):
        yield from _compared(node)
    elif isinstance(node, ast.BinOp):
        yield from _calculated(node)
    elif isinstance(node, ast.AugAssign) and type(node.op) in ARITHMETIC:
        yield "arithmetic", _with(node, op=ARITHMETIC[type(node.op)]())
    elif isinstance(node, ast.BoolOp):
        yield from _joined(node)
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.UAdd):
        yield "sign removed", node.operand
    elif isinstance(node, ast.Constant):
        yield from (("constant", ast.Constant(value)) for value in _other_constants(node.value))
    elif isinstance(node, ast.Call):
        yield from _called_otherwise(node)
    elif isinstance(node, ast.Slice):
        yield from (("slice", _with(node, **{end: None})) for end in ("lower", "upper", "step") if getattr(node, end))
    elif isinstance(node, (ast.If, ast.IfExp)) and not isinstance(node.test, (ast.Compare, ast.UnaryOp)):
        yield "condition", _with(node, test=ast.UnaryOp(ast.Not(), node.test))


def _with(node: ast.AST, **fields: object) -> ast.AST:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _compared(node: ast.Compare) -> Iterator[tuple[str, ast.AST]]:
    for index, old in enumerate(node.ops):
        for new in COMPARISONS[type(old)]:
            yield "comparison", _with(node, ops=[*node.ops[:index], new(), *node.ops[index + 1 :]])


def _calculated(node: ast.BinOp) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.op, ast.MatMult):
        yield "arguments swapped", _with(node, left=node.right, right=node.left)
    elif type(node.op) in ARITHMETIC:
        yield "arithmetic", _with(node, op=ARITHMETIC[type(node.op)]())


def _joined(node: ast.BoolOp) -> Iterator[tuple[str, ast.AST]]:
    yield "boolean", _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    for index in range(len(node.values)):
        kept = [*node.values[:index], *node.values[index + 1 :]]
        yield "operand dropped", kept[0] if len(kept) == 1 else _with(node, values=kept)


def _other_constants(value: object) -> Sequence[float]:
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return (1 - value,) if value in (0, 1) else (1,) if abs(value) >= LARGE else (value + 1,)
    if isinstance(value, float):
        return (value + 1.0,) if abs(value) < TINY else (round(value * 0.9, 12),)
    return ()


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _called_otherwise(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    name = _called(node)
    if name in FUNCTIONS:
        field = "attr" if isinstance(node.func, ast.Attribute) else "id"
        yield "function", _with(node, func=_with(node.func, **{field: FUNCTIONS[name]}))
    if name in REMOVABLE and not node.keywords:
        inner = node.args[0] if len(node.args) == 1 else None
        if not node.args and isinstance(node.func, ast.Attribute):
            inner = node.func.value
        if inner is not None:
            yield "call removed", inner
    plain = len(node.args) >= 2 and not any(isinstance(argument, ast.Starred) for argument in node.args[:2])
    if plain and name not in SYMMETRIC:
        yield "arguments swapped", _with(node, args=[node.args[1], node.args[0], *node.args[2:]])
