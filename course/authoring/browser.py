"""JupyterLab in a headless Chromium, as a student opens it: for the browser test and the pictures of the README."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

TOKEN = "local"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
# All cells stand in the page, not only those in view; nothing asks for news.
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none", "autoStartDefaultKernel": True},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
}


def find_chromium() -> str | None:
    """The browser's executable; None where there is none."""
    return next((found for name in CHROMIUM_NAMES if (found := shutil.which(name))), None)


@contextlib.contextmanager
def jupyterlab(folder: Path, scratch: Path, *, seconds: float = 90.0) -> Iterator[str]:
    """JupyterLab on a folder and a free port, with settings of its own in `scratch`; yields its address.

    Raises
    ------
    RuntimeError : it did not start; holds the end of what it said
    """
    port = _free_port()
    log = scratch / "jupyterlab.log"
    options = [
        *("--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", "--allow-root"),
        *(f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}", "--LabApp.collaborative=False"),
        "--ServerApp.terminals_enabled=False",
    ]
    with log.open("wb") as said:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], env=_environment(scratch), stdout=said, stderr=said
        )
        try:
            _wait(f"http://127.0.0.1:{port}/api/status?token={TOKEN}", server, log, seconds)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _environment(scratch: Path) -> dict[str, str]:
    """The environment of a person who has never opened JupyterLab."""
    settings = scratch / "settings"
    for name, values in SETTINGS.items():
        package, plugin = name.split("/")
        path = settings / "@jupyterlab" / package / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    own = {
        "JUPYTER_CONFIG_DIR": scratch / "config",
        "JUPYTER_DATA_DIR": scratch / "data",
        "JUPYTER_RUNTIME_DIR": scratch / "runtime",
        "IPYTHONDIR": scratch / "ipython",
        "JUPYTERLAB_SETTINGS_DIR": settings,
        "JUPYTERLAB_WORKSPACES_DIR": scratch / "workspaces",
    }
    return {**os.environ, **{name: str(path) for name, path in own.items()}, "OMP_NUM_THREADS": "1"}


def _wait(address: str, server: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


@contextlib.contextmanager
def chromium(*, width: int = 1100, height: int = 1400, scale: float = 1.0) -> Iterator[Page]:
    """A page of a headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), headless=True, args=CHROMIUM_OPTIONS)
        try:
            size = {"width": width, "height": height}
            page = browser.new_page(viewport=size, device_scale_factor=scale)  # type: ignore[arg-type]
            page.set_default_timeout(90_000)
            yield page
        finally:
            browser.close()


def open_notebook(page: Page, address: str, path: str) -> None:
    """Open a notebook alone in its window, ready to run."""
    page.goto(f"{address}/doc/tree/{path}?token={TOKEN}&reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=90_000)
    _wait_for_kernel(address, path)


def _wait_for_kernel(address: str, path: str, *, seconds: float = 90.0) -> None:
    """Until this notebook's kernel is idle: asked to run earlier, JupyterLab asks back which kernel to use."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{address}/api/sessions?token={TOKEN}", timeout=30) as answer:
            states = {session["path"]: session["kernel"]["execution_state"] for session in json.load(answer)}
        if states.get(path) == "idle":
            return
        time.sleep(0.2)
    raise TimeoutError(f"the kernel was not ready after {seconds:.0f} s")


def run_all(page: Page, *, seconds: float = 240.0) -> None:
    """Run all cells through the menu, and wait until the last has run or one has failed.

    Raises
    ------
    TimeoutError : cells were still waiting
    """
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.locator(".jp-CodeCell .jp-InputPrompt", has_text="[1]:").first.wait_for(timeout=1000 * seconds)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        waiting = page.locator(".jp-CodeCell .jp-InputPrompt", has_text="[*]").count()
        if not waiting:
            return
        page.wait_for_timeout(300)
    raise TimeoutError(f"{waiting} cells had not run after {seconds:.0f} s")


def cell_with(page: Page, code: str) -> Locator:
    """The code cell that holds this text."""
    return page.locator(".jp-CodeCell").filter(has=page.locator(".jp-InputArea-editor", has_text=code)).first


def output_of(page: Page, code: str) -> Locator:
    """The first output of the code cell that holds this text."""
    return cell_with(page, code).locator(".jp-OutputArea-output").first
