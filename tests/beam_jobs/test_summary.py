"""The page that a run ends with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from beam_jobs import summary
from beam_jobs.io.schemas import RECOMMENDATIONS
from model.cli import InputError
from tests import jobs

MODEL = {
    "model_version": "basic-abc",
    "parameters": {"trainable": 116_641},
    "seed": 0,
    "data": {"dataset": "sample", "rows": 1_200},
    "vocabulary": {"users": 3, "titles": 9},
    "metrics": {
        "train": {"rmse": 1.1, "rows": 900},
        "validation": {"rmse": None, "rows": 0},
        "test": {"rmse": 1.12345, "rows": 300},
    },
    "split": {"name": "random"},
    "ranking": {
        "protocol": {"k": 10},
        "systems": {
            "model": {"metrics": {"ndcg": {"mean": 0.1774}}},
            "popularity": {"metrics": {"ndcg": {"mean": 0.0655}}},
        },
    },
    "blessed": {"blessed": False, "why": ["It has 1 users; basic-abb had 9, and 8 would pass.", "It is no good."]},
    "trained_on": {"what": "all interactions", "rows": 1_200},
}
REPORT = {
    "counters": {
        "users_scored": 3,
        "pairs_scored": 27,
        "rows_written": 4,
        "users_cold": 1,
        "users_without_rows": 0,
        "users_rejected_no_user_id": 2,
    },
    "candidates": 9,
    "seconds": {"score": 2.0},
    "pairs_per_second": 13.5e6,
    "top_n": 2,
    "files": [{"name": "part.parquet", "rows": 4, "bytes": 2_048}],
}
LONG = "A Title That Goes On and On Until Nobody Remembers How It Began (1971)"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text(json.dumps(MODEL))
    jobs.write_users(tmp_path / "users" / "u.parquet", [("ann", ["Old", "New"]), ("bob", None), ("cyd", ["a"] * 7)])
    for date in ("2024-01-01", "2024-01-02"):
        partition = tmp_path / "recommendations" / f"run_date={date}"
        partition.mkdir(parents=True)
        (partition / "_run.json").write_text(json.dumps(REPORT))
        rows = [
            ("ann", 2, LONG, 3.5),
            ("ann", 1, f"First of {date}", 4.0),
            ("bob", 1, "Hit", 5.0),
            ("cyd", 1, "Hit", 4.5),
        ]
        user, rank, title, score = (list(column) for column in zip(*rows, strict=True))
        sources = ["model", "model", "cold_start", "model"]
        table = pa.table([user, rank, title, score, score, sources, ["basic-abc"] * 4], schema=RECOMMENDATIONS)
        parquet.write_table(table, partition / "part.parquet")
    return tmp_path


def test_the_page_tells_what_was_trained_scored_and_published(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary.main(["--work_dir", str(work)])
    page = capsys.readouterr().out
    text = " ".join(page.split())
    for told in (
        "basic-abc: 116,641 trainable parameters",
        "train 1.1000 (900 rows), validation -, test 1.1235 (300 rows); random split",
        "lists NDCG@10 of what users watched next: model 0.177, popularity 0.066 gate",
        "gate NOT blessed: It has 1 users; basic-abb had 9, and 8 would pass. It is no good. exported",
        "trained on all interactions, 1,200 rows",
        "3 users x 9 candidates = 27 pairs in 2.0 s, 13.50 million a second",
        "users rejected no user id 2",
        "run_date=2024-01-02/ (1 Parquet, 2 KiB)",
    ):
        assert told in text
    assert max(len(line) for line in page.splitlines() if str(work) not in line) <= 80
    assert f"{work / 'recommendations' / 'run_date=2024-01-02'}/" in page, "a path is cut"


def test_histories_stand_beside_recommendations_latest_and_best_first(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary.main(["--work_dir", str(work), "--run_date", "2024-01-01"])
    lines = capsys.readouterr().out.splitlines()
    ann = lines.index("user ann: 2 titles seen, model")
    assert lines[ann + 2].split(maxsplit=1) == ["New", "First of 2024-01-01" + " " * 18 + "4.00"]
    assert lines[ann + 3].startswith("  Old ")
    assert " A Title That Goes On" in lines[ann + 3]
    assert lines[ann + 3].endswith(" 3.50")
    shown = [line.split(":")[0] for line in lines if line.startswith("user ")]
    assert shown == ["user bob", "user ann", "user cyd"]
    assert "user bob: 0 titles seen, cold_start" in lines


def test_nothing_published_is_one_line(work: Path) -> None:
    with pytest.raises(InputError, match="nothing published for 2030-01-01"):
        summary.main(["--work_dir", str(work), "--run_date", "2030-01-01"])
    with pytest.raises(InputError, match="nothing published yet"):
        summary.main(["--work_dir", str(work / "elsewhere")])


def test_it_starts_without_beam_and_tensorflow() -> None:
    script = "import sys, beam_jobs.summary; print(sorted({'apache_beam', 'tensorflow'} & set(sys.modules)))"
    top = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=top, check=True)
    assert done.stdout.strip() == "[]"
