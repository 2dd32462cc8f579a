"""The stages of jobs that are not run: what a job does with any input, from an empty one."""

from __future__ import annotations

import argparse

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs import prepare, score
from beam_jobs.io.schemas import CANDIDATES
from beam_jobs.pipeline.parallelism import threads_a_process
from beam_jobs.publishing.run_report import RunReport
from beam_jobs.scoring.candidates import CandidateList
from beam_jobs.scoring.recommendations import Selection
from beam_jobs.scoring.transforms import Plan
from beam_jobs.users.interactions import Source
from beam_jobs.users.transforms import HISTORY
from beam_jobs.users.user_vectors import UserVectors


def prepare_stages(args: argparse.Namespace, options: PipelineOptions) -> list[str]:
    """Names of the stages of `beam_jobs.prepare`."""
    schema = pa.schema([(name, pa.string()) for name in HISTORY])
    source = Source(paths=[], columns={}, rows=1, schema=schema, rejects={})
    vectors = UserVectors("-", paths=[], width=0, rows=0) if args.with_vectors else None
    return _labels(prepare.prepare_pipeline(source, vectors, args, args.output, "-", options))


def score_stages(args: argparse.Namespace, options: PipelineOptions) -> list[str]:
    """Names of the stages of `beam_jobs.score`."""
    report = RunReport(
        run_id="-",
        run_date=args.run_date,
        model_version="-",
        model_kind="-",
        score_kind="-",
        top_n=args.top_n,
        exclude_seen=args.exclude_seen,
        min_score=args.min_score,
        users=args.users,
        candidates=0,
        counters={"users_read": 0},
        seconds={},
        pairs_per_second=0.0,
        files=(),
        parts=(),
    )
    plan = Plan(
        report=report,
        model=args.model,
        candidates=CandidateList(CANDIDATES.empty_table(), {}),
        parts=[],
        with_vectors=False,
        selection=Selection(args.top_n, args.exclude_seen, args.min_score),
        output=args.output,
        threads=threads_a_process(options),
        stage_only=args.stage_only,
    )
    return _labels(score.score_pipeline(plan, options))


def _labels(pipeline: beam.Pipeline) -> list[str]:
    return [part.full_label for part in pipeline.transforms_stack[0].parts]
