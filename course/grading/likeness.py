"""Submissions that look alike, by the structure of their code: a reason for a person to look, never a verdict.

Each answer becomes the sequence of nodes of its syntax tree: names a student may choose, comments, docstrings,
annotations and the values of constants are gone; functions called, operators and control flow stay. Its fingerprints
are the winnowed runs of that sequence (Schleimer, Wilkerson & Aiken 2003, SIGMOD: Winnowing). What was handed out, the
course's own solution and the known mistakes are removed first, so that writing what everybody is taught counts for
nothing.

How telling a likeness is depends on how rare it is. In one exercise a pair earns log2(n / m) bits, where m of n
students wrote something as close to one of the two as the other did; a solution that many arrive at earns nearly
nothing however equal it is. Bits are added over the exercises. What chance gives is found from the class itself: the
answers are dealt out anew, each exercise on its own, and a pair is shown where it is more alike than the most alike
pair of every such deal. Where a long passage is in two answers and nobody else's, that alone is enough.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.sparse import csr_array

RUN = 8  # nodes in a fingerprint: about one statement
WINDOW = 4  # of that many neighbouring runs one is kept
FEWEST_STUDENTS = 4
DEALS = 60  # of the class's answers; the most alike pair of all of them is what chance gives
SPARE_BITS = 1.5  # those who do well in one exercise do well in others, so exercises are not quite independent
ALIKE = 0.5  # share of two answers' own code, weighted by rarity, below which they are not alike
_AS_CLOSE = 0.9
_LITTLE = 3  # shared fingerprints that are nobody's known code; fewer say nothing
_PASSAGE = 40  # fingerprints that two have and nobody else: about a dozen lines

Answers = Mapping[str, str]


@dataclass(frozen=True)
class Alike:
    """Submissions that look alike: who, in which exercises how much, and how telling it is."""

    students: tuple[str, ...]
    bits: float
    exercises: Mapping[str, float]
    same_file: bool = False


def find_alike(
    answers: Mapping[str, Answers], known: Mapping[str, Sequence[str]], *, digests: Mapping[str, str] | None = None
) -> list[Alike]:
    """Groups of students whose code is more alike than the class makes likely, the most telling first.

    Parameters
    ----------
    answers : per student, the source of each exercise attempted
    known : per exercise, code that everybody has or is taught; the entry "" belongs to all exercises
    digests : per student, a hash of the whole submission; equal ones are the same file
    """
    students = sorted(answers)
    pairs = _same_files(answers, digests or {})
    if len(students) >= FEWEST_STUDENTS:
        pairs += _rare_pairs(students, answers, known)
    return sorted(_groups(pairs), key=lambda group: (-group.same_file, -group.bits, group.students))


@dataclass(frozen=True)
class _Pair:
    first: str
    second: str
    bits: float
    exercises: dict[str, float]
    same_file: bool = False


def _same_files(answers: Mapping[str, Answers], digests: Mapping[str, str]) -> list[_Pair]:
    by_digest: dict[str, list[str]] = {}
    for student in sorted(answers):
        if answers[student] and student in digests:
            by_digest.setdefault(digests[student], []).append(student)
    return [
        _Pair(group[0], other, 0.0, dict.fromkeys(answers[group[0]], 1.0), same_file=True)
        for group in by_digest.values()
        for other in group[1:]
    ]


def _rare_pairs(
    students: Sequence[str], answers: Mapping[str, Answers], known: Mapping[str, Sequence[str]]
) -> list[_Pair]:
    place = {student: index for index, student in enumerate(students)}
    common = _runs_of_all(known.get("", ()))
    found: dict[str, _Likeness] = {}
    for exercise in sorted({name for student in students for name in answers[student]}):
        sources = {student: answers[student][exercise] for student in students if exercise in answers[student]}
        given = common | _runs_of_all(known.get(exercise, ()))
        own = {student: fingerprints(source) - given for student, source in sources.items()}
        writers = [student for student in sources if own[student]]
        if len(sources) >= FEWEST_STUDENTS and len(writers) >= 2:
            at = np.array([place[student] for student in writers])
            found[exercise] = _likeness(at, [own[student] for student in writers], len(sources))
    if not found:
        return []
    bits = _sum(found.values(), len(students), None)
    passages = np.zeros(bits.shape, dtype=bool)
    for likeness in found.values():
        passages[np.ix_(likeness.at, likeness.at)] |= likeness.only_theirs >= _PASSAGE
    telling = (bits > _by_chance(found, len(students)) + SPARE_BITS) | passages
    pairs = []
    for i, j in zip(*np.nonzero(np.triu(telling, k=1)), strict=True):
        alike = {name: likeness.share_of(int(i), int(j)) for name, likeness in found.items()}
        alike = {name: share for name, share in alike.items() if share >= ALIKE}
        pairs.append(_Pair(students[i], students[j], float(bits[i, j]), alike))
    return pairs


@dataclass(frozen=True)
class _Likeness:
    """One exercise: whose answers are compared, and per pair the bits, the share alike, and what only they have."""

    at: np.ndarray
    bits: np.ndarray
    share: np.ndarray
    only_theirs: np.ndarray

    def share_of(self, i: int, j: int) -> float:
        rows = np.searchsorted(self.at, [i, j])
        if rows.max() >= len(self.at) or self.at[rows[0]] != i or self.at[rows[1]] != j:
            return 0.0
        return float(self.share[rows[0], rows[1]])


def _sum(found: Iterable[_Likeness], n: int, rng: np.random.Generator | None) -> np.ndarray:
    """Bits of all pairs over the exercises; with a generator, each exercise's answers dealt out anew."""
    bits = np.zeros((n, n), dtype=np.float32)
    for likeness in found:
        at = likeness.at if rng is None else rng.permutation(n)[: len(likeness.at)]
        bits[np.ix_(at, at)] += likeness.bits
    return bits


