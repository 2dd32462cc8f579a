"""A preview of a night that is not submitted: each job with its stages."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs import prepare, score
from beam_jobs.dataflow import submission
from beam_jobs.dataflow.night import Job, Night
from beam_jobs.io.schemas import CANDIDATES, USERS
from beam_jobs.pipeline.parallelism import threads_a_process
from beam_jobs.run import RunSpec, Selection
from beam_jobs.scoring.candidates import CandidateList
from beam_jobs.scoring.plan import Plan
from beam_jobs.users.interactions import Source
from beam_jobs.users.transforms import HISTORY
from beam_jobs.users.user_vectors import UserVectors


def describe(night: Night, jobs: Sequence[Job]) -> str:
    """What would be submitted, and the stages of each job, as text for a person to read.

    Raises:
      InputError: the template has no parameter for one of the night's flags.
    """
    lines = []
    for job in jobs:
        args, options = job.parse()
        if night.flex_template:
            lines.append(f"request   {json.dumps(submission.template_request(night, job), indent=2)}")
        else:
            lines.append(f"job       {job}")
        pipeline = _prepare_pipeline(args, options) if job.command is prepare else _score_pipeline(args, options)
        stages = [stage.full_label for stage in pipeline.transforms_stack[0].parts]
        lines.append("stages    " + "\n          ".join(stages))
    return "\n".join(lines)


def _prepare_pipeline(args: argparse.Namespace, options: PipelineOptions) -> beam.Pipeline:
    """The pipeline of `beam_jobs.prepare` over nothing. Its stages are the same whatever the input."""
    schema = pa.schema([(name, pa.string()) for name in HISTORY])
    source = Source(paths=[], columns={}, rows=1, schema=schema, rejects={})
    vectors = UserVectors("-", paths=[], width=0, rows=0) if args.with_vectors else None
    return prepare.prepare_pipeline(source, vectors, args, args.output, "-", options)


def _score_pipeline(args: argparse.Namespace, options: PipelineOptions) -> beam.Pipeline:
    """The pipeline of `beam_jobs.score` over nothing. Its stages are the same whatever the input."""
    spec = RunSpec(
        run_id="-",
        run_date=args.run_date,
        model_version="-",
        model_kind="-",
        score_kind="-",
        selection=Selection(args.top_n, args.exclude_seen, args.min_score),
        users_glob=args.users,
        user_count=0,
        candidate_count=0,
        files=(),
    )
    plan = Plan(
        spec=spec,
        model=args.model,
        candidates=CandidateList(CANDIDATES.empty_table(), {}),
        parts=[],
        users_schema=USERS,
        output=args.output,
        threads=threads_a_process(options),
        stage_only=args.stage_only,
    )
    return score.score_pipeline(plan, options)
