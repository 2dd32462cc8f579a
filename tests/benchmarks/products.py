"""The relevance ranker end to end against RunInference with one pair an element and against Spark's ALS.

    ./run_local.sh bench products

Nightrank does more work than Spark: its vectors are three times as long, it leaves out what users have seen, and it
audits every row before it publishes. Spark's job ends when its files are written, so `--stage_only`, which ends there
too, has a row of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.benchmarks import dense_layers, models, scoring
from tests.benchmarks.comparison import in_new_process, in_turn, slope
from tests.benchmarks.inputs import TOP_N
from tests.benchmarks.limits import SIDE, machine_peak
from tests.benchmarks.outcome import Floor, Outcome, Table
from tests.benchmarks.peers import spark
from tests.benchmarks.scoring import kernel_rate
from tests.benchmarks.setting import Setting

TITLES, MANY_TITLES = 1_664, 20_000
RUN_INFERENCE_FLOOR, RUN_INFERENCE_REACH = 600.0, 2_000.0
SPARK_FLOOR, SPARK_REACH = 6.0, 20.0


def measure(setting: Setting) -> Outcome:
    """Measure rates as slopes between two numbers of users. If Spark is not installed, its row says so."""
    users = setting.size((100_000, 800_000), (500, 2_000))
    few = setting.size(dense_layers.FEW_USERS, (20, 80))
    many_titles, fewer = setting.size(MANY_TITLES, 2_000), [count // 8 for count in users]
    model = models.folder_of(models.make_products, setting.scratch, users[1], many_titles)
    window, block = setting.size(1.0, 0.2), setting.size(8_192, 256)
    sizes: dict[str, Sequence[int]] = {
        "run_inference": few,
        "score": users,
        "stage": users,
        "spark": setting.size((100_000, 400_000), (500, 2_000)),
        "score_many_titles": fewer,
    }
    measurements: dict[str, Callable[[], Sequence[float]]] = {
        "peak": lambda: [2 * SIDE**3 / machine_peak(window)],
        "run_inference": lambda: in_new_process(dense_layers.time_pairs, model, few, TITLES),
        "score": lambda: scoring.score_seconds(setting, model, users, TITLES),
        "stage": lambda: scoring.score_seconds(setting, model, users, TITLES, ["--stage_only"]),
        "score_many_titles": lambda: scoring.score_seconds(setting, model, fewer, many_titles),
        "kernel_many_titles": lambda: [1 / in_new_process(kernel_rate, None, model, block, many_titles, TOP_N, window)],
    }
    missing = spark.missing(setting.peers)
    if not missing:
        measurements["spark"] = lambda: spark.time_recommend(setting, sizes["spark"], TITLES, TOP_N)
    seconds = in_turn(measurements, setting.turns)
    rates = {name: TITLES * slope(sizes[name], seconds[name]) / 1e6 for name in seconds if name in sizes}
    if "score_many_titles" in rates:
        rates["score_many_titles"] *= many_titles / TITLES
    kernel = 1 / seconds["kernel_many_titles"][0] / 1e6
    overhead = 100 * (kernel / rates["score_many_titles"] - 1)
    peak = 2 * SIDE**3 / seconds["peak"][0]
    labels = {
        "run_inference": "RunInference, one pair an element",
        "spark": f"Spark ALS recommendForAllUsers, rank {spark.RANK}, to Parquet",
        "stage": f"beam_jobs.score --stage_only, {models.FACTORS} + {models.RATING_FACTORS} factors, seen left out",
        "score": "beam_jobs.score: the same, audited and published",
    }
    rows = [
        [
            label,
            f"{sizes[name][0]:,} to {sizes[name][1]:,}",
            f"{rates[name]:.2f}",
            f"{rates['stage'] / rates[name]:.1f}x",
            f"{rates['score'] / rates[name]:.1f}x",
        ]
        if name in rates
        else [label, missing, "-", "-", "-"]
        for name, label in labels.items()
    ]
    scaled = [
        [
            f"products of {models.FACTORS} factors x {many_titles:,} titles, {fewer[0]:,} to {fewer[1]:,} users",
            f"{rates['score_many_titles']:.1f}",
            f"{kernel:.1f}",
            f"{overhead:+.1f}%",
            f"{100 * 2e6 * models.FACTORS * rates['score_many_titles'] / peak:.0f}%",
        ]
    ]
    floors = [
        Floor(
            "relevance ranker against RunInference",
            rates["score"] / rates["run_inference"],
            RUN_INFERENCE_FLOOR,
            RUN_INFERENCE_REACH,
        )
    ]
    if "spark" in rates:
        floors.append(
            Floor(
                "relevance ranker to Parquet, audited and published, against Spark ALS",
                rates["score"] / rates["spark"],
                SPARK_FLOOR,
                SPARK_REACH,
            )
        )
    return Outcome(
        [
            Table([f"relevance, {TITLES:,} titles", "users", "M pairs/s", "--stage_only is", "score is"], rows),
            Table(["relevance", "M pairs/s", "kernel", "pipeline adds", "share of peak"], scaled),
        ],
        {
            "million_pairs_a_second": rates,
            "kernel_million_pairs_a_second": kernel,
            "percent_added_by_pipeline": overhead,
            "matrix_peak_gflops": peak / 1e9,
            "seconds": seconds,
            "left_out": missing,
        },
        floors,
    )
