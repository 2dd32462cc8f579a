"""Turn interactions into the tables that scoring reads: users with what each has seen, and candidates.

nightrank prepare --dataset sample --output runs/local
"""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Sequence

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.parquetio import ReadAllFromParquetBatched
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.io import parquet_files, storage
from beam_jobs.pipeline import execution
from beam_jobs.pipeline.counters import as_table, count
from beam_jobs.pipeline.options import add_no_wait, parse_flags
from beam_jobs.pipeline.progress import Phase
from beam_jobs.pipeline.shuffle import partitions_for
from beam_jobs.publishing.replacement import replace_folders
from beam_jobs.users.interactions import Source, open_source
from beam_jobs.users.transforms import (
    READ,
    READING,
    WRITING,
    CollectHistories,
    CollectTitles,
    ConformInteractions,
    Rejects,
    WriteUsers,
    reject_counters,
)
from beam_jobs.users.user_vectors import UserVectors, find_vectors
from beam_jobs.users.watch_history import titles_schema
from model.cli import FlagParser, InputError, about, run
from model.data.interactions import add_rejects
from model.dataset_flags import about_dataset, add_dataset_flags, read_columns

TABLES = ("users", "candidates")
"""The folders to write."""


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(
        prog="nightrank prepare",
        description="Turn interactions into the tables of users and candidates.",
        example="nightrank prepare --dataset sample --output runs/local",
        passes_on="Beam",
    )
    add_dataset_flags(parser)
    parser.add_argument("--output", required=True, help="folder that gets users/ and candidates/, local or gs://")
    parser.add_argument(
        "--with_vectors", metavar="MODEL", help="folder of a model with user vectors beside it: add them to users/"
    )
    add_no_wait(parser)
    return parser


def main(argv: Sequence[str]) -> None:
    """Prepare, and say what came out."""
    args, options = parse_flags(build_parser(), argv)
    counters = prepare(args, options)
    print("submitted; when it is done:" if counters is None else f"{as_table(counters)}\nwritten:", end=" ")
    print(f"{storage.join(args.output, 'users')} and {storage.join(args.output, 'candidates')}")


def prepare(args: argparse.Namespace, options: PipelineOptions) -> dict[str, int] | None:
    """Write `users/` and `candidates/` into `args.output`. They appear together, once both are complete.

    Returns:
      Counters; None where the pipeline was submitted and not waited for.

    Raises:
      InputError: the dataset cannot be used, or the output cannot be written.
      RunError: the pipeline failed.
    """
    run_id = uuid.uuid4().hex[:8]
    with about("--with_vectors"):
        vectors = find_vectors(args.with_vectors) if args.with_vectors else None
    with about("--output"):
        storage.check_writable(args.output)
    staged = storage.join(args.output, "_staging", f"prepare-{run_id}")
    try:
        columns, folder = read_columns(args), storage.join(staged, "interactions")
        with about_dataset():
            source = open_source(args.dataset, columns, args.tfds_data_dir, folder)
        pipeline = prepare_pipeline(source, vectors, args, staged, run_id, options)
        counters = execution.run(pipeline, not args.no_wait, run_id, phases(source))
    except BaseException:
        storage.delete_staged(staged)
        raise
    if counters is None:
        return None
    counters[READ] += sum(source.rejects.values())
    return dict(sorted((counters | reject_counters(source.rejects)).items()))


def phases(source: Source) -> list[Phase]:
    """What the run does, for whoever watches it."""
    return [Phase(READING, source.rows, "interactions"), Phase(WRITING, unit="users")]


def prepare_pipeline(
    source: Source,
    vectors: UserVectors | None,
    args: argparse.Namespace,
    staged: str,
    run_id: str,
    options: PipelineOptions,
) -> beam.Pipeline:
    """Interactions in, and perhaps user vectors; users and candidates out, put in their places when both are done."""
    partitions = partitions_for(source.rows, vectors.rows * vectors.width if vectors else 0)
    pipeline = beam.Pipeline(options=options)
    interactions, rejects = (
        pipeline
        | "List interactions files" >> beam.Create(source.paths)
        | "Read interactions" >> ReadAllFromParquetBatched(with_filename=True)
        | "Conform" >> ConformInteractions(source.columns, run_id)
    )
    users = (
        interactions
        | "Collect histories" >> CollectHistories(partitions, vectors)
        | "Write users" >> WriteUsers(storage.join(staged, "users", f"part-{run_id}"), partitions, run_id)
    )
    candidates = (
        interactions
        | "Collect titles" >> CollectTitles(titles_schema(source.schema))
        | "Write candidates" >> beam.Map(_write_titles, storage.join(staged, "candidates", f"part-{run_id}.parquet"))
    )
    written = (beam.pvalue.AsList(users), beam.pvalue.AsList(candidates), beam.pvalue.AsList(rejects))
    _ = (
        pipeline
        | "Once" >> beam.Create([source.rejects])
        | "Publish" >> beam.Map(_publish, staged, args.output, args.dataset, *written)
    )
    return pipeline


def _write_titles(titles: pa.Table, path: str) -> str:
    count({"titles": titles.num_rows})
    parquet_files.write_table(titles, path)
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
    """Put both tables in their places. A second call, as a runner may make, does nothing.

    Raises:
      InputError: no row of the dataset can be used, so there is no user.
    """
    if not users:
        total = dict(rejects)
        for counts in more:
            add_rejects(total, counts)
        reasons = ", ".join(f"{rows:,} with {reason}" for reason, rows in sorted(total.items()))
        raise InputError(f"--dataset {dataset}: none of its rows can be used ({reasons})")
    there = [table for table in TABLES if storage.list_files(storage.join(staged, table, "*"))]
    replace_folders({storage.join(staged, table): storage.join(output, table) for table in there})
    storage.delete_staged(staged)


if __name__ == "__main__":
    run(main)
