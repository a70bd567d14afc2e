"""Deadlines, late penalties and attempts: the rules as functions, and as class.toml writes them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course.errors import CourseError
from course.grading.classroom import Classroom, Student, read_roster, set_database, write_roster
from course.grading.deadlines import POLICIES, Attempt, LateRule, Rules, in_force

UNIT, OTHER = "03_robust_qc", "12_network_fusion"
DUE = datetime(2027, 3, 1, 12, tzinfo=UTC)

attempts = st.lists(
    st.tuples(
        st.none() | st.integers(0, 10).map(float),
        st.sampled_from([0.0, 60.0, 90000.0]),
        st.integers(0, 5).map(float),
    ),
    min_size=1,
    max_size=6,
).map(lambda found: [Attempt(i, None, late, points, penalty) for i, (points, late, penalty) in enumerate(found, 1)])


@given(attempts, st.sampled_from(POLICIES), st.randoms())
def test_choice_is_a_function_of_the_attempts_and_not_of_their_order(found, policy, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(found)
    random.shuffle(shuffled)
    assert in_force(shuffled, policy) == in_force(found, policy)
    assert in_force(found, policy) in found


@given(attempts)
def test_each_policy_keeps_its_promise(found: list[Attempt]) -> None:
    assert in_force(found, "last").number == len(found)
    before = in_force(found, "last_before_deadline")
    in_time = [attempt for attempt in found if attempt.seconds_late == 0]
    assert before == (in_time[-1] if in_time else found[-1])
    best = in_force(found, "best")
    for other in found:
        if other.points is not None:
            assert best.points is not None
            assert best.points - best.penalty >= other.points - other.penalty


def test_of_equally_good_attempts_the_first_counts() -> None:
    assert in_force([Attempt(1, points=5), Attempt(2, points=5)], "best").number == 1


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_to_choose_from_is_an_error(policy: str) -> None:
    with pytest.raises(ValueError, match="no attempt"):
        in_force([], policy)


@given(st.floats(0, 100), st.floats(0, 30 * 86400), st.floats(0, 1), st.floats(0, 1))
def test_penalty_is_between_nothing_and_the_score_and_grows(
    score: float, late: float, per_day: float, most: float
) -> None:
    rule = LateRule("per_day", per_day, timedelta(minutes=15), most)
    taken = rule.penalty(score, late)
    assert 0 <= taken <= score + 1e-9
    assert taken <= rule.penalty(score, late + 86400) + 1e-6
    assert rule.penalty(score, 900) == 0


def test_extension_of_the_unit_counts_before_that_of_all() -> None:
    rules = Rules(due={UNIT: DUE, OTHER: DUE}, extensions={"s1": {UNIT: timedelta(days=1), "all": timedelta(days=3)}})
    assert rules.deadline("s1", UNIT) == DUE + timedelta(days=1)
    assert rules.deadline("s1", OTHER) == DUE + timedelta(days=3)
    assert rules.deadline("s2", UNIT) == DUE
    assert rules.seconds_late("s1", UNIT, datetime(2027, 3, 2, 13)) == 3600  # nbgrader's naive times are UTC
    assert rules.seconds_late("s1", UNIT, None) == 0
    assert rules.seconds_late("s1", "99_never_due", DUE) == 0


def a_class(folder: Path, settings: str, roster: str = "id\ns1\n") -> Classroom:
    (folder / "class.toml").write_text(f'name = "A class"\ndatabase = ""\n{settings}', encoding="utf-8")
    (folder / "roster.csv").write_text(roster, encoding="utf-8")
    return Classroom.open(folder)


def test_rules_are_read_from_the_class(tmp_path: Path) -> None:
    settings = """
