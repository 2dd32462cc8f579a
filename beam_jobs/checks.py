"""The rules that published recommendations keep, as checks on Arrow columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.positions import array, positions, positions_in_lists
from beam_jobs.run_report import RunReport
from beam_jobs.schema import RECOMMENDATIONS, SOURCE_COLD_START, SOURCE_MODEL
from model.contract import MOVIE_TITLE, SEEN, USER_ID

REPEATED_USER = "user is more than once in the users table"

MOST_MARKS = 1 << 26
"""A mark for each pair of a user and a candidate, 64 MiB of them; with more candidates, what was seen is sorted."""

_MARKS_IN_EIGHT = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)

Findings = dict[str, Any]
"""`counts: {name: int}` and `violations: {kind: [count, example]}`; plain, so that it is JSON as it is."""


@dataclass(frozen=True)
class Rules:
    """What a run was asked to do."""

    top_n: int
    exclude_seen: bool
    min_score: float | None
    model_version: str


def check_rows(users: pa.Table, recommendations: pa.Table, candidates: pa.Array, rules: Rules) -> Findings:
    """Check the recommendations of some users against everything known of these users.

    Args:
      users: `beam_jobs.schema.USERS` with strings plain or as dictionaries, of distinct users.
      recommendations: `beam_jobs.schema.RECOMMENDATIONS`, likewise, all rows of these users.
      candidates: `string[M]`, distinct, in the order that breaks ties.
      rules: of the run.
    """
    has_id = pc.fill_null(pc.not_equal(users[USER_ID], ""), False)
    accepted = users if pc.all(has_id).as_py() else users.filter(has_id)
    names = array(accepted[USER_ID]).cast(pa.string())
    found = _Violations(recommendations)
    for name in RECOMMENDATIONS.names:
        if recommendations[name].null_count:
            found.add_rows(f"null in {name}", recommendations[name].is_null())

    # From here on a user is its row in the users table and a title its position in the candidates; -1 is neither.
    user = positions(recommendations[USER_ID], names)
    title = positions(recommendations[MOVIE_TITLE], candidates)
    found.add_rows("user is not in the users table, or elsewhere in it", user < 0)
    found.add_rows("title is no candidate", title < 0)
    pairs = user.astype(np.int64) * len(candidates) + title
    known = (user >= 0) & (title >= 0)
    left = np.full(len(names), len(candidates))
    if rules.exclude_seen:
        was_seen, distinct = _look_up(pairs, *positions_in_lists(accepted[SEEN], candidates), len(candidates))
        found.add_rows("title was seen by the user", known & was_seen)
        left -= distinct
    found.add_rows("title is twice among a user's", known & _repeats(pairs, len(names) * len(candidates)))

    rows = np.bincount(user[user >= 0], minlength=len(names))
    expected = np.minimum(rules.top_n, left)
    wrong = rows > expected if rules.min_score is not None else rows != expected
    example = f"user {names[int(np.argmax(wrong))].as_py()!r}" if wrong.any() else ""
    found.add("user has another number of rows than candidates left allow", int(wrong.sum()), example)

    _check_order(found, recommendations, user, title)
    _check_values(found, recommendations, rules)
    return {
        "counts": {
            "users_read": users.num_rows,
            "users_rejected_no_user_id": users.num_rows - accepted.num_rows,
            "users_scored": accepted.num_rows,
            "users_without_rows": int(np.count_nonzero(rows == 0)),
            "rows_written": recommendations.num_rows,
        },
        "violations": found.by_kind,
    }


def check_distinct(user_ids: pa.Array) -> Findings:
    """Check that no user is among some ids twice; empty ones are none."""
    ids = user_ids.filter(pc.fill_null(pc.not_equal(user_ids, ""), False))
    repeated = len(ids) - pc.count_distinct(ids).as_py()
    if not repeated:
        return {"counts": {}, "violations": {}}
    counts = ids.value_counts()
    first = pc.min(counts.field("values").filter(pc.greater(counts.field("counts"), 1))).as_py()
    return {"counts": {}, "violations": {REPEATED_USER: [repeated, f"user {first!r}"]}}


def check_counters(report: RunReport, found: Sequence[Mapping[str, Any]], counts: Mapping[str, int]) -> Findings:
    """Check what a run says of itself against the files that are there and the rows that were counted in them."""
    violations = {}
    if list(report.files) != list(found):
        listed, there = ([file["name"] for file in files] for files in (report.files, found))
        violations["files are not those that the report lists"] = [1, f"listed {listed}, there {there}"]
    for name, value in counts.items():
        if report.counters.get(name) != value:
            said = report.counters.get(name)
            violations[f"counter {name} is not what lies on disk"] = [1, f"report {said}, on disk {value}"]
    return {"counts": {}, "violations": violations}


def check_coverage(users: int, counts: Mapping[str, int]) -> Findings:
    """Check that all rows of the users table, `users` in number, were looked at, each once."""
    looked_at = counts["users_read"]
    if looked_at == users:
        return {"counts": {}, "violations": {}}
    kind = "the files are not of all users, once each"
    return {"counts": {}, "violations": {kind: [abs(users - looked_at), f"{looked_at} users of {users}"]}}


def merge(findings: Iterable[Findings]) -> Findings:
    """The sum of findings; of examples, the first by alphabet, so that order does not matter."""
    counts: dict[str, int] = {}
    violations: dict[str, list[Any]] = {}
    for finding in findings:
        for name, value in finding["counts"].items():
            counts[name] = counts.get(name, 0) + value
        for kind, (number, example) in finding["violations"].items():
            former = violations.get(kind, [0, example])
            violations[kind] = [former[0] + number, min(former[1], example)]
    return {"counts": counts, "violations": violations}


class _Violations:
    """What is wrong, by kind: how often, and where for example."""

    def __init__(self, recommendations: pa.Table) -> None:
        self._recommendations = recommendations
        self.by_kind: dict[str, list[Any]] = {}

    def add(self, kind: str, number: int, example: str) -> None:
        if number:
            self.by_kind[kind] = [number, example]

    def add_rows(self, kind: str, wrong: np.ndarray | pa.ChunkedArray) -> None:
        """`wrong` is `bool[rows]` of the recommendations."""
        flags = np.asarray(wrong, bool)
        if flags.any():
            row = self._recommendations.slice(int(np.argmax(flags)), 1).to_pylist()[0]
            self.add(kind, int(flags.sum()), f"user {row[USER_ID]!r}, rank {row['rank']}, title {row[MOVIE_TITLE]!r}")


def _check_order(found: _Violations, recommendations: pa.Table, user: np.ndarray, title: np.ndarray) -> None:
    """Ranks from 1 without gaps; along them, score falls, and at equal score the position in the candidates rises."""
    rank = _numbers(recommendations["rank"])
    score = _numbers(recommendations["score"])
    source = positions(recommendations["source"], pa.array([SOURCE_MODEL, SOURCE_COLD_START]))
    order = None
    if not ((user[1:] > user[:-1]) | ((user[1:] == user[:-1]) & (rank[1:] >= rank[:-1]))).all():
        order = np.lexsort((rank, user))
        user, title, rank, score, source = user[order], title[order], rank[order], score[order], source[order]
    same_user = np.zeros(len(user), bool)
    same_user[1:] = (user[1:] == user[:-1]) & (user[1:] >= 0)
    wrong_rank, rises, wrong_tie, differs = (np.zeros(len(user), bool) for _ in range(4))
    wrong_rank[:1] = rank[:1] != 1
    wrong_rank[1:] = np.where(same_user[1:], rank[1:] != rank[:-1] + 1, rank[1:] != 1)
    rises[1:] = score[1:] > score[:-1]
    wrong_tie[1:] = (score[1:] == score[:-1]) & (title[1:] <= title[:-1])
    differs[1:] = source[1:] != source[:-1]
    for kind, wrong in {
        "ranks are not 1, 2, 3 and so on": wrong_rank & (user >= 0),
        "score rises with rank": same_user & rises,
        "equal scores are not in the order of the candidates": same_user & wrong_tie,
        "source differs among a user's rows": same_user & differs,
    }.items():
        in_table_order = wrong
        if order is not None:
            in_table_order = np.zeros(len(order), bool)
            in_table_order[order] = wrong
        found.add_rows(kind, in_table_order)


def _check_values(found: _Violations, recommendations: pa.Table, rules: Rules) -> None:
    for name in ("score", "predicted_rating"):
        found.add_rows(f"{name} is not finite", ~np.isfinite(_numbers(recommendations[name])))
    if rules.min_score is not None:
        below = _numbers(recommendations["score"]) < np.float32(rules.min_score)
        found.add_rows("score is below --min_score", below)
    for name, allowed, kind in (
        ("source", [SOURCE_MODEL, SOURCE_COLD_START], "source is not one of those defined"),
        ("model_version", [rules.model_version], "model_version is not the run's"),
    ):
        found.add_rows(kind, positions(recommendations[name], pa.array(allowed)) < 0)


def _look_up(pairs: np.ndarray, seen: np.ndarray, splits: np.ndarray, candidates: int) -> tuple[np.ndarray, np.ndarray]:
    """`bool[rows]`, whether a pair is among the seen ones, and `int64[users]`, how many different ones a user has seen.

    Args:
      pairs: `int64[rows]`, each `user * candidates + title`.
      seen: `int32[S]`, titles.
      splits: `int64[users + 1]`, where each user's begin and end.
      candidates: how many titles there are.
    """
    users = len(splits) - 1
    numbers = np.repeat(np.arange(users) * candidates, np.diff(splits)) + seen
    if users * candidates <= MOST_MARKS:
        marks = np.zeros(users * candidates + 1, bool)  # the last for pairs that are none
        marks[numbers] = True
        among = marks[np.where((pairs >= 0) & (pairs < users * candidates), pairs, -1)]
        # By eights: counting along an axis would widen every mark to eight bytes.
        eights = np.packbits(marks[:-1].reshape(users, candidates), axis=1)
        return among, _MARKS_IN_EIGHT[eights].sum(axis=1, dtype=np.int64)
    rising = np.sort(numbers)
    rising = rising[np.diff(rising, prepend=-1) > 0]
    # NumPy's own `isin` hashes, which takes ten times as long here.
    among = np.append(rising, -1)[np.searchsorted(rising, pairs)] == pairs
    return among, np.bincount(rising // candidates, minlength=users)


def _repeats(values: np.ndarray, limit: int) -> np.ndarray:
    """`bool[rows]`: whether a value has come before; those are known to be below `limit`."""
    repeats = np.zeros(len(values), bool)
    if limit <= MOST_MARKS and (values >= 0).all():
        marks = np.zeros(limit, bool)
        marks[values] = True
        distinct = np.count_nonzero(marks) == len(values)
    else:
        rising = np.sort(values)
        distinct = not (rising[1:] == rising[:-1]).any()
    if not distinct:
        # Which ones takes a sort that is ten times as slow, and this is not expected.
        order = np.argsort(values, kind="stable")
        repeats[order[1:]] = values[order[1:]] == values[order[:-1]]
    return repeats


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers with nan, or 0 for whole numbers, for null; nulls are reported on their own."""
    filler = 0 if pa.types.is_integer(column.type) else float("nan")
    return np.asarray(pc.fill_null(column, filler))
