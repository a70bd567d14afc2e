"""The page an instructor reads: how a class did, where it struggled, which mistakes it made, and what needs a person.

One self-contained file: no script, no network, charts as inline SVG. It is made from the verdicts in force and from
what people gave in the gradebook.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from course import paths
from course.errors import CourseError
from course.grading import charts, feedback, pages
from course.grading import verdict as verdicts
from course.grading.classroom import Classroom, write_text
from course.grading.gradebook import Marked, open_gradebook
from course.grading.intake import describe_repair
from course.grading.verdict import Verdict

HARD_TESTS = 12  # rows of the table of hard tests

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "report": "Class report",
        "overview": "{students} students, {submissions} submissions",
        "isolation": "Student code was examined {how}.",
        "isolation_warning": "Student code ran with the rights of the account that graded it. "
        "Grade only submissions of people you know until the sandbox is in use.",
        "submissions": "submissions",
        "graded": "graded",
        "not_graded": "not graded",
        "median": "median",
        "mean": "mean",
        "of": "of {maximum} points",
        "to_grade": "written answers to grade",
        "scores": "Scores",
        "scores_axis": "points from tests",
        "students_axis": "students",
        "median_label": "median",
        "scores_alt": "Histogram of the points of {n} students; the median is {median} of {maximum}.",
        "exercises": "Exercises",
        "exercise": "exercise",
        "mean_points": "mean points",
        "how_it_went": "how it went",
        "solved": "solved",
        "partly": "partly",
        "nothing": "tried, no points",
        "not_attempted": "not attempted",
        "hard": "Hard tests",
        "hard_means": "Share of the students who attempted the exercise and passed the test; the hardest first.",
        "all_passed": "Every test was passed by everyone who attempted its exercise.",
        "test": "what is tested",
        "passed": "passed",
        "mistakes": "Mistakes seen",
        "mistakes_means": "Recognised by behaviour: on every call the student's function gives what the mistake gives.",
        "no_mistakes": "No known mistake was recognised.",
        "mistake": "mistake",
        "seen": "seen",
        "who": "students",
        "students": "Students",
        "student": "student",
        "points": "points",
        "written": "written",
        "total": "total",
        "seconds": "seconds",
        "notes": "notes",
        "feedback": "feedback",
        "human": "What needs a person",
        "nothing_human": "Nothing is waiting.",
        "written_waiting": "{n} written answers wait for a grade in formgrader.",
        "ungraded": "Not graded: a failure to examine, never a zero. A score that the gradebook has from an earlier "
        "submission stays as it was.",
        "none_graded": "No submission has been graded yet.",
        "repaired": "repaired: {what}",
        "cells_failed": "{n} cells did not run through",
        "ended": "calls that {how}: {n}",
        "timeout": "took too long",
        "kernel_died": "ended the kernel",
        "memory": "used too much memory",
        "footer": "Tests {tests} · made from the verdicts in verdicts/ and the gradebook by: course report",
    },
    "zh": {
        "report": "班级报告",
        "overview": "{students} 名学生，{submissions} 份提交",
        "isolation": "学生代码的检验环境：{how}。",
        "isolation_warning": "学生代码以评分者账户的权限运行。启用沙箱之前，请只为你认识的人评分。",
        "submissions": "份提交",
        "graded": "已评分",
        "not_graded": "未评分",
        "median": "中位数",
        "mean": "平均",
        "of": "满分 {maximum} 分",
        "to_grade": "份书面回答待评",
        "scores": "成绩分布",
        "scores_axis": "测试得分",
        "students_axis": "人数",
        "median_label": "中位数",
        "scores_alt": "{n} 名学生得分的直方图；中位数为 {median}，满分 {maximum}。",
        "exercises": "练习",
        "exercise": "练习",
        "mean_points": "平均分",
        "how_it_went": "完成情况",
        "solved": "全部通过",
        "partly": "部分得分",
        "nothing": "作答但未得分",
        "not_attempted": "未作答",
        "hard": "难题",
        "hard_means": "作答该练习的学生中通过该测试的比例，最难的在前。",
        "all_passed": "凡作答者均通过了全部测试。",
        "test": "检验内容",
        "passed": "通过",
        "mistakes": "出现的错误",
        "mistakes_means": "依行为识别：学生的函数在每次调用中都与该错误的结果一致。",
        "no_mistakes": "未识别到已知错误。",
        "mistake": "错误",
        "seen": "次数",
        "who": "学生",
        "students": "学生",
        "student": "学生",
        "points": "测试分",
        "written": "书面分",
        "total": "总分",
        "seconds": "秒",
        "notes": "备注",
        "feedback": "反馈",
        "human": "需要人工处理",
        "nothing_human": "没有待处理事项。",
        "written_waiting": "{n} 份书面回答等待在 formgrader 中评分。",
        "ungraded": "未评分：检验未能进行，绝不是零分。成绩册中先前提交的分数保持不变。",
        "none_graded": "尚无已评分的提交。",
        "repaired": "已修复：{what}",
        "cells_failed": "{n} 个单元格未能完整运行",
        "ended": "{how}的调用：{n}",
        "timeout": "超时",
        "kernel_died": "导致内核终止",
        "memory": "内存超限",
        "footer": "测试 {tests} · 由 verdicts/ 中的判定与成绩册生成：course report",
    },
}


@dataclass(frozen=True)
class Graded:
    """A verdict, and what a person gave for the written question."""

    verdict: Verdict
    written: Marked | None = None


@dataclass
class TestTally:
    """How one test went, over those who attempted its exercise."""

    __test__ = False

    id: str
    exercise: str
    message: dict[str, str]
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def attempted(self) -> int:
        """Students who attempted the exercise."""
        return self.statuses.total() - self.statuses["not_attempted"]

    @property
    def share(self) -> float:
        """Share of them who passed."""
        return self.statuses["passed"] / self.attempted if self.attempted else 1.0


def tally_tests(graded: Sequence[Verdict]) -> list[TestTally]:
    """How each test went, the hardest first; tests that nobody attempted are left out."""
    tallies: dict[str, TestTally] = {}
    for found in graded:
        for exercise in found["exercises"]:
            for test in exercise["tests"]:
                tally = tallies.setdefault(test["id"], TestTally(test["id"], exercise["name"], test["message"]))
                tally.statuses[test["status"]] += 1
    return sorted((tally for tally in tallies.values() if tally.attempted), key=lambda tally: (tally.share, tally.id))


def tally_mistakes(graded: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Which known mistakes were made, by how many and by whom; the commonest first."""
    students: dict[tuple[str, str], list[str]] = defaultdict(list)
    texts: dict[tuple[str, str], Mapping[str, str]] = {}
    for found in graded:
        for exercise in found["exercises"]:
            if exercise["mistake"]:
                key = (exercise["name"], exercise["mistake"]["name"])
                students[key].append(found["student"])
                texts[key] = exercise["mistake"]
    order = sorted(students, key=lambda key: (-len(students[key]), key))
    return [{"exercise": key[0], "name": key[1], "text": texts[key], "students": students[key]} for key in order]


