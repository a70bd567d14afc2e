"""The sandbox: what it promises, tried for real, with and without it; what it shows; and how it refuses."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from course.errors import CourseError
from course.grading import sandbox
from course.grading.kernel import CellResult, CellStatus, Kernel, KernelDied, Limits, Workshop
from course.grading.sandbox import consultation, doctor, view
from course.paths import ROOT

from .miniature import QUICK

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sandboxes are for Linux")

# What even an ordinary program achieves where nothing keeps it from that: an attempt must be able to succeed.
OPEN_TO_ALL = {
    *("network", "network_datagram", "host_socket", "host_socket_abstract", "host_socket_datagram", "files_passwords"),
    *("files_course", "files_class", "files_other_students", "proc_others", "files_home", "namespaces_clone"),
    *("new_privileges", "left_shared_memory", "uncounted_memory", "kernel_keys", "tracing_child", "signal_grader"),
    *("files_link", "limits_of_grader", "proc_environment", "files_staged_write", "files_mapped"),
}


def test_every_promise_of_the_isolation_in_use_holds(sandboxed: str) -> None:
    found = doctor.examine(sandbox.chosen(), quick=True)
    assert len(found) >= 33
    assert {item.promise.name: item.achieved for item in found if item.achieved is not None} == {}


@pytest.mark.parametrize("key", ["bubblewrap-cold", "landlock"])
def test_every_promise_of_the_other_backends_holds(sandboxed: str, key: str) -> None:
    reason = doctor.why_not(sandbox.named(key))
    if reason is not None and "not held" not in reason:
        pytest.skip(f"{key} is not to be had here: {reason}")
    assert reason is None


def test_without_isolation_the_same_attempts_succeed(isolation: str) -> None:
    found = doctor.examine(sandbox.named("none"), quick=True)
    held = {item.promise.name for item in found if item.achieved is None}
    assert not held & OPEN_TO_ALL


def test_what_is_hidden_lies_over_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a repository inside an interpreter's folder, a `.venv` inside that, and the course installed in it."""
    packages = tmp_path / "conda" / "repository" / ".venv" / "lib" / "site-packages"
    for folder in (packages / "numpy", packages / "reference_impl", packages / "course", tmp_path / "conda" / "bin"):
        folder.mkdir(parents=True)
        (folder / "file.py").write_text("x = 1\n")
    python = view.Runtime(str(tmp_path / "conda/bin/python"), str(tmp_path / "conda"), (str(packages),))
    monkeypatch.setattr(view, "runtime", lambda: python)
    monkeypatch.setattr(view, "ROOT", tmp_path / "conda" / "repository")
    layers = [(kind, path) for kind, path in view.layers(None) if path.startswith(str(tmp_path))]
    inside = [(kind, str(Path(path).relative_to(tmp_path))) for kind, path in layers]
    assert inside == [
        ("show", "conda"),
        ("hide", "conda/repository"),
        ("show", "conda/repository/.venv/lib/site-packages"),
        ("hide", "conda/repository/.venv/lib/site-packages/course"),
        ("hide", "conda/repository/.venv/lib/site-packages/reference_impl"),
    ]
    readable = {path for path, access in view.shown_entries(None) if access == "see" and path.startswith(str(tmp_path))}
    assert str(packages / "numpy") in readable
    assert not any(path.startswith((str(packages / "course"), str(packages / "reference_impl"))) for path in readable)


