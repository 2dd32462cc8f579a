"""What the learning curves of this model do, in a chart and a sentence or two for each metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from model.card.charts import LineChart

NAMES = {
    "rmse": "RMSE of predicted ratings (stars)",
    "loss": "Loss of predicted ratings",
    "next_title_loss": "Loss of the next title",
}
_SUMS = ("regularization_loss", "total_loss")
"""Keras keeps these sums of losses; they say nothing that their parts do not."""
_NOTICEABLE = 0.005
"""A smaller change, as a share of the value, is called none."""


@dataclass(frozen=True)
class LearningCurve:
    """One metric over the passes of training; smaller is better."""

    title: str
    words: str
    chart: LineChart


def learning_curves(history: Mapping[str, Sequence[float]]) -> Iterator[LearningCurve]:
    """A curve for each metric of `history`, a value for each pass; `val_` begins those on validation rows."""
    for name, training in history.items():
        if name.startswith("val_") or name in _SUMS or not training:
            continue
        validation = history.get(f"val_{name}", ())
        title = NAMES.get(name, name)
        series = {
            f"{label}, last {values[-1]:.4f}": [(float(number), float(value)) for number, value in enumerate(values, 1)]
            for label, values in (("training", training), ("validation", validation))
            if values
        }
        words = describe(training, validation)
        yield LearningCurve(title, words, LineChart.of(series, "pass over the data", title))


def describe(training: Sequence[float], validation: Sequence[float]) -> str:
    """What a metric did on training rows and on validation rows, of which there may be none."""
    sentences = [f"On training rows it {_course(training)}."]
    if not validation:
        return f"{sentences[0]} There were no validation rows."
    sentences.append(f"On validation rows it {_course(validation)}.")
    best = min(range(len(validation)), key=validation.__getitem__)
    worse = _change(validation[best], validation[-1]) > _NOTICEABLE
    if worse and best < len(training) and _change(training[best], training[-1]) < -_NOTICEABLE:
        sentences.append(
            f"After pass {best + 1} it improved on training rows alone: the model began to learn them by heart."
        )
    return " ".join(sentences)


def _course(values: Sequence[float]) -> str:
    first, last, best = values[0], values[-1], min(values)
    if len(values) == 1:
        return f"was {first:.4f} after one pass"
    change = _change(first, last)
    if abs(change) <= _NOTICEABLE and _change(first, best) >= -_NOTICEABLE:
        return f"hardly changed in {len(values)} passes: {first:.4f} at first, {last:.4f} at last"
    direction = "fell" if change < 0 else "rose"
    course = f"{direction} from {first:.4f} to {last:.4f} in {len(values)} passes"
    if _change(best, last) > _NOTICEABLE and best < first:
        course += f"; it was lowest, {best:.4f}, after pass {list(values).index(best) + 1}"
    return course


def _change(before: float, after: float) -> float:
    return (after - before) / abs(before) if before else after - before
