"""Turn interactions into the tables that scoring reads: users with what each has seen, and candidates.

python -m beam_jobs.prepare --dataset sample --output runs/local
"""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.parquetio import ReadAllFromParquetBatched
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs import files, launch, tables
from beam_jobs.histories import collect_histories, collect_titles, titles_schema
from beam_jobs.partition import partitions_for, split_by_hash
from beam_jobs.replace import replace_folders
from beam_jobs.run_report import render
from beam_jobs.vectors import VECTORS, UserVectors, divide, find_vectors, join_vectors
from model import datasets
from model.cli import FlagParser, InputError, run
from model.contract import MOVIE_TITLE, TIMESTAMP, USER_ID
from model.interactions import add_rejects, conform

TABLES = ("users", "candidates")
"""The folders that are written."""
HISTORY = (USER_ID, MOVIE_TITLE, TIMESTAMP)
"""The columns that a user's history is made of; no others are shuffled."""

REJECTS = "rejects"
Rejects = Mapping[str, int]
"""Rows that cannot be used, by reason."""

READ = "interactions_read"
"""Counts all rows, those included that cannot be used."""

ROWS_A_GROUP = 1 << 17
USERS_A_ROW_GROUP = 8_192
"""Workers share a users file by its row groups, so these are small: some seconds of scoring each."""


@dataclass(frozen=True)
class Source:
    """Interactions as Parquet files, as they came or as they were just written."""

    paths: Sequence[str]
    columns: Mapping[str, str]
    """Our names to the files', where they differ."""
    rows: int
    schema: pa.Schema
    """Of the interactions once conformed."""
    rejects: Mapping[str, int]
    """Rows that were left out before the files were written, by reason."""


@dataclass  # not frozen: Beam sets a label on it
class ConformInteractions(beam.PTransform):
    """Tables as the files have them to `model.interactions.SCHEMA`; rows that cannot be used are counted."""

    columns: Mapping[str, str]

    def expand(
        self, read: beam.PCollection[tuple[str, pa.Table]]
    ) -> tuple[beam.PCollection[pa.Table], beam.PCollection[Rejects]]:
        """A table for each table, which comes with the path of its file; and the rows left out, by reason."""
        conformed = read | beam.FlatMapTuple(self._conform).with_outputs(REJECTS, main="tables")
        return conformed["tables"], conformed[REJECTS]

    def _conform(self, path: str, table: pa.Table) -> Iterator[pa.Table | beam.pvalue.TaggedOutput]:
        conformed, rejects = conform(table, self.columns, path)
        launch.count({READ: table.num_rows, **_counters(rejects)})
        yield conformed
        if rejects:
            yield beam.pvalue.TaggedOutput(REJECTS, rejects)


@dataclass  # not frozen: Beam sets a label on it
class CollectHistories(beam.PTransform):
    """Tables of interactions to tables of users. One shuffle, of tables: a user's rows meet in one partition.

    The user's vector, where there are vectors, is one of them.
    """

    partitions: int
    vectors: UserVectors | None

    def expand(self, interactions: beam.PCollection[pa.Table]) -> beam.PCollection[tuple[int, pa.Table]]:
        """To `beam_jobs.schema.USERS`, or `USERS_WITH_VECTORS`; each partition's users in one table, sorted by id."""
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
            | "Split by user" >> beam.FlatMap(split_by_hash, self.partitions).with_output_types(tuple[int, pa.Table])
            | "Meet by user" >> beam.GroupByKey()
            | "Collect" >> beam.FlatMapTuple(_users, version).with_output_types(tuple[int, pa.Table])
        )


@dataclass  # not frozen: Beam sets a label on it
class CollectTitles(beam.PTransform):
    """Tables of interactions to one table of the titles in them, reduced on every worker before they meet."""

    schema: pa.Schema

    def expand(self, interactions: beam.PCollection[pa.Table]) -> beam.PCollection[pa.Table]:
        """To one table of `schema`, sorted by title."""
        return interactions | beam.CombineGlobally(collect_titles, self.schema).with_output_types(pa.Table)


