"""Put a finished folder where readers look, in place of the one before it."""

from __future__ import annotations

import shutil
from pathlib import Path

from apache_beam.io.filesystems import FileSystems

from beam_jobs import files
from model.cli import RunError


def replace_folder(made: str, target: str) -> None:
    """Make the files of the folder `made` the contents of the folder `target`.

    On a local filesystem `made` is renamed to `target` after the former folder was renamed out of the way, and that
    is undone where the second step fails: readers find the one or the other, or for a moment neither. An object
    store renames nothing: there the new files, whose names must be new, are copied in before the former ones are
    deleted; a reader in that moment finds the rows of both.

    Raises:
      RunError: it cannot be done; `target` is as it was.
    """
    try:
        if files.is_local(made) and files.is_local(target):
            _rename(Path(made), Path(target))
        else:
            _copy(made, target)
    except Exception as error:  # Filesystems raise errors of their own.
        raise RunError(f"{target}: cannot be replaced ({error}); it is as it was") from error


def _rename(made: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    former = made.with_name(f"{made.name}-replaced")
    had_former = target.exists()
    if had_former:
        target.rename(former)
    try:
        made.rename(target)
    except OSError:
        if had_former:
            former.rename(target)
        raise
    shutil.rmtree(former, ignore_errors=True)


def _copy(made: str, target: str) -> None:
    former = files.list_files(files.join(target, "*"))
    added = []
    files.make_folder(target)
    try:
        # Rows before what describes them, so that a report never tells of files that are not there.
        for source in sorted(files.list_files(files.join(made, "*")), key=lambda path: not path.endswith(".parquet")):
            added.append(files.join(target, FileSystems.split(source)[1]))
            FileSystems.copy([source], [added[-1]])
    except Exception:
        files.delete(path for path in added if path not in former)
        raise
    files.delete(path for path in former if path not in added)
