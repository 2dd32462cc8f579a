"""The audit over a staged run: what passes, and that damage anywhere in it is told and never passes."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from beam_jobs import audit
from beam_jobs.auditing import transforms
from beam_jobs.io import parquet_files, storage
from beam_jobs.io.schemas import USERS
from beam_jobs.pipeline import parallelism
from beam_jobs.run import PlannedFile, Selection
from model.cli import InputError, RunError
from tests import staging
from tests.object_store import ObjectStore
from tests.staging import Staged


@pytest.fixture
def staged(tmp_path: Path) -> Staged:
    return staging.stage(str(tmp_path))


def run(staged: Staged, *flags: str) -> None:
    audit.main(["--staged", staged.folder, *flags])


def passed(staged: Staged) -> bool:
    return storage.exists(staged.run.audit_file)


def test_a_good_run_passes_and_says_so(staged: Staged, capsys: pytest.CaptureFixture[str]) -> None:
    run(staged)
    assert capsys.readouterr().out == f"passed: {staged.folder}\n"
    report = storage.read_json(staged.run.audit_file)["report"]
    assert [file["name"] for file in report["files"]] == [Path(path).name for path in staged.parts]
    assert all(len(file["checksum"]) == 64 for file in report["files"])


def test_partitions_change_nothing(staged: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforms, "IDS_A_PARTITION", 7)
    run(staged)
    assert passed(staged)
    change("rank", 17, 9)(staged)
    change("score", 100, 9.0)(staged)
    with pytest.raises(RunError) as caught:
        run(staged)
    assert "ranks are not 1, 2, 3 and so on: " in str(caught.value)
    assert "score rises with rank: 1, such as user " in str(caught.value)


@pytest.mark.parametrize("users", [1, 3, 8])
def test_the_size_of_batches_changes_nothing(staged: Staged, monkeypatch: pytest.MonkeyPatch, users: int) -> None:
    monkeypatch.setattr(parallelism, "USERS_A_BATCH", (1, users))
    run(staged)
    assert passed(staged)
    change("movie_title", 80, "title 29")(staged)
    with pytest.raises(RunError) as caught:
        run(staged)
    assert "title was seen by the user: 1, such as user 'user 20', rank 1, title 'title 29'" in str(caught.value)


def test_users_of_whom_the_report_knows_no_file_are_named(staged: Staged) -> None:
    staged.change_spec(files=(*staging.FILES[:1], staging.FILES[2]))
    with pytest.raises(RunError) as caught:
        run(staged)
    assert "user does not have as many rows as the candidates left allow: 10, such as user 'user 20'" in str(
        caught.value
    )
    staged.change_spec(files=(*staging.FILES[:2], PlannedFile("part-r1-2.parquet", 5, 0, 1)))
    with pytest.raises(RunError, match="user is missing from the users table, or elsewhere in it: 80"):
        run(staged)


def test_an_object_store_is_audited_in_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectStore, "objects", {})
    staged = staging.stage("memory://bucket/work")
    run(staged)
    assert passed(staged)


def test_each_footer_is_read_once_before_workers_read_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectStore, "objects", {})
    staged = staging.stage("memory://bucket/work")
    monkeypatch.setattr(ObjectStore, "opened", [])
    run(staged)
    opened = Counter(ObjectStore.opened)
    # A worker reads a file of recommendations once, and the users that it is for twice: their rows, and their ids.
    assert [opened[path] for path in staged.parts] == [1 + 1] * 3
    # Each users file is for two tasks; that of the last row group has no recommendations.
    users = storage.list_files("memory://bucket/work/users/*")
    assert [opened[path] for path in users] == [1 + 2 * 2] * 2


def change(column: str, row: int, value: object) -> Callable[[Staged], None]:
    """Another value in one row of the rows of all parts together."""

    def damage(staged: Staged) -> None:
        part = bisect.bisect(staging.PART_STARTS, row) - 1
        place = row - staging.PART_STARTS[part]
        rows = parquet.read_table(staged.parts[part])
        values = rows[column].to_pylist()
        values[place] = value
        field = rows.schema.field(column)
        number = rows.column_names.index(column)
        staged.change_part(part, rows.set_column(number, field, pa.chunked_array([pa.array(values, field.type)])))

    return damage


def select(*args: object, **values: object) -> Callable[[Staged], None]:
    """Another selection than the run was made by."""
    return lambda staged: staged.change_spec(selection=Selection(*args, **values))


def drop_rows(staged: Staged) -> None:
    staged.change_part(0, parquet.read_table(staged.parts[0]).slice(1))


def repeat_part(staged: Staged) -> None:
    """As a worker that ran twice would."""
    staged.change_part(1, pa.concat_tables([parquet.read_table(path) for path in staged.parts[:2]]))


def swap_parts(staged: Staged) -> None:
    first, second = (parquet.read_table(path) for path in staged.parts[:2])
    staged.change_part(0, second)
    staged.change_part(1, first)


def other_type(staged: Staged) -> None:
    rows = parquet.read_table(staged.parts[1])
    staged.change_part(1, rows.set_column(1, "rank", rows["rank"].cast(pa.int64())))


def cut(staged: Staged) -> None:
    path = Path(staged.parts[2])
    path.write_bytes(path.read_bytes()[:-9])


def unlisted(staged: Staged) -> None:
    staged.change_part(2, parquet.read_table(staged.parts[2])[:-1], describe=False)


def more_parts(staged: Staged) -> None:
    parquet_files.write_table(
        parquet.read_table(staged.parts[0])[:0], storage.join(staged.rows_folder, "part-r0.parquet")
    )


def stray(staged: Staged) -> None:
    (Path(staged.rows_folder) / "notes.txt").write_text("not a part")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (change("movie_title", 80, None), "null in movie_title: 1, such as user 'user 20', rank 1"),
        (change("score", 3, float("nan")), "score is not finite: 1, such as user 'user 00', rank 4"),
        (change("model_version", 3, "v0"), "model_version is not the run's: 1"),
        (drop_rows, "counter rows_written differs from the files"),
        (repeat_part, "user is missing from the users table, or elsewhere in it: 114, such as user 'user 00', rank 1"),
        (swap_parts, "user is missing from the users table, or elsewhere in it: 114"),
        (other_type, "part-r1-1.parquet: column 'rank' is int64; it must be int32"),
        (cut, "part-r1-2.parquet: cannot be read as Parquet"),
        (unlisted, "files differ from those that the report lists"),
        (more_parts, "files differ from those that the report lists"),
        (stray, "a file that is not the run's, "),
        (lambda staged: staged.change_counter("rows_written", 1), "rows_written differs from the files: 1, such as"),
        (lambda staged: staged.change_counter("users_read", 50), "report 50, files 51"),
        (lambda staged: staged.change_counter("users_without_rows", 1), "counter users_without_rows differs"),
        (lambda staged: staged.change_counter("users_rejected_no_user_id", 0), "counter users_rejected_no_user_id"),
        (lambda staged: staged.change_counter("pairs_scored", 7), "counter pairs_scored differs"),
        (lambda staged: staged.change_counter("candidates", 7), "counter candidates differs"),
        (
            lambda staged: staged.change_spec(selection=Selection(5)),
            "user does not have as many rows as the candidates left allow",
        ),
        (
            lambda staged: staged.change_spec(selection=Selection(staging.TOP_N, min_score=4.5)),
            "score is below min_score",
        ),
    ],
)
def test_damage_is_told_and_does_not_pass(staged: Staged, damage: Callable[[Staged], None], says: str) -> None:
    storage.write_json({}, staged.run.audit_file)
    damage(staged)
    with pytest.raises(RunError) as caught:
        run(staged)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not passed(staged), "an earlier audit still vouches for it"


def write_users(staged: Staged, *rows: tuple[str, list[str]]) -> str:
    columns = [list(column) for column in zip(*rows, strict=True)]
    path = storage.join(staged.work, "users", "more.parquet")
    parquet_files.write_table(pa.table(columns, schema=USERS), path)
    return path


def test_a_user_who_is_twice_in_the_users_table_is_named(staged: Staged) -> None:
    write_users(staged, ("user 07", []))
    with pytest.raises(InputError, match="user 'user 07'"):
        run(staged)
    assert not passed(staged)


def test_a_user_whom_the_run_missed_is_named(staged: Staged) -> None:
    write_users(staged, ("late", []))
    with pytest.raises(RunError, match="as many rows as the candidates left allow: 1, such as user 'late'"):
        run(staged)


def test_users_may_have_moved(staged: Staged, tmp_path: Path) -> None:
    (tmp_path / "users").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"--users .*no file matches"):
        run(staged)
    run(staged, "--users", str(tmp_path / "elsewhere"))
    assert passed(staged)


def test_what_is_no_staged_run_is_refused(staged: Staged, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        audit.main(["--staged", str(tmp_path / "nothing")])
    (Path(staged.rows_folder) / "_run.json").write_text("{}")
    with pytest.raises(InputError, match="not a report"):
        run(staged)
