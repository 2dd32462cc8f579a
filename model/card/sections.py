"""What was measured, as sections of a model card: charts, tables, and what they mean in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from model.card import charts
from model.card.page import paragraph, section, table
from model.evaluation.systems import LABELS, MODEL, RATING_LABELS

Report = Mapping[str, Any]

METRICS = {
    "ndcg": ("List quality (NDCG)", "from 0 to 1: 1 if all that a user went on to watch stood at the top of the list"),
    "recall": ("Share found (recall)", "of what a user went on to watch, how much the list had"),
    "mrr": ("First hit (MRR)", "1 if the first title of the list was watched, 1/2 if only the second, and so on"),
    "hit_rate": ("Users with a hit", "the share of users who watched at least one title of their list"),
}
_SEGMENTS = {"new users": "New users", "new titles": "New titles"}


def lists_section(ranking: Report) -> str:
    """Metrics of the lists of every recommender, with intervals, and their differences."""
    k, systems = ranking["protocol"]["k"], ranking["systems"]
    parts = [
        paragraph(
            f"For each user some titles that they watched were hidden from the model. It then recommended {k} titles, "
            "and so did simple methods that any team could run instead. A better list has more of the hidden titles, "
            "nearer to the top."
        )
    ]
    for metric in ("ndcg", "recall", "hit_rate"):
        name, meaning = METRICS[metric]
        rows = [
            (LABELS.get(system, system), *(report["metrics"][metric][end] for end in ("mean", "low", "high")))
            for system, report in systems.items()
        ]
        parts += [f"<h3>{escape(name)} among {k}</h3>", paragraph(f"{meaning}.", "note"), charts.intervals(rows)]
    if ranking["differences"]:
        ends = ("mean", "low", "high")
        rows = [
            (LABELS.get(name, name), *(value[end] for end in ends)) for name, value in ranking["differences"].items()
        ]
        parts += [
            "<h3>How much better or worse than each simple method</h3>",
            paragraph(
                "Difference in list quality, user by user. Right of zero the model is better; where a bar "
                "crosses it, chance may be the reason. The best simple method: "
                f"{LABELS.get(ranking['best_baseline'], '')}.",
                "note",
            ),
            charts.intervals(rows, "+.4f", mark=0.0),
        ]
    head = ["", *(name for name, _ in METRICS.values())]
    figures = [
        [LABELS.get(system, system), *(_interval(report["metrics"][metric]) for metric in METRICS)]
        for system, report in systems.items()
    ]
    parts += [
        "<h3>All figures</h3>",
        table(head, figures, ours=0),
        paragraph(
            "The bar, and what stands in brackets, is the range that chance allows for: where the figure lies in 95 of "
            f"100 tests on users drawn anew from these. {METRICS['mrr'][0]}: {METRICS['mrr'][1]}.",
            "note",
        ),
        *(
            paragraph(f"Not compared: {LABELS.get(name, name)}, {why}.", "note")
            for name, why in ranking["left_out"].items()
        ),
    ]
    return section("Are its recommendations better than simple ones?", *parts)


def segments_section(ranking: Report) -> str:
    """List quality by what is known of the user and the title."""
    best = ranking["best_baseline"]
    shown = list(dict.fromkeys(name for name in (MODEL, "popularity", best) if name in ranking["systems"]))
    head = ["Who", "Users", *(LABELS.get(name, name) for name in shown)]
    if best:
        head.append(f"Model less {LABELS.get(best, best)}")
    rows = []
    for part in ranking["segments"]:
        cells = [_interval(part["metrics"][name]["ndcg"]) for name in shown] if part["users"] else ["-"] * len(shown)
        if best:
            cells.append(_interval(part["differences"][best], "+.3f") if part["users"] else "-")
        rows.append([_SEGMENTS.get(part["name"], f"Had {part['name']}"), f"{part['users']:,}", *cells])
    return section(
        "Whom does it serve well?",
        paragraph(
            "List quality by how many titles a user had before. “New titles” looks only at titles that nobody had "
            "yet when the model was trained."
        ),
        table(head, rows),
        paragraph("A dash: no such users in this test, so nothing is known about them.", "note"),
    )


def exposure_section(ranking: Report) -> str:
    """How widely recommendations are spread over the catalogue."""
    series = {LABELS.get(name, name): report["exposure"] for name, report in ranking["systems"].items()}
    series["what users watched"] = ranking["training_interactions"]["exposure"]
    curves = {
        name: [(100 * place / (len(curve) - 1), 100 * share) for place, share in enumerate(curve)]
        for name, curve in series.items()
    }
    head = ["", "Different titles", "Share of catalogue", "Novelty (bits)", "Popularity", "against watched"]
    rows = [
        [
            LABELS.get(name, name),
            f"{report['titles']:,}",
            f"{report['coverage']:.1%}",
            _number(report["novelty"], ".2f"),
            _number(report["popularity"], ".3f"),
            _number(report["popularity_bias"], "+.3f"),
        ]
        for name, report in ranking["systems"].items()
    ]
    return section(
        "Does it show more than the hits?",
        paragraph(
            "How much of all recommendations goes to the most recommended titles. A curve that rises steeply and then "
            "lies flat means that a few titles get everything."
        ),
        charts.lines(curves, "most recommended titles, % of catalogue", "share, %", from_zero=True),
        table(head, rows, ours=0),
        paragraph(
            "Novelty: 0 if everybody has the title already, one more each time that half as many have it. Popularity: "
            "1 for the most watched title of all, 0.5 for one in the middle; the last column compares with what users "
            f"watched by themselves ({_number(ranking['training_interactions']['popularity'], '.3f')}), "
            "above 0 meaning more of the hits.",
            "note",
        ),
    )


def ratings_section(ratings: Report, data: Report) -> str:
    """Errors, calibration and distribution of predicted ratings."""
    if not ratings["held_out"]:
        return section("Predicted ratings", paragraph("Nothing was held out to measure them on."))
    rows = [
        [RATING_LABELS.get(name, name)]
        + [_number(measured[who][error], ".4f") for who in ("all", "warm", "cold") for error in ("rmse", "mae")]
        for name, measured in ratings["systems"].items()
    ]
    counts = {who: f"{ratings['systems'][MODEL][who]['rows']:,}" for who in ("all", "warm", "cold")}
    head = ["", "All: RMSE", "MAE", "Known users: RMSE", "MAE", "New users: RMSE", "MAE"]
    calibration = {"ten groups of ratings": [(part["predicted"], part["given"]) for part in data["calibration"]]}
    middles, shares = data["ratings"]["middles"], data["ratings"]
    spread = {
        label: [(middle, 100 * share) for middle, share in zip(middles, shares[name], strict=True)]
        for name, label in (("held_out", "all hidden ratings"), ("recommended", "titles that are recommended"))
    }
    parts = [
        paragraph(
            f"Measured on {counts['all']} hidden ratings, {counts['warm']} of users whom training knew and "
            f"{counts['cold']} of new ones. Both figures are in stars and smaller is better; MAE is the mean "
            "distance, RMSE weighs large mistakes more."
        ),
        table(head, rows, ours=0),
        "<h3>Can a predicted rating be taken at its word?</h3>",
        paragraph(
            "Hidden ratings in ten groups, from the lowest predicted to the highest. On the dashed line, predicted and "
            "given are equal; above it the model promises too little, below it too much.",
            "note",
        ),
        charts.lines(calibration, "predicted, stars", "given by users, stars", diagonal=True, dots=True),
        table(
            ["Group", "Ratings", "Predicted", "Given"],
            [
                [str(number), f"{part['rows']:,}", f"{part['predicted']:.3f}", f"{part['given']:.3f}"]
                for number, part in enumerate(data["calibration"], 1)
            ],
        ),
    ]
    if data["ratings"]["users"]:
        parts += [
            "<h3>What it predicts for what it recommends</h3>",
            paragraph(
                f"Predicted ratings of all hidden pairs, and of the ten best titles of {shares['users']:,} users.",
                "note",
            ),
            charts.lines(spread, "predicted rating, stars", "share, %", from_zero=True),
        ]
    return section("Predicted ratings", *parts)


def learning_section(history: Mapping[str, Any]) -> str:
    """Learning curves, a chart a metric."""
    parts = []
    for name, values in history.items():
        # The sums of losses that Keras keeps say nothing that their parts do not.
        if name.startswith("val_") or name in ("regularization_loss", "total_loss") or not values:
            continue
        curves = {"training": values, "validation": history.get(f"val_{name}", [])}
        series = {
            f"{label}, at last {line[-1]:.4f}": [(float(epoch), float(value)) for epoch, value in enumerate(line, 1)]
            for label, line in curves.items()
            if line
        }
        parts += [f"<h3>{escape(name)}</h3>", charts.lines(series, "pass over the data", name)]
    if not parts:
        return section("How training went", paragraph("This model was not trained in passes over the data."))
    words = (
        "Each pass over the data should bring errors and losses down (a loss is what training makes small). Where "
        "validation gets worse while training still improves, the model learns by heart."
    )
    return section("How training went", paragraph(words), *parts)


def examples_section(examples: list[Report]) -> str:
    """What single users had and would be shown."""
    if not examples:
        return section("Example users", paragraph("Nothing was held out, so there are no users to show."))

    def rows() -> Iterator[list[str]]:
        for example in examples:
            shown = [
                f"{place}. {one['title']} ({one['rating']:.2f}){' ✓' if one['watched'] else ''}"
                for place, one in enumerate(example["recommended"], 1)
            ]
            had = f"{example['user']} (had {example['had']:,})"
            yield [had, "\n".join(example["last"]) or "nothing yet", "\n".join(shown)]

    return section(
        "Ten users, drawn by lot",
        paragraph(
            "The newest of what each had when the model was trained, and its five best, in the model's order and "
            "not that of the predicted stars. ✓: watched later on."
        ),
        table(["User", "Watched last", "Recommended (predicted stars)"], rows(), words=True),
    )


def _interval(value: Report, form: str = ".3f") -> str:
    return f"{value['mean']:{form}}\n({value['low']:{form}} to {value['high']:{form}})"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"
