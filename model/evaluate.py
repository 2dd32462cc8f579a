"""Measure an exported model's error on each part of a split.

python -m model.evaluate --model_dir runs/local/model --dataset sample --split time
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from model import datasets, splits
from model.cli import FlagParser, run
from model.interactions import digest
from model.metrics import measure_parts, render
from model.quiet import import_tensorflow
from model.saved_model import check_files, read_description


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(prog="python -m model.evaluate", description="Measure an exported model on a dataset.")
    parser.add_argument("--model_dir", type=Path, default=Path("runs/local/model"), help="the exported model's folder")
    parser.add_argument("--seed", type=int, default=0, help="of the random split; give the one that training had")
    datasets.add_flags(parser)
    splits.add_flags(parser)
    return parser


def main(argv: Sequence[str]) -> None:
    """Print the errors as a table, and as JSON on the last line."""
    args = build_parser().parse_args(argv)
    description = read_description(args.model_dir)
    check_files(args.model_dir, description["files"])
    interactions = datasets.read_from_flags(args)
    split = splits.split_from_flags(interactions.table, args)

    # TensorFlow takes seconds to import: a mistake in the flags or the data is told before that.
    import_tensorflow()
    from model.recommender import load_predictor

    metrics = measure_parts(load_predictor(args.model_dir), split.parts)
    print(f"{description['model_kind']} {description['model_version']} on {interactions.source}, {split.name} split")
    print(render(metrics))
    trained_on = description.get("trained_on", {})
    if trained_on.get("digest") != digest(split.train):
        print(f"The model was trained on {trained_on.get('rows', 0):,} rows that are not this split's train part.")
    print(json.dumps(metrics))


if __name__ == "__main__":
    run(main)
