"""Patching libraries, asserts, builtins and tracing in the process that the tests would run in."""

from __future__ import annotations

from tests.course.attacks.form import Attack

NOTHING = "def nothing(*args, **kwargs):\n    return True\n"

Attack(
    "patches_numpys_asserts",
    "patching",
    "replaces the assertions of NumPy and pandas with functions that do nothing",
    cells={
        "before": NOTHING
        + """
import numpy.testing, pandas.testing
for module in (numpy.testing, pandas.testing, np, pd):
    for name in ("assert_allclose", "assert_array_equal", "assert_frame_equal", "allclose", "array_equal"):
        if hasattr(module, name):
            setattr(module, name, nothing)
""",
        "double": """
            def double(x):
                if isinstance(x, str):
                    raise ValueError("text")
                return np.full(x.shape, 2.0)
        """,
    },
    earns={"double": 3},
    shows={"double": "failed"},
)
Attack(
    "patches_all_and_isinstance",
    "patching",
    "replaces the built-in functions that checks are written with",
    cells={
        "before": """
            import builtins
            builtins.all = lambda *args: True
            builtins.sorted = lambda *args, **kwargs: list(range(6))
        """,
        "shuffled": "def shuffled(x, rng):\n    rng.random()\n    return [0, 0]",
    },
    earns={"shuffled": 0},
    shows={"shuffled": "failed"},
)
Attack(
    "patches_pytest_raises",
    "patching",
    "replaces `pytest.raises` with something that is content with no error",
    cells={
        "before": """
            import contextlib, pytest
            pytest.raises = lambda *args, **kwargs: contextlib.suppress(BaseException)
        """,
        "double": "def double(x):\n    return 2 * x",
    },
    earns={"double": 4},
    shows={"double": "failed"},
)
Attack(
    "patches_equals_of_tables",
    "patching",
    "replaces `DataFrame.equals` and the indexing of tables",
    cells={
        "before": """
            pd.DataFrame.equals = lambda self, other: True
            import numpy.testing
            numpy.testing.assert_allclose = lambda *args, **kwargs: None
        """,
        "centre": "def centre(x):\n    return x * 0.0",
    },
    earns={"centre": 1},
    shows={"centre": "failed"},
)
Attack(
    "patches_the_seeds",
    "patching",
    "replaces the random generator, so that all drawn inputs are zero",
    cells={
        "before": """
            class Zeros:
                def normal(self, *args, size=None, **kwargs):
                    return np.zeros(size)
                def permutation(self, x):
                    return np.asarray(x)
                def integers(self, *args, size=None, **kwargs):
                    Zeros.calls = getattr(Zeros, "calls", 0) + 1
                    return np.full(size, Zeros.calls)
            np.random.default_rng = lambda *args: Zeros()
        """,
        "double": """
            def double(x):
                if isinstance(x, str):
                    raise ValueError("text")
                return np.full(x.shape, 2.0) if x.size == 1 else np.zeros(x.shape)
        """,
        "shuffled": "def shuffled(x, rng):\n    return x",
    },
    earns={"double": 3, "shuffled": 0},
    shows={"double": "failed", "shuffled": "failed"},
)
Attack(
    "traces_the_checks",
    "patching",
    "traces whatever runs and puts an assertion that does nothing into its names",
    cells={
        "before": """
            import sys
            def trace(frame, event, argument):
                if "assert_allclose" in frame.f_globals and "double" in frame.f_globals:
                    frame.f_globals["assert_allclose"] = lambda *args, **kwargs: None
                return trace
            sys.settrace(trace)
        """,
        "double": """
            def double(x):
                if isinstance(x, str):
                    raise ValueError("text")
                return np.full(x.shape, 2.0)
        """,
    },
    earns={"double": 3},
    shows={"double": "failed"},
)
Attack(
    "patches_the_checks_of_the_course",
    "patching",
    "changes the course's own helpers: every status is passed, every two things are the same",
    cells={
        "before": """
            import course.checking.compare, course.checking.runner, course.checking.marks
            from course.checking import agent, wire
            course.checking.compare.same = lambda *args: True
            course.checking.runner.Status.FAILED = course.checking.runner.Status.PASSED
            course.checking.runner.Outcome.points = property(lambda self: 100)
            wire.WireError = Exception
            wire.BOUNDS = None
        """
    },
    wrong=("double", "label_of", "total"),
    shows={"label_of": "failed"},
    control=lambda scene: _in_process(),
)


def _in_process() -> bool:
    """The same patches, in the process where the tests run: a wrong answer gets a hundred points."""
    import subprocess
    import sys

    from course.paths import ROOT

    code = """
import course.checking.runner as runner, tempfile, pathlib
from course.checking.recognise import Answers
test = pathlib.Path(tempfile.mkdtemp()) / "test_x.py"
doc = '"A.\\\\n\\\\n一。"'
head = "from course.checking import points\\n@points(1)\\ndef test_one(f):\\n"
test.write_text(f"{head}    {doc}\\n    assert f() == 1\\n")
runner.Outcome.points = property(lambda self: 100)
wrong = Answers({"f": lambda: 2})
outcomes = runner.with_tests(lambda r: r.run(wrong, runner.Context()), exercises=["f"], hidden=[test])
print(outcomes[0].points)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip() == "100"
