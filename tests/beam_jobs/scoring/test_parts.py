"""Parts of the users table: every row group in exactly one, and none too large."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs.io.footer import Footer, read_footers
from beam_jobs.scoring import parts
from beam_jobs.scoring.parts import plan_parts
from tests import jobs


def tables_of(folder: Path, *counts: int) -> list[Footer]:
    """Users tables with so many users, seven to a row group."""
    paths = []
    for number, count in enumerate(counts):
        paths.append(str(folder / f"{number}.parquet"))
        jobs.write_users(Path(paths[-1]), [(f"{number}-{user}", []) for user in range(count)])
    return read_footers(paths)


def test_each_row_group_is_in_one_part_in_order(tmp_path: Path) -> None:
    tables = tables_of(tmp_path, 20, 0, 7)
    made = plan_parts(tables, candidates=10, top_n=5)
    assert [(part.number, part.users_file, list(part.row_groups), part.users) for part in made] == [
        (0, tables[0].path, [0], 7),
        (1, tables[0].path, [1], 7),
        (2, tables[0].path, [2], 6),
        (3, tables[2].path, [0], 7),
    ]
    assert made[3].file_name("r1") == "part-r1-00003.parquet"


@pytest.mark.parametrize(("rows_a_file", "pairs_a_part"), [(14 * 5, 10**9), (10**9, 14 * 10)])
def test_parts_are_as_large_as_their_limits_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_a_file: int, pairs_a_part: int
) -> None:
    monkeypatch.setattr(parts, "LEAST_PARTS", 1)
    monkeypatch.setattr(parts, "ROWS_A_FILE", rows_a_file)
    monkeypatch.setattr(parts, "PAIRS_A_PART", pairs_a_part)
    made = plan_parts(tables_of(tmp_path, 40), candidates=10, top_n=5)
    assert [part.users for part in made] == [14, 14, 12]


def test_many_candidates_are_not_made_ready_for_few_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = tables_of(tmp_path, 40)
    assert [part.users for part in plan_parts(tables, candidates=350, top_n=5)] == [14, 14, 12]
    assert len(plan_parts(tables, candidates=1_000_000, top_n=5)) == 1
    monkeypatch.setattr(parts, "ENOUGH_USERS", 7)
    assert len(plan_parts(tables, candidates=1_000_000, top_n=5)) == 6


@given(rows=st.lists(st.integers(0, 50), max_size=30), largest=st.integers(1, 120))
def test_spans_cover_every_row_once(rows: list[int], largest: int) -> None:
    spans = list(parts._spans(rows, largest))
    covered = [group for span, _ in spans for group in span if rows[group]]
    assert covered == [group for group, count in enumerate(rows) if count]
    assert all(users == sum(rows[group] for group in span) for span, users in spans)
    assert all(users <= largest or sum(rows[group] > 0 for group in span) == 1 for span, users in spans)
