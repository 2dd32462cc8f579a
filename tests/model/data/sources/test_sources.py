from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from model.cli import InputError
from model.data.interactions import SCHEMA, Interactions
from model.data.sources import parquet_files, read_interactions


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("smaple", "did you mean sample;"),
        ("movielens/100k", "did you mean movielens/100k-ratings;"),
        ("movielens/1m-movies", "did you mean movielens/1m-ratings;"),
        ("movielens/100k_ratings", "did you mean movielens/100k-ratings;"),
        ("no/such/file.parquet", "no such dataset, file or folder; accepted are sample, movielens/100k-ratings,"),
        ("no/such/*.parquet", "no file matches"),
        ("", "no such dataset"),
    ],
)
def test_an_unknown_dataset_is_told_with_what_is_accepted(dataset: str, message: str) -> None:
    for read in (read_interactions, parquet_files):
        with pytest.raises(InputError, match=r"^[^\n]*$") as error:
            read(dataset)
        assert str(error.value).startswith(f"{dataset}: ")
        assert message in str(error.value)


def test_a_folder_of_nothing_that_is_known_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match=r"no MovieLens dataset .* no \.parquet and no \.csv"):
        read_interactions(str(tmp_path))


def test_columns_go_with_files_alone(tmp_path: Path) -> None:
    for name in ("u.data", "u.item", "u.user"):
        (tmp_path / name).write_text("")
    for dataset in ("sample", "movielens/100k-ratings", str(tmp_path)):
        with pytest.raises(InputError, match="leave `columns` out, which is for Parquet and CSV files"):
            read_interactions(dataset, {"user_id": "uid"})


def test_parquet_files_are_those_of_parquet_alone(sample: Interactions, tmp_path: Path) -> None:
    few = sample.table.slice(0, 10)
    for name in ("b.parquet", "a.parquet"):
        pq.write_table(few, tmp_path / name)
    (tmp_path / "c.csv").write_text(",".join(SCHEMA.names))
    expected = [f"{tmp_path}/a.parquet", f"{tmp_path}/b.parquet"]
    assert parquet_files(str(tmp_path)) == expected
    assert parquet_files(f"{tmp_path}/*.parquet") == expected
    assert parquet_files(f"{tmp_path}/a.parquet") == expected[:1]
    assert parquet_files(f"{tmp_path}/c.csv") is None
    assert parquet_files("sample") is None
    assert parquet_files("movielens/100k-ratings") is None


def test_parquet_files_are_none_for_movielens(movielens_dir: Path) -> None:
    assert parquet_files(str(movielens_dir)) is None
    assert parquet_files(str(movielens_dir / "u1.base")) is None
