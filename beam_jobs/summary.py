"""Show on one page what was trained, what was scored, and what some users get.

    nightrank summary --work_dir runs/local

This reads files and imports neither Beam nor TensorFlow.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from beam_jobs.io.schemas import RECOMMENDATIONS, USERS
from model.cli import FlagParser, InputError, run
from model.contract import CARD_FILE, MODEL_FILE, MOVIE_TITLE, SEEN, USER_ID

SHOWN_USERS = 3
SHOWN_TITLES = 5
WIDTH = 80
LABEL = 11
"""Columns of the label at the start of a line."""
TITLE = 34
"""Columns of a title: two of them and a rating fill a line."""


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(
        prog="nightrank summary",
        description="Show what a run on this machine produced.",
        example="nightrank summary --work_dir runs/local",
    )
    parser.add_argument("--work_dir", type=Path, default=Path("runs/local"), help="folder of model, users and the rest")
    parser.add_argument("--run_date", help="YYYY-MM-DD; the latest by default")
    return parser


def main(argv: Sequence[str]) -> None:
    """Print the page."""
    args = build_parser().parse_args(argv)
    partition = _partition(args.work_dir / "recommendations", args.run_date)
    model = _read_json(args.work_dir / "model" / MODEL_FILE)
    report = _read_json(partition / "_run.json")  # beam_jobs.run has the name, and imports Beam
    users = _read_table(args.work_dir / "users", USERS)
    recommendations = _read_table(partition, RECOMMENDATIONS)
    lines = [
        *describe_model(model),
        "",
        *describe_run(report),
        "",
        *describe_files(args.work_dir, partition, report),
        *(line for user in choose_users(users) for line in ["", *show_user(user, recommendations)]),
    ]
    print("\n".join(lines))


def describe_model(model: Mapping[str, Any]) -> list[str]:
    """What was trained on what, and how far off it was."""
    data, trained_on, parameters = model["data"], model["trained_on"], model["parameters"]["trainable"]
    errors = ", ".join(
        f"{part} {values['rmse']:.4f} ({values['rows']:,} rows)" if values["rmse"] is not None else f"{part} -"
        for part, values in model["metrics"].items()
    )
    verdict = model.get("blessed", {"blessed": False, "why": ["No gate has judged it."]})
    blessed = "blessed" if verdict["blessed"] else "NOT blessed"
    return [
        *_line("model", f"{model['model_version']}: {parameters:,} trainable parameters, seed {model['seed']}"),
        *_line(
            "data",
            f"{data['dataset']}: {data['rows']:,} interactions, {model['vocabulary']['users']:,} users, "
            f"{model['vocabulary']['titles']:,} titles",
        ),
        *_line("RMSE", f"{errors}; {model['split']['name']} split"),
        *_describe_ranking(model.get("ranking")),
        *_line("gate", f"{blessed}: {' '.join(verdict['why'])}"),
        *_line("exported", f"trained on {trained_on['what']}, {trained_on['rows']:,} rows"),
    ]


def _describe_ranking(ranking: Mapping[str, Any] | None) -> list[str]:
    """How good the model's lists are beside those of the baselines."""
    if not ranking:
        return []
    figures = (f"{name} {system['metrics']['ndcg']['mean']:.3f}" for name, system in ranking["systems"].items())
    return _line("lists", f"NDCG@{ranking['protocol']['k']} of what users watched next: {', '.join(figures)}")


def describe_run(report: Mapping[str, Any]) -> list[str]:
    """What was scored, how fast, and what was left out."""
    counters = report["counters"]
    rejects = {name: count for name, count in counters.items() if "_rejected_" in name and count}
    left_out = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in rejects.items()) or "none"
    return [
        *_line(
            "scored",
            f"{counters['users_scored']:,} users x {report['candidates']:,} candidates = "
            f"{counters['pairs_scored']:,} pairs in {report['seconds']['score']:.1f} s, "
            f"{report['pairs_per_second'] / 1e6:.2f} million a second",
        ),
        *_line(
            "published",
            f"{counters['rows_written']:,} rows, at most {report['top_n']} for each user; "
            f"{counters['users_cold']:,} users unknown to the model, {counters['users_without_rows']:,} without rows",
        ),
        *_line("rejects", left_out),
    ]


def describe_files(work_dir: Path, partition: Path, report: Mapping[str, Any]) -> list[str]:
    """Where everything is."""
    size = sum(file["bytes"] for file in report["files"])
    return [
        *_line("files", f"{partition}/ ({len(report['files'])} Parquet, {size / 1024:,.0f} KiB)"),
        *_line("", f"{work_dir / 'model'}/ (SavedModel, {MODEL_FILE}, {CARD_FILE})"),
    ]


def _line(label: str, text: str) -> list[str]:
    """A labelled line, wrapped where it is too long. Paths stay whole."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{label:{LABEL}}",
        subsequent_indent=" " * LABEL,
        break_long_words=False,
        break_on_hyphens=False,
    )


def choose_users(users: pa.Table) -> list[dict[str, Any]]:
    """The users with the shortest, the median and the longest history. Where these tie, the first by id."""
    lengths = pc.fill_null(pc.list_value_length(users[SEEN]), 0)
    order = pc.sort_indices(
        pa.table([lengths, users[USER_ID]], ["length", "user"]), [("length", "ascending"), ("user", "ascending")]
    )
    places = sorted({0, len(order) // 2, len(order) - 1}) if len(order) else []
    return users.take(order.take(pa.array(places[:SHOWN_USERS], pa.int64()))).to_pylist()


def show_user(user: Mapping[str, Any], recommendations: pa.Table) -> Iterator[str]:
    """The titles that a user saw last, latest first, beside the best recommendations and their predicted ratings."""
    rows = recommendations.filter(pc.equal(recommendations[USER_ID], user[USER_ID])).sort_by("rank").to_pylist()
    seen = list(reversed(user[SEEN] or []))
    source = f", {rows[0]['source']}" if rows else ""
    yield f"user {user[USER_ID]}: {len(seen):,} titles seen{source}"
    yield f"  {'last seen':{TITLE}}  {'recommended':{TITLE}} rating"
    for place in range(max(min(SHOWN_TITLES, len(seen)), min(SHOWN_TITLES, len(rows)))):
        left = _fit(seen[place]) if place < len(seen) else ""
        right = (
            f"{_fit(rows[place][MOVIE_TITLE]):{TITLE}} {rows[place]['predicted_rating']:6.2f}"
            if place < len(rows)
            else ""
        )
        yield f"  {left:{TITLE}}  {right}".rstrip()


def _fit(title: str) -> str:
    return textwrap.shorten(title, TITLE, placeholder="..") or title[:TITLE]


def _partition(table: Path, run_date: str | None) -> Path:
    found = sorted(table.glob("run_date=*")) if run_date is None else [table / f"run_date={run_date}"]
    if not found or not found[-1].is_dir():
        wanted = f"for {run_date}" if run_date else "yet"
        raise InputError(f"{table}: nothing published {wanted}; run `nightrank score` first")
    return found[-1]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); run the stage that writes it again") from None


def _read_table(folder: Path, schema: pa.Schema) -> pa.Table:
    paths = sorted(folder.glob("*.parquet"))
    try:
        return pa.concat_tables(
            [
                schema.empty_table(),
                *(parquet.ParquetFile(path).read().select(schema.names).cast(schema) for path in paths),
            ]
        )
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{folder}: cannot be read ({error}); run the stage that writes it again") from None


if __name__ == "__main__":
    run(main)
