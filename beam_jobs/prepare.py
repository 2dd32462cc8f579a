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
from apache_beam.io.parquetio import ReadAllFromParquetBatched, WriteToParquetBatched
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs import files, launch
from beam_jobs.histories import collect_histories, collect_titles, titles_schema
from beam_jobs.partition import partitions_for, split_by_hash
from beam_jobs.replace import replace_folders
from beam_jobs.run_report import render
from beam_jobs.schema import USERS
from model import datasets
from model.cli import FlagParser, InputError, run
from model.interactions import conform

TABLES = ("users", "candidates")
"""The folders that are written."""

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

    source: Source

    def expand(self, tables: beam.PCollection[pa.Table]) -> beam.PCollection[pa.Table]:
        """A table for each table."""
        return tables | beam.Map(self._conform).with_output_types(pa.Table)

    def _conform(self, table: pa.Table) -> pa.Table:
        conformed, rejects = conform(table, self.source.columns, self.source.paths[0])
        launch.count({"interactions_read": table.num_rows, **_counters(rejects)})
        return conformed


@dataclass  # not frozen: Beam sets a label on it
class CollectHistories(beam.PTransform):
    """Tables of interactions to tables of users. One shuffle, of tables: a user's rows meet in one partition."""

    partitions: int

    def expand(self, interactions: beam.PCollection[pa.Table]) -> beam.PCollection[pa.Table]:
        """To `beam_jobs.schema.USERS`, at most `USERS_A_ROW_GROUP` users a table."""
        return (
            interactions
            | "Split by user" >> beam.FlatMap(split_by_hash, self.partitions).with_output_types(tuple[int, pa.Table])
            | "Meet by user" >> beam.GroupByKey()
            | "Collect" >> beam.FlatMapTuple(_histories).with_output_types(pa.Table)
        )


@dataclass  # not frozen: Beam sets a label on it
class CollectTitles(beam.PTransform):
    """Tables of interactions to one table of the titles in them, reduced on every worker before they meet."""

    schema: pa.Schema

    def expand(self, interactions: beam.PCollection[pa.Table]) -> beam.PCollection[pa.Table]:
        """To one table of `schema`, sorted by title."""
        return interactions | beam.CombineGlobally(collect_titles, self.schema).with_output_types(pa.Table)


def build_parser() -> FlagParser:
    """The flags of this command; what it does not know goes to Beam."""
    parser = FlagParser(prog="python -m beam_jobs.prepare", description="Turn interactions into users and candidates.")
    datasets.add_flags(parser)
    parser.add_argument("--output", required=True, help="folder that gets users/ and candidates/, local or gs://")
    return parser


def prepare(args: argparse.Namespace, options: PipelineOptions) -> dict[str, int]:
    """Write `users/` and `candidates/` into `args.output`, both once both are complete.

    Returns:
      Counters.

    Raises:
      InputError: the dataset cannot be used, or the output cannot be written.
      RunError: the pipeline failed.
    """
    run_id = uuid.uuid4().hex[:8]
    files.check_writable(args.output, "--output")
    staged = files.join(args.output, "_staging", f"prepare-{run_id}")
    try:
        source = open_source(args, files.join(staged, "interactions"))
        counters = launch.run(prepare_pipeline(source, staged, run_id, options))
        counters = {**_counters(source.rejects), **counters}
        if not counters.get("users"):
            raise InputError(f"--dataset {args.dataset}: none of its rows can be used; {render(counters)}")
        replace_folders({files.join(staged, table): files.join(args.output, table) for table in TABLES})
    finally:
        files.delete([staged])
    return counters


def open_source(args: argparse.Namespace, folder: str) -> Source:
    """The dataset's own files where it is Parquet, so that workers read them; else it is read here and written anew.

    Raises:
      InputError: the dataset cannot be used.
    """
    columns = datasets.parse_columns(args.columns)
    paths = datasets.parquet_files(args.dataset)
    if paths:
        footers = [files.read_footer(path, "--dataset") for path in paths]
        conformed = [
            conform(schema.empty_table(), columns, path)[0].schema
            for path, (schema, _) in zip(paths, footers, strict=True)
        ]
        return Source(paths, columns, sum(rows for _, rows in footers), conformed[0], {})
    interactions = datasets.read_from_flags(args)
    path = files.join(folder, "part.parquet")
    files.write_table(interactions.table, path, ROWS_A_GROUP)
    rows, schema = interactions.table.num_rows, interactions.table.schema
    return Source([path], {}, rows, schema, interactions.rejects)


def prepare_pipeline(source: Source, staged: str, run_id: str, options: PipelineOptions) -> beam.Pipeline:
    """Interactions in, users and candidates out."""
    candidates = titles_schema(source.schema)
    pipeline = beam.Pipeline(options=options)
    interactions = (
        pipeline
        | "List interactions files" >> beam.Create(source.paths)
        | "Read interactions" >> ReadAllFromParquetBatched()
        | "Conform" >> ConformInteractions(source)
    )
    _ = (
        interactions
        | "Collect histories" >> CollectHistories(partitions_for(source.rows))
        | "Write users" >> _write(files.join(staged, "users"), run_id, USERS)
    )
    _ = (
        interactions
        | "Collect titles" >> CollectTitles(candidates)
        | "Count titles" >> beam.Map(_count_titles).with_output_types(pa.Table)
        | "Write candidates" >> _write(files.join(staged, "candidates"), run_id, candidates)
    )
    return pipeline


def main(argv: Sequence[str]) -> None:
    """Prepare, and say what came out."""
    args, options = launch.parse(build_parser(), argv)
    print(render(prepare(args, options)))
    print(f"written: {files.join(args.output, 'users')} and {files.join(args.output, 'candidates')}")


def _write(folder: str, run_id: str, schema: pa.Schema) -> WriteToParquetBatched:
    return WriteToParquetBatched(
        files.join(folder, f"part-{run_id}"), schema, codec="snappy", file_name_suffix=".parquet"
    )


def _histories(_: int, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    users = collect_histories(pa.concat_tables(tables, promote_options="default"))
    launch.count({"users": users.num_rows})
    for start in range(0, users.num_rows, USERS_A_ROW_GROUP):
        yield users.slice(start, USERS_A_ROW_GROUP)


def _count_titles(titles: pa.Table) -> pa.Table:
    launch.count({"titles": titles.num_rows})
    return titles


def _counters(rejects: Mapping[str, int]) -> dict[str, int]:
    return {f"interactions_rejected_{reason.replace(' ', '_')}": rows for reason, rows in rejects.items()}


if __name__ == "__main__":
    run(main)
