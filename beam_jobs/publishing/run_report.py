"""`_run.json`: what a run of `score` did, kept with its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from beam_jobs.io import storage
from model.cli import InputError

FILE = "_run.json"


@dataclass(frozen=True)
class RunReport:
    """Inputs, counters and timings of a run, and the files that it wrote."""

    run_id: str
    run_date: str
    model_version: str
    model_kind: str
    score_kind: str
    top_n: int
    exclude_seen: bool
    min_score: float | None
    users: str
    """The glob of the users table."""
    candidates: int
    """Titles that could be recommended."""
    counters: Mapping[str, int]
    seconds: Mapping[str, float]
    """Wall time by stage: `score`, from the first part begun to all of them ranked and audited."""
    pairs_per_second: float
    files: tuple[Mapping[str, Any], ...]
    """`name`, `rows`, `bytes` and `checksum` of each file of rows, by name."""
    parts: tuple[tuple[str, int, int, int], ...]
    """Of each of these files its name and whose rows it has: the number of a file of the users table, from 0 in the
    order of their names; its first row group, and the first after those."""

    def write(self, folder: str) -> None:
        """Write the report into the folder of the rows."""
        storage.write_json(asdict(self), storage.join(folder, FILE))

    @classmethod
    def read(cls, folder: str, flag: str) -> RunReport:
        """The report in a folder. Raises InputError, naming `flag`, where there is none or it lacks a field."""
        document = storage.read_json(storage.join(folder, FILE), flag)
        names = {field.name for field in fields(cls)}
        if not isinstance(document, dict) or set(document) != names:
            raise InputError(f"{flag} {storage.join(folder, FILE)}: not a report of beam_jobs.score; run it again")
        return cls(**{**document, "files": tuple(document["files"]), "parts": tuple(map(tuple, document["parts"]))})


def candidates_file(staged: str) -> str:
    """The candidates as a run has them, so that every worker scores, and the audit checks, one list in one order."""
    return storage.join(staged, "candidates.parquet")


def find_partition(staged: str) -> str:
    """The folder `run_date=D` of rows in a staged folder. Raises InputError where there is not one."""
    found = storage.list_files(storage.join(staged, "run_date=*", FILE), "--staged")
    if len(found) != 1:
        raise InputError(f"--staged {staged}: holds no run; give the folder that beam_jobs.score --stage_only named")
    return found[0][: -len(FILE) - 1]


def render(counters: Mapping[str, int]) -> str:
    """Counters as a small table of text, in the order given."""
    width = max(map(len, counters), default=0)
    return "\n".join(f"  {name.replace('_', ' '):{width}}  {value:>15,}" for name, value in counters.items())
