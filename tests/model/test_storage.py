from __future__ import annotations

from pathlib import Path

import pytest
from pyarrow import fs

from model import storage
from model.cli import InputError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "a.parquet",
        "b.parquet",
        "c.csv",
        "deep/d.parquet",
        "deep/er/f.parquet",
        "_staging/e.parquet",
        ".hidden.parquet",
        "x[1].csv",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.parquet", ["a.parquet"]),
        ("*.csv", ["c.csv", "x[1].csv"]),
        ("?.parquet", ["a.parquet", "b.parquet"]),
        ("[!a].parquet", ["b.parquet"]),
        ("**/d.parquet", ["deep/d.parquet"]),
        ("d*/*.parquet", ["deep/d.parquet"]),
        ("**/b.parquet", ["b.parquet"]),
        ("deep/**/*.parquet", ["deep/d.parquet", "deep/er/f.parquet"]),
        ("x[1].csv", ["x[1].csv"]),
        ("deep", []),
        ("nothing*", []),
        ("no/such/folder/*.csv", []),
    ],
)
def test_expand_finds_what_the_pattern_says(tree: Path, pattern: str, expected: list[str]) -> None:
    assert storage.expand(f"{tree}/{pattern}") == [f"{tree}/{name}" for name in expected]


def test_expand_takes_paths_of_the_working_folder(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    assert storage.expand("?.parquet") == ["a.parquet", "b.parquet"]
    assert storage.expand("./?.parquet") == ["a.parquet", "b.parquet"]


def test_list_files_leaves_out_what_is_marked_as_unfinished(tree: Path) -> None:
    assert storage.list_files(str(tree), (".parquet",)) == [
        f"{tree}/{name}" for name in ("a.parquet", "b.parquet", "deep/d.parquet", "deep/er/f.parquet")
    ]
    assert f"{tree}/deep/d.parquet" not in storage.list_files(str(tree), recursive=False)


def test_a_folder_below_a_hidden_one_can_be_listed(tree: Path) -> None:
    assert storage.list_files(f"{tree}/_staging") == [f"{tree}/_staging/e.parquet"]


def test_exists_and_is_folder(tree: Path) -> None:
    assert storage.exists(f"{tree}/a.parquet")
    assert not storage.is_folder(f"{tree}/a.parquet")
    assert storage.is_folder(f"{tree}/deep")
    assert not storage.exists(f"{tree}/none")


def test_open_input_names_the_file_that_is_not_there(tree: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
        storage.open_input(f"{tree}/none.csv")


def test_gs_paths_are_on_google_cloud_storage_or_its_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(storage.EMULATOR_VARIABLE, "http://localhost:1")
    filesystem, path = storage.resolve("gs://bucket/folder/file")
    assert isinstance(filesystem, fs.GcsFileSystem)
    assert path == "bucket/folder/file"


def test_the_home_folder_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert storage.resolve("~/data")[1] == "/somewhere/data"
