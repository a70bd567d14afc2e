"""The build: four notebooks from one text, the same bytes everywhere, and nothing in a release that gives it away."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbgrader.nbgraderformat import MetadataValidator
from typer.testing import CliRunner

from course import nbgrader_settings as nbgrader
from course import paths
from course.authoring import build
from course.authoring.lesson import telling_lines
from course.authoring.source import Shelf, SourceError, free_names, read_function
from course.authoring.unit import read_unit
from course.checking.solution import solution_cells
from course.cli import app
from course.errors import CourseError

REPOSITORY = Path(__file__).resolve().parents[3]


def notebooks(files: build.Files) -> dict[tuple[str, str], dict[str, Any]]:
    """The four notebooks by (solutions or exercises, language)."""
    found = {path.parts[:2]: json.loads(content) for path, content in files.items() if path.suffix == ".ipynb"}
    assert len(found) == 4
    return found  # type: ignore[return-value]


def text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def cell(notebook: dict[str, Any], cell_id: str) -> dict[str, Any]:
    return next(cell for cell in notebook["cells"] if cell["id"] == cell_id)


@pytest.fixture
def files(tree: Any) -> build.Files:
    return build.derive(tree.unit)


# --- the same bytes


_DIGEST = """
import hashlib, importlib.util, sys
from pathlib import Path
from course.authoring import build
spec = importlib.util.spec_from_file_location("helpers", sys.argv[1])
helpers = importlib.util.module_from_spec(spec)
sys.modules["helpers"] = helpers
spec.loader.exec_module(helpers)
helpers.use_root(Path(sys.argv[2]))
for path, content in sorted(build.derive(sys.argv[3]).items()):
    print(path.as_posix(), hashlib.sha256(content).hexdigest())
"""


def digests(tree: Any, cwd: Path, **environment: str) -> str:
    helpers = Path(__file__).parent / "conftest.py"
    command = [sys.executable, "-c", _DIGEST, str(helpers), str(tree.root), tree.unit]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    return subprocess.run(command, cwd=cwd, env=env, check=True, capture_output=True, text=True).stdout


def test_bytes_do_not_depend_on_hash_seed_folder_or_locale(tree: Any, files: build.Files, tmp_path: Path) -> None:
    here = "".join(f"{path.as_posix()} {hashlib.sha256(c).hexdigest()}\n" for path, c in sorted(files.items()))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert digests(tree, tree.root, PYTHONHASHSEED="1", LC_ALL="C") == here
    assert digests(tree, elsewhere, PYTHONHASHSEED="4242", LC_ALL="C.UTF-8", TZ="Asia/Shanghai") == here


def test_no_path_time_or_version_in_a_derived_file(tree: Any, files: build.Files) -> None:
    for content in files.values():
        derived = content.decode()
        assert str(tree.root) not in derived
        assert not re.search(r"20\d\d-\d\d-\d\d", derived)
        assert "nbconvert_exporter" not in derived
        assert sys.version.split()[0] not in derived


# --- what is in a notebook


def test_languages_share_every_code_cell(files: build.Files) -> None:
    found = notebooks(files)
    for kind in ("solutions", "exercises"):
        english, chinese = found[kind, "en"], found[kind, "zh"]
        assert [c["id"] for c in english["cells"]] == [c["id"] for c in chinese["cells"]]
        for one, other in zip(english["cells"], chinese["cells"], strict=True):
            if one["cell_type"] == "code":
                assert one == other
            elif "nbgrader" not in one["metadata"]:
                assert one["source"] != other["source"]
        assert english["metadata"]["course"] == {"unit": "04_centring", "language": "en"}
        assert chinese["metadata"]["course"] == {"unit": "04_centring", "language": "zh"}


def test_written_answer_is_the_same_bytes_when_released(files: build.Files) -> None:
    found = notebooks(files)
    english, chinese = (cell(found["exercises", language], "written_when_not_to_centre") for language in ("en", "zh"))
    assert english == chinese
    assert text(english) == nbgrader.TEXT_STUB
    assert "1 point" in text(cell(found["solutions", "en"], "written_when_not_to_centre"))
    assert "1 分" in text(cell(found["solutions", "zh"], "written_when_not_to_centre"))


def test_release_holds_no_answer(tree: Any, files: build.Files) -> None:
    released = "\n".join(content.decode() for path, content in files.items() if path.parts[0] == "exercises")
    assert "values - values.mean(axis=0)" not in released
    assert "BEGIN" not in released
    assert "grade(" not in released
    assert "course.checking.stock" not in released
    assert "the level itself carries the answer" not in released
    hidden = paths.hidden_tests(tree.unit).read_text(encoding="utf-8")
    for name in re.findall(r"def (\w+)", hidden):
        assert name not in released


def test_starter_is_signature_docstring_and_stub(tree: Any, files: build.Files) -> None:
    starter = text(cell(notebooks(files)["exercises", "en"], "centre_columns"))
    function = ast.parse(starter).body[0]
    reference = ast.parse(tree.reference.read_text(encoding="utf-8")).body[-1]
    assert isinstance(function, ast.FunctionDef)
    assert isinstance(reference, ast.FunctionDef)
    assert ast.dump(function.args) == ast.dump(reference.args)
    assert ast.get_docstring(function, clean=False) == ast.get_docstring(reference, clean=False)
    assert starter.endswith('    """\n    # YOUR CODE HERE\n    raise NotImplementedError()')


