"""Show on one page what was trained, what was scored, and what some users get.

    python -m beam_jobs.summary --work_dir runs/local

Reads files and nothing else: neither Beam nor TensorFlow is imported.
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
COLUMN = 44
WIDTH = 100


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(prog="python -m beam_jobs.summary", description="Show what a run on this machine produced.")
    parser.add_argument("--work_dir", type=Path, default=Path("runs/local"), help="folder of model, users and the rest")
    parser.add_argument("--run_date", help="YYYY-MM-DD; the latest by default")
    return parser


def main(argv: Sequence[str]) -> None:
    """Print the page."""
    args = build_parser().parse_args(argv)
    partition = _partition(args.work_dir / "recommendations", args.run_date)
    model = _read_json(args.work_dir / "model" / MODEL_FILE)
    report = _read_json(partition / "_run.json")
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
    return [
        f"model      {model['model_version']}: {parameters:,} trainable parameters, seed {model['seed']}",
        f"data       {data['dataset']}: {data['rows']:,} interactions, {model['vocabulary']['users']:,} users, "
        f"{model['vocabulary']['titles']:,} titles",
        f"RMSE       {errors}; {model['split']['name']} split",
        *_lists(model.get("ranking")),
        *textwrap.wrap(
            f"{'gate':11}{'blessed' if verdict['blessed'] else 'NOT blessed'}: {' '.join(verdict['why'])}",
            WIDTH,
            subsequent_indent=" " * 11,
        ),
        f"exported   trained on {trained_on['what']}, {trained_on['rows']:,} rows",
    ]


def _lists(ranking: Mapping[str, Any] | None) -> Iterator[str]:
    """How good the lists are, beside those of the baselines."""
    if ranking:
        figures = (f"{name} {system['metrics']['ndcg']['mean']:.3f}" for name, system in ranking["systems"].items())
        lines = f"{'lists':11}NDCG@{ranking['protocol']['k']} of what users watched next: {', '.join(figures)}"
        yield from textwrap.wrap(lines, WIDTH, subsequent_indent=" " * 11)


def describe_run(report: Mapping[str, Any]) -> list[str]:
    """What was scored, how fast, and what was left out."""
    counters = report["counters"]
    rejects = {name: count for name, count in counters.items() if "_rejected_" in name and count}
    left_out = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in rejects.items()) or "none"
    return [
        f"scored     {counters['users_scored']:,} users x {report['candidates']:,} candidates = "
        f"{counters['pairs_scored']:,} pairs in {report['seconds']['score']:.1f} s, "
        f"{report['pairs_per_second'] / 1e6:.2f} million a second",
        f"published  {counters['rows_written']:,} rows, at most {report['top_n']} a user; "
        f"{counters['users_cold']:,} users unknown to the model, {counters['users_without_rows']:,} without rows",
        f"rejects    {left_out}",
    ]


def describe_files(work_dir: Path, partition: Path, report: Mapping[str, Any]) -> list[str]:
    """Where everything is."""
    size = sum(file["bytes"] for file in report["files"])
    return [
        f"files      {partition}/ ({len(report['files'])} Parquet, {size / 1024:,.0f} KiB)",
        f"           {work_dir / 'model'}/ (SavedModel, {MODEL_FILE}, {CARD_FILE})",
    ]


def choose_users(users: pa.Table) -> list[dict[str, Any]]:
    """The users with the shortest, the median and the longest history; of equals, the first by id."""
    lengths = pc.fill_null(pc.list_value_length(users[SEEN]), 0)
    order = pc.sort_indices(
        pa.table([lengths, users[USER_ID]], ["length", "user"]), [("length", "ascending"), ("user", "ascending")]
    )
    places = sorted({0, len(order) // 2, len(order) - 1}) if len(order) else []
    return users.take(order.take(pa.array(places[:SHOWN_USERS], pa.int64()))).to_pylist()


def show_user(user: Mapping[str, Any], recommendations: pa.Table) -> Iterator[str]:
    """The last titles that a user saw, latest first, beside the first ones recommended and their predicted ratings."""
    rows = recommendations.filter(pc.equal(recommendations[USER_ID], user[USER_ID])).sort_by("rank").to_pylist()
    seen = list(reversed(user[SEEN] or []))
    source = f", {rows[0]['source']}" if rows else ""
    yield f"user {user[USER_ID]}: {len(seen):,} titles seen{source}"
    yield f"  {'last seen':{COLUMN}}  {'recommended':{COLUMN}} rating"
    for place in range(max(min(SHOWN_TITLES, len(seen)), min(SHOWN_TITLES, len(rows)))):
        left = _fit(seen[place]) if place < len(seen) else ""
        right = (
            f"{_fit(rows[place][MOVIE_TITLE]):{COLUMN}} {rows[place]['predicted_rating']:6.2f}"
            if place < len(rows)
            else ""
        )
        yield f"  {left:{COLUMN}}  {right}".rstrip()


def _fit(title: str) -> str:
    return textwrap.shorten(title, COLUMN, placeholder="..") or title[:COLUMN]


def _partition(table: Path, run_date: str | None) -> Path:
    found = sorted(table.glob("run_date=*")) if run_date is None else [table / f"run_date={run_date}"]
    if not found or not found[-1].is_dir():
        wanted = f"for {run_date}" if run_date else "yet"
        raise InputError(f"{table}: nothing published {wanted}; run python -m beam_jobs.score first")
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
