"""A run's spec and report: checked when made, read back as they were written, and refused where they are none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from beam_jobs.run import PlannedFile, RunReport, RunSpec, ScoredPart, Selection, StagedRun
from model.cli import InputError

SPEC = RunSpec(
    run_id="1f3a9c0e",
    run_date="2024-02-29",
    model_version="basic-1",
    model_kind="basic",
    score_kind="rating",
    selection=Selection(top_n=20),
    users_glob="runs/local/users/*.parquet",
    user_count=943,
    candidate_count=1_664,
    files=(PlannedFile("part.parquet", 0, 0, 3),),
)
REPORT = RunReport(
    SPEC,
    counters={"users_read": 943, "rows_written": 18_860},
    seconds={"score": 1.5},
    pairs_per_second=1e6,
    files=({"name": "part.parquet", "rows": 18_860, "bytes": 7, "checksum": "ab"},),
)


@pytest.mark.parametrize("value", [0, -1])
def test_a_run_recommends_at_least_one_title(value: int) -> None:
    with pytest.raises(InputError, match=f"^top_n is {value}; give a whole number of at least 1$"):
        Selection(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_least_score_is_a_number(value: float) -> None:
    with pytest.raises(InputError, match=f"^min_score is {value}; give a finite number$"):
        Selection(1, min_score=value)


@pytest.mark.parametrize("values", [{"run_id": ""}, {"run_date": "20240229"}, {"user_count": -1}])
def test_a_spec_that_makes_no_sense_cannot_be_made(values: dict) -> None:
    with pytest.raises(InputError):
        replace(SPEC, **values)


def test_a_report_comes_back_as_it_was_written(tmp_path: Path) -> None:
    staged = StagedRun(str(tmp_path))
    REPORT.write(staged.rows_folder("2024-02-29"))
    assert RunReport.read(staged.rows_folder("2024-02-29")) == REPORT
    assert staged.read_report() == REPORT


def test_a_report_on_disk_is_flat(tmp_path: Path) -> None:
    REPORT.write(str(tmp_path))
    assert json.loads((tmp_path / "_run.json").read_text()) == {
        "run_id": "1f3a9c0e",
        "run_date": "2024-02-29",
        "model_version": "basic-1",
        "model_kind": "basic",
        "score_kind": "rating",
        "top_n": 20,
        "exclude_seen": True,
        "min_score": None,
        "users": "runs/local/users/*.parquet",
        "candidates": 1_664,
        "counters": {"users_read": 943, "rows_written": 18_860},
        "seconds": {"score": 1.5},
        "pairs_per_second": 1e6,
        "files": [{"name": "part.parquet", "rows": 18_860, "bytes": 7, "checksum": "ab"}],
        "parts": [["part.parquet", 0, 0, 3]],
    }


def test_parts_add_up_to_a_report() -> None:
    parts = [
        ScoredPart("u", range(1), {"name": name, "rows": 2}, {"pairs_scored": 6, "rows_written": 2}, began)
        for name, began in (("b", 10.0), ("a", 12.0))
    ]
    report = RunReport.of_parts(SPEC, parts, {"candidates": 3}, ended=14.0)
    assert report.counters == {"pairs_scored": 12, "rows_written": 4, "candidates": 3}
    assert (report.seconds, report.pairs_per_second) == ({"score": 4.0}, 3.0)
    assert [file["name"] for file in report.files] == ["a", "b"]


@pytest.mark.parametrize("text", ["[]", "{}", '{"run_id": "1"}', "no json"])
def test_what_is_no_report_is_refused_by_its_path(tmp_path: Path, text: str) -> None:
    (tmp_path / "_run.json").write_text(text)
    with pytest.raises(InputError, match=rf"^{tmp_path}/_run\.json: not ") as caught:
        RunReport.read(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_field_too_many_is_refused(tmp_path: Path) -> None:
    REPORT.write(str(tmp_path))
    path = tmp_path / "_run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "more": 1}))
    with pytest.raises(InputError, match="not a report"):
        RunReport.read(str(tmp_path))


def test_a_folder_with_no_run_or_with_two_is_refused(tmp_path: Path) -> None:
    staged = StagedRun(str(tmp_path))
    with pytest.raises(InputError, match="holds no run"):
        staged.read_report()
    for date in ("2024-02-28", "2024-02-29"):
        REPORT.write(staged.rows_folder(date))
    with pytest.raises(InputError, match="holds no run"):
        staged.read_report()
