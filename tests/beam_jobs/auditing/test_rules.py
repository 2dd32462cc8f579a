"""Every rule, broken once: exactly that rule is reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from beam_jobs.auditing import rules
from beam_jobs.auditing.rules import (
    REPEATED_USER,
    check_counters,
    check_coverage,
    check_distinct,
    check_rows,
    merge,
)
from beam_jobs.io.schemas import ENCODED_RECOMMENDATIONS, RECOMMENDATIONS, USERS
from beam_jobs.run import PlannedFile, RunReport, RunSpec, Selection

CANDIDATES = pa.array(["a", "b", "c", "d", "e"])
SELECTION = Selection(top_n=3)
SEEN = [
    ("ann", ["a", "elsewhere", "a"]),
    ("bob", ["a", "b", "c", "d"]),
    ("cyd", None),
    ("dan", ["a", "b", "c", "d", "e"]),
]
ROWS = [
    ("ann", 1, "c", 4.0, "model"),
    ("ann", 2, "b", 3.5, "model"),
    ("ann", 3, "d", 3.5, "model"),
    ("bob", 1, "e", 1.0, "model"),
    ("cyd", 1, "a", 2.0, "cold_start"),
    ("cyd", 2, "b", 2.0, "cold_start"),
    ("cyd", 3, "e", 1.0, "cold_start"),
]

Row = tuple[object, ...]


def users(rows: list[tuple[object, object]] = SEEN) -> pa.Table:
    return pa.table([list(column) for column in zip(*rows, strict=True)], schema=USERS)


def recommendations(rows: list[Row] = ROWS, version: str = "v1") -> pa.Table:
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 5
    return pa.table([*columns[:4], columns[3], columns[4], [version] * len(rows)], schema=RECOMMENDATIONS)


def kinds(rows: pa.Table, selection: Selection = SELECTION, table: pa.Table | None = None) -> dict[str, int]:
    found = check_rows(users() if table is None else table, rows, CANDIDATES, selection, "v1")["violations"]
    return {kind: number for kind, (number, _) in found.items()}


@pytest.fixture(params=["marked", "sorted"], autouse=True)
def way_of_looking_up(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "sorted":
        monkeypatch.setattr(rules, "MOST_MARKS", 0)


def test_a_good_run_has_no_violations_and_is_counted() -> None:
    found = check_rows(users([*SEEN, ("", []), (None, ["a"])]), recommendations(), CANDIDATES, SELECTION, "v1")
    assert found == {
        "counts": {
            "users_read": 6,
            "users_rejected_no_user_id": 2,
            "users_scored": 4,
            "users_without_rows": 1,
            "rows_written": 7,
        },
        "violations": {},
    }


def test_dictionaries_are_checked_like_strings() -> None:
    seen = pa.array([row[1] for row in SEEN], pa.list_(pa.dictionary(pa.int32(), pa.string())))
    table = users().set_column(1, "seen", seen)
    assert kinds(recommendations().cast(ENCODED_RECOMMENDATIONS), table=table) == {}
    assert kinds(change(0, movie_title="a")().cast(ENCODED_RECOMMENDATIONS), table=table) == {
        "title was seen by the user": 1
    }


def test_nobody_and_nothing_pass() -> None:
    assert kinds(recommendations([]), table=users().slice(0, 0)) == {}


def test_the_order_of_rows_does_not_matter() -> None:
    assert kinds(recommendations(ROWS[::-1])) == {}


def change(place: int, **values: object) -> Callable[[], pa.Table]:
    names = ("user_id", "rank", "movie_title", "score", "source")
    row = dict(zip(names, ROWS[place], strict=True)) | values
    return lambda: recommendations([*ROWS[:place], tuple(row.values()), *ROWS[place + 1 :]])


COUNT = "user does not have as many rows as the candidates left allow"


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (change(0, movie_title="a"), {"title was seen by the user": 1}),
        (change(0, movie_title="elsewhere"), {"title is not a candidate": 1}),
        (change(2, movie_title="c"), {"title is recommended twice to the user": 1}),
        (change(3, rank=2), {"ranks are not 1, 2, 3 and so on": 1}),
        (change(1, rank=1), {"ranks are not 1, 2, 3 and so on": 2}),
        (change(0, score=3.0), {"score rises with rank": 1}),
        (change(1, movie_title="e"), {"equal scores are not in the order of the candidates": 1}),
        (change(4, source="model"), {"source differs between rows of a user": 1}),
        (change(3, source="guess"), {"source is not a defined one": 1}),
        (change(3, score=float("inf")), {"score is not finite": 1, "predicted_rating is not finite": 1}),
        (change(3, movie_title=None), {"null in movie_title": 1, "title is not a candidate": 1}),
        (change(3, user_id="eve"), {"user is missing from the users table, or elsewhere in it": 1, COUNT: 1}),
        (lambda: recommendations(ROWS[:3] + ROWS[4:]), {COUNT: 1}),
        (lambda: recommendations([*ROWS[:2], *ROWS[3:]]), {COUNT: 1}),
        (lambda: recommendations([*ROWS, ("cyd", 4, "d", 0.5, "cold_start")]), {COUNT: 1}),
        (lambda: recommendations(version="v0"), {"model_version is not the run's": 7}),
    ],
)
def test_damage_is_reported_as_what_it_is(damage: Callable[[], pa.Table], expected: dict[str, int]) -> None:
    assert kinds(damage()) == expected


def test_an_example_tells_where() -> None:
    (found,) = check_rows(users(), change(0, movie_title="a")(), CANDIDATES, SELECTION, "v1")["violations"].values()
    assert found == [1, "user 'ann', rank 1, title 'a'"]


def test_a_repeated_user_is_reported() -> None:
    found = check_distinct(pa.array(["dan", "cyd", "", "ann", "dan", None, "cyd", "", "dan", None]))
    assert found["violations"] == {REPEATED_USER: [3, "user 'cyd'"]}
    assert check_distinct(pa.array(["dan", "cyd", "", ""]))["violations"] == {}


def test_different_users_of_one_hash_are_different(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "hash_words", lambda ids: np.zeros(len(ids), np.uint64))
    assert check_distinct(pa.array(["dan", "cyd"]))["violations"] == {}
    assert check_distinct(pa.array(["dan", "cyd", "dan"]))["violations"] == {REPEATED_USER: [1, "user 'dan'"]}


def test_users_whom_no_file_is_of_and_of_whom_two_are_reported() -> None:
    assert check_coverage(5, {"users_read": 5})["violations"] == {}
    for looked_at, number in ((3, 2), (6, 1)):
        (found,) = check_coverage(5, {"users_read": looked_at})["violations"].values()
        assert found == [number, f"{looked_at} users of 5"]


def test_seen_titles_may_be_recommended_where_they_are_not_excluded() -> None:
    selection = Selection(top_n=1, exclude_seen=False)
    rows = [(user, 1, "a", 4.0, "model") for user in ("ann", "bob", "cyd", "dan")]
    assert kinds(recommendations(rows), selection) == {}
    assert kinds(recommendations(rows), Selection(top_n=1)) == {"title was seen by the user": 3, COUNT: 1}


def test_with_min_score_lists_may_be_short_but_not_below_it() -> None:
    selection = replace(SELECTION, min_score=2.0)
    assert kinds(recommendations(ROWS[:3] + ROWS[4:6]), selection) == {}
    assert kinds(recommendations(), selection) == {"score is below min_score": 2}


REPORT = RunReport(
    RunSpec(
        run_id="r",
        run_date="2024-01-01",
        model_version="v1",
        model_kind="basic",
        score_kind="rating",
        selection=SELECTION,
        users_glob="users",
        user_count=4,
        candidate_count=5,
        files=(PlannedFile("part.parquet", 0, 0, 3),),
    ),
    counters={"users_read": 4, "rows_written": 7},
    seconds={},
    pairs_per_second=1.0,
    files=({"name": "part", "rows": 7, "bytes": 100},),
)


def test_counters_and_files_are_held_against_the_disk() -> None:
    counts = {"users_read": 4, "rows_written": 7}
    assert check_counters(REPORT, REPORT.files, counts)["violations"] == {}
    lost = check_counters(REPORT, (), {**counts, "rows_written": 6})["violations"]
    assert set(lost) == {"files differ from those that the report lists", "counter rows_written differs from the files"}


def test_findings_add_up_in_any_order() -> None:
    one = {"counts": {"rows": 1}, "violations": {"bad": [2, "user 'b'"]}}
    other = {"counts": {"rows": 3}, "violations": {"bad": [1, "user 'a'"], "worse": [1, "x"]}}
    merged = {"counts": {"rows": 4}, "violations": {"bad": [3, "user 'a'"], "worse": [1, "x"]}}
    assert merge([one, other]) == merge([other, one]) == merge([merge([]), merge([one]), other]) == merged
