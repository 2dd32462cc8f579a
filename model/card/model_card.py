"""The model card: a page that says to whoever decides, not only to engineers, what a model is, and is not, good for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.card.page import bullets, page, paragraph, section, table
from model.card.sections import (
    examples_section,
    exposure_section,
    learning_section,
    lists_section,
    ratings_section,
    segments_section,
)
from model.evaluation.systems import LABELS, MODEL

Report = Mapping[str, Any]


def write_card(
    path: Path, description: Report, ranking: Report | None, ratings: Report, history: Mapping[str, Any], data: Report
) -> None:
    """Write the card, one HTML file that refers to nothing outside itself.

    Args:
      path: of the file, in a folder that exists.
      description: what `model.json` says. Of it `model_kind`, `score_kind` and `model_version` are needed; the gate's
        verdict is in `blessed`: `{"blessed": bool, "why": [sentences]}`.
      ranking: `RankingReport.as_dict()`, None where no list was measured.
      ratings: `RatingReport.as_dict()`.
      history: learning curves, by name of the metric a value an epoch; `val_` begins those on the validation part.
      data: what `model.card_data.card_data` returns.
    """
    sections = [
        _verdict(description.get("blessed")),
        _summary(description, ranking, ratings),
        *([lists_section(ranking), segments_section(ranking), exposure_section(ranking)] if ranking else []),
        ratings_section(ratings, data),
        learning_section(history),
        examples_section(data["examples"]),
        _data(description, data["data"]),
        _limits(description, ratings),
        _small_print(description, ranking),
    ]
    title = f"Model card: {description['model_version']}"
    subtitle = "What this recommender is, how well it does, and what it should not be used for. "
    subtitle += f"Kind of model: {description['model_kind']}."
    path.write_text(page(title, subtitle, sections), encoding="utf-8")


def _verdict(blessed: Report | None) -> str:
    if blessed is None:
        return section(
            "Not decided", paragraph("No gate has judged this model. Read on before using it."), kind="verdict"
        )
    good = bool(blessed["blessed"])
    heading = "May be sent to users" if good else "Must not be sent to users"
    return section(heading, bullets(blessed["why"]), kind=f"verdict {'yes' if good else 'no'}")


def _summary(description: Report, ranking: Report | None, ratings: Report) -> str:
    by = {
        "relevance": "by how likely the user is to watch a title next",
        "rating": "by the rating that the user is predicted to give",
    }
    items = [
        "For every user the model puts the titles that the user has not had yet in order, "
        f"{by.get(description['score_kind'], 'by its score')}; the best are recommended."
    ]
    if ranking:
        own, k = ranking["systems"][MODEL], ranking["protocol"]["k"]
        items.append(
            f"Tested on {ranking['protocol']['users']:,} users: {own['metrics']['hit_rate']['mean']:.1%} of them went "
            f"on to watch at least one of the {k} titles that the model would have recommended."
        )
        items += [_compared(name, value) for name, value in ranking["differences"].items()]
        items.append(f"It recommends {own['titles']:,} different titles, {own['coverage']:.1%} of the catalogue.")
    else:
        items.append("No recommendations were measured: nothing was held out to compare them with.")
    if ratings["held_out"]:
        error = ratings["systems"][MODEL]["all"]["mae"]
        items.append(f"Its predicted ratings are off by {error:.3f} stars on average.")
    return section("In short", bullets(items))


def _compared(name: str, difference: Report) -> str:
    low, high, label = difference["low"], difference["high"], LABELS.get(name, name)
    figures = f"{difference['mean']:+.4f}, by chance from {low:+.4f} to {high:+.4f}"
    if low > 0:
        return f"Its lists are better than those of “{label}” ({figures} in list quality)."
    if high < 0:
        return f"Its lists are WORSE than those of “{label}” ({figures} in list quality)."
    return f"Its lists and those of “{label}” cannot be told apart by this test ({figures} in list quality)."


def _data(description: Report, facts: Report) -> str:
    split, source = description.get("split", {}), description.get("data", {})
    rows = [
        ["Source", str(source.get("dataset", "-"))],
        ["Ratings", f"{facts['rows']:,}, from {facts['first_day']} to {facts['last_day']}"],
        ["Users, titles", f"{facts['users']:,} users, {facts['titles']:,} titles"],
        [
            "Scale",
            f"{facts['lowest_rating']:g} to {facts['highest_rating']:g} stars, on average {facts['mean_rating']:.3f}",
        ],
        *([f"Left out: {why}", f"{count:,} rows"] for why, count in source.get("rejects", {}).items()),
        ["Set aside by", str(split.get("name", "-"))],
        *([f"{part} part", f"{count:,} rows"] for part, count in split.get("rows", {}).items()),
    ]
    trained = description.get("trained_on", {})
    if trained:
        rows.append(["This model was trained on", f"{trained['what']}, {trained['rows']:,} rows"])
    return section(
        "Data",
        table(["", ""], rows, words=True),
        paragraph(
            "Train part: what is learned from. Test part: hidden, for measuring. Validation: for choices.", "note"
        ),
    )


def _limits(description: Report, ratings: Report) -> str:
    items = [
        "Not as a measure of what users would do: the test asks what they watched without having seen these lists. "
        "Only a trial with real users tells what the lists change.",
        "Not as proof of taste alone: what users watched next may follow the order in which a site showed them titles, "
        "and a model that learns such an order looks better here than it is elsewhere.",
        "Not to judge people, or anything about them but which titles to show; taste tells more than users expect.",
        "Not for other users, titles or countries than those of the data above, without a test on theirs.",
        "Not for ever: tastes and catalogue move on. A model of an old night should be trained anew.",
        "Not to decide what to buy or drop: titles that are seldom recommended may be unknown rather than bad.",
    ]
    if description["score_kind"] == "rating":
        items.append(
            "With care for lists at all: it orders by predicted rating, and what people would rate highest is often "
            "not what they want to watch."
        )
    else:
        items.append("Not by comparing scores of different users: a score orders the titles of one user, no more.")
    cold = ratings["systems"].get(MODEL, {}).get("cold", {}) if ratings["held_out"] else {}
    if cold.get("rows") == 0:
        items.append("For new users with care: this test had none, so their predicted ratings are untested.")
    return section("What it should not be used for", bullets(items))


def _small_print(description: Report, ranking: Report | None) -> str:
    rows = [
        ["Version", description["model_version"]],
        ["Parameters", f"{description['parameters']['trainable']:,}" if "parameters" in description else "-"],
        ["Seed", str(description.get("seed", "-"))],
        ["Data digest", str(description.get("data", {}).get("digest", "-"))],
        ["Libraries", ", ".join(f"{name} {number}" for name, number in description.get("versions", {}).items())],
    ]
    protocol = bullets(ranking["protocol"]["words"]) if ranking else ""
    return section("For engineers", table(["", ""], rows, words=True), protocol)
