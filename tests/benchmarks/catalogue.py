"""The cost of a (user, title) pair in catalogues of two thousand to a million titles, with the relevance ranker.

./run_local.sh bench catalogue
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tests.benchmarks import models, scoring
from tests.benchmarks.comparison import in_new_process, in_turn, slope
from tests.benchmarks.inputs import TOP_N
from tests.benchmarks.limits import SIDE, machine_peak
from tests.benchmarks.outcome import Floor, Outcome, Picture, Table
from tests.benchmarks.scoring import kernel_rate
from tests.benchmarks.setting import Setting

TITLES = (2_000, 50_000, 1_000_000)
PAIRS = 1_600_000_000
"""Pairs of the larger run at each size. The smaller run has a quarter."""
LEAST_USERS = 256
USERS_A_CALL, PAIRS_A_CALL = 8_192, 1 << 31
"""The largest call of the kernel. It takes seconds, as in the pipeline, so that the set-up of a call weighs as much."""
MODEL_USERS = 1_000
"""Users that the model knows. All others share one row, because the model's table of users is not measured here."""
FLOOR, REACH = 25.0, 10.0
"""By how many percent a pair may cost more in a larger catalogue than in the smallest."""


def measure(setting: Setting) -> Outcome:
    """Measure nanoseconds a pair at each size, end to end and in the kernel, both on all cores."""
    sizes = setting.size(TITLES, (500, 2_000))
    pairs_a_run, pairs_a_call = setting.size((PAIRS, PAIRS_A_CALL), (2_000_000, 500_000))
    window = setting.size(1.0, 0.2)
    model = models.folder_of(models.make_products, setting.scratch, MODEL_USERS, sizes[-1])
    users = {titles: [max(LEAST_USERS, pairs_a_run // titles // part) for part in (4, 1)] for titles in sizes}

    def score_of(titles: int) -> list[float]:
        return scoring.score_seconds(setting, model, users[titles], titles)

    def kernel_of(titles: int) -> list[float]:
        call = max(LEAST_USERS, min(USERS_A_CALL, pairs_a_call // titles))
        return [1 / in_new_process(kernel_rate, None, model, call, titles, TOP_N, window)]

    measurements: dict[str, Callable[[], Sequence[float]]] = {"peak": lambda: [2 * SIDE**3 / machine_peak(window)]}
    for titles in sizes:
        measurements[f"score, {titles:,}"] = partial(score_of, titles)
        measurements[f"kernel, {titles:,}"] = partial(kernel_of, titles)
    seconds = in_turn(measurements, setting.turns)
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
    """By how many percent a unit of work costs more at the slowest later rate than at the first rate."""
    return 100 * (rates[0] / min(rates[1:]) - 1)
