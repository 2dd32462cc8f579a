"""Put finished folders where readers look, in place of the former ones."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from apache_beam.io.filesystems import FileSystems

from beam_jobs.io import storage
from model.cli import RunError


def replace_folders(made: Mapping[str, str]) -> None:
    """Put finished folders in their places.

    On a local filesystem each target is renamed out of the way, and the finished folder is renamed to it. Where a step
    fails, all of them are undone. Readers find the former folder or the new one, or for a moment neither.

    An object store cannot rename. There the new files are copied in before the former ones are deleted, so the new
    files need new names, and a reader in that moment finds both.

    Args:
      made: the target of each finished folder.

    Raises:
      RunError: a folder cannot be replaced. The targets are as they were, or the message says which file is not.
    """
    if all(storage.is_local(folder) for folder in (*made, *made.values())):
        _rename({Path(source): Path(target) for source, target in made.items()})
    else:
        _copy(made)


def _rename(made: Mapping[Path, Path]) -> None:
    moved: list[tuple[Path, Path]] = []
    formers = []
    try:
        for source, target in made.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                former = source.with_name(f"{source.name}-replaced")
                moved.append((target, target.rename(former)))
                formers.append(former)
            moved.append((source, source.rename(target)))
    except OSError as error:
        for source, target in reversed(moved):
            target.rename(source)
        raise RunError(f"{target}: cannot be replaced ({error}); all targets are as they were") from error
    for former in formers:
        shutil.rmtree(former, ignore_errors=True)


def _copy(made: Mapping[str, str]) -> None:
    copies = {
        path: storage.join(made[folder], FileSystems.split(path)[1]) for folder in made for path in _inside(folder)
    }
    former = {path for target in made.values() for path in _inside(target)} - set(copies.values())
    present = former | {target for target in copies.values() if FileSystems.exists(target)}
    for folder in made.values():
        storage.make_folder(folder)
    try:
        # The rows come before the report, so that a report never lists files that are not there yet.
        for source in sorted(copies, key=lambda path: not path.endswith(".parquet")):
            FileSystems.copy([source], [copies[source]])
    except Exception as error:  # Filesystems raise errors of their own.
        storage.delete(path for path in copies.values() if path not in present)
        raise RunError(f"{copies[source]}: cannot be written ({error}); all targets are as they were") from error
    try:
        storage.delete(former)
    except Exception as error:
        raise RunError(f"{min(former)}: cannot be deleted ({error}); delete it, a newer file is beside it") from error


def _inside(folder: str) -> list[str]:
    return storage.list_files(storage.join(folder, "*"))