def test_solution_is_the_reference_as_it_is_written(tree: Any) -> None:
    tree.replace(
        tree.reference, '    values = as_matrix(x, "x")\n', '    values = as_matrix(x, "x")  # a copy\n\n    # why\n'
    )
    solution = text(cell(notebooks(build.derive(tree.unit))["solutions", "en"], "centre_columns"))
    body = '    values = as_matrix(x, "x")  # a copy\n\n    # why\n    return like(x, values - values.mean(axis=0))\n'
    assert f"    ### BEGIN SOLUTION\n{body}    ### END SOLUTION" in solution


def test_metadata_are_what_nbgrader_and_jupyter_expect(files: build.Files) -> None:
    for notebook in notebooks(files).values():
        node = nbformat.from_dict(notebook)
        nbformat.validate(node)
        MetadataValidator().validate_nb(node)
        marks = {c["id"]: c["metadata"]["nbgrader"] for c in notebook["cells"] if "nbgrader" in c["metadata"]}
        assert set(marks) == {"centre_columns", "check_centre_columns", "written_when_not_to_centre"}
        for cell_id, mark in marks.items():
            assert mark["grade_id"] == cell_id
            assert mark["schema_version"] == 3
        assert (marks["centre_columns"]["grade"], marks["centre_columns"]["solution"]) == (False, True)
        assert (marks["check_centre_columns"]["locked"], marks["check_centre_columns"]["points"]) == (True, 6)
        assert marks["written_when_not_to_centre"]["points"] == 3


def test_task_header_says_title_difficulty_minutes_and_points(files: build.Files) -> None:
    found = notebooks(files)
    english = text(cell(found["exercises", "en"], "task_centre_columns"))
    chinese = text(cell(found["exercises", "zh"], "task_centre_columns"))
    assert english.startswith("### Exercise 1 of 1 · Centre every column\n\n★☆☆☆☆ · 10 minutes · 6 points · ")
    assert chinese.startswith("### 练习 1/1 · 按列中心化\n\n★☆☆☆☆ · 10 分钟 · 6 分 · ")


def test_a_heading_of_the_task_stays_on_top(tree: Any) -> None:
    tree.replace(tree.lesson, "Write `centre_columns(x)`.\n", "## Where is zero?\n\nWrite `centre_columns(x)`.\n")
    tree.replace(tree.lesson, "编写 `centre_columns(x)`。\n", "## 1. 按列中心化\n\n编写 `centre_columns(x)`。\n")
    found = notebooks(build.derive(tree.unit))
    english = text(cell(found["exercises", "en"], "task_centre_columns"))
    chinese = text(cell(found["exercises", "zh"], "task_centre_columns"))
    assert english.startswith("## Where is zero?\n\n**Exercise 1 of 1 · Centre every column** · ★☆☆☆☆ · 10 minutes · ")
    assert chinese.startswith("## 1. 按列中心化\n\n**练习 1/1** · ★☆☆☆☆ · 10 分钟 · ")


