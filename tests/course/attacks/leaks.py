"""Hidden inputs into the feedback: a student who learns them can answer them one by one the next time."""

from __future__ import annotations

from tests.course.attacks.form import Attack

RIGHT = "    if isinstance(x, str):\n        raise ValueError('text')\n"
KEEP = "import numpy as np\nseen = []\n"

Attack(
    "prints_hidden_inputs",
    "leaks",
    "prints what its function is given",
    cells={
        "double": f"def double(x):\n    print('seen', *map(float, x) if len(x) > 1 else '')\n{RIGHT}    return 2 * x"
    },
    harm="leak",
)
Attack(
    "raises_hidden_inputs",
    "leaks",
    "raises an exception with what its function is given",
    cells={
        "double": f"""
def double(x):
{RIGHT}    if len(x) > 1:
        raise ValueError(' '.join(map(repr, map(float, x))))
    return 2 * x
"""
    },
    earns={"double": 2},
    shows={"double": "error"},
    harm="leak",
)
Attack(
    "raises_them_in_a_later_visible_check",
    "leaks",
    "keeps what it was given and raises it in the visible check of a later exercise",
    cells={
        "double": f"seen = []\ndef double(x):\n{RIGHT}    seen.append(x)\n    return 2 * x",
        "label_of": "def label_of(n):\n    raise ValueError(' '.join(repr(float(v)) for x in seen for v in x))",
    },
    earns={"label_of": 0},
    shows={"label_of": "error"},
    harm="leak",
)
Attack(
    "returns_them_in_a_later_visible_check",
    "leaks",
    "keeps what it was given and returns it where a visible check fails and shows what it saw",
    cells={
        "double": f"seen = []\ndef double(x):\n{RIGHT}    seen.append(x)\n    return 2 * x",
        "label_of": "def label_of(n):\n    return [repr(float(v)) for x in seen for v in x]",
        "centre": """
            class Shape:
                pass
            def centre(x):
                return np.array([[float(v) for y in seen for v in y]])
        """,
    },
    earns={"label_of": 0, "centre": 0},
    harm="leak",
    control=lambda scene: _are_told(),
)


def _are_told() -> bool:
    """Where a verdict tells all that visible checks saw, hidden inputs are in the page."""
    from tests.course.attacks.running import leaks_where_all_is_told

    return leaks_where_all_is_told("returns_them_in_a_later_visible_check")


Attack(
    "raises_them_in_a_later_cell",
    "leaks",
    "keeps what it was given and raises it in a cell behind the checks",
    cells={
        "double": f"seen = []\ndef double(x):\n{RIGHT}    seen.append(x)\n    return 2 * x",
        "last": "raise RuntimeError(' '.join(repr(float(v)) for x in seen for v in x))",
    },
    shows={"cell last": "error"},
    harm="leak",
)
Attack(
    "names_a_class_after_them",
    "leaks",
    "raises an exception, and returns an object, whose class is named after what it was given",
    cells={
        "double": f"""
def double(x):
{RIGHT}    name = ' '.join(map(repr, map(float, x)))
    if len(x) > 1:
        raise type(name, (Exception,), {{}})(name)
    return 2 * x
""",
        "last": "raise type('x', (Exception,), {})('0')",
    },
    earns={"double": 2},
    harm="leak",
)
Attack(
    "shows_them_in_a_figure",
    "leaks",
    "shows what it was given as a table, as a picture's text and as the name of a file",
    cells={
        "double": f"seen = []\ndef double(x):\n{RIGHT}    seen.append(x)\n    return 2 * x",
        "last": """
            from IPython.display import display, HTML
            text = ' '.join(repr(float(v)) for x in seen for v in x)
            display(HTML(f"<table><tr><td>{text}</td></tr></table>"))
            display({"text/plain": text, "text/markdown": text}, raw=True, metadata={"filenames": {"image/png": text}})
            open(text[:60], "w").close()
        """,
    },
    harm="leak",
)
Attack(
    "warns_of_them",
    "leaks",
    "gives a warning with what it was given",
    cells={
        "double": f"""
import warnings
def double(x):
{RIGHT}    warnings.warn(' '.join(map(repr, map(float, x))))
    return 2 * x
"""
    },
    harm="leak",
)