attempts = "best"
[due]
03 = 2027-03-01T20:00:00+08:00
12_network_fusion = "2027-03-08T12:00:00Z"
[extensions.s1]
03_robust_qc = "36 hours"
[late]
per_day = 0.2
grace = "10 min"
most = 0.5
"""
    rules = a_class(tmp_path, settings, "id,extension\ns1,\ns2,1 week\n").rules
    assert rules.attempts == "best"
    assert rules.due == {UNIT: DUE, OTHER: DUE + timedelta(days=7)}
    assert rules.extension("s1", UNIT) == timedelta(hours=36)
    assert rules.extension("s2", OTHER) == timedelta(days=7)
    assert rules.late == LateRule("per_day", 0.2, timedelta(minutes=10), 0.5)


def test_class_without_rules_has_none(tmp_path: Path) -> None:
    assert a_class(tmp_path, "").rules == Rules()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ('attempts = "first"', "attempts is 'first'; it must be one of last, best, last_before_deadline"),
        ("[due]\n03_robust_qc = 2027-03-01T12:00:00", "due.03_robust_qc must be a time with its distance from UTC"),
        ("[due]\n03_robust_qc = 2027-03-01", "due.03_robust_qc must be a time"),
        ("[due]\n03_robust_qc = 'soon'", "due.03_robust_qc must be a time"),
        ("[due]\n77_nothing = 2027-03-01T12:00:00Z", "unit '77_nothing' is unknown"),
        ("due = 3", "due must be a table"),
        ("[extensions]\ns1 = '3 days'", "extensions.s1 must be a table"),
        ("[extensions.s1]\n03 = 'long'", "write a length of time"),
        ("[extensions.s1]\n03 = 3", "write a length of time"),
        ("[late]\nper_day = 10", "late.per_day is 10; it must be a share between 0 and 1"),
        ("[late]\nmethod = 'cruel'", "late.method is 'cruel'"),
        ("[late]\nper_hour = 0.1", "[late] has per_hour; it knows method, per_day, grace and most"),
    ],
)
def test_rule_that_can_not_be_understood_is_named(tmp_path: Path, settings: str, complaint: str) -> None:
    with pytest.raises(CourseError) as caught:
        _ = a_class(tmp_path, settings).rules
    assert complaint in str(caught.value)
    assert "class.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_database_is_changed_in_class_toml_and_nothing_else(tmp_path: Path) -> None:
    classroom = a_class(tmp_path, '# database = "no"\n[due]\n03_robust_qc = 2027-03-01T12:00:00Z\n')
    before = (tmp_path / "class.toml").read_text(encoding="utf-8").splitlines()
    moved = set_database(classroom, 'postgresql+psycopg://me@/a"b')
    after = (tmp_path / "class.toml").read_text(encoding="utf-8").splitlines()
    assert moved.database == 'postgresql+psycopg://me@/a"b'
    assert moved.rules.due == {UNIT: DUE}
    assert [number for number, (a, b) in enumerate(zip(before, after, strict=True)) if a != b] == [1]


def test_database_is_added_where_class_toml_has_no_line_for_it(tmp_path: Path) -> None:
    (tmp_path / "class.toml").write_text("[due]\n03_robust_qc = 2027-03-01T12:00:00Z\n", encoding="utf-8")
    (tmp_path / "roster.csv").write_text("id\n", encoding="utf-8")
    assert set_database(Classroom.open(tmp_path), "sqlite:///x.db").database == "sqlite:///x.db"


def test_roster_keeps_what_a_learning_platform_calls_a_student(tmp_path: Path) -> None:
    students = {"s1": Student("s1", "Ada", "Lovelace", canvas_id="77"), "s2": Student("s2", extension="1 day")}
    write_roster(tmp_path / "roster.csv", students)
    assert read_roster(tmp_path / "roster.csv") == students
    header = (tmp_path / "roster.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == "id,first_name,last_name,email,language,extension,canvas_id"


def test_policies_differ_where_they_should() -> None:
    found = [Attempt(1, points=8), Attempt(2, points=5), Attempt(3, points=9, seconds_late=1, penalty=9)]
    chosen = [in_force(found, policy).number for policy in ("best", "last_before_deadline", "last")]
    assert chosen == [1, 2, 3]
    assert all(a != b for a, b in itertools.combinations(chosen, 2))
