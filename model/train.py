"""Train a ranking model and export it with its description.

python -m model.train --dataset sample --model basic --split time --refit --model_dir runs/local/model
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from model.artifact.gate import former_description, judge
from model.artifact.learning_curve import write_history
from model.card.figures import card_data
from model.card.model_card import write_card
from model.cli import FlagParser, InputError, about, run
from model.contract import CARD_FILE, TRAINING_FOLDER
from model.data.interactions import Interactions, describe, digest
from model.data.splits import Split
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
from model.rankers.settings import DEFAULT_SPLITS, MODELS, with_epochs
from model.tensorflow_start import import_tensorflow

if TYPE_CHECKING:
    from model.rankers.registry import Trained

MEASURED_USERS = 20_000
"""Whose lists are measured, drawn at random where there are more: enough for intervals of a thousandth."""
LIBRARIES = ("tensorflow", "tensorflow-recommenders", "tf-keras", "numpy", "pyarrow")


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(prog="python -m model.train", description="Train a ranking model and export it.")
    parser.add_argument("--model", choices=sorted(MODELS), default="relevance", help="the kind of model")
    parser.add_argument("--epochs", type=int, help="passes over the interactions; by default those of the kind")
    parser.add_argument("--seed", type=int, default=0, help="of initial weights, row order and the random split")
    parser.add_argument("--model_dir", default="runs/local/model", help="folder of the exported model, local or gs://")
    parser.add_argument(
        "--refit",
        action="store_true",
        help="after measuring on the split, fit anew to all interactions and export that model",
    )
    parser.add_argument(
        "--user_vectors",
        choices=("inside", "apart"),
        default="inside",
        help="whether the model holds its users' vectors, or they lie beside it for `beam_jobs.prepare --with_vectors`",
    )
    add_dataset_flags(parser)
    add_split_flags(parser)
    return parser


def check_flags(args: argparse.Namespace) -> None:
    """Find what is wrong with the flags without reading any data. Raises InputError."""
    with_epochs(MODELS[args.model], args.epochs)
    check_dataset_flags(args, DEFAULT_SPLITS[args.model])


def main(argv: Sequence[str]) -> None:
    """Read, split, fit, measure, perhaps fit to everything, judge, export."""
    args = build_parser().parse_args(argv)
    settings = with_epochs(MODELS[args.model], args.epochs)
    interactions = read_dataset(args)
    print(describe(interactions))
    split = split_dataset(interactions.table, args, default=DEFAULT_SPLITS[args.model])
    if not split.train.num_rows:
        raise InputError(f"--split {split.name}: leaves no rows to train on; use more data, --split random or none")
    former = former_description(args.model_dir)

    # TensorFlow takes seconds to import: a mistake in the flags or the data is told before that.
    import_tensorflow()
    from model.artifact.export import export, model_version, replacing
    from model.artifact.user_vectors import write_user_vectors
    from model.data.vocabulary import Vocabulary
    from model.rankers.registry import fit_kind

    everything, described = split.everything(), split.described()
    vocabulary = Vocabulary.of(everything)
    with ExitStack() as stack:
        with about("--model_dir"):
            folder = stack.enter_context(replacing(args.model_dir))
        logs = folder / TRAINING_FOLDER
        print(f"\nfitting {args.model} to {split.train.num_rows:,} interactions", flush=True)
        trained = fit_kind(
            settings, split.train, split.validation, described, vocabulary, args.seed, logs / "tensorboard"
        )
        measured = _measure(trained, split, args.seed)
        history = trained.history
        write_history(history, f"{args.model}, {split.name} split of {interactions.source}", logs)

        trained_on = split.train
        if args.refit:
            print(f"\nfitting {args.model} to all {everything.num_rows:,} interactions, for export", flush=True)
            trained_on, nothing = everything, everything.slice(0, 0)
            # With the settings that were measured: what the interactions chose is not chosen anew.
            trained = fit_kind(
                trained.settings, trained_on, nothing, described, vocabulary, args.seed, logs / "tensorboard-refit"
            )
        description = {
            "model_kind": args.model,
            "score_kind": "relevance" if args.model == "relevance" else "rating",
            "model_version": model_version(args.model, trained.weights),
            "parameters": {"trainable": trained.parameters},
            **{name: measured[name] for name in ("metrics", "ratings", "ranking")},
            "vocabulary": {"users": len(vocabulary.users), "titles": len(vocabulary.titles)},
            **_provenance(args, interactions, split, trained_on),
            "settings": asdict(trained.settings),
        }
        description["blessed"] = judge(description, trained.finite, former)
        write_card(folder / CARD_FILE, description, measured["ranking"], measured["ratings"], history, measured["card"])
        recommender = trained.recommender
        if args.user_vectors == "apart":
            version = description["model_version"]
            description["user_vectors"] = write_user_vectors(trained.weights, version, folder)
            recommender = trained.without_users()
        export(recommender, description, folder)
    verdict = description["blessed"]
    print(f"\n{'blessed' if verdict['blessed'] else 'NOT blessed'}: {' '.join(verdict['why'])}")
    print(f"{description['model_version']} is in {args.model_dir}, with {CARD_FILE} to read")


def _measure(trained: Trained, split: Split, seed: int) -> dict[str, Any]:
    """Errors and lists of a model, beside baselines, on the parts of a split; printed, and for `model.json`."""
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
    print("", render_ranking(ranking) if ranking else "no list was measured: nothing is held out", sep="\n", flush=True)
    return {
        "metrics": ratings.parts,
        "ratings": ratings.as_dict(),
        "ranking": ranking.as_dict() if ranking else None,
        "card": card_data(recommend, predict, split, seed),
    }


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
