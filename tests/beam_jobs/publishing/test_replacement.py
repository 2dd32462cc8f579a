"""Folders take the place of others whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_jobs.publishing.replacement import replace_folders
from model.cli import RunError
from tests.object_store import ObjectStore


def write(folder: Path, **contents: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_text(content)
    return str(folder)


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_folder_takes_the_place_of_none(tmp_path: Path) -> None:
    made = write(tmp_path / "staged" / "users", new="1")
    replace_folders({made: str(tmp_path / "deep" / "users")})
    assert read(tmp_path / "deep" / "users") == {"new": "1"}
    assert list((tmp_path / "staged").iterdir()) == []


def test_nothing_of_the_former_folder_stays(tmp_path: Path) -> None:
    write(tmp_path / "users", old="0", both="0")
    made = write(tmp_path / "staged" / "users", new="1", both="1")
    replace_folders({made: str(tmp_path / "users")})
    assert read(tmp_path / "users") == {"new": "1", "both": "1"}
    assert list((tmp_path / "staged").iterdir()) == []


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_every_folder_is_as_it_was_where_a_step_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """Two folders take four renames: each of the four fails once."""
    targets = [tmp_path / name for name in ("users", "candidates")]
    made = {}
    for target in targets:
        write(target, old=target.name)
        made[write(tmp_path / "staged" / target.name, new=target.name)] = str(target)
    rename, calls = Path.rename, 0

    def fail_once(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError("no space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_once)
    with pytest.raises(RunError, match="no space left on device") as caught:
        replace_folders(made)
    assert "\n" not in str(caught.value)
    for target in targets:
        assert read(target) == {"old": target.name}
        assert read(tmp_path / "staged" / target.name) == {"new": target.name}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    monkeypatch.setattr(ObjectStore, "objects", {})
    monkeypatch.setattr(ObjectStore, "fail_on", None)
    return ObjectStore.objects


STAGED = {"memory://b/staged/part-2.parquet": b"2", "memory://b/staged/_run.json": b"run 2"}
FORMER = {"memory://b/out/part-1.parquet": b"1", "memory://b/out/_run.json": b"run 1"}


def test_in_an_object_store_new_files_come_before_former_ones_go(store: dict[str, bytes]) -> None:
    store.update(STAGED | FORMER)
    replace_folders({"memory://b/staged": "memory://b/out"})
    assert store == STAGED | {"memory://b/out/part-2.parquet": b"2", "memory://b/out/_run.json": b"run 2"}


@pytest.mark.parametrize("fails", ["write memory://b/out/part-2", "write memory://b/out/_run"])
def test_an_object_store_is_as_it_was_where_a_copy_fails(
    store: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    store.update(STAGED | FORMER)
    monkeypatch.setattr(ObjectStore, "fail_on", fails)
    with pytest.raises(RunError, match="all targets are as they were"):
        replace_folders({"memory://b/staged": "memory://b/out"})
    assert store == STAGED | FORMER


def test_a_former_file_that_stays_is_named(store: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    store.update(STAGED | FORMER)
    monkeypatch.setattr(ObjectStore, "fail_on", "delete memory://b/out/part-1")
    with pytest.raises(RunError, match=r"memory://b/out/part-1\.parquet: cannot be deleted"):
        replace_folders({"memory://b/staged": "memory://b/out"})
    assert store["memory://b/out/part-2.parquet"] == b"2"
