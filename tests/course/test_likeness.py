"""Submissions that look alike: copies are found through their disguise, honest likeness is left alone."""

from __future__ import annotations

import random

import pytest

from course import paths
from course.grading.likeness import Alike, find_alike, fingerprints, known_code, structure

from .crowd import an_answer, answers, copied, disguised, exercise_names, usual_answer

KNOWN = {name: [usual_answer(name)] for name in exercise_names()}


def together(groups: list[Alike], pair: tuple[str, str]) -> bool:
    return any(set(pair) <= set(group.students) for group in groups)


def test_structure_does_not_see_what_is_chosen_freely() -> None:
    first = 'def f(x: int) -> int:\n    """Text."""\n    total = x + 1  # one\n    return total > 2\n'
    second = "def g(value):\n    other = value + 40\n    return 2 < other"
    assert structure(first) == structure(second)
    assert structure("x = a.mean()") != structure("x = a.median()")


def test_what_does_not_parse_is_read_as_far_as_it_goes() -> None:
    whole = "x = f(1)\ny = g(x)\n"
    assert structure(whole + "def broken(:\n    pass") == structure(whole)
    assert structure("\x00(") == []
    assert structure("%matplotlib inline\n" + whole) == structure(whole)


def test_deep_nesting_does_no_harm() -> None:
    assert fingerprints("x = " + "(" * 150 + "1" + ")" * 150)
    assert isinstance(fingerprints("x = " + "-" * 5000 + "1"), frozenset)


@pytest.mark.parametrize(("n", "seeds"), [(12, 20), (30, 15), (200, 3)])
def test_honest_classes_are_left_alone(n: int, seeds: int) -> None:
    flagged = sum(len(find_alike(answers(n, seed), KNOWN)) for seed in range(seeds))
    assert flagged <= max(1, seeds // 10)


@pytest.mark.parametrize(("n", "pairs", "seeds", "at_least"), [(30, 1, 10, 0.7), (200, 8, 2, 0.75)])
def test_disguised_copies_are_found(n: int, pairs: int, seeds: int, at_least: float) -> None:
    """Of copies with one exercise of seven done by oneself most are found, and no honest pair beside them."""
    found, wrong = 0, 0
    for seed in range(seeds):
        wrote = answers(n, seed)
        made = copied(wrote, pairs, seed)
        groups = find_alike(wrote, KNOWN)
        found += sum(together(groups, pair) for pair in made)
        wrong += sum(not any(set(pair) <= set(group.students) for pair in made) for group in groups)
    assert found >= at_least * pairs * seeds
    assert wrong <= 1


def test_common_solution_is_no_likeness_however_many_have_it() -> None:
    wrote = {f"s{number}": {name: usual_answer(name) for name in exercise_names()} for number in range(40)}
    assert find_alike(wrote, KNOWN) == []
    assert find_alike(wrote, {}) == []


def test_second_common_solution_of_a_fifth_of_the_class_is_none_either() -> None:
    rng = random.Random(5)
    second = {name: an_answer(name, rng, style=1) for name in exercise_names()}
    wrote = answers(60, 3)
    for student in sorted(wrote)[:12]:
        name = rng.choice(exercise_names())
        wrote[student] |= {name: second[name]}
    assert find_alike(wrote, KNOWN) == []


def test_a_ring_is_one_group() -> None:
    wrote = answers(60, 8)
    ring = sorted(wrote)[:4]
    for student in ring[1:]:
        wrote[student] = {name: disguised(text) for name, text in wrote[ring[0]].items()}
    groups = find_alike(wrote, KNOWN)
    assert groups[0].students == tuple(ring)


def test_a_long_passage_that_two_have_and_nobody_else_is_enough() -> None:
    wrote = answers(40, 6)
    lines = [
        f"    v{i} = np.{name}(x, axis={i % 2}) + x.{name}()" for i, name in enumerate(("sum", "mean", "std", "var"))
    ]
    lines += [f"    if v{i} > v{i + 1}:\n        v{i} = np.sort(v{i})[:{i}] - v{i + 1} ** 2 / len(x)" for i in range(3)]
    lines += [
        f"    w{i} = [np.hypot(a, b) for a, b in zip(v{i}, v{i + 1})]\n    print(max(w{i}), min(w{i}))"
        for i in range(3)
    ]
    passage = "def step_1(values, x, m, d, s):\n" + "\n".join(lines) + "\n    return np.concatenate([w0, w1, w2])"
    for student in sorted(wrote)[:2]:
        wrote[student]["step_1"] = passage
    [group] = find_alike(wrote, KNOWN)
    assert group.students == tuple(sorted(wrote)[:2])
    assert list(group.exercises) == ["step_1"]


def test_same_file_is_told_even_where_it_is_common_code() -> None:
    wrote = {f"s{number}": {"step_1": usual_answer("step_1")} for number in range(3)}
    [group] = find_alike(wrote, KNOWN, digests={"s0": "a", "s1": "b", "s2": "a"})
    assert group.students == ("s0", "s2")
    assert group.same_file


def test_nobody_attempted_anything() -> None:
    assert find_alike({}, {}) == []
    assert find_alike({"s1": {}, "s2": {}}, {}, digests={"s1": "a", "s2": "a"}) == []


def test_result_does_not_depend_on_the_order_of_students() -> None:
    wrote = answers(40, 2)
    copied(wrote, 2, 2)
    assert find_alike(wrote, KNOWN) == find_alike(dict(reversed(wrote.items())), KNOWN)


def test_known_code_of_a_unit_covers_its_solution_and_mistakes() -> None:
    unit = "03_robust_qc"
    known = known_code(unit)
    source = "\n".join(known[""])
    mistakes = paths.known_mistakes(unit).read_text(encoding="utf-8")
    assert "def " in source
    wrong = [line[4:].split("(")[0] for line in mistakes.splitlines() if line.startswith("def ")]
    assert wrong
    assert all(f"def {name}" in source for name in wrong)
