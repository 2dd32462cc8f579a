"""The report of a run: written, found and read back, and refused where it is none."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from beam_jobs.publishing.run_report import RunReport, find_partition, render
from model.cli import InputError

REPORT = RunReport(
    run_id="1f3a9c0e",
    run_date="2024-02-29",
    model_version="basic-1",
    model_kind="basic",
    score_kind="rating",
    top_n=20,
    exclude_seen=True,
    min_score=None,
    users="runs/local/users/*.parquet",
    candidates=1_664,
    counters={"users_read": 943, "rows_written": 18_860},
    seconds={"score": 1.5},
    pairs_per_second=1e6,
    files=({"name": "part.parquet", "rows": 18_860, "bytes": 7, "checksum": "ab"},),
    parts=(("part.parquet", 0, 0, 3),),
)


def test_a_report_comes_back_as_it_was_written(tmp_path: Path) -> None:
    partition = tmp_path / "run_date=2024-02-29"
    REPORT.write(str(partition))
    assert RunReport.read(str(partition), "--staged") == REPORT
    assert set(json.loads((partition / "_run.json").read_text())) == {field.name for field in fields(RunReport)}
    assert find_partition(str(tmp_path)) == str(partition)


@pytest.mark.parametrize("text", ["[]", "{}", '{"run_id": "1"}', "no json"])
def test_what_is_no_report_is_refused_by_its_path(tmp_path: Path, text: str) -> None:
    (tmp_path / "_run.json").write_text(text)
    with pytest.raises(InputError, match=r"^--staged .*_run\.json: not ") as caught:
        RunReport.read(str(tmp_path), "--staged")
    assert "\n" not in str(caught.value)


def test_a_field_too_many_is_refused(tmp_path: Path) -> None:
    REPORT.write(str(tmp_path))
    path = tmp_path / "_run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "more": 1}))
    with pytest.raises(InputError, match="not a report"):
        RunReport.read(str(tmp_path), "--staged")


def test_a_folder_with_no_run_or_with_two_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        find_partition(str(tmp_path))
    for date in ("2024-02-28", "2024-02-29"):
        REPORT.write(str(tmp_path / f"run_date={date}"))
    with pytest.raises(InputError, match="holds no run"):
        find_partition(str(tmp_path))


def test_counters_are_a_table_in_the_order_given() -> None:
    assert render({"users_read": 943, "rows": 1_234_567}).splitlines() == [
        "  users read              943",
        "  rows              1,234,567",
    ]
    assert render({}) == ""
