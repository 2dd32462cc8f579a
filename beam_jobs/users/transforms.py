"""Interactions to users with their watch history, and to titles, as Beam transforms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.parquetio import ReadAllFromParquetBatched

from beam_jobs.io import parquet_files
from beam_jobs.pipeline.counters import count
from beam_jobs.pipeline.progress import report
from beam_jobs.pipeline.shuffle import split_to_shuffle, unpack
from beam_jobs.users.user_vectors import VECTORS, UserVectors, join_vectors, separate_vectors
from beam_jobs.users.watch_history import collect_histories, collect_titles
from model.contract import MOVIE_TITLE, TIMESTAMP, USER_ID
from model.data.interactions import conform
from model.dataset_flags import about_dataset

HISTORY = (USER_ID, MOVIE_TITLE, TIMESTAMP)
"""The columns that make a watch history. No others are shuffled."""

REJECTS = "rejects"
Rejects = Mapping[str, int]
"""Rows that cannot be used, by reason."""

READING, WRITING = "reading", "writing"
"""The phases of a run in which interactions and users are reported."""

READ = "interactions_read"
"""Counts all rows, including those that cannot be used."""

USERS_A_ROW_GROUP = 8_192
"""Workers share a users file by its row groups, so these are small: each takes some seconds to score."""


@dataclass  # Not frozen, because Beam sets a label on it.
class ConformInteractions(beam.PTransform):
    """Bring tables to `model.data.interactions.SCHEMA`, and count the rows that cannot be used."""

    columns: Mapping[str, str]
    """Our names of columns to those in the tables, where they differ."""
    run_id: str
    """Names the run that progress is reported for."""

    def expand(
        self, read: beam.PCollection[tuple[str, pa.Table]]
    ) -> tuple[beam.PCollection[pa.Table], beam.PCollection[Rejects]]:
        """From tables, each with the path of its file, to as many tables; and to the rows left out, by reason."""
        conformed = read | beam.FlatMapTuple(self._conform).with_outputs(REJECTS, main="tables")
        return conformed["tables"], conformed[REJECTS]

    def _conform(self, path: str, table: pa.Table) -> Iterator[pa.Table | beam.pvalue.TaggedOutput]:
        with about_dataset():
            conformed, rejects = conform(table, self.columns, path)
        count({READ: table.num_rows, **reject_counters(rejects)})
        report(self.run_id, READING, table.num_rows)
        yield conformed
        if rejects:
            yield beam.pvalue.TaggedOutput(REJECTS, rejects)


@dataclass  # Not frozen, because Beam sets a label on it.
class CollectHistories(beam.PTransform):
    """Collect each user's watch history. One shuffle, of tables, brings a user's rows together in one partition.

    Where there are user vectors, the same shuffle brings each user's vector.
    """

    partitions: int
    vectors: UserVectors | None

    def expand(self, interactions: beam.PCollection[pa.Table]) -> beam.PCollection[tuple[int, pa.Table]]:
        """To `beam_jobs.io.schemas.USERS` or `USERS_WITH_VECTORS`: each partition's users in one table, by id."""
        tables = interactions | "Keep history" >> beam.Map(pa.Table.select, HISTORY).with_output_types(pa.Table)
        version = None
        if self.vectors:
            vectors = (
                interactions.pipeline
                | "List vectors files" >> beam.Create(self.vectors.paths)
                | "Read vectors" >> ReadAllFromParquetBatched(columns=VECTORS.names)
            )
            tables = (tables, vectors) | "With vectors" >> beam.Flatten()
            version = self.vectors.model_version
        return (
            tables
            | "Split by user" >> beam.FlatMap(split_to_shuffle, self.partitions).with_output_types(tuple[int, bytes])
            | "Meet by user" >> beam.GroupByKey()
            | "Collect" >> beam.FlatMapTuple(_collect_users, version).with_output_types(tuple[int, pa.Table])
        )


@dataclass  # Not frozen, because Beam sets a label on it.
class CollectTitles(beam.PTransform):
    """Collect the distinct titles in tables of interactions. Each worker reduces its own before they meet."""

    schema: pa.Schema

    def expand(self, interactions: beam.PCollection[pa.Table]) -> beam.PCollection[pa.Table]:
        """To one table of `schema`, sorted by title."""
        return interactions | beam.CombineGlobally(collect_titles, self.schema).with_output_types(pa.Table)


@dataclass  # Not frozen, because Beam sets a label on it.
class WriteUsers(beam.PTransform):
    """Write a file for each partition. So the files do not depend on the workers, and a retry writes the same file."""

    prefix: str
    """Of the files' paths."""
    partitions: int
    run_id: str
    """Names the run that progress is reported for."""

    def expand(self, histories: beam.PCollection[tuple[int, pa.Table]]) -> beam.PCollection[str]:
        """To the path of each file, once it is written."""
        return histories | beam.MapTuple(self._write)

    def _write(self, partition: int, users: pa.Table) -> str:
        count({"users": users.num_rows})
        path = f"{self.prefix}-{partition:05}-of-{self.partitions:05}.parquet"
        parquet_files.write_table(users, path, USERS_A_ROW_GROUP)
        report(self.run_id, WRITING, users.num_rows)
        return path


def reject_counters(rejects: Rejects) -> dict[str, int]:
    """Rows that cannot be used, by the name of their counter."""
    return {f"interactions_rejected_{reason.replace(' ', '_')}": rows for reason, rows in rejects.items()}


def _collect_users(
    partition: int,
    packed: Iterable[bytes],
    version: str | None = None,  # Beam asks for a default.
) -> Iterator[tuple[int, pa.Table]]:
    """The users of a partition. With `version`, user vectors of that model are among the tables."""
    histories, vectors = separate_vectors(unpack(packed))
    given = 0
    if histories:
        users = collect_histories(pa.concat_tables(histories))
        if version:
            users, given = join_vectors(users, vectors, version)
        yield partition, users
    if version:
        count({"users_with_vector": given, "vectors_unused": vectors.num_rows - given})