def test_support_stands_beside_both(tree: Any, files: build.Files) -> None:
    for kind in ("solutions", "exercises"):
        for language in ("en", "zh"):
            folder = Path(kind, language, tree.unit, "support")
            facts = json.loads(files[folder / "unit.json"])
            assert facts["language"] == language
            assert facts["exercises"][0]["points"] == 6
            assert len(facts["exercises"][0]["hints"]["zh"]) == 3
            assert files[folder / f"test_{tree.unit}.py"] == paths.visible_tests(tree.unit).read_bytes()


def test_value_exercise_leaves_its_name_undefined(tree: Any) -> None:
    tree.replace(tree.settings, 'kind = "function"\nreference = "reference_impl.centring"\n', 'kind = "value"\n')
    value = ":exercise: centre_columns\n:kind: value\n# why\ncentre_columns = sorted(genes)\n"
    tree.replace(tree.lesson, ":exercise: centre_columns\n", value)
    found = notebooks(build.derive(tree.unit))
    solution = text(cell(found["solutions", "en"], "centre_columns"))
    assert solution.endswith("### BEGIN SOLUTION\n# why\ncentre_columns = sorted(genes)\n### END SOLUTION")
    starter = text(cell(found["exercises", "en"], "centre_columns"))
    assert starter.endswith("\n# YOUR CODE HERE\nraise NotImplementedError()")
    assert "sorted" not in starter
    assert not any(isinstance(node, ast.Assign) for node in ast.walk(ast.parse(starter)))


def test_folded_code(tree: Any) -> None:
    tree.replace(tree.lesson, "```{code-cell}\nvalues", "```{code-cell}\n:tags: [hide-input]\nvalues")
    found = cell(notebooks(build.derive(tree.unit))["exercises", "en"], "centre_columns-code-2")
    assert found["metadata"] == {"jupyter": {"source_hidden": True}}


def test_chinese_sentences_join_without_spaces() -> None:
    apart = "- 四。\n- 五。\n\n$$ y 。 $$\n\n```\n# 六。\nz\n```\n\n| 七 | 八 |\n|---|---|\n九。\n\n# 十。\n十一。"
    assert build._join_chinese_lines(f"一。\n二。\n`x` 三。\n\n{apart}") == f"一。二。`x` 三。\n\n{apart}"
    assert build._join_chinese_lines("One.\nTwo.") == "One.\nTwo."


# --- what a function stands on


LADDER = '''
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.stats

from reference_impl.validation import as_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

# From normal quantiles.
SCALE = 1.4826
LIMIT, DEPTH = 3.5, 2  # both by convention


@dataclass(frozen=True)
class Found:
    """What came out."""

    values: np.ndarray
    limit: float = LIMIT


def first(x: Sequence[float]) -> Found:
    """Do."""
    np = 3
    return Found(_scaled(x) * np)


def second(x):
    """Do."""
    return [first(row) for row in x] + [_scaled(x, depth=0), scipy.stats.norm.pdf(0)]


def _scaled(x, depth=DEPTH):
    """Scale."""
    return _again(x, depth) * SCALE / math.pi


def _again(x, depth):
    """Call back."""
    return _scaled(x, depth - 1) if depth else as_matrix(x, "x")
'''


@pytest.fixture
def ladder(empty_tree: Any) -> Any:
    (empty_tree.root / "reference_impl" / "ladder.py").write_text(LADDER, encoding="utf-8")
    return empty_tree


def test_closure_gives_all_that_is_needed_and_nothing_twice(ladder: Any) -> None:
    shelf = Shelf(("first", "second"))
    shelf.see("import numpy as np\nimport pandas as pd")
    given = shelf.hand_out(read_function("reference_impl.ladder", "first"))
    assert "# From normal quantiles.\nSCALE = 1.4826" in given
    assert given.count("LIMIT, DEPTH = 3.5, 2  # both by convention") == 1
    assert "@dataclass(frozen=True)\nclass Found:" in given
    assert "def as_matrix(" in given
    assert "from collections.abc import Sequence" in given
    assert "import numpy" not in given
    assert "scipy" not in given
    assert "def second" not in given
    assert shelf.hand_out(read_function("reference_impl.ladder", "second")) == "import scipy.stats"


