"""From a dataset to users and candidates, through the pipeline and on real files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from beam_jobs import prepare
from beam_jobs.io.footer import read_footer
from beam_jobs.io.schemas import USERS
from beam_jobs.io.storage import list_files
from beam_jobs.users import transforms
from model.cli import InputError, RunError
from model.data.sources import read_interactions
from tests.object_store import ObjectStore

ROWS = pa.table(
    {
        "user_id": [f"user {n % 23:02}" for n in range(400)],
        "movie_title": [f"title {n * n % 37:02}" for n in range(400)],
        "user_rating": pa.array([n % 5 + 1 for n in range(400)], pa.float32()),
        "timestamp": [n * 7_919 % 1_000 for n in range(400)],
        "movie_genres": [["Drama"] if n % 2 else ["Drama", "War"] for n in range(400)],
    }
)


def run(dataset: object, output: object, *flags: str) -> None:
    prepare.main(["--dataset", str(dataset), "--output", str(output), *flags])


def outputs(output: Path) -> dict[str, pa.Table]:
    """Users and candidates as they are on disk, the files in the order of their names."""
    return {
        table: pa.concat_tables([parquet.read_table(path) for path in sorted((output / table).iterdir())])
        for table in prepare.TABLES
    }


def write(path: Path, table: pa.Table, row_group_size: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path, row_group_size=row_group_size)
    return path


@pytest.fixture
def ready(tmp_path: Path) -> tuple[Path, dict[str, pa.Table]]:
    """An output of an earlier run, with what is in it."""
    output = tmp_path / "out"
    run(write(tmp_path / "earlier.parquet", ROWS.slice(0, 50)), output)
    return output, outputs(output)


def assert_untouched(output: Path, before: dict[str, pa.Table]) -> None:
    now = outputs(output)
    assert all(now[table].equals(before[table]) for table in prepare.TABLES)
    assert [path for path in (output / "_staging").rglob("*") if path.is_file()] == []


def test_the_sample_becomes_users_and_candidates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("sample", tmp_path)
    interactions = read_interactions("sample").table
    found = outputs(tmp_path)
    assert found["users"].schema.equals(USERS)
    assert found["users"]["user_id"].to_pylist() == sorted(set(interactions["user_id"].to_pylist()), key=str.encode)
    titles = sorted(set(interactions["movie_title"].to_pylist()), key=str.encode)
    assert found["candidates"]["movie_title"].to_pylist() == titles
    assert "movie_genres" in found["candidates"].column_names
    assert len(list((tmp_path / "candidates").iterdir())) == 1
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["interactions", "read", f"{interactions.num_rows:,}"] in printed
    assert ["users", "1,000"] in printed


def test_a_run_replaces_the_one_before_and_leaves_nothing_else(ready: tuple[Path, dict[str, pa.Table]]) -> None:
    output, before = ready
    run(write(output.parent / "all.parquet", ROWS), output)
    assert outputs(output)["users"].num_rows == 23
    assert not outputs(output)["users"].equals(before["users"])
    assert sorted(path.parent.name for path in output.rglob("*") if path.is_file()) == ["candidates", "users"]


def test_partitions_row_groups_and_files_change_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(write(tmp_path / "whole" / "a.parquet", ROWS), tmp_path / "one")
    for number in range(4):
        write(tmp_path / "parts" / f"{3 - number}.parquet", ROWS.slice(number * 100, 100), row_group_size=30)
    monkeypatch.setattr(prepare, "partitions_for", lambda *_: 5)
    monkeypatch.setattr(transforms, "USERS_A_ROW_GROUP", 3)
    run(tmp_path / "parts" / "*.parquet", tmp_path / "many")
    run(tmp_path / "parts", tmp_path / "again", "--direct_running_mode=multi_threading", "--direct_num_workers=2")
    one, many = outputs(tmp_path / "one"), outputs(tmp_path / "many")
    assert many["candidates"].equals(one["candidates"])
    assert many["users"].sort_by("user_id").equals(one["users"])

    written = sorted((tmp_path / "many" / "users").iterdir())
    assert [path.name[-22:] for path in written] == [f"{n:05}-of-00005.parquet" for n in range(5)]
    for path in written:
        file = parquet.ParquetFile(path)
        ids = file.read()["user_id"].to_pylist()
        assert ids == sorted(ids)
        assert max(file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)) <= 3
    again = sorted((tmp_path / "again" / "users").iterdir())
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in again]


def counts(text: str) -> dict[str, int]:
    lines = [line.rsplit(maxsplit=1) for line in text.splitlines() if line.startswith("  ")]
    return {name.strip(): int(number.replace(",", "")) for name, number in lines}


def test_rejects_are_counted_by_reason_whoever_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["user_id", "movie_title", "user_rating", "timestamp"]
    rows = pa.table(
        [["ann", "", "bob", "cyd"], ["a", "b", "", "c"], [1.0, 2.0, 3.0, float("nan")], [1, 2, 3, 4]], names=names
    )
    csv.write_csv(rows, tmp_path / "rows.csv")
    write(tmp_path / "rows.parquet", rows)
    found = []
    for name in ("rows.csv", "rows.parquet"):
        run(tmp_path / name, tmp_path / "out")
        found.append(counts(capsys.readouterr().out))
        assert outputs(tmp_path / "out")["users"].to_pylist() == [{"user_id": "ann", "seen": ["a"]}]
    assert found[0] == found[1]
    assert found[0] == {
        "interactions read": 4,
        "interactions rejected no movie title": 1,
        "interactions rejected no user id": 1,
        "interactions rejected rating not finite": 1,
        "titles": 1,
        "users": 1,
    }


def test_columns_go_by_other_names(tmp_path: Path) -> None:
    renamed = ROWS.rename_columns({"user_id": "uid", "movie_title": "film"})
    run(write(tmp_path / "theirs.parquet", renamed), tmp_path / "theirs", "--columns", "user_id=uid,movie_title=film")
    run(write(tmp_path / "ours.parquet", ROWS), tmp_path / "ours")
    assert outputs(tmp_path / "theirs")["users"].equals(outputs(tmp_path / "ours")["users"])


def damage(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:20] + bytes(200) + content[220:])


def test_a_failed_pipeline_leaves_what_was_there(ready: tuple[Path, dict[str, pa.Table]]) -> None:
    output, before = ready
    path = write(output.parent / "damaged.parquet", ROWS)
    damage(path)
    with pytest.raises(RunError):
        run(path, output)
    assert_untouched(output, before)


def test_a_replacement_that_fails_leaves_what_was_there(
    ready: tuple[Path, dict[str, pa.Table]], monkeypatch: pytest.MonkeyPatch
) -> None:
    output, before = ready
    rename = Path.rename

    def fail_at_candidates(self: Path, target: Path) -> Path:
        if Path(target) == output / "candidates" and "replaced" not in self.name:
            raise OSError("disk full")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_at_candidates)
    with pytest.raises(RunError, match="disk full"):
        run(write(output.parent / "all.parquet", ROWS), output)
    assert_untouched(output, before)


def not_utf8(folder: Path) -> Path:
    ids = pa.array([b"\xff" if n == 399 else b"ann" for n in range(400)], pa.binary())
    write(folder / "a.parquet", ROWS.set_column(0, "user_id", [pa.array([b"ann"] * 400, pa.binary())]))
    return write(folder / "b.parquet", ROWS.set_column(0, "user_id", [ids])).parent


def differing(folder: Path) -> Path:
    write(folder / "a.parquet", ROWS)
    return write(folder / "b.parquet", ROWS.drop_columns(["movie_genres"])).parent


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (not_utf8, "in/b.parquet: column 'user_id' cannot be read"),
        (differing, "in/b.parquet: has other columns than"),
        (lambda folder: write(folder / "a.parquet", ROWS.slice(0, 0)), "in/a.parquet: it has no rows"),
        (lambda folder: write(folder / "a.parquet", ROWS.drop_columns(["timestamp"])), "in/a.parquet: has no column"),
        (
            lambda folder: write(folder / "a.parquet", ROWS.set_column(0, "user_id", [[""] * 400])),
            "none of its rows can be used (400 with no user_id)",
        ),
        (lambda folder: folder / "nothing-*.parquet", "--dataset"),
    ],
)
def test_bad_input_is_one_line_and_leaves_what_was_there(
    ready: tuple[Path, dict[str, pa.Table]], make: Callable[[Path], Path], says: str
) -> None:
    output, before = ready
    with pytest.raises(InputError) as caught:
        run(make(output.parent / "in"), output)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert_untouched(output, before)


def test_a_file_that_is_no_parquet_is_one_line(tmp_path: Path) -> None:
    for name, content in (("empty.parquet", b""), ("text.parquet", b"user_id,movie_title\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: cannot be read as Parquet"):
            run(tmp_path / name, tmp_path / "out")


def test_an_output_that_cannot_be_written_is_told_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(InputError, match=r"--output .*file: cannot be written"):
        run(tmp_path / "no dataset", tmp_path / "file")


def test_into_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectStore, "objects", {})
    for rows in (ROWS.slice(0, 50), ROWS):
        run(write(tmp_path / "a.parquet", rows), "memory://bucket/work")
    paths = list_files("memory://bucket/**")
    assert [path.split("/")[-2] for path in paths] == ["candidates", "users"]
    assert [read_footer(path).rows for path in paths] == [len(set(ROWS["movie_title"].to_pylist())), 23]


def test_movielens_100k_by_folder_and_by_parquet(movielens_dir: Path, tmp_path: Path) -> None:
    run(movielens_dir, tmp_path / "folder")
    table = read_interactions(str(movielens_dir)).table
    for number in range(3):
        write(tmp_path / "parts" / f"{number}.parquet", table.slice(number * 40_000, 40_000))
    run(tmp_path / "parts" / "*.parquet", tmp_path / "parquet")
    folder, by_parquet = outputs(tmp_path / "folder"), outputs(tmp_path / "parquet")
    assert {name: table.num_rows for name, table in folder.items()} == {"users": 943, "candidates": 1_664}
    assert folder["users"].equals(by_parquet["users"])
    assert folder["candidates"].equals(by_parquet["candidates"])
    seen = dict(zip(*folder["users"].to_pydict().values(), strict=True))
    ratings = {(row["user_id"], row["movie_title"]) for row in table.select(["user_id", "movie_title"]).to_pylist()}
    assert {(user, title) for user, titles in seen.items() for title in titles} == ratings
    assert sum(map(len, seen.values())) == len(ratings)
