"""One run of scoring: what it is asked to do, where its files are until they are published, and what it did."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from beam_jobs.io import storage
from beam_jobs.io.parquet_files import FileDescription
from beam_jobs.pipeline.counters import add_counts
from model.cli import InputError

REPORT_FILE = "_run.json"
"""The report, in the folder of the run's recommendations."""


@dataclass(frozen=True)
class Selection:
    """Which of the scored candidates become recommendations. Raises InputError for values that make no sense."""

    top_n: int
    """Recommendations for each user at most."""
    exclude_seen: bool = True
    """Leave out the titles that the user has seen."""
    min_score: float | None = None
    """Leave out recommendations with a lower score; None leaves out none."""

    def __post_init__(self) -> None:
        if self.top_n < 1:
            raise InputError(f"top_n is {self.top_n}; give a whole number of at least 1")
        if self.min_score is not None and not math.isfinite(self.min_score):
            raise InputError(f"min_score is {self.min_score}; give a finite number")


class PlannedFile(NamedTuple):
    """A file of recommendations, and the users that it is for: consecutive row groups of a file of the users table."""

    name: str
    users_file: int
    """The number of the file, from 0, in the order of the files' names."""
    first_row_group: int
    past_row_group: int
    """The number after that of the last row group."""


@dataclass(frozen=True)
class RunSpec:
    """What a run is asked to do. Raises InputError for values that make no sense."""

    run_id: str
    run_date: str
    """YYYY-MM-DD."""
    model_version: str
    model_kind: str
    score_kind: str
    selection: Selection
    users_glob: str
    """The files of the users table."""
    user_count: int
    """Rows of the users table."""
    candidate_count: int
    """Titles that can be recommended."""
    files: tuple[PlannedFile, ...]
    """The files of recommendations that the run is to write."""

    def __post_init__(self) -> None:
        if not self.run_id:
            raise InputError("run_id is empty; name the run")
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", self.run_date):
            raise InputError(f"run_date is {self.run_date!r}; write it as YYYY-MM-DD")
        if min(self.user_count, self.candidate_count) < 0:
            raise InputError(f"there are {self.user_count} users and {self.candidate_count} candidates; count them")


@dataclass(frozen=True)
class ScoredPart:
    """What a worker reports of a part of the users table that it has scored.

    Counters travel with the rows, because Beam's own counters may count a part twice that ran twice.
    """

    users_file: str
    row_groups: range
    file: FileDescription
    """The recommendations."""
    counters: Mapping[str, int]
    began: float
    """When scoring began, in seconds since 1970."""


@dataclass(frozen=True)
class RunReport:
    """What a run did."""

    spec: RunSpec
    counters: Mapping[str, int]
    seconds: Mapping[str, float]
    """Wall time of each stage: `score` is from the start of the first part until all are ranked and audited."""
    pairs_per_second: float
    """Pairs of a user and a candidate."""
    files: tuple[FileDescription, ...]
    """The files of recommendations, by name."""

    @classmethod
    def of_parts(
        cls, spec: RunSpec, parts: Sequence[ScoredPart], candidate_counters: Mapping[str, int], ended: float
    ) -> RunReport:
        """Sum up what the workers report.

        Args:
          spec: the run.
          parts: all its parts.
          candidate_counters: counted when the candidates were read.
          ended: the time at which all parts are done, in seconds since 1970.
        """
        counters: dict[str, int] = {}
        for part in parts:
            add_counts(counters, part.counters)
        seconds = ended - min(part.began for part in parts)
        return cls(
            spec,
            counters=counters | dict(candidate_counters),
            seconds={"score": seconds},
            pairs_per_second=counters["pairs_scored"] / max(seconds, 1e-3),
            files=tuple(sorted((part.file for part in parts), key=lambda file: file["name"])),
        )

    def as_json(self) -> dict[str, Any]:
        """The report as `_run.json` holds it: one flat object."""
        spec, selection = self.spec, self.spec.selection
        return {
            "run_id": spec.run_id,
            "run_date": spec.run_date,
            "model_version": spec.model_version,
            "model_kind": spec.model_kind,
            "score_kind": spec.score_kind,
            "top_n": selection.top_n,
            "exclude_seen": selection.exclude_seen,
            "min_score": selection.min_score,
            "users": spec.users_glob,
            "candidates": spec.candidate_count,
            "counters": dict(self.counters),
            "seconds": dict(self.seconds),
            "pairs_per_second": self.pairs_per_second,
            "files": list(self.files),
            "parts": [list(file) for file in spec.files],
        }

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> RunReport:
        """The report that `as_json` made. Raises KeyError, TypeError or InputError for any other document."""
        names = ("run_id", "run_date", "model_version", "model_kind", "score_kind")
        spec = RunSpec(
            **{name: document[name] for name in names},
            selection=Selection(document["top_n"], document["exclude_seen"], document["min_score"]),
            users_glob=document["users"],
            user_count=document["counters"].get("users_read", 0),
            candidate_count=document["candidates"],
            files=tuple(PlannedFile(*file) for file in document["parts"]),
        )
        report = cls(
            spec, document["counters"], document["seconds"], document["pairs_per_second"], tuple(document["files"])
        )
        if set(document) != set(report.as_json()):
            raise KeyError("a field that no report has")
        return report

    def write(self, folder: str) -> None:
        """Write the report into the folder of the recommendations."""
        storage.write_json(self.as_json(), storage.join(folder, REPORT_FILE))

    @classmethod
    def read(cls, folder: str) -> RunReport:
        """The report in a folder. Raises InputError where there is none, or where it lacks a field or has another."""
        path = storage.join(folder, REPORT_FILE)
        document = storage.read_json(path)
        try:
            return cls.of_json(document)
        except (AttributeError, InputError, KeyError, TypeError):
            raise InputError(f"{path}: not a report of `nightrank score`; run it again") from None


@dataclass(frozen=True)
class StagedRun:
    """The folder that holds a run until it is published. No reader looks there."""

    folder: str

    @classmethod
    def of(cls, spec: RunSpec, output: str) -> StagedRun:
        """Where the run `spec` stages what it will publish in the folder `output`."""
        return cls(storage.join(output, "_staging", f"{spec.run_date}-{spec.run_id}"))

    @property
    def candidates_file(self) -> str:
        """The run's candidates. All workers score, and the audit checks, this one list in this one order."""
        return storage.join(self.folder, "candidates.parquet")

    @property
    def attempts_folder(self) -> str:
        """Files of recommendations that are still being written."""
        return storage.join(self.folder, "attempts")

    @property
    def findings_file(self) -> str:
        """What the audit's pipeline found, for the process that started it."""
        return storage.join(self.folder, "findings.json")

    @property
    def audit_file(self) -> str:
        """Says that the run passed the audit, and with which files."""
        return storage.join(self.folder, "audit.json")

    def rows_folder(self, run_date: str) -> str:
        """The folder of the recommendations and the report."""
        return storage.join(self.folder, f"run_date={run_date}")

    def read_report(self) -> RunReport:
        """The run's report. Raises InputError where the folder does not hold exactly one run."""
        found = storage.list_files(storage.join(self.folder, "run_date=*", REPORT_FILE))
        if len(found) != 1:
            raise InputError(f"{self.folder}: holds no run; give the folder that `nightrank score --stage_only` named")
        return RunReport.read(found[0].removesuffix(f"/{REPORT_FILE}"))