def _by_chance(found: Mapping[str, _Likeness], n: int) -> float:
    """The most bits of any pair when answers are dealt out at random."""
    rng = np.random.default_rng(20270301)  # the same report every time
    deals = DEALS if n <= 1000 else DEALS // 6  # more pairs tell as much in fewer deals
    return max(float(_sum(found.values(), n, rng).max()) for _ in range(deals))


def _likeness(at: np.ndarray, own: Sequence[frozenset[int]], n: int) -> _Likeness:
    """Compare the answers of one exercise that n students attempted; `own` is what is not known code."""
    columns = {run: column for column, run in enumerate(sorted(frozenset().union(*own)))}
    rows = np.repeat(np.arange(len(own)), [len(runs) for runs in own])
    places = np.array([columns[run] for runs in own for run in sorted(runs)])
    table = csr_array((np.ones(len(places), dtype=np.float32), (rows, places)), shape=(len(own), len(columns)))
    holders: np.ndarray = np.asarray(table.sum(axis=0)).ravel()
    weight = np.log2(n / holders).astype(np.float32)
    weighted = table.multiply(weight).tocsr()
    shared = (weighted @ table.T).toarray()
    whole: np.ndarray = np.asarray(weighted.sum(axis=1)).ravel()
    union = whole[:, None] + whole[None, :] - shared
    share = np.divide(shared, union, out=np.zeros_like(shared), where=union > 1e-6)
    share[(table @ table.T).toarray() < _LITTLE] = 0
    np.fill_diagonal(share, 0)
    pairs_only = table.multiply((holders == 2).astype(np.float32)).tocsr()
    only_theirs = (pairs_only @ table.T).toarray()
    np.fill_diagonal(only_theirs, 0)
    bits = np.where(share >= ALIKE, np.log2(n / np.maximum(_as_close(share), 2)), 0)
    return _Likeness(at, bits.astype(np.float32), share, only_theirs)


def _as_close(share: np.ndarray) -> np.ndarray:
    """For each pair, how many students (the two included) wrote something nearly as close to one of them."""
    n = len(share)
    counts = np.empty_like(share)
    for row in range(n):
        ordered = np.sort(share[row])
        counts[row] = n - np.searchsorted(ordered, _AS_CLOSE * share[row], side="left") + 1
    return np.maximum(counts, counts.T)


def _groups(pairs: Iterable[_Pair]) -> Iterator[Alike]:
    """Pairs that share a student belong together."""
    leader: dict[str, str] = {}

    def find(student: str) -> str:
        while leader.setdefault(student, student) != student:
            student = leader[student]
        return student

    pairs = list(pairs)
    for pair in pairs:
        leader[find(pair.second)] = find(pair.first)
    members: dict[str, list[_Pair]] = {}
    for pair in pairs:
        members.setdefault(find(pair.first), []).append(pair)
    for group in members.values():
        exercises: dict[str, float] = {}
        for pair in group:
            for name, share in pair.exercises.items():
                exercises[name] = max(share, exercises.get(name, 0.0))
        students = sorted({student for pair in group for student in (pair.first, pair.second)})
        yield Alike(tuple(students), max(pair.bits for pair in group), exercises, any(pair.same_file for pair in group))


# --------------------------------------------------------------------------------------------------------------------
# The structure of code


@lru_cache(maxsize=65536)
def fingerprints(source: str) -> frozenset[int]:
    """The winnowed runs of a source's structure: of neighbouring runs the one with the smallest hash.

    >>> first = fingerprints("def f(x):\\n    y = x + 1\\n    return y * 2")
    >>> first == fingerprints("def other(a):\\n    b = a + 5\\n    return b * 7")
    True
    """
    hashes = _hashes(structure(source))
    if len(hashes) <= WINDOW:
        return frozenset(hashes[:1])
    return frozenset(min(hashes[start : start + WINDOW]) for start in range(len(hashes) - WINDOW + 1))


