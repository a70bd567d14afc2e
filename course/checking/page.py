"""How checks, hints and progress look: one HTML form for Jupyter and one text form for everywhere else.

Every state is told by a word and a sign; colour only repeats it. Colours of text and ground come from the page, so that
dark themes work.
"""

from __future__ import annotations

import html
import linecache
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypedDict

from course.checking.runner import Outcome, Status, Test
from course.checking.style import PALETTE
from course.checking.support import Exercise

Page = TypedDict("Page", {"text/html": str, "text/plain": str, "text/markdown": str}, total=False)
Text = Mapping[str, str]

LONGEST_LINE = 160
LONGEST_DETAIL = 2_000


@dataclass(frozen=True)
class Look:
    """How a status is told: by a sign, a word, and a colour that repeats them."""

    sign: str
    word: Text
    colour: str


PASSED = Look("✓", {"en": "passed", "zh": "通过"}, PALETTE["green"])
FAILED = Look("✗", {"en": "not yet", "zh": "尚未通过"}, PALETTE["orange"])
NOT_ATTEMPTED = Look("○", {"en": "not attempted", "zh": "尚未作答"}, "#767676")
ERROR = Look("!", {"en": "error", "zh": "出错"}, PALETTE["vermillion"])
LOOKS = {Status.PASSED: PASSED, Status.FAILED: FAILED, Status.NOT_ATTEMPTED: NOT_ATTEMPTED}

WORDS: dict[str, Text] = {
    "footer": {
        "en": "Visible checks only. Hidden tests run when you submit.",
        "zh": "这里只运行可见检查；提交之后才运行隐藏测试。",
    },
    "summary": {"en": "{passed} of {all} visible checks passed", "zh": "{all} 项可见检查通过 {passed} 项"},
    "attempt": {
        "en": "Write your answer to {name} in the cell above, run that cell, then run this one again.",
        "zh": "请在上面的单元格里写出 {name} 的答案并运行它，然后再运行这一格。",
    },
    "status": {"en": "status", "zh": "状态"},
    "property": {"en": "what is checked", "zh": "检查的内容"},
    "line": {"en": "line {line} of your code: {code}", "zh": "你的代码第 {line} 行：{code}"},
    "nothing": {
        "en": "Your function returned None. Is a `return` missing?",
        "zh": "你的函数返回了 None，是不是漏写了 return？",
    },
    "no_raise": {"en": "No {kind} was raised.", "zh": "没有引发 {kind}。"},
    "no_warning": {"en": "The expected warning was not given: {kind}.", "zh": "没有发出预期的警告：{kind}。"},
    "details": {"en": "details", "zh": "详细信息"},
    "hint": {"en": "Hint {rung} of {last}", "zh": "提示 {rung}/{last}"},
    "more": {"en": "Run the cell again for the next hint.", "zh": "再次运行本单元格可看下一条提示。"},
    "last": {"en": "This was the last hint.", "zh": "这是最后一条提示。"},
    "progress": {"en": "Where you stand: {title}", "zh": "学习进度：{title}"},
    "exercise": {"en": "exercise", "zh": "练习"},
    "checks": {"en": "visible checks", "zh": "可见检查"},
    "points": {"en": "points of visible checks", "zh": "可见检查的分数"},
    "total": {
        "en": "All exercises: {part} of {whole} points of visible checks",
        "zh": "全部练习：可见检查得 {part} 分，满分 {whole} 分",
    },
    "colon": {"en": ": ", "zh": "："},
    "of": {"en": "{part} of {whole}", "zh": "{part} / {whole}"},
    "bar": {
        "en": "{title}: {word}, {part} of {whole} points of visible checks",
        "zh": "{title}：{word}，可见检查得 {part} 分，满分 {whole} 分",
    },
    "difficulty": {"en": "difficulty {n} of 5", "zh": "难度 {n}/5"},
    "minutes": {"en": "about {n} min", "zh": "约 {n} 分钟"},
    "begun": {"en": "begun", "zh": "进行中"},
}
BEGUN = Look("◐", WORDS["begun"], PALETTE["sky"])


def say(key: str, language: str, **values: Any) -> str:
    """A fixed text in a language, filled in."""
    return WORDS[key][language].format(**values)


