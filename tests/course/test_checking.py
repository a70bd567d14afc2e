"""What a learner sees: checks, hints, progress and labels, in both languages, wherever the folder lies."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from course.checking import label, notebook, page, progress
from course.checking.runner import Outcome, Status, Test
from course.checking.style import FONT, FONT_FAMILY
from course.checking.support import NotebookError, read_support

UNIT = {
    "schema": 1,
    "unit": "99_mini",
    "title": {"en": "Mini", "zh": "小单元"},
    "minutes": 10,
    "data": [],
    "exercises": [
        {
            "name": "centred",
            "kind": "function",
            "title": {"en": "Centre <columns>", "zh": "列中心化"},
            "points": 9,
            "difficulty": 1,
            "minutes": 5,
            "hints": {"en": ["first $x$", "second", "worked"], "zh": ["甲 $x$", "乙", "丙"]},
        },
        {
            "name": "largest",
            "kind": "value",
            "title": {"en": "The largest", "zh": "最大值"},
            "points": 3,
            "difficulty": 2,
            "minutes": 5,
            "hints": {"en": ["a", "b", "c"], "zh": ["一", "二", "三"]},
        },
    ],
    "written": {"name": "why", "points": 4},
}
TESTS = '''
import numpy as np
import pytest
from numpy.testing import assert_allclose
from course.checking import drawn, points


@drawn
def table(rng, n):
    return rng.normal(size=(n, 3))


@points(1)
def test_shape(centred):
    """The shape stays as it is.

    形状保持不变。"""
    assert centred(np.ones((3, 2))).shape == (3, 2)


@points(2)
def test_mean(centred, draw):
    """Every column's mean is <0>.

    每一列的均值为 <0>。"""
    assert_allclose(centred(draw.table(5)).mean(axis=0), 0, atol=1e-12)


@points(1)
def test_missing(centred):
    """A missing value is refused.

    拒绝缺失值。"""
    with pytest.raises(ValueError, match="missing"):
        centred(np.array([[np.nan]]))


@points(1)
def test_number(largest):
    """It is a number.

    它是一个数。"""
    assert largest == 3
'''
RIGHT = """
import numpy as np
def centred(x):
    if np.isnan(x).any():
        raise ValueError("x has missing values")
    return x - x.mean(axis=0)
largest = 3
"""


@pytest.fixture(params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> str:
    """Each language in turn."""
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path, language: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An exercise's folder that stands alone, far from the repository, as the working folder."""
    write_folder(tmp_path, language)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    notebook._hints_shown.clear()
    return tmp_path


def write_folder(folder: Path, language: str) -> None:
    support = folder / "support"
    support.mkdir()
    (support / "unit.json").write_text(json.dumps({**UNIT, "language": language}), encoding="utf-8")
    (support / "test_99_mini.py").write_text(TESTS, encoding="utf-8")