def _runs_of_all(sources: Iterable[str]) -> set[int]:
    """Every run of known code, kept by the winnowing or not."""
    return {run for source in sources for run in _hashes(structure(source))}


def _hashes(nodes: Sequence[str]) -> list[int]:
    runs = [nodes[start : start + RUN] for start in range(len(nodes) - RUN + 1)]
    if not runs and nodes:
        runs = [nodes]
    return [int.from_bytes(hashlib.blake2b("\0".join(run).encode(), digest_size=8).digest(), "big") for run in runs]


def structure(source: str) -> list[str]:
    """The nodes of a source's syntax tree, without what a student may choose freely.

    >>> structure("total = sum(parts)  # easy")
    ['Assign', 'name', 'Call', 'sum', 'parts']
    """
    tree = _parsed(source)
    if tree is None:
        return []
    chosen = _chosen_names(tree)
    nodes: list[str] = []
    _walk(tree, chosen, nodes)
    return nodes


def _parsed(source: str) -> ast.Module | None:
    """The syntax tree; where a cell does not parse, of as many of its first lines as do."""
    lines = ["pass" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines()]
    while lines:
        try:
            return ast.parse("\n".join(lines))
        except SyntaxError as error:
            lines = lines[: max(0, min(len(lines) - 1, (error.lineno or 1) - 1))]
        except (ValueError, RecursionError, MemoryError):
            return None
    return None


def _chosen_names(tree: ast.Module) -> set[str]:
    """Names that the code itself gives: variables, parameters, local functions."""
    chosen: set[str | None] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            chosen.add(node.id)
        elif isinstance(node, ast.arg):
            chosen.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler):
            chosen.add(node.name)
    return {name for name in chosen if name}


_SWAPPED = {ast.Gt: ast.Lt, ast.GtE: ast.LtE}


def _walk(node: ast.AST, chosen: set[str], nodes: list[str], depth: int = 0) -> None:
    if depth > 80:  # nobody writes that by hand
        return
    for token in _tokens(node, chosen):
        nodes.append(token)
    for child in _children(node):
        _walk(child, chosen, nodes, depth + 1)


def _tokens(node: ast.AST, chosen: set[str]) -> list[str]:
    """What a node adds to the sequence: its kind, or the name or operator it stands for."""
    if isinstance(node, ast.Name):
        return ["name" if node.id in chosen else node.id]
    if isinstance(node, ast.Attribute):
        return [f".{node.attr}"]
    if isinstance(node, ast.Constant):
        return [type(node.value).__name__ if not isinstance(node.value, int | float | complex) else "number"]
    if isinstance(node, ast.keyword):
        return [f"{node.arg}="]
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.UnaryOp):
        return [type(node.op).__name__]
    if isinstance(node, ast.AugAssign):
        return ["Assign", "name", type(node.op).__name__]
    if isinstance(node, ast.Compare):
        operators = [_SWAPPED.get(type(op), type(op)) if len(node.ops) == 1 else type(op) for op in node.ops]
        return [operator.__name__ for operator in operators]
    if isinstance(node, ast.Import | ast.ImportFrom | ast.alias):
        return []
    if isinstance(node, ast.Module | ast.Expr | ast.Pass | ast.arguments | ast.arg | ast.expr_context | ast.operator):
        return []
    if isinstance(node, ast.AnnAssign):
        return ["Assign"]
    return [type(node).__name__]


def _children(node: ast.AST) -> list[ast.AST]:
    """The parts that count, in an order that does not depend on how it was typed."""
    if isinstance(node, ast.AnnAssign):
        return [node.target, *([node.value] if node.value else [])]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.args, *_without_docstring(node.body)]
    if isinstance(node, ast.arguments):
        return [default for default in (*node.defaults, *node.kw_defaults) if default is not None]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return []
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _SWAPPED:
        return [*node.comparators, node.left]
    if isinstance(node, ast.Module | ast.ClassDef):
        return list(_without_docstring(node.body))
    skipped = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
    return [child for child in ast.iter_child_nodes(node) if not isinstance(child, skipped)]


def _without_docstring(body: Sequence[ast.stmt]) -> Sequence[ast.stmt]:
    first = body[0] if body else None
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return body[1:] if is_text else body


# --------------------------------------------------------------------------------------------------------------------
# What everybody has


def known_code(unit: str, language: str = "en") -> dict[str, list[str]]:
    """Code of a unit that counts for nothing: what is handed out and the solution (""), known mistakes by exercise."""
    import json

    from course import paths

    known: dict[str, list[str]] = {"": []}
    for file in (paths.exercise_notebook(unit, language), paths.solution_notebook(unit, language)):
        if file.is_file():
            cells: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["cells"]
            known[""] += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    mistakes = paths.known_mistakes(unit)
    if mistakes.is_file():
        tree = ast.parse(mistakes.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                bare = ast.Module([ast.FunctionDef(node.name, node.args, node.body, [])], [])
                known[""].append(ast.unparse(ast.fix_missing_locations(bare)))
    return known
