"""Charts as inline SVG: text that a browser draws sharply at any size, and nothing to load."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH = 520
"""Of the drawing in its own units; the page scales it."""
COLOURS = ("#0b62b8", "#b3500b", "#4b5563", "#0f766e", "#7c3aed", "#a21caf")
DASHES = ("", "7 4", "2 3", "10 3 2 3", "4 4", "1 4")

Point = tuple[float, float]


def intervals(rows: Sequence[tuple[str, float, float, float]], form: str = ".3f", mark: float | None = None) -> str:
    """A dot with its interval for each of (label, mean, low, high), all on one scale.

    The figures stand beside each label, in the format `form`. The first row stands out, unless `mark` draws an upright
    line, as at zero for differences.
    """
    ends = [end for _, _, low, high in rows for end in (low, high)] + ([] if mark is None else [mark])
    ticks = nice_ticks(min(0.0, *ends), max(ends))
    left, right, step = 24, WIDTH - 24, 44
    bottom = step * len(rows) + 8

    def x(value: float) -> float:
        return left + (right - left) * (value - ticks[0]) / (ticks[-1] - ticks[0])

    parts = [_upright(x(tick), 4, bottom, "#e3e6ea") + _text(x(tick), bottom + 18, f"{tick:g}") for tick in ticks]
    for number, (label, mean, low, high) in enumerate(rows):
        first = number == 0 and mark is None
        colour = COLOURS[0] if first else COLOURS[2]
        y = number * step + 34
        words = f"{mean:{form}} ({low:{form}} to {high:{form}})"
        if mark is not None:
            # Beside the bars alone, so that it does not run through the words.
            parts.append(_upright(x(mark), y - 8, y + 8, "#111827"))
        parts += [
            f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>',
            _dot(x(mean), y, 6, colour, f"{label}: {words}"),
            _text(left, y - 14, label, "start", halo=True, bold=first),
            _text(right, y - 14, words, "end", halo=True, bold=first),
        ]
    return _svg(bottom + 26, "".join(parts), "; ".join(f"{row[0]}: {row[1]:{form}}" for row in rows))


def lines(
    series: Mapping[str, Sequence[Point]],
    x_label: str,
    y_label: str,
    *,
    diagonal: bool = False,
    dots: bool = False,
    from_zero: bool = False,
) -> str:
    """A line for each of `series`, each in a colour and dash of its own, with a legend above the drawing.

    `diagonal` adds the line on which both axes are equal; `dots` marks the points, each with its figures; `from_zero`
    begins the upright axis at 0.
    """
    points = [point for line in series.values() for point in line]
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    x_ticks = nice_ticks(min(xs), max(xs))
    y_ticks = nice_ticks(0.0 if from_zero else min(ys), max(ys))
    left, right, top = 58, WIDTH - 20, 14 + 22 * len(series)
    bottom = top + 240

    def x(value: float) -> float:
        return left + (right - left) * (value - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])

    parts = [_upright(x(tick), top, bottom, "#e3e6ea") + _text(x(tick), bottom + 19, f"{tick:g}") for tick in x_ticks]
    parts += [_level(y(tick), left, right) + _text(left - 7, y(tick) + 5, f"{tick:g}", "end") for tick in y_ticks]
    if diagonal:
        low, high = max(x_ticks[0], y_ticks[0]), min(x_ticks[-1], y_ticks[-1])
        ends = f'x1="{x(low):.1f}" y1="{y(low):.1f}" x2="{x(high):.1f}" y2="{y(high):.1f}"'
        parts.append(f'<line {ends} stroke="#6b7280" stroke-dasharray="4 4"/>')
    for number, (label, line) in enumerate(series.items()):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        stroke = f'stroke="{colour}" stroke-width="2.5" stroke-dasharray="{dash}" fill="none"'
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line)
        parts += [
            f'<polyline points="{path}" {stroke}/>',
            f'<line x1="{left}" x2="{left + 34}" y1="{22 * number + 10}" y2="{22 * number + 10}" {stroke}/>',
            _text(left + 42, 22 * number + 15, label, "start"),
        ]
        if dots:
            parts += [_dot(x(a), y(b), 4, colour, f"{a:.3f}, {b:.3f}") for a, b in line]
    middle = (top + bottom) / 2
    parts += [
        _text((left + right) / 2, bottom + 40, x_label),
        f'<g transform="rotate(-90 14 {middle})">{_text(14, middle, y_label)}</g>',
    ]
    return _svg(bottom + 50, "".join(parts), f"{y_label} by {x_label}: {', '.join(series)}")


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers at equal steps, about `count`, the first not above `low` and the last not below `high`.

    Steps are 1, 2 or 5 times a power of ten. Where `high` is not above `low` the range is widened.
    """
    if not high > low:
        low, high = low - 0.5, low + 0.5
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _svg(height: float, content: str, description: str) -> str:
    # Without a namespace: inside HTML none is needed, and the page refers to nothing outside itself.
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(description)}" '
        f'font-size="14" fill="#1f2937">{content}</svg>'
    )


def _text(x: float, y: float, words: str, anchor: str = "middle", *, halo: bool = False, bold: bool = False) -> str:
    style = ' paint-order="stroke" stroke="#fff" stroke-width="6"' if halo else ""
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}{weight}>{escape(words)}</text>'


def _dot(x: float, y: float, radius: int, colour: str, words: str) -> str:
    title = f"<title>{escape(words)}</title>"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}">{title}</circle>'


def _upright(x: float, top: float, bottom: float, colour: str) -> str:
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" stroke="{colour}"/>'


def _level(y: float, left: float, right: float) -> str:
    return f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e6ea"/>'
