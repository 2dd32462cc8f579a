"""The learning curve of a training run, kept beside the model as JSON and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

LearningCurve = Mapping[str, Sequence[float]]
"""For each metric, a value for each epoch. Metrics of the validation part begin with `val_`."""


def write_learning_curve(curve: LearningCurve, title: str, folder: Path) -> None:
    """Write `history.json` and `learning_curve.png` to `folder`."""
    (folder / "history.json").write_text(json.dumps(dict(curve), indent=2) + "\n", encoding="utf-8")
    _draw(curve, title, folder / "learning_curve.png")


def _draw(curve: LearningCurve, title: str, path: Path) -> None:
    # Not pyplot, which looks for a window system and keeps global state.
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    curves = {"train": curve["rmse"], "validation": curve.get("val_rmse", [])}
    for label, values in curves.items():
        if values:
            axes.plot(range(1, len(values) + 1), values, marker="o", markersize=3, label=f"{label}: {values[-1]:.4f}")
    # The first epoch starts from random weights. On its scale, all other epochs would look alike.
    later = [value for values in curves.values() for value in values[1:]]
    if later:
        axes.set_ylim(min(later) - 0.02, 1.05 * max(later))
    axes.set(title=title, xlabel="epoch", ylabel="RMSE (stars)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