@dataclass(frozen=True)
class Result:
    """One visible check as the learner sees it."""

    test: Test
    look: Look
    reasons: tuple[Text, ...] = ()  # short lines, most useful first
    detail: str = ""

    @property
    def points(self) -> int:
        """Points of this check."""
        return self.test.points if self.look is PASSED else 0


@dataclass(frozen=True)
class Sheet:
    """All visible checks of one exercise."""

    exercise: Exercise
    results: Sequence[Result]

    @property
    def passed(self) -> int:
        """How many passed."""
        return sum(result.look is PASSED for result in self.results)

    @property
    def points(self) -> int:
        """Points of the visible checks that passed."""
        return sum(result.points for result in self.results)

    @property
    def worth(self) -> int:
        """Points of all visible checks."""
        return sum(result.test.points for result in self.results)

    @property
    def untouched(self) -> bool:
        """Whether there is no answer yet."""
        return all(result.look is NOT_ATTEMPTED for result in self.results)

    @property
    def look(self) -> Look:
        """How the exercise as a whole stands."""
        looks = Counter(result.look.sign for result in self.results)
        if looks[PASSED.sign] == len(self.results):
            return PASSED
        if self.untouched:
            return NOT_ATTEMPTED
        if looks[PASSED.sign]:
            return BEGUN
        return ERROR if looks[ERROR.sign] else FAILED


# --- what a failure says -------------------------------------------------------------------------------------------


def read_outcome(outcome: Outcome, names: Mapping[str, Any], *, returned_nothing: bool) -> Result:
    """Turn a test's outcome into what its learner should read."""
    look = LOOKS.get(outcome.status, ERROR)
    if look in (PASSED, NOT_ATTEMPTED):
        return Result(outcome.test, look)
    reasons: list[Text] = []
    place = learner_line(outcome.exception, names)
    if returned_nothing and place is None and "DID NOT" not in outcome.detail:
        reasons.append(WORDS["nothing"])
    if look is ERROR or not reasons:
        reasons.append(useful_line(outcome.detail))
    if place is not None:
        line, code = place
        reasons.append({language: say("line", language, line=line, code=code) for language in ("en", "zh")})
    detail = _without_addresses(outcome.detail).strip()
    return Result(outcome.test, look, tuple(reasons), detail[:LONGEST_DETAIL] if "\n" in detail else "")


def learner_line(error: BaseException | None, names: Mapping[str, Any]) -> tuple[int, str] | None:
    """Number and text of the learner's innermost line that an error came through; None if it came from elsewhere.

    Code that was defined in a notebook has the notebook's names as its globals.
    """
    place = None
    step: TracebackType | None = error.__traceback__ if error else None
    while step is not None:
        if step.tb_frame.f_globals is names:
            place = step.tb_frame.f_code.co_filename, step.tb_lineno
        step = step.tb_next
    if place is None:
        return None
    return place[1], linecache.getline(*place).strip()


def useful_line(detail: str) -> Text:
    """The line of an assertion's message that says most.

    >>> useful_line("Not equal to tolerance rtol=1e-07\\n\\nMismatched elements: 1 / 3 (33.3%)\\nMax ...")["en"]
    'Mismatched elements: 1 / 3 (33.3%)'
    >>> useful_line("DID NOT RAISE <class 'ValueError'>")["zh"]
    '没有引发 ValueError。'
    """
    missing = re.search(r"DID NOT RAISE (?:any of )?(.*)", detail)
    if missing:
        kind = _class_names(missing[1])
        return {language: say("no_raise", language, kind=kind) for language in ("en", "zh")}
    unwarned = re.search(r"DID NOT WARN\. No warnings of type (.*?) were emitted", detail)
    if unwarned:
        kind = _class_names(unwarned[1])
        return {language: say("no_warning", language, kind=kind) for language in ("en", "zh")}
    lines = [line.strip() for line in _without_addresses(detail).splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("Mismatched elements", "DataFrame", "Series", "[left]"))]
    if lines and "..." in lines[0]:  # pytest shortened it: where they differ says more
        telling += [line for line in lines if line.startswith("At index")]
    line = (telling or lines or [""])[0]
    line = line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"
    return {"en": line, "zh": line}


def _class_names(text: str) -> str:
    return ", ".join(re.findall(r"class '(?:\w+\.)*(\w+)'", text)) or text


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)


# --- one exercise --------------------------------------------------------------------------------------------------


