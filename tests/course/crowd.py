"""A class of synthetic students: verdicts drawn from a model of ability, and answers of honest variety with copies.

Each student has an ability, each test a difficulty; a test is passed by chance that grows with their difference, but
for `broken`, which is passed the more often the less a student knows. Answers are drawn slot by slot from alternatives
that people really write, so that honest students coincide as they do in life.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from typing import Any

from course.grading import verdict as verdicts
from course.grading.report import Graded

from .samples import a_test, a_verdict, an_exercise

N_EXERCISES = 7
BROKEN = "hidden/test_broken"
_SLOTS = (
    (
        "x = np.asarray(values, dtype=float)",
        "x = np.array(values)",
        "x = values.to_numpy()",
        "x = pd.DataFrame(values)",
    ),
    (
        "m = np.nanmedian(x, axis=0)",
        "m = np.median(x, axis=0)",
        "m = np.array([np.median(c) for c in x.T])",
        "m = np.percentile(x, 50, axis=0)",
    ),
    ("d = np.abs(x - m)", "d = abs(x - m)", "d = np.where(x > m, x - m, m - x)", "d = np.sqrt((x - m) ** 2)"),
    (
        "if np.any(np.isnan(d)):\n        raise ValueError('missing')",
        "if np.isnan(d).sum() > 0:\n        raise ValueError('nan')",
        "for row in d:\n        if np.isnan(row).any():\n            raise ValueError('bad')",
        "assert not np.isnan(d).any()",
    ),
    (
        "s = np.median(d, axis=0) * 1.4826",
        "s = 1.4826 * np.nanmedian(d, axis=0)",
        "s = stats.median_abs_deviation(x, axis=0, scale='normal')",
        "s = np.sort(d, axis=0)[len(d) // 2] * 1.48",
    ),
    (
        "s[s == 0] = 1",
        "s = np.where(s == 0, 1, s)",
        "s = np.maximum(s, 1e-12)",
        "for j in range(len(s)):\n        if s[j] == 0:\n            s[j] = 1",
    ),
    (
        "return d / s",
        "out = d / s\n    return out",
        "return np.divide(d, s)",
        "result = []\n    for i in range(len(d)):\n        result.append(d[i] / s)\n    return np.array(result)",
    ),
)
_POPULAR = ((0.55, 0.25, 0.12, 0.08), (0.3, 0.15, 0.3, 0.25))  # two ways to program: with arrays, with loops


def exercise_names() -> list[str]:
    """The exercises of the synthetic unit."""
    return [f"step_{number}" for number in range(1, N_EXERCISES + 1)]


def usual_answer(name: str) -> str:
    """What the course itself would write."""
    return _function(name, [slot[0] for slot in _slots(name)])


def an_answer(name: str, rng: random.Random, style: int = 0) -> str:
    """An honest student's answer: each slot filled on its own, sometimes a line more."""
    lines = [rng.choices(slot, _POPULAR[style])[0] for slot in _slots(name)]
    if rng.random() < 0.15:
        lines.insert(rng.randrange(len(lines)), rng.choice(["print(values)", "assert len(values)", "k = len(values)"]))
    return _function(name, lines)


def _slots(name: str) -> list[tuple[str, ...]]:
    first = int(name.rpartition("_")[2])
    return [_SLOTS[(first + place) % len(_SLOTS)] for place in range(3 + first % 5)]


def _function(name: str, lines: list[str]) -> str:
    return f"def {name}(values, x, m, d, s):\n    " + "\n    ".join(lines)


def disguised(source: str) -> str:
    """A copy as people make it: other names, other numbers, a comment."""
    renamed = re.sub(r"(?<!\.)\bvalues\b", "vals", re.sub(r"\bd\b", "dev", source))
    return "# my own work\n" + renamed.replace("1.4826", "1.483")


def answers(n: int, seed: int) -> dict[str, dict[str, str]]:
    """Honest answers of n students to every exercise."""
    rng = random.Random(seed)
    return {
        f"s{number:04}": {name: an_answer(name, rng, style) for name in exercise_names()}
        for number in range(n)
        for style in [int(rng.random() < 0.3)]
    }


def copied(found: dict[str, dict[str, str]], pairs: int, seed: int) -> list[tuple[str, str]]:
    """Let some hand in the disguised work of others, one exercise done by themselves; returns whose and who."""
    rng = random.Random(seed)
    chosen = rng.sample(sorted(found), 2 * pairs)
    made = list(zip(chosen[::2], chosen[1::2], strict=True))
    for source, copy in made:
        own = rng.choice(exercise_names())
        found[copy] = {
            name: an_answer(name, rng) if name == own else disguised(text) for name, text in found[source].items()
        }
    return made


def crowd(n: int, seed: int = 0, pattern: Mapping[str, Any] | None = None, pairs: int = 2) -> list[Graded]:
    """A class of n verdicts with answers.

    Parameters
    ----------
    pattern : a verdict whose unit, exercises and tests to use; by default a synthetic unit
    pairs : how many of them copied
    """
    rng = random.Random(seed)
    pattern = pattern or _pattern()
    wrote = answers(n, seed)
    copied(wrote, pairs, seed)
    difficulty = {test["id"]: rng.gauss(-0.7, 1.0) for part in pattern["exercises"] for test in part["tests"]}
    found = []
    for student in wrote:
        ability, persistence = rng.gauss(0, 1.2), rng.random()
        parts = []
        for place, part in enumerate(pattern["exercises"]):
            tried = persistence > 0.06 * place
            tests = [_drawn(test, ability, difficulty[test["id"]], tried, rng) for test in part["tests"]]
            wrong = any(test["status"] == "failed" for test in tests) and rng.random() < 0.3
            mistake = {"name": "divides_by_zero", "en": "You divided by zero.", "zh": "你除以了零。"} if wrong else None
            parts.append({**an_exercise(part["name"], tests, mistake), "max_points": part["max_points"]})
        names = [part["name"] for part in pattern["exercises"]]
        verdict = a_verdict(
            parts,
            student=student,
            unit=pattern["unit"],
            submission=f"{int(student[1:]):064x}",
            seconds=rng.lognormvariate(1.5, 0.3),
            cells=[{"id": name, "status": "ok", "seconds": 0.01, "message": ""} for name in names],
            written=None,
        )
        renamed = dict(zip(exercise_names(), names, strict=False))
        found.append(Graded(verdict, None, {renamed[name]: text for name, text in wrote[student].items()}))
    return found


def _pattern() -> verdicts.Verdict:
    parts = [an_exercise(name, [a_test(f"{name}_{letter}") for letter in "abc"]) for name in exercise_names()]
    parts[-1]["tests"].append(a_test("broken"))
    parts[-1] = an_exercise(parts[-1]["name"], parts[-1]["tests"])
    return a_verdict(parts)


def _drawn(
    test: Mapping[str, Any], ability: float, difficulty: float, tried: bool, rng: random.Random
) -> dict[str, Any]:
    logit = -1.5 * ability if test["id"] == BROKEN else 1.7 * (ability - difficulty)
    passed = rng.random() < 1 / (1 + math.exp(-logit))
    status = "not_attempted" if not tried else "passed" if passed else rng.choices(["failed", "timeout"], [19, 1])[0]
    points = test["max_points"] if status == "passed" else 0
    return {**test, "status": status, "points": points, "seconds": rng.lognormvariate(-3, 0.8)}
