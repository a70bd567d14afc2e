"""The comparison of methods: what it measures, that it goes on where it stopped, and what lessons show of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from course.authoring import compare
from course.errors import CourseError


class Perfect:
    """Knows everything: its scores are the best there are."""

    def __init__(self, truth: dict[str, Any], disease: pd.Series) -> None:
        self.truth, self.known = truth, disease

    def subtypes(self, layers: compare.Layers) -> np.ndarray:
        return np.array([self.truth["subtype"][patient] for patient in layers["rna"].index])

    def disease(self, train: compare.Layers, y: np.ndarray, test: compare.Layers) -> np.ndarray:
        return self.known.loc[test["rna"].index].to_numpy()

    def impute(self, layers: compare.Layers, lacks: np.ndarray) -> np.ndarray:
        return layers[compare.TARGET][lacks].to_numpy()


class Guess:
    """Can do one task only, by chance."""

    def disease(self, train: compare.Layers, y: np.ndarray, test: compare.Layers) -> np.ndarray:
        return np.zeros(len(test["rna"]))


@pytest.fixture(scope="module")
def prepared() -> Any:
    return compare._prepared()


@pytest.fixture
def entries(prepared: Any) -> list[compare.Entry]:
    layers, truth, disease = prepared
    perfect = Perfect(truth, pd.Series(disease, index=layers["rna"].index))
    return [
        compare.Entry("perfect", "knows all", "全知", "08_early_and_late", perfect),
        compare.Entry("guess", "guesses", "猜测", "08_early_and_late", Guess()),
    ]


@pytest.fixture(autouse=True)
def elsewhere(prepared: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record lies in a temporary folder, and the cohort is read once."""
    monkeypatch.setattr(compare, "_prepared", lambda: prepared)
    monkeypatch.setattr(compare, "RECORD", tmp_path / "comparison.json")
    monkeypatch.setattr(compare, "UNFINISHED", tmp_path / "comparison.unfinished.json")


def test_scores_of_who_knows_all_and_of_who_guesses(entries: list[compare.Entry], prepared: Any) -> None:
    best, worst = (compare.measure(entry, *prepared) for entry in entries)
    assert [best[task] for task in ("subtypes", "disease", "missing_layer")] == [1.0, 1.0, 1.0]
    assert [worst[task] for task in ("subtypes", "disease", "missing_layer")] == [None, 0.5, None]
    assert best["seconds"] in {"1", "10", "100", "1000"}


def test_a_run_that_was_stopped_goes_on(entries: list[compare.Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    running = compare.run(entries)
    assert next(running)[0] == "knows all"
    assert next(running)[0] == "guesses"  # the first is measured and kept
    running.close()
    assert list(json.loads(compare.UNFINISHED.read_text())["methods"]) == ["perfect"]

    measured = []
    measure = compare.measure
    monkeypatch.setattr(compare, "measure", lambda entry, *rest: measured.append(entry.name) or measure(entry, *rest))
    assert [step[0] for step in compare.run(entries)] == ["guesses", ""]
    assert measured == ["guess"]
    assert not compare.UNFINISHED.exists()
    assert list(compare.record()["methods"]) == ["perfect", "guess"]
    assert compare.is_current()


def test_a_record_of_other_inputs_is_out_of_date(entries: list[compare.Entry]) -> None:
    assert not compare.is_current()
    with pytest.raises(CourseError, match="run `course compare`"):
        compare.record()
    list(compare.run(entries))
    compare.RECORD.write_text(compare.RECORD.read_text().replace(compare.digest(), "0" * 64))
    assert not compare.is_current()


def test_lessons_get_the_numbers_in_their_block(entries: list[compare.Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    list(compare.run(entries))
    monkeypatch.setattr(compare, "entries", lambda: entries)
    text = "before\n# comparison:begin (written by `course compare --write`)\nold\n# comparison:end\nafter\n"
    new = compare.with_block(text)
    assert new.startswith("before\n# comparison:begin (written")
    assert new.endswith("# comparison:end\nafter\n")
    assert compare.with_block(new) == new
    shown: dict[str, Any] = {}
    exec(new.split("\n", 1)[1].rsplit("after", 1)[0], {"label": lambda english, chinese: chinese}, shown)
    assert shown["COMPARISON"]["猜测"][:3] == (None, 0.5, None)


def test_every_real_method_can_do_a_task() -> None:
    names = [entry.name for entry in compare.entries()]
    assert len(set(names)) == len(names)
    for entry in compare.entries():
        assert hasattr(entry.method, "disease")
