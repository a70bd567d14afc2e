"""Run all attacks and controls, keep what came of them, and write the table of course/grading/ATTACKS.md.

    uv run python -m tests.course.attacks.record            all: some minutes
    uv run python -m tests.course.attacks.record NAME …     these, and those that changed since
    uv run python -m tests.course.attacks.record --ours     one part only: stock, open, ours, own

The record holds a digest of each attack and of what it ran against, so that a test can say which results are out of
date without running anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from course.paths import ROOT
from tests.course.attacks import unit
from tests.course.attacks.families import ATTACKS
from tests.course.attacks.form import FAMILIES, Attack, Scene
from tests.course.attacks.isolation import isolation
from tests.course.attacks.running import Stage
from tests.course.kernel_python import VARIABLE, readable_python

RECORD = Path(__file__).with_name("record.json")
TABLE = ROOT / "course" / "grading" / "ATTACKS.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"

ACHIEVED = {
    "points": "**stolen points**",
    "lost": "honest points lost",
    "not graded": "cannot be graded",
    "leak": "**hidden inputs in the feedback**",
    "page": "**runs or loads in the page**",
    "terminal": "commands the terminal",
    "marker": "**code runs in the grader**",
    "next kernel": "**runs in the next student's kernel**",
    "next student": "**next student loses points**",
    "victim": "**other's work overwritten**",
    "grades": "**all grades zero**",
    "trigger": "**gradebook rigged**",
    "verdict": "**verdict forged**",
    "note": "file left for others",
    "bystander": "**other processes killed**",
    "survivor": "process survives",
    "call": "connection made",
    "datagram": "packet sent",
    "abstract": "host's socket reached",
    "socket": "host's socket reached",
    "": "nothing",
}
OWN = "with that protection taken away"


def digest(attack: Attack) -> str:
    """What an attack's results depend on, but for the engine: its parts and the unit it is made on."""
    parts: list[Any] = [attack.name, attack.family, dict(attack.cells), dict(attack.files), attack.wrong, attack.harm]
    parts += [attack.expected, dict(attack.shows), attack.needs, attack.also_stock]
    for function in (attack.forge, attack.control):
        parts.append(inspect.getsource(function) if callable(function) else function)
    parts += [unit.GIVEN, unit.RIGHT, unit.WRONG, unit.STOCK_CHECKS]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def achieved_against_us(attack: Attack, stage: Stage) -> str:
    """What an attack achieves against our engine; empty if nothing."""
    result = stage.run(attack)
    found = [attack.harm] if attack.harm is not None and stage.scene.harmed(attack.harm) else []
    if any(result.points[name] > points for name, points in attack.expected.items()):
        found.insert(0, "points")
    elif not found and result.points != attack.expected:
        found.append("lost")
    return ", ".join(found)


def own_control(attack: Attack, folder: Path) -> bool:
    """Whether an attack succeeds in the control that it brings."""
    assert callable(attack.control)
    folder.mkdir(parents=True, exist_ok=True)
    return attack.control(Scene(folder, places={"marker": str(folder / "marker")}))


def measure(attacks: Sequence[Attack], folder: Path) -> dict[str, dict[str, Any]]:
    """What attacks achieve against stock nbgrader, against us, and against us without a protection, by name."""
    found: dict[str, dict[str, Any]] = {attack.name: {"digest": digest(attack)} for attack in attacks}
    for part in PARTS.values():
        for name, results in part(attacks, folder).items():
            found[name] |= results
    return found


def with_stock(attacks: Sequence[Attack], folder: Path) -> dict[str, dict[str, Any]]:
    """What attacks achieve against stock nbgrader."""
    from tests.course.attacks.stock import against_stock

    found = against_stock([attack for attack in attacks if attack.also_stock], folder / "stock")
    return {name: {"stock": what} for name, what in found.items()}


def without_sandbox(attacks: Sequence[Attack], folder: Path) -> dict[str, dict[str, Any]]:
    """What those attacks that take a sandbox achieve without it."""
    with contextlib.closing(Stage(folder / "open", sandboxed=False)) as stage:
        return {a.name: {"open": achieved_against_us(a, stage)} for a in attacks if a.needs is not None}


