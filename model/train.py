"""Train a ranking model and export it with its description.

python -m model.train --dataset sample --model basic --split time --refit --model_dir runs/local/model
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from model import datasets, splits
from model.cli import FlagParser, InputError, run
from model.contract import TRAINING_FOLDER
from model.hyperparameters import MODELS
from model.interactions import describe, digest
from model.metrics import measure_parts, render

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
    from model.export import export, model_version, replacing
    from model.fitting import Vocabulary, fit
    from model.history import write_history
    from model.recommender import Recommender

    with replacing(args.model_dir) as folder, tempfile.TemporaryDirectory() as scratch:
        training = folder / TRAINING_FOLDER
        training.mkdir()
        started = time.monotonic()
        everything = split.everything()
        vocabulary = Vocabulary.of(everything)
        print(
            f"\nfitting {settings.kind} to {split.train.num_rows:,} interactions, {settings.epochs} epochs", flush=True
        )
        fitted = fit(split.train, split.validation, vocabulary, settings, args.seed, training / "tensorboard")
        recommender = Recommender(fitted.weights)
        metrics = measure_parts(recommender.predict, split.parts)
        print(render(metrics), flush=True)
        write_history(fitted.history, f"{settings.kind}, {split.name} split of {interactions.source}", training)

        trained_on = {"what": "train part", "rows": split.train.num_rows, "digest": digest(split.train)}
        if args.refit:
            print(f"\nfitting {settings.kind} to all {everything.num_rows:,} interactions, for export", flush=True)
            nothing = everything.slice(0, 0)
            fitted = fit(everything, nothing, vocabulary, settings, args.seed, Path(scratch))
            recommender = Recommender(fitted.weights)
            trained_on = {"what": "all interactions", "rows": everything.num_rows, "digest": digest(everything)}

        description: dict[str, Any] = {
            "model_kind": settings.kind,
            "score_kind": "rating",
            "model_version": model_version(settings.kind, fitted.weights),
            "parameters": {"trainable": fitted.parameters},
            "metrics": metrics,
            "vocabulary": {"users": len(vocabulary.users), "titles": len(vocabulary.titles)},
            "split": {"name": split.name, **split.settings, "rows": {part: metrics[part]["rows"] for part in metrics}},
            "trained_on": trained_on,
            "data": {
                "dataset": interactions.source,
                "rows": interactions.table.num_rows,
                "digest": digest(interactions.table),
                "rejects": interactions.rejects,
            },
            "epochs": settings.epochs,
            "seed": args.seed,
            "versions": {library: version(library) for library in LIBRARIES},
        }
        export(recommender, description, folder)
    print(f"\n{description['model_version']} is in {args.model_dir} ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    run(main)
