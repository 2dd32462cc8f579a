"""Dense layers: the rate as a share of the machine's matrix peak, and the time that the pipeline adds.

    ./run_local.sh bench dense_peak

The share counts the operations of scoring every pair in full. It passes 100% where bounds spare pairs.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.benchmarks import limits, models, scoring
from tests.benchmarks.comparison import in_new_process, in_turn, slope
from tests.benchmarks.inputs import TOP_N
from tests.benchmarks.outcome import Floor, Outcome, Table
from tests.benchmarks.scoring import kernel_rate
from tests.benchmarks.setting import Setting

FLOPS_A_PAIR = 2 * 256 * 64 + 2 * 64
"""Operations after the first layer. The products of the first layer are computed once for each user and each title."""
SHARE, SHARE_REACH = 90.0, 200.0
"""Percent of the peak."""
OVERHEAD, OVERHEAD_REACH = 10.0, 3.0
"""Percent of the time of a pair in the kernel."""
FEW_TITLES, MANY_TITLES = 1_700, 20_000


def measure(setting: Setting) -> Outcome:
    """Measure three cases, each end to end and in the kernel alone, and the matrix peak."""
    users = setting.size((40_000, 160_000), (200, 800))
    many = setting.size(MANY_TITLES, 2_500)
    largest = setting.size((50_000, 200_000), (25, 100))
    trained = models.folder_of(models.make_trained, setting.scratch, max(users[1], largest[1]), many)
    worst = models.folder_of(models.make_model, setting.scratch, users[1], FEW_TITLES)
    fewer = [count // 8 for count in users]
    cases: dict[str, tuple[Any, Any, int]] = {
        "trained": (trained, users, FEW_TITLES),
        "random": (worst, fewer, FEW_TITLES),
        "many_titles": (trained, largest, many),
    }
    seconds = in_turn(_callables(setting, cases), setting.turns)
    peak = limits.SIDE**3 * 2 / seconds["peak"][0]
    rates = {
        name: {
            "score": titles * slope(counts, seconds[name]),
            "kernel": 1 / seconds[f"{name}, kernel"][0],
        }
        for name, (_, counts, titles) in cases.items()
    }
    shares = {name: {k: 100 * FLOPS_A_PAIR * v / peak for k, v in both.items()} for name, both in rates.items()}
    overheads = {name: 100 * (both["kernel"] / both["score"] - 1) for name, both in rates.items()}
    labels = {"trained": "trained weights", "random": "random weights", "many_titles": "trained weights"}
    rows = [
        [
            f"{labels[name]}, {titles:,} titles",
            f"{counts[0]:,} to {counts[1]:,}",
            *(f"{rates[name][which] / 1e6:.2f}" for which in ("score", "kernel")),
            *(f"{shares[name][which]:.0f}%" for which in ("score", "kernel")),
            f"{overheads[name]:+.1f}%",
        ]
        for name, (_, counts, titles) in cases.items()
    ]
    header = ["dense layers", "users", "M pairs/s", "kernel", "share of peak", "kernel", "pipeline adds"]
    return Outcome(
        [Table(header, rows)],
        {
            "pairs_a_second": rates,
            "percent_of_matrix_peak": shares,
            "percent_added_by_pipeline": overheads,
            "matrix_peak_gflops": peak / 1e9,
            "seconds": seconds,
        },
        [
            Floor("dense layers, share of the matrix peak", shares["trained"]["score"], SHARE, SHARE_REACH, "%"),
            Floor(
                f"dense layers x {many:,} titles, what the pipeline adds to the kernel",
                overheads["many_titles"],
                OVERHEAD,
                OVERHEAD_REACH,
                "%",
                at_most=True,
            ),
        ],
        notes=[
            f"The peak in this run is {peak / 1e9:.1f} GFLOP/s; a pair scored in full is {FLOPS_A_PAIR:,} operations."
        ],
    )


def _callables(setting: Setting, cases: dict[str, tuple[Any, Any, int]]) -> dict[str, Any]:
    """For `in_turn`: seconds of runs, of a pair in the kernel, and of a matrix product at the peak."""
    window, block = setting.size(1.0, 0.2), setting.size(4_096, 256)

    def end_to_end(name: str) -> list[float]:
        model, counts, titles = cases[name]
        return scoring.score_seconds(setting, model, counts, titles)

    def kernel(name: str) -> list[float]:
        model, counts, titles = cases[name]
        # With more titles, fewer users, so that calls have about as many pairs, as in the jobs.
        users = min(counts[1], max(256, block * FEW_TITLES // titles))
        return [1 / in_new_process(kernel_rate, None, model, users, titles, TOP_N, window)]

    made: dict[str, Any] = {"peak": lambda: [2 * limits.SIDE**3 / limits.machine_peak(window)]}
    for name in cases:
        made[name] = partial(end_to_end, name)
        made[f"{name}, kernel"] = partial(kernel, name)
    return made
