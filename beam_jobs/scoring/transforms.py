"""Scoring as Beam transforms: parts of the users table to files of recommendations, and these into readers' sight."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics.metric import Metrics

from beam_jobs import audit, publish
from beam_jobs.io import parquet_files, storage
from beam_jobs.io.schemas import CANDIDATES, ENCODED_RECOMMENDATIONS, USERS, USERS_WITH_VECTORS
from beam_jobs.pipeline import progress
from beam_jobs.pipeline.counters import NAMESPACE, add_counts, count
from beam_jobs.pipeline.parallelism import users_a_batch
from beam_jobs.publishing.run_report import RunReport, candidates_file
from beam_jobs.scoring.candidates import CandidateList
from beam_jobs.scoring.loaded_model import open_ranker
from beam_jobs.scoring.parts import Part
from beam_jobs.scoring.recommendations import Calls, Candidates, Selection, recommend
from model.contract import MOVIE_TITLE, SEEN, USER_ID

SEARCHED = (USER_ID, "rank", "score")
"""Columns of recommendations that readers select by."""

Scored = dict[str, Any]
"""What became of a `part`: its `file`, as `beam_jobs.io.parquet_files.describe` has it; `counts` by name; when it
`began`, in seconds since 1970. Counts travel with the rows because Beam's counters may count a part twice that ran
twice."""


@dataclass(frozen=True)
class Plan:
    """A run that has been checked: all that scoring needs to know, and nothing has been written yet."""

    report: RunReport
    """As far as it is known beforehand."""
    model: str
    candidates: CandidateList
    parts: Sequence[Part]
    with_vectors: bool
    """Whether users come with their vectors."""
    selection: Selection
    output: str
    threads: int | None
    """Cores that one process may use; None for all that it finds."""
    stage_only: bool

    @property
    def staged(self) -> str:
        """The folder that everything is written to first, where no reader looks."""
        return storage.join(self.output, "_staging", f"{self.report.run_date}-{self.report.run_id}")


@dataclass  # not frozen: Beam sets a label on it
class RankCandidates(beam.PTransform):
    """Parts of the users table to files of recommendations: each user's best candidates. Nothing is shuffled.

    A part that runs twice, after a failure or beside itself, writes the same file twice.
    """

    plan: Plan

    def expand(self, parts: beam.PCollection[Part]) -> beam.PCollection[Scored]:
        """A `Scored` for each part; the files are of `beam_jobs.io.schemas.RECOMMENDATIONS`."""
        return parts | beam.ParDo(_RankPart(self.plan)).with_output_types(Scored)


class _RankPart(beam.DoFn):
    def __init__(self, plan: Plan) -> None:
        self._model, self._threads, self._selection = plan.model, plan.threads, plan.selection
        self._staged, self._report = plan.staged, plan.report
        self._schema = USERS_WITH_VECTORS if plan.with_vectors else USERS

    def setup(self) -> None:
        self._ranker = open_ranker(self._model, self._threads, self._report.model_version)
        table = parquet_files.read_table(candidates_file(self._staged), CANDIDATES, "--candidates")
        self._candidates = Candidates(table[MOVIE_TITLE].combine_chunks(), self._ranker)
        self._users_a_batch = users_a_batch(self._selection.top_n, self._threads)
        self._progress = progress.of_run(self._report.run_id, self._report.counters["users_read"])
        self._milliseconds = Metrics.distribution(NAMESPACE, "recommend_call-msec")
        self._calls = Calls(self._called)

    def _called(self, users: int, pairs: int, seconds: float) -> None:
        self._milliseconds.update(int(1_000 * seconds))
        self._progress.add(users, pairs)

    def process(self, part: Part) -> Iterator[Scored]:
        began, counts = time.time(), dict[str, int]()
        path = storage.join(partition_of(self._staged, self._report), part.file_name(self._report.run_id))
        file = parquet_files.write_tables(
            self._recommendations(part, counts),
            ENCODED_RECOMMENDATIONS,
            path,
            storage.join(self._staged, "attempts"),
            searched=SEARCHED,
        )
        count(counts)
        yield {"part": part, "file": file, "counts": counts, "began": began}

    def _recommendations(self, part: Part, counts: dict[str, int]) -> Iterator[pa.Table]:
        """A batch of users at a time; adds to `counts`."""
        batches = parquet_files.read_batches(
            part.users_file, self._schema, "--users", self._users_a_batch, part.row_groups, repeated=[SEEN]
        )
        for users in batches:
            rows, more = recommend(users, self._ranker, self._candidates, self._selection, self._calls)
            add_counts(counts, more)
            yield rows


@dataclass  # not frozen: Beam sets a label on it
class Conclude(beam.PTransform):
    """Write the run's report; where the rows were audited, publish them."""

    plan: Plan
    findings: beam.PCollection[audit.Findings] | None
    """What the audit found; None where there was none."""

    def expand(self, scored: beam.PCollection[Scored]) -> beam.PCollection[None]:
        """What became of all parts; nothing but files comes out."""
        once = scored.pipeline | "Once" >> beam.Create([None])
        place = (self.plan.report, self.plan.staged)
        if self.findings is None:
            return once | "Report" >> beam.Map(_report, *place, beam.pvalue.AsList(scored))
        return once | "Report and publish" >> beam.Map(
            _publish, *place, beam.pvalue.AsList(scored), beam.pvalue.AsSingleton(self.findings), self.plan.output
        )


def pair_of(scored: Scored, partition: str) -> audit.Pair:
    """A part's users and its recommendations, in the folder `partition`."""
    part: Part = scored["part"]
    return audit.Pair(storage.join(partition, scored["file"]["name"]), part.users_file, part.row_groups)


def partition_of(staged: str, report: RunReport) -> str:
    """The folder of the rows, in `staged`."""
    return storage.join(staged, f"run_date={report.run_date}")


def _report(_: None, report: RunReport, staged: str, scored: Sequence[Scored]) -> RunReport:
    """Complete the report by what became of the parts, and write it."""
    counters = {name: count for name, count in report.counters.items() if name.startswith("candidates")}
    counts: dict[str, int] = {}
    for part in scored:
        add_counts(counts, part["counts"])
    seconds = time.time() - min(part["began"] for part in scored)
    complete = replace(
        report,
        counters=counts | counters,
        seconds={"score": seconds},
        pairs_per_second=counts["pairs_scored"] / max(seconds, 1e-3),
        files=tuple(sorted((part["file"] for part in scored), key=lambda file: file["name"])),
    )
    complete.write(partition_of(staged, report))
    return complete


def _publish(
    _: None, report: RunReport, staged: str, scored: Sequence[Scored], findings: audit.Findings, output: str
) -> None:
    """Report, hold the audit's findings against it, and publish. Done once already, it does nothing."""
    if publish.is_published(report, output):
        return
    complete = _report(None, report, staged, scored)
    row_files = audit.describe_rows(staged, partition_of(staged, report))
    audit.conclude(staged, complete, row_files, report.counters["users_read"], findings)
    publish.publish(staged, output)
