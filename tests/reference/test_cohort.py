"""The container of a cohort, and reading one from its files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from course.paths import COHORT, ROOT
from course.simulation.freeze import differences
from reference_impl.cohort import MultiOmics, load


def tiny(**changes: object) -> MultiOmics:
    """Three patients, two layers, with every optional table; `changes` replace or break parts."""
    rna = pd.DataFrame({"g1": [5, 0, 7], "g2": [1, 2, 3]}, index=["P1", "P2", "P3"])
    genotype = pd.DataFrame({"v1": [0.0, np.nan], "v2": [2.0, 1.0]}, index=["P3", "P1"])
    parts: dict = {
        "layers": {"genotype": genotype, "rna": rna},
        "clinical": pd.DataFrame({"age": [41, 52, 63], "sex": ["female", "male", "male"]}, index=["P1", "P2", "P3"]),
        "features": {"rna": pd.DataFrame({"symbol": ["A", "B"]}, index=["g1", "g2"])},
        "samples": {"rna": pd.DataFrame({"batch": ["b1", "b1", "b2"]}, index=["P1", "P2", "P3"])},
        "pools": {"rna": pd.DataFrame({"g1": [4], "g2": [2]}, index=["pool-b1-1"])},
        "pool_samples": {"rna": pd.DataFrame({"batch": ["b1"]}, index=["pool-b1-1"])},
        "calls": {"rna": pd.DataFrame({"v2": [1.0, np.nan, 2.0]}, index=["P1", "P2", "P3"])},
    }
    parts |= changes
    return MultiOmics(parts.pop("layers"), parts.pop("clinical"), **parts)


def test_matched_keeps_patients_of_every_layer_in_clinical_order():
    matched = tiny().matched()
    for table in (*matched.layers.values(), matched.clinical, matched.samples["rna"], matched.calls["rna"]):
        assert table.index.tolist() == ["P1", "P3"]
    assert matched.layers["genotype"].loc["P3", "v2"] == 2.0
    assert matched.pools["rna"].equals(tiny().pools["rna"])


def test_matched_of_matched_changes_nothing():
    once = tiny().matched()
    assert differences(once, once.matched()) == []


def test_matched_without_a_shared_patient_is_an_error():
    cohort = tiny(layers={"a": pd.DataFrame({"x": [1.0]}, ["P1"]), "b": pd.DataFrame({"y": [1.0]}, ["P2"])},
                  features={}, samples={}, pools={}, pool_samples={}, calls={})  # fmt: skip
    with pytest.raises(ValueError, match=r"no patient was measured in every layer \(a has 1, b has 1\)"):
        cohort.matched()


def test_restriction_leaves_the_cohort_as_it_was_and_keeps_the_order_asked_for():
    cohort = tiny()
    part = cohort.restricted_to(["P3", "P1"])
    assert part.patients.tolist() == ["P3", "P1"]
    assert part.layers["rna"].index.tolist() == ["P3", "P1"]
    assert differences(cohort, tiny()) == []


@pytest.mark.parametrize(("patients", "words"), [(["P9"], "'P9' unknown"), (["P1", "P1"], "'P1' repeated")])
def test_restriction_to_odd_labels_names_them(patients, words):
    with pytest.raises(ValueError, match=words):
        tiny().restricted_to(patients)


def frame(columns: dict, index: list) -> pd.DataFrame:
    return pd.DataFrame(columns, index=index)


GENOTYPE = frame({"v1": [0.0], "v2": [1.0]}, ["P1"])
RNA = frame({"g1": [5], "g2": [1]}, ["P1"])
CLINICAL = frame({"age": [41]}, ["P1"])


@pytest.mark.parametrize(
    ("layers", "options", "words"),
    [
        ({"rna": RNA}, {}, "at least 2 layers, got 1"),
        ({"genotype": GENOTYPE, "rna": RNA.iloc[:0]}, {}, "layer 'rna' is empty"),
        ({"genotype": GENOTYPE, "rna": RNA.rename(index={"P1": "P7"})}, {}, "sample 'P7', not in the clinical table"),
        ({"genotype": GENOTYPE, "rna": pd.concat([RNA, RNA])}, {}, "row 'P1' more than once"),
        ({"genotype": GENOTYPE, "rna": RNA.set_axis(["g", "g"], axis=1)}, {}, "column 'g' more than once"),
        ({"genotype": GENOTYPE, "rna": frame({"g1": ["five"]}, ["P1"])}, {}, "text in column 'g1'"),
        ({"genotype": GENOTYPE, "rna": RNA}, {"features": {"rna": frame({"s": [1]}, ["g1"])}}, "differ in 'g2'"),
        ({"genotype": GENOTYPE, "rna": RNA}, {"features": {"rna": frame({"s": [1, 2]}, ["g2", "g1"])}}, "their order"),
        ({"genotype": GENOTYPE, "rna": RNA}, {"samples": {"rna": frame({"b": [1]}, ["P2"])}}, "differ in 'P1', 'P2'"),
        ({"genotype": GENOTYPE, "rna": RNA}, {"samples": {"dna": RNA}}, "'dna', which is no layer"),
        ({"genotype": GENOTYPE, "rna": RNA}, {"pools": {"rna": frame({"g1": [1]}, ["pool"])}}, "differ in 'g2'"),
        ({"genotype": GENOTYPE, "rna": RNA}, {"pool_samples": {"rna": RNA}}, "but pools has none"),
        ({"genotype": GENOTYPE, "rna": RNA}, {"calls": {"rna": frame({"v9": [1.0]}, ["P1"])}}, "site 'v9'"),
    ],
)  # fmt: skip
def test_tables_that_do_not_fit_together_are_refused(layers, options, words):
    with pytest.raises(ValueError, match="these tables do not make a cohort") as refusal:
        MultiOmics(layers, CLINICAL, **options)
    assert words in str(refusal.value)


def test_one_error_lists_everything_that_is_wrong():
    with pytest.raises(ValueError, match=r"'P7'.*; .*text in column 'x'"):
        MultiOmics({"a": RNA.rename(index={"P1": "P7"}), "b": frame({"x": ["no"]}, ["P1"])}, CLINICAL)


def test_clinical_must_be_a_table_with_each_patient_once():
    with pytest.raises(ValueError, match="clinical must be a DataFrame, got dict"):
        MultiOmics({"genotype": GENOTYPE, "rna": RNA}, {"age": [41]})
    with pytest.raises(ValueError, match="clinical has 'P1' more than once"):
        MultiOmics({"genotype": GENOTYPE, "rna": RNA}, pd.concat([CLINICAL, CLINICAL]))


def test_layers_must_be_tables():
    with pytest.raises(ValueError, match="expected layers as a dict"):
        MultiOmics({"genotype": GENOTYPE, "rna": [[1, 2]]}, CLINICAL)


def test_mudata_and_back_loses_nothing():
    pytest.importorskip("mudata", reason="the optional package mudata is not installed")
    cohort = tiny()
    data = cohort.to_mudata()
    assert set(data.mod) == {"genotype", "rna"}
    assert data.mod["rna"].shape == (3, 2)
    assert data.obs.loc["P2", "age"] == 52
    assert differences(cohort, MultiOmics.from_mudata(data)) == []
    assert MultiOmics.from_mudata(data).layers["rna"]["g1"].dtype == cohort.layers["rna"]["g1"].dtype


def test_mudata_of_somebody_else_is_read():
    mudata = pytest.importorskip("mudata", reason="the optional package mudata is not installed")
    anndata = pytest.importorskip("anndata")
    people = pd.DataFrame(index=["P1", "P2"])
    parts = {m: anndata.AnnData(np.eye(2), obs=people, var=pd.DataFrame(index=[f"{m}1", f"{m}2"])) for m in "ab"}
    data = mudata.MuData(parts)
    data.obs["age"] = [50, 60]
    cohort = MultiOmics.from_mudata(data)
    assert cohort.clinical["age"].tolist() == [50, 60]
    assert cohort.layers["b"].columns.tolist() == ["b1", "b2"]


def test_the_whole_cohort_survives_mudata():
    pytest.importorskip("mudata", reason="the optional package mudata is not installed")
    cohort = load()
    assert differences(cohort, MultiOmics.from_mudata(cohort.to_mudata())) == []


def test_from_mudata_refuses_another_thing():
    pytest.importorskip("mudata", reason="the optional package mudata is not installed")
    with pytest.raises(ValueError, match=r"expected a mudata\.MuData, got dict"):
        MultiOmics.from_mudata({})


def test_without_mudata_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mudata", None)
    with pytest.raises(ImportError, match="pip install mudata"):
        tiny().to_mudata()


def test_the_exercise_folder_comes_before_the_repository(tmp_path, monkeypatch):
    shutil.copytree(COHORT, tmp_path / "support" / "data" / "cohort")
    (tmp_path / "support" / "data" / "cohort" / "clinical.csv.gz").unlink()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"clinical\.csv\.gz is missing"):
        load("cohort")


def test_the_repository_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert list(load("cohort").layers) == ["genotype", "methylation", "rna", "protein", "metabolite"]


def test_a_named_folder_is_read(tmp_path):
    shutil.copytree(COHORT, tmp_path / "ours")
    assert differences(load(), load(folder=tmp_path / "ours")) == []


def test_a_changed_file_is_detected(tmp_path):
    shutil.copytree(COHORT, tmp_path / "ours")
    victim = tmp_path / "ours" / "rna.layers.csv.gz"
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    with pytest.raises(ValueError, match=r"rna.layers.csv.gz is not the file delivered"):
        load(folder=tmp_path / "ours")


def test_a_folder_without_checksums_is_no_cohort(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no file SHA256SUMS"):
        load(folder=tmp_path)


def test_an_unknown_cohort_says_where_it_was_looked_for():
    with pytest.raises(FileNotFoundError, match=r"no cohort 'mice': looked for the folders support/data/mice and"):
        load("mice")


@pytest.mark.parametrize("name", ["", "..", "../secret", "a/b"])
def test_a_path_is_no_name(name):
    with pytest.raises(ValueError, match="a path goes to folder="):
        load(name)


def test_the_module_stands_alone(tmp_path: Path):
    """It is the one reference module that learners have: the standard library, numpy and pandas are enough."""
    shutil.copy(ROOT / "reference_impl" / "cohort.py", tmp_path / "lonely.py")
    code = (
        "import sys, lonely; from pathlib import Path;"
        f"print(lonely.load(folder=Path({str(COHORT)!r})));"
        "ours = [m for m in sys.modules if m.split('.')[0] in ('course', 'reference_impl', 'scipy', 'sklearn')];"
        "assert not ours, ours"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "MultiOmics of 160 patients" in done.stdout
