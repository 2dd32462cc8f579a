"""Where the marks of charts lie, in percent of the drawing; templates draw them.

Charts are inline SVG without a viewBox: marks are placed in percent and words are set in the page's own type size, so
they stay readable on a telephone, which words that are scaled with the drawing do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    place: float
    label: str


@dataclass(frozen=True)
class Bar:
    """A mean with its interval."""

    label: str
    words: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class IntervalChart:
    """Means with their intervals, one below the other on one scale. Places are percent from the left."""

    bars: list[Bar]
    ticks: list[Tick]
    zero: float | None
    """Where a line marks 0; None without one."""

    @classmethod
    def of(
        cls, rows: Sequence[tuple[str, float, float, float]], form: str = ".3f", *, mark_zero: bool = False
    ) -> IntervalChart:
        """A chart of (label, mean, low, high), the figures in the format `form`. The scale includes 0."""
        axis = _Axis.over([0.0, *(end for _, _, *ends in rows for end in ends)])
        return cls(
            bars=[
                Bar(label, f"{mean:{form}} ({low:{form}} to {high:{form}})", *map(axis.place, (mean, low, high)))
                for label, mean, low, high in rows
            ],
            ticks=axis.ticks(),
            zero=axis.place(0) if mark_zero else None,
        )


@dataclass(frozen=True)
class Line:
    """A line through points, each with its place and its figures."""

    label: str
    points: list[tuple[float, float, str]]


@dataclass(frozen=True)
class LineChart:
    """Lines over two axes. Places are percent from the left and from the top."""

    lines: list[Line]
    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    dots: bool
    """Whether the points are marked."""
    diagonal: tuple[float, float, float, float] | None
    """x and y of both ends of the line on which the axes are equal; None without one."""

    @classmethod
    def of(
        cls,
        series: Mapping[str, Sequence[Point]],
        x_label: str,
        y_label: str,
        *,
        diagonal: bool = False,
        dots: bool = False,
        from_zero: bool = False,
    ) -> LineChart:
        """A line for each of `series`; `from_zero` starts the vertical axis at 0."""
        points = [point for line in series.values() for point in line]
        x_axis = _Axis.over([x for x, _ in points])
        y_axis = _Axis.over([y for _, y in points] + ([0.0] if from_zero else []))

        def place(x: float, y: float) -> Point:
            return x_axis.place(x), round(100 - y_axis.place(y), 2)

        low, high = max(x_axis.low, y_axis.low), min(x_axis.high, y_axis.high)
        return cls(
            lines=[
                Line(label, [(*place(x, y), f"{x:.3f}, {y:.3f}") for x, y in line]) for label, line in series.items()
            ],
            x_label=x_label,
            y_label=y_label,
            x_ticks=x_axis.ticks(),
            y_ticks=[Tick(round(100 - tick.place, 2), tick.label) for tick in y_axis.ticks()],
            dots=dots,
            diagonal=(*place(low, low), *place(high, high)) if diagonal and low < high else None,
        )


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers at equal steps, the first at most `low` and the last at least `high`.

    A step is 1, 2 or 5 times a power of ten. The range is widened where `high` is not above `low`.
    """
    if not high > low:
        low, high = low - 0.5, low + 0.5
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


@dataclass(frozen=True)
class _Axis:
    numbers: list[float]

    @classmethod
    def over(cls, values: Sequence[float]) -> _Axis:
        return cls(nice_ticks(min(values), max(values)))

    @property
    def low(self) -> float:
        return self.numbers[0]

    @property
    def high(self) -> float:
        return self.numbers[-1]

    def place(self, value: float) -> float:
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    def ticks(self) -> list[Tick]:
        return [Tick(self.place(number), f"{number:g}") for number in self.numbers]
