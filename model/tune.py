"""Search the settings of a kind of model, and print a table of what was tried.

The search measures on the validation part of a split and never looks at the test part:

    nightrank tune --kind rating --dataset /data/ml-100k --split time --trials 12
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa

from model.cli import FlagParser, InputError, run
from model.data.splits import Split
from model.data.vocabulary import Vocabulary
from model.dataset_flags import add_dataset_flags, add_split_flags, read_dataset, split_dataset
from model.progress import Progress
from model.rankers.relevance.choice import ndcg_on_last
from model.rankers.relevance.histories import histories_of
from model.rankers.settings import DEFAULT_SPLITS, RatingSettings, SequentialEaseSettings
from model.tensorflow_start import import_tensorflow

Grid = Mapping[str, Sequence[Any]]
"""The values to try for each setting by name."""


@dataclass(frozen=True)
class Search:
    """How one kind of model is searched."""

    settings: Any
    """Where the search starts: a frozen dataclass, whose fields are what `grid` varies."""
    grid: Grid
    measure: Callable[[Any, Split, int], float]
    """`(settings, split, seed)` -> the measure on validation, where less is better."""
    name: str
    """Of the measure."""


@dataclass(frozen=True)
class Trial:
    """Settings that were tried, and what they came to."""

    changed: Mapping[str, Any]
    """What differs from the start, by name."""
    values: Sequence[float]
    """The measure for each seed."""
    seconds: float
    """For all seeds."""

    @property
    def mean(self) -> float:
        """The mean of the measure over the seeds."""
        return float(np.mean(self.values))


def validation_rmse(settings: RatingSettings, split: Split, seed: int) -> float:
    """RMSE of the rating model on validation after the last epoch."""
    from model.rankers.rating.training import fit_rating

    vocabulary = Vocabulary.of(pa.concat_tables([split.train, split.validation]))
    _, history = fit_rating(split.train, split.validation, vocabulary, settings, seed, None)
    return history["val_rmse"][-1]


def missing_ndcg(settings: SequentialEaseSettings, split: Split, seed: int) -> float:
    """1 - NDCG@10 on the last interactions of each user in the train part, predicted from those before."""
    return 1 - ndcg_on_last(histories_of(split.train, Vocabulary.of(split.train)), settings, seed)


SEARCHES: Mapping[str, Search] = {
    "rating": Search(
        RatingSettings(),
        {
            "members": (1, 2, 4, 8),
            "factors": (7, 10, 14, 20),
            "co_occurrence": ((0,), (8,), (16,), (32,), (8, 16, 24, 32)),
            "epochs": (15, 25, 40),
            "warm_up": (0.2, 0.4, 0.6),
            "learning_rate": (0.02, 0.03, 0.05, 0.08),
            "batch_size": (4_096, 8_192, 16_384),
        },
        validation_rmse,
        "RMSE",
    ),
    "relevance": Search(
        SequentialEaseSettings(),
        {
            "dimension": (64, 96, 128, 192),
            "l2": (100.0, 200.0, 400.0),
            "half_distance": (5.0, 10.0, 20.0, 50.0),
            "far_weight": (0.0, 0.05, 0.1, 0.3, 1.0),
            "half_life": (2.0, 3.0, 4.0, 6.0, 10.0),
            "old_weight": (0.0, 0.05, 0.1, 0.2, 0.3, 1.0),
        },
        missing_ndcg,
        "1 - NDCG@10",
    ),
}
"""The search of each kind by its name."""


def candidates(settings: Any, grid: Grid, trials: int, seed: int) -> list[Mapping[str, Any]]:
    """What to try: the start unchanged, and then `trials` random points of the grid (Bergstra and Bengio 2012).

    Draws change one setting and all settings in turn. The first kind shows which setting matters, and the second finds
    settings that work only together; samplers in libraries draw the second kind alone. No point comes twice. There are
    fewer where the grid is smaller.
    """
    unknown = set(grid) - {field.name for field in fields(settings)}
    if unknown:
        raise ValueError(f"no settings of {type(settings).__name__}: {sorted(unknown)}")
    random = np.random.default_rng(seed)
    tried: list[Mapping[str, Any]] = [{}]
    # A grid may have fewer points than there are trials, so draws come to an end.
    for draw in range(100 * trials):
        if len(tried) > trials:
            break
        names = [str(random.choice(list(grid)))] if draw % 2 == 0 else list(grid)
        drawn = {name: grid[name][int(random.integers(len(grid[name])))] for name in names}
        changed = {name: value for name, value in drawn.items() if value != getattr(settings, name)}
        if changed not in tried:
            tried.append(changed)
    return tried


def search(kind: Search, split: Split, trials: int, seeds: Sequence[int]) -> list[Trial]:
    """Measure every candidate with every seed; the best comes first, and of equals the one that was tried first."""
    done: list[Trial] = []
    tried = candidates(kind.settings, kind.grid, trials, seeds[0])
    with Progress("searching", len(tried) * len(seeds), "fits") as progress:
        for changed in tried:
            settings, start, values = replace(kind.settings, **changed), time.monotonic(), []
            for seed in seeds:
                values.append(kind.measure(settings, split, seed))
                progress.advance()
            done.append(Trial(changed, values, time.monotonic() - start))
            print(_row(done[-1]), file=sys.stderr, flush=True)
    return sorted(done, key=lambda trial: trial.mean)


def as_text(trials: Sequence[Trial], name: str) -> str:
    """A Markdown table with a line for each trial."""
    head = [f"| settings changed | validation {name}, mean over seeds | spread | seconds a fit |", "|---|---|---|---|"]
    return "\n".join(head + [_row(trial) for trial in trials])


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(
        prog="nightrank tune",
        description="Search the settings of a kind of model on the validation part of a split.",
        example="nightrank tune --kind rating --dataset /data/ml-100k --trials 12 --seeds 2",
    )
    parser.add_argument("--kind", choices=list(SEARCHES), default="rating", help="the kind of model to search")
    parser.add_argument("--trials", type=int, default=12, help="how many settings to try besides the defaults")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds to fit each trial with")
    parser.add_argument("--seed", type=int, default=0, help="the first seed; also of a random split and of the search")
    add_dataset_flags(parser)
    add_split_flags(parser)
    return parser


def main(argv: Sequence[str]) -> None:
    """Search, and print the table to standard output."""
    args = build_parser().parse_args(argv)
    for name in ("trials", "seeds"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} {getattr(args, name)}: give a whole number of at least 1")
    split = split_dataset(read_dataset(args).table, args, DEFAULT_SPLITS[args.kind])
    # `relevance` is measured on the end of each history in the train part, so it needs no validation rows.
    if not split.train.num_rows or (args.kind == "rating" and not split.validation.num_rows):
        raise InputError(f"--split {split.name} leaves train or validation without rows; give another, such as random")
    import_tensorflow()
    kind = SEARCHES[args.kind]
    print(as_text(search(kind, split, args.trials, range(args.seed, args.seed + args.seeds)), kind.name))


def _row(trial: Trial) -> str:
    changed = ", ".join(f"{name} {value}" for name, value in trial.changed.items()) or "none"
    spread = max(trial.values) - min(trial.values)
    return f"| {changed} | {trial.mean:.4f} | {spread:.4f} | {trial.seconds / len(trial.values):.0f} |"


if __name__ == "__main__":
    run(main)
