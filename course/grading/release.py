"""What students get: released notebooks in the class's folder, and one zip per language to hand out.

A release goes through nbgrader's own assignment generation, from the committed solutions, with the class's cohort
beside each notebook. A bundle holds that, and the few modules that a notebook imports; never a solution, a hidden
test, a known mistake, the rest of the reference, the key or the truth.
"""

from __future__ import annotations

import ast
import io
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from course import nbgrader_config, paths
from course.errors import CourseError
from course.grading.classroom import Classroom, Progress, replace_folder
from course.grading.nbgrader_tools import Said, tools_on_path
from course.grading.store import write_atomically

# The notebooks' own imports; what these import in turn travels with them.
_STUDENT_MODULES = ("course.checking", "reference_impl.cohort")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same content makes the same zip


def buildable(units: Sequence[str] | None = None) -> list[str]:
    """The units that can be released, or those asked for.

    Raises
    ------
    CourseError : a unit was asked for that is unknown or not built
    """
    if units is None:
        found = [unit for unit in paths.unit_names() if paths.solution_notebook(unit, "en").is_file()]
        if not found:
            raise CourseError("no unit is built yet; build them with: course build")
        return found
    chosen = [paths.find_unit(unit) for unit in units]
    for unit in chosen:
        for language in paths.LANGUAGES:
            if not paths.solution_notebook(unit, language).is_file():
                raise CourseError(f"unit {unit} is not built in {language}; build it with: course build {unit}")
    return chosen


def release(
    classroom: Classroom,
    units: Sequence[str] | None = None,
    languages: Sequence[str] = paths.LANGUAGES,
    *,
    progress: Progress = lambda _: None,
) -> None:
    """Release units to the class: notebooks under release/<lang>/, assignments in the gradebook.

    Both languages share their graded cells, so the gradebook learns a unit once.
    """
    for unit in buildable(units):
        for language in languages:
            progress(f"{unit} ({language})")
            _release_one(classroom, unit, language, into_gradebook=language == languages[0])


def _release_one(classroom: Classroom, unit: str, language: str, *, into_gradebook: bool) -> None:
    from nbgrader.converters import GenerateAssignment
    from nbgrader.converters.base import NbGraderException
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    target = classroom.release(language) / unit

    def fill(aside: Path) -> None:
        # A copy inside the class: nbgrader reads the path of its source as a pattern, and a clone may lie anywhere.
        shutil.copytree(paths.solution_folder(unit, language), aside / "source" / unit)
        config = Config()
        nbgrader_config.apply(config, classroom, language)
        config.CourseDirectory.source_directory = f"release/{language}/{aside.name}/source"
        config.CourseDirectory.release_directory = f"release/{language}/{aside.name}"
        config.CourseDirectory.assignment_id = unit
        config.GenerateAssignment.no_database = not into_gradebook
        config.SaveCells.enabled = into_gradebook
        said = Said("course.release")
        coursedir = CourseDirectory(config=config, log=said.logger)
        try:
            with tools_on_path():
                GenerateAssignment(coursedir=coursedir, config=config, log=said.logger).start()
        except (NbGraderException, SystemExit, RuntimeError) as error:
            raise CourseError(f"unit {unit} ({language}): nbgrader can't release it: {said.text() or error}") from error
        shutil.rmtree(aside / "source")
        for made in (aside / unit).iterdir():
            os.rename(made, aside / made.name)
        (aside / unit).rmdir()

    replace_folder(target, fill)


@contextmanager
def _student_zip() -> Iterator[tuple[io.BytesIO, zipfile.ZipFile]]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        yield buffer, archive