@pytest.mark.parametrize("key", ["bubblewrap", "landlock"])
def test_an_installed_reference_can_not_be_found(sandboxed: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `pip install .`, which puts the whole reference among the libraries."""
    if doctor.why_not(sandbox.named(key)) is not None:
        pytest.skip(f"{key} is not to be had here")
    user = view.sandbox_user()
    place = Path(view.place_for(user, "/var/tmp")) / f"installed-{os.getpid()}" / "site-packages"
    try:
        for name in ("reference_impl", "course"):
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("units", "__pycache__"))
        (place / "visible_package.py").write_text("x = 1\n", encoding="utf-8")
        python = view.runtime()
        more = view.Runtime(python.executable, python.prefix, (*python.path, str(place)))
        monkeypatch.setattr(view, "runtime", lambda: more)
        with Workshop(key, preload=False) as workshop, Kernel(workshop, limits=QUICK) as kernel:
            assert kernel.run_cell("import visible_package", 5).status is CellStatus.OK
            for name in ("reference_impl.quality", "course.grading", "course.authoring"):
                assert kernel.run_cell(f"import {name}", 5).message.startswith("ModuleNotFoundError"), name
            source = str(place / "reference_impl" / "quality.py")
            assert kernel.run_cell(f"open({source!r})", 5).status is CellStatus.ERROR
    finally:
        shutil.rmtree(place.parent, ignore_errors=True)


def test_memory_of_all_processes_together_ends_the_kernel_and_is_told(sandboxed: str) -> None:
    code = """
import os, time
for _ in range(5):
    if os.fork() == 0:
        block = bytearray(200 * 2**20)
        time.sleep(20)
        os._exit(0)
time.sleep(20)
"""
    if sandbox.chosen().name != "bubblewrap":
        pytest.skip("without namespaces there is one process only")
    with Workshop(preload=False) as workshop, Kernel(workshop, limits=Limits(memory_bytes=600 * 2**20)) as kernel:
        with pytest.raises(KernelDied) as caught:
            kernel.run_cell(code, 25)
        assert caught.value.status is CellStatus.MEMORY


def test_root_never_runs_students_code(isolation: str) -> None:
    user = view.sandbox_user()
    assert user.uid != 0
    if sandbox.chosen().backend is None:
        pytest.skip("no isolation here")
    with Workshop(preload=False) as workshop, Kernel(workshop, limits=QUICK) as kernel:
        kernel.wait_ready()
        fields = Path(f"/proc/{kernel.process.pid}/status").read_text().splitlines()
        uids = next(line for line in fields if line.startswith("Uid:")).split()[1:]
        assert set(uids) == {str(user.uid)}


def test_a_user_that_can_not_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setenv(view.USER_VARIABLE, "root")
    with pytest.raises(CourseError, match="unprivileged user"):
        view.sandbox_user()


def test_without_isolation_grading_refuses_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(sandbox.VARIABLE, raising=False)
    monkeypatch.setattr(doctor, "why_not", lambda isolation: f"{isolation.key} is missing")
    with pytest.raises(CourseError, match="--no-sandbox") as caught:
        doctor.find()
    for key in sandbox.ORDER:
        assert f"{key} is missing" in str(caught.value)


def test_each_refusal_says_how_to_mend_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert "apt install bubblewrap" in doctor.explain("bubblewrap", "no such file")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/bin/bwrap")
    switch = tmp_path / "restrict"
    switch.write_text("1\n")
    monkeypatch.setattr(doctor, "APPARMOR", switch)
    denied = "bwrap: setting up uid map: Permission denied"
    assert "kernel.apparmor_restrict_unprivileged_userns=0" in doctor.explain("bubblewrap", denied)
    assert "seccomp=unconfined" in doctor.explain("bubblewrap", "bwrap: No permissions to create a new namespace")
    assert "Linux 6.2" in doctor.explain("landlock", "Landlock 0 is too old")


def test_the_doctor_s_answer_is_its_exit_code(
    sandboxed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    promise = doctor.PROMISES[0]
    for achieved, code in ((None, 0), ("reached the network", 1)):
        found = [doctor.Finding(promise, achieved, "a wall")]
        monkeypatch.setattr(doctor, "examine", lambda *_, found=found, **__: found)
        monkeypatch.setattr(doctor, "why_not", lambda isolation: None)
        assert consultation.consult("bubblewrap") == code
        shown = capsys.readouterr().out
        assert ("NO" in shown) == bool(achieved)
    monkeypatch.setattr(doctor, "why_not", lambda isolation: "nothing works")
    assert consultation.consult(None) == 1
    assert "nothing works" in capsys.readouterr().out


def test_an_unknown_isolation_is_an_error() -> None:
    with pytest.raises(CourseError, match="there is no isolation 'jail'"):
        sandbox.named("jail")


def test_a_kernel_can_not_be_chosen_by_a_preset_provisioner(sandboxed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", "local-provisioner")
    with Workshop(preload=False) as workshop, Kernel(workshop, limits=QUICK) as kernel:
        result = kernel.run_cell(f"open({str(ROOT / 'pyproject.toml')!r})", 5)
        assert result.message.startswith(("FileNotFoundError", "PermissionError"))


_HOSTILE = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
reached = []
for process in [1, os.getppid(), *range(2, 60)]:
    if process == os.getpid():
        continue
    for path in ("mem", "environ", "fd/3", "root"):
        try:
            os.close(os.open(f"/proc/{process}/{path}", os.O_RDONLY))
            reached.append(f"{process}/{path}")
        except OSError:
            pass
    if libc.ptrace(0x4206, process, None, None) == 0:
        reached.append(f"traced {process}")
for folder, _, _ in [*os.walk("/", onerror=None)][:20000]:
    if folder.startswith(("/proc", "/sys")):
        continue
    try:
        open(f"{folder}/left-behind", "w").close()
    except OSError:
        pass
try:
    from multiprocessing import shared_memory
    kept = shared_memory.SharedMemory("left-behind-memory", create=True, size=4096)
except (OSError, AttributeError):
    pass
import numpy, pandas, course.checking.agent
numpy.median = course.checking.agent.answer = lambda *_, **__: 42
print("reached", reached, flush=True)
for process in [-1, 1, os.getppid()]:
    try:
        os.kill(process, signal.SIGKILL)
    except OSError:
        pass
os._exit(1)
"""
_LOOK = """
import os, numpy
found = [f"{folder}/{name}" for folder, _, names in os.walk("/") if not folder.startswith(("/proc", "/sys"))
         for name in names if name.startswith("left-behind")]
print("found", found, numpy.median([1, 2, 3]))
"""


@pytest.mark.parametrize("key", ["bubblewrap", "landlock"])
def test_what_one_submission_does_reaches_neither_the_warm_parent_nor_the_next(sandboxed: str, key: str) -> None:
    """Signals, tracing, memory, files, shared memory, libraries, descriptors, leftovers."""
    if doctor.why_not(sandbox.named(key)) is not None:
        pytest.skip(f"{key} is not to be had here")
    with Workshop(key) as workshop:
        with Kernel(workshop) as hostile:
            hostile.wait_ready()
            parent = workshop._warm
            assert parent is not None
            shown = ""
            with contextlib.suppress(KernelDied):
                ended = hostile.run_cell(_HOSTILE, 60)
                shown = f"{ended.status} {ended.message} {texts(ended)}"
            assert shown == "", shown
        with Kernel(workshop) as following:
            looked = following.run_cell(_LOOK, 60)
            found = texts(looked) or looked.message
            assert workshop._warm is parent  # it lives
            assert not parent.ended
        assert found.startswith("found [] 2.0"), found


def test_two_kernels_of_one_parent_do_not_see_each_other(sandboxed: str) -> None:
    with Workshop(preload=False) as workshop, Kernel(workshop) as first, Kernel(workshop) as second:
        first.run_cell("open('mine', 'w').write('x')\nimport time, threading", 20)
        seen = texts(second.run_cell("import os\nprint(os.path.exists('mine'), os.getcwd())", 20))
        assert seen.startswith("False")
        reach = f"import os\nos.kill({first.process.pid}, 9)"
        second.run_cell(reach, 20)
        assert first.process.poll() is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["leftovers", "daemon", "disk", "processes"])  # `course doctor` tries all of them
def test_resources_and_leftovers(sandboxed: str, warm_workshop: Workshop, name: str) -> None:
    attempt = next(attempt for promise, attempt in doctor.SLOW if promise.name == name)
    assert attempt(warm_workshop) is None


@pytest.fixture(scope="module")
def warm_workshop(isolation: str) -> Iterator[Workshop]:
    with Workshop() as workshop:
        yield workshop


def texts(result: CellResult) -> str:
    return "".join(output.get("text", "") for output in result.outputs)
