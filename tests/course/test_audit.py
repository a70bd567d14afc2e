"""The audit: it must find what is wrong with tests, mistakes and lists, and stay quiet where nothing is."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from course import paths
from course.authoring import audit as auditing
from course.authoring import audit_record
from course.authoring.audit import Material, UnitAudit, audit
from course.authoring.forked import Job, run_forked
from course.authoring.mutants import mutants_of
from course.checking import Mistake
from course.checking.recognise import Answers, Recorder, load_mistakes, recognise
from course.checking.runner import Context, with_tests
from course.errors import CourseError

# --- mutants -------------------------------------------------------------------------------------------------------


def changes(source: str) -> set[tuple[str, str]]:
    """Operator and changed lines of all mutants of a function."""
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    return {(mutant.operator, mutant.after) for mutant in mutants_of(function, function.name)}


@pytest.mark.parametrize(
    ("line", "operator", "changed"),
    [
        ("return x < 2", "comparison", "return x <= 2"),
        ("return x < 2", "comparison", "return x >= 2"),
        ("return x == y", "comparison", "return x != y"),
        ("return x in y", "comparison", "return x not in y"),
        ("return x + y", "arithmetic", "return x - y"),
        ("return x @ y", "arguments swapped", "return y @ x"),
        ("x /= y", "arithmetic", "x *= y"),
        ("return x and y", "boolean", "return x or y"),
        ("return x and y", "operand dropped", "return y"),
        ("return -x", "sign removed", "return x"),
        ("return not x", "sign removed", "return x"),
        ("return f(x, True)", "constant", "return f(x, False)"),
        ("return x * 1.5", "constant", "return x * 1.35"),
        ("return x > 1e-12", "constant", "return x > 1.000000000001"),
        ("return range(100)", "constant", "return range(1)"),
        ("return x.sum(axis=1)", "constant", "return x.sum(axis=0)"),
        ("return x.var(ddof=1)", "keyword removed", "return x.var()"),
        ("return f(x, y)", "arguments swapped", "return f(y, x)"),
        ("return np.median(x)", "function", "return np.mean(x)"),
        ("return np.abs(x)", "call removed", "return x"),
        ("x = x.copy()", "call removed", "x = x"),
        ("return x[2:]", "slice", "return x[:]"),
        ("return [a for a in x if a]", "filter removed", "return [a for a in x]"),
        ("x.sort()", "statement dropped", "pass"),
        ("x = 3 * x", "statement dropped", "pass"),
        ("return x if f(x) else y", "condition", "return x if not f(x) else y"),
    ],
)
def test_each_operator(line: str, operator: str, changed: str) -> None:
    assert (operator, changed) in changes(f"def f(x, y):\n    {line}\n    return x")


@pytest.mark.parametrize(
    "line",
    [
        '"""Doc with 1 + 1."""',
        "raise ValueError(f'{x + 1} is not {2}')",
        "warnings.warn('x is 3')",
        "y: Annotated[int, 3]",
        "return hypot(x, y)",
        "return f'{x:3}'",
        "z = x",
    ],
)
def test_what_is_left_alone(line: str) -> None:
    assert changes(f"def f(x=1, *, y=2):\n    {line}") == set()


def test_mutants_are_different_and_told_apart() -> None:
    function = ast.parse("def f(x):\n    y = x + 1\n    y = x + 1\n    return y * 1").body[0]
    assert isinstance(function, ast.FunctionDef)
    mutants = mutants_of(function, "f")
    assert len({mutant.key for mutant in mutants}) == len(mutants) == len({ast.unparse(m.tree) for m in mutants})
    assert sorted(m.occurrence for m in mutants if m.after == "y = x - 1") == [1, 2]
    assert ast.unparse(function) == "def f(x):\n    y = x + 1\n    y = x + 1\n    return y * 1"


# --- children ------------------------------------------------------------------------------------------------------


def hang() -> None:
    while True:
        pass


def die() -> None:
    import os

    os.kill(os.getpid(), 9)


def test_children_that_hang_die_or_raise_are_told_apart() -> None:
    jobs = [
        Job("well", lambda: {"a": 1}, 30),
        Job("hangs", hang, 0.5),
        Job("dies", die, 30),
        Job("raises", lambda: 1 / 0, 30),
        Job("eats", lambda: bytearray(10**11), 30),
    ]
    done = {one.job.name: one for one in run_forked(jobs, workers=2)}
    assert done["well"].result == {"a": 1}
    assert done["well"].trouble == ""
    assert done["hangs"].timed_out
    assert done["dies"].trouble == "died with exit code -9"
    assert done["raises"].trouble == "ZeroDivisionError: division by zero"
    assert done["eats"].trouble.startswith("MemoryError")


def test_leaving_early_leaves_no_child() -> None:
    import multiprocessing

    for _ in run_forked([Job("well", int, 30), Job("hangs", hang, 60), Job("hangs too", hang, 60)], workers=2):
        break
    time.sleep(0.05)
    assert multiprocessing.active_children() == []


# --- a miniature unit ----------------------------------------------------------------------------------------------

REFERENCE = '''
import numpy as np

def centred(x):
    """Columns around 0."""
    x = np.asarray(x, dtype=float)
    if np.isnan(x).any():
        raise ValueError("x has missing values")
    return x - np.mean(x, axis=0)
'''
HEAD = """
import numpy as np
import pytest
from numpy.testing import assert_allclose
from course.checking import drawn, mistake, points
"""


def one_test(name: str, body: str, exercise: str = "centred") -> str:
    """Source of one test in the agreed form."""
    return f'@points(1)\ndef test_{name}({exercise}, draw):\n    """Property.\n\n    性质。"""\n    {body}\n\n\n'


VISIBLE = {
    "shape": "assert centred(np.ones((3, 2))).shape == (3, 2)",
    "constant": "assert_allclose(centred(np.ones((3, 2))), 0)",
}
HIDDEN = {
    "values": "x = draw.rng.normal(size=(5, 3)); assert_allclose(centred(x), x - x.mean(axis=0), atol=1e-9)",
    "skewed": "x = draw.rng.exponential(size=(9, 2)); assert_allclose(centred(x).sum(axis=0), 0, atol=1e-9)",
    "missing": "with pytest.raises(ValueError, match='missing'): centred(np.array([[np.nan], [1.0]]))",
}
MISTAKES = {
    "around_the_median": "if np.isnan(x).any(): raise ValueError('missing')\n    return x - np.median(x, axis=0)",
    "around_one_mean": "if np.isnan(x).any(): raise ValueError('missing')\n    return x - x.mean()",
}


@pytest.fixture
def unit(tmp_path: Path) -> Callable[..., Material]:
    """Makes a unit's material from tests and mistakes."""

    def make(
        *,
        reference: str = REFERENCE,
        visible: dict[str, str] = VISIBLE,
        hidden: dict[str, str] = HIDDEN,
        mistakes: dict[str, str] = MISTAKES,
        equivalents: list[auditing.Equivalent] | None = None,
    ) -> Material:
        module = f"miniature_{tmp_path.name}".replace("-", "_")
        (tmp_path / f"{module}.py").write_text(reference, encoding="utf-8")
        sys.path.insert(0, str(tmp_path))
        try:
            importlib.invalidate_caches()
            importlib.import_module(module)
        finally:
            sys.path.remove(str(tmp_path))
        for kind, tests in (("visible", visible), ("hidden", hidden)):
            (tmp_path / kind).mkdir(exist_ok=True)
            text = HEAD + "".join(one_test(name, body) for name, body in tests.items())
            (tmp_path / kind / "test_99_mini.py").write_text(text, encoding="utf-8")
        text = HEAD + "".join(
            f"@mistake(of='centred', en='Your {name}.', zh='你的{name}。')\ndef {name}(x):\n    {body}\n"
            for name, body in mistakes.items()
        )
        (tmp_path / "mistakes_99_mini.py").write_text(text, encoding="utf-8")
        known = load_mistakes(tmp_path / "mistakes_99_mini.py", of="centred")
        return Material(
            unit="99_mini",
            exercises=["centred"],
            visible=tmp_path / "visible" / "test_99_mini.py",
            hidden=tmp_path / "hidden" / "test_99_mini.py",
            subjects={"centred": auditing.function_subjects("centred", module, known, {"centred": not_yet})},
            equivalents=equivalents or [],
            context=Context,
        )

    return make


