"""Making a class and what students get of it."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from course import paths
from course.cli import app
from course.errors import CourseError
from course.grading import classroom as classrooms
from course.grading import release
from course.grading.classroom import Classroom
from course.nbgrader_settings import TEXT_STUB

KEY = hashlib.sha256(b"a key for tests").digest()


def copy_frozen(_key: bytes, data: Path) -> None:
    """Stands for the draw of a cohort where the test is not about it."""
    shutil.copytree(paths.COHORT, data / "cohort")
    (data / "truth").mkdir()
    shutil.copyfile(paths.TRUTH, data / "truth" / "cohort.json")


@pytest.fixture
def quick_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classrooms, "draw_cohort", copy_frozen)


def write_roster(folder: Path, text: str) -> Path:
    file = folder / "students.csv"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Classroom:
    """A class with a cohort really drawn from its key."""
    folder = tmp_path_factory.mktemp("classes")
    roster = write_roster(folder, "id,first_name,last_name,language\nada,Ada,Lovelace,en\n李华,华,李,zh\n")
    return classrooms.create(folder / "omics", name='Omics "2027"', roster=roster, key=KEY)


def test_class_has_all_its_parts(drawn: Classroom) -> None:
    names = {path.name for path in drawn.folder.iterdir()}
    assert names == {
        *("class.toml", "secret.key", "roster.csv", "nbgrader_config.py", "gradebook.db", ".gitignore"),
        *("data", "release", "submitted"),
    }
    assert drawn.name == 'Omics "2027"'
    assert drawn.key == KEY
    assert [student.name for student in drawn.roster.values()] == ["Ada Lovelace", "李华"]


def test_only_the_owner_reads_the_key_and_enters_the_class(drawn: Classroom) -> None:
    assert stat.S_IMODE((drawn.folder / "secret.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(drawn.folder.stat().st_mode) == 0o700


def test_cohort_is_the_classs_own(drawn: Classroom, tmp_path: Path) -> None:
    frozen = {path.name: path.read_bytes() for path in paths.COHORT.glob("*.csv.gz")}
    own = {path.name: path.read_bytes() for path in drawn.cohort.glob("*.csv.gz")}
    assert own.keys() == frozen.keys()
    assert own["rna.layers.csv.gz"] != frozen["rna.layers.csv.gz"]
    truth = json.loads(drawn.truth.read_text(encoding="utf-8"))
    assert truth.keys() >= json.loads(paths.TRUTH.read_text(encoding="utf-8")).keys()
    classrooms.draw_cohort(KEY, tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "cohort").glob("*.csv.gz")} == own


def test_gradebook_is_nbgraders_and_knows_the_roster(drawn: Classroom) -> None:
    from nbgrader.api import Gradebook

    with Gradebook(drawn.database_url) as gradebook:
        assert {student.id for student in gradebook.students} == {"ada", "李华"}


@pytest.mark.usefixtures("quick_draw")
def test_two_classes_have_two_keys(tmp_path: Path) -> None:
    assert classrooms.create(tmp_path / "one").key != classrooms.create(tmp_path / "two").key


@pytest.mark.usefixtures("quick_draw")
def test_empty_folder_is_taken_and_a_full_one_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    classrooms.create(tmp_path / "empty")
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("mine")
    with pytest.raises(CourseError, match="not empty"):
        classrooms.create(full)
    assert [path.name for path in full.iterdir()] == ["thesis.txt"]
    with pytest.raises(CourseError, match="is a file"):
        classrooms.create(full / "thesis.txt")


def test_class_inside_the_repository_is_refused() -> None:
    with pytest.raises(CourseError, match="inside the course's repository"):
        classrooms.create(paths.ROOT / "my-class")
    assert not (paths.ROOT / "my-class").exists()


@pytest.mark.usefixtures("quick_draw")
def test_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CourseError, match="can't be made"):
        classrooms.create(tmp_path / "file" / "omics")


@pytest.mark.usefixtures("quick_draw")
def test_class_may_lie_where_its_path_looks_like_a_pattern(tmp_path: Path) -> None:
    classroom = classrooms.create(tmp_path / "c++ (2027)" / "omics.*")
    release.release(classroom, units()[:1], ["en"])
    assert (classroom.release("en") / units()[0] / f"{units()[0]}.ipynb").is_file()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    def fail(_key: bytes, data: Path) -> None:
        data.mkdir()
        (data / "half.csv").write_text("1")
        raise error

    monkeypatch.setattr(classrooms, "draw_cohort", fail)
    with pytest.raises(error):
        classrooms.create(tmp_path / "omics")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name\nAda\n", "has no column id"),
        ("id\nada\nada\n", "line 3: the id ada is already used"),
        ("id\n../up\n", "can't be a student's id"),
        ("id\n\n ,\n", "can't be a student's id"),
        ("id\na+b\n", "can't be a student's id"),
        ("id,language\nada,fr\n", "language is 'fr'"),
    ],
)
def test_bad_roster_is_refused_before_anything_is_made(tmp_path: Path, text: str, complaint: str) -> None:
    roster = write_roster(tmp_path, text)
    with pytest.raises(CourseError, match=re.escape(complaint)):
        classrooms.create(tmp_path / "omics", roster=roster)
    assert not (tmp_path / "omics").exists()


def test_roster_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    roster = write_roster(tmp_path, '\ufeffid,last_name,first_name\n"s1","O\'Neil, jr","Zoë"\n')
    assert classrooms.read_roster(roster)["s1"].name == "Zoë O'Neil, jr"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("name = ", "can't be read"),
        ("name = 5", "name must be a text"),
        ('language = "fr"', "it must be one of en, zh"),
        ('execution = "magic"', "it must be one of course, nbgrader"),
    ],
)
def test_bad_settings_name_the_file_and_the_value(tmp_path: Path, settings: str, complaint: str) -> None:
    (tmp_path / "class.toml").write_text(settings)
    with pytest.raises(CourseError, match=complaint) as caught:
        Classroom.open(tmp_path)
    assert "class.toml" in str(caught.value)


def test_no_class_and_no_key_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="is not a class"):
        Classroom.open(tmp_path)
    (tmp_path / "class.toml").write_text("")
    with pytest.raises(CourseError, match=r"secret\.key is missing"):
        _ = Classroom.open(tmp_path).key
    (tmp_path / "secret.key").write_text("not hexadecimal")
    with pytest.raises(CourseError, match="holds no key"):
        _ = Classroom.open(tmp_path).key


def test_class_is_found_from_inside(drawn: Classroom) -> None:
    assert Classroom.around(drawn.submitted / "ada" / "x").folder == drawn.folder
    with pytest.raises(CourseError, match="not inside a class"):
        Classroom.around(Path("/"))


# --------------------------------------------------------------------------------------------------------------------
# The bundle


@pytest.fixture(scope="module")
def bundles(drawn: Classroom) -> dict[str, Path]:
    made = release.bundle(drawn)
    return dict(zip(paths.LANGUAGES, made, strict=True))


def contents(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def units() -> list[str]:
    return release.buildable()


def code_lines(source: str, longer_than: int = 24) -> set[str]:
    """The lines of code that say something: no blank, comment, text, bracket, bare word or NumPy's own phrase."""
    lines = {line.strip() for line in source.splitlines()}
    return {
        line
        for line in lines
        if len(line) > longer_than and not line.startswith(("#", '"', "'", "@", "import", "from", "with np.errstate("))
    }


