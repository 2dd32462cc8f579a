"""Train a ranking model and export it with its description.

python -m model.train --dataset sample --model basic --split time --refit --model_dir runs/local/model
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from model import datasets, splits
from model.cli import FlagParser, InputError, run
from model.contract import TRAINING_FOLDER
from model.hyperparameters import MODELS
from model.interactions import Interactions, describe, digest
from model.metrics import measure_parts, render
from model.quiet import import_tensorflow

LIBRARIES = ("tensorflow", "tensorflow-recommenders", "tf-keras", "numpy", "pyarrow")


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(prog="python -m model.train", description="Train a ranking model and export it.")
    parser.add_argument("--model", choices=sorted(MODELS), default="basic", help="the kind of model")
    parser.add_argument("--epochs", type=int, help="passes over the interactions; by default those of the kind")
    parser.add_argument("--seed", type=int, default=0, help="of initial weights, row order and the random split")
    parser.add_argument("--model_dir", default="runs/local/model", help="folder of the exported model, local or gs://")
    parser.add_argument(
        "--refit",
        action="store_true",
        help="after measuring on the split, fit anew to all interactions and export that model",
    )
    datasets.add_flags(parser)
    splits.add_flags(parser)
    return parser


def main(argv: Sequence[str]) -> None:
    """Read, split, fit, measure, perhaps fit to everything, export."""
    args = build_parser().parse_args(argv)
    settings = MODELS[args.model].with_epochs(args.epochs)
    interactions = datasets.read_from_flags(args)
    print(describe(interactions))
    split = splits.split_from_flags(interactions.table, args)
    if not split.train.num_rows:
        raise InputError(f"--split {split.name}: leaves no rows to train on; use more data, --split random or none")

    # TensorFlow takes seconds to import: a mistake in the flags or the data is told before that.
    import_tensorflow()
    from model.dense_recommender import DenseRecommender
    from model.export import export, model_version, replacing
    from model.fitting import Vocabulary, fit
    from model.history import write_history

    everything = split.everything()
    vocabulary = Vocabulary.of(everything)
    with replacing(args.model_dir) as folder:
        logs = folder / TRAINING_FOLDER
        print(
            f"\nfitting {settings.kind} to {split.train.num_rows:,} interactions, {settings.epochs} epochs", flush=True
        )
        fitted = fit(split.train, split.validation, vocabulary, settings, args.seed, logs / "tensorboard")
        recommender = DenseRecommender(fitted.weights)
        metrics = measure_parts(recommender.predict, split.parts)
        print(render(metrics), flush=True)
        write_history(fitted.history, f"{settings.kind}, {split.name} split of {interactions.source}", logs)

        trained_on = split.train
        if args.refit:
            print(f"\nfitting {settings.kind} to all {everything.num_rows:,} interactions, for export", flush=True)
            trained_on, nothing = everything, everything.slice(0, 0)
            fitted = fit(trained_on, nothing, vocabulary, settings, args.seed, logs / "tensorboard-refit")
            recommender = DenseRecommender(fitted.weights)
        description = {
            "model_kind": settings.kind,
            "score_kind": "rating",
            "model_version": model_version(settings.kind, fitted.weights),
            "parameters": {"trainable": fitted.parameters},
            "metrics": metrics,
            "vocabulary": {"users": len(vocabulary.users), "titles": len(vocabulary.titles)},
            **_provenance(args, interactions, split, trained_on),
            "epochs": settings.epochs,
        }
        export(recommender, description, folder)
    print(f"\n{description['model_version']} is in {args.model_dir}")


def _provenance(
    args: argparse.Namespace, interactions: Interactions, split: splits.Split, trained_on: pa.Table
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
        "versions": {library: version(library) for library in LIBRARIES},
    }


if __name__ == "__main__":
    run(main)