def with_ours(attacks: Sequence[Attack], folder: Path) -> dict[str, dict[str, Any]]:
    """What attacks achieve against our engine."""
    sandboxed = isolation() is not None
    with contextlib.closing(Stage(folder / "ours", sandboxed=sandboxed)) as stage:
        return {a.name: {"ours": achieved_against_us(a, stage)} for a in attacks if a.needs is None or sandboxed}


def with_own(attacks: Sequence[Attack], folder: Path) -> dict[str, dict[str, Any]]:
    """Whether the controls that attacks bring let them succeed."""
    return {a.name: {"own": own_control(a, folder / "own" / a.name)} for a in attacks if callable(a.control)}


PARTS = {"stock": with_stock, "open": without_sandbox, "ours": with_ours, "own": with_own}


def table(record: dict[str, Any]) -> str:
    """The attacks and what came of them, as Markdown."""
    lines = []
    for family, title in FAMILIES.items():
        lines += [
            f"### {title}",
            "",
            "| attack | stock nbgrader | ours without the protection | ours |",
            "|---|---|---|---|",
        ]
        for attack in ATTACKS.values():
            if attack.family == family and attack.name in record["attacks"]:
                lines.append(_row(attack, record["attacks"][attack.name]))
        lines.append("")
    return "\n".join(lines)


def _row(attack: Attack, result: dict[str, Any]) -> str:
    without = ""
    if "open" in result:
        without = f"no sandbox: {told(result['open'])}"
    elif "own" in result:
        without = f"succeeds {OWN}" if result["own"] else "nothing"
    ours = told(result["ours"]) if "ours" in result else "left out: no sandbox"
    return f"| {attack.tries} | {told(result.get('stock'))} | {without or '–'} | {ours} |"


def told(achieved: str | None) -> str:
    """What an attack achieved, in words."""
    return "–" if achieved is None else ", ".join(ACHIEVED[part] for part in achieved.split(", "))


def control_succeeded(attack: Attack, result: dict[str, Any]) -> bool:
    """Whether the control that an attack names let it succeed."""
    return bool(result.get("own" if callable(attack.control) else attack.control))


def write_table(record: dict[str, Any]) -> None:
    """Put the table between its marks."""
    text = TABLE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    TABLE.write_text(before + BEGIN + "\n" + table(record) + "\n" + END + rest.split(END)[1], encoding="utf-8")


def read() -> dict[str, Any]:
    """The results of the last run."""
    return json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {"attacks": {}}


def main(names: Sequence[str], parts: Sequence[str] = ()) -> None:
    """Run what is asked for, and write record and table after each part."""
    prepare()
    partly = bool(names or parts)
    known = read()["attacks"] if partly else {}
    results = {
        name: known[name] if name not in names and known.get(name, {}).get("digest") == digest(attack) else {}
        for name, attack in ATTACKS.items()
    }
    chosen = [ATTACKS[name] for name, result in results.items() if not result or (parts and not names)]
    for part in parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="attacks-") as folder:
            for name, found in PARTS[part](chosen, Path(folder)).items():
                results[name] = results[name] | found | {"digest": digest(ATTACKS[name])}
        keep(results)
    for attack in ATTACKS.values():
        result = results[attack.name]
        if result.get("ours"):
            print(f"{attack.name}: achieves {result['ours']} against us")
        if not control_succeeded(attack, result):
            print(f"{attack.name}: its control lets nothing happen")


def keep(results: dict[str, dict[str, Any]]) -> None:
    """Write record and table."""
    versions = {name: version(name) for name in ("nbgrader", "ipykernel", "nbconvert")}
    record = {"versions": versions, "isolation": isolation() or "none", "attacks": results}
    RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_table(record)


def prepare() -> None:
    """Give kernels a Python that they can read, as the tests do."""
    python = readable_python()
    if python is not None:
        os.environ[VARIABLE] = str(python)


if __name__ == "__main__":
    main([a for a in sys.argv[1:] if not a.startswith("--")], [a[2:] for a in sys.argv[1:] if a.startswith("--")])