def texts(file: Path) -> dict[str, str]:
    """All that can be read in a bundle; of a notebook its cells, of JSON its texts."""
    found = {}
    for name, content in contents(file).items():
        if not name.endswith((".gz", ".otf")):
            text = content.decode("utf-8")
            found[name] = "\n".join(strings(json.loads(text))) if name.endswith((".ipynb", ".json")) else text
    return found


def strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return ["".join(value)]
    return [text for part in parts for text in strings(part)]


def graded_cells(notebook: Path | str) -> dict[str, str]:
    content = json.loads(notebook if isinstance(notebook, str) else notebook.read_text(encoding="utf-8"))
    marked = [cell for cell in content["cells"] if cell["metadata"].get("nbgrader")]
    return {cell["metadata"]["nbgrader"]["grade_id"]: "".join(cell["source"]) for cell in marked}


@pytest.mark.parametrize("language", paths.LANGUAGES)
def test_bundle_holds_every_unit_with_support_and_cohort(
    bundles: dict[str, Path], drawn: Classroom, language: str
) -> None:
    inside = contents(bundles[language])
    for unit in units():
        notebook = next(content for name, content in inside.items() if name.endswith(f"/{unit}/{unit}.ipynb"))
        assert json.loads(notebook)["metadata"]["course"] == {"language": language, "unit": unit}
        for file in drawn.cohort.iterdir():
            [copied] = [name for name in inside if name.endswith(f"/{unit}/support/data/cohort/{file.name}")]
            assert inside[copied] == file.read_bytes()
        for part in ("unit.json", f"test_{unit}.py"):
            assert any(name.endswith(f"/{unit}/support/{part}") for name in inside)


@pytest.mark.parametrize("language", paths.LANGUAGES)
def test_bundle_holds_no_answer(bundles: dict[str, Path], language: str) -> None:
    inside, raw = texts(bundles[language]), contents(bundles[language])
    for unit in units():
        [name] = [name for name in raw if name.endswith(f"/{unit}/{unit}.ipynb")]
        released = graded_cells(raw[name].decode("utf-8"))
        for grade_id, source in graded_cells(paths.solution_notebook(unit, language)).items():
            begin = source.find("### BEGIN SOLUTION")
            if begin >= 0:
                answer = source[begin : source.index("### END SOLUTION")]
                assert not code_lines(answer) & code_lines(released[grade_id])
                elsewhere = "\n".join(text for place, text in inside.items() if not place.endswith((".ipynb", ".py")))
                assert not code_lines(answer) & code_lines(elsewhere)
            elif grade_id.startswith("written_"):
                assert released[grade_id] == TEXT_STUB
    assert not [name for name, text in inside.items() if "BEGIN SOLUTION" in text or "BEGIN HIDDEN" in text]


