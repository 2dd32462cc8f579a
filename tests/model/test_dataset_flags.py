"""What the flags read and split, and which flag a message begins with."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from model.cli import FlagParser, InputError
from model.data.interactions import Interactions
from model.data.splits import Split
from model.dataset_flags import add_dataset_flags, add_split_flags, read_columns, read_dataset, split_dataset

HEADER = "uid,movie_title,user_rating,timestamp\n"


def parse(*flags: str) -> argparse.Namespace:
    parser = FlagParser(prog="test")
    parser.add_argument("--seed", type=int, default=0)
    add_dataset_flags(parser)
    add_split_flags(parser)
    return parser.parse_args(list(flags))


def split(*flags: str) -> Split:
    args = parse(*flags)
    return split_dataset(read_dataset(args).table, args)


def write(path: Path, rows: str) -> str:
    path.write_text(HEADER + rows)
    return str(path)


def test_the_sample_is_the_default(sample: Interactions) -> None:
    interactions = read_dataset(parse())
    assert interactions.table.equals(sample.table)
    assert interactions.source == "sample"


def test_the_default_split_is_by_time() -> None:
    assert split().name == "time"


def test_given_datasets_are_read(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.csv", "1,A,3,1\n2,B,4,2\n"), write(tmp_path / "b.csv", "1,C,3,1\n,C,3,1\n")
    common = ["--dataset", first, "--columns", "user_id=uid", "--split", "given"]
    parts = split(*common, "--test_dataset", second)
    assert [part.num_rows for part in parts.parts.values()] == [2, 0, 1]
    assert parts.settings == {"test": {"dataset": second, "rejects": {"no user_id": 1}}}
    with pytest.raises(InputError, match=r"^--split given: needs --validation_dataset or --test_dataset"):
        split(*common)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dataset", "smaple"], r"^--dataset smaple: no such dataset, .* did you mean sample;"),
        (["--split", "given", "--test_dataset", "/nope"], r"^--test_dataset /nope: no such dataset"),
        (
            ["--split", "given", "--validation_dataset", "/no/*.csv"],
            r"^--validation_dataset /no/\*\.csv: no file matches",
        ),
        (
            ["--test_dataset", "sample"],
            r"^--test_dataset goes with --split given, not with --split time; leave one out$",
        ),
        (["--split", "last_n", "--last_n", "0"], r"^--last_n 0: give a whole number of at least 1$"),
        (["--columns", "uid"], r"^--columns uid: 'uid' is not OURS=THEIRS"),
        (["--columns", "user_id=uid"], r"^--dataset sample: its columns have fixed names; leave `columns` out"),
    ],
)
def test_a_message_begins_with_its_flag(flags: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        split(*flags)
    assert "\n" not in str(error.value)


def test_a_column_that_is_missing_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "1,A,3,1\n")
    with pytest.raises(InputError, match=rf"^--dataset {path}: has no column 'user_id', .* --columns user_id=THEIRS$"):
        read_dataset(parse("--dataset", path))
    text = "user_id=uid,timestamp=movie_title"
    with pytest.raises(InputError, match=r"column 'movie_title' is string, .* --columns timestamp=THEIRS$"):
        read_dataset(parse("--dataset", path, "--columns", text))


def test_a_dataset_that_is_not_prepared_can_be_sought_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.data.sources.tfds.SITE", "http://127.0.0.1:9/")
    name = "movielens/100k-ratings"
    with pytest.raises(InputError, match=rf"^--dataset {name}: not prepared in {tmp_path} .* with --tfds_data_dir$"):
        read_dataset(parse("--dataset", name, "--tfds_data_dir", str(tmp_path)))


def test_columns_are_our_names_to_theirs() -> None:
    assert read_columns(parse("--columns", "user_id=uid")) == {"user_id": "uid"}
    assert read_columns(parse()) == {}
