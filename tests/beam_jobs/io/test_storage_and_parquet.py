"""Files: what matches, what is refused in one line, and what comes back as it was written."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from beam_jobs.io import parquet_files, storage
from beam_jobs.io.footer import read_footer, read_footers
from beam_jobs.io.schemas import CANDIDATES, USERS
from model.cli import InputError
from tests.object_store import ObjectStore

TABLE = pa.table({"user_id": ["ann", "bob"], "seen": [["a"], None]}, schema=USERS)


@pytest.fixture(params=["local", "store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty folder, on this machine and in an object store."""
    monkeypatch.setattr(ObjectStore, "objects", {})
    return str(tmp_path) if request.param == "local" else "memory://bucket/folder"


def refused(call: object, *arguments: object) -> str:
    """The one line of an InputError."""
    with pytest.raises(InputError) as caught:
        call(*arguments)  # type: ignore[operator]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_table_comes_back_as_it_was_written(folder: str) -> None:
    path = storage.join(folder, "deep", "part.parquet")
    parquet_files.write_table(TABLE, path, row_group_size=1)
    assert parquet_files.read_table(path, USERS).equals(TABLE)
    footer = read_footer(path)
    assert (footer.path, footer.group_rows, footer.rows) == (path, (1, 1), 2)
    footer.check_columns(USERS)
    footer.check_exact_columns(USERS)


def test_footers_come_in_the_order_of_the_paths_each_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectStore, "objects", {})
    paths = [f"memory://bucket/{number}.parquet" for number in range(20)]
    for number, path in enumerate(paths):
        parquet_files.write_table(pa.concat_tables([TABLE] * (number + 1)), path)
    monkeypatch.setattr(ObjectStore, "opened", [])
    footers = read_footers(reversed(paths))
    assert [footer.rows for footer in footers] == [2 * number + 2 for number in reversed(range(20))]
    for footer in footers:
        footer.check_columns(USERS)
        footer.check_exact_columns(USERS)
    assert sorted(ObjectStore.opened) == sorted(paths)


def test_a_table_is_read_by_opening_its_file_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectStore, "objects", {})
    path = "memory://bucket/a.parquet"
    parquet_files.write_table(TABLE, path, row_group_size=1)
    monkeypatch.setattr(ObjectStore, "opened", [])
    assert parquet_files.read_table(path, USERS).equals(TABLE)
    assert [len(table) for table in parquet_files.read_batches(path, USERS, 1)] == [1, 1]
    assert ObjectStore.opened == [path, path]


def test_json_comes_back_as_it_was_written(folder: str) -> None:
    path = storage.join(folder, "deep", "_run.json")
    storage.write_json({"title": "天使の涙", "rows": 3}, path)
    assert storage.read_json(path) == {"title": "天使の涙", "rows": 3}


def test_a_glob_a_folder_and_a_path_match_sorted(folder: str) -> None:
    paths = [storage.join(folder, name) for name in ("a.parquet", "b.parquet", "c.parquet")]
    for path in reversed(paths):
        parquet_files.write_table(TABLE, path)
    storage.write_json({}, storage.join(folder, "_run.json"))
    assert storage.match(storage.join(folder, "*.parquet")) == paths
    assert storage.match(folder) == paths
    assert storage.match(folder + "/") == paths
    assert storage.match(paths[1]) == [paths[1]]


@pytest.mark.parametrize("pattern", ["nothing", "nothing/*.parquet", "nothing/"])
def test_what_matches_nothing_is_refused_by_path(folder: str, pattern: str) -> None:
    message = refused(storage.match, storage.join(folder, pattern))
    assert message.startswith(f"{storage.join(folder, pattern)}: no file matches")


def test_deleting_takes_files_and_folders_whole_and_neighbours_stay(folder: str) -> None:
    for name in ("staged/run/a.parquet", "staged/b.parquet", "staged-2/c.parquet", "d.parquet"):
        parquet_files.write_table(TABLE, storage.join(folder, name))
    storage.delete([storage.join(folder, "staged"), storage.join(folder, "d.parquet"), storage.join(folder, "never")])
    assert storage.list_files(f"{folder}/**") == [storage.join(folder, "staged-2/c.parquet")]