@pytest.mark.parametrize("language", paths.LANGUAGES)
def test_bundle_holds_no_hidden_test_and_no_mistake(bundles: dict[str, Path], language: str) -> None:
    inside = texts(bundles[language])
    for unit in units():
        # What a learner is given anyway: the visible tests, and the helpers and prose of the lesson.
        [notebook] = [text for name, text in inside.items() if name.endswith(f"/{unit}/{unit}.ipynb")]
        given = code_lines(paths.visible_tests(unit).read_text(encoding="utf-8")) | code_lines(notebook)
        everything = code_lines("\n".join(inside.values()))
        for file in (paths.hidden_tests(unit), paths.known_mistakes(unit)):
            # Shorter lines, such as that of a seeded generator, stand everywhere.
            secret = code_lines(file.read_text(encoding="utf-8"), longer_than=40) - given
            assert len(secret) > 20
            assert not secret & everything


@pytest.mark.parametrize("language", paths.LANGUAGES)
def test_bundle_holds_no_reference_no_truth_and_no_key(
    bundles: dict[str, Path], drawn: Classroom, language: str
) -> None:
    inside = contents(bundles[language])
    names = [name.partition("/")[2] for name in inside]
    assert [name for name in names if name.startswith("helpers/reference_impl")] == [
        "helpers/reference_impl/__init__.py",
        "helpers/reference_impl/cohort.py",
    ]
    assert not [name for name in names if re.search(r"hidden|truth|mistakes|solutions|stock|recognise|secret", name)]
    truth = json.loads(drawn.truth.read_text(encoding="utf-8"))
    everything = b"\n".join(gzip.decompress(text) if name.endswith(".gz") else text for name, text in inside.items())
    assert drawn.key.hex().encode() not in everything
    for fact in truth:
        assert f'"{fact}":'.encode() not in everything


def test_same_release_makes_the_same_zip(bundles: dict[str, Path], drawn: Classroom) -> None:
    before = {language: file.read_bytes() for language, file in bundles.items()}
    for language, file in zip(paths.LANGUAGES, release.bundle(drawn), strict=True):
        assert file.read_bytes() == before[language]


def test_unpacked_bundle_stands_alone(bundles: dict[str, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(bundles["en"]) as archive:
        archive.extractall(tmp_path)
    [folder] = tmp_path.iterdir()
    script = (
        "import course, reference_impl\n"
        "from course.checking import check, hint, label, progress\n"
        "from reference_impl.cohort import load\n"
        "print(course.__file__)\nprint(len(load('cohort').layers))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(folder / "helpers")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder / units()[0],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    where, layers = done.stdout.split()
    assert Path(where).is_relative_to(folder)
    assert layers == "5"


# --------------------------------------------------------------------------------------------------------------------
# Commands


def run(*arguments: str) -> tuple[int, BaseException | None, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.exception, result.output


@pytest.mark.usefixtures("quick_draw")
def test_command_makes_a_class_and_says_what_is_next(tmp_path: Path) -> None:
    code, _, output = run("class", "new", str(tmp_path / "omics"))
    assert code == 0
    assert f"course bundle {tmp_path / 'omics'}" in output


@pytest.mark.parametrize(
    "arguments",
    [
        ("class", "new", "{root}/inside"),
        ("class", "new", "{tmp}/x", "--language", "fr"),
        ("class", "new", "{tmp}/x", "--roster", "{tmp}/none.csv"),
        ("bundle", "{tmp}"),
        ("grade", "{tmp}"),
        ("report", "{tmp}"),
        ("feedback", "{tmp}"),
        ("export", "{tmp}", "--to", "csv"),
    ],
)
def test_commands_refuse_in_one_line_and_write_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    code, error, _ = run(*(part.format(root=paths.ROOT, tmp=tmp_path) for part in arguments))
    assert code != 0
    assert isinstance(error, CourseError)
    assert "\n" not in str(error)
    assert list(tmp_path.iterdir()) == []


def test_grade_report_and_export_say_that_nothing_was_handed_in(drawn: Classroom) -> None:
    for command, complaint in (("grade", "nothing was handed in"), ("report", "nothing has been graded")):
        _, error, _ = run(command, str(drawn.folder))
        assert complaint in str(error)
    _, error, _ = run("export", str(drawn.folder), "--to", "moodel")
    assert "the formats are: csv" in str(error)
