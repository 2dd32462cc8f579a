"""The audit as a Beam transform: from files of recommendations to what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import apache_beam as beam
import pyarrow as pa

from beam_jobs.auditing.rules import Findings, check_distinct, check_rows, merge
from beam_jobs.auditing.tasks import AuditTask, read_side_by_side
from beam_jobs.io import parquet_files
from beam_jobs.io.lookup import as_array
from beam_jobs.io.schemas import CANDIDATES, USERS
from beam_jobs.pipeline.parallelism import users_a_batch
from beam_jobs.pipeline.progress import report
from beam_jobs.pipeline.shuffle import split_to_shuffle, unpack
from beam_jobs.run import RunSpec
from model.cli import about
from model.contract import MOVIE_TITLE, USER_ID

AUDITING = "auditing"
"""The phase of a run in which users are reported."""
IDS_A_PARTITION = 1 << 16
"""User ids that one worker holds at a time to see that they are distinct."""

_IDS = pa.schema([USERS.field(USER_ID)])


@dataclass  # Not frozen, because Beam sets a label on it.
class FindViolations(beam.PTransform):
    """Check files of recommendations against the users that they are for.

    Recommendations are not shuffled. They are in the order of the users table, so both are read side by side, a batch
    of users at a time. One shuffle brings equal user ids together, because a repeated user may be in two files.
    """

    spec: RunSpec
    candidates_file: str
    """Of `beam_jobs.io.schemas.CANDIDATES`. Workers read it, as it may be too large to travel with the code."""
    user_count: int
    """Rows of the users table, for the number of partitions."""
    threads: int | None
    """Threads of each worker process; None for all cores that it finds."""

    def expand(self, tasks: beam.PCollection[AuditTask]) -> beam.PCollection[Findings]:
        """To one element, the merged findings."""
        partitions = max(1, -(-self.user_count // IDS_A_PARTITION))
        batch = users_a_batch(self.spec.selection.top_n, self.threads)
        found = tasks | "Check rows" >> beam.FlatMap(
            _check_rows, self.candidates_file, self.spec, batch
        ).with_output_types(Findings)
        repeated = (
            tasks
            | "Read user ids" >> beam.FlatMap(_read_ids).with_output_types(pa.Table)
            | "Split by user" >> beam.FlatMap(split_to_shuffle, partitions).with_output_types(tuple[int, bytes])
            | "Meet by user" >> beam.GroupByKey()
            | "Check that users are distinct" >> beam.MapTuple(_check_distinct)
        )
        return (found, repeated) | beam.Flatten() | "Merge" >> beam.CombineGlobally(merge)


def _check_rows(task: AuditTask, candidates_file: str, spec: RunSpec, users_a_batch: int) -> Iterator[Findings]:
    report(spec.run_id, AUDITING, 0)
    candidates = _read_candidates(candidates_file)
    for users, rows in read_side_by_side(task, users_a_batch, users_a_batch * spec.selection.top_n):
        yield check_rows(users, rows, candidates, spec.selection, spec.model_version)
        report(spec.run_id, AUDITING, users.num_rows)


@lru_cache(maxsize=1)
def _read_candidates(path: str) -> pa.Array:
    """Read once for each process. The path is unique to the run."""
    with about("--staged"):
        return parquet_files.read_table(path, CANDIDATES)[MOVIE_TITLE].combine_chunks()


def _read_ids(task: AuditTask) -> Iterator[pa.Table]:
    with about("--users"):
        yield from parquet_files.read_batches(task.users_file, _IDS, IDS_A_PARTITION, task.row_groups)


def _check_distinct(_: int, packed: Iterable[bytes]) -> Findings:
    ids = pa.concat_tables(table.cast(_IDS) for table in unpack(packed))[USER_ID]
    return check_distinct(as_array(ids))
