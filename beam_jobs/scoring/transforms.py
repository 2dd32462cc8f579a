"""Scoring as a Beam transform: from parts of the users table to files of recommendations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics.metric import Metrics

from beam_jobs.io import parquet_files, storage
from beam_jobs.io.schemas import CANDIDATES, ENCODED_RECOMMENDATIONS
from beam_jobs.pipeline.counters import NAMESPACE, add_counts, count
from beam_jobs.pipeline.parallelism import users_a_batch
from beam_jobs.pipeline.progress import report
from beam_jobs.run import RunSpec, ScoredPart, StagedRun
from beam_jobs.scoring.loaded_model import open_ranker
from beam_jobs.scoring.model_calls import ModelCalls
from beam_jobs.scoring.parts import Part
from beam_jobs.scoring.recommendations import LoadedCandidates, recommend
from model.cli import about
from model.contract import MOVIE_TITLE, SEEN, USER_ID

SCORING = "scoring"
"""The phase of a run in which users are reported."""
SEARCHED = (USER_ID, "rank", "score")
"""Columns of recommendations that readers select by."""


@dataclass  # Not frozen, because Beam sets a label on it.
class RankCandidates(beam.PTransform):
    """Find each user's best candidates and write them. Nothing is shuffled.

    A part that runs twice, after a failure or at the same time, writes the same file twice.
    """

    spec: RunSpec
    staged: StagedRun
    model: str
    """The model's folder."""
    users_schema: pa.Schema
    """`beam_jobs.io.schemas.USERS` or `USERS_WITH_VECTORS`."""
    threads: int | None
    """Threads of each worker process; None for all cores that it finds."""

    def expand(self, parts: beam.PCollection[Part]) -> beam.PCollection[ScoredPart]:
        """To a report of each part. The files are of `beam_jobs.io.schemas.RECOMMENDATIONS`."""
        rank = _RankPart(self.spec, self.staged, self.model, self.users_schema, self.threads)
        return parts | beam.ParDo(rank).with_output_types(ScoredPart)


class _RankPart(beam.DoFn):
    def __init__(
        self, spec: RunSpec, staged: StagedRun, model: str, users_schema: pa.Schema, threads: int | None
    ) -> None:
        self._spec, self._staged, self._model = spec, staged, model
        self._users_schema, self._threads = users_schema, threads

    def setup(self) -> None:
        self._ranker = open_ranker(self._model, self._threads, self._spec.model_version)
        with about("--candidates"):
            table = parquet_files.read_table(self._staged.candidates_file, CANDIDATES)
        self._candidates = LoadedCandidates(table[MOVIE_TITLE].combine_chunks(), self._ranker)
        self._users_a_batch = users_a_batch(self._spec.selection.top_n, self._threads)
        self._milliseconds = Metrics.distribution(NAMESPACE, "recommend_call-msec")
        self._calls = ModelCalls(self._called)

    def _called(self, users: int, pairs: int, seconds: float) -> None:
        self._milliseconds.update(int(1_000 * seconds))
        report(self._spec.run_id, SCORING, users)

    def process(self, part: Part) -> Iterator[ScoredPart]:
        began, counters = time.time(), dict[str, int]()
        report(self._spec.run_id, SCORING, 0)
        path = storage.join(self._staged.rows_folder(self._spec.run_date), part.file_name(self._spec.run_id))
        file = parquet_files.write_tables(
            self._recommendations(part, counters),
            ENCODED_RECOMMENDATIONS,
            path,
            self._staged.attempts_folder,
            searched=SEARCHED,
        )
        count(counters)
        yield ScoredPart(part.users_file, part.row_groups, file, counters, began)

    def _recommendations(self, part: Part, counters: dict[str, int]) -> Iterator[pa.Table]:
        """The recommendations of a batch of users at a time; adds to `counters`."""
        for users in self._read_users(part):
            with about(f"--users {part.users_file}:"):
                rows, more = recommend(users, self._ranker, self._candidates, self._spec.selection, self._calls)
            add_counts(counters, more)
            report(self._spec.run_id, SCORING, more["users_rejected_no_user_id"])
            yield rows

    def _read_users(self, part: Part) -> Iterator[pa.Table]:
        with about("--users"):
            yield from parquet_files.read_batches(
                part.users_file, self._users_schema, self._users_a_batch, part.row_groups, repeated=[SEEN]
            )