def run(code: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a notebook's code prints outside of Jupyter."""
    capsys.readouterr()
    head = "from course.checking import check, hint, label, progress\n"
    exec(compile(head + code, "cell", "exec"), {"__name__": "__main__"})
    return capsys.readouterr().out


FOOTER = {
    "en": "Visible checks only. Hidden tests run when you submit.",
    "zh": "这里只运行可见检查；提交之后才运行隐藏测试。",
}


@pytest.mark.usefixtures("folder")
class TestCheck:
    def test_all_passed(self, language: str, capsys: pytest.CaptureFixture[str]) -> None:
        shown = run(RIGHT + "check('centred')", capsys)
        assert shown.count({"en": "✓ passed", "zh": "✓ 通过"}[language]) == 3
        assert shown.rstrip().endswith(FOOTER[language])

    @pytest.mark.parametrize(
        "code",
        ["", "def centred(x): raise NotImplementedError\n", "def centred(x):\n    raise NotImplementedError()\n"],
    )
    def test_not_attempted(self, code: str, language: str, capsys: pytest.CaptureFixture[str]) -> None:
        shown = run(code + "check('centred')", capsys)
        assert {"en": "○ not attempted", "zh": "○ 尚未作答"}[language] in shown
        assert not any(word in shown for word in ("error", "出错", "NotImplementedError", "passed:", "通过："))

    @pytest.mark.parametrize("code", ["", "largest = ...\n"])
    def test_a_value_that_is_not_there_yet(self, code: str, language: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert {"en": "○ not attempted", "zh": "○ 尚未作答"}[language] in run(code + "check('largest')", capsys)

    def test_not_yet_says_the_property_and_the_useful_line(
        self, language: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shown = run("def centred(x): return x - 1\ncheck('centred')", capsys)
        assert {"en": "✗ not yet: Every column's mean is <0>.", "zh": "✗ 尚未通过：每一列的均值为 <0>。"}[
            language
        ] in shown
        assert "Mismatched elements: 3 / 3 (100%)" in shown
        assert {"en": "No ValueError was raised.", "zh": "没有引发 ValueError。"}[language] in shown
        assert {"en": "✓ passed: The shape", "zh": "✓ 通过：形状"}[language] in shown

    def test_an_error_names_the_learners_line(self, language: str, capsys: pytest.CaptureFixture[str]) -> None:
        code = "def centred(x):\n    helper = lambda y: y.mena()\n    return helper(x)\ncheck('centred')"
        shown = run(code, capsys)
        assert "AttributeError: 'numpy.ndarray' object has no attribute 'mena'" in shown
        assert {"en": "line 3 of your code", "zh": "你的代码第 3 行"}[language] in shown

    def test_a_missing_return_is_named(self, language: str, capsys: pytest.CaptureFixture[str]) -> None:
        shown = run("def centred(x):\n    x - x.mean()\ncheck('centred')", capsys)
        assert {"en": "Your function returned None.", "zh": "你的函数返回了 None"}[language] in shown

    def test_prints_and_warnings_do_not_disturb(self, capsys: pytest.CaptureFixture[str]) -> None:
        noisy = RIGHT.replace("    return x", "    print('NOISE'); __import__('warnings').warn('NOISE')\n    return x")
        capsys.readouterr()
        exec(noisy + "from course.checking import check\ncheck('centred')", {"__name__": "__main__"})
        out, err = capsys.readouterr()
        assert "NOISE" not in out + err
        assert out.count("✓") == 3

    def test_an_endless_loop_can_be_interrupted(self) -> None:
        import _thread

        def interrupt() -> None:
            time.sleep(0.5)
            _thread.interrupt_main()

        threading.Thread(target=interrupt, daemon=True).start()
        names: dict[str, Any] = {}
        exec("from course.checking import check\ndef centred(x):\n    while True: pass", names)
        with pytest.raises(KeyboardInterrupt):
            exec("check('centred')", names)

    def test_a_wrong_name_lists_the_right_ones(self) -> None:
        with pytest.raises(NotebookError, match="centred, largest"):
            notebook.check("centerd")

    def test_a_check_leaves_no_trace_on_the_next(self, capsys: pytest.CaptureFixture[str]) -> None:
        first = run(RIGHT + "check('centred')", capsys)
        run("def centred(x): return x\ncheck('centred')", capsys)
        assert run(RIGHT + "check('centred')", capsys) == first

    def test_a_persons_own_settings_of_pytest_do_not_matter(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option -k nothing")
        monkeypatch.setenv("PYTEST_PLUGINS", "no_such_plugin")
        assert run(RIGHT + "check('centred')", capsys).count("✓") == 3

    def test_returns_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "None" not in run(RIGHT + "assert check('centred') is None", capsys)


class TestHint:
    @pytest.mark.usefixtures("folder")
    def test_each_call_gives_the_next_rung_and_the_last_stays(
        self, language: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hints = UNIT["exercises"][0]["hints"][language]  # type: ignore[index]
        last = {"en": "This was the last hint.", "zh": "这是最后一条提示。"}[language]
        for expected in (*hints, hints[-1]):
            shown = run("hint('centred')", capsys)
            assert expected in shown
            assert (last in shown) is (expected == hints[-1])

    @pytest.mark.usefixtures("folder")
    def test_a_given_rung(self, language: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert {"en": "second", "zh": "乙"}[language] in run("hint('centred', 2)", capsys)
        assert {"en": "first", "zh": "甲"}[language] in run("hint('centred')", capsys)

    @pytest.mark.usefixtures("folder")
    @pytest.mark.parametrize("rung", [0, 4, -1, "2"])
    def test_no_such_rung(self, rung: Any) -> None:
        with pytest.raises(NotebookError, match="3"):
            notebook.hint("centred", rung)


@pytest.mark.usefixtures("folder")
class TestProgress:
    def test_states(self, language: str, capsys: pytest.CaptureFixture[str]) -> None:
        shown = run("def centred(x): return x - x.mean(axis=0)\nprogress()", capsys)
        assert {"en": "3 of 4  ◐ begun: centred", "zh": "3 / 4  ◐ 进行中：centred"}[language] in shown
        assert {"en": "0 of 1  ○ not attempted: largest", "zh": "0 / 1  ○ 尚未作答：largest"}[language] in shown
        assert {"en": "All exercises: 3 of 5", "zh": "可见检查得 3 分，满分 5 分"}[language] in shown

    def test_all_done(self, language: str, capsys: pytest.CaptureFixture[str]) -> None:
        shown = run(RIGHT + "progress()", capsys)
        assert shown.count({"en": "✓ passed", "zh": "✓ 通过"}[language]) == 2


class _Html(HTMLParser):
    """Checks that tags are closed in order, and gathers texts and labels."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.labels: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.labels += [value or "" for name, value in attrs if name == "aria-label"]
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


class TestHtml:
    @pytest.fixture
    def pages(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], page.Page]:
        """What a call shows, as its forms."""
        shown: list[page.Page] = []
        monkeypatch.setattr(notebook, "show", shown.append)

        def show(code: str) -> page.Page:
            assert folder.is_dir()
            exec(f"from course.checking import check, hint, progress\n{code}", {"__name__": "__main__"})
            return shown[-1]

        return show

    def test_check(self, pages: Callable[[str], page.Page], language: str) -> None:
        html = _Html(pages("def centred(x): return x - 1\ncheck('centred')")["text/html"])
        text = " ".join(html.texts)
        for word in {"en": ["passed", "not yet", "mean is <0>"], "zh": ["通过", "尚未通过", "均值为 <0>"]}[language]:
            assert word in text
        assert FOOTER[language] in text
        assert {"en": "Centre <columns>", "zh": "列中心化"}[language] in text

    def test_progress_tells_each_bar_in_words(self, pages: Callable[[str], page.Page], language: str) -> None:
        html = _Html(pages("def centred(x): return x - x.mean(axis=0)\nprogress()")["text/html"])
        expected = {
            "en": "Centre <columns>: begun, 3 of 4 points of visible checks",
            "zh": "列中心化：进行中，可见检查得 3 分，满分 4 分",
        }
        assert expected[language] in html.labels

    def test_what_a_learner_returns_cannot_break_the_page(self, pages: Callable[[str], page.Page]) -> None:
        html = _Html(pages("largest = '</td><script>x</script>'\ncheck('largest')")["text/html"])
        assert "script" not in html.open
        assert any("<script>" in text for text in html.texts)

    def test_hints_are_markdown(self, pages: Callable[[str], page.Page]) -> None:
        assert "$x$" in pages("hint('centred')")["text/markdown"]


class TestFolder:
    def test_without_support_says_what_to_do(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
        with pytest.raises(NotebookError, match="unzip the whole folder") as caught:
            progress()
        assert "解压" in str(caught.value)
        assert label("English", "中文") == "English"

    def test_the_editor_may_tell_where_the_notebook_lies(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "here").mkdir()
        write_folder(tmp_path / "here", "zh")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "here" / "99_mini.ipynb"))
        assert "通过" in run(RIGHT + "check('centred')", capsys)

    @pytest.mark.parametrize(
        ("content", "problem"),
        [("{", "damaged"), ('{"schema": 2}', "form 2"), ('{"schema": 1}', "damaged"), ("[]", "damaged")],
    )
    def test_a_damaged_folder(self, tmp_path: Path, content: str, problem: str) -> None:
        (tmp_path / "unit.json").write_text(content, encoding="utf-8")
        with pytest.raises(NotebookError, match=problem):
            read_support(tmp_path)

    def test_a_notebook_shows_the_message_alone(self) -> None:
        assert NotebookError("what to do")._render_traceback_() == ["what to do"]


class TestLabel:
    @pytest.mark.usefixtures("folder")
    def test_language(self, language: str) -> None:
        assert label("English", "中文") == {"en": "English", "zh": "中文"}[language]

    def test_chinese_is_drawn_without_set_up(self, tmp_path: Path) -> None:
        write_folder(tmp_path, "zh")
        code = """
        import warnings, logging
        warnings.simplefilter("error")
        from course.checking import label
        import matplotlib
        matplotlib.use("agg")
        import matplotlib.pyplot as plt
        figure, axes = plt.subplots()
        axes.plot([-1, 1])
        axes.set_title(label("x", "嘌呤与嘧啶：相似度 −1 µM αβ"), fontweight="bold")
        axes.set_xlabel(label("x", "距离 $W_{ij}$（单位：ppm）"))
        figure.savefig("plot.png")
        """
        ended = run_python(code, tmp_path)
        assert (ended.returncode, ended.stderr) == (0, "")

    def test_the_font_has_every_character_of_the_lessons(self) -> None:
        from matplotlib.ft2font import FT2Font

        from course.paths import UNITS

        has = set(FT2Font(str(FONT)).get_charmap())
        missing: dict[str, str] = {}
        for lesson in UNITS.glob("*/lesson.md"):
            chinese = {letter for letter in lesson.read_text(encoding="utf-8") if "\u3000" <= letter <= "\uffef"}
            if lost := {letter for letter in chinese if ord(letter) not in has}:
                missing[lesson.parent.name] = "".join(sorted(lost))
        assert missing == {}

    def test_the_font_is_small_and_ours(self) -> None:
        from matplotlib.font_manager import get_font

        assert FONT.stat().st_size < 1.9 * 2**20
        assert get_font(str(FONT)).family_name == FONT_FAMILY
        assert "SIL OPEN FONT LICENSE" in FONT.with_name("OFL.txt").read_text(encoding="utf-8")


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter."""
    import textwrap

    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_importing_checking_brings_nothing_heavy(tmp_path: Path) -> None:
    code = """
        import sys
        import course.checking
        import course.checking.recognise, course.checking.compare
        unwanted = "zmq nbclient nbformat sqlalchemy nbgrader IPython matplotlib scipy course.grading course.authoring"
        print([name for name in unwanted.split() if name in sys.modules])
        """
    ended = run_python(code, tmp_path)
    assert (ended.stdout.strip(), ended.stderr) == ("[]", "")


def test_a_test_that_hangs_nowhere_else_is_an_error() -> None:
    """Statuses that only a grading kernel has are shown as errors, never as passes."""
    test = Test("visible/test_x", "x", 1, True, {"en": "a", "zh": "b"})
    for status in Status:
        result = page.read_outcome(Outcome(test, status, "", 0.0), {}, returned_nothing=False)
        assert (result.look is page.PASSED) is (status is Status.PASSED)


def test_useful_lines_are_short_and_carry_no_addresses() -> None:
    detail = "assert False\n +  where False = <function f at 0x7f00deadbeef>(array([" + "1, " * 500
    line = page.useful_line(detail)["en"]
    assert "0x" not in line
    assert len(page.useful_line("x" * 1000)["en"]) <= page.LONGEST_LINE
    assert page.useful_line("")["en"] == ""


def test_a_cohort_that_a_test_spoils_is_whole_for_the_next(tmp_path: Path) -> None:
    from course.checking.recognise import Answers
    from course.checking.runner import Context, with_tests

    body = '    """A.\n\n    甲。"""\n    assert cohort["table"].sum() == 3\n    cohort["table"][:] = f(0)\n'
    text = "from course.checking import points\n" + "".join(
        f"@points(1)\ndef test_{name}(f, cohort):\n{body}\n" for name in ("first", "second")
    )
    path = tmp_path / "test_cohort.py"
    path.write_text(text, encoding="utf-8")
    context = Context(cohort=lambda: {"table": np.ones(3)})
    outcomes = with_tests(
        lambda runner: runner.run(Answers({"f": lambda x: x}), context), exercises=["f"], visible=[path]
    )
    assert [outcome.status for outcome in outcomes] == [Status.PASSED, Status.PASSED]


def test_records_of_a_test_become_the_notebooks_own() -> None:
    class Gate(NamedTuple):
        name: str
        lower: float

    theirs, namespace = Gate, {}
    exec("from dataclasses import dataclass\n@dataclass\nclass Gate:\n    name: str\n    lower: float\n", namespace)

    def accept(gates: list[Any], *, last: Any) -> bool:
        return all(isinstance(gate, namespace["Gate"]) for gate in [*gates, last])

    learner = notebook.Learner({**namespace, "accept": accept})
    assert learner.get("accept")([theirs("deep", 2.0)], last=theirs("intact", 5.0))

    untouched = [theirs("deep", 2.0), 3, {"a": (1, 2)}]
    assert notebook.as_notebooks(untouched, {"Gate": "a word"}) == untouched
