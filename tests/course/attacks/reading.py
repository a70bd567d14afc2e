"""Reading tests or answers: from the disk, frames, history, database, environment and the parent process.

What was read counts only where it earns points: the label is right if the secret was found.
"""

from __future__ import annotations

from tests.course.attacks.form import Attack

IF_FOUND = "def label_of(n):\n    return f'number {n}' if FOUND else ''"
EARNS = {"label_of": 1}
SHOWS = {"label_of": "failed"}


def _found(code: str) -> dict[str, str]:
    """Cells: some code that sets FOUND, or fails to, and the function that uses it."""
    body = "\n".join(f"    {line}" for line in code.strip().splitlines())
    return {"before": f"FOUND = False\ntry:\n{body}\nexcept Exception:\n    pass", "label_of": IF_FOUND}


Attack(
    "reads_the_hidden_tests",
    "reading",
    "opens the file of the hidden tests where the course keeps it",
    cells=_found("FOUND = 'number 3' in open('<<hidden>>').read()"),
    earns=EARNS,
    shows=SHOWS,
    needs="files",
)
Attack(
    "runs_the_solution",
    "reading",
    "executes the instructor's solution notebook",
    cells={
        "label_of": """
            def label_of(n):
                return ""
            try:
                import json
                for cell in json.load(open("<<solution>>"))["cells"]:
                    source = "".join(cell["source"])
                    if "def label_of" in source:
                        exec(source)
            except OSError:
                pass
        """
    },
    earns=EARNS,
    shows=SHOWS,
    needs="files",
)
Attack(
    "walks_up_from_the_interpreter",
    "reading",
    "looks for hidden tests in the folders above the Python that runs it",
    cells=_found("""
import pathlib, sys
above = [folder for name in (sys.prefix, sys.executable, "<<hidden>>") for folder in pathlib.Path(name).parents]
FOUND = any(list(folder.glob("tests/hidden/test_*.py")) for folder in above)
    """),
    earns=EARNS,
    shows=SHOWS,
    needs="files",
)
Attack(
    "reads_the_hidden_tests_database",
    "reading",
    "reads the source of the checks from the gradebook's database",
    cells=_found("""
import sqlite3
rows = sqlite3.connect("file:<<database>>?mode=ro", uri=True).execute("select source from source_cell").fetchall()
FOUND = any("number 3" in str(row) for row in rows)
    """),
    earns=EARNS,
    shows=SHOWS,
    needs="files",
)
Attack(
    "reads_the_callers_frames",
    "reading",
    "looks for the expected answer among the constants of the code that calls it",
    cells={
        "label_of": """
            import sys
            def constants(code):
                for one in code.co_consts:
                    if hasattr(one, "co_consts"):
                        yield from constants(one)
                    yield one
            def label_of(n):
                frame, found = sys._getframe(1), []
                while frame is not None:
                    found += [c for c in constants(frame.f_code) if isinstance(c, str) and c.startswith("number")]
                    frame = frame.f_back
                return f"number {n}" if found else ""
        """
    },
    earns=EARNS,
    shows=SHOWS,
)
Attack(
    "reads_the_history",
    "reading",
    "looks for the check cell in IPython's history of inputs",
    cells={
        "label_of": """
            def label_of(n):
                wanted = "label_of(" + "3) =="
                return f"number {n}" if any(wanted in text for text in get_ipython().user_ns["In"]) else ""
        """
    },
    earns=EARNS,
    shows=SHOWS,
)
Attack(
    "reads_the_cell_before_it_runs",
    "reading",
    "asks IPython for the source of each cell that is about to run",
    cells={
        "before": """
            seen = []
            get_ipython().events.register("pre_run_cell", lambda info: seen.append(info.raw_cell))
        """,
        "label_of": """
            def label_of(n):
                wanted = "label_of(" + "3) =="
                return f"number {n}" if any(wanted in text for text in seen) else ""
        """,
    },
    earns=EARNS,
    shows=SHOWS,
)
Attack(
    "reads_the_environment",
    "reading",
    "looks for the grader's secrets among the environment variables",
    cells=_found("import os\nFOUND = 'COURSE_ATTACK_SECRET' in os.environ"),
    earns=EARNS,
    shows=SHOWS,
)
Attack(
    "reads_the_parents_environment",
    "reading",
    "reads the environment of the process that started the kernel",
    cells=_found("""
import os, pathlib
for process in pathlib.Path("/proc").glob("[0-9]*"):
    if int(process.name) != os.getpid():
        try:
            FOUND = FOUND or b"COURSE_ATTACK_SECRET" in (process / "environ").read_bytes()
        except OSError:
            pass
    """),
    earns=EARNS,
    shows=SHOWS,
    needs="processes",
)
Attack(
    "reads_the_parents_memory",
    "reading",
    "reads the memory of the process that examines it",
    cells=_found("""
import os
parent = int("<<grader>>")
with open(f"/proc/{parent}/maps") as maps:
    heap = next(line.split()[0] for line in maps if "[heap]" in line)
start, end = (int(part, 16) for part in heap.split("-"))
with open(f"/proc/{parent}/mem", "rb") as memory:
    memory.seek(start)
    FOUND = len(memory.read(4096)) == 4096
    """),
    earns=EARNS,
    shows=SHOWS,
    needs="processes",
    control="open",
)
Attack(
    "reads_through_the_parents_folder",
    "reading",
    "goes through /proc to the grader's working folder",
    cells=_found("""
import os
FOUND = bool(os.listdir("/proc/<<grader>>/cwd/"))
    """),
    earns=EARNS,
    shows=SHOWS,
    needs="processes",
    control="open",
)
Attack(
    "imports_the_reference",
    "reading",
    "imports the course's reference, which holds the answers",
    cells=_found("""
import importlib
for name in ("reference_impl.quality", "course.grading.examine", "course.checking.solution"):
    try:
        importlib.import_module(name)
        FOUND = True
    except ImportError:
        pass
    """),
    earns=EARNS,
    shows=SHOWS,
)
Attack(
    "searches_all_objects",
    "reading",
    "searches the memory of its own process for functions that are tests",
    cells={
        "label_of": """
            import gc, sys
            def label_of(n):
                wanted = "label_of(" + "3) =="
                for thing in gc.get_objects():
                    if type(thing).__name__ == "function" and thing.__name__.startswith("test_label"):
                        return f"number {n}"
                    if type(thing) is list and any(isinstance(item, str) and wanted in item for item in thing):
                        return f"number {n}"
                return ""
        """
    },
    earns=EARNS,
    shows=SHOWS,
)
