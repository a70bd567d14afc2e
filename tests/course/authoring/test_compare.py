"""The comparison of methods: what it measures, that it goes on where it stopped, and what lessons show of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from course.authoring import build, commands, compare, compare_record
from course.errors import CourseError


def application() -> typer.Typer:
    app = typer.Typer()
    commands.register(app)
    return app


class Perfect:
    """Knows everything: its scores are the best there are."""

    def __init__(self, layers: compare.Layers, truth: dict[str, Any], disease: np.ndarray) -> None:
        self.truth, self.known = truth, pd.Series(disease, index=layers["rna"].index)
        self.whole = layers[compare.TARGET]

    def subtypes(self, layers: compare.Layers) -> np.ndarray:
        return np.array([self.truth["subtype"][patient] for patient in layers["rna"].index])

    def disease(self, train: compare.Layers, y: np.ndarray, test: compare.Layers) -> np.ndarray:
        return self.known.loc[test["rna"].index].to_numpy()

    def impute(self, layers: compare.Layers, lacks: np.ndarray) -> np.ndarray:
        return self.whole[lacks].to_numpy()


class Peek:
    """Returns what stands where the hidden values were."""

    def impute(self, layers: compare.Layers, lacks: np.ndarray) -> np.ndarray:
        return layers[compare.TARGET][lacks].to_numpy()


class Guess:
    """Can do one task only, by chance."""

    def disease(self, train: compare.Layers, y: np.ndarray, test: compare.Layers) -> np.ndarray:
        return np.zeros(len(test["rna"]))


@pytest.fixture(scope="module")
def prepared() -> Any:
    return compare_record.prepared()


@pytest.fixture
def entries(prepared: Any) -> list[compare.Entry]:
    return [
        compare.Entry("perfect", "knows all", "全知", "08", (Guess(), Perfect(*prepared))),
        compare.Entry("guess", "guesses", "猜测", "12", (Guess(),)),
    ]


@pytest.fixture(autouse=True)
def elsewhere(prepared: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record lies in a temporary folder, and the cohort is read once."""
    monkeypatch.setattr(compare_record, "prepared", lambda: prepared)
    monkeypatch.setattr(compare_record, "RECORD", tmp_path / "comparison.json")
    monkeypatch.setattr(compare_record, "UNFINISHED", tmp_path / "comparison.unfinished.json")


