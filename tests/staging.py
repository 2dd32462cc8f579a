"""A staged run made by hand, as `beam_jobs.score` leaves one: no model and no TensorFlow behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from beam_jobs.io import parquet_files, storage
from beam_jobs.io.schemas import CANDIDATES, RECOMMENDATIONS, USERS
from beam_jobs.publishing.run_report import RunReport

DATE = "2024-02-29"
TITLES = [f"title {number:02}" for number in range(30)]
TOP_N = 4
PARTS = (("part-r1-0.parquet", 0, 0, 1), ("part-r1-1.parquet", 0, 1, 2), ("part-r1-2.parquet", 1, 0, 1))
PART_STARTS = (0, 80, 114, 194)
"""Rows at which the parts begin, and their number; users 27 to 29 have fewer than `TOP_N`."""


@dataclass(frozen=True)
class Staged:
    """Where a staged run and what it read are."""

    work: str

    @property
    def folder(self) -> str:
        return storage.join(self.work, "_staging", f"{DATE}-r1")

    @property
    def partition(self) -> str:
        return storage.join(self.folder, f"run_date={DATE}")

    @property
    def parts(self) -> list[str]:
        return [storage.join(self.partition, name) for name, *_ in PARTS]

    def change_report(self, **values: Any) -> None:
        report = RunReport.read(self.partition, "")
        replace(report, **values).write(self.partition)

    def change_counter(self, name: str, value: int) -> None:
        report = RunReport.read(self.partition, "")
        self.change_report(counters={**report.counters, name: value})

    def change_part(self, number: int, rows: pa.Table, describe: bool = True) -> None:
        """Write other rows into a part; `describe` tells of them in the report, as a run gone wrong would."""
        parquet_files.write_table(rows, self.parts[number])
        if describe:
            self.change_report(files=parquet_files.describe(storage.join(self.partition, "*.parquet")))


def stage(work: str) -> Staged:
    """Users in two files, candidates, and the recommendations of all users in three.

    The first users file has two row groups, of 20 users and of 10.
    """
    staged = Staged(work)
    seen = [
        (f"user {n:02}", [TITLES[(n + place) % len(TITLES)] for place in range(n % len(TITLES))]) for n in range(50)
    ]
    seen.append(("", TITLES[:1]))
    users = pa.table([list(column) for column in zip(*seen, strict=True)], schema=USERS)
    for number in range(2):
        parquet_files.write_table(users.slice(number * 30, 30), storage.join(work, "users", f"{number}.parquet"), 20)
    parquet_files.write_table(pa.table([TITLES], schema=CANDIDATES), storage.join(staged.folder, "candidates.parquet"))

    rows = []
    for user, titles in seen[:-1]:
        left = [title for title in TITLES if title not in titles][:TOP_N]
        source = "model" if user < "user 40" else "cold_start"
        # Scores come in pairs, so that ties are among them.
        rows += [(user, rank, title, 5 - rank // 2, 3.5, source, "v1") for rank, title in enumerate(left, 1)]
    table = pa.table([list(column) for column in zip(*rows, strict=True)], schema=RECOMMENDATIONS)
    for number, path in enumerate(staged.parts):
        parquet_files.write_table(table.slice(PART_STARTS[number], PART_STARTS[number + 1] - PART_STARTS[number]), path)
    RunReport(
        run_id="r1",
        run_date=DATE,
        model_version="v1",
        model_kind="basic",
        score_kind="rating",
        top_n=TOP_N,
        exclude_seen=True,
        min_score=None,
        users=storage.join(work, "users", "*.parquet"),
        candidates=len(TITLES),
        counters={
            "users_read": 51,
            "users_rejected_no_user_id": 1,
            "users_scored": 50,
            "users_cold": 10,
            "users_without_rows": 0,
            "rows_written": len(rows),
            "rows_below_min_score": 0,
            "pairs_scored": 50 * len(TITLES),
            "candidates": len(TITLES),
        },
        seconds={"score": 1.0},
        pairs_per_second=1.0,
        files=parquet_files.describe(storage.join(staged.partition, "*.parquet")),
        parts=PARTS,
    ).write(staged.partition)
    return staged
