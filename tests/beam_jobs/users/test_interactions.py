"""Files of interactions, checked by their footers."""

from __future__ import annotations

import pyarrow as pa
import pytest

from beam_jobs.io import parquet_files
from beam_jobs.users.interactions import check_files
from model.cli import InputError
from tests.object_store import ObjectStore

ROWS = pa.table(
    {"user_id": ["ann"], "movie_title": ["a"], "user_rating": pa.array([1.0], pa.float32()), "timestamp": [1]}
)
PATHS = [f"memory://bucket/{number}.parquet" for number in range(12)]


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectStore, "objects", {})
    for path in PATHS:
        parquet_files.write_table(ROWS, path)
    monkeypatch.setattr(ObjectStore, "opened", [])


def test_each_file_is_read_once() -> None:
    source = check_files("memory://bucket", PATHS, {})
    assert (source.paths, source.rows) == (PATHS, len(PATHS))
    assert sorted(ObjectStore.opened) == sorted(PATHS)


def test_a_file_with_other_columns_is_named() -> None:
    parquet_files.write_table(ROWS.append_column("movie_id", [["7"]]), PATHS[3])
    with pytest.raises(InputError, match=rf"^{PATHS[3]}: has other columns than {PATHS[0]}.* \(movie_id\)"):
        check_files("memory://bucket", PATHS, {})


def test_no_rows_at_all_are_refused() -> None:
    parquet_files.write_table(ROWS.slice(0, 0), PATHS[0])
    with pytest.raises(InputError, match=r"^memory://bucket: it has no rows"):
        check_files("memory://bucket", PATHS[:1], {})
