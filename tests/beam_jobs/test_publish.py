"""Publishing: only what was audited becomes visible, and what was visible stays until it does."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyarrow import dataset, parquet

from beam_jobs import audit, publish
from beam_jobs.io import parquet_files, storage
from beam_jobs.publishing.publication import publish as publish_run
from model.cli import InputError, RunError
from tests import staging
from tests.object_store import ObjectStore
from tests.staging import DATE, Staged


@pytest.fixture
def staged(tmp_path: Path) -> Staged:
    """A run that passed the audit."""
    made = staging.stage(str(tmp_path))
    audit.main(["--staged", made.folder])
    return made


def visible(output: Path) -> dict[str, bytes]:
    """Every file that a reader may see, by its place."""
    table = output / "recommendations"
    return {str(path.relative_to(table)): path.read_bytes() for path in table.rglob("*") if path.is_file()}


def publish_earlier(output: Path) -> dict[str, bytes]:
    """Two partitions of earlier runs: of the same date and of another."""
    for date in (DATE, "2024-02-28"):
        partition = output / "recommendations" / f"run_date={date}"
        partition.mkdir(parents=True)
        (partition / "part-r0-0.parquet").write_bytes(b"rows of r0")
        (partition / "_run.json").write_text("report of r0")
    return visible(output)


def test_an_audited_run_becomes_visible_and_staging_goes(
    staged: Staged, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audited = {Path(path).name: Path(path).read_bytes() for path in staged.parts}
    publish.main(["--staged", staged.folder, "--output", str(tmp_path)])
    partition = tmp_path / "recommendations" / f"run_date={DATE}"
    assert capsys.readouterr().out == f"published: {partition}\n"
    assert {path.name: path.read_bytes() for path in partition.glob("*.parquet")} == audited
    rows = dataset.dataset(tmp_path / "recommendations", partitioning="hive").to_table()
    assert rows.num_rows == sum(parquet.read_metadata(path).num_rows for path in partition.glob("*.parquet"))
    assert set(rows["run_date"].to_pylist()) == {DATE}
    assert not Path(staged.folder).exists()


def test_a_partition_is_replaced_whole_and_others_stay(staged: Staged, tmp_path: Path) -> None:
    before = publish_earlier(tmp_path)
    publish_run(staged.run, str(tmp_path))
    now = visible(tmp_path)
    assert {place for place in now if DATE in place} == {
        f"run_date={DATE}/{name}" for name in ("_run.json", *(Path(path).name for path in staged.parts))
    }
    other = {place: content for place, content in before.items() if DATE not in place}
    assert {place: now[place] for place in other} == other


def forget(staged: Staged) -> None:
    Path(staged.run.audit_file).unlink()


def change_rows(staged: Staged) -> None:
    """Of equal count and size."""
    size = Path(staged.parts[0]).stat().st_size
    rows = parquet.read_table(staged.parts[0])
    titles = rows["movie_title"].to_pylist()
    titles[0], titles[1] = titles[1], titles[0]
    staged.change_part(0, rows.set_column(2, rows.schema.field(2), [titles]), describe=False)
    assert Path(staged.parts[0]).stat().st_size == size


def remove_part(staged: Staged) -> None:
    Path(staged.parts[1]).unlink()


def add_part(staged: Staged) -> None:
    parquet_files.write_table(parquet.read_table(staged.parts[0]), storage.join(staged.rows_folder, "part-r9.parquet"))


def change_report(staged: Staged) -> None:
    staged.change_counter("users_read", 9)


@pytest.mark.parametrize("change", [forget, change_rows, remove_part, add_part, change_report])
def test_what_was_not_audited_as_it_is_stays_hidden(staged: Staged, tmp_path: Path, change) -> None:
    before = publish_earlier(tmp_path)
    change(staged)
    with pytest.raises(InputError, match=r"audit it again|has not passed the audit") as caught:
        publish_run(staged.run, str(tmp_path))
    assert staged.folder in str(caught.value)
    assert visible(tmp_path) == before
    assert Path(staged.rows_folder).is_dir()


@pytest.mark.parametrize("failing", [1, 2])
def test_what_was_published_stays_when_a_renaming_fails(
    staged: Staged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    before = publish_earlier(tmp_path)
    rename, calls = Path.rename, 0

    def fail_once(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError("input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_once)
    with pytest.raises(RunError, match="input/output error"):
        publish_run(staged.run, str(tmp_path))
    assert visible(tmp_path) == before
    monkeypatch.undo()
    publish_run(staged.run, str(tmp_path))
    assert visible(tmp_path) != before


def test_outputs_that_cannot_be_written_are_refused_first(staged: Staged, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(InputError, match="--output"):
        publish.main(["--staged", staged.folder, "--output", str(tmp_path / "file")])
    assert Path(staged.rows_folder).is_dir()


def test_in_an_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectStore, "objects", {})
    work = "memory://bucket/work"
    former = f"{work}/recommendations/run_date={DATE}/part-r0-0.parquet"
    parquet_files.write_table(staging.pa.table({"former": [1]}), former)
    staged = staging.stage(work)
    audit.main(["--staged", staged.folder])
    monkeypatch.setattr(ObjectStore, "fail_on", f"write {work}/recommendations/run_date={DATE}/part-r1-2")
    with pytest.raises(RunError, match="all targets are as they were"):
        publish_run(staged.run, work)
    assert storage.list_files(f"{work}/recommendations/**") == [former]
    monkeypatch.setattr(ObjectStore, "fail_on", None)
    monkeypatch.setattr(ObjectStore, "opened", [])
    partition = publish_run(staged.run, work)
    assert [ObjectStore.opened.count(path) for path in staged.parts] == [1, 1, 1], "a footer is read more than once"
    names = [path.removeprefix(f"{partition}/") for path in storage.list_files(f"{work}/recommendations/**")]
    assert names == ["_run.json", *(path.removeprefix(f"{staged.rows_folder}/") for path in staged.parts)]
    assert storage.list_files(f"{work}/_staging/**") == []