def test_given_code_runs_and_the_solution_with_it(ladder: Any) -> None:
    shelf = Shelf(("first", "second"))
    shelf.see("import numpy as np\nimport pandas as pd")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("import numpy as np\nimport pandas as pd", namespace)
    for name in ("first", "second"):
        function = read_function("reference_impl.ladder", name)
        exec(shelf.hand_out(function), namespace)
        exec(function.solution, namespace)
    assert namespace["first"]([[2.0]]).values.item() == pytest.approx(6 * (1.4826 / 3.141592653589793) ** 3)


def test_exercise_that_calls_a_later_one(ladder: Any) -> None:
    with pytest.raises(SourceError, match=r"reference_impl/ladder\.py:\d+: second calls first, an exercise"):
        Shelf(("second", "first")).hand_out(read_function("reference_impl.ladder", "second"))


def test_one_name_for_two_imports(ladder: Any) -> None:
    shelf = Shelf(("first",))
    shelf.see("import numpy.random as math")
    with pytest.raises(SourceError, match=r"needs `import math`, but the lesson says `import numpy\.random as math`"):
        shelf.hand_out(read_function("reference_impl.ladder", "first"))


def test_free_names_know_scopes() -> None:
    code = "@deco\ndef f(a: T = D, *rest):\n    b = G(a)\n    def g():\n        return b + H\n    return [i for i in I]"
    assert free_names(code) == {"deco", "T", "D", "G", "H", "I"}


# --- the command


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_check_is_clean_after_a_build_and_writes_nothing(tree: Any) -> None:
    before = {path: path.stat().st_mtime_ns for path in tree.root.rglob("*")}
    result = run("build", "--check")
    assert result.exit_code == 0, result.output
    assert "12 derived files are what their sources say" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in tree.root.rglob("*")} == before


def test_check_names_file_cell_and_first_differing_line(tree: Any) -> None:
    tree.replace(tree.lesson, "The mean trusts every sample.", "The mean believes every sample.")
    result = run("build", "04", "--check")
    assert result.exit_code == 1
    line = (
        "exercises/en/04_centring/04_centring.ipynb: cell centre_columns-text-1, line 3: "
        "is 'The mean trusts every sample.', should be 'The mean believes every sample.'"
    )
    assert line in result.stdout
    assert "zh" not in result.stdout
    assert "run `course build`" in result.stderr
    assert run("build").exit_code == 0
    assert run("build", "--check").exit_code == 0


def test_long_lines_are_cut_where_they_differ() -> None:
    common = "x" * 100
    said = build.describe(f"a\n{common}1{common}".encode(), f"a\n{common}2{common}".encode(), Path("a.py"))
    assert said.startswith("line 2: is '…xxx")
    assert "x1x" in said
    assert "x2x" in said
    assert len(said) < 160
    assert build.describe(b"a\n", b"a\nb\n", Path("a.py")) == "line 2: is absent, should be 'b'"


def test_check_sees_missing_changed_and_superfluous_files(tree: Any) -> None:
    folder = paths.exercise_folder(tree.unit, "en")
    (folder / "support" / "unit.json").unlink()
    (folder / "stray.txt").write_text("x")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "old.ipynb").write_text("x")
    notebook = paths.exercise_notebook(tree.unit, "zh")
    notebook.write_text("{}")
    gone = paths.SOLUTIONS / "en" / "05_gone"
    gone.mkdir()
    (gone / "05_gone.ipynb").write_text("x")
    result = run("build", "--check")
    assert result.exit_code == 1
    for words in (
        "support/unit.json: is missing",
        "stray.txt: is derived from nothing",
        "zh/04_centring/04_centring.ipynb: is not a notebook",
        "05_gone.ipynb: is derived from nothing",
    ):
        assert words in result.stdout
    assert ".ipynb_checkpoints" not in result.stdout
    assert run("build").exit_code == 0
    assert not gone.exists()
    assert not (folder / "stray.txt").exists()
    assert (folder / ".ipynb_checkpoints" / "old.ipynb").exists()
    assert run("build", "--check").exit_code == 0