def tally_exercises(graded: Sequence[Verdict]) -> list[dict[str, Any]]:
    """How each exercise went: mean points, and how many solved it, solved a part, earned nothing, did not try."""
    rows: dict[str, dict[str, Any]] = {}
    for found in graded:
        for exercise in found["exercises"]:
            row = rows.setdefault(
                exercise["name"],
                {"name": exercise["name"], "max_points": exercise["max_points"], "points": [], "went": Counter()},
            )
            row["points"].append(exercise["points"])
            row["went"][_went(exercise)] += 1
    return list(rows.values())


def _went(exercise: Mapping[str, Any]) -> str:
    if exercise["status"] == "passed":
        return "solved"
    if exercise["points"] > 0:
        return "partly"
    return "not_attempted" if exercise["status"] == "not_attempted" else "nothing"


def page(
    name: str,
    language: str,
    found: Sequence[Graded],
    *,
    names: Mapping[str, str] | None = None,
    n_students: int | None = None,
    links: Mapping[tuple[str, str], str] | None = None,
) -> str:
    """The report of a class as one self-contained HTML page.

    Parameters
    ----------
    name : of the class
    language : of the page
    found : verdicts in force, with what people gave
    names : of students, by id
    n_students : of the roster; by default those who handed something in
    links : relative addresses of feedback pages, by (student, unit)
    """
    words = WORDS[language]
    units = sorted({item.verdict["unit"] for item in found})
    students = {item.verdict["student"] for item in found}
    isolations = sorted({item.verdict["isolation"] for item in found if item.verdict["status"] == "graded"})
    return pages.render(
        "report.html.j2",
        width="68rem",
        name=name,
        language=language,
        words=words,
        overview=words["overview"].format(students=max(n_students or 0, len(students)), submissions=len(found)),
        isolations=[feedback.ISOLATION.get(text, {}).get(language, text) for text in isolations],
        unprotected="not isolated" in isolations,
        units=[
            _unit(unit, language, [item for item in found if item.verdict["unit"] == unit], names or {}, links or {})
            for unit in units
        ],
    )


