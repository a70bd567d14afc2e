"""The examination against lies: objects that stayed in the kernel, generators, inputs that come back; and its pages."""

from __future__ import annotations

import base64
import hashlib
import operator
import re
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from course.authoring import browser
from course.checking import wire
from course.checking.compare import same
from course.checking.runner import Halt, Status
from course.grading import feedback, pages, rendering, verdict
from course.grading.examine import _MULTIPLIERS, RemoteObject, restore, steps
from tests.course.attacks.running import feedback_without_escaping, hostile
from tests.course.samples import a_test, a_verdict, an_exercise

EVIL = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"


def an_object(**names: Any) -> RemoteObject:
    """An object whose kernel answers every question with yes."""
    plan = SimpleNamespace(object_names=frozenset(names), exceptions={})
    kernel = SimpleNamespace(
        plan=plan, generation=1, ask=lambda what, request: {"status": "value", "value": names[what]}
    )
    return RemoteObject(kernel, 1, wire.Handle(1, "Model"))  # type: ignore[arg-type]


USES = {
    "equality": lambda x: x == 1,
    "inequality": lambda x: x != 1,
    "order": lambda x: x < 1,
    "truth": bool,
    "length": len,
    "members": list,
    "containing": lambda x: 1 in x,
    "indexing": lambda x: x[0],
    "hash": hash,
    "text": str,
    "format": lambda x: f"{x}",
    "number": float,
    "index": operator.index,
    "addition": lambda x: 1 + x,
    "an array": np.asarray,
    "an array's function": lambda x: np.isfinite(x),
    "closeness": lambda x: np.testing.assert_allclose(x, 1.0),
    "equality of arrays": lambda x: np.testing.assert_array_equal(x, x),
    "a missing value": pd.isna,
    "a series": lambda x: pd.testing.assert_series_equal(pd.Series([x], dtype=object), pd.Series([1], dtype=object)),
    "a list's equality": lambda x: [x] == [1],
    "a list's inequality": lambda x: [x] != [1],
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_object_that_stayed_in_the_kernel_ends_the_test_where_it_stands_for_data(use: Any) -> None:
    with pytest.raises(Halt) as ended, pytest.raises(Exception, match="whatever a test makes of errors"):
        use(an_object())
    assert ended.value.status is Status.FAILED


def test_object_in_the_kernel_is_asked_only_for_what_models_have() -> None:
    model = an_object(fit=1, labels_=[1, 2])
    assert model.labels_ == [1, 2]
    assert model.fit == 1
    for name in ("equals", "all", "shape", "values", "__array_interface__", "_private_"):
        assert not hasattr(model, name)
    assert "<" not in repr(RemoteObject(None, 1, wire.Handle(1, "<script>")))[1:]  # type: ignore[arg-type]


def test_recognising_a_mistake_never_asks_an_object_in_the_kernel() -> None:
    one, other = an_object(), an_object()
    assert same([one], [one])
    assert not same({"a": one}, {"a": other})
    assert not same(one, 1.0)


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.PCG64DXSM])
def test_generator_goes_on_to_where_the_call_left_it(bits: Any) -> None:
    ours, theirs = np.random.Generator(bits(3)), np.random.Generator(bits(3))
    theirs.normal(size=1000)
    theirs.integers(5, dtype=np.int32)
    restore(ours, theirs)
    assert ours.bit_generator.state == theirs.bit_generator.state
    theirs.bit_generator.advance(2**40)
    restore(ours, theirs)
    assert ours.random() == theirs.random()


@pytest.mark.parametrize(
    "forged",
    [
        lambda state: {"state": 0, "inc": 0},
        lambda state: {"state": 0, "inc": state["inc"]},
        lambda state: {"state": state["state"], "inc": 1},
    ],
)
def test_forged_generator_only_moves_on(forged: Any) -> None:
    ours, theirs, honest = (np.random.default_rng(3) for _ in range(3))
    state = theirs.bit_generator.state
    theirs.bit_generator.state = state | {"state": forged(state["state"])}
    restore(ours, theirs)
    honest.bit_generator.random_raw()
    assert ours.bit_generator.state == honest.bit_generator.state


def test_generator_of_another_kind_moves_on_too() -> None:
    ours = np.random.Generator(np.random.MT19937(1))
    before = ours.bit_generator.state["state"]["pos"]
    restore(ours, np.random.Generator(np.random.MT19937(2)))
    assert ours.bit_generator.state["state"]["pos"] != before


def test_steps_of_a_generator_are_counted() -> None:
    rng = np.random.default_rng(9)
    first = rng.bit_generator.state["state"]
    rng.bit_generator.advance(123_456_789_012)
    last = rng.bit_generator.state["state"]["state"]
    assert steps(first["state"], last, _MULTIPLIERS[np.random.PCG64], first["inc"]) == 123_456_789_012


def test_what_ends_a_loop_quietly_arrives_as_an_error() -> None:
    for kind in (StopIteration, StopAsyncIteration, GeneratorExit):
        with pytest.raises(wire.StudentError):
            list(
                map(lambda _, kind=kind: (_ for _ in ()).throw(wire.nearest_exception(wire.class_tree(kind), "")), [1])
            )


