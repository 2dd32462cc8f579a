from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from model.cli import InputError
from model.data.interactions import SCHEMA, Interactions
from model.data.sources import parquet_files, read_interactions
from model.data.sources.tabular import parse_columns

HEADER = "user_id,movie_title,user_rating,timestamp\n"


def write_parquet(path: Path, **columns: Any) -> str:
    table = {"user_id": ["u"], "movie_title": ["m"], "user_rating": [3.0], "timestamp": [5]} | columns
    pq.write_table(pa.table({name: values for name, values in table.items() if values is not None}), path)
    return str(path)


def test_parquet_comes_back_as_it_was_written(sample: Interactions, tmp_path: Path) -> None:
    pq.write_table(sample.table, tmp_path / "sample.parquet", row_group_size=30_000)
    interactions = read_interactions(str(tmp_path / "sample.parquet"))
    assert interactions.table.equals(sample.table)
    assert interactions.rejects == {}


def test_csv_comes_back_as_it_was_written(sample: Interactions, tmp_path: Path) -> None:
    table = sample.table.select(SCHEMA.names)
    csv.write_csv(table, tmp_path / "sample.csv")
    assert read_interactions(str(tmp_path / "sample.csv")).table.equals(table)


@pytest.mark.parametrize("dataset", ["", "/*.parquet", "/**/*.parquet"])
def test_folders_and_globs_keep_the_order_of_their_files(tmp_path: Path, dataset: str) -> None:
    for name in ("b", "a", "c"):
        write_parquet(tmp_path / f"{name}.parquet", user_id=[name])
    write_parquet(tmp_path / "_hidden.parquet")
    (tmp_path / "_hidden.parquet").rename(tmp_path / ".hidden")
    (tmp_path / "notes.csv").write_text("not,read\n")
    assert read_interactions(f"{tmp_path}{dataset}").table["user_id"].to_pylist() == ["a", "b", "c"]


def test_columns_are_renamed_and_rejects_of_all_files_added_up(tmp_path: Path) -> None:
    for name in ("a", "b"):
        columns = {"uid": [1, None], "film": ["x", "y"], "user_id": None, "movie_title": None}
        write_parquet(tmp_path / f"{name}.parquet", user_rating=[1, 2], timestamp=[1, 2], **columns)
    interactions = read_interactions(str(tmp_path), {"user_id": "uid", "movie_title": "film"})
    assert interactions.table["user_id"].to_pylist() == ["1", "1"]
    assert interactions.rejects == {"no user_id": 2}


def test_files_may_store_one_column_in_several_ways(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", user_id=[1], movie_title=pa.array(["m"]).dictionary_encode())
    write_parquet(tmp_path / "b.parquet", user_id=["1"], user_rating=[3])
    table = read_interactions(str(tmp_path)).table
    assert table.schema == SCHEMA
    assert table["user_id"].to_pylist() == ["1", "1"]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"age": ["3"]}, r"b\.parquet: column 'age' is string, but int64 in .*a\.parquet"),
        ({}, r"b\.parquet: has no column 'age', which .*a\.parquet has"),
        ({"age": [3], "more": [1]}, r"b\.parquet: has a column 'more' that .*a\.parquet lacks"),
        ({"age": [3], "timestamp": None}, r"b\.parquet: has no column 'timestamp'"),
    ],
)
def test_files_that_differ_are_named_with_the_column(tmp_path: Path, second: dict[str, Any], message: str) -> None:
    write_parquet(tmp_path / "a.parquet", age=[3])
    write_parquet(tmp_path / "b.parquet", **second)
    with pytest.raises(InputError, match=message):
        read_interactions(str(tmp_path))


def test_csv_keeps_ids_quotes_and_newlines(tmp_path: Path) -> None:
    rows = '007,"One, ""two""\nthree (1999)",3.5,1997-09-20 00:00:00\nü,NA,4,1997-09-20 00:00:01\n'
    (tmp_path / "a.csv").write_text(HEADER + rows)
    table = read_interactions(str(tmp_path / "a.csv")).table
    assert table["user_id"].to_pylist() == ["007", "ü"]
    assert table["movie_title"].to_pylist() == ['One, "two"\nthree (1999)', "NA"]
    assert table["timestamp"].to_pylist() == [874713600, 874713601]


