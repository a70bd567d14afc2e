"""A lesson in the wrong form is an error that names file and line."""

from __future__ import annotations

import re
from typing import Any

import pytest

from course.authoring import build
from course.authoring.lesson import LessonError, bound_names, telling_lines
from course.authoring.source import SourceError
from course.authoring.unit import UnitError
from course.errors import CourseError

EXERCISE = "```{code-cell}\n:exercise: centre_columns\n```\n"


def refused(tree: Any, *words: str, at: str | int | None = None) -> str:
    """The error of this lesson: one line, with file, line and the words."""
    with pytest.raises(LessonError) as caught:
        tree.material()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    line = tree.line(tree.lesson, at) if isinstance(at, str) else at
    found = re.match(r"course/units/04_centring/lesson\.md:(\d+): ", message)
    assert found, message
    if line is not None:
        assert int(found.group(1)) == line, message
    return message


def test_the_scaffold_is_in_the_right_form(tree: Any) -> None:
    material = tree.material()
    assert [block.name for block in material.lesson.exercises] == ["centre_columns"]
    assert [len(rungs) for rungs in material.lesson.exercises[0].hints.values()] == [3, 3]


# --- prose


def test_prose_without_a_language(tree: Any) -> None:
    tree.replace(tree.lesson, '+++ {"lang": "en"}\n\n## Break it', "+++\n\n## Break it")
    line = tree.line(tree.lesson, "## Break it") - 2
    refused(tree, "without a language", '{"lang": "en"}', at=line)


def test_prose_after_a_code_cell_without_any_marker(tree: Any) -> None:
    tree.replace(tree.lesson, "progress()\n```\n", "progress()\n```\n\nStray words.\n")
    refused(tree, "without a language")


def test_prose_in_an_unknown_language(tree: Any) -> None:
    tree.replace(tree.lesson, '+++ {"lang": "en"}\n\n## Break it', '+++ {"lang": "de"}\n\n## Break it')
    refused(tree, "unknown language 'de'")


def test_missing_chinese_partner(tree: Any) -> None:
    text = tree.lesson.read_text(encoding="utf-8")
    start = text.index('+++ {"lang": "zh"}\n\n## 把它弄坏')
    end = text.index("```{code-cell}", start)
    tree.lesson.write_text(text[:start] + text[end:], encoding="utf-8")
    refused(tree, "English prose without its Chinese partner", at=tree.line(tree.lesson, "## Break it") - 2)


def test_chinese_before_english(tree: Any) -> None:
    text = tree.lesson.read_text(encoding="utf-8")
    swapped = text.replace('"lang": "en"}\n\n## Break it', '"lang": "XX"}\n\n## Break it')
    swapped = swapped.replace('"lang": "zh"}\n\n## 把它弄坏', '"lang": "en"}\n\n## 把它弄坏')
    tree.lesson.write_text(swapped.replace('"lang": "XX"', '"lang": "zh"'), encoding="utf-8")
    refused(tree, "Chinese prose without its English partner", at=tree.line(tree.lesson, "## Break it") - 2)


def test_chinese_cell_without_chinese(tree: Any) -> None:
    tree.replace(tree.lesson, "## 书面题\n\n请举出一种分析：对列做中心化会去掉你想看到的东西；并说明原因。", "## Later")
    refused(tree, "not one Chinese character", at=tree.line(tree.lesson, "## Later") - 2)


def test_english_cell_in_chinese(tree: Any) -> None:
    old = "Name one analysis in which centring the columns would remove what you want to see, and say why."
    tree.replace(tree.lesson, "## Written question\n\n" + old, "请举出一种分析。")
    refused(tree, "mostly Chinese", at=tree.line(tree.lesson, "请举出一种分析。") - 2)


def test_unknown_option_of_a_prose_cell(tree: Any) -> None:
    tree.replace(tree.lesson, '+++ {"lang": "en"}\n\n## Break it', '+++ {"lang": "en", "mood": 1}\n\n## Break it')
    refused(tree, "unknown option 'mood'")


