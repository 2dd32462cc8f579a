"""Train a ranking model, measure it, and export it with its description and its card.

nightrank train --dataset sample --model basic --split time --refit --model_dir runs/local/model
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from model.artifact.gate import judge, previous_description
from model.artifact.learning_curve import write_learning_curve
from model.card.figures import card_data
from model.card.model_card import write_card
from model.cli import FlagParser, InputError, about, run
from model.contract import CARD_FILE, TRAINING_FOLDER
from model.data.interactions import Interactions, describe, digest
from model.data.splits import Split
from model.data.vocabulary import Vocabulary
from model.dataset_flags import (
    add_dataset_flags,
    add_split_flags,
    check_dataset_flags,
    read_dataset,
    split_dataset,
)
from model.evaluation.baselines.fitting import fit_baselines, fit_rating_baselines
from model.evaluation.ranking_evaluation import evaluate_ranking
from model.evaluation.rating_evaluation import evaluate_ratings
from model.evaluation.report import render_ranking, render_ratings
from model.rankers.settings import DEFAULT_SPLITS, MODELS, Settings, with_epochs
from model.tensorflow_start import import_tensorflow

if TYPE_CHECKING:
    from model.rankers.registry import Trained

MEASURED_USERS = 20_000
"""Lists of at most this many users are measured, drawn at random: enough for intervals of a thousandth."""
LIBRARIES = ("tensorflow", "tensorflow-recommenders", "tf-keras", "numpy", "scipy", "pyarrow")


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(
        prog="nightrank train",
        description="Train a ranking model, measure it, and export it for scoring.",
        example="nightrank train --dataset sample --model relevance --refit --model_dir runs/local/model",
    )
    parser.add_argument("--model", choices=sorted(MODELS), default="relevance", help="the kind of model")
    parser.add_argument("--epochs", type=int, help="passes over the interactions; by default those of the kind")
    parser.add_argument("--seed", type=int, default=0, help="of initial weights, row order and the random split")
    parser.add_argument("--model_dir", default="runs/local/model", help="folder of the exported model, local or gs://")
    parser.add_argument(
        "--refit",
        action="store_true",
        help="after measuring on the split, fit again to all interactions and export that model",
    )
    parser.add_argument(
        "--user_vectors",
        choices=("inside", "apart"),
        default="inside",
        help="whether the model holds its users' vectors, or they lie beside it for `nightrank prepare --with_vectors`",
    )
    add_dataset_flags(parser)
    add_split_flags(parser)
    return parser


def check_flags(args: argparse.Namespace) -> None:
    """Find what is wrong with the flags without reading any data. Raises InputError."""
    _settings(args)
    check_dataset_flags(args, DEFAULT_SPLITS[args.model])


def main(argv: Sequence[str], now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)) -> None:
    """Read, split, fit, measure, perhaps fit to everything, judge, export.

    Args:
      argv: the flags.
      now: the clock, for `created_at` in `model.json`.
    """
    args = build_parser().parse_args(argv)
    settings = _settings(args)
    interactions = read_dataset(args)
    print(describe(interactions))
    split = _split(interactions.table, args)
    with about("--model_dir"):
        previous = previous_description(args.model_dir)

    # TensorFlow takes seconds to import, so mistakes in the flags or the data are found first.
    import_tensorflow()
    from model.artifact.export import replacing

    with ExitStack() as stack:
        with about("--model_dir"):
            folder = stack.enter_context(replacing(args.model_dir))
        logs = folder / TRAINING_FOLDER
        vocabulary = Vocabulary.of(split.everything())
        trained = _fit(args, settings, split.train, split.validation, split, vocabulary, logs / "tensorboard")
        measured = _measure(trained, split, args.seed)
        history = trained.history
        write_learning_curve(history, f"{args.model}, {split.name} split of {interactions.source}", logs)
        trained_on = split.train
        if args.refit:
            trained_on = split.everything()
            # With the settings that were measured: what the interactions chose is not chosen again.
            again, nothing = trained.settings, trained_on.slice(0, 0)
            trained = _fit(args, again, trained_on, nothing, split, vocabulary, logs / "tensorboard-refit")
        description = {
            **_describe(args, trained, vocabulary, now()),
            **{name: measured[name] for name in ("metrics", "ratings", "ranking")},
            **_provenance(args, interactions, split, trained_on),
        }
        description["blessed"] = judge(description, trained.finite, previous)
        write_card(folder / CARD_FILE, description, measured["ranking"], measured["ratings"], history, measured["card"])
        _export(trained, description, folder, args.user_vectors)
    verdict = description["blessed"]
    blessed = f"{'blessed' if verdict['blessed'] else 'NOT blessed'}: {' '.join(verdict['why'])}"
    print("", textwrap.fill(blessed, 80, subsequent_indent="  ", break_on_hyphens=False), sep="\n")
    print(f"{description['model_version']} is in {args.model_dir}; {CARD_FILE} there describes it")


def _settings(args: argparse.Namespace) -> Settings:
    if args.epochs is not None and args.epochs < 1:
        raise InputError(f"--epochs {args.epochs}: give a whole number of at least 1")
    return with_epochs(MODELS[args.model], args.epochs)


def _split(table: pa.Table, args: argparse.Namespace) -> Split:
    split = split_dataset(table, args, default=DEFAULT_SPLITS[args.model])
    if not split.train.num_rows:
        raise InputError(f"--split {split.name}: leaves no rows to train on; use more data, --split random or none")
    return split


def _fit(
    args: argparse.Namespace,
    settings: Settings,
    train: pa.Table,
    validation: pa.Table,
    split: Split,
    vocabulary: Vocabulary,
    logs: Path,
) -> Trained:
    """Fit a model to `train`, with users and titles described by all parts of the split, and print how it ended."""
    from model.rankers.registry import fit_kind

    print(f"\nfitting {args.model} to {train.num_rows:,} interactions", flush=True)
    trained = fit_kind(settings, train, validation, split.described(), vocabulary, args.seed, logs)
    print(*trained.summary(), sep="\n", flush=True)
    return trained


def _measure(trained: Trained, split: Split, seed: int) -> dict[str, Any]:
    """Measure a model and baselines on the parts of a split, print the figures, and return them for `model.json`."""
    from model.artifact.loading import recommender

    predict, recommend = trained.recommender.predict, recommender(trained.recommender.recommend)
    ratings = evaluate_ratings(predict, split, fit_rating_baselines(split))
    print("", render_ratings(ratings), sep="\n", flush=True)
    ranking = None
    if split.test.num_rows:
        baselines = fit_baselines(split, seed)
        ranking = evaluate_ranking(
            recommend, split, baselines.recommenders, seed=seed, left_out=baselines.left_out, max_users=MEASURED_USERS
        )
    print(
        "",
        render_ranking(ranking) if ranking else "lists are not measured: nothing is held out",
        sep="\n",
        flush=True,
    )
    return {
        "metrics": ratings.parts,
        "ratings": ratings.as_dict(),
        "ranking": ranking.as_dict() if ranking else None,
        "card": card_data(recommend, predict, split, seed),
    }


def _describe(args: argparse.Namespace, trained: Trained, vocabulary: Vocabulary, now: datetime) -> dict[str, Any]:
    """What `model.json` says of the model itself."""
    from model.artifact.export import model_version

    return {
        "model_kind": args.model,
        "score_kind": "relevance" if args.model == "relevance" else "rating",
        "model_version": model_version(args.model, trained.weights),
        "created_at": now.astimezone(timezone.utc).isoformat(timespec="seconds"),
        "parameters": {"trainable": trained.parameters},
        "vocabulary": {"users": len(vocabulary.users), "titles": len(vocabulary.titles)},
        "settings": asdict(trained.settings),
    }


def _export(trained: Trained, description: dict[str, Any], folder: Path, user_vectors: str) -> None:
    """Write the model to `folder`, with its users' vectors inside or apart."""
    from model.artifact.export import export
    from model.artifact.user_vectors import write_user_vectors

    if user_vectors == "inside":
        export(trained.recommender, description, folder)
        return
    written = write_user_vectors(trained.weights, description["model_version"], folder)
    export(trained.without_users(), {**description, "user_vectors": written}, folder)


def _provenance(
    args: argparse.Namespace, interactions: Interactions, split: Split, trained_on: pa.Table
) -> dict[str, Any]:
    """What `model.json` says of the data, its split, the seed and the libraries."""
    return {
        "split": {
            "name": split.name,
            "rows": {part: table.num_rows for part, table in split.parts.items()},
            **split.settings,
        },
        "trained_on": {
            "what": "all interactions" if args.refit else "train part",
            "rows": trained_on.num_rows,
            "digest": digest(trained_on),
        },
        "data": {
            "dataset": interactions.source,
            "rows": interactions.table.num_rows,
            "digest": digest(interactions.table),
            "rejects": interactions.rejects,
        },
        "seed": args.seed,
        "versions": {library: _version(library) for library in LIBRARIES},
    }


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        # The build for CPUs has the same modules under another name.
        return version(f"{library}-cpu")


if __name__ == "__main__":
    run(main)
