"""Intake: whose notebook, of which unit, and how damaged ones are mended."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from course import paths
from course.grading import intake
from course.grading.classroom import Classroom
from course.grading.inbox import bring_in
from course.grading.intake import Library, Refused, Submission, Unreadable

UNIT, OTHER = "91_one", "92_two"
ANSWERS = {UNIT: ("first_sum", "second_sum"), OTHER: ("third_sum",)}
PROSE = {"en": "Add the numbers.", "zh": "把这些数加起来。"}


def code(source: str, cell_id: str, **marks: Any) -> dict[str, Any]:
    return cell("code", source, cell_id, **marks)


def cell(kind: str, source: str, cell_id: str, **marks: Any) -> dict[str, Any]:
    metadata = {"nbgrader": {"schema_version": 3, "locked": False, "task": False, **marks}} if marks else {}
    made: dict[str, Any] = {"cell_type": kind, "id": cell_id, "source": source, "metadata": metadata}
    return {**made, "outputs": [], "execution_count": None} if kind == "code" else made


def starter(name: str) -> str:
    return f"def {name}(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()"


def answer(name: str) -> str:
    return f"def {name}(x):\n    return sum(x)"


def released(unit: str, language: str) -> dict[str, Any]:
    cells = [
        cell("markdown", PROSE[language], "prose-1"),
        code("import math\nstart = 1", "given-1"),
    ]
    for name in ANSWERS[unit]:
        cells.append(code(starter(name), f"answer-{name}", grade_id=name, grade=False, solution=True))
        check = {"grade_id": f"check_{name}", "grade": True, "solution": False, "locked": True, "points": 3}
        cells.append(code(f'check("{name}")', f"check-{name}", **check))
    cells.append(
        cell("markdown", "YOUR ANSWER HERE", "written-why", grade_id="written_why", grade=True, solution=True, points=4)
    )
    metadata = {"course": {"unit": unit, "language": language}, "kernelspec": {"name": "python3"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.setattr(paths, "EXERCISES", tmp_path / "exercises")
    for unit in ANSWERS:
        for language in paths.LANGUAGES:
            file = paths.exercise_notebook(unit, language)
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(released(unit, language)), encoding="utf-8")
    return Library(ANSWERS)


@pytest.fixture
def classroom(tmp_path: Path) -> Classroom:
    folder = tmp_path / "class"
    (folder / "submitted").mkdir(parents=True)
    (folder / "class.toml").write_text('name = "A class"\n')
    (folder / "roster.csv").write_text("id\ns1\ns10\nli-hua\n")
    return Classroom.open(folder)


def solved(unit: str = UNIT, language: str = "en") -> dict[str, Any]:
    notebook = released(unit, language)
    for part in notebook["cells"]:
        name = part["metadata"].get("nbgrader", {}).get("grade_id", "")
        if name in ANSWERS[unit]:
            part["source"] = answer(name)
    return notebook


def save(file: Path, notebook: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(notebook if isinstance(notebook, str) else json.dumps(notebook), encoding="utf-8")
    return file


def take(tmp_path: Path, library: Library, notebook: Any, name: str = f"{UNIT}.ipynb") -> Submission:
    return intake.take(save(tmp_path / name, notebook), "s1", library)


def ids(submission: Submission) -> list[str]:
    found = [part["metadata"].get("nbgrader", {}).get("grade_id") for part in submission.notebook["cells"]]
    return [name for name in found if name]


def source(submission: Submission, grade_id: str) -> str:
    [found] = [
        part["source"]
        for part in submission.notebook["cells"]
        if part["metadata"].get("nbgrader", {}).get("grade_id") == grade_id
    ]
    return found


WHOLE = ["first_sum", "check_first_sum", "second_sum", "check_second_sum", "written_why"]


@pytest.mark.parametrize("language", paths.LANGUAGES)
def test_whole_notebook_needs_no_repair(tmp_path: Path, library: Library, language: str) -> None:
    submission = take(tmp_path, library, solved(language=language))
    assert (submission.unit, submission.language, submission.repairs) == (UNIT, language, ())
    assert ids(submission) == WHOLE
    assert [part["source"] for part in submission.notebook["cells"]] == [
        part["source"] for part in solved(language=language)["cells"]
    ]


def test_renamed_file_is_told_from_inside(tmp_path: Path, library: Library) -> None:
    submission = take(tmp_path, library, solved(OTHER), "my homework (2).ipynb")
    assert submission.unit == OTHER
    assert submission.repairs == ("renamed_file: my homework (2).ipynb",)


def test_lost_metadata_is_told_from_ids_and_prose(tmp_path: Path, library: Library) -> None:
    notebook = solved(language="zh")
    notebook["metadata"] = {}
    submission = take(tmp_path, library, notebook)
    assert (submission.unit, submission.language) == (UNIT, "zh")
    assert submission.repairs == ("lost_metadata",)


def test_ids_decide_over_what_the_notebook_says(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    notebook["metadata"]["course"]["unit"] = OTHER
    assert take(tmp_path, library, notebook).unit == UNIT


def test_all_marks_lost_is_told_from_what_is_defined(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    notebook["metadata"] = {}
    for part in notebook["cells"]:
        part["metadata"] = {}
        part.pop("id")
    submission = take(tmp_path, library, notebook)
    assert submission.unit == UNIT
    assert set(WHOLE) == set(ids(submission))
    assert source(submission, "first_sum") == answer("first_sum")
    assert "found_answer: first_sum" in submission.repairs


def test_missing_check_comes_back_behind_its_answer(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    notebook["cells"] = [part for part in notebook["cells"] if part["id"] != "check-first_sum"]
    submission = take(tmp_path, library, notebook)
    assert ids(submission) == WHOLE
    assert submission.repairs == ("missing_check: check_first_sum",)


def test_changed_check_is_put_back(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    notebook["cells"][3]["source"] = "100"
    submission = take(tmp_path, library, notebook)
    assert source(submission, "check_first_sum") == 'check("first_sum")'
    assert submission.repairs == ("changed_check: check_first_sum",)


def test_points_in_the_notebook_are_those_released(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    notebook["cells"][3]["metadata"]["nbgrader"]["points"] = 1000
    [check] = [part for part in take(tmp_path, library, notebook).notebook["cells"] if part["id"] == "check-first_sum"]
    assert check["metadata"]["nbgrader"]["points"] == 3


def test_first_worked_on_copy_is_kept_and_starters_go(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    original = notebook["cells"][2]
    untouched = {**copy.deepcopy(original), "source": starter("first_sum"), "id": "u"}
    later = {**copy.deepcopy(original), "source": answer("first_sum") + "  # second try", "id": "l"}
    notebook["cells"][2:3] = [untouched, original, copy.deepcopy(untouched), later]
    submission = take(tmp_path, library, notebook)
    assert ids(submission) == WHOLE
    assert source(submission, "first_sum") == answer("first_sum")
    sources = [part["source"] for part in submission.notebook["cells"]]
    assert starter("first_sum") not in sources
    assert answer("first_sum") + "  # second try" in sources
    assert submission.repairs == ("duplicate_answer: first_sum",)


def test_check_moves_behind_an_answer_copied_to_the_end(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    notebook["cells"][2]["source"] = starter("first_sum")
    notebook["cells"].append({**copy.deepcopy(notebook["cells"][2]), "source": answer("first_sum"), "id": "copy"})
    submission = take(tmp_path, library, notebook)
    order = ids(submission)
    assert order.index("first_sum") < order.index("check_first_sum")
    assert source(submission, "first_sum") == answer("first_sum")
    assert "moved_check: check_first_sum" in submission.repairs


def test_answer_without_id_or_name_is_told_by_its_place(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    part = notebook["cells"][2]
    part["metadata"], part["id"], part["source"] = {}, "x", "result = [1, 2]  # I renamed it"
    submission = take(tmp_path, library, notebook)
    assert ids(submission) == WHOLE
    assert source(submission, "first_sum") == "result = [1, 2]  # I renamed it"
    assert submission.repairs == ("placed_answer: first_sum",)


def test_of_two_cells_in_its_place_neither_is_taken_for_the_answer(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    notebook["cells"][2:3] = [code("a = 1", "m1"), code("b = 2", "m2")]
    submission = take(tmp_path, library, notebook)
    assert source(submission, "first_sum") == starter("first_sum")
    assert submission.repairs == ("missing_answer: first_sum",)
    assert [part["source"] for part in submission.notebook["cells"]].count("a = 1") == 1


def test_written_answer_that_lost_its_id_is_told_by_its_place(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    notebook["cells"][-1] = cell("markdown", "Because the median is robust.", "mine")
    submission = take(tmp_path, library, notebook)
    assert source(submission, "written_why") == "Because the median is robust."
    assert submission.repairs == ("placed_answer: written_why",)


def test_answer_that_became_text_and_lost_its_id_is_found_and_turned_back(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    notebook["cells"][2] = cell("markdown", answer("first_sum"), "t")
    submission = take(tmp_path, library, notebook)
    assert source(submission, "first_sum") == answer("first_sum")
    assert submission.repairs == ("found_answer: first_sum", "changed_type: first_sum")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_other_encodings_are_read(tmp_path: Path, library: Library, encoding: str) -> None:
    file = tmp_path / f"{UNIT}.ipynb"
    file.write_bytes(json.dumps(solved(language="zh"), ensure_ascii=False).encode(encoding))
    submission = intake.take(file, "s1", library)
    assert submission.repairs == (("other_encoding: UTF-16",) if encoding == "utf-16" else ())
    assert any("\u4e00" <= letter <= "\u9fff" for part in submission.notebook["cells"] for letter in part["source"])


def test_missing_answer_is_not_attempted_but_rest_stays(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    notebook["cells"] = [part for part in notebook["cells"] if "first_sum" not in part["id"]]
    submission = take(tmp_path, library, notebook)
    assert ids(submission) == WHOLE
    assert source(submission, "first_sum") == starter("first_sum")
    assert source(submission, "second_sum") == answer("second_sum")


def test_extra_cells_are_kept_in_place(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    notebook["cells"].insert(2, code("helper = 3", "mine"))
    submission = take(tmp_path, library, notebook)
    assert submission.notebook["cells"][2]["source"] == "helper = 3"
    assert submission.repairs == ()


def test_deleted_given_cell_comes_back_only_if_it_is_needed(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    given = notebook["cells"].pop(1)
    submission = take(tmp_path, library, notebook)
    assert submission.notebook["cells"][1]["source"] == given["source"]
    assert submission.repairs == ("missing_given: given-1",)
    notebook["cells"].insert(1, code("import math\nstart = 2  # mine", "mine"))
    assert take(tmp_path, library, notebook).repairs == ()


def test_answer_turned_into_text_is_turned_back(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    notebook["cells"][2]["cell_type"] = "markdown"
    submission = take(tmp_path, library, notebook)
    assert submission.notebook["cells"][2]["cell_type"] == "code"
    assert submission.repairs == ("changed_type: first_sum",)


def test_every_cell_has_an_id_of_its_own(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    notebook["cells"] += [code("1", "given-1"), code("2", "not/valid"), code("3", "")]
    cell_ids = [part["id"] for part in take(tmp_path, library, notebook).notebook["cells"]]
    assert len(set(cell_ids)) == len(cell_ids)
    assert all(cell_ids)


def test_outputs_tags_and_other_metadata_do_not_pass(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    notebook["cells"][2]["metadata"]["tags"] = ["raises-exception"]
    notebook["cells"][2]["outputs"] = [{"output_type": "execute_result", "data": {"text/plain": "100"}}]
    notebook["metadata"]["kernelspec"] = {"name": "mine"}
    submission = take(tmp_path, library, notebook)
    assert "tags" not in json.dumps(submission.notebook)
    assert "outputs" not in submission.notebook["cells"][2]
    assert submission.notebook["metadata"]["kernelspec"] == {"name": "python3"}


def test_running_a_notebook_does_not_change_its_digest(tmp_path: Path, library: Library) -> None:
    run = solved()
    run["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "hi"}]
    run["cells"][1]["execution_count"] = 5
    assert take(tmp_path, library, run).sha256 == take(tmp_path, library, solved()).sha256
    changed = solved()
    changed["cells"][2]["source"] += "\n# more"
    assert take(tmp_path, library, changed).sha256 != take(tmp_path, library, solved()).sha256


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "empty"),
        ('{"cells": [', "cut off"),
        ("[1, 2]", "not a notebook"),
        ('{"cells": []}', "no cells"),
        ("[" * 100_000, "cut off"),
        ('{"cells": [{"cell_type": "code", "source": "1", "metadata": {}}]}', "belongs to a unit"),
    ],
)
def test_unreadable_files_say_why(tmp_path: Path, library: Library, content: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason) as caught:
        take(tmp_path, library, content)
    assert any("\u4e00" <= letter <= "\u9fff" for letter in caught.value.zh)


def test_link_is_refused(tmp_path: Path, library: Library) -> None:
    real = save(tmp_path / "elsewhere.ipynb", solved())
    link = tmp_path / "link.ipynb"
    link.symlink_to(real)
    with pytest.raises(Unreadable, match="link"):
        intake.take(link, "s1", library)


def test_old_notebook_format_is_converted(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    for part in notebook["cells"]:
        if part["cell_type"] == "code":
            part["input"] = part.pop("source")
    old = {"worksheets": [{"cells": notebook["cells"]}], "metadata": notebook["metadata"], "nbformat": 3}
    submission = take(tmp_path, library, old)
    assert source(submission, "first_sum") == answer("first_sum")
    assert submission.repairs == ("old_format: nbformat 3",)


def test_odd_cells_are_left_out(tmp_path: Path, library: Library) -> None:
    notebook = solved()
    notebook["cells"] += [5, {"cell_type": "code", "source": 7}, {"cell_type": "video", "source": ""}]
    submission = take(tmp_path, library, notebook)
    assert submission.repairs == ("unusable_cell: 8", "unusable_cell: 9", "unusable_cell: 10")


def test_tree_gives_every_student_and_unit_once(classroom: Classroom, library: Library) -> None:
    save(classroom.submitted / "s1" / UNIT / f"{UNIT}.ipynb", solved())
    save(classroom.submitted / "s1" / UNIT / "old.ipynb", released(UNIT, "en"))
    save(classroom.submitted / "s1" / OTHER / "x.ipynb", "broken")
    save(classroom.submitted / "s2" / UNIT / "two.ipynb", solved(OTHER))
    save(classroom.submitted / "s2" / UNIT / ".ipynb_checkpoints" / f"{UNIT}.ipynb", solved())
    (classroom.submitted / "s3" / UNIT).mkdir(parents=True)
    found = list(intake.collect(classroom, library))
    assert [(item.student, item.unit, type(item)) for item in found] == [
        ("s1", UNIT, Submission),
        ("s1", OTHER, Refused),
        ("s2", OTHER, Submission),
        ("s3", UNIT, Refused),
    ]
    assert isinstance(found[0], Submission)
    assert found[0].repairs == ("other_file: old.ipynb",)
    assert isinstance(found[2], Submission)
    assert found[2].repairs == (f"wrong_folder: {UNIT}", "renamed_file: two.ipynb")
    assert [item.unit for item in intake.collect(classroom, library, [OTHER])] == [OTHER, OTHER]


def test_flat_folder_finds_students_by_the_roster(classroom: Classroom, library: Library, tmp_path: Path) -> None:
    inbox = tmp_path / "downloads"
    save(inbox / f"s10_{UNIT}.ipynb", solved())
    save(inbox / "homework-of-LI-HUA.ipynb", solved(OTHER))
    save(inbox / "nobody.ipynb", solved())
    save(inbox / "s1 and s10.ipynb", solved())
    brought, left = bring_in(classroom, inbox, library)
    assert sorted(str(file.relative_to(classroom.submitted)) for file in brought) == [
        f"li-hua/{OTHER}/homework-of-LI-HUA.ipynb",
        f"s10/{UNIT}/s10_{UNIT}.ipynb",
    ]
    assert {item.file.name: item.reason["en"] for item in left}.keys() == {"nobody.ipynb", "s1 and s10.ipynb"}


def test_repairs_are_told_in_both_languages() -> None:
    for kind in intake._REPAIRS:
        recorded = intake.repair(kind, "<b>x</b>")
        assert intake.describe_repair(recorded, "en") != intake.describe_repair(recorded, "zh")
        assert kind not in intake.describe_repair(recorded, "en")