def test_one_unit_leaves_the_others_alone(tree: Any) -> None:
    other = paths.SOLUTIONS / "en" / "05_other"
    other.mkdir()
    (other / "05_other.ipynb").write_text("x")
    assert run("build", tree.unit).exit_code == 0
    assert (other / "05_other.ipynb").exists()


def test_an_error_leaves_what_was_built(tree: Any) -> None:
    before = {path: path.read_bytes() for path in (tree.root / "exercises").rglob("*") if path.is_file()}
    tree.replace(tree.lesson, "The mean trusts every sample.", "Changed.")
    tree.replace(tree.settings, "points = 6", "points = 60")
    result = run("build")
    assert isinstance(result.exception, CourseError)
    assert {path: path.read_bytes() for path in (tree.root / "exercises").rglob("*") if path.is_file()} == before


def test_test_files_that_cannot_be_read_are_one_line(tree: Any) -> None:
    paths.hidden_tests(tree.unit).unlink()
    with pytest.raises(CourseError, match=r"unit 04_centring: there is no test file .*test_04_centring\.py"):
        tree.material()


def test_a_folder_in_the_way_is_one_line(tree: Any) -> None:
    notebook = paths.exercise_notebook(tree.unit, "en")
    notebook.unlink()
    notebook.mkdir()
    result = run("build")
    assert isinstance(result.exception, CourseError)
    assert "can't be written" in str(result.exception)
    assert not list(notebook.parent.glob(".*"))


def test_unknown_unit(tree: Any) -> None:
    result = run("build", "77")
    assert isinstance(result.exception, CourseError)
    assert "04_centring" in str(result.exception)


def test_nothing_to_build(empty_tree: Any) -> None:
    result = run("build")
    assert isinstance(result.exception, CourseError)
    assert "course new" in str(result.exception)


def test_refusal_of_nbgrader_is_one_line(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.source, "solution_cell", lambda answer, head: f"{head}\n    ### BEGIN SOLUTION\n{answer}")
    with pytest.raises(CourseError, match="nbgrader can't release it") as caught:
        build.derive(tree.unit)
    assert "\n" not in str(caught.value)


# --- the real units


@pytest.mark.parametrize("unit", paths.unit_names())
def test_real_units_are_built(unit: str) -> None:
    differences = build.compare(build.derive(unit), [unit], all_units=False)
    assert not differences, f"run `course build {unit}` and commit the result: {differences[0]}"


@pytest.mark.parametrize("unit", paths.unit_names())
def test_real_lessons_have_the_same_code_in_both_languages(unit: str) -> None:
    english, chinese = (solution_cells(paths.solution_notebook(unit, language)) for language in paths.LANGUAGES)
    assert english == chinese


@pytest.mark.slow
@pytest.mark.parametrize("unit", paths.unit_names())
def test_real_lessons_run_from_top_to_bottom_and_their_figures_have_every_letter(
    unit: str, solved: Callable[[str], Any]
) -> None:
    lesson = solved(unit)
    assert list(lesson.values) == [
        exercise.name for exercise in read_unit(unit).exercises if exercise.reference is None
    ]
    assert lesson.n_figures > 0


@pytest.mark.parametrize("unit", paths.unit_names())
def test_real_releases_hold_no_line_of_an_answer(unit: str) -> None:
    material = build.read_material(unit)
    for language in paths.LANGUAGES:
        released = json.loads(paths.exercise_notebook(unit, language).read_text(encoding="utf-8"))
        code = (c for c in released["cells"] if c["cell_type"] == "code" and not c["id"].startswith("given_"))
        shown = {"".join(line.split()) for c in code for line in text(c).splitlines()}
        for block in material.lesson.exercises:
            answer = material.functions[block.name].body if block.kind == "function" else block.code
            for line in telling_lines(answer):
                if not line.startswith("for_inrange("):  # "do this so many times" tells nobody what to do
                    assert line not in shown, f"{block.name}: {line}"
