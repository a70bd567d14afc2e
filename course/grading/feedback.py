"""The page a student reads: what each answer earned, what to look at, and nothing of how it was tested.

It is made from the verdict, never from the executed notebook: a failed test is told by the property that it names, a
recognised mistake by its explanation. Everything that came from a student is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course.grading import pages
from course.grading.classroom import Classroom, write_text
from course.grading.gradebook import Marked
from course.grading.intake import describe_repair
from course.grading.verdict import Verdict

LONGEST_MESSAGE = 600  # letters of an error message that a page shows

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "points": "points",
        "exercises": "Exercises",
        "visible": "visible check",
        "hidden": "hidden test",
        "all_passed": "All {n} tests passed.",
        "mistake": "What happened:",
        "not_attempted": "There was no answer yet, so nothing could be examined.",
        "written": "Written question",
        "by_person": "A person reads and grades your answer; its points are added then.",
        "by_person_done": "Graded by a person.",
        "no_answer": "The answer cell was left as it was.",
        "comment": "Comment:",
        "pending": "Not final yet: the written question ({points} points) has not been graded.",
        "cells": "Cells that did not run through",
        "cells_means": "These cells of your notebook stopped early when it was run from top to bottom "
        "in a fresh kernel. The cells after them were run all the same.",
        "cell": "Cell {number}",
        "colon": ": ",
        "repairs": "What was repaired",
        "repairs_mean": "Your notebook was not quite as it was handed out. This cost no points:",
        "not_graded": "Not graded:",
        "not_graded_means": "This is not a zero: please talk to your instructor or hand in again.",
        "how": "How this was graded",
        "how_means": "Your notebook was run from top to bottom. Your functions were then called with inputs that are "
        "drawn for your class, and each test earned its points if the property it names held. Nothing that a notebook "
        "prints decides a score.",
        "footer": "Submission {submission} · tests {tests} · examined {isolation}",
    },
    "zh": {
        "points": "分",
        "exercises": "练习",
        "visible": "可见检查",
        "hidden": "隐藏测试",
        "all_passed": "{n} 项测试全部通过。",
        "mistake": "问题所在：",
        "not_attempted": "尚未作答，因此无从检验。",
        "written": "书面问题",
        "by_person": "由教师阅读并评分，之后计入总分。",
        "by_person_done": "已由教师评分。",
        "no_answer": "答案单元格未作改动。",
        "comment": "评语：",
        "pending": "成绩尚未最终确定：书面问题（{points} 分）还未评分。",
        "cells": "未能完整运行的单元格",
        "cells_means": "在全新内核中从头到尾运行时，下列单元格提前停止；其后的单元格照常运行。",
        "cell": "第 {number} 个单元格",
        "colon": "：",
        "repairs": "已修复之处",
        "repairs_mean": "你的笔记本与下发时略有出入，下列修复不扣分：",
        "not_graded": "未评分：",
        "not_graded_means": "这不是零分：请联系教师或重新提交。",
        "how": "评分方式",
        "how_means": "笔记本从头到尾运行一遍，然后以本班抽取的输入调用你的函数；某项测试所述的性质成立，即得该项分数。"
        "笔记本打印的任何内容都不影响得分。",
        "footer": "提交 {submission} · 测试 {tests} · 检验环境：{isolation}",
    },
}

ISOLATION = {
    "bubblewrap": {"en": "in a sandbox (bubblewrap)", "zh": "沙箱（bubblewrap）"},
    "landlock": {"en": "in a sandbox (Landlock)", "zh": "沙箱（Landlock）"},
    "not isolated": {"en": "without isolation", "zh": "未隔离"},
}


def page(
    verdict: Verdict,
    *,
    class_name: str = "",
    name: str = "",
    written: Marked | None = None,
    comments: Mapping[str, str] | None = None,
    cells: Sequence[Mapping[str, Any]] = (),
    reason: str | None = None,
) -> str:
    """The feedback on a submission as one self-contained HTML page, in the language of its notebook.

    Parameters
    ----------
    verdict : what the examination found
    class_name, name : of the class and of the student, where known
    written : what a person gave for the written question so far
    comments : what a person wrote beside the exercises
    cells : the cells that were examined, to say where a cell that raised stands
    reason : why it was not graded, in the page's language; by default the verdict's own words
    """
    language = verdict["language"]
    points, maximum = verdict["points"], verdict["max_points"]
    if written is not None:
        maximum += written.max_points
        points = None if points is None else points + (written.points or 0)
    return pages.render(
        "feedback.html.j2",
        verdict=verdict,
        language=language,
        words=WORDS[language],
        title=pages.unit_title(verdict["unit"], language),
        titles=pages.exercise_titles(verdict["unit"], language),
        class_name=class_name,
        name=name,
        written=written,
        pending=verdict["status"] == "graded" and written is not None and written.points is None,
        unanswered=written is not None and written.points == 0 and not written.comment,
        comments=dict(comments or {}),
        total=points,
        max_total=maximum,
        reason=reason or verdict["reason"],
        raised=_raised(verdict, cells, language),
        repairs=[describe_repair(repair, language) for repair in verdict["repairs"]],
        isolation=ISOLATION.get(verdict["isolation"], {}).get(language, verdict["isolation"]),
    )


def _raised(verdict: Verdict, cells: Sequence[Mapping[str, Any]], language: str) -> list[dict[str, Any]]:
    place = {cell["id"]: number for number, cell in enumerate(cells, start=1)}
    found = []
    for cell in verdict["cells"]:
        if cell["status"] in pages.CELL_STATUSES and not _is_open_exercise(cell):
            number = place.get(cell["id"])
            source = cells[number - 1]["source"] if number else ""
            lines = [line for line in str(source).splitlines() if line.strip()]
            found.append(
                {
                    "id": cell["id"],
                    "number": number,
                    "status": pages.CELL_STATUSES[cell["status"]][language],
                    "first_line": lines[0][:100] if lines else cell["id"],
                    "message": cell["message"][:LONGEST_MESSAGE],
                }
            )
    return found


def _is_open_exercise(cell: Mapping[str, Any]) -> bool:
    """A cell that still says NotImplementedError is told as "not attempted" already."""
    return cell["status"] == "error" and str(cell["message"]).startswith("NotImplementedError")


def write(classroom: Classroom, verdict: Verdict, html: str) -> Path:
    """Put a page where students' feedback is, in nbgrader's tree."""
    file = path(classroom, verdict["student"], verdict["unit"])
    write_text(file, html)
    return file


def path(classroom: Classroom, student: str, unit: str) -> Path:
    """Where the feedback on a submission is."""
    return classroom.feedback / student / unit / f"{unit}.html"
