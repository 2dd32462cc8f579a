"""The end of a run as a Beam transform: its report is written and, where it was audited, it is published."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import apache_beam as beam

from beam_jobs.auditing.rules import Findings
from beam_jobs.auditing.verdict import describe_rows, judge
from beam_jobs.publishing.publication import is_published, publish
from beam_jobs.run import RunReport, RunSpec, ScoredPart, StagedRun
from model.cli import about


@dataclass  # Not frozen, because Beam sets a label on it.
class FinishRun(beam.PTransform):
    """Write the run's report. Where the recommendations were audited, let the run pass or fail and publish it.

    A runner may do this twice; the second time finds the run published and does nothing.
    """

    spec: RunSpec
    staged: StagedRun
    candidate_counters: Mapping[str, int]
    output: str
    findings: beam.PCollection[Findings] | None
    """What the audit found, one element; None to stop after the report."""

    def expand(self, scored: beam.PCollection[ScoredPart]) -> beam.PCollection[None]:
        """From all parts of the run to files."""
        once = scored.pipeline | "Once" >> beam.Create([None])
        parts = beam.pvalue.AsList(scored)
        run = (self.spec, self.staged, self.candidate_counters)
        if self.findings is None:
            return once | "Report" >> beam.Map(_write_report, *run, parts)
        findings = beam.pvalue.AsSingleton(self.findings)
        return once | "Report and publish" >> beam.Map(_publish, *run, parts, findings, self.output)


def _write_report(
    _: None,
    spec: RunSpec,
    staged: StagedRun,
    candidate_counters: Mapping[str, int],
    parts: Sequence[ScoredPart],
) -> RunReport:
    report = RunReport.of_parts(spec, parts, candidate_counters, ended=time.time())
    report.write(staged.rows_folder(spec.run_date))
    return report


def _publish(
    _: None,
    spec: RunSpec,
    staged: StagedRun,
    candidate_counters: Mapping[str, int],
    parts: Sequence[ScoredPart],
    findings: Findings,
    output: str,
) -> None:
    with about("--output"):
        if is_published(spec, output):
            return
    report = _write_report(None, spec, staged, candidate_counters, parts)
    row_files = describe_rows(staged, spec.run_date)
    with about("--users"):
        judge(staged, report, row_files, findings, spec.user_count, spec.candidate_count)
    with about("--staged"):
        publish(staged, output)