def not_yet(_x: Any) -> Any:
    raise NotImplementedError


def problems(audited: UnitAudit) -> str:
    """All problems as one text."""
    return "\n".join([*audited.problems, *(problem for one in audited.exercises for problem in one.problems)])


def equivalent(*, before: str, after: str, operator: str, occurrence: int = 1) -> auditing.Equivalent:
    return auditing.Equivalent("centred", operator, before, after, "because it changes nothing", occurrence)


NO_DTYPE = equivalent(before="x = np.asarray(x, dtype=float)", after="x = np.asarray(x)", operator="keyword removed")
NO_ARRAY = equivalent(before="x = np.asarray(x, dtype=float)", after="pass", operator="statement dropped")


class TestAudit:
    def test_a_good_unit_is_clean(self, unit: Callable[..., Material]) -> None:
        tests = HIDDEN | {"lists": "assert_allclose(centred([['1', '2'], ['3', '4']]), [[-1, -1], [1, 1]])"}
        found = audit(unit(hidden=tests), keys=12)
        assert problems(found) == ""
        assert found.clean
        exercise = found.exercises[0]
        assert (exercise.visible, exercise.hidden, exercise.points) == (2, 4, 6)
        assert exercise.mistakes_caught == exercise.mistakes == 2
        assert exercise.killed == exercise.mutants > 5
        assert (exercise.lines, exercise.lines_missed) == (4, [])

    def test_living_mutants_are_shown_until_they_are_listed(self, unit: Callable[..., Material]) -> None:
        found = audit(unit(), keys=2)
        assert {(mutant.operator, mutant.after) for mutant in found.exercises[0].alive} == {
            ("keyword removed", "x = np.asarray(x)"),
            ("statement dropped", "pass"),
        }
        assert "2 of" in problems(found)
        listed = audit(unit(equivalents=[NO_DTYPE]), keys=2).exercises[0]
        assert (len(listed.alive), listed.equivalent) == (1, 1)

    def test_too_many_equivalents(self, unit: Callable[..., Material]) -> None:
        assert "at most 1 may be" in problems(audit(unit(equivalents=[NO_DTYPE, NO_ARRAY]), keys=2))

    def test_an_entry_for_no_mutant_or_for_a_caught_one(self, unit: Callable[..., Material]) -> None:
        gone = equivalent(before="x = 1", after="x = 2", operator="constant")
        caught = equivalent(
            before="return x - np.mean(x, axis=0)", after="return x + np.mean(x, axis=0)", operator="arithmetic"
        )
        said = problems(audit(unit(equivalents=[gone, caught]), keys=2))
        assert "no mutant of centred turns 'x = 1'" in said
        assert "listed as equivalent, but caught" in said

    def test_a_test_that_catches_nothing(self, unit: Callable[..., Material]) -> None:
        found = audit(unit(hidden=HIDDEN | {"idle": "assert centred is not None"}), keys=2)
        assert found.exercises[0].redundant == ["hidden/test_idle"]
        assert "hidden/test_idle catches no known mistake and no mutant" in problems(found)

    def test_a_reference_that_fails_on_some_keys(self, unit: Callable[..., Material]) -> None:
        tests = HIDDEN | {"lucky": "assert draw.rng.random() < 0.8; assert centred(np.ones((1, 1))) == 0"}
        said = problems(audit(unit(hidden=tests), keys=50))
        assert "the reference fails hidden/test_lucky on" in said
        assert "of 50 keys: assert " in said

    def test_a_mistake_that_escapes(self, unit: Callable[..., Material]) -> None:
        harmless = MISTAKES | {
            "none_at_all": "if np.isnan(x).any(): raise ValueError('missing')\n    return x - x.mean(0)"
        }
        assert "none_at_all passes all hidden tests on 2 of 2 keys" in problems(audit(unit(mistakes=harmless), keys=2))

    def test_two_mistakes_that_are_one(self, unit: Callable[..., Material]) -> None:
        twins = MISTAKES | {"twin": MISTAKES["around_one_mean"]}
        said = problems(audit(unit(mistakes=twins), keys=2))
        assert "the mistake twin can't be told from around_one_mean" in said

    def test_a_mistake_that_answers_by_chance_is_not_recognised(self, unit: Callable[..., Material]) -> None:
        chance = MISTAKES | {"chance": "return x + np.random.default_rng().normal()"}
        assert "the mistake chance is not recognised" in problems(audit(unit(mistakes=chance), keys=2))

    def test_mistakes_that_a_learner_would_all_see(self, unit: Callable[..., Material]) -> None:
        visible = VISIBLE | {"values": HIDDEN["values"]}
        assert "fails a visible test; one must pass them all" in problems(audit(unit(visible=visible), keys=2))

    def test_too_few_of_everything(self, unit: Callable[..., Material]) -> None:
        few = unit(
            visible={"shape": VISIBLE["shape"]},
            hidden={"values": HIDDEN["values"], "missing": HIDDEN["missing"]},
            mistakes={"around_one_mean": MISTAKES["around_one_mean"]},
        )
        said = problems(audit(few, keys=2))
        for what in ("1 visible tests; 2", "2 hidden tests; 3", "1 known mistakes; 2"):
            assert what in said

    def test_a_starter_that_is_more_than_empty(self, unit: Callable[..., Material]) -> None:
        material = unit()
        subjects = dataclasses.replace(material.subjects["centred"], starter=lambda x: x)
        said = problems(audit(dataclasses.replace(material, subjects={"centred": subjects}), keys=2))
        assert "the empty starter is not 'not attempted' in" in said

    def test_a_mutant_that_never_ends_is_caught(
        self, unit: Callable[..., Material], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(auditing, "GRACE", 0.3)
        endless = REFERENCE.replace(
            "    return x", "    steps = 0\n    while steps < 3:\n        steps += 1\n    return x"
        )
        exercise = audit(unit(reference=endless), keys=2).exercises[0]
        assert not any("steps" in mutant.before and "-=" in mutant.after for mutant in exercise.alive)

    def test_lines_that_no_test_runs(self, unit: Callable[..., Material]) -> None:
        more = REFERENCE.replace("    return x", "    if len(x) > 99:\n        x = x + 0\n    return x")
        assert audit(unit(reference=more), keys=1).exercises[0].lines_missed == [10]

    def test_ctrl_c_passes_and_leaves_no_child(self, unit: Callable[..., Material]) -> None:
        import multiprocessing

        def interrupt(done: int, _all: int, _what: str) -> None:
            if done == 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            audit(unit(), keys=2, progress=interrupt)
        assert multiprocessing.active_children() == []

    def test_tests_that_cannot_be_collected_are_one_error(self, unit: Callable[..., Material]) -> None:
        with pytest.raises(CourseError, match="unit 99_mini"):
            audit(unit(hidden={"broken": "pass; 1 +"}), keys=1)

    def test_a_mistake_that_asks_for_what_the_lesson_lacks_is_one_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(auditing, "value_namespaces", lambda _notebook, names: {name: {} for name in names})
        with pytest.raises(CourseError, match=r"unit 08_early_and_late: the mistake .* asks for"):
            auditing.read_unit_material("08_early_and_late")


# --- values --------------------------------------------------------------------------------------------------------


def test_value_exercises(tmp_path: Path) -> None:
    """The lesson's names stand for themselves: the reference, mistakes and mutants of a value come from them."""
    lesson = {"scores": [3, 1, 2], "sorted": sorted, "len": len}

    def takes_the_first(scores: list[int]) -> int:
        return scores[0] - 1

    def takes_the_smallest(scores: list[int]) -> int:
        scores.sort()
        return scores[0]

    known = [
        Mistake(one.__name__, "best", {"en": "a", "zh": "甲"}, one) for one in (takes_the_first, takes_the_smallest)
    ]
    subjects = auditing.value_subjects("best", "best = sorted(scores)[-1] + len(scores)", lesson, known, {})
    assert subjects.reference == 6
    assert subjects.starter is ...
    assert [mistake.function() for mistake in subjects.mistakes] == [2, 1]
    assert lesson["scores"] == [3, 1, 2], "a mistake works on copies"
    for kind, tests in (
        ("visible", {"type": "assert isinstance(best, int)", "positive": "assert best > 0"}),
        ("hidden", {"value": "assert best == 6", "large": "assert best > 3", "below": "assert 5.5 < best < 6.5"}),
    ):
        (tmp_path / kind).mkdir()
        text = HEAD + "".join(one_test(name, body, "best") for name, body in tests.items())
        (tmp_path / kind / "test_99_mini.py").write_text(text, encoding="utf-8")
    visible, hidden = (tmp_path / kind / "test_99_mini.py" for kind in ("visible", "hidden"))
    material = Material("99_mini", ["best"], visible, hidden, {"best": subjects}, [], Context)
    found = audit(material, keys=11)
    assert problems(found) == ""
    assert found.exercises[0].killed == found.exercises[0].mutants > 2


# --- recognising ---------------------------------------------------------------------------------------------------


class TestRecognition:
    @staticmethod
    def known(**functions: Callable[..., Any]) -> list[Mistake]:
        return [Mistake(name, "f", {"en": name, "zh": "错"}, function) for name, function in functions.items()]

    @staticmethod
    def recorded(function: Any, *calls: tuple[Any, ...]) -> list[Any]:
        recorder = Recorder(Answers({"f": function}))
        for arguments in calls:
            with contextlib.suppress(ValueError):
                recorder.get("f")(*arguments)
        return recorder.calls("f")

    def test_the_mistake_that_answers_alike(self) -> None:
        known = self.known(doubled=lambda x: 2 * x, shifted=lambda x: x + 1)
        found = recognise(self.recorded(lambda x: x + x, (3,), (5,)), known)
        assert found is not None
        assert found.name == "doubled"

    def test_another_error_is_none_of_them(self) -> None:
        assert recognise(self.recorded(lambda x: 3 * x, (3,)), self.known(doubled=lambda x: 2 * x)) is None

    def test_where_two_answer_alike_none_is_named(self) -> None:
        known = self.known(doubled=lambda x: 2 * x, shifted=lambda x: x + 1)
        assert recognise(self.recorded(lambda x: x + x, (1,)), known) is None

    def test_nothing_asked_nothing_recognised(self) -> None:
        assert recognise([], self.known(doubled=lambda x: 2 * x)) is None

    def test_by_the_kind_of_error(self) -> None:
        import numpy as np

        def singular(_x: int) -> None:
            raise np.linalg.LinAlgError("singular")  # crosses from a kernel as the ValueError that it is

        known = self.known(refuses=lambda x: int("x"), breaks=lambda x: {}[x])
        found = recognise(self.recorded(singular, (1,)), known)
        assert found is not None
        assert found.name == "refuses"

    def test_by_what_it_does_to_its_arguments(self) -> None:
        def sorts_in_place(x: list[int]) -> list[int]:
            x.sort()
            return x

        known = self.known(in_place=sorts_in_place, copies=sorted)
        found = recognise(self.recorded(sorts_in_place, ([3, 1],)), known)
        assert found is not None
        assert found.name == "in_place"

    def test_random_functions_are_replayed_from_the_same_state(self) -> None:
        import numpy as np

        def draws(rng: np.random.Generator) -> float:
            return float(rng.normal())

        rng = np.random.default_rng(1)
        found = recognise(self.recorded(draws, (rng,), (rng,)), self.known(draws=draws, other=lambda rng: rng.random()))
        assert found is not None
        assert found.name == "draws"

    def test_a_value_by_the_lessons_names(self) -> None:
        recorder = Recorder(Answers({"f": [1, 2]}))
        assert recorder.get("f") == [1, 2]
        known = self.known(first=lambda table: table[:2], last=lambda table: table[-2:])
        found = recognise(recorder.calls("f"), known, {"table": [1, 2, 3]})
        assert found is not None
        assert found.name == "first"


# --- records -------------------------------------------------------------------------------------------------------


def test_equivalents_need_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "equivalent.toml"
    entry = '[[equivalent]]\nfunction = "f"\noperator = "constant"\nbefore = "a"\nafter = "b"\n'
    assert auditing.read_equivalents(path) == []
    for text, problem in ((entry, "reason"), (entry + 'reason = "same"\n', "say why"), ("[[", "equivalent.toml")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(CourseError, match=problem):
            auditing.read_equivalents(path)
    path.write_text(entry + 'reason = "the order does not matter"\n', encoding="utf-8")
    assert auditing.read_equivalents(path)[0].key == ("f", "constant", "a", "b", 1)


def test_a_record_holds_nothing_of_the_machine(unit: Callable[..., Material]) -> None:
    first, second = (json.dumps(audit_record.as_record(audit(unit(), keys=2), "hash")) for _ in range(2))
    assert first == second
    assert "seconds" not in first


def test_the_table_stands_between_its_marks(unit: Callable[..., Material]) -> None:
    record = audit_record.as_record(audit(unit(), keys=1), "hash")
    before = f"# Title\n{audit_record.BEGIN}\nold\n{audit_record.END}\nrest\n"
    after = audit_record.readme_with_table(before, [record])
    assert "| 99_mini | `centred` | 5 | 2 + 3 | 2 of 2 |" in after
    assert after.startswith("# Title\n")
    assert after.endswith(f"{audit_record.END}\nrest\n")
    assert audit_record.readme_with_table(after, [record]) == after
    with pytest.raises(CourseError, match="audit:begin"):
        audit_record.readme_with_table("# Title\n", [record])


@pytest.mark.parametrize("unit_name", paths.unit_names())
def test_every_input_of_a_units_audit_is_there(unit_name: str) -> None:
    names = {path.relative_to(paths.ROOT).as_posix() for path in audit_record.inputs_of(unit_name)}
    assert {f"tests/hidden/test_{unit_name}.py", "reference_impl/validation.py", "course/checking/runner.py"} <= names
    assert audit_record.hash_of(unit_name) == audit_record.hash_of(unit_name)


def test_the_closing_comparison_makes_no_audit_out_of_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`course compare` fills a block of the lesson that no exercise uses; any other change of the lesson counts."""
    lesson = tmp_path / "lesson.md"
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(audit_record, "inputs_of", lambda unit: [lesson])

    def hash_with(before: str, shown: str) -> str:
        lesson.write_text(f"{before}\n# comparison:begin (made)\n{shown}# comparison:end\nafter\n", encoding="utf-8")
        return audit_record.hash_of("12_network_fusion")

    assert hash_with("before", "") == hash_with("before", "COMPARISON = []\n")
    assert hash_with("before", "") != hash_with("other", "")


@functools.cache
def recorded_units() -> list[str]:
    return [unit for unit in paths.unit_names() if audit_record.read_record(unit) is not None]


@pytest.mark.slow
@pytest.mark.parametrize("unit_name", recorded_units())
def test_named_mistakes_come_back_through_the_tests(unit_name: str) -> None:
    """A quick part of the audit of the real units, on a key of its own: every mistake is caught and named."""
    material = auditing.read_unit_material(unit_name)

    def body(runner: Any) -> list[str]:
        examination, lost = auditing.Examination(material, runner), []
        for name, subjects in material.subjects.items():
            hidden = [test.id for test in examination.tests(name, visible=False)]  # as many as that takes
            for mistake in subjects.mistakes:
                statuses, alike = examination.run_mistake(name, mistake, [b"a key of its own"], hidden)[0]
                if alike != [mistake.name] or all(status == "passed" for status in statuses.values()):
                    lost.append(f"{name}: {mistake.name}: {alike}")
        return lost

    lost = with_tests(body, exercises=material.exercises, visible=[material.visible], hidden=[material.hidden])
    assert lost == []