def check_page(sheet: Sheet, language: str) -> Page:
    """The table of one exercise's visible checks."""
    return {"text/html": _check_html(sheet, language), "text/plain": _check_text(sheet, language)}


def _check_text(sheet: Sheet, language: str) -> str:
    colon = say("colon", language)
    lines = [f"{sheet.exercise.name}{colon}{_summary(sheet, language)}"]
    if sheet.untouched:
        word = NOT_ATTEMPTED.word[language]
        lines += [f"  {NOT_ATTEMPTED.sign} {word}", f"    {say('attempt', language, name=sheet.exercise.name)}"]
    else:
        for result in sheet.results:
            lines.append(f"  {result.look.sign} {result.look.word[language]}{colon}{result.test.message[language]}")
            lines += [f"      {reason[language]}" for reason in result.reasons]
    return "\n".join([*lines, say("footer", language)])


def _summary(sheet: Sheet, language: str) -> str:
    return say("summary", language, passed=sheet.passed, all=len(sheet.results))


def _check_html(sheet: Sheet, language: str) -> str:
    if sheet.untouched:
        rows = _row(NOT_ATTEMPTED, _escaped(say("attempt", language, name=sheet.exercise.name)), language)
    else:
        rows = "".join(_result_row(result, language) for result in sheet.results)
    title = _escaped(sheet.exercise.title[language])
    return (
        f'<div class="course-check" lang="{_html_language(language)}" style="{_FRAME}">'
        f'<table style="{_TABLE}"><caption style="{_CAPTION}">'
        f"<b>{title}</b> <code>{_escaped(sheet.exercise.name)}</code> · {_escaped(_summary(sheet, language))}</caption>"
        f'<thead style="{_HIDDEN}"><tr><th scope="col">{say("status", language)}</th>'
        f'<th scope="col">{say("property", language)}</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
        f'<div style="{_FOOTER}">{say("footer", language)}</div></div>'
    )


def _result_row(result: Result, language: str) -> str:
    message = _escaped(result.test.message[language])
    reasons = "".join(f'<div style="{_REASON}">{_escaped(reason[language])}</div>' for reason in result.reasons)
    detail = ""
    if result.detail:
        summary = say("details", language)
        detail = (
            f'<details style="{_DETAILS}"><summary>{summary}</summary>'
            f'<pre style="{_PRE}">{_escaped(result.detail)}</pre></details>'
        )
    return _row(result.look, message + reasons + detail, language)


def _row(look: Look, content: str, language: str) -> str:
    return (
        f'<tr style="{_PLAIN}"><td style="{_STATUS}border-left:5px solid {look.colour};">'
        f'<span aria-hidden="true">{look.sign}</span> {look.word[language]}</td>'
        f'<td style="{_CELL}">{content}</td></tr>'
    )


# --- hints ---------------------------------------------------------------------------------------------------------


def hint_page(hints: Sequence[str], rung: int, language: str) -> Page:
    """One rung of the ladder of hints."""
    heading = say("hint", language, rung=rung, last=len(hints))
    closing = say("last" if rung == len(hints) else "more", language)
    text = hints[rung - 1].strip()
    return {
        "text/markdown": f"**{heading}**\n\n{text}\n\n*{closing}*",
        "text/plain": f"{heading}\n\n{text}\n\n{closing}",
    }


# --- progress ------------------------------------------------------------------------------------------------------


def progress_page(sheets: Sequence[Sheet], title: str, language: str) -> Page:
    """Where one stands: a bar per exercise, and one for all."""
    return {
        "text/html": _progress_html(sheets, title, language),
        "text/plain": _progress_text(sheets, title, language),
    }


def _progress_text(sheets: Sequence[Sheet], title: str, language: str) -> str:
    lines = [say("progress", language, title=title)]
    for sheet in sheets:
        done = round(10 * sheet.points / max(sheet.worth, 1))
        bar = "█" * done + "░" * (10 - done)
        part = say("of", language, part=sheet.points, whole=sheet.worth)
        state = f"{sheet.look.sign} {sheet.look.word[language]}{say('colon', language)}"
        lines.append(f"  {bar} {part}  {state}{sheet.exercise.name}")
    return "\n".join([*lines, f"  {_total(sheets, language)}", say("footer", language)])


