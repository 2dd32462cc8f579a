"""What is kept of a training run beside its model: the metrics of every epoch, as JSON and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

History = Mapping[str, Sequence[float]]
"""By name of the metric, a value an epoch; the metrics of the validation part begin with `val_`."""


def write_history(history: History, title: str, folder: Path) -> None:
    """Write `history.json` and `learning_curve.png` into `folder`."""
    (folder / "history.json").write_text(json.dumps(dict(history), indent=2) + "\n", encoding="utf-8")
    _draw(history, title, folder / "learning_curve.png")


def _draw(history: History, title: str, path: Path) -> None:
    # The object interface rather than pyplot: no window system is looked for and no global state is left behind.
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    curves = {"train": history["rmse"], "validation": history.get("val_rmse", [])}
    for label, values in curves.items():
        if values:
            axes.plot(range(1, len(values) + 1), values, marker="o", markersize=3, label=f"{label}: {values[-1]:.4f}")
    # The first epoch begins with random weights; on its scale the others would all look alike.
    later = [value for values in curves.values() for value in values[1:]]
    if later:
        axes.set_ylim(min(later) - 0.02, 1.05 * max(later))
    axes.set(title=title, xlabel="epoch", ylabel="RMSE (stars)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