def test_verdict_holds_no_character_that_commands() -> None:
    found = verdict.not_graded("\x1b]0;x\x07 \u202etxt", student="s", unit="u", submission="a" * 64)
    assert found["reason"] == "�]0;x� �txt"


# --------------------------------------------------------------------------------------------------------------------
# Pages


def evil_page() -> str:
    tests = [a_test("one", "failed", visible=True, detail=EVIL)]
    cells = [{"id": "x", "status": "error", "seconds": 0.1, "message": EVIL}]
    return feedback.page(a_verdict([an_exercise("first", tests)], cells=cells), name=EVIL, class_name=EVIL)


def test_policy_names_the_hash_of_the_only_style() -> None:
    page = evil_page()
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<[^>]*\s(style|on\w+)\s*=", page)
    assert hostile(page) == []


def test_no_template_has_a_style_or_handler_in_an_attribute_or_switches_escaping_off() -> None:
    for file in pages.TEMPLATES.glob("*.html.j2"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"<[^>]*\s(style|on\w+)\s*=", text), file.name
        assert not re.search(r"\|\s*safe|autoescape|unsafe-|https?://|//[a-z]", text), file.name
    for file in pages.TEMPLATES.glob("*.js"):
        assert not re.search(r"innerHTML|eval\(|document\.write|fetch\(|XMLHttp", file.read_text(encoding="utf-8")), (
            file.name
        )


def test_style_that_could_end_its_element_is_refused() -> None:
    with mock.patch.object(pages.environment().loader, "get_source", return_value=("</style>", None, None)):
        pages.environment().cache.clear()
        with pytest.raises(ValueError, match="end its element"):
            pages.asset("odd.css")
    pages.environment().cache.clear()


@pytest.mark.browser
@pytest.mark.skipif(browser.find_chromium() is None, reason="there is no browser here; install one: chromium")
def test_browser_runs_nothing_of_a_student_even_where_escaping_fails() -> None:
    with browser.chromium() as page:
        for text in (evil_page(), feedback_without_escaping(EVIL)):
            refused: list[str] = []
            page.on("console", lambda message, refused=refused: refused.append(message.text))
            page.set_content(text)
            page.wait_for_timeout(100)
            assert page.title() != "owned"
            assert page.evaluate("getComputedStyle(document.querySelector('.card')).borderRadius") == "10px"
        assert any("Content Security Policy" in text for text in refused)
        page.goto("about:blank")
        page.set_content(f"<body>{EVIL}</body>")  # and without our policy it does run
        page.wait_for_timeout(100)
        assert page.title() == "owned"


@pytest.mark.parametrize(
    "prose",
    [
        "[a](javascript:x)",
        r"[a\](javascript:x)",
        r"[a\\](javascript:x)",
        "[a]( javascript:x)",
        "[a](<javascript:x>)",
        "[a](&#106;avascript:x)",
        "[a](\\javascript:x)",
        "[a][b]\n\n[b]: javascript:x",
        "[a][b]\n\n  [b]:\n  javascript:x",
        "![a](https://evil.example/x.png)",
        r"\![a](https://evil.example/x.png)",
        "![a][b]\n\n[b]: https://evil.example/x.png",
        "<a href=javascript:x>y</a>",
        "<javascript:x>",
        "&lt;script>alert(1)</script>",
        "`<script>`<script>alert(1)</script>",
        "```\n</code></pre><script>alert(1)</script>\n```",
        "<svg/onload=x>",
        "<!-- --><iframe src=x>",
        r"$\href{javascript:x}{y}$",
        r"\\href{javascript:x}{y}",
        r"$$\require{x}\style{y}{z}$$",
        "&#92;href{javascript:x}{y}",
        "| a |\n|---|\n| [x](javascript:y) |",
    ],
)
def test_prose_of_a_student_runs_and_loads_nothing(prose: str) -> None:
    from nbconvert.filters import markdown2html

    assert hostile(markdown2html(rendering.harmless_prose(prose))) == []


def test_prose_keeps_formulas_links_to_the_web_and_code() -> None:
    kept = "Since $\\frac{a}{b} < c$ see [the paper](https://doi.org/10.1/x), *surely*: `x[0]`."
    assert rendering.harmless_prose(kept) == kept


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ({"output_type": "display_data", "data": {"text/html": EVIL, "image/svg+xml": "<svg/>"}}, None),
        ({"output_type": "display_data", "data": {"image/png": 'AAAA" onload="x'}}, None),
        ({"output_type": "display_data", "data": {"image/png": base64.b64encode(b"<svg>").decode()}}, None),
        ({"output_type": "display_data", "data": {"text/latex": "$x$", "text/markdown": "x"}}, None),
        ({"output_type": "display_data", "data": {"application/vnd.jupyter.widget-view+json": {}}}, None),
        ({"output_type": "comm_open"}, None),
    ],
)
def test_output_of_a_student_is_text_or_a_picture(output: dict[str, Any], shown: Any) -> None:
    assert rendering.harmless_output(output) == shown


def test_picture_stays_and_its_metadata_do_not() -> None:
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n rest").decode()
    output = {"output_type": "display_data", "data": {"image/png": png}, "metadata": {"image/png": {"alt": EVIL}}}
    assert rendering.harmless_output(output) == {**output, "metadata": {}}
