"""Pages: scripts, remote pictures and markup of a student in what an instructor or another student opens."""

from __future__ import annotations

import nbformat
from nbformat import NotebookNode

from tests.course.attacks.form import Attack

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def _unescaped() -> bool:
    """With the templates' escaping off, the page has it."""
    from tests.course.attacks.running import feedback_without_escaping, hostile

    return bool(hostile(feedback_without_escaping(EVIL)))


Attack(
    "shows_html_with_a_script",
    "pages",
    "shows HTML with a script, a handler and a frame",
    cells={
        "last": f"from IPython.display import HTML, display\ndisplay(HTML({EVIL + '<iframe src=http://evil.example>'!r}))"
    },
    harm="page",
)
Attack(
    "shows_javascript",
    "pages",
    "shows JavaScript as the output of a cell",
    cells={"last": "from IPython.display import Javascript, display\ndisplay(Javascript('alert(1)'))"},
    harm="page",
)
Attack(
    "shows_a_picture_with_a_script",
    "pages",
    "shows an SVG with a script and a handler, also as Markdown",
    cells={
        "last": """
            from IPython.display import display
            svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script></svg>'
            display({"image/svg+xml": svg, "text/plain": "x"}, raw=True)
            display({"text/markdown": svg + "[x](javascript:alert(3))", "text/plain": "x"}, raw=True)
        """
    },
    harm="page",
)
Attack(
    "breaks_out_of_an_attribute",
    "pages",
    "shows a picture whose data end the attribute that they stand in",
    cells={
        "last": """
            from IPython.display import display
            display({"image/png": 'AAAA" onerror="alert(1)" x="', "text/plain": "x"}, raw=True,
                    metadata={"image/png": {"width": '1 onload=alert(1)', "alt": '" onerror="alert(2)'}})
        """
    },
    harm="page",
    control=lambda scene: _naive_picture(),
)


def _naive_picture() -> bool:
    from tests.course.attacks.running import hostile

    return bool(hostile('<img src="data:image/png;base64,' + 'AAAA" onerror="alert(1)" x="' + '">'))


def _widgets(notebook: NotebookNode) -> None:
    state = {"application/vnd.jupyter.widget-state+json": {"state": {"a": "</script><script>alert(1)</script>"}}}
    notebook.metadata["widgets"] = state
    notebook.metadata["title"] = EVIL


Attack(
    "shows_a_widget",
    "pages",
    "shows a widget whose state and model come with the notebook",
    forge=_widgets,
    cells={
        "last": """
            from IPython.display import display
            display({"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "x"}, raw=True)
        """
    },
    harm="page",
)
Attack(
    "writes_markup_in_its_prose",
    "pages",
    "writes HTML, a link that is a script and a picture from elsewhere into its written answer",
    cells={
        "written": EVIL
        + """

[click](javascript:alert(1)) [too](&#106;avascript:alert(2)) [this][one]

[one]: javascript:alert(3)

![pixel](http://evil.example/pixel.png) <http://evil.example> <a href="vbscript:x">y</a>

<svg/onload=alert(4)> <!-- --><iframe srcdoc="<script>alert(5)</script>"></iframe>
"""
    },
    harm="page",
)
Attack(
    "writes_a_formula_that_links",
    "pages",
    "writes a formula whose TeX is a link that runs a script, as prose and as output",
    cells={
        "written": r"$\href{javascript:alert(1)}{x}$ $$\style{background:url(http://evil.example)}{y}$$ "
        r"&#92;href{javascript:alert(2)}{z}",
        "last": r"""
            from IPython.display import display, Latex
            display(Latex(r"$\href{javascript:alert(1)}{x}$"))
        """,
    },
    harm="page",
)
Attack(
    "raises_markup",
    "pages",
    "raises exceptions whose names and texts are markup",
    cells={
        "before": f"raise type({EVIL!r}, (Exception,), {{}})({EVIL!r})",
        "double": f"def double(x):\n    raise ValueError({EVIL!r})",
        "last": f"{{}}[{EVIL!r}]",
    },
    earns={"double": 0},
    shows={"cell before": "error"},
    harm="page",
    control=lambda scene: _unescaped(),
)


def _ids(notebook: NotebookNode) -> None:
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"x{number}"
    marks = {"grade_id": f'x"{EVIL}', "solution": True, "grade": False, "locked": False, "schema_version": 3}
    notebook.cells.append(nbformat.v4.new_code_cell(f"# {EVIL}", id="x-evil", metadata={"nbgrader": marks}))
    notebook.cells.append(nbformat.v4.new_raw_cell(EVIL, id="x-raw"))
    notebook.cells[0].metadata["tags"] = ['"><script>alert(1)</script>']


Attack(
    "writes_markup_into_ids",
    "pages",
    "brings ids, tags and grade ids that end the attribute they stand in, and a raw cell",
    forge=_ids,
    harm="page",
)
Attack(
    "writes_to_the_terminal",
    "pages",
    "prints and raises codes that command a terminal: its title, its clipboard, its screen",
    cells={
        "before": "print('\\x1b]0;owned\\x07\\x1b]52;c;b3duZWQ=\\x07\\x1b[2J')\nraise ValueError('\\x1b]0;owned\\x07')",
    },
    shows={"cell before": "error"},
    harm="terminal",
)
