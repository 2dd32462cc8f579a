"""Files: what matches, what is refused in one line, and what comes back as it was written."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from beam_jobs.io import parquet_files, storage
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
    assert parquet_files.read_table(path, USERS, "--users").equals(TABLE)
    assert parquet_files.check_schema(path, USERS, "--users") == [1, 1]
    parquet_files.check_exact_schema(path, USERS, "--users")


def test_json_comes_back_as_it_was_written(folder: str) -> None:
    path = storage.join(folder, "deep", "_run.json")
    storage.write_json({"title": "天使の涙", "rows": 3}, path)
    assert storage.read_json(path, "--staged") == {"title": "天使の涙", "rows": 3}


def test_a_glob_a_folder_and_a_path_match_sorted(folder: str) -> None:
    paths = [storage.join(folder, name) for name in ("a.parquet", "b.parquet", "c.parquet")]
    for path in reversed(paths):
        parquet_files.write_table(TABLE, path)
    storage.write_json({}, storage.join(folder, "_run.json"))
    assert storage.match(storage.join(folder, "*.parquet"), "--users") == paths
    assert storage.match(folder, "--users") == paths
    assert storage.match(folder + "/", "--users") == paths
    assert storage.match(paths[1], "--users") == [paths[1]]


@pytest.mark.parametrize("pattern", ["nothing", "nothing/*.parquet", "nothing/"])
def test_what_matches_nothing_is_refused_by_flag_and_path(folder: str, pattern: str) -> None:
    message = refused(storage.match, storage.join(folder, pattern), "--users")
    assert message.startswith(f"--users {storage.join(folder, pattern)}: no file matches")


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
        described += parquet_files.describe(storage.join(folder, "*.parquet"))
    first, second = described
    assert (first["name"], first["rows"]) == ("a.parquet", 2)
    assert first["bytes"] == second["bytes"] > 0
    assert first["checksum"] != second["checksum"]


def test_files_that_are_no_parquet_are_refused(folder: str) -> None:
    empty, text, cut = (storage.join(folder, name) for name in ("empty.parquet", "text.parquet", "cut.parquet"))
    parquet_files.write_table(TABLE, cut)
    whole = storage.read_bytes(cut, "")
    for path, content in ((empty, b""), (text, b"user_id,seen\n1,2\n" * 9), (cut, whole[:-20])):
        with storage.FileSystems.create(path) as file:
            file.write(content)
        for call in (parquet_files.check_schema, parquet_files.read_table):
            message = refused(call, path, USERS, "--users")
            assert message.startswith(f"--users {path}: cannot be read as Parquet (")
        assert refused(parquet_files.describe, path, "--staged").startswith(
            f"--staged {path}: cannot be read as Parquet ("
        )


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    parquet.write_table(pa.table({"user": ["ann"], "seen": [["a"]]}), path)
    message = refused(parquet_files.check_schema, path, USERS, "--users")
    assert message == (
        f"--users {path}: no column 'user_id' among its columns user, seen; it must be string; rename or add it"
    )


@pytest.mark.parametrize(
    ("column", "values"),
    [("user_id", pa.array([1])), ("seen", pa.array(["a"])), ("seen", pa.array([[1]]))],
)
def test_a_column_of_another_type_is_named_with_both_types(tmp_path: Path, column: str, values: pa.Array) -> None:
    path = str(tmp_path / "a.parquet")
    columns = {"user_id": pa.array(["ann"]), "seen": pa.array([["a"]])} | {column: values}
    parquet.write_table(pa.table(columns), path)
    message = refused(parquet_files.check_schema, path, USERS, "--users")
    found = parquet.read_schema(path).field(column).type
    wanted = USERS.field(column).type
    assert message == f"--users {path}: column {column!r} is {found}; it must be {wanted}; cast it"


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_strings_are_taken_however_they_are_stored(tmp_path: Path, kind: pa.DataType) -> None:
    path = str(tmp_path / "a.parquet")
    titles = pa.array(["b", None, "a", "b"]).cast(kind)
    parquet.write_table(pa.table({"movie_title": titles, "other": [1, 2, 3, 4]}), path)
    table = parquet_files.read_table(path, CANDIDATES, "--candidates")
    assert table.schema.equals(CANDIDATES)
    assert table["movie_title"].to_pylist() == ["b", None, "a", "b"]


def test_an_exact_schema_has_no_column_more_and_the_same_order(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    for table in (TABLE.append_column("more", [[1, 2]]), TABLE.select(["seen", "user_id"])):
        parquet.write_table(table, path)
        assert "and not user_id: string, seen: list" in refused(
            parquet_files.check_exact_schema, path, USERS, "--staged"
        )


def test_damage_within_a_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"movie_title": [f"title {n}" for n in range(500)]}), path)
    content = path.read_bytes()
    path.write_bytes(content[:20] + bytes(300) + content[320:])
    assert f"--candidates {path}: damaged (" in refused(parquet_files.read_table, str(path), CANDIDATES, "--candidates")


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "_run.json"
    path.write_text("{")
    assert f"--staged {path}: not JSON" in refused(storage.read_json, str(path), "--staged")
    assert "cannot be read" in refused(storage.read_json, str(tmp_path / "none.json"), "--staged")


def test_a_folder_that_can_be_written_is_left_as_it_was(folder: str) -> None:
    storage.check_writable(folder, "--output")
    assert storage.list_files(f"{folder}/**") == []


def test_outputs_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("a file")
    for output in (str(file), str(file / "below"), "nowhere://bucket/output"):
        message = refused(storage.check_writable, output, "--output")
        assert message.startswith(f"--output {output}: cannot be written (")


@pytest.mark.parametrize("call", [storage.read_bytes, parquet_files.read_footer, storage.match])
def test_an_address_of_no_filesystem_is_refused(call: object) -> None:
    assert refused(call, "nowhere://bucket/a", "--users").startswith("--users nowhere://bucket/a: cannot be ")
