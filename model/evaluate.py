"""Measure an exported model's predicted ratings and recommendations on a split, beside baselines.

nightrank evaluate --model_dir runs/local/model --dataset sample --split last_n
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.artifact.model_json import check_files, read_description
from model.card.figures import card_data
from model.card.model_card import write_card
from model.cli import FlagParser, InputError, run
from model.contract import TRAINING_FOLDER
from model.data.interactions import digest
from model.dataset_flags import add_dataset_flags, add_split_flags, read_dataset, split_dataset
from model.evaluation.baselines.fitting import Baselines, fit_baselines, fit_rating_baselines
from model.evaluation.ranking_evaluation import evaluate_ranking
from model.evaluation.rating_evaluation import evaluate_ratings
from model.evaluation.report import render_ranking, render_ratings
from model.tensorflow_start import import_tensorflow


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(
        prog="nightrank evaluate",
        description="Measure an exported model on a dataset, beside simple baselines.",
        example="nightrank evaluate --model_dir runs/local/model --dataset sample --card card.html",
    )
    parser.add_argument("--model_dir", type=Path, default=Path("runs/local/model"), help="the exported model's folder")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of whatever is drawn; for --split random give the seed of training",
    )
    parser.add_argument("--k", type=int, default=10, help="how many titles to recommend to each user")
    parser.add_argument("--no_baselines", action="store_true", help="measure the model alone")
    parser.add_argument("--max_users", type=int, help="measure the lists of at most this many users, drawn at random")
    parser.add_argument("--card", type=Path, metavar="FILE.html", help="write a model card, one page to read")
    parser.add_argument("--card_user_ids", action="store_true", help="name the example users on the card by their ids")
    add_dataset_flags(parser)
    add_split_flags(parser)
    return parser


def main(argv: Sequence[str]) -> None:
    """Print the protocol and the figures as tables, then as JSON on the last line."""
    args = build_parser().parse_args(argv)
    _check(args.k, args.max_users, args.card)
    description = read_description(args.model_dir)
    if "user_vectors" in description:
        raise InputError(
            f"--model_dir {args.model_dir}: this model does not hold the vectors of its users; "
            "evaluate one made by `nightrank train --user_vectors inside`"
        )
    check_files(args.model_dir, description["files"])
    interactions = read_dataset(args)
    # Measure on the split of training, unless flags say otherwise.
    split = split_dataset(interactions.table, args, description.get("split", {}).get("name", "time"))

    # TensorFlow takes seconds to import. Mistakes in the flags or the data are reported before that.
    import_tensorflow()
    from model.artifact.loading import load_functions

    predict, recommend = load_functions(args.model_dir)
    alone = args.no_baselines or not split.train.num_rows
    baselines = Baselines({}, {}) if alone else fit_baselines(split, args.seed)
    print(f"{description['model_kind']} {description['model_version']} on {interactions.source}, {split.name} split")
    ratings = evaluate_ratings(predict, split, {} if alone else fit_rating_baselines(split))
    print("", render_ratings(ratings), "", sep="\n", flush=True)
    ranking = evaluate_ranking(
        recommend,
        split,
        baselines.recommenders,
        args.k,
        args.seed,
        max_users=args.max_users,
        left_out=baselines.left_out,
    )
    print(render_ranking(ranking) if ranking else "lists are not measured: no test user has a relevant title")
    trained_on = description.get("trained_on", {})
    if trained_on.get("digest") != digest(split.train):
        print(
            f"warning: the model was trained on {trained_on.get('rows', 0):,} rows that differ from the train part\n"
            "of this split; it may have been trained on what is held out here"
        )
    measured: dict[str, Any] = {"ratings": ratings.as_dict(), "ranking": ranking.as_dict() if ranking else None}
    if args.card:
        data = card_data(recommend, predict, split, args.seed, user_ids=args.card_user_ids)
        write_card(args.card, description, measured["ranking"], measured["ratings"], _history(args.model_dir), data)
        print(f"the model card is {args.card}")
    print(json.dumps(measured))


def _check(k: int, max_users: int | None, card: Path | None) -> None:
    for flag, value in (("--k", k), ("--max_users", max_users)):
        if value is not None and value < 1:
            raise InputError(f"{flag} {value}: give a whole number of at least 1")
    if card and not card.parent.is_dir():
        raise InputError(f"--card {card}: there is no folder {card.parent}; create it or name another")


def _history(model_dir: Path) -> dict[str, list[float]]:
    """The learning curves that training left beside the model; empty if it left none."""
    path = model_dir / TRAINING_FOLDER / "history.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


if __name__ == "__main__":
    run(main)