def test_options_that_are_not_json(tree: Any) -> None:
    tree.replace(tree.lesson, '+++ {"lang": "en"}\n\n## Break it', "+++ {lang: en}\n\n## Break it")
    refused(tree, "can't be read", at=tree.line(tree.lesson, "+++ {lang: en}"))


def test_image_that_would_not_travel(tree: Any) -> None:
    tree.replace(tree.lesson, "The mean trusts every sample.", "![a picture](figures/mean.png)")
    refused(tree, "figures/mean.png", at="figures/mean.png")


def test_directive_that_a_notebook_does_not_render(tree: Any) -> None:
    tree.replace(tree.lesson, "The mean trusts every sample.", "```{note}\nThe mean trusts every sample.\n```")
    refused(tree, "MyST directive", at="```{note}")


def test_nbgrader_marks_in_prose(tree: Any) -> None:
    tree.replace(tree.lesson, "The mean trusts every sample.", "### BEGIN SOLUTION")
    refused(tree, "belongs to nbgrader", at="### BEGIN SOLUTION")


# --- code


def test_import_of_the_reference(tree: Any) -> None:
    tree.replace(
        tree.lesson, "import pandas as pd\n", "import pandas as pd\nfrom reference_impl.quality import robust_z\n"
    )
    refused(tree, "learners don't have reference_impl.quality", at="from reference_impl.quality")


def test_import_of_a_reference_module_by_its_package(tree: Any) -> None:
    tree.replace(tree.lesson, "import pandas as pd\n", "import pandas as pd\nfrom reference_impl import quality\n")
    refused(tree, "learners don't have reference_impl.quality", at="from reference_impl import")


def test_import_inside_a_function(tree: Any) -> None:
    code = "def peek():\n    import reference_impl.quality\n\n\nvalues = np.append"
    tree.replace(tree.lesson, "values = np.append", code)
    refused(tree, "reference_impl.quality", at="    import reference_impl")


def test_import_of_the_machinery(tree: Any) -> None:
    tree.replace(tree.lesson, "import pandas as pd\n", "import pandas as pd\nimport course.grading\n")
    refused(tree, "only course.checking", at="import course.grading")


def test_code_that_is_not_python_names_its_own_line(tree: Any) -> None:
    tree.replace(
        tree.lesson, "genes = log_counts.columns[:6]\n", "genes = log_counts.columns[:6]\n%matplotlib inline\n"
    )
    refused(tree, "not plain Python", at="%matplotlib")


def test_line_numbers_hold_below_options_and_an_empty_line(tree: Any) -> None:
    tree.replace(tree.lesson, "```{code-cell}\nvalues", "```{code-cell}\n:tags: [hide-input]\n\nimport tests\nvalues")
    refused(tree, "learners don't have tests", at="import tests")


def test_unknown_tag(tree: Any) -> None:
    tree.replace(tree.lesson, "```{code-cell}\nvalues", "```{code-cell}\n:tags: [secret]\nvalues")
    refused(tree, "only tag")


def test_empty_code_cell(tree: Any) -> None:
    tree.replace(tree.lesson, "```{code-cell}\nprogress()\n```", "```{code-cell}\n```")
    refused(tree, "empty code cell")


def test_first_cell_must_bring_the_helpers(tree: Any) -> None:
    tree.replace(tree.lesson, "from course.checking import check, hint, label, progress\n", "")
    refused(tree, "from course.checking import check, hint, label, progress")


def test_given_cell_that_answers_an_exercise(tree: Any) -> None:
    tree.replace(tree.lesson, "values = np.append", "centre_columns = np.array\nvalues = np.append")
    refused(tree, "defines centre_columns")


# --- exercises


def test_exercise_without_a_task(tree: Any) -> None:
    tree.replace(tree.lesson, EXERCISE, "```{code-cell}\nn_genes = 3\n```\n\n" + EXERCISE)
    refused(tree, "has no task", at=tree.line(tree.lesson, ":exercise:") - 1)


