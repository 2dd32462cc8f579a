"""Charts of the benchmarks, as PNG files."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.outcome import Picture

DASHES = ("--", ":", "-.")


def draw(picture: Picture, folder: Path) -> Path:
    """Write `NAME.png`. The y axis starts at 0, and the x axis is logarithmic."""
    # Not pyplot, which looks for a window system and keeps global state.
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, points in picture.series.items():
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, marker="o", label=name)
    for dash, (name, value) in zip(DASHES, picture.limits.items(), strict=False):
        axes.axhline(value, color="0.35", linestyle=dash, label=name)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted({x for points in picture.series.values() for x, _ in points})))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.set_ylim(bottom=0)
    axes.set(title=picture.title, xlabel=picture.x_label, ylabel=picture.y_label)
    axes.grid(alpha=0.3)
    axes.legend()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{picture.name}.png"
    figure.savefig(path, dpi=120)
    return path
