"""The gradebook and other students: changing what is not one's own, copying, and preparing the ground for the next."""

from __future__ import annotations

from tests.course.attacks.form import Attack
from tests.course.attacks.reading import IF_FOUND

Attack(
    "sets_all_grades_to_zero",
    "others",
    "opens the gradebook and sets every score to zero",
    cells={
        "before": """
            import sqlite3
            with sqlite3.connect("<<database>>", timeout=0.5) as database:
                database.execute("update grade set auto_score = 0, manual_score = 0")
        """
    },
    harm="grades",
    needs="files",
)
Attack(
    "plants_a_trigger_in_the_gradebook",
    "others",
    "plants a trigger in the gradebook that gives full marks whenever a grade is written",
    cells={
        "before": """
            import sqlite3
            with sqlite3.connect("<<database>>", timeout=0.5) as database:
                for event in ("insert", "update"):
                    database.execute(f'''create trigger gift_{event} after {event} on grade begin
                        update grade set auto_score = 5 where id = NEW.id; end''')
        """
    },
    wrong=("total",),
    harm="trigger",
    needs="files",
)
Attack(
    "overwrites_another_submission",
    "others",
    "writes over the notebook that another student handed in",
    cells={"before": "open('<<victim>>', 'w').write('{}')"},
    harm="victim",
    needs="files",
)
Attack(
    "copies_another_submission",
    "others",
    "reads the answers in the notebook that another student handed in",
    cells={
        "before": """
            FOUND = False
            try:
                FOUND = "number {n}" in open("<<victim>>").read()
            except OSError:
                pass
        """,
        "label_of": IF_FOUND,
    },
    earns={"label_of": 1},
    needs="files",
)
Attack(
    "prepares_the_next_kernel",
    "others",
    "leaves a start-up file in the home folder that runs in the next student's kernel",
    cells={
        "before": """
            import os, pathlib
            for home in {os.path.expanduser("~"), "<<home>>"}:
                folder = pathlib.Path(home, ".ipython", "profile_default", "startup")
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / "00.py").write_text("open('<<marker>>', 'w').close()")
                except OSError:
                    pass
        """
    },
    harm="next kernel",
)
Attack(
    "changes_the_helpers_on_the_disk",
    "others",
    "changes the course's helpers on the disk, which the next kernel imports",
    cells={
        "before": """
            import course.checking.agent as agent, os
            if not os.path.exists(os.path.join(os.path.dirname(agent.__file__), "..", "..", "pyproject.toml")):
                os.chmod(agent.__file__, 0o600)
                with open(agent.__file__, "a") as file:
                    file.write("\\nopen('<<marker>>', 'w').close()\\n")
        """
    },
    harm="next kernel",
    needs="files",
    control="open",
    also_stock=False,  # there the helpers are those of this repository
)
Attack(
    "leaves_a_note_for_a_friend",
    "others",
    "leaves the hidden inputs in a shared folder, where the next submission finds them",
    cells={"before": "open('<<shared>>', 'w').write('seen')"},
    harm="note",
    needs="files",
)
Attack(
    "writes_its_own_verdict",
    "others",
    "writes a verdict with full points where the class keeps verdicts",
    cells={"before": "open('<<verdict>>', 'w').write('{\"points\": 17}')"},
    harm="verdict",
    needs="files",
    control="open",
)
Attack(
    "makes_a_link_for_the_grader",
    "others",
    "puts a link where the grader writes, so that the grader itself overwrites another file",
    cells={
        "before": """
            import os, pathlib
            for folder in (pathlib.Path.cwd(), *pathlib.Path("<<start>>").rglob("autograded/*/*")):
                for name in ("00_mini.ipynb", "verdict.json", "feedback.html"):
                    try:
                        (folder / name).unlink(missing_ok=True)
                        os.symlink("<<victim>>", folder / name)
                    except OSError:
                        pass
        """
    },
    harm="victim",
)
