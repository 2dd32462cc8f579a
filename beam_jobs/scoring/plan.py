"""The plan of a scoring run: everything is checked and nothing is written yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from beam_jobs.publishing.publication import published_folder
from beam_jobs.run import RunSpec, StagedRun
from beam_jobs.scoring.candidates import CandidateList
from beam_jobs.scoring.parts import Part


@dataclass(frozen=True)
class Plan:
    """What a run is asked to do, and what it works with."""

    spec: RunSpec
    model: str
    """The model's folder."""
    candidates: CandidateList
    parts: Sequence[Part]
    users_schema: pa.Schema
    """`beam_jobs.io.schemas.USERS` or `USERS_WITH_VECTORS`."""
    output: str
    threads: int | None
    """Threads of each worker process; None for all cores that it finds."""
    stage_only: bool = False
    """Stop before the audit, so that nothing is published."""

    @property
    def staged(self) -> StagedRun:
        """Where everything is written first."""
        return StagedRun.of(self.spec, self.output)

    @property
    def destination(self) -> str:
        """The folder of the recommendations when the run is done."""
        run_date = self.spec.run_date
        return self.staged.rows_folder(run_date) if self.stage_only else published_folder(self.output, run_date)
