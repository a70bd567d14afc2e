"""A student's kernel: its folder, its import path, its limits, its outputs and its end."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from jupyter_client.manager import KernelManager
from jupyter_client.session import DELIM
from nbclient import NotebookClient

from course.checking import wire
from course.grading import kernel as kernels
from course.grading.kernel import CellStatus, Kernel, KernelDied, KernelStartError, Workshop
from course.grading.provisioner import CourseProvisioner, OneKernel
from course.grading.sandbox import view
from course.paths import ROOT

from .miniature import QUICK


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    with Workshop() as shared:
        yield shared


@pytest.fixture(scope="module")
def kernel(workshop: Workshop) -> Iterator[Kernel]:
    with Kernel(workshop, limits=QUICK) as running:
        yield running


def texts(result: Any) -> str:
    return "".join(output.get("text", "") + str(output.get("data", "")) for output in result.outputs)


def call(kernel: Kernel, name: str, *args: Any) -> dict[str, Any]:
    request = wire.encode({"do": "call", "name": name, "args": args, "kwargs": {}})
    return wire.decode(kernel.ask(request, 5))


def test_cells_run_like_a_notebooks(kernel: Kernel) -> None:
    result = kernel.run_cell("print('hello')\nx = 40 + 2\nx", 5)
    assert result.status is CellStatus.OK
    assert [output.output_type for output in result.outputs] == ["stream", "execute_result"]
    assert "hello" in texts(result)
    assert "42" in texts(result)
    failed = kernel.run_cell("1 / 0", 5)
    assert (failed.status, failed.message) == (CellStatus.ERROR, "ZeroDivisionError: division by zero")
    plot = kernel.run_cell("import matplotlib.pyplot as plt\nplt.plot([1, 2]);", 30)
    assert "image/png" in plot.outputs[0].data


def test_it_was_started_by_our_provisioner_with_nothing_of_ours_around_it(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "of the grader")
    with Kernel(workshop, limits=QUICK) as fresh:
        assert isinstance(fresh._manager.provisioner, CourseProvisioner)
        shown = texts(fresh.run_cell("import os, sys\nprint(os.getcwd(), dict(os.environ), sys.path, sys.argv)", 5))
        assert "A_SECRET" not in shown
        assert "/work {" in shown
        assert f"'{ROOT}'" not in shown
        assert f"'{ROOT / 'tests'}" not in shown
        connection = texts(fresh.run_cell("print(open(sys.argv[2]).read())", 5))
        assert '"transport": "ipc"' in connection
        assert "tcp" not in connection


def test_only_the_data_container_of_the_reference_is_there(kernel: Kernel) -> None:
    for name in ("reference_impl.quality", "reference_impl.identity", "reference_impl.integration.snf", "solutions"):
        result = kernel.run_cell(f"import {name}", 5)
        assert result.message.startswith("ModuleNotFoundError"), name
    assert kernel.run_cell("from reference_impl.cohort import MultiOmics, load", 5).status is CellStatus.OK


def test_support_and_cohort_are_plain_copies(workshop: Workshop, tmp_path: Path) -> None:
    support, cohort = tmp_path / "support", tmp_path / "cohort"
    for folder in (support, cohort):
        folder.mkdir()
        (folder / "file.txt").write_text("trusted")
    (support / "link").symlink_to("/etc/passwd")
    with Kernel(workshop, support=support, cohort=cohort, limits=QUICK) as fresh:
        fresh.run_cell("open('support/file.txt', 'w').write('changed')", 5)
        code = "import pathlib\nprint(sorted(str(p) for p in pathlib.Path().rglob('*') if not p.is_dir()))"
        found = ast.literal_eval(texts(fresh.run_cell(code, 5)))
    with Kernel(workshop, support=support, limits=QUICK) as fresh:
        assert "trusted" in texts(fresh.run_cell("print(open('support/file.txt').read())", 5))
    assert found == ["support/data/cohort/file.txt", "support/file.txt"]
    assert (support / "file.txt").read_text() == "trusted"


def test_arguments_and_results_cross_and_changes_are_reported(kernel: Kernel) -> None:
    kernel.run_cell("def first(x):\n    x[0] = 9\n    return x * 2", 5)
    answer = call(kernel, "first", np.arange(3))
    assert answer["value"].tolist() == [18, 2, 4]
    assert answer["changed"][0].tolist() == [9, 1, 2]
    kernel.run_cell("def pure(x):\n    return x.sum()", 5)
    assert call(kernel, "pure", np.arange(3))["changed"] == {}


def test_errors_cross_with_the_students_own_line(kernel: Kernel) -> None:
    kernel.run_cell("def wrong(x):\n    return undefined_name", 5)
    answer = call(kernel, "wrong", 1)
    assert answer["names"][0] == "NameError"
    assert answer["line"] == "wrong, line 2: return undefined_name"


def test_exit_from_a_function_is_only_an_error(kernel: Kernel) -> None:
    kernel.run_cell("import sys\ndef leave(x):\n    sys.exit(0)", 5)
    assert call(kernel, "leave", 1)["names"][0] == "SystemExit"


def test_objects_stay_in_the_kernel_and_answer_by_handle(kernel: Kernel) -> None:
    kernel.run_cell("class Model:\n    def fit(self, x):\n        self.mean_ = x.mean()\n        return self", 5)
    made = wire.decode(
        kernel.ask(wire.encode({"do": "call", "name": "Model", "args": (), "kwargs": {}}), 5),
        from_handle=lambda handle: handle,
    )["value"]
    assert made.kind == "Model"
    fit = {"do": "call", "handle": made, "name": "fit", "args": (np.arange(4.0),), "kwargs": {}}
    kernel.ask(wire.encode(fit), 5)
    mean = {"do": "attribute", "handle": made, "name": "mean_"}
    assert wire.decode(kernel.ask(wire.encode(mean), 5))["value"] == 1.5


def test_a_slow_cell_is_interrupted_and_the_kernel_lives(kernel: Kernel) -> None:
    kernel.run_cell("kept = 1", 5)
    result = kernel.run_cell("while True: pass", 0.5)
    assert result.status is CellStatus.TIMEOUT
    assert "1" in texts(kernel.run_cell("kept", 5))


def test_memory_is_limited(kernel: Kernel) -> None:
    assert kernel.run_cell("import numpy as np\nblock = np.empty(2**28)", 30).status is CellStatus.OK
    result = kernel.run_cell("blocks = [np.empty(2**28) for _ in range(8)]", 30)  # 16 GiB that nobody touches
    assert result.status is CellStatus.MEMORY


class Frames:
    """A socket with one message at hand."""

    def __init__(self, *frames: bytes) -> None:
        self.recv_multipart = lambda _flags: list(frames)


@pytest.mark.parametrize(
    "frames",
    [
        (),
        (b"{}", b"{}", b"{}", b"{}"),
        (DELIM, b"", b"{}", b"{}"),
        (DELIM, b"", b"{", b"{}", b"{}", b"{}"),
        (DELIM, b"", b"\xff", b"{}", b"{}", b"{}"),
        (DELIM, b"", b"[]", b"{}", b"{}", b"{}"),
        (DELIM, b"", b"{}", b"1", b"{}", b"{}"),
        (DELIM, b"", b"{}", b"{}", b"{}", b"[" * 200_000),
        (DELIM, b"", b'{"msg_type": ' + b"9" * 5000 + b"}", b"{}", b"{}", b"{}"),
    ],
)
def test_a_message_in_no_form_is_none(kernel: Kernel, frames: tuple[bytes, ...]) -> None:
    assert kernel._message(Frames(*frames)) == (None, sum(map(len, frames)))


def test_output_is_kept_up_to_a_budget(workshop: Workshop) -> None:
    with Kernel(workshop, limits=replace(QUICK, output_bytes=50_000)) as fresh:
        result = fresh.run_cell("for _ in range(3000):\n    print('x' * 100, flush=True)\nafter = 1", 20)
        assert result.status is CellStatus.OK
        assert len(texts(result)) < 100_000
        assert "left out" in texts(result)
        assert "1" in texts(fresh.run_cell("after", 5))


def test_much_that_is_printed_at_once_arrives_whole_and_in_order(workshop: Workshop) -> None:
    with Kernel(workshop, limits=replace(QUICK, output_bytes=20 * 2**20)) as fresh:
        result = fresh.run_cell("for i in range(40):\n    print(str(i) * 50_000)", 20)
        assert result.status is CellStatus.OK
        assert texts(result) == "".join(f"{str(i) * 50_000}\n" for i in range(40))


def test_a_flood_of_output_is_stopped_and_does_not_fill_our_memory(workshop: Workshop) -> None:
    with Kernel(workshop, limits=replace(QUICK, output_bytes=10_000)) as fresh:
        fresh.wait_ready()
        started, before = time.monotonic(), resident_bytes()
        try:
            status = fresh.run_cell("while True:\n    print('x' * 100_000)", 20).status
        except KernelDied as death:
            status = death.status
        assert status is CellStatus.OUTPUT
        assert time.monotonic() - started < 30
        assert resident_bytes() - before < 300 * 2**20


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_kernel_that_kills_itself_is_noticed_at_once(workshop: Workshop) -> None:
    with Kernel(workshop, limits=QUICK) as fresh:
        fresh.wait_ready()
        started = time.monotonic()
        with pytest.raises(KernelDied) as caught:
            fresh.run_cell("import os\nos._exit(0)", 60)
        assert caught.value.status is CellStatus.KERNEL_DIED
        assert time.monotonic() - started < 10


def test_nothing_is_left_behind(workshop: Workshop) -> None:
    before = set(workshop.folder.iterdir())
    fresh = Kernel(workshop, limits=QUICK)
    fresh.wait_ready()
    process = fresh.process.pid
    fresh.run_cell("import os\nos.mkdir('locked')\nopen('locked/file', 'w')\nos.chmod('locked', 0)", 5)
    fresh.close()
    assert set(workshop.folder.iterdir()) <= before
    assert not Path(f"/proc/{process}").exists()


def test_a_kernel_that_cannot_start_is_our_failure(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = replace(view.runtime(), executable="/nonexistent/python")
    monkeypatch.setattr(view, "runtime", lambda: gone)
    with Workshop() as broken:
        before = set(broken.folder.iterdir())
        with pytest.raises(KernelStartError):
            Kernel(broken, limits=QUICK)
        assert set(broken.folder.iterdir()) == before


def test_nbclient_runs_a_notebook_in_such_a_kernel_unchanged(workshop: Workshop) -> None:
    """Whatever kernel the notebook names."""
    cells = [nbformat.v4.new_code_cell("import os\nprint(os.getcwd())"), nbformat.v4.new_code_cell("6 * 7")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "bash", "display_name": "mine"}
    manager = KernelManager(
        transport="ipc",
        kernel_spec_manager=OneKernel(lambda connection: workshop.start(connection, [], QUICK)),
        shutdown_wait_time=0,
    )
    NotebookClient(notebook, km=manager, timeout=30).execute()
    assert notebook.cells[0].outputs[0].text.endswith("/work\n")
    assert notebook.cells[1].outputs[0].data["text/plain"] == "42"


def test_the_kernel_ends_when_the_grader_is_killed(tmp_path: Path) -> None:
    script = """
import sys, time
from course.grading.kernel import Kernel, Workshop
kernel = Kernel(Workshop())
kernel.wait_ready()
print(kernel.process.pid, kernel._workshop.folder, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT) as grader:
        assert grader.stdout is not None
        group, folder = grader.stdout.readline().split()
        os.kill(grader.pid, signal.SIGKILL)
        grader.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{group}").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not Path(f"/proc/{group}").exists()
    user = view.sandbox_user()
    kernels._sweep(Path(folder).parent, user)  # what the next grader does first
    assert not Path(folder).exists()


def test_removing_a_folder_that_another_process_removes_too_leaves_its_parent_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    for place in (tmp_path / "gone", tmp_path / "closed"):
        if place.name == "closed":
            (place / "inside").mkdir(parents=True)
            (place / "inside" / "file").touch()
            (place / "inside").chmod(0)
            place.chmod(0)
        kernels.remove(place)
        assert not place.exists()
        assert tmp_path.stat().st_mode & 0o7777 == 0o1777
