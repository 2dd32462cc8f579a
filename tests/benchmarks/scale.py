"""The cost of a night at sizes that no single machine can run, by a model of cost that is fitted to runs here.

    ./run_local.sh bench scale

For each kind of ranker, runs of `beam_jobs.score` on one core give the cost of a pair and of a user. A further run, of
another shape and on all cores, shows how far off the model is. Then the model predicts nights on Dataflow.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from tests.benchmarks import models, score_command, scoring
from tests.benchmarks.cost import MACHINES, CostModel, Run, a_billion_pairs, predict_night
from tests.benchmarks.outcome import Floor, Outcome, Table
from tests.benchmarks.setting import Setting, cores

SHAPES = {
    "basic": ((2_000, 1_664), (16_000, 1_664), (4_000, 6_656), (12_000, 4_000)),
    "relevance": ((20_000, 1_664), (160_000, 1_664), (40_000, 13_312), (120_000, 8_000)),
}
"""Users and titles of each run, by kind of ranker. The model is fitted to all but the last, which is held out."""
QUICK = ((300, 500), (1_200, 500), (300, 2_000), (600, 1_000))
LABELS = {"basic": "dense layers 64-256-64-1, trained", "relevance": f"products of {models.FACTORS} factors"}
TOLERANCE, TOLERANCE_REACH = 25.0, 10.0
"""Percent by which the prediction for the run held out may be off. The speed of shared machines varies as much."""
MACHINE = "n2-standard-4"
SIZES = tuple(itertools.product((1_000_000, 10_000_000, 100_000_000), (10_000, 100_000)))


def measure(setting: Setting) -> Outcome:
    """Measure runs of each kind of ranker, fit a model to them, check it, and predict nights."""
    runs = {kind: _runs(setting, kind) for kind in SHAPES}
    fits = {kind: CostModel.fit(fitted) for kind, (*fitted, _) in runs.items()}
    errors = {
        kind: 100 * (fits[kind].predict(held.users, held.titles, held.cores) / held.seconds - 1)
        for kind, (*_, held) in runs.items()
    }
    floors = [
        Floor(f"{LABELS[kind]}, how far off the run held out is", abs(error), TOLERANCE, TOLERANCE_REACH, "%", True)
        for kind, error in errors.items()
    ]
    figures = {
        kind: {"runs": [asdict(run) for run in runs[kind]], "model": asdict(fits[kind]), "percent_off": errors[kind]}
        for kind in runs
    }
    note = f"The last run of each kind is held out. Prices and their sources: tests/benchmarks/cost.py; on {MACHINE}."
    return Outcome([_table_of_runs(runs, fits), *_predictions(fits)], figures, floors, notes=[note])


def _runs(setting: Setting, kind: str) -> list[Run]:
    """The runs of one kind: on one core, and the last one on all cores."""
    shapes = setting.size(SHAPES[kind], QUICK)
    most_users, most_titles = (max(sizes) for sizes in zip(*shapes, strict=True))
    make = {"basic": models.make_trained, "relevance": models.make_products}[kind]
    model = models.folder_of(make, setting.scratch, most_users, most_titles)
    ways = [score_command.Command.processes(1)] * (len(shapes) - 1) + [score_command.Command.processes(len(cores()))]
    made = []
    for (users, titles), how in zip(shapes, ways, strict=True):
        (job,) = scoring.jobs(setting, model, [users], titles)
        seconds = score_command.run(job, how, cores()).scoring_seconds
        print(f"  {kind}, {users:,} users x {titles:,} titles, {how.cores} processes: {seconds:.2f} s", flush=True)
        made.append(Run(users, titles, how.cores, seconds))
    return made


def _table_of_runs(runs: Mapping[str, Sequence[Run]], fits: Mapping[str, CostModel]) -> Table:
    rows = [
        [
            LABELS[kind],
            f"{run.users:,}",
            f"{run.titles:,}",
            str(run.cores),
            f"{run.seconds:.2f}",
            f"{fits[kind].predict(run.users, run.titles, run.cores):.2f}",
        ]
        for kind in runs
        for run in runs[kind]
    ]
    return Table(["ranker", "users", "titles", "processes", "scoring, s", "by the model, s"], rows)


def _predictions(fits: Mapping[str, CostModel]) -> list[Table]:
    """Tables of a billion pairs by kind, of nights by kind and size, and of the largest night by machine."""
    billion = []
    for kind, fit in fits.items():
        (few, cents), (many, less) = (a_billion_pairs(fit, titles, MACHINE) for titles in (10_000, 100_000))
        unit = [f"{1e9 * fit.a_pair:.2f}", f"{1e6 * fit.a_user:.1f}", f"{few:.1f}", f"{many:.1f}"]
        billion.append([LABELS[kind], *unit, f"{cents:.5f}", f"{less:.5f}"])
    nights, largest = [], []
    for kind, (users, titles) in itertools.product(fits, SIZES):
        night = predict_night(fits[kind], users, titles, MACHINE)
        nights.append(
            [LABELS[kind], f"{users:,}", f"{titles:,}", *_cells(night.vcpu_hours, night.dollars, night.machines)]
        )
    users, titles = SIZES[-1]
    for kind, machine in itertools.product(fits, MACHINES):
        night = predict_night(fits[kind], users, titles, machine)
        largest.append([LABELS[kind], machine, *_cells(night.vcpu_hours, night.dollars, night.machines)])
    ends = ["vCPU-hours", "dollars", "machines for an hour"]
    units = ["ns a pair", "us a user", "vCPU-s a billion pairs, 10k titles", "100k", "dollars, 10k titles", "100k"]
    return [
        Table(["ranker", *units], billion),
        Table([f"ranker, on {MACHINE}", "users", "titles", *ends], nights),
        Table([f"ranker, {users:,} x {titles:,}", "machine", *ends], largest),
    ]


def _cells(hours: float, dollars: float, machines: int) -> list[str]:
    return [f"{hours:,.1f}", f"{dollars:,.2f}", f"{machines:,}"]