def test_csv_keeps_newlines_wherever_they_fall(tmp_path: Path) -> None:
    # More than the megabyte that Arrow reads at a time, with most bytes inside quotes.
    titles = [f"first line {number}\nu,m,3,1\nthird line" for number in range(50_000)]
    (tmp_path / "a.csv").write_text(HEADER + "".join(f'u,"{title}",3,1\n' for title in titles))
    assert read_interactions(str(tmp_path / "a.csv")).table["movie_title"].to_pylist() == titles


def test_csv_may_be_compressed_and_lack_values(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(f"{HEADER}a,x,,1\nb,y,NaN,1\nc,z,3,\n,z,3,1\nd,z,3,1\n".encode()))
    interactions = read_interactions(str(tmp_path / "a.csv.gz"))
    assert interactions.table["user_id"].to_pylist() == ["d"]
    assert interactions.rejects == {"no user_id": 1, "rating not finite": 2, "no timestamp": 1}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", b"", "is empty"),
        ("a.csv", b"", "is empty"),
        ("a.parquet", b"PAR1 and not much more of it", "cannot be read as Parquet"),
        ("a.parquet", HEADER.encode(), "cannot be read as Parquet"),
        ("a.csv", b"PAR1\x00\x01", "has no column 'user_id'|cannot be read as CSV"),
        ("a.csv", HEADER.encode(), "has no rows"),
        ("a.csv", HEADER.encode() + b"u,m,3,1\nu,m,five,1\n", r"Row #3.*'five'"),
        ("a.csv", HEADER.encode() + b"u,m\n", r"Row #2: Expected 4 columns, got 2"),
        ("a.csv", HEADER.encode() + b"u,\xe9,3,1\n", "invalid UTF8"),
        ("a.csv", HEADER.encode() + b"u,m,3,soon\n", "column 'timestamp' is string"),
        ("a.csv", HEADER.encode() + b",m,3,1\n", r"none of its rows can be used \(1 with no user_id\)"),
        (
            "a.csv",
            b"user_id,title\nu,m\n",
            r"has no column 'movie_title', only user_id, title; name the column of movie_title$",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_one_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_interactions(str(tmp_path / name))
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_truncated_parquet_file_is_told(sample: Interactions, tmp_path: Path) -> None:
    pq.write_table(sample.table, tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    damaged = {"short": content[:-100], "hole": content[:5_000] + bytes(200_000) + content[205_000:]}
    for name, broken in damaged.items():
        (tmp_path / f"{name}.parquet").write_bytes(broken)
        with pytest.raises(InputError, match=rf"{name}\.parquet: cannot be read as Parquet"):
            read_interactions(str(tmp_path / f"{name}.parquet"))


def test_parquet_with_no_rows_is_told(tmp_path: Path) -> None:
    pq.write_table(SCHEMA.empty_table(), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="has no rows"):
        read_interactions(str(tmp_path / "a.parquet"))


def test_parquet_is_known_without_its_suffix(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "part-0")
    assert read_interactions(path).table.num_rows == 1
    assert parquet_files(path) == [path]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", {}),
        ("user_id=a", {"user_id": "a"}),
        (" user_id = a , movie_title=b=c", {"user_id": "a", "movie_title": "b=c"}),
    ],
)
def test_parse_columns(text: str, columns: dict[str, str]) -> None:
    assert parse_columns(text) == columns


@pytest.mark.parametrize("text", ["a", "user_id", "user_id=", "=a", "user_id=a,", "user_id=a,user_id=b", "uid=a"])
def test_columns_that_cannot_be_parsed_are_told(text: str) -> None:
    with pytest.raises(InputError, match=rf"^{text}: [^\n]*$"):
        parse_columns(text)
