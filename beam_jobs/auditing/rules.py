"""The rules that recommendations must keep, as checks on Arrow columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.io.lookup import as_array, index_in, index_in_lists
from beam_jobs.io.schemas import RECOMMENDATIONS, SOURCE_COLD_START, SOURCE_MODEL
from beam_jobs.pipeline.shuffle import hash_words
from beam_jobs.run import RunReport, Selection
from model.contract import MOVIE_TITLE, SEEN, USER_ID

REPEATED_USER = "user is in the users table more than once"

MOST_MARKS = 1 << 26
"""Up to this many pairs of a user and a candidate, each pair gets a mark, in 64 MiB at most. More pairs are sorted."""

Findings = dict[str, Any]
"""`counts: {name: int}` and `violations: {kind: [count, example]}`: plain values, so JSON can hold it as it is."""


def check_rows(
    users: pa.Table, recommendations: pa.Table, candidates: pa.Array, selection: Selection, model_version: str
) -> Findings:
    """Check the recommendations of some users against everything known of these users.

    Args:
      users: `beam_jobs.io.schemas.USERS`, distinct. Strings may be dictionaries.
      recommendations: `beam_jobs.io.schemas.RECOMMENDATIONS`, all rows of these users. Strings may be dictionaries.
      candidates: `string[M]`, distinct, in the order that breaks ties.
      selection: which candidates the run was to recommend.
      model_version: the run's.
    """
    has_id = pc.fill_null(pc.not_equal(users[USER_ID], ""), False)
    accepted = users if pc.all(has_id).as_py() else users.filter(has_id)
    names = as_array(accepted[USER_ID]).cast(pa.string())
    found = _Violations(recommendations)
    for name in RECOMMENDATIONS.names:
        if recommendations[name].null_count:
            found.add_rows(f"null in {name}", recommendations[name].is_null())

    # From here on a user is its row in the users table and a title its index in the candidates; -1 stands for unknown.
    user = index_in(recommendations[USER_ID], names)
    title = index_in(recommendations[MOVIE_TITLE], candidates)
    found.add_rows("user is missing from the users table, or elsewhere in it", user < 0)
    found.add_rows("title is not a candidate", title < 0)
    known = (user >= 0) & (title >= 0)
    pairs = user.astype(np.int64) * len(candidates) + title
    seen_pairs, left = np.zeros(0, np.int64), np.full(len(names), len(candidates))
    if selection.exclude_seen:
        seen, splits = index_in_lists(accepted[SEEN], candidates)
        seen_pairs = np.repeat(np.arange(len(names)) * len(candidates), np.diff(splits)) + seen
        left -= _distinct(seen_pairs, np.diff(splits), len(candidates), selection.top_n)
    _check_pairs(found, pairs, known, seen_pairs, len(names) * len(candidates))
    rows = np.bincount(user[user >= 0], minlength=len(names))
    _check_numbers(found, rows, left, names, selection)
    _check_order(found, recommendations, user, title)
    _check_values(found, recommendations, selection, model_version)
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
    """Check that no user id comes twice. Null and empty ids do not count."""
    ids = user_ids.filter(pc.fill_null(pc.not_equal(user_ids, ""), False))
    # If all hashes differ, all ids do. Sorting hashes takes a third of the time of a hash table of strings.
    hashes = np.sort(hash_words(ids))
    if not (hashes[1:] == hashes[:-1]).any():
        return {"counts": {}, "violations": {}}
    repeated = len(ids) - pc.count_distinct(ids).as_py()
    if not repeated:
        return {"counts": {}, "violations": {}}
    counts = ids.value_counts()
    first = pc.min(counts.field("values").filter(pc.greater(counts.field("counts"), 1))).as_py()
    return {"counts": {}, "violations": {REPEATED_USER: [repeated, f"user {first!r}"]}}


def check_counters(report: RunReport, found: Sequence[Mapping[str, Any]], counts: Mapping[str, int]) -> Findings:
    """Check the files and counters that a run reports against the files found and the counts of their rows."""
    violations = {}
    if list(report.files) != list(found):
        listed, there = ([file["name"] for file in files] for files in (report.files, found))
        violations["files differ from those that the report lists"] = [1, f"listed {listed}, there {there}"]
    for name, value in counts.items():
        if report.counters.get(name) != value:
            said = report.counters.get(name)
            violations[f"counter {name} differs from the files"] = [1, f"report {said}, files {value}"]
    return {"counts": {}, "violations": violations}


def check_coverage(users: int, counts: Mapping[str, int]) -> Findings:
    """Check that the audit has looked at each of the `users` rows of the users table once."""
    looked_at = counts["users_read"]
    if looked_at == users:
        return {"counts": {}, "violations": {}}
    kind = "the files do not cover each user once"
    return {"counts": {}, "violations": {kind: [abs(users - looked_at), f"{looked_at} users of {users}"]}}


def merge(findings: Iterable[Findings]) -> Findings:
    """Add findings up. Of the examples the alphabetically first stays, so the order does not matter."""
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
    """What is wrong, by kind: how often, and an example."""

    def __init__(self, recommendations: pa.Table) -> None:
        self._recommendations = recommendations
        self.by_kind: dict[str, list[Any]] = {}

    def add(self, kind: str, number: int, example: str) -> None:
        if number:
            self.by_kind[kind] = [number, example]

    def add_rows(self, kind: str, wrong: np.ndarray | pa.ChunkedArray) -> None:
        """Add the recommendations for which `wrong`, `bool[rows]`, is true."""
        flags = np.asarray(wrong, bool)
        if flags.any():
            row = self._recommendations.slice(int(np.argmax(flags)), 1).to_pylist()[0]
            self.add(kind, int(flags.sum()), f"user {row[USER_ID]!r}, rank {row['rank']}, title {row[MOVIE_TITLE]!r}")


def _check_pairs(found: _Violations, pairs: np.ndarray, known: np.ndarray, seen_pairs: np.ndarray, limit: int) -> None:
    """Check that no title was seen, or is recommended twice.

    Args:
      found: gets the violations.
      pairs: `int64[rows]`, `user * candidates + title` of each recommendation.
      known: `bool[rows]`, whether its user and title are known.
      seen_pairs: `int64[S]`, the titles that users have seen, in the same way.
      limit: all pairs are below.
    """
    meets, repeats = _look_up(pairs[known], seen_pairs, limit)
    # Finding out which rows are wrong takes ten times as long, so that waits until some are.
    if meets:
        found.add_rows("title was seen by the user", known & np.isin(pairs, seen_pairs))
    if repeats:
        twice = np.zeros(len(pairs), bool)
        twice[known] = _come_before(pairs[known])
        found.add_rows("title is recommended twice to the user", twice)


def _check_numbers(
    found: _Violations, rows: np.ndarray, left: np.ndarray, names: pa.Array, selection: Selection
) -> None:
    """Check the number of rows of each user, `int64[users]`, against the number of candidates that are left."""
    expected = np.minimum(selection.top_n, left)
    wrong = rows > expected if selection.min_score is not None else rows != expected
    example = f"user {names[int(np.argmax(wrong))].as_py()!r}" if wrong.any() else ""
    found.add("user does not have as many rows as the candidates left allow", int(wrong.sum()), example)


def _check_order(found: _Violations, recommendations: pa.Table, user: np.ndarray, title: np.ndarray) -> None:
    """Check that ranks count from 1 without gaps, and that rows in this order are in the order of the contract.

    Scores never rise. Where two are equal, the index in the candidates rises.
    """
    rank = _numbers(recommendations["rank"])
    score = _numbers(recommendations["score"])
    source = index_in(recommendations["source"], pa.array([SOURCE_MODEL, SOURCE_COLD_START]))
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
        "source differs between rows of a user": same_user & differs,
    }.items():
        in_table_order = wrong
        if order is not None:
            in_table_order = np.zeros(len(order), bool)
            in_table_order[order] = wrong
        found.add_rows(kind, in_table_order)


def _check_values(found: _Violations, recommendations: pa.Table, selection: Selection, model_version: str) -> None:
    for name in ("score", "predicted_rating"):
        found.add_rows(f"{name} is not finite", ~np.isfinite(_numbers(recommendations[name])))
    if selection.min_score is not None:
        below = _numbers(recommendations["score"]) < np.float32(selection.min_score)
        found.add_rows("score is below min_score", below)
    for name, allowed, kind in (
        ("source", [SOURCE_MODEL, SOURCE_COLD_START], "source is not a defined one"),
        ("model_version", [model_version], "model_version is not the run's"),
    ):
        found.add_rows(kind, index_in(recommendations[name], pa.array(allowed)) < 0)


def _look_up(values: np.ndarray, others: np.ndarray, limit: int) -> tuple[bool, bool]:
    """Whether any value is in `others`, and whether any value comes twice. All are `int64` in [0, limit)."""
    if limit <= MOST_MARKS:
        marks = np.zeros(limit, bool)
        marks[values] = True
        return bool(marks[others].any()), bool(np.count_nonzero(marks) < len(values))
    rising, others = np.sort(values), np.append(np.sort(others), -1)
    # `np.isin` takes ten times as long here.
    among = others[np.searchsorted(others[:-1], rising)] == rising
    return bool(among.any()), bool((rising[1:] == rising[:-1]).any())


def _distinct(seen_pairs: np.ndarray, listed: np.ndarray, candidates: int, top_n: int) -> np.ndarray:
    """How many different candidates each user has seen, `int64[users]`.

    Where `top_n` candidates are left in any case, this is the number listed, repeats included: counting takes longer.

    Args:
      seen_pairs: `int64[S]`, each `user * candidates + title`.
      listed: `int64[users]`, how many of `seen_pairs` each user has.
      candidates: the number of candidates.
      top_n: recommendations that a user can get at most.
    """
    close = listed > candidates - top_n
    if not close.any():
        return listed
    different = np.bincount(np.unique(seen_pairs[np.repeat(close, listed)]) // candidates, minlength=len(listed))
    return np.where(close, different, listed)


def _come_before(values: np.ndarray) -> np.ndarray:
    """Whether a value has come before, `bool[rows]`."""
    before = np.zeros(len(values), bool)
    order = np.argsort(values, kind="stable")
    before[order[1:]] = values[order[1:]] == values[order[:-1]]
    return before


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers, with NaN for null, or 0 in a column of whole numbers. Nulls are reported separately."""
    filler = 0 if pa.types.is_integer(column.type) else float("nan")
    return np.asarray(pc.fill_null(column, filler))