def _total(sheets: Sequence[Sheet], language: str) -> str:
    earned, worth = sum(sheet.points for sheet in sheets), sum(sheet.worth for sheet in sheets)
    return say("total", language, part=earned, whole=worth)


def _progress_html(sheets: Sequence[Sheet], title: str, language: str) -> str:
    rows = "".join(_progress_row(sheet, language) for sheet in sheets)
    heading = _escaped(say("progress", language, title=title))
    columns = "".join(f'<th scope="col">{say(key, language)}</th>' for key in ("exercise", "status", "points"))
    return (
        f'<div class="course-progress" lang="{_html_language(language)}" style="{_FRAME}">'
        f'<table style="{_TABLE}"><caption style="{_CAPTION}"><b>{heading}</b></caption>'
        f'<thead style="{_HIDDEN}"><tr>{columns}</tr></thead><tbody>{rows}</tbody></table>'
        f'<div style="{_FOOTER}"><b>{_escaped(_total(sheets, language))}</b> · {say("footer", language)}</div></div>'
    )


def _progress_row(sheet: Sheet, language: str) -> str:
    look, exercise = sheet.look, sheet.exercise
    effort = f"{say('difficulty', language, n=exercise.difficulty)} · {say('minutes', language, n=exercise.minutes)}"
    return (
        f'<tr style="{_PLAIN}">'
        f'<td style="{_CELL}">{_escaped(exercise.title[language])}<br>'
        f'<code>{_escaped(exercise.name)}</code> <span style="{_FAINT}">{effort}</span></td>'
        f'<td style="{_STATUS}"><span aria-hidden="true">{look.sign}</span> {look.word[language]}</td>'
        f'<td style="{_CELL}min-width:15em;">{_bar(sheet, language)}</td></tr>'
    )


def _bar(sheet: Sheet, language: str) -> str:
    """A segment per visible check, as wide as its points; done ones are filled, the others only outlined."""
    told = say(
        "bar",
        language,
        title=sheet.exercise.title[language],
        word=sheet.look.word[language],
        part=sheet.points,
        whole=sheet.worth,
    )
    segments = "".join(_segment(result) for result in sheet.results)
    return (
        f'<div role="img" aria-label="{_escaped(told)}" style="display:flex;align-items:center;gap:3px;">{segments}'
        f'<span style="white-space:nowrap;padding-left:6px;">'
        f"{say('of', language, part=sheet.points, whole=sheet.worth)}</span></div>"
    )


def _segment(result: Result) -> str:
    fill = result.look.colour if result.look is PASSED else "transparent"
    line = "solid" if result.look is not NOT_ATTEMPTED else "dashed"
    return (
        f'<span style="flex:{result.test.points} 1 0;height:14px;border-radius:3px;box-sizing:border-box;'
        f'background:{fill};border:1.5px {line} {result.look.colour};"></span>'
    )


# --- the look ------------------------------------------------------------------------------------------------------

_FRAME = "max-width:56em;margin:4px 0;line-height:1.45;color:var(--jp-content-font-color1,inherit);"
_TABLE = "border-collapse:collapse;width:100%;margin:0;font-size:inherit;table-layout:auto;"
_CAPTION = "caption-side:top;text-align:left;padding:4px 0 6px 0;color:inherit;font-size:inherit;"
_PLAIN = "background:transparent;border-top:1px solid var(--jp-border-color2,#bbb);"
_CELL = "text-align:left;vertical-align:top;padding:6px 10px;white-space:normal;overflow-wrap:anywhere;"
_STATUS = "text-align:left;vertical-align:top;padding:6px 14px 6px 10px;white-space:nowrap;font-weight:600;width:1%;"
_REASON = "font-family:var(--jp-code-font-family,monospace);font-size:0.92em;padding-top:3px;white-space:pre-wrap;"
_DETAILS = "font-size:0.9em;padding-top:3px;"
_PRE = "max-height:16em;overflow:auto;white-space:pre;margin:4px 0 0 0;font-size:0.95em;background:transparent;"
_FOOTER = "padding:6px 0 2px 0;font-size:0.92em;opacity:0.85;"
_FAINT = "font-size:0.88em;opacity:0.75;"
_HIDDEN = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap;"


def _escaped(text: str) -> str:
    return html.escape(text, quote=True)


def _html_language(language: str) -> str:
    return {"zh": "zh-Hans"}.get(language, language)