def test_heading_that_the_build_writes(tree: Any) -> None:
    tree.replace(tree.lesson, "编写 `centre_columns(x)`。\n", "### 练习 1\n\n编写 `centre_columns(x)`。\n")
    refused(tree, "the build writes the number and title", at=tree.line(tree.lesson, "Write `centre_columns(x)`.") - 2)


def test_unknown_exercise(tree: Any) -> None:
    tree.replace(tree.lesson, EXERCISE, EXERCISE.replace("centre_columns", "centre_rows"))
    refused(tree, "'centre_rows' is not in unit.toml", "centre_columns", at=tree.line(tree.lesson, ":exercise:") - 1)


def test_duplicate_exercise(tree: Any) -> None:
    again = '\n+++ {"lang": "en"}\n\nAgain.\n\n+++ {"lang": "zh"}\n\n再来。\n\n' + EXERCISE
    text = tree.lesson.read_text(encoding="utf-8")
    tree.lesson.write_text(text + again, encoding="utf-8")
    refused(tree, "already set at line", at=len((text + again).splitlines()) - 2)


def test_exercise_listed_but_not_set(tree: Any) -> None:
    text = tree.settings.read_text(encoding="utf-8")
    start, end = text.index("[[exercises]]"), text.index("[written]")
    more = text[start:end].replace('name = "centre_columns"', 'name = "scale_columns"')
    tree.settings.write_text(text[:end] + more + text[end:], encoding="utf-8")
    refused(tree, "'scale_columns' is listed in unit.toml but not set in the lesson")


def test_exercise_with_code_of_its_own(tree: Any) -> None:
    tree.replace(tree.lesson, ":exercise: centre_columns\n", ":exercise: centre_columns\ndef centre_columns(x): ...\n")
    refused(tree, "comes from the reference", at="def centre_columns")


def test_kinds_that_disagree(tree: Any) -> None:
    tree.replace(tree.lesson, ":exercise: centre_columns\n", ":exercise: centre_columns\n:kind: value\nx = 1\n")
    refused(tree, "is a value here and a function in unit.toml")


def test_unknown_kind(tree: Any) -> None:
    tree.replace(tree.lesson, ":exercise: centre_columns\n", ":exercise: centre_columns\n:kind: riddle\n")
    refused(tree, "unknown kind 'riddle'")


def test_value_exercise_that_does_not_assign_its_name(tree: Any) -> None:
    tree.replace(tree.settings, 'kind = "function"\nreference = "reference_impl.centring"\n', 'kind = "value"\n')
    tree.replace(tree.lesson, ":exercise: centre_columns\n", ":exercise: centre_columns\n:kind: value\ncentred = 1\n")
    refused(tree, "assigns nothing to centre_columns", at=tree.line(tree.lesson, ":exercise:") - 1)


# --- hints


def without_hint(tree: Any, number: int, language: str) -> None:
    text = tree.lesson.read_text(encoding="utf-8")
    start = text.index(f'+++ {{"hint": {number}, "lang": "{language}"}}')
    end = text.index("+++", start + 3)
    tree.lesson.write_text(text[:start] + text[end:], encoding="utf-8")


def test_too_few_hints(tree: Any) -> None:
    without_hint(tree, 3, "en")
    without_hint(tree, 3, "zh")
    refused(tree, "has 2 hint rungs", "at least 3", at=tree.line(tree.lesson, ":exercise:") - 1)


def test_hint_in_english_only(tree: Any) -> None:
    without_hint(tree, 2, "zh")
    refused(tree, "English hint 2", "Chinese partner", at='{"hint": 2, "lang": "en"}')


def test_hint_in_chinese_only(tree: Any) -> None:
    without_hint(tree, 2, "en")
    refused(tree, "Chinese hint 2", "English partner", at='{"hint": 2, "lang": "zh"}')


def test_hint_out_of_order(tree: Any) -> None:
    text = tree.lesson.read_text(encoding="utf-8").replace('"hint": 2', '"hint": 4')
    tree.lesson.write_text(text, encoding="utf-8")
    refused(tree, "hint 4", "hint 2 was expected", at='{"hint": 4, "lang": "en"}')


