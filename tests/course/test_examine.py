"""The examination: honest work earns its points, tricks earn nothing, and a crash costs only its own tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest

from course.grading import sandbox
from course.grading import verdict as verdicts
from course.grading.examine import Examination, ExaminationError, Examiner, UnitFiles, record_key, restore

from .miniature import (
    FULL,
    LABEL,
    QUICK,
    STARTER,
    make_unit,
    points_of,
    statuses_of,
    submission,
)

REFUSE = "if isinstance(x, str): raise ValueError('text')"


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> UnitFiles:
    return make_unit(tmp_path_factory.mktemp("unit"))


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    with Examiner() as warm:
        yield warm


@pytest.fixture
def examine(examiner: Examiner, unit: UnitFiles) -> Any:
    def run(**parts: str) -> Examination:
        return examiner.examine(submission(**parts), unit=unit, limits=QUICK, student="ada")

    return run


def mistake_in(verdict: dict[str, Any], exercise: str) -> str | None:
    found = next(entry["mistake"] for entry in verdict["exercises"] if entry["name"] == exercise)
    return found and found["name"]


def test_honest_work_earns_everything(examine: Any) -> None:
    verdict = examine().verdict
    verdicts.validate(verdict)
    assert points_of(verdict) == FULL
    assert verdict["isolation"] == sandbox.chosen().name
    assert verdict["student"] == "ada"
    assert [cell["status"] for cell in verdict["cells"]] == ["ok"] * 4


def test_who_fills_the_scratch_keeps_what_is_earned_later(examiner: Examiner, unit: UnitFiles, sandboxed: str) -> None:
    fill = """
        try:
            for number in range(1000):
                with open(f"part-{number}", "wb") as file:
                    file.write(bytes(2**20))
        except OSError:
            pass
    """
    notebook = submission(before=fill)
    small = replace(QUICK, scratch_bytes=16 * 2**20)
    verdict = examiner.examine(notebook, unit=unit, limits=small).verdict
    assert points_of(verdict) == FULL


def test_the_starter_earns_nothing_and_is_called_not_attempted(examine: Any) -> None:
    verdict = examine(**STARTER).verdict
    assert verdict["points"] == 0
    assert {entry["status"] for entry in verdict["exercises"]} == {"not_attempted"}


def test_a_known_mistake_is_named_for_functions_and_for_values(examine: Any) -> None:
    wrong = "def double(x):\n    if isinstance(x, str):\n        raise ValueError('no text')\n    return x + 2"
    verdict = examine(double=wrong, total="total = parts[0] + parts[1]").verdict
    assert points_of(verdict) == {"double": 2, "label_of": 3, "total": 0}
    assert mistake_in(verdict, "double") == "adds_two"
    assert mistake_in(verdict, "total") == "without_the_last"


def test_a_function_that_raises_loses_only_its_tests(examine: Any) -> None:
    verdict = examine(double="def double(x):\n    raise KeyError(str(x))", label_of="1/0").verdict
    assert set(statuses_of(verdict, "double").values()) == {"error"}
    assert set(statuses_of(verdict, "label_of").values()) == {"not_attempted"}
    assert points_of(verdict)["total"] == 3
    hidden = next(t for e in verdict["exercises"] for t in e["tests"] if t["id"] == "hidden/test_doubles_all")
    assert hidden["detail"] == "KeyError"  # and not its text, which holds the hidden input
    visible = next(t for e in verdict["exercises"] for t in e["tests"] if t["id"] == "visible/test_doubles_one")
    assert visible["detail"].endswith("(double, line 2: raise KeyError(str(x)))")


def test_an_endless_loop_loses_only_the_tests_it_hangs_in(examine: Any) -> None:
    loop = f"def double(x):\n    {REFUSE}\n    while x.size > 1: pass\n    return 2 * x"
    verdict = examine(double=loop).verdict
    assert statuses_of(verdict, "double") == {
        "test_doubles_one": "passed",
        "test_doubles_all": "timeout",
        "test_leaves_its_input": "timeout",
        "test_refuses_text": "passed",
    }
    assert points_of(verdict) == {"double": 2, "label_of": 3, "total": 3}


def test_a_loop_that_ignores_interrupts_is_ended_and_the_rest_examined(examine: Any) -> None:
    stubborn = """
        def double(x):
            while True:
                try:
                    while True:
                        pass
                except BaseException:
                    pass
    """
    verdict = examine(double=stubborn, before="memory = 5").verdict
    assert set(statuses_of(verdict, "double").values()) == {"timeout"}
    assert points_of(verdict) == {"double": 0, "label_of": 3, "total": 3}


def test_a_killed_kernel_comes_back_with_the_notebook_as_it_was(examine: Any) -> None:
    killer = "import os\ndef double(x):\n    if isinstance(x, str):\n        raise ValueError('text')\n    os._exit(0)"
    label = "def label_of(n):\n    return prefix + str(n)"
    verdict = examine(double=killer, before="prefix = 'number '", label_of=label).verdict
    assert statuses_of(verdict, "double")["test_doubles_all"] == "kernel_died"
    assert statuses_of(verdict, "double")["test_refuses_text"] == "passed"
    assert points_of(verdict) == {"double": 1, "label_of": 3, "total": 3}


def test_a_cell_that_kills_or_hangs_is_left_out_and_the_rest_is_examined(examine: Any) -> None:
    verdict = examine(before="import os\nos.kill(os.getpid(), 9)", last="while True: pass").verdict
    assert points_of(verdict) == FULL
    statuses = {cell["id"]: cell["status"] for cell in verdict["cells"]}
    assert statuses == {
        "given": "ok",
        "before": "kernel_died",
        "double": "ok",
        "label-of": "ok",
        "total": "ok",
        "last": "timeout",
    }


def test_too_much_memory_is_a_status_of_its_own(examine: Any) -> None:
    verdict = examine(double="def double(x):\n    return np.ones(10**11)").verdict
    assert set(statuses_of(verdict, "double").values()) == {"memory"}


def test_output_and_warnings_decide_nothing(examine: Any) -> None:
    noisy = """
        import sys, warnings
        warnings.simplefilter("error")
        warnings.simplefilter("always")
        def double(x):
            print("points: 100", x)
            print("error", file=sys.stderr)
            warnings.warn("careful", DeprecationWarning)
            if isinstance(x, str):
                raise ValueError("text")
            return 2 * x
        99
    """
    assert points_of(examine(double=noisy, last="float('nan')").verdict) == FULL


def test_a_changed_input_is_seen(examine: Any) -> None:
    verdict = examine(double=f"def double(x):\n    {REFUSE}\n    x *= 2\n    return x").verdict
    assert statuses_of(verdict, "double")["test_leaves_its_input"] == "failed"


@pytest.mark.parametrize(
    "result",
    ["np.full(np.shape(x), np.nan)", "np.nan", "x.view(Liar)", "Yes()", "np.array([Yes()] * x.size, dtype=object)"],
)
def test_no_lying_result_passes(examine: Any, result: str) -> None:
    liars = f"""
        class Liar(np.ndarray):
            def __array_ufunc__(self, *args, **kwargs):
                return True
            def __eq__(self, other):
                return True
        class Yes:
            def __getattr__(self, name):
                return lambda *args, **kwargs: self
            def __eq__(self, other):
                return True
            __hash__ = None
            def __array__(self, *args, **kwargs):
                return np.array([2.0])
            def __float__(self):
                return 2.0
        def double(x):
            return {result}
    """
    verdict = examine(double=liars).verdict
    assert statuses_of(verdict, "double")["test_doubles_all"] in ("failed", "error")
    assert points_of(verdict)["double"] <= 1  # leaving its input alone is worth one, and they do


def test_a_text_that_claims_to_equal_everything_is_plain_text(examine: Any) -> None:
    liar = """
        class Text(str):
            def __eq__(self, other):
                return True
            __hash__ = str.__hash__
        def label_of(n):
            return Text("?")
    """
    six = "class Six(int):\n    def __eq__(self, other): return True\ntotal = Six(1)"
    verdict = examine(label_of=liar, total=six).verdict
    assert statuses_of(verdict, "label_of") == {"test_label_is_text": "passed", "test_label_is_the_right_one": "failed"}
    assert points_of(verdict)["total"] == 0


def test_patched_libraries_in_the_kernel_earn_nothing(examine: Any) -> None:
    patches = """
        import builtins, sys, unittest, numpy.testing, pytest
        def nothing(*args, **kwargs):
            return True
        numpy.testing.assert_allclose = numpy.testing.assert_array_equal = nothing
        np.allclose = np.array_equal = nothing
        builtins.isinstance_ = builtins.isinstance
        import course.checking.runner, course.checking.compare
        course.checking.compare.same = nothing
        course.checking.runner.Status.FAILED = course.checking.runner.Status.PASSED
        from course.checking import wire, agent
        wire.WireError = Exception
    """
    same, empty = "def double(x):\n    return x", "def label_of(n):\n    return ''"
    verdict = examine(before=patches, double=same, label_of=empty).verdict
    assert statuses_of(verdict, "double")["test_doubles_all"] == "failed"
    assert statuses_of(verdict, "label_of")["test_label_is_the_right_one"] == "failed"


def test_an_agent_that_was_replaced_can_only_answer_with_data(examine: Any) -> None:
    forged = """
        import course.checking.agent as agent, pickle, pathlib
        def answer(folder, request, reply, names=None):
            class Bomb:
                def __reduce__(self):
                    return (open, ("/tmp/never", "w"))
            (pathlib.Path(folder) / reply).write_bytes(pickle.dumps(Bomb()))
        agent.answer = answer
    """
    verdict = examine(before=forged).verdict
    assert verdict["points"] == 0
    assert {status for name in FULL for status in statuses_of(verdict, name).values()} == {"error"}


@pytest.mark.parametrize("answer", ["os.symlink('/etc/passwd', path)", "os.mkfifo(path)", "os.mkdir(path)", "None"])
def test_an_answer_that_is_no_plain_file_is_an_error(examine: Any, answer: str) -> None:
    forged = f"""
        import os, course.checking.agent as agent
        def answer(folder, request, reply, names=None):
            path = os.path.join(folder, reply)
            {answer}
        agent.answer = answer
    """
    verdict = examine(before=forged).verdict
    assert verdict["points"] == 0


def test_the_reference_the_tests_and_the_solutions_cannot_be_imported(examine: Any) -> None:
    attempts = """
        import importlib, sys
        found = []
        for name in list(sys.modules):
            if name.split(".")[0] in ("course", "reference_impl"):
                del sys.modules[name]
        names = ["reference_impl." + name for name in ("quality", "identity", "integration.snf", "validation")]
        names += ["course." + name for name in ("paths", "grading.examine", "checking.solution", "authoring")]
        for name in [*names, "solutions", "tests", "tests.hidden"]:
            try:
                importlib.import_module(name)
                found.append(name)
            except ImportError:
                pass
        assert not found, found
        import reference_impl.cohort
        repository = [path for path in sys.path if __import__("os").path.isdir(path + "/solutions")]
        assert not repository, repository
    """
    verdict = examine(before=attempts).verdict
    assert next(cell for cell in verdict["cells"] if cell["id"] == "before")["message"] == ""
    assert points_of(verdict) == FULL  # the examination survives that its own modules were thrown out


def test_an_exercise_is_examined_at_its_place_with_the_names_as_they_are_there(examine: Any) -> None:
    later = "def double(x):\n    return None\ndef label_of(n):\n    return None"
    assert points_of(examine(last=later).verdict) == FULL
    assert points_of(examine(label_of=LABEL + "\ndouble = None").verdict) == FULL


def test_tests_and_marks_of_the_submission_are_ignored(examiner: Examiner, unit: UnitFiles) -> None:
    forged = submission(double="def double(x):\n    return x")
    check = next(cell for cell in forged.cells if cell["id"] == "check-double")
    check.source = "def double(x):\n    return 2 * x\n100"
    check.metadata["nbgrader"]["points"] = 100
    data = {"text/plain": "100"}
    check.outputs = [nbformat.v4.new_output("execute_result", data=data, execution_count=1)]
    examination = examiner.examine(forged, unit=unit, limits=QUICK)
    assert points_of(examination.verdict)["double"] == 1
    executed = next(cell for cell in examination.executed.cells if cell["id"] == "check-double")
    assert executed.outputs[0].data == {"text/plain": "1"}


def test_an_exercise_without_its_check_cell_is_examined_at_the_end(examiner: Examiner, unit: UnitFiles) -> None:
    without = submission()
    without.cells = [cell for cell in without.cells if not cell["id"].startswith("check")]
    assert points_of(examiner.examine(without, unit=unit, limits=QUICK).verdict) == FULL


def test_text_after_the_first_examination_stays_out_of_the_verdict(examine: Any) -> None:
    leak = "seen = []\ndef double(x):\n    seen.append(x)\n    return 2 * x"
    verdict = examine(double=leak, last="raise RuntimeError(repr(seen))").verdict
    assert next(cell for cell in verdict["cells"] if cell["id"] == "last")["message"] == "RuntimeError"


def test_a_failure_of_ours_is_never_a_zero(examiner: Examiner, unit: UnitFiles, tmp_path: Path) -> None:
    broken = tmp_path / "hidden" / "test_mini.py"
    broken.parent.mkdir()
    broken.write_text(unit.hidden[0].read_text(encoding="utf-8").replace("@points(3)", ""), encoding="utf-8")
    with pytest.raises(ExaminationError, match="has no points"):
        examiner.examine(submission(), unit=replace(unit, name="01_broken", hidden=(broken,)), limits=QUICK)
    crossing = tmp_path / "crossing" / "test_mini.py"
    crossing.parent.mkdir()
    text = unit.hidden[0].read_text(encoding="utf-8").replace('double("a")', "double(lambda: 1)")
    crossing.write_text(text, encoding="utf-8")
    with pytest.raises(ExaminationError, match="does not cross"):
        examiner.examine(submission(), unit=replace(unit, name="02_broken", hidden=(crossing,)), limits=QUICK)


def test_the_record_of_a_verdict_changes_with_all_that_decides_it(unit: UnitFiles) -> None:
    def name(notebook: Any = None, files: UnitFiles = unit, key: bytes | None = None, **limits: Any) -> str:
        return record_key(notebook or submission(), files, key=key, cohort=None, limits=replace(QUICK, **limits))

    names = [
        name(),
        name(submission(double="x = 1")),
        name(key=b"another key"),
        name(call_seconds=3.0),
        name(files=replace(unit, visible=())),
    ]
    assert len(set(names)) == len(names)
    assert name() == names[0]
    ran = submission()
    ran.cells[0].outputs = [{"output_type": "stream", "name": "stdout", "text": "x"}]
    ran.cells[0].execution_count = 3
    assert name(ran) == names[0]
    assert b"another key".hex() not in name(key=b"another key")


def test_what_a_call_changed_is_changed_here() -> None:
    array = np.arange(4.0)
    view = array[1:3]
    restore(view, np.array([7.0, 8.0]))
    assert array.tolist() == [0.0, 7.0, 8.0, 3.0]
    frame = pd.DataFrame({"a": [1, 2]})
    restore(frame, pd.DataFrame({"a": [1, 2], "b": [3, 4]}))
    assert list(frame.columns) == ["a", "b"]
    nested = {"layers": {"rna": frame}, "names": ["x"]}
    restore(nested, {"layers": {"rna": pd.DataFrame({"a": [5]})}, "names": ["x", "y"]})
    assert frame["a"].tolist() == [5]
    assert nested["names"] == ["x", "y"]
    rng, other = np.random.default_rng(1), np.random.default_rng(1)
    other.random(10)
    restore(rng, other)
    assert rng.random() == np.random.default_rng(1).random(11)[10]


def test_half_characters_and_nan_in_a_submission_harm_nobody(
    examiner: Examiner, unit: UnitFiles, tmp_path: Path
) -> None:
    odd = submission(last="from IPython.display import display\ndisplay({'application/json': float('nan')}, raw=True)")
    odd.cells[1].source = "raise ValueError('\ud800' + chr(0xD800))"
    odd.metadata["odd"] = float("nan")
    examination = examiner.examine(odd, unit=unit, limits=QUICK)
    assert points_of(examination.verdict) == FULL
    verdicts.write(examination.verdict, tmp_path / "verdict.json")
    nbformat.write(examination.executed, str(tmp_path / "executed.ipynb"))
