"""Pairs a second and the memory of a worker, for a hundred thousand to two million users.

    ./run_local.sh bench users

The relevance ranker runs in worker processes of one thread, as on a cluster. The table of users is written and read
one row group at a time. The model knows only a few users, because its own table of users is not measured here.
"""

from __future__ import annotations

from tests.benchmarks import inputs, models, score_command
from tests.benchmarks.catalogue import growth
from tests.benchmarks.limits import machine_peak
from tests.benchmarks.outcome import Floor, Outcome, Picture, Table
from tests.benchmarks.scoring import Job
from tests.benchmarks.setting import Setting, cores

USERS = (100_000, 500_000, 2_000_000)
TITLES, SEEN, MODEL_USERS = 1_664, 20, 1_000
GROWTH, GROWTH_REACH = 10.0, 2.0
"""Percent by which the largest worker's peak may grow from the fewest users to the most."""
PEAK, PEAK_REACH = 2.0, 1.0
"""GiB."""


def measure(setting: Setting) -> Outcome:
    """Measure one run at each size."""
    sizes = setting.size(USERS, (2_000, 6_000))
    model = models.folder_of(models.make_products, setting.scratch, MODEL_USERS, TITLES)
    candidates = inputs.candidates_file(setting.scratch, TITLES)
    how = score_command.Command.processes(len(cores()))
    runs = {}
    for count in sizes:
        table = inputs.users_file(setting.scratch, count, TITLES, SEEN)
        runs[count] = score_command.run(Job(model, table, candidates), how, cores())
        print(f"  {count:,} users: {runs[count].measurement.seconds:.1f} s in all", flush=True)
        table.unlink()
    limit = machine_peak(setting.size(2.0, 0.2)) / (2 * models.FACTORS)
    peaks = {count: done.measurement.peak / (1 << 30) for count, done in runs.items()}
    rows = [
        [
            f"{count:,}",
            f"{done.rows:,}",
            f"{done.scoring_seconds:.1f}",
            f"{done.pairs_a_second / 1e6:.1f}",
            f"{peaks[count]:.3f}",
            f"{done.measurement.launcher_peak / (1 << 30):.3f}",
        ]
        for count, done in runs.items()
    ]
    header = ["users", "rows", "scoring, s", "M pairs/s", "worker's peak, GiB", "launcher's, GiB"]
    rates = {count: done.pairs_a_second for count, done in runs.items()}
    first, last = peaks[sizes[0]], max(peaks.values())
    what = f"{sizes[0]:,} to {sizes[-1]:,} users"
    return Outcome(
        [Table(header, rows)],
        {
            "pairs_a_second": rates,
            "limit_pairs_a_second": limit,
            "worker_peak_gib": peaks,
            "launcher_peak_gib": {count: done.measurement.launcher_peak / (1 << 30) for count, done in runs.items()},
            "percent_a_pair_costs_more": growth(list(rates.values())),
        },
        [
            Floor(f"a worker's memory, {what}, grows by", 100 * (last / first - 1), GROWTH, GROWTH_REACH, "%", True),
            Floor(f"a worker's peak, {what}", last, PEAK, PEAK_REACH, " GiB", True),
        ],
        [
            Picture(
                "users",
                f"Relevance ranker, {models.FACTORS} factors x {TITLES:,} titles, {how.cores} processes",
                "users",
                "million pairs a second",
                {"beam_jobs.score": [(count, rate / 1e6) for count, rate in rates.items()]},
                {"matrix peak of the cores": limit / 1e6},
            ),
            Picture(
                "memory",
                "Greatest resident set of a worker process",
                "users",
                "GiB",
                {"worker": list(peaks.items())},
                {"hoped for": PEAK_REACH},
            ),
        ],
        notes=[
            f"{SEEN} titles seen a user; the model knows {MODEL_USERS:,} users, others share one row. Rates are of the "
            "time from the first part to the last, so the start is not in them."
        ],
    )
