"""A staged run made by hand, as `beam_jobs.score` leaves one: no model and no TensorFlow behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from beam_jobs.io import parquet_files, storage
from beam_jobs.io.footer import read_footers
from beam_jobs.io.schemas import CANDIDATES, RECOMMENDATIONS, USERS
from beam_jobs.run import PlannedFile, RunReport, RunSpec, Selection, StagedRun

DATE = "2024-02-29"
TITLES = [f"title {number:02}" for number in range(30)]
TOP_N = 4
FILES = (
    PlannedFile("part-r1-0.parquet", 0, 0, 1),
    PlannedFile("part-r1-1.parquet", 0, 1, 2),
    PlannedFile("part-r1-2.parquet", 1, 0, 1),
)
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
    def run(self) -> StagedRun:
        return StagedRun(self.folder)

    @property
    def rows_folder(self) -> str:
        return self.run.rows_folder(DATE)

    @property
    def parts(self) -> list[str]:
        return [storage.join(self.rows_folder, file.name) for file in FILES]

    def change_report(self, **values: Any) -> None:
        replace(RunReport.read(self.rows_folder), **values).write(self.rows_folder)

    def change_spec(self, **values: Any) -> None:
        self.change_report(spec=replace(RunReport.read(self.rows_folder).spec, **values))

    def change_counter(self, name: str, value: int) -> None:
        self.change_report(counters={**RunReport.read(self.rows_folder).counters, name: value})

    def change_part(self, number: int, rows: pa.Table, describe: bool = True) -> None:
        """Write other rows into a part; `describe` tells of them in the report, as a run gone wrong would."""
        parquet_files.write_table(rows, self.parts[number])
        if describe:
            self.change_report(files=describe_files(self.rows_folder))


def describe_files(folder: str) -> tuple[parquet_files.FileDescription, ...]:
    return parquet_files.describe(read_footers(storage.list_files(storage.join(folder, "*.parquet"))))


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
    parquet_files.write_table(pa.table([TITLES], schema=CANDIDATES), staged.run.candidates_file)

    rows = []
    for user, titles in seen[:-1]:
        left = [title for title in TITLES if title not in titles][:TOP_N]
        source = "model" if user < "user 40" else "cold_start"
        # Scores come in pairs, so that ties are among them.
        rows += [(user, rank, title, 5 - rank // 2, 3.5, source, "v1") for rank, title in enumerate(left, 1)]
    table = pa.table([list(column) for column in zip(*rows, strict=True)], schema=RECOMMENDATIONS)
    for number, path in enumerate(staged.parts):
        parquet_files.write_table(table.slice(PART_STARTS[number], PART_STARTS[number + 1] - PART_STARTS[number]), path)
    spec = RunSpec(
        run_id="r1",
        run_date=DATE,
        model_version="v1",
        model_kind="basic",
        score_kind="rating",
        selection=Selection(TOP_N),
        users_glob=storage.join(work, "users", "*.parquet"),
        user_count=51,
        candidate_count=len(TITLES),
        files=FILES,
    )
    RunReport(
        spec,
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
        files=describe_files(staged.rows_folder),
    ).write(staged.rows_folder)
    return staged