@dataclass  # not frozen: Beam sets a label on it
class WriteUsers(beam.PTransform):
    """A file for a partition, whatever workers there are: so the files are the same, and a retry writes one anew."""

    prefix: str
    partitions: int

    def expand(self, histories: beam.PCollection[tuple[int, pa.Table]]) -> beam.PCollection[str]:
        """The path of each file, once it is written."""
        return histories | beam.MapTuple(self._write)

    def _write(self, partition: int, users: pa.Table) -> str:
        launch.count({"users": users.num_rows})
        path = f"{self.prefix}-{partition:05}-of-{self.partitions:05}.parquet"
        tables.write_table(users, path, USERS_A_ROW_GROUP)
        return path


def build_parser() -> FlagParser:
    """The flags of this command; what it does not know goes to Beam."""
    parser = FlagParser(prog="python -m beam_jobs.prepare", description="Turn interactions into users and candidates.")
    datasets.add_flags(parser)
    parser.add_argument("--output", required=True, help="folder that gets users/ and candidates/, local or gs://")
    parser.add_argument(
        "--with_vectors",
        metavar="MODEL",
        help="folder of a model whose users' vectors lie beside it: add them to users/",
    )
    launch.add_no_wait(parser)
    return parser


def prepare(args: argparse.Namespace, options: PipelineOptions) -> dict[str, int] | None:
    """Write `users/` and `candidates/` into `args.output`, both once both are complete.

    Returns:
      Counters; None where the pipeline was submitted and not waited for.

    Raises:
      InputError: the dataset cannot be used, or the output cannot be written.
      RunError: the pipeline failed.
    """
    run_id = uuid.uuid4().hex[:8]
    vectors = find_vectors(args.with_vectors, "--with_vectors") if args.with_vectors else None
    files.check_writable(args.output, "--output")
    staged = files.join(args.output, "_staging", f"prepare-{run_id}")
    try:
        source = open_source(args, files.join(staged, "interactions"))
        counters = launch.run(prepare_pipeline(source, vectors, args, staged, run_id, options), wait=not args.no_wait)
    except BaseException:
        files.delete_staged(staged)
        raise
    if counters is None:
        return None
    counters[READ] += sum(source.rejects.values())
    return dict(sorted((counters | _counters(source.rejects)).items()))


def open_source(args: argparse.Namespace, folder: str) -> Source:
    """The dataset's own files where it is Parquet, so that workers read them; else it is read here and written anew.

    Raises:
      InputError: the dataset cannot be used.
    """
    columns = datasets.parse_columns(args.columns)
    paths = datasets.parquet_files(args.dataset)
    if paths:
        return _check_parquet(args.dataset, paths, columns)
    interactions = datasets.read_from_flags(args)
    path = files.join(folder, "part.parquet")
    tables.write_table(interactions.table, path, ROWS_A_GROUP)
    rows, schema = interactions.table.num_rows, interactions.table.schema
    return Source([path], {}, rows, schema, interactions.rejects)