def test_a_description_tells_a_changed_file_of_equal_size(folder: str) -> None:
    path = storage.join(folder, "a.parquet")
    described = []
    for ids in (["ann", "bob"], ["ann", "bod"]):
        parquet_files.write_table(TABLE.set_column(0, "user_id", [ids]), path)
        described += parquet_files.describe([read_footer(path)])
    first, second = described
    assert (first["name"], first["rows"]) == ("a.parquet", 2)
    assert first["bytes"] == second["bytes"] > 0
    assert first["checksum"] != second["checksum"]


def test_files_that_are_no_parquet_are_refused(folder: str) -> None:
    empty, text, cut = (storage.join(folder, name) for name in ("empty.parquet", "text.parquet", "cut.parquet"))
    parquet_files.write_table(TABLE, cut)
    whole = storage.read_bytes(cut)
    for path, content in ((empty, b""), (text, b"user_id,seen\n1,2\n" * 9), (cut, whole[:-20])):
        with storage.FileSystems.create(path) as file:
            file.write(content)
        for message in (refused(read_footer, path), refused(parquet_files.read_table, path, USERS)):
            assert message.startswith(f"{path}: cannot be read as Parquet (")


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    parquet.write_table(pa.table({"user": ["ann"], "seen": [["a"]]}), path)
    message = refused(read_footer(path).check_columns, USERS)
    assert message == (f"{path}: no column 'user_id' among its columns user, seen; it must be string; rename or add it")


@pytest.mark.parametrize(
    ("column", "values"),
    [("user_id", pa.array([1])), ("seen", pa.array(["a"])), ("seen", pa.array([[1]]))],
)
def test_a_column_of_another_type_is_named_with_both_types(tmp_path: Path, column: str, values: pa.Array) -> None:
    path = str(tmp_path / "a.parquet")
    columns = {"user_id": pa.array(["ann"]), "seen": pa.array([["a"]])} | {column: values}
    parquet.write_table(pa.table(columns), path)
    message = refused(read_footer(path).check_columns, USERS)
    found = parquet.read_schema(path).field(column).type
    wanted = USERS.field(column).type
    assert message == f"{path}: column {column!r} is {found}; it must be {wanted}; cast it"


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_strings_are_taken_however_they_are_stored(tmp_path: Path, kind: pa.DataType) -> None:
    path = str(tmp_path / "a.parquet")
    titles = pa.array(["b", None, "a", "b"]).cast(kind)
    parquet.write_table(pa.table({"movie_title": titles, "other": [1, 2, 3, 4]}), path)
    table = parquet_files.read_table(path, CANDIDATES)
    assert table.schema.equals(CANDIDATES)
    assert table["movie_title"].to_pylist() == ["b", None, "a", "b"]


def test_an_exact_schema_has_no_column_more_and_the_same_order(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    for table in (TABLE.append_column("more", [[1, 2]]), TABLE.select(["seen", "user_id"])):
        parquet.write_table(table, path)
        assert "and not user_id: string, seen: list" in refused(read_footer(path).check_exact_columns, USERS)


def test_damage_within_a_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"movie_title": [f"title {n}" for n in range(500)]}), path)
    content = path.read_bytes()
    path.write_bytes(content[:20] + bytes(300) + content[320:])
    assert refused(parquet_files.read_table, str(path), CANDIDATES).startswith(f"{path}: damaged (")


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "_run.json"
    path.write_text("{")
    assert refused(storage.read_json, str(path)).startswith(f"{path}: not JSON")
    assert "cannot be read" in refused(storage.read_json, str(tmp_path / "none.json"))


def test_a_folder_that_can_be_written_is_left_as_it_was(folder: str) -> None:
    storage.check_writable(folder)
    assert storage.list_files(f"{folder}/**") == []


def test_outputs_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("a file")
    for output in (str(file), str(file / "below"), "nowhere://bucket/output"):
        message = refused(storage.check_writable, output)
        assert message.startswith(f"{output}: cannot be written (")


@pytest.mark.parametrize("call", [storage.read_bytes, read_footer, storage.match])
def test_an_address_of_no_filesystem_is_refused(call: object) -> None:
    assert refused(call, "nowhere://bucket/a").startswith("nowhere://bucket/a: cannot be ")