def test_hint_that_follows_no_exercise(tree: Any) -> None:
    tree.replace(tree.lesson, "progress()\n```\n", 'progress()\n```\n\n+++ {"hint": 1, "lang": "en"}\n\nx\n')
    refused(tree, "follows no exercise", at=len(tree.lesson.read_text().splitlines()) - 2)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_hint_that_contains_the_answer(tree: Any, language: str) -> None:
    told = {"en": "The same with", "zh": "换成最大值"}[language]
    tree.replace(tree.lesson, told, f"    return like(x, values -  values.mean(axis=0))\n{told}")
    refused(tree, "hint 3", "contains a line of the answer", at="return like(x")


def test_short_lines_give_nothing_away() -> None:
    assert telling_lines("x = x + 1\nreturn x") == []
    assert telling_lines("deviation = np.abs(x - np.median(x))") == ["deviation=np.abs(x-np.median(x))"]


# --- the written question, and the whole


def test_missing_written_question(tree: Any) -> None:
    text = tree.lesson.read_text(encoding="utf-8")
    start = text.index('+++ {"written"')
    end = text.index('+++ {"lang": "en"}', start)
    tree.lesson.write_text(text[:start] + text[end:], encoding="utf-8")
    refused(tree, "written question 'when_not_to_centre' is missing")


def test_mark_scheme_in_one_language(tree: Any) -> None:
    text = tree.lesson.read_text(encoding="utf-8")
    start = text.index('+++ {"written": "when_not_to_centre", "lang": "zh"}')
    end = text.index('+++ {"lang": "en"}', start)
    tree.lesson.write_text(text[:start] + text[end:], encoding="utf-8")
    refused(tree, "mark scheme", "Chinese partner", at='+++ {"written": "when_not_to_centre", "lang": "en"}')


def test_written_question_under_another_name(tree: Any) -> None:
    text = tree.lesson.read_text(encoding="utf-8").replace('"written": "when_not_to_centre"', '"written": "why"')
    tree.lesson.write_text(text, encoding="utf-8")
    refused(tree, "'why' is 'when_not_to_centre' in unit.toml")


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("---\njupytext", "jupytext", "header is missing"),
        ("format_name: myst", "format_name: light", "format_name"),
        ("name: python3", "name: ir", "kernelspec.name"),
        ("kernelspec: {", "kernelspec: {{", "not YAML"),
    ],
)
def test_wrong_header(tree: Any, old: str, new: str, word: str) -> None:
    tree.replace(tree.lesson, old, new)
    refused(tree, word, at=1)


def test_missing_title(tree: Any) -> None:
    tree.replace(tree.lesson, "# Centring（中文标题）", "Centring（中文标题）")
    refused(tree, "opens with its title")


def test_title_of_another_unit(tree: Any) -> None:
    tree.replace(tree.lesson, "# Centring（中文标题）", "# 另一个标题")
    refused(tree, "is not that of unit.toml")


def test_opening_comes_from_the_settings(tree: Any) -> None:
    opening = {
        language: "".join(build.notebook(tree.material(), language)["cells"][0]["source"]) for language in ("en", "zh")
    }
    assert "**Time.** About 45 minutes, 10 of them for the exercises." in opening["en"]
    assert "You should know what a mean and a median are." in opening["en"]
    assert "**时间。** 约 45 分钟，其中练习 10 分钟。" in opening["zh"]
    assert "- 把一个组学层按列中心化，并说明此后“零”的含义。" in opening["zh"]


def test_missing_lesson(tree: Any) -> None:
    tree.lesson.unlink()
    with pytest.raises(CourseError, match=r"course/units/04_centring/lesson\.md: there is no such file"):
        tree.material()


def test_lesson_that_is_not_utf8(tree: Any) -> None:
    tree.lesson.write_bytes(b"---\n\xff\n")
    with pytest.raises(CourseError, match=r"lesson\.md: not readable as UTF-8"):
        tree.material()