def prepare_pipeline(
    source: Source,
    vectors: UserVectors | None,
    args: argparse.Namespace,
    staged: str,
    run_id: str,
    options: PipelineOptions,
) -> beam.Pipeline:
    """Interactions in, and perhaps vectors; users and candidates out, and in their places once both are complete."""
    partitions = partitions_for(source.rows, vectors.rows * vectors.width if vectors else 0)
    pipeline = beam.Pipeline(options=options)
    interactions, rejects = (
        pipeline
        | "List interactions files" >> beam.Create(source.paths)
        | "Read interactions" >> ReadAllFromParquetBatched(with_filename=True)
        | "Conform" >> ConformInteractions(source.columns)
    )
    users = (
        interactions
        | "Collect histories" >> CollectHistories(partitions, vectors)
        | "Write users" >> WriteUsers(files.join(staged, "users", f"part-{run_id}"), partitions)
    )
    candidates = (
        interactions
        | "Collect titles" >> CollectTitles(titles_schema(source.schema))
        | "Write candidates" >> beam.Map(_write_titles, files.join(staged, "candidates", f"part-{run_id}.parquet"))
    )
    written = (beam.pvalue.AsList(users), beam.pvalue.AsList(candidates), beam.pvalue.AsList(rejects))
    _ = (
        pipeline
        | "Once" >> beam.Create([source.rejects])
        | "Publish" >> beam.Map(_publish, staged, args.output, args.dataset, *written)
    )
    return pipeline


def main(argv: Sequence[str]) -> None:
    """Prepare, and say what came out."""
    args, options = launch.parse(build_parser(), argv)
    counters = prepare(args, options)
    print("submitted; when it is done:" if counters is None else f"{render(counters)}\nwritten:", end=" ")
    print(f"{files.join(args.output, 'users')} and {files.join(args.output, 'candidates')}")


def _check_parquet(dataset: str, paths: Sequence[str], columns: Mapping[str, str]) -> Source:
    """Raises InputError: a file is not Parquet, lacks a column, or has other columns than the first; or no rows."""
    footers = [tables.read_footer(path, "--dataset") for path in paths]
    schemas = [
        conform(found.empty_table(), columns, path)[0].schema for path, (found, _) in zip(paths, footers, strict=True)
    ]
    kinds = [set(zip(schema.names, schema.types, strict=True)) for schema in schemas]
    for path, found in zip(paths, kinds, strict=True):
        if differing := {name for name, _ in found ^ kinds[0]}:
            names = ", ".join(sorted(differing))
            raise InputError(
                f"--dataset {path}: has other columns than {paths[0]} or of other types ({names}); "
                "give files with equal columns"
            )
    rows = sum(sum(groups) for _, groups in footers)
    if not rows:
        raise InputError(f"--dataset {dataset}: it has no rows; give one that has interactions")
    return Source(paths, columns, rows, schemas[0], {})


def _users(partition: int, parts: Iterable[pa.Table], version: str | None = None) -> Iterator[tuple[int, pa.Table]]:
    """A partition's users; with `version` also their vectors, of the model of that version, are among the parts."""
    histories, vectors = divide(parts)
    given = 0
    if histories:
        users = collect_histories(pa.concat_tables(histories))
        if version:
            users, given = join_vectors(users, vectors, version)
        yield partition, users
    if version:
        launch.count({"users_with_vector": given, "vectors_unused": vectors.num_rows - given})


def _write_titles(titles: pa.Table, path: str) -> str:
    launch.count({"titles": titles.num_rows})
    tables.write_table(titles, path)
    return path


def _publish(
    rejects: Rejects,
    staged: str,
    output: str,
    dataset: str,
    users: Sequence[str],
    candidates: Sequence[str],
    more: Sequence[Rejects],
) -> None:
    """Put both tables in their places. Done once already, it does nothing.

    Raises:
      InputError: no row could be used, so there is no user.
    """
    if not users:
        total = dict(rejects)
        for counts in more:
            add_rejects(total, counts)
        reasons = ", ".join(f"{rows:,} with {reason}" for reason, rows in sorted(total.items()))
        raise InputError(f"--dataset {dataset}: none of its rows can be used ({reasons})")
    there = [table for table in TABLES if files.list_files(files.join(staged, table, "*"))]
    replace_folders({files.join(staged, table): files.join(output, table) for table in there})
    files.delete_staged(staged)


def _counters(rejects: Mapping[str, int]) -> dict[str, int]:
    return {f"interactions_rejected_{reason.replace(' ', '_')}": rows for reason, rows in rejects.items()}


if __name__ == "__main__":
    run(main)
