"""The rules that published recommendations keep, as checks on Arrow columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.run_report import RunReport
from beam_jobs.schema import RECOMMENDATIONS, SOURCE_COLD_START, SOURCE_MODEL, USERS
from model.contract import MOVIE_TITLE, SEEN, USER_ID

REPEATED_USER = "user is more than once in the users table"

LOCATED = pa.schema([(USER_ID, pa.string()), (SEEN, pa.list_(pa.int32()))])
"""Users with the positions of what they have seen in the candidates."""

Findings = dict[str, Any]
"""`counts: {name: int}` and `violations: {kind: [count, example]}`; plain, so that it is JSON as it is."""


@dataclass(frozen=True)
class Rules:
    """What a run was asked to do."""

    top_n: int
    exclude_seen: bool
    min_score: float | None
    model_version: str


def locate_seen(users: pa.Table, candidates: pa.Array) -> pa.Table:
    """A table of users with the titles seen as positions in the candidates: `LOCATED`, those that are none left out.

    Numbers rather than strings then travel through the shuffle, a sixth of the bytes.
    """
    users = users.select(USERS.names).cast(USERS)
    seen = _array(users[SEEN])
    places = _places(seen.flatten(), candidates)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(seen), 0))
    kept = np.concatenate([[0], np.cumsum(places >= 0)])[np.concatenate([[0], np.cumsum(lengths)])]
    lists = pa.ListArray.from_arrays(pa.array(kept, pa.int32()), pa.array(places[places >= 0], pa.int32()))
    return pa.table([users[USER_ID], lists], schema=LOCATED)


def check_partition(users: pa.Table, recommendations: pa.Table, candidates: pa.Array, rules: Rules) -> Findings:
    """Check the recommendations of some users against everything known of these users.

    Args:
      users: `LOCATED`, all rows of the users in question.
      recommendations: `beam_jobs.schema.RECOMMENDATIONS`, likewise.
      candidates: `string[M]`, distinct, in the order that breaks ties.
      rules: of the run.
    """
    has_id = pc.fill_null(pc.not_equal(users[USER_ID], ""), False)
    accepted = users.filter(has_id).combine_chunks()
    names = _array(accepted[USER_ID])
    found = _Violations(recommendations)
    repeated = names.filter(pa.array(_repeats(_places(names, names))))
    found.add(REPEATED_USER, len(repeated), f"user {repeated[0].as_py()!r}" if len(repeated) else "")
    for name in RECOMMENDATIONS.names:
        found.add_rows(f"null in {name}", recommendations[name].is_null())

    # From here on a user is its row in the users table and a title its position in the candidates; -1 is neither.
    user = _places(recommendations[USER_ID], names)
    title = _places(recommendations[MOVIE_TITLE], candidates)
    found.add_rows("user is not in the users table", user < 0)
    found.add_rows("title is no candidate", title < 0)
    seen = _seen_pairs(accepted, len(candidates)) if rules.exclude_seen else np.empty(0, np.int64)
    pairs = _pairs(user, title, len(candidates))
    known = (user >= 0) & (title >= 0)
    found.add_rows("title was seen by the user", known & _is_among(pairs, seen))
    found.add_rows("title is twice among a user's", known & _repeats(pairs))

    rows = np.bincount(user[user >= 0], minlength=len(names))
    left = len(candidates) - np.bincount(seen // max(1, len(candidates)), minlength=len(names))
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
    source = _places(recommendations["source"], pa.array([SOURCE_MODEL, SOURCE_COLD_START]))
    order = np.lexsort((rank, user))
    user, title, rank, score, source = user[order], title[order], rank[order], score[order], source[order]
    same_user = np.concatenate([[False], user[1:] == user[:-1]]) & (user >= 0)
    before = np.concatenate([[0], np.arange(len(order) - 1)]) if len(order) else np.empty(0, np.int64)
    wrong_rank = np.where(same_user, rank != rank[before] + 1, rank != 1)
    for kind, wrong in {
        "ranks are not 1, 2, 3 and so on": wrong_rank & (user >= 0),
        "score rises with rank": same_user & (score > score[before]),
        "equal scores are not in the order of the candidates": same_user
        & (score == score[before])
        & (title <= title[before]),
        "source differs among a user's rows": same_user & (source != source[before]),
    }.items():
        in_table_order = np.zeros(len(order), bool)
        in_table_order[order] = wrong
        found.add_rows(kind, in_table_order)


def _check_values(found: _Violations, recommendations: pa.Table, rules: Rules) -> None:
    for name in ("score", "predicted_rating"):
        found.add_rows(f"{name} is not finite", ~np.isfinite(_numbers(recommendations[name])))
    if rules.min_score is not None:
        below = _numbers(recommendations["score"]) < np.float32(rules.min_score)
        found.add_rows("score is below --min_score", below)
    sources = _places(recommendations["source"], pa.array([SOURCE_MODEL, SOURCE_COLD_START]))
    found.add_rows("source is not one of those defined", sources < 0)
    version = pc.fill_null(pc.not_equal(recommendations["model_version"], rules.model_version), True)
    found.add_rows("model_version is not the run's", version)


def _seen_pairs(users: pa.Table, candidates: int) -> np.ndarray:
    """The distinct (user, candidate) pairs in the located seen lists, each as one number, rising."""
    seen = _array(users[SEEN])
    user = np.repeat(np.arange(len(seen)), np.diff(seen.offsets.to_numpy()))
    pairs = np.sort(_pairs(user, seen.flatten().to_numpy(), candidates))
    return pairs[np.diff(pairs, prepend=-1) > 0]


def _pairs(user: np.ndarray, title: np.ndarray, candidates: int) -> np.ndarray:
    return user.astype(np.int64) * candidates + title


def _is_among(values: np.ndarray, rising: np.ndarray) -> np.ndarray:
    """`bool[rows]`: whether a value is in `rising`. NumPy's own `isin` hashes, which takes ten times as long here."""
    place = np.searchsorted(rising, values)
    return np.append(rising, -1)[place] == values


def _repeats(values: np.ndarray) -> np.ndarray:
    """`bool[rows]`: whether a value has come before."""
    order = np.argsort(values, kind="stable")
    repeats = np.zeros(len(values), bool)
    repeats[order[1:]] = values[order[1:]] == values[order[:-1]]
    return repeats


def _places(values: pa.ChunkedArray | pa.Array, among: pa.Array) -> np.ndarray:
    """`int64[rows]`: the place of each value in `among`, -1 where it is not there."""
    places = pc.fill_null(pc.index_in(values, value_set=among, skip_nulls=True), -1)
    return np.asarray(places, np.int64)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers with nan, or 0 for whole numbers, for null; nulls are reported on their own."""
    filler = 0 if pa.types.is_integer(column.type) else float("nan")
    return np.asarray(pc.fill_null(column, filler))


def _array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
