"""What a pair costs in catalogues from two thousand titles to a million: the relevance ranker.

./run_local.sh bench catalogue
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tests.benchmarks import models, pairs
from tests.benchmarks.inputs import TOP_N
from tests.benchmarks.limits import SIDE, machine_peak
from tests.benchmarks.outcome import Floor, Outcome, Picture, Table
from tests.benchmarks.scoring import kernel_rate
from tests.benchmarks.setting import Setting
from tests.benchmarks.sides import in_new_process, in_turn, slope

TITLES = (2_000, 50_000, 1_000_000)
PAIRS = 1_600_000_000
"""Of the larger run at each size; the smaller has a quarter."""
LEAST_USERS = 256
USERS_A_CALL, PAIRS_A_CALL = 8_192, 1 << 31
"""Of the kernel, at most: some seconds of work, as the pipeline's calls are, for what a call makes ready is shared."""
MODEL_USERS = 1_000
"""That the model knows; others share a row, as the model's table of users is not what is measured."""
FLOOR, REACH = 25.0, 10.0
"""Percent that a pair of a larger catalogue costs more than one of the smallest."""


def measure(setting: Setting) -> Outcome:
    """Nanoseconds a pair at each size, end to end and in the kernel, both on all cores."""
    sizes = setting.size(TITLES, (500, 2_000))
    pairs_a_run, pairs_a_call = setting.size((PAIRS, PAIRS_A_CALL), (2_000_000, 500_000))
    window = setting.size(1.0, 0.2)
    model = models.folder_of(models.make_dot, setting.scratch, MODEL_USERS, sizes[-1])
    users = {titles: [max(LEAST_USERS, pairs_a_run // titles // part) for part in (4, 1)] for titles in sizes}

    def score_of(titles: int) -> list[float]:
        return pairs.score_seconds(setting, model, users[titles], titles)

    def kernel_of(titles: int) -> list[float]:
        call = max(LEAST_USERS, min(USERS_A_CALL, pairs_a_call // titles))
        return [1 / in_new_process(kernel_rate, None, model, call, titles, TOP_N, window)]

    sides: dict[str, Callable[[], Sequence[float]]] = {"peak": lambda: [2 * SIDE**3 / machine_peak(window)]}
    for titles in sizes:
        sides[f"score, {titles:,}"] = partial(score_of, titles)
        sides[f"kernel, {titles:,}"] = partial(kernel_of, titles)
    seconds = in_turn(sides, setting.turns)
    score = {titles: titles * slope(users[titles], seconds[f"score, {titles:,}"]) for titles in sizes}
    kernel = {titles: 1 / seconds[f"kernel, {titles:,}"][0] for titles in sizes}
    limit = 2 * SIDE**3 / seconds["peak"][0] / (2 * models.FACTORS)
    rows = [
        [
            f"{titles:,}",
            f"{users[titles][0]:,} to {users[titles][1]:,}",
            *(f"{1e9 / rate[titles]:.2f}" for rate in (score, kernel)),
            *(f"{rate[titles] / 1e6:.1f}" for rate in (score, kernel)),
        ]
        for titles in sizes
    ]
    header = ["titles", "users", "ns a pair", "kernel", "M pairs/s", "kernel"]
    return Outcome(
        [Table(header, rows)],
        {"pairs_a_second": {"score": score, "kernel": kernel}, "limit_pairs_a_second": limit, "seconds": seconds},
        [
            Floor(
                f"cost of a pair, {sizes[0]:,} titles to any number up to {sizes[-1]:,}, {name}",
                growth(list(rates.values())),
                FLOOR,
                REACH,
                "% more",
                at_most=True,
            )
            for name, rates in (("end to end", score), ("kernel", kernel))
        ],
        [
            Picture(
                "catalogue",
                f"Relevance ranker, {models.FACTORS} factors, top {TOP_N}",
                "candidates",
                "million pairs a second",
                {
                    "beam_jobs.score": [(titles, rate / 1e6) for titles, rate in score.items()],
                    "recommend alone": [(titles, rate / 1e6) for titles, rate in kernel.items()],
                },
                {"matrix peak of the cores": limit / 1e6},
            )
        ],
        notes=[f"The model knows {MODEL_USERS:,} users and {sizes[-1]:,} titles; other users share one row."],
    )


def growth(rates: Sequence[float]) -> float:
    """Percent that a unit of work costs more at the slowest of later rates than at the first."""
    return 100 * (rates[0] / min(rates[1:]) - 1)
