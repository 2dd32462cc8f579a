"""Submission to Dataflow: every job of a night, from here or by the Flex template."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from beam_jobs.dataflow import flex_template
from beam_jobs.dataflow.machines import THREADS
from beam_jobs.dataflow.night import Job, Night
from beam_jobs.pipeline import execution
from model.cli import about


def submit(night: Night, jobs: Sequence[Job]) -> None:
    """Run the jobs one after the other, because the second reads what the first writes.

    Raises:
      InputError: a job cannot use what it reads, or Dataflow refuses the template.
      RunError: a job failed.
    """
    # Beam reports on a job through logging, and only these lines show that a long job is alive.
    logging.getLogger("apache_beam.runners.dataflow.dataflow_runner").setLevel(logging.INFO)
    for job in jobs:
        if night.flex_template:
            _, options = job.parse()
            start = partial(_launch_template, template_request(night, job), options)
            execution.follow(start, options, wait=night.wait)
        else:
            job.command.main(job.flags)


def template_request(night: Night, job: Job) -> dict[str, Any]:
    """The request that launches the scoring job by the night's template.

    Raises:
      InputError: the template has no parameter for one of the further flags.
    """
    assert night.flex_template
    _, options = job.parse()
    flags = [*night.score_flags(), f"--number_of_worker_harness_threads={THREADS}", *night.further]
    return flex_template.launch_request(night.flex_template, flex_template.parameters_of(flags), options)


def _launch_template(request: Mapping[str, Any], options: PipelineOptions) -> PipelineResult:
    with about("--flex_template"):
        return flex_template.launch(request, options)