def _unit(
    unit: str,
    language: str,
    found: Sequence[Graded],
    names: Mapping[str, str],
    links: Mapping[tuple[str, str], str],
) -> dict[str, Any]:
    words = WORDS[language]
    graded = [item for item in found if item.verdict["status"] == "graded"]
    only = [item.verdict for item in graded]
    points = [item.verdict["points"] for item in graded]
    maximum = max((item.verdict["max_points"] for item in graded), default=0)
    waiting = sum(item.written is not None and item.written.points is None for item in graded)
    hard = [tally for tally in tally_tests(only) if tally.share < 1]
    return {
        "unit": unit,
        "title": pages.unit_title(unit, language),
        "titles": pages.exercise_titles(unit, language),
        "n": len(found),
        "n_graded": len(graded),
        "median": charts.median(points) if points else None,
        "mean": sum(points) / len(points) if points else None,
        "maximum": maximum,
        "waiting": waiting,
        "chart": _histogram(points, maximum, words),
        "exercises": [_exercise_row(row, words) for row in tally_exercises(only)],
        "hard": [
            {
                "tally": tally,
                "bar": charts.share_bar(
                    [(tally.share, "blue", pages.percent(tally.share))], title=pages.percent(tally.share)
                ),
            }
            for tally in hard[:HARD_TESTS]
        ],
        "mistakes": [{**row, "text": row["text"][language]} for row in tally_mistakes(only)],
        "students": [
            _student_row(item, language, names, links)
            for item in sorted(graded, key=lambda item: (-item.verdict["points"], item.verdict["student"]))
        ],
        "not_graded": [
            {**item.verdict, "name": names.get(item.verdict["student"], "")}
            for item in found
            if item.verdict["status"] != "graded"
        ],
        "tests": ", ".join(sorted({found["tests"][:12] for found in only})),
    }


def _histogram(points: Sequence[float], maximum: float, words: Mapping[str, str]) -> Markup | None:
    if not points or maximum <= 0:
        return None
    title = words["scores_alt"].format(n=len(points), median=f"{charts.median(points):g}", maximum=f"{maximum:g}")
    return charts.histogram(
        points,
        maximum,
        title=title,
        x_label=words["scores_axis"],
        y_label=words["students_axis"],
        median_label=words["median_label"],
    )


def _exercise_row(row: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    n = len(row["points"])
    went = [(row["went"][kind], kind) for kind in ("solved", "partly", "nothing", "not_attempted")]
    told = ", ".join(f"{words[kind]} {count}" for count, kind in went if count)
    bar = charts.share_bar([(count / n, kind, f"{words[kind]}: {count}") for count, kind in went], title=told)
    return {**row, "mean": sum(row["points"]) / n, "bar": bar, "told": told}


def _student_row(
    item: Graded, language: str, names: Mapping[str, str], links: Mapping[tuple[str, str], str]
) -> dict[str, Any]:
    words, found = WORDS[language], item.verdict
    notes = []
    ended = Counter(test["status"] for exercise in found["exercises"] for test in exercise["tests"])
    for status in ("timeout", "memory", "kernel_died"):
        if ended[status]:
            notes.append(words["ended"].format(how=words[status], n=ended[status]))
    if found["repairs"]:
        what = " ".join(describe_repair(repair, language) for repair in found["repairs"])
        notes.append(words["repaired"].format(what=what))
    written = item.written
    total = None if written is None or written.points is None else found["points"] + written.points
    return {
        "verdict": found,
        "name": names.get(found["student"], ""),
        "written": written,
        "total": total,
        "exercises": [
            {"points": part["points"], "share": part["points"] / part["max_points"], "went": _went(part), "part": part}
            for part in found["exercises"]
        ],
        "notes": notes,
        "link": links.get((found["student"], found["unit"])),
    }


def read_verdicts(classroom: Classroom, units: Sequence[str] | None = None) -> list[Verdict]:
    """The verdicts in force, by student and unit."""
    found = [verdicts.read(file) for file in sorted(classroom.verdicts.glob("*/*.json"))]
    return [item for item in found if units is None or item["unit"] in units]


def verdict_file(classroom: Classroom, student: str, unit: str) -> Path:
    """Where the verdict in force on a submission is."""
    return classroom.verdicts / student / f"{unit}.json"


def write(classroom: Classroom, *, units: Sequence[str] | None = None, language: str | None = None) -> Path:
    """Write the class's report from what is known now.

    Raises
    ------
    CourseError : nothing has been graded, or a verdict's file is damaged
    """
    chosen = None if units is None else [paths.find_unit(unit) for unit in units]
    try:
        found = read_verdicts(classroom, chosen)
    except verdicts.VerdictError as error:
        raise CourseError(
            f"a verdict can't be read: {error}; grade again with: course grade {classroom.folder}"
        ) from None
    if not found:
        raise CourseError(
            f"nothing has been graded in {classroom.folder} yet; grade with: course grade {classroom.folder}"
        )
    with open_gradebook(classroom) as gradebook:
        items = [Graded(item, gradebook.written(item) if item["status"] == "graded" else None) for item in found]
    links = {}
    for item in found:
        file = feedback.path(classroom, item["student"], item["unit"])
        if file.is_file():
            links[item["student"], item["unit"]] = os.path.relpath(file, classroom.folder).replace(os.sep, "/")
    html = page(
        classroom.name,
        language or classroom.language,
        items,
        names={student.id: student.name for student in classroom.roster.values()},
        n_students=len(classroom.roster),
        links=links,
    )
    write_text(classroom.report, html)
    return classroom.report