def test_bound_names_stay_out_of_functions_and_comprehensions() -> None:
    code = "import a.b\nx, (y, *z) = 1, (2, 3)\ndef f():\n    inner = 1\nclass C:\n    w = 1\n[q for q in []]"
    assert bound_names(code) == {"a", "x", "y", "z", "f", "C"}


# --- unit.toml


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("points = 6", "points = 7", ["exercises[1].points", "centre_columns says 7", "worth 6"]),
        ("points = 6", 'points = "6"', ["exercises[1].points", "whole number of at least 1", "'6'"]),
        ("points = 3", "points = 0", ["written.points", "at least 1"]),
        ("difficulty = 1", "difficulty = 6", ["exercises[1].difficulty", "from 1 to 5", "6"]),
        ("difficulty = 1", "difficulty = true", ["exercises[1].difficulty", "True"]),
        ('kind = "function"', 'kind = "riddle"', ["exercises[1].kind", "function, value"]),
        ("minutes = 45\n", "", ["minutes", "missing"]),
        ("minutes = 45\n", "minutes = 45\nmood = 1\n", ["mood", "is not a key"]),
        ("needs = []", 'needs = ["03_nothing"]', ["needs", "03_nothing"]),
        ('data = ["cohort"]', 'data = ["people"]', ["data", "cohort"]),
        (
            '"reference_impl.centring"',
            '"reference_impl.nowhere"',
            ["exercises[1].reference", "reference_impl/nowhere.py"],
        ),
        ('"reference_impl.centring"', '"os.path"', ["exercises[1].reference", "os.path"]),
        ('name = "centre_columns"', 'name = "Centre Columns"', ["exercises[1].name", "lower case"]),
        ('name = "when_not_to_centre"', 'name = "centre_columns"', ["two exercises or questions"]),
        ('zh = "按列中心化"', 'zh = ""', ["exercises[1].title.zh", "a text"]),
        ("[[goals]]", "[goals]", ["goals", "at least one"]),
        ("[background]", "[forehead]", ["background", "missing"]),
        ("needs = []", "needs = [", ["not readable as TOML"]),
    ],
)
def test_wrong_unit_toml(tree: Any, old: str, new: str, words: list[str]) -> None:
    tree.replace(tree.settings, old, new)
    with pytest.raises(UnitError) as caught:
        tree.material()
    message = str(caught.value)
    assert message.startswith("course/units/04_centring/unit.toml: ")
    for word in words:
        assert word in message


# --- the reference


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("def centre_columns(", "def centre_other(", ["centring.py:1: ", "no function 'centre_columns'"]),
        ("def centre_columns(x: Any) -> Any:", "class centre_columns:", ["is a class"]),
        ('    values = as_matrix(x, "x")\n', '    values = as_matrx(x, "x")\n', ["centring.py:13: ", "as_matrx"]),
        (
            "from reference_impl.validation import as_matrix, like",
            "import reference_impl.validation as v",
            ["as_matrix"],
        ),
        ("import as_matrix, like", "import as_matrix as like, like as as_matrix", ["under its own name"]),
        ("import as_matrix, like", "import as_matrix, nothing as like", ["nothing is not defined"]),
        ('    values = as_matrix(x, "x")\n', "    # BEGIN SOLUTION\n    values = x\n", ["belongs to nbgrader"]),
        ("def centre_columns(x: Any)", "def centre_columns(x: Any", ["not valid Python"]),
    ],
)
def test_reference_that_cannot_become_an_exercise(tree: Any, old: str, new: str, words: list[str]) -> None:
    tree.replace(tree.reference, old, new)
    with pytest.raises(SourceError) as caught:
        build.derive(tree.unit)
    assert str(caught.value).startswith("reference_impl/centring.py:")
    for word in words:
        assert word in str(caught.value)


def test_reference_without_docstring(tree: Any) -> None:
    text = tree.reference.read_text(encoding="utf-8")
    start = text.index('    """Subtract')
    tree.reference.write_text(text[:start] + text[text.index("    values =") :], encoding="utf-8")
    with pytest.raises(SourceError, match="has no docstring"):
        tree.material()
