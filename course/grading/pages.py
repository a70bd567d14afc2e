"""What feedback and report pages share: one template environment that escapes everything, words, and plain files.

A page holds what students wrote, so it says in its head what a browser may do with it: nothing but show it. Styles and
scripts are files of ours (`asset`), and `policy` names their hashes; whatever else stands in the page, a script, a
style, an attribute like `onclick` or `style`, an address, is refused by the browser even if it were not escaped. So a
template has no inline `style=` and no handlers in attributes, and a script gets its data from the page's elements:

    {% set css = asset("style.css.j2", "feedback.css", width="54rem") %}
    {{ policy(styles=[css]) }}
    <style>{{ css }}</style>
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from course import paths
from course.checking.support import Support, read_support
from course.grading import charts

TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class StatusLook:
    """How a status is told: a sign, a word and a sentence, so that colour only repeats them."""

    sign: str
    kind: str
    word: dict[str, str]
    sentence: dict[str, str]


STATUSES = {
    "passed": StatusLook(
        "✓",
        "good",
        {"en": "passed", "zh": "通过"},
        {"en": "The property holds for your answer.", "zh": "你的答案满足这一性质。"},
    ),
    "failed": StatusLook(
        "✗",
        "bad",
        {"en": "not yet", "zh": "尚未通过"},
        {
            "en": "Your answer ran, but the property does not hold on the drawn inputs.",
            "zh": "代码能运行，但在随机抽取的输入上不满足这一性质。",
        },
    ),
    "not_attempted": StatusLook(
        "○",
        "none",
        {"en": "not attempted", "zh": "未作答"},
        {"en": "There was no answer to examine.", "zh": "没有可供检验的答案。"},
    ),
    "error": StatusLook(
        "!",
        "bad",
        {"en": "raised an error", "zh": "运行出错"},
        {
            "en": "Your code raised an exception where an answer was expected.",
            "zh": "应给出答案时，你的代码引发了异常。",
        },
    ),
    "timeout": StatusLook(
        "…",
        "bad",
        {"en": "took too long", "zh": "运行超时"},
        {
            "en": "The call did not end within its time limit and was stopped; only the tests it hung in lost points.",
            "zh": "调用未能在时限内结束，已被中止；只有卡住的测试失分。",
        },
    ),
    "memory": StatusLook(
        "■",
        "bad",
        {"en": "used too much memory", "zh": "内存超限"},
        {"en": "The call needed more memory than there is for it.", "zh": "调用所需内存超过限制。"},
    ),
    "kernel_died": StatusLook(
        "×",
        "bad",
        {"en": "ended the kernel", "zh": "内核终止"},
        {
            "en": "The Python process ended during the call. It was started again, and the rest was examined.",
            "zh": "调用期间 Python 进程终止；已重新启动，其余部分照常检验。",
        },
    ),
}

CELL_STATUSES = {
    "error": {"en": "raised an error", "zh": "运行出错"},
    "timeout": {"en": "took too long and was stopped", "zh": "运行超时，已中止"},
    "memory": {"en": "used too much memory", "zh": "内存超限"},
    "output": {"en": "printed too much; the rest was cut off", "zh": "输出过多，已截断"},
    "kernel_died": {"en": "ended the kernel", "zh": "导致内核终止"},
    "skipped": {"en": "was not run", "zh": "未运行"},
}


@functools.cache
def environment() -> jinja2.Environment:
    """Templates that escape every value and refuse a name that is not given."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = number
    made.filters["percent"] = percent
    made.filters["seconds"] = charts.seconds_text
    made.globals |= {"statuses": STATUSES, "asset": asset, "policy": policy}
    return made


def asset(*names: str, **values: str) -> Markup:
    """Files of ours, one after another, to stand in a page between `<style>` or `<script>` tags as they are.

    Parameters
    ----------
    names : files in the folder of the templates
    values : what they may ask for; from a template of ours, never from a submission
    """
    text = "\n".join(environment().get_template(name).render(**values) for name in names)
    if "</" in text:
        raise ValueError(f"{', '.join(names)}: a style or script must not hold what could end its element")
    return Markup(text)


def policy(*, styles: Sequence[str] = (), scripts: Sequence[str] = ()) -> Markup:
    """What a browser may do with a page: use these styles and scripts, show pictures that are in it, and nothing else.

    >>> print(policy(scripts=["1"]))  # doctest: +ELLIPSIS
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; base-uri 'none'; ...">
    """
    rules = ["default-src 'none'", "img-src data:", "base-uri 'none'", "form-action 'none'"]
    for kind, texts in (("style-src", styles), ("script-src", scripts)):
        if texts:
            rules.append(f"{kind} {' '.join(_hash_source(text) for text in texts)}")
    return Markup(f'<meta http-equiv="Content-Security-Policy" content="{"; ".join(rules)}">')


def _hash_source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def render(template: str, **values: Any) -> str:
    """A page from a template."""
    return environment().get_template(template).render(**values)


def number(value: float | None) -> str:
    """Points as people write them.

    >>> number(3.0), number(2.5), number(None)
    ('3', '2.5', '–')
    """
    return "–" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


def percent(part: float, whole: float = 1.0) -> str:
    """A share in whole percent.

    >>> percent(1, 3)
    '33%'
    """
    return f"{100 * part / whole:.0f}%" if whole else "–"


@functools.cache
def unit_support(unit: str) -> Support | None:
    """Titles of a unit and its exercises; None where the unit is no longer built."""
    folder = paths.exercise_folder(unit, "en") / "support"
    return read_support(folder) if (folder / "unit.json").is_file() else None


def unit_title(unit: str, language: str) -> str:
    """What a unit is called."""
    support = unit_support(unit)
    return support.title[language] if support else unit


def exercise_titles(unit: str, language: str) -> dict[str, str]:
    """What the exercises of a unit are called."""
    support = unit_support(unit)
    return {exercise.name: exercise.title[language] for exercise in support.exercises} if support else {}
