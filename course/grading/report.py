"""The pages an instructor reads: how a class did, which tests are hard and which say nothing, which mistakes it made,
whose work looks alike, and what needs a person.

One self-contained file per unit (reports/<unit>.html) and one for the class (report.html): no network, no script but
the one that sorts tables, whose hash the page's policy names. They are made from the verdicts in force, the autograded
notebooks, and what people gave in the gradebook.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from course import paths
from course.errors import CourseError
from course.grading import attempts, charts, feedback, likeness, pages, statistics
from course.grading import verdict as verdicts
from course.grading.classroom import Classroom, write_text
from course.grading.gradebook import ClassGradebook, Marked, open_gradebook
from course.grading.intake import describe_repair
from course.grading.likeness import Alike
from course.grading.statistics import Item
from course.grading.verdict import Verdict

MOST_NAMES = 8  # students named in one cell of a table; the rest stands behind a click
# Repairs by which an answer may have been lost or chosen: someone should see whether rightly.
_DOUBTFUL_REPAIRS = (
    "missing_answer",
    "found_answer",
    "placed_answer",
    "duplicate_answer",
    "other_file",
    "wrong_folder",
)

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "report": "Class report",
        "class_page": "All units of the class",
        "overview": "{students} students, {submissions} submissions",
        "isolation": "Student code was examined {how}.",
        "isolation_warning": "It was graded with --no-sandbox: student code ran with the rights of the account that "
        "graded it. `course doctor` says how to get the sandbox.",
        "units": "Units",
        "unit": "unit",
        "submissions": "submissions",
        "graded": "graded",
        "not_graded": "not graded",
        "median": "median",
        "mean": "mean",
        "spread": "± {sd}",
        "of": "of {maximum} points",
        "reliability": "reliability",
        "reliability_is": "Cronbach's α",
        "to_grade": "written answers to grade",
        "alike_count": "look alike",
        "scores": "Scores",
        "scores_axis": "points from tests",
        "students_axis": "students",
        "median_label": "median",
        "scores_alt": "Histogram of the points of {n} students; the median is {median} of {maximum}.",
        "exercises": "Exercises",
        "exercise": "exercise",
        "mean_points": "mean points",
        "maximum": "of",
        "how_it_went": "how it went",
        "solved": "solved",
        "partly": "partly",
        "nothing": "tried, no points",
        "not_attempted": "not attempted",
        "tests": "Tests",
        "tests_means": "Difficulty: the share of those who attempted the exercise and passed the test. "
        "Discrimination: over the same students, the correlation between passing the test and the points earned in all "
        "other tests of the unit (item-rest correlation). A test that separates well has a high one; near zero it says "
        "nothing about a student, below zero it is passed more often by those who do badly elsewhere. "
        "No value for fewer than {fewest} students, or where all did alike. The hardest first; "
        "a click on a head sorts.",
        "tests_alt": "Difficulty and discrimination of {n} tests; {marked} deserve a look.",
        "all_passed": "Every test was passed by everyone who attempted its exercise.",
        "no_tests": "No exercise was attempted.",
        "test": "what is tested",
        "passed": "passed",
        "share": "difficulty",
        "discrimination": "discrimination",
        "share_axis": "difficulty: share who passed",
        "discrimination_axis": "discrimination",
        "separates": "below this a test hardly separates",
        "suspect": "◆ does not separate",
        "unpassed": "◆ nobody passed",
        "hidden": "hidden",
        "visible": "visible",
        "mistakes": "Mistakes seen",
        "mistakes_means": "Recognised by behaviour: on every call the student's function gives what the mistake gives. "
        "The share is of those whose answer to the exercise was wrong.",
        "no_mistakes": "No known mistake was recognised.",
        "mistake": "mistake",
        "seen": "seen",
        "who": "students",
        "and_more": "and {n} more",
        "alike": "Submissions that look alike",
        "alike_means": "By the structure of the code: names, comments and numbers do not count; what was handed out, "
        "the course's solution and the known mistakes are removed; a solution that many arrive at counts for nothing. "
        "Shown are students more alike than any two would be if the class's answers were dealt out at random. It is a "
        "reason to read both, never a verdict: people who learn together write alike.",
        "none_alike": "No submissions are more alike than chance gives.",
        "alike_students": "students",
        "alike_in": "alike in",
        "alike_bits": "how telling",
        "bits": "{n} bits",
        "same_file": "the same file",
        "time": "Time per exercise",
        "time_means": "Seconds of computing to run the answer and all its tests, over those who attempted it: "
        "the dot is the median, the thick bar reaches to the ninth of ten, the thin line from the fastest to the "
        "slowest. It shows slow answers, not how long a student worked.",
        "time_alt": "Seconds per exercise for {n} exercises.",
        "time_axis": "seconds, logarithmic",
        "ninth": "9 of 10 below",
        "longest": "longest",
        "students": "Students",
        "find": "Find",
        "student": "student",
        "points": "points",
        "written": "written",
        "total": "total",
        "seconds": "seconds",
        "notes": "notes",
        "human": "What needs a person",
        "nothing_human": "Nothing is waiting.",
        "written_waiting": "Written answers that wait for a grade in formgrader: {n}.",
        "again": "Answers that changed after a person had graded them: {n}. Look at the grade again in formgrader.",
        "ungraded": "Not graded: a failure to examine, never a zero. A score that the gradebook has from an earlier "
        "submission stays as it was.",
        "tests_to_look_at": "Tests that do not tell those who know from those who do not, or that nobody passed: {n}. "
        "Read the test and some of the answers.",
        "alike_to_look_at": "Groups of submissions that look alike: {n}. Read them side by side.",
        "repairs_to_look_at": "Repaired in a way that someone should look at:",
        "ended_kernel": "Ended their own kernel or used up its memory:",
        "none_graded": "No submission has been graded yet.",
        "repaired": "repaired: {what}",
        "ended": "calls that {how}: {n}",
        "late": "late: −{points} points",
        "attempt": "attempt {number} of {of}",
        "timeout": "took too long",
        "kernel_died": "ended the kernel",
        "memory": "used too much memory",
        "footer": "Tests {tests} · made from the verdicts in verdicts/ and the gradebook by: course report",
    },
    "zh": {
        "report": "班级报告",
        "class_page": "本班全部单元",
        "overview": "{students} 名学生，{submissions} 份提交",
        "isolation": "学生代码的检验环境：{how}。",
        "isolation_warning": "评分时使用了 --no-sandbox：学生代码以评分者账户的权限运行。"
        "启用沙箱的办法见 `course doctor`。",
        "units": "单元",
        "unit": "单元",
        "submissions": "份提交",
        "graded": "已评分",
        "not_graded": "未评分",
        "median": "中位数",
        "mean": "平均",
        "spread": "± {sd}",
        "of": "满分 {maximum} 分",
        "reliability": "信度",
        "reliability_is": "克隆巴赫 α",
        "to_grade": "份书面回答待评",
        "alike_count": "雷同",
        "scores": "成绩分布",
        "scores_axis": "测试得分",
        "students_axis": "人数",
        "median_label": "中位数",
        "scores_alt": "{n} 名学生得分的直方图；中位数为 {median}，满分 {maximum}。",
        "exercises": "练习",
        "exercise": "练习",
        "mean_points": "平均分",
        "maximum": "满分",
        "how_it_went": "完成情况",
        "solved": "全部通过",
        "partly": "部分得分",
        "nothing": "作答但未得分",
        "not_attempted": "未作答",
        "tests": "测试",
        "tests_means": "难度：作答该练习的学生中通过该测试的比例。"
        "区分度：在同一批学生中，是否通过该测试与其余全部测试得分之间的相关（item-rest correlation）。"
        "区分度高，说明测试能区分掌握与否；接近零，则几乎不反映学生水平；低于零，则其他部分做得差的学生反而更常通过。"
        "不足 {fewest} 人或结果全部相同时不给出数值。最难的在前，点击表头可重新排序。",
        "tests_alt": "{n} 项测试的难度与区分度；其中 {marked} 项值得查看。",
        "all_passed": "凡作答者均通过了全部测试。",
        "no_tests": "没有人作答。",
        "test": "检验内容",
        "passed": "通过",
        "share": "难度",
        "discrimination": "区分度",
        "share_axis": "难度：通过比例",
        "discrimination_axis": "区分度",
        "separates": "低于此线，几乎没有区分作用",
        "suspect": "◆ 没有区分作用",
        "unpassed": "◆ 无人通过",
        "hidden": "隐藏",
        "visible": "可见",
        "mistakes": "出现的错误",
        "mistakes_means": "依行为识别：学生的函数在每次调用中都与该错误的结果一致。比例的分母是该练习答错的人数。",
        "no_mistakes": "未识别到已知错误。",
        "mistake": "错误",
        "seen": "次数",
        "who": "学生",
        "and_more": "另有 {n} 人",
        "alike": "相似的提交",
        "alike_means": "依代码结构比较：变量名、注释和数值不计；下发的代码、课程答案和已知错误先行去除；"
        "许多人都会写出的解法不计分量。这里列出的学生，彼此相似的程度超过了把全班答案随机重新分配时最相似的两人。"
        "这只是请人并排阅读的理由，不是结论：一起学习的人写法自然相近。",
        "none_alike": "没有任何提交的相似程度超出偶然。",
        "alike_students": "学生",
        "alike_in": "相似之处",
        "alike_bits": "证据强度",
        "bits": "{n} 比特",
        "same_file": "同一份文件",
        "time": "各练习用时",
        "time_means": "运行答案及其全部测试所用的计算时间（秒），只计作答者："
        "圆点为中位数，粗条延伸到第九成，细线由最快到最慢。它反映答案运行得慢，不反映学生花了多久。",
        "time_alt": "{n} 道练习的用时（秒）。",
        "time_axis": "秒（对数刻度）",
        "ninth": "九成低于",
        "longest": "最长",
        "students": "学生",
        "find": "查找",
        "student": "学生",
        "points": "测试分",
        "written": "书面分",
        "total": "总分",
        "seconds": "秒",
        "notes": "备注",
        "human": "需要人工处理",
        "nothing_human": "没有待处理事项。",
        "written_waiting": "{n} 份书面回答等待在 formgrader 中评分。",
        "again": "{n} 份回答在人工评分之后有改动，请在 formgrader 中复核。",
        "ungraded": "未评分：检验未能进行，绝不是零分。成绩册中先前提交的分数保持不变。",
        "tests_to_look_at": "{n} 项测试不能区分掌握与否，或无人通过：请查看测试本身和几份答案。",
        "alike_to_look_at": "{n} 组提交彼此相似：请并排阅读。",
        "repairs_to_look_at": "下列修复需要有人看一眼：",
        "ended_kernel": "使自己的内核终止或内存耗尽：",
        "none_graded": "尚无已评分的提交。",
        "repaired": "已修复：{what}",
        "ended": "{how}的调用：{n}",
        "late": "迟交：−{points} 分",
        "attempt": "第 {number} 次提交，共 {of} 次",
        "timeout": "超时",
        "kernel_died": "导致内核终止",
        "memory": "内存超限",
        "footer": "测试 {tests} · 由 verdicts/ 中的判定与成绩册生成：course report",
    },
}


@dataclass(frozen=True)
class Graded:
    """A verdict, what a person gave for the written question, and what else is known of the submission.

    `answers` is the source of each exercise's cell; `penalty` what was taken off for being late; `attempt` which
    attempt of how many is in force.
    """

    verdict: Verdict
    written: Marked | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    penalty: float = 0.0
    attempt: tuple[int, int] = (1, 1)

    @property
    def graded(self) -> bool:
        """Whether it has points."""
        return self.verdict["status"] == "graded"

    @property
    def total(self) -> float | None:
        """Points with those a person gave and without the penalty; None while a person has not graded."""
        if self.written is None:
            return max(0.0, self.verdict["points"] - self.penalty)
        if self.written.points is None:
            return None
        return max(0.0, self.verdict["points"] + self.written.points - self.penalty)


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


# --------------------------------------------------------------------------------------------------------------------
# A unit


@dataclass(frozen=True)
class UnitReport:
    """What is known of one unit of a class; both pages are made from it."""

    unit: str
    found: Sequence[Graded]
    alike: Sequence[Alike]

    @classmethod
    def of(cls, unit: str, found: Sequence[Graded]) -> UnitReport:
        """Compare the submissions of a unit with each other."""
        attempted = {item.verdict["student"]: _attempted(item) for item in found if item.graded}
        digests = {item.verdict["student"]: item.verdict["submission"] for item in found if item.graded}
        return cls(unit, found, likeness.find_alike(attempted, likeness.known_code(unit), digests=digests))

    @property
    def graded(self) -> list[Graded]:
        """Those with points."""
        return [item for item in self.found if item.graded]

    @property
    def verdicts(self) -> list[Verdict]:
        """Their verdicts."""
        return [item.verdict for item in self.graded]

    @property
    def not_graded(self) -> list[Verdict]:
        """What we failed to examine."""
        return [item.verdict for item in self.found if not item.graded]

    @property
    def points(self) -> list[float]:
        """Points from tests."""
        return [item.verdict["points"] for item in self.graded]

    @property
    def maximum(self) -> float:
        """Full marks from tests."""
        return max((item.verdict["max_points"] for item in self.graded), default=0)

    @property
    def waiting(self) -> list[str]:
        """Students whose written answer nobody has graded."""
        return [item.verdict["student"] for item in self.graded if item.written and item.written.points is None]

    @property
    def again(self) -> list[str]:
        """Students whose answer changed after a person had graded it."""
        return [item.verdict["student"] for item in self.graded if item.written and item.written.again]

    def dubious(self, items: Sequence[Item]) -> list[Item]:
        """Tests that deserve a look."""
        return [item for item in items if item.suspect or item.unpassed]

    def summary(self) -> dict[str, Any]:
        """The figures at the head of a page."""
        points = self.points
        return {
            "n": len(self.found),
            "n_graded": len(points),
            "not_graded": len(self.not_graded),
            "median": charts.median(points) if points else None,
            "mean": sum(points) / len(points) if points else None,
            "sd": statistics.spread(points) if len(points) > 1 else None,
            "maximum": self.maximum,
            "waiting": len(self.waiting),
            "again": len(self.again),
            "reliability": statistics.reliability(self.verdicts),
            "alike": len(self.alike),
        }


def _attempted(item: Graded) -> dict[str, str]:
    tried = {part["name"] for part in item.verdict["exercises"] if part["status"] != "not_attempted"}
    return {name: source for name, source in item.answers.items() if name in tried}


def unit_page(
    name: str,
    language: str,
    report: UnitReport,
    *,
    names: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
    class_link: str = "",
    n_students: int | None = None,
) -> str:
    """The report on one unit of a class as one self-contained HTML page.

    Parameters
    ----------
    name : of the class
    language : of the page
    report : what is known of the unit
    names : of students, by id
    links : relative addresses of feedback pages, by student
    class_link : relative address of the class's page
    n_students : of the roster; by default those who handed something in
    """
    words, unit = WORDS[language], report.unit
    names, links = names or {}, links or {}
    only = report.verdicts
    items = [item for item in statistics.items(only) if item.attempted]
    times = statistics.exercise_times(only)
    titles = pages.exercise_titles(unit, language)
    numbers = {row["name"]: number for number, row in enumerate(tally_exercises(only), start=1)}
    students = max(n_students or 0, len({item.verdict["student"] for item in report.found}))
    return pages.render(
        "report_unit.html.j2",
        name=name,
        language=language,
        words=words,
        unit=unit,
        title=pages.unit_title(unit, language),
        titles=titles,
        numbers=numbers,
        class_link=class_link,
        overview=words["overview"].format(students=students, submissions=len(report.found)),
        **_isolation([item.verdict for item in report.found], language),
        summary=report.summary(),
        todo=_todo(report, items, words, names),
        chart=_histogram(report.points, report.maximum, words),
        exercises=[_exercise_row(row, words) for row in tally_exercises(only)],
        tests=sorted(
            (_test_row(number, item, words) for number, item in enumerate(items, start=1)),
            key=lambda row: (row["item"].share, row["number"]),
        ),
        tests_means=words["tests_means"].format(fewest=statistics.FEWEST),
        scatter=_scatter(items, words),
        mistakes=[
            {**row, "text": row["text"][language], "share": pages.percent(len(row["students"]), row["of"])}
            for row in statistics.tally_mistakes(only)
        ],
        alike=report.alike,
        times=times,
        time_chart=_time_chart(times, titles, numbers, words),
        students=[_student_row(item, language, names, links) for item in _in_order(report.graded)],
        links=links,
        most=MOST_NAMES,
        tests_digest=", ".join(sorted({found["tests"][:12] for found in only})),
        look_at=[_repairs_row(item, language) for item in _in_order(report.graded) if _doubtful(item)],
        ended=[item.verdict["student"] for item in report.graded if _ended_kernel(item)],
    )


def _in_order(graded: Sequence[Graded]) -> list[Graded]:
    return sorted(graded, key=lambda item: (-item.verdict["points"], item.verdict["student"]))


def _isolation(found: Sequence[Verdict], language: str) -> dict[str, Any]:
    isolations = sorted({item["isolation"] for item in found if item["status"] == "graded"})
    return {
        "isolations": [feedback.ISOLATION.get(text, {}).get(language, text) for text in isolations],
        "unprotected": verdicts.NOT_ISOLATED in isolations,
    }


def _todo(
    report: UnitReport, items: Sequence[Item], words: Mapping[str, str], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """What needs a person, the most pressing first: a sentence, and whom or what it is about."""
    todo: list[dict[str, Any]] = []
    if report.not_graded:
        rows = [
            {"student": item["student"], "name": names.get(item["student"], ""), "text": item["reason"]}
            for item in report.not_graded
        ]
        todo.append({"kind": "not_graded", "text": words["ungraded"], "rows": rows, "students": []})
    for kind, students in (("again", report.again), ("written_waiting", report.waiting)):
        if students:
            text = words[kind].format(n=len(students))
            todo.append({"kind": kind, "text": text, "rows": [], "students": students})
    if report.alike:
        text = words["alike_to_look_at"].format(n=len(report.alike))
        todo.append({"kind": "alike", "text": text, "rows": [], "students": [], "link": "#alike"})
    dubious = report.dubious(items)
    if dubious:
        text = words["tests_to_look_at"].format(n=len(dubious))
        todo.append({"kind": "tests", "text": text, "rows": [], "students": [], "link": "#tests"})
    return todo


def _doubtful(item: Graded) -> bool:
    return any(text.partition(":")[0] in _DOUBTFUL_REPAIRS for text in item.verdict["repairs"])


def _repairs_row(item: Graded, language: str) -> dict[str, str]:
    doubtful = [text for text in item.verdict["repairs"] if text.partition(":")[0] in _DOUBTFUL_REPAIRS]
    return {
        "student": item.verdict["student"],
        "text": " ".join(describe_repair(text, language) for text in doubtful),
    }


def _ended_kernel(item: Graded) -> bool:
    tests = [test["status"] for part in item.verdict["exercises"] for test in part["tests"]]
    cells = [cell["status"] for cell in item.verdict["cells"]]
    return any(status in ("kernel_died", "memory") for status in (*tests, *cells))


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
    return {**row, "mean": sum(row["points"]) / n, "bar": bar, "told": told, "solved": row["went"]["solved"] / n}


def _test_row(number: int, item: Item, words: Mapping[str, str]) -> dict[str, Any]:
    share = pages.percent(item.share)
    mark = words["unpassed"] if item.unpassed else words["suspect"] if item.suspect else ""
    return {
        "number": number,
        "item": item,
        "share": share,
        "bar": charts.share_bar([(item.share, "blue", share)], title=share),
        "mark": mark,
        "visible": item.id.startswith("visible/"),
    }


def _scatter(items: Sequence[Item], words: Mapping[str, str]) -> Markup | None:
    dots = [
        charts.Dot(
            item.share,
            item.discrimination,
            f"{number}. {item.id}: {pages.percent(item.share)}, {item.discrimination:.2f}",
            str(number),
            marked=item.suspect,
        )
        for number, item in enumerate(items, start=1)
        if item.discrimination is not None
    ]
    if not dots:
        return None
    return charts.scatter(
        dots,
        title=words["tests_alt"].format(n=len(dots), marked=sum(dot.marked for dot in dots)),
        x_label=words["share_axis"],
        y_label=words["discrimination_axis"],
        low_y=statistics.LOW,
        line=words["separates"],
    )


def _time_chart(
    times: Sequence[statistics.Times], titles: Mapping[str, str], numbers: Mapping[str, int], words: Mapping[str, str]
) -> Markup | None:
    if not times:
        return None
    ranges = [
        charts.Range(
            f"{numbers[item.name]}. {titles.get(item.name, item.name)}",
            min(item.seconds),
            item.median,
            item.high,
            item.longest,
        )
        for item in times
    ]
    return charts.time_ranges(ranges, title=words["time_alt"].format(n=len(ranges)), x_label=words["time_axis"])


def _student_row(item: Graded, language: str, names: Mapping[str, str], links: Mapping[str, str]) -> dict[str, Any]:
    words, found = WORDS[language], item.verdict
    notes = []
    ended = Counter(test["status"] for exercise in found["exercises"] for test in exercise["tests"])
    for status in ("timeout", "memory", "kernel_died"):
        if ended[status]:
            notes.append(words["ended"].format(how=words[status], n=ended[status]))
    if item.penalty:
        notes.append(words["late"].format(points=pages.number(item.penalty)))
    if item.attempt[1] > 1:
        notes.append(words["attempt"].format(number=item.attempt[0], of=item.attempt[1]))
    if found["repairs"]:
        what = " ".join(describe_repair(repair, language) for repair in found["repairs"])
        notes.append(words["repaired"].format(what=what))
    return {
        "verdict": found,
        "name": names.get(found["student"], ""),
        "written": item.written,
        "total": item.total,
        "exercises": [
            {"points": part["points"], "went": _went(part), "status": part["status"]} for part in found["exercises"]
        ],
        "notes": notes,
        "link": links.get(found["student"]),
    }


# --------------------------------------------------------------------------------------------------------------------
# A class


def class_page(
    name: str,
    language: str,
    reports: Sequence[UnitReport],
    *,
    names: Mapping[str, str] | None = None,
    n_students: int | None = None,
    links: Mapping[str, str] | None = None,
) -> str:
    """The page on a class: its units side by side, what needs a person in each, and every student's points.

    Parameters
    ----------
    name : of the class
    language : of the page
    reports : of the units, in teaching order
    names : of students, by id
    n_students : of the roster; by default those who handed something in
    links : relative addresses of the units' pages
    """
    words, names = WORDS[language], names or {}
    all_verdicts = [item.verdict for report in reports for item in report.found]
    students = sorted({found["student"] for found in all_verdicts} | set(names))
    by_student = {(item.verdict["student"], report.unit): item for report in reports for item in report.found}
    units = [
        {
            "unit": report.unit,
            "title": pages.unit_title(report.unit, language),
            "link": (links or {}).get(report.unit, ""),
            "summary": report.summary(),
            "todo": _todo(report, statistics.items(report.verdicts), words, names),
        }
        for report in reports
    ]
    return pages.render(
        "report_class.html.j2",
        name=name,
        language=language,
        words=words,
        overview=words["overview"].format(students=max(n_students or 0, len(students)), submissions=len(all_verdicts)),
        **_isolation(all_verdicts, language),
        units=units,
        students=[
            _points_row(student, names.get(student, ""), [by_student.get((student, report.unit)) for report in reports])
            for student in students
        ],
        most=MOST_NAMES,
    )


def _points_row(student: str, name: str, items: Sequence[Graded | None]) -> dict[str, Any]:
    cells = [
        {
            "points": None if item is None or not item.graded else item.verdict["points"],
            "max_points": item.verdict["max_points"] if item else 0,
            "handed_in": item is not None,
            "total": item.total if item is not None and item.graded else None,
        }
        for item in items
    ]
    return {
        "student": student,
        "name": name,
        "cells": cells,
        "points": sum(cell["points"] or 0 for cell in cells),
        "any": any(cell["points"] is not None for cell in cells),
    }


# --------------------------------------------------------------------------------------------------------------------
# Files


def read_verdicts(classroom: Classroom, units: Sequence[str] | None = None) -> list[Verdict]:
    """The verdicts in force, by student and unit."""
    found = [verdicts.read(file) for file in sorted(classroom.verdicts.glob("*/*.json"))]
    return [item for item in found if units is None or item["unit"] in units]


def verdict_file(classroom: Classroom, student: str, unit: str) -> Path:
    """Where the verdict in force on a submission is."""
    return classroom.verdicts / student / f"{unit}.json"


def read_answers(classroom: Classroom, verdict: Verdict) -> dict[str, str]:
    """The source of each exercise's cell as it was graded; empty where the notebook is gone."""
    student, unit = verdict["student"], verdict["unit"]
    try:
        notebook = json.loads((classroom.autograded / student / unit / f"{unit}.ipynb").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    wanted = {exercise["name"] for exercise in verdict["exercises"]}
    answers = {}
    for cell in notebook["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if grade_id in wanted:
            answers[grade_id] = "".join(cell["source"])
    return answers


def read_class(classroom: Classroom) -> dict[str, list[Graded]]:
    """All that is known of a class's submissions, by unit.

    Raises
    ------
    CourseError : nothing has been graded, or a verdict's file is damaged
    """
    try:
        found = read_verdicts(classroom)
    except verdicts.VerdictError as error:
        raise CourseError(
            f"a verdict can't be read: {error}; grade again with: course grade {classroom.folder}"
        ) from None
    if not found:
        raise CourseError(
            f"nothing has been graded in {classroom.folder} yet; grade with: course grade {classroom.folder}"
        )
    units: dict[str, list[Graded]] = {}
    for item in found:
        units.setdefault(item["unit"], []).append(Graded(item))
    with open_gradebook(classroom) as gradebook:
        for unit, items in units.items():
            units[unit] = _with_what_people_gave(classroom, gradebook, unit, items)
    return dict(sorted(units.items()))


def _with_what_people_gave(
    classroom: Classroom, gradebook: ClassGradebook, unit: str, items: Sequence[Graded]
) -> list[Graded]:
    names = {item.verdict["written"]["name"] for item in items if item.graded and item.verdict["written"]}
    written = {name: gradebook.written_of_all(unit, name) for name in names}
    penalties = gradebook.penalties(unit)
    return [
        Graded(
            item.verdict,
            _written_of(item.verdict, written),
            read_answers(classroom, item.verdict),
            penalties.get(item.verdict["student"], 0.0),
            attempts.counted(classroom, item.verdict["student"], unit),
        )
        if item.graded
        else item
        for item in items
    ]


def _written_of(verdict: Verdict, written: Mapping[str, Mapping[str, Marked]]) -> Marked | None:
    question = verdict["written"]
    if not question:
        return None
    return written[question["name"]].get(verdict["student"], Marked(None, question["max_points"], ""))


def write(classroom: Classroom, *, units: Sequence[str] | None = None, language: str | None = None) -> Path:
    """Write the class's pages from what is known now; returns the class's page, or that of the only unit asked for.

    Raises
    ------
    CourseError : nothing has been graded, or a verdict's file is damaged
    """
    chosen = None if units is None else [paths.find_unit(unit) for unit in units]
    language = language or classroom.language
    known = read_class(classroom)
    missing = [unit for unit in chosen or () if unit not in known]
    if missing:
        raise CourseError(f"nothing of {', '.join(missing)} has been graded in {classroom.folder} yet")
    names = {student.id: student.name for student in classroom.roster.values()}
    reports = [UnitReport.of(unit, found) for unit, found in known.items()]
    for report in reports:
        if chosen is None or report.unit in chosen:
            file = classroom.unit_report(report.unit)
            html = unit_page(
                classroom.name,
                language,
                report,
                names=names,
                links=_feedback_links(classroom, report, file.parent),
                class_link=_relative(classroom.report, file.parent),
                n_students=len(classroom.roster),
            )
            write_text(file, html)
    links = {report.unit: _relative(classroom.unit_report(report.unit), classroom.folder) for report in reports}
    html = class_page(classroom.name, language, reports, names=names, n_students=len(classroom.roster), links=links)
    write_text(classroom.report, html)
    return classroom.unit_report(chosen[0]) if chosen is not None and len(chosen) == 1 else classroom.report


def _feedback_links(classroom: Classroom, report: UnitReport, folder: Path) -> dict[str, str]:
    students = [item.verdict["student"] for item in report.found]
    files = {student: feedback.path(classroom, student, report.unit) for student in students}
    return {student: _relative(file, folder) for student, file in files.items() if file.is_file()}


def _relative(file: Path, folder: Path) -> str:
    return os.path.relpath(file, folder).replace(os.sep, "/")