def bundle(
    classroom: Classroom,
    units: Sequence[str] | None = None,
    languages: Sequence[str] = paths.LANGUAGES,
    *,
    progress: Progress = lambda _: None,
) -> list[Path]:
    """Release the units and pack what students get, one zip per language.

    Returns
    -------
    the zip files, under bundle/ in the class's folder
    """
    chosen = buildable(units)
    release(classroom, chosen, languages, progress=progress)
    made = []
    for language in languages:
        progress(f"zip ({language})")
        name = f"{_file_name(classroom.name)}-{language}"
        with _student_zip() as (buffer, archive):
            for path, content in sorted(_bundled(classroom, chosen, language).items()):
                entry = zipfile.ZipInfo(f"{name}/{path}", _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, content)
        file = classroom.folder / "bundle" / f"{name}.zip"
        write_atomically(file, buffer.getvalue())
        made.append(file)
    return made


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "class"


def _bundled(classroom: Classroom, units: Sequence[str], language: str) -> dict[str, bytes]:
    files = {"START.md": start_page(units, language).encode("utf-8")}
    for unit in units:
        folder = classroom.release(language) / unit
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                files[f"{unit}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    for path in student_package():
        files[f"helpers/{path.relative_to(paths.ROOT).as_posix()}"] = path.read_bytes()
    files["helpers/pyproject.toml"] = _package_settings().encode("utf-8")
    files["helpers/LICENSE"] = (paths.ROOT / "LICENSE").read_bytes()
    return files


def student_package() -> list[Path]:
    """Files of the modules that a released notebook needs: what it imports, and what that imports of ours."""
    found: set[Path] = set()
    waiting = list(_STUDENT_MODULES)
    while waiting:
        name = waiting.pop()
        file = _module_file(name)
        if file is None or file in found:
            continue
        found.add(file)
        parent = name.rpartition(".")[0]
        if parent:
            waiting.append(parent)
        waiting.extend(_imports(file))
    fonts = paths.ROOT / "course" / "checking" / "fonts"
    data = [path for path in fonts.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sorted(found | {path for path in data if path.suffix != ".py" or path in found})


def _module_file(name: str) -> Path | None:
    if name.partition(".")[0] not in ("course", "reference_impl"):
        return None
    base = paths.ROOT.joinpath(*name.split("."))
    for file in (base / "__init__.py", base.with_suffix(".py")):
        if file.is_file():
            return file
    return None


def _imports(file: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
            names.extend(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _package_settings() -> str:
    import tomllib

    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    dependencies = "".join(f'  "{name}",\n' for name in project["dependencies"])
    return f"""# The few modules that the course's notebooks import.

[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "multiomics-course-helpers"
version = "{project["version"]}"
requires-python = "{project["requires-python"]}"
license = "BSD-3-Clause"
dependencies = [
{dependencies}]

[tool.hatch.build.targets.wheel]
packages = ["course", "reference_impl"]
"""


_START = {
    "en": """# Start here

1. Unpack the whole folder.
2. In it, set up Python 3.11 or newer once: `python -m pip install ./helpers`
3. Open a unit: `jupyter lab {first}/{first}.ipynb`

Write your answers in the cells marked `YOUR CODE HERE` and run the `check(...)` cell below each. `hint(...)` helps,
`progress()` shows where you stand. The checks are a part of the tests; the others run when you hand in.

Hand in the notebook (the `.ipynb` file). Keep the cells with `check(...)` where they are.

Units: {units}
""",
    "zh": """# 从这里开始

1. 完整解压整个文件夹。
2. 在文件夹中配置一次环境（Python 3.11 或更新版本）：`python -m pip install ./helpers`
3. 打开一个单元：`jupyter lab {first}/{first}.ipynb`

在标有 `YOUR CODE HERE` 的单元格中作答，并运行其下方的 `check(...)` 单元格。
`hint(...)` 给出提示，`progress()` 显示进度。这些检查只是测试的一部分，其余测试在提交后运行。

提交笔记本（`.ipynb` 文件）即可，请保留 `check(...)` 单元格的位置。

单元：{units}
""",
}


def start_page(units: Sequence[str], language: str) -> str:
    """The first page a student reads."""
    return _START[language].format(first=units[0], units=", ".join(units))