@pytest.fixture
def lesson(tmp_path: Path, entries: list[compare.Entry], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lesson of unit 12 with an empty block, the only one there is; and a record of two methods."""
    monkeypatch.setattr(compare_record, "entries", lambda: entries)
    list(compare_record.run(entries))
    folder = tmp_path / "units" / "12_network_fusion"
    folder.mkdir(parents=True)
    lesson = folder / "lesson.md"
    lesson.write_text("before\n# comparison:begin (made by a command)\n# comparison:end\nafter\n", encoding="utf-8")
    monkeypatch.setattr(compare_record.paths, "UNITS", tmp_path / "units")
    monkeypatch.setattr(compare_record.paths, "unit_names", lambda: ["12_network_fusion"])
    return lesson


def test_scores_of_who_knows_all_and_of_who_guesses(entries: list[compare.Entry], prepared: Any) -> None:
    best, worst = (compare.measure(entry, *prepared) for entry in entries)
    assert [best[task] for task in compare.TASKS] == [1.0, 1.0, 1.0]
    assert [worst[task] for task in compare.TASKS] == [None, 0.5, None]
    assert best["seconds"] in {"1", "10", "100", "1000"}


def test_hidden_values_cannot_be_seen(prepared: Any) -> None:
    with pytest.raises(ValueError, match="Peek did not fill"):
        compare._imputation_correlation(Peek(), prepared[0])


def test_the_mean_tells_nothing_about_a_patient(prepared: Any) -> None:
    assert compare._imputation_correlation(compare.Mean(), prepared[0]) == 0


def test_a_run_that_was_stopped_goes_on(entries: list[compare.Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    running = compare_record.run(entries)
    assert next(running)[0] == "knows all"
    assert next(running)[0] == "guesses"  # the first is measured and kept
    running.close()
    assert list(json.loads(compare_record.UNFINISHED.read_text())["methods"]) == ["perfect"]

    measured = []
    measure = compare_record.measure
    monkeypatch.setattr(
        compare_record, "measure", lambda entry, *rest: measured.append(entry.name) or measure(entry, *rest)
    )
    assert [step[0] for step in compare_record.run(entries)] == ["guesses", ""]
    assert measured == ["guess"]
    assert not compare_record.UNFINISHED.exists()
    assert list(compare_record.record()["methods"]) == ["perfect", "guess"]
    assert compare_record.is_current()


def test_a_record_of_other_inputs_is_out_of_date(entries: list[compare.Entry]) -> None:
    assert not compare_record.is_current()
    with pytest.raises(CourseError, match="run `course compare --write`"):
        compare_record.record()
    list(compare_record.run(entries))
    compare_record.RECORD.write_text(compare_record.RECORD.read_text().replace(compare_record.digest(), "0" * 64))
    assert not compare_record.is_current()


def test_prose_does_not_change_the_digest_and_code_does() -> None:
    code = 'def double(x: float):\n    """Twice."""\n    return 2 * x\n'
    same = '"""Module."""\n\ndef double(x):  # why\n    """Two times."""\n    return (2 * x)\n'
    assert compare_record.code_of(code) == compare_record.code_of(same)
    for other in (code.replace("2 * x", "3 * x"), code.replace("2 * x", "x * 2"), code.replace("2 * x", "2. * x")):
        assert compare_record.code_of(code) != compare_record.code_of(other)
    assert compare_record.code_of("x = f'{a:{width}}'") != compare_record.code_of("x = f'{a}'")
    assert compare_record.code_of("x = None") != compare_record.code_of("x = 0")


def test_the_digest_covers_what_decides_the_numbers() -> None:
    names = {source.relative_to(compare_record.paths.ROOT).as_posix() for source in compare_record.sources()}
    assert {"reference_impl/integration/cca.py", "reference_impl/validation.py", "course/authoring/compare.py"} <= names
    assert "reference_impl/integration/snf_plots.py" not in names


def test_a_sub_package_is_covered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_record.paths, "ROOT", tmp_path)
    inside = tmp_path / "reference_impl" / "integration" / "mvae" / "network.py"
    inside.parent.mkdir(parents=True)
    inside.touch()
    assert inside in compare_record.sources()


def test_what_is_out_of_date_is_told(lesson: Path) -> None:
    assert compare_record.complaints() == ["lesson.md: shows other numbers than comparison.json"]
    assert compare_record.write_blocks() == [lesson]
    assert compare_record.complaints() == []
    compare_record.RECORD.write_text(compare_record.RECORD.read_text().replace(compare_record.digest(), "0" * 64))
    assert compare_record.complaints() == ["comparison.json: is not of the methods and the cohort as they are"]
    compare_record.RECORD.unlink()
    assert compare_record.complaints() == ["comparison.json: is not of the methods and the cohort as they are"]
    lesson.write_text("a lesson without a block", encoding="utf-8")
    assert compare_record.complaints() == []


def test_a_build_is_not_current_while_the_comparison_is_not(lesson: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "derive_all", lambda names, tell: {})
    monkeypatch.setattr(build, "compare", lambda files, names, all_units: [])
    result = CliRunner().invoke(application(), ["build", "--check"])
    assert isinstance(result.exception, CourseError)
    assert "course compare --write" in str(result.exception)
    compare_record.write_blocks()
    assert CliRunner().invoke(application(), ["build", "--check"]).exit_code == 0


def test_a_lesson_draws_the_numbers_with_its_own_unit_in_colour(lesson: Path) -> None:
    compare_record.write_blocks()
    text = lesson.read_text(encoding="utf-8")
    assert compare_record.with_block(text, "12") == text
    other = compare_record.with_block(text, "08")
    assert [(a, b) for a, b in zip(text.splitlines(), other.splitlines(), strict=True) if a != b] == [
        ('show_comparison(COMPARISON, "12")', 'show_comparison(COMPARISON, "08")')
    ]
    plt.close("all")
    shown: dict[str, Any] = {"label": lambda english, chinese: chinese}
    exec(text.split("before\n")[1].split("after")[0], shown)
    drawn = plt.gcf()
    assert [axis.get_xlabel().split("\n")[0] for axis in drawn.axes] == ["找回亚型", "预测疾病", "补全缺失层"]
    names = {text.get_text(): text.get_color() for text in drawn.axes[0].get_yticklabels()}
    assert names == {"全知": "black", "猜测": "#D55E00"}
    table = shown["show_comparison"](shown["COMPARISON"], "12")
    assert table.index.tolist() == ["全知", "▶ 猜测"]
    assert table.iloc[:, :3].to_numpy().tolist() == [["1.00", "1.00", "1.00"], ["–", "0.50", "–"]]
    assert all(axis.get_xlim()[0] < floor for axis, floor in zip(drawn.axes, (0, 0.5, 0), strict=True))
    plt.close("all")


def test_every_real_method_can_do_a_task() -> None:
    lines = compare.entries()
    assert len({entry.name for entry in lines}) == len(lines)
    for entry in lines:
        assert entry.methods
        assert all({"subtypes", "disease", "impute"} & set(dir(method)) for method in entry.methods)
    assert {entry.unit for entry in lines} == {"", "08", "09", "10", "11", "12", "13"}
