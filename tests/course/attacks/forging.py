"""Forged notebooks and files: tags, points, outputs, kernels, modules that shadow libraries, links."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tests.course.attacks.form import Attack, Scene

WRONG = ("double", "label_of", "total", "centre")


def _checks(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]


def _skip(notebook: NotebookNode) -> None:
    for cell in _checks(notebook):
        cell.metadata["tags"] = ["skip-execution", "raises-exception"]


Attack(
    "tags_the_checks_as_not_to_be_run",
    "forging",
    "gives the check cells the tag `skip-execution`",
    forge=_skip,
    wrong=WRONG,
    shows={"total": "failed"},
)


def _claim(notebook: NotebookNode) -> None:
    for cell in _checks(notebook):
        cell.metadata["nbgrader"]["points"] = 100
        cell.source = "100.0"
        data = {"text/plain": "100.0"}
        cell.outputs = [nbformat.v4.new_output("execute_result", data=data, execution_count=1)]
        cell.execution_count = 1


def _claims_are_read(scene: Scene) -> bool:
    from nbgrader.utils import determine_grade

    from tests.course.attacks.unit import submission

    notebook = submission({})
    _claim(notebook)
    return determine_grade(_checks(notebook)[0]) == (100, 100)


Attack(
    "claims_points_and_outputs",
    "forging",
    "says in its metadata that a check is worth 100 points and brings the output that earns them",
    forge=_claim,
    wrong=WRONG,
    shows={"total": "failed"},
    control=_claims_are_read,
    also_stock=False,
)


def _unmark(notebook: NotebookNode) -> None:
    for cell in _checks(notebook):
        cell.metadata["nbgrader"]["locked"] = False
        cell.metadata["nbgrader"]["grade_id"] = cell.metadata["nbgrader"]["grade_id"].upper()
    notebook.cells.append(nbformat.v4.new_code_cell("1/0", id="given"))


Attack(
    "renames_the_checks",
    "forging",
    "gives the check cells other ids, so that nothing is checked and its work must be looked at by hand",
    forge=_unmark,
    wrong=("total",),
)


def _kernel(notebook: NotebookNode) -> None:
    notebook.metadata["kernelspec"] = {"name": "attackers", "display_name": "Mine", "language": "bash"}
    notebook.metadata["language_info"] = {"name": "bash"}
    notebook.metadata["kernel_provisioner"] = {"provisioner_name": "local-provisioner"}


def _kernel_is_chosen(scene: Scene) -> bool:
    """A client that goes by the notebook starts the kernel that it names."""
    marker = Path(scene.places["marker"])
    spec = scene.folder / "jupyter" / "kernels" / "attackers" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [sys.executable, "-c", f"open({str(marker)!r}, 'w')"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "Mine", "language": "bash"}))
    code = (
        "import nbformat, nbclient\n"
        "notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell('1')])\n"
        "notebook.metadata['kernelspec'] = {'name': 'attackers', 'display_name': 'Mine'}\n"
        "try:\n    nbclient.NotebookClient(notebook, startup_timeout=3).execute()\nexcept Exception:\n    pass\n"
    )
    environment = {"PATH": "/usr/bin:/bin", "JUPYTER_PATH": str(spec.parents[2])}
    subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=60, check=False)
    time.sleep(0.5)
    found = marker.exists()
    marker.unlink(missing_ok=True)
    return found


Attack(
    "chooses_its_own_kernel",
    "forging",
    "names another kernel and another way of starting it in the notebook's metadata",
    forge=_kernel,
    harm="marker",
    control=_kernel_is_chosen,
    also_stock=False,
)
SHADOW = """
import sys
del sys.modules["numpy"]
here, sys.path[:] = list(sys.path), [p for p in sys.path if "site-packages" in p or "lib/python" in p]
import numpy, numpy.testing
numpy.testing.assert_allclose = lambda *args, **kwargs: None
sys.modules["numpy"] = numpy
sys.path[:] = here
"""
Attack(
    "shadows_a_library",
    "forging",
    "hands in files named like libraries and like the course's helpers, which would be imported instead",
    files={"numpy.py": SHADOW, "course/__init__.py": "1/0", "sitecustomize.py": "1/0", "support/unit.json": "{}"},
    cells={
        "double": """
            def double(x):
                if isinstance(x, str):
                    raise ValueError("text")
                return np.full(x.shape, 2.0)
        """
    },
    earns={"double": 3},
    shows={"double": "failed"},
)
Attack(
    "hands_in_a_link",
    "forging",
    "hands in a link to the notebook of another student in place of its own",
    files={"00_mini.ipynb": "-> <<victim>>"},
    earns=dict.fromkeys(("double", "label_of", "total", "centre", "shuffled"), 0),
    shows={"not taken": "link"},
)
