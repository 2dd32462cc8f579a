"""The outcome of a benchmark: tables, figures, floors and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Point = tuple[float, float]


@dataclass(frozen=True)
class Floor:
    """A figure with the value that it must reach, and the value that we hope for."""

    what: str
    value: float
    floor: float
    reach: float
    unit: str = "x"
    """Text after the number: `x`, `%`, ` s`, ` GiB`."""
    at_most: bool = False
    """Whether less is better, so that `floor` is the most allowed."""

    @property
    def met(self) -> bool:
        """Whether the figure is on the right side of the floor. NaN is not."""
        return self.value <= self.floor if self.at_most else self.value >= self.floor

    @property
    def reached(self) -> bool:
        """Whether the figure is on the right side of what we hope for."""
        return self.value <= self.reach if self.at_most else self.value >= self.reach

    def line(self) -> str:
        """One line for a person to read."""
        verdict = "MISSED" if not self.met else "reached" if self.reached else "met"
        bound = "at most" if self.at_most else "at least"
        figure, floor, reach = (f"{number:.4g}{self.unit}" for number in (self.value, self.floor, self.reach))
        return f"{verdict}: {self.what}: {figure}, {bound} {floor} asked, {reach} hoped for"


@dataclass(frozen=True)
class Table:
    """A header and rows, all text."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def render(self) -> str:
        """Aligned Markdown, with the first column to the left and the others to the right."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]

        def line(cells: Sequence[str]) -> str:
            first, *others = zip(cells, widths, strict=True)
            return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

        rule = "|".join(["", "-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:]), ""])
        return "\n".join([line(self.header), rule, *map(line, self.rows)])


@dataclass(frozen=True)
class Picture:
    """A chart: a line for each series, and a level line for each limit."""

    name: str
    """The name of the file, without its ending."""
    title: str
    x_label: str
    y_label: str
    series: Mapping[str, Sequence[Point]]
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """Everything that one benchmark found."""

    tables: Sequence[Table]
    figures: Mapping[str, Any]
    """Numbers, texts, lists and dictionaries for JSON, with units in the names."""
    floors: Sequence[Floor] = ()
    pictures: Sequence[Picture] = ()
    notes: Sequence[str] = ()
    """Lines below the tables, about sizes and what was left out."""

    def render(self) -> str:
        """The tables, the notes and a line for each floor."""
        parts = [table.render() for table in self.tables]
        parts += ["\n".join(lines) for lines in (self.notes, [floor.line() for floor in self.floors]) if lines]
        return "\n\n".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """The figures and floors for JSON. What could not be measured is null."""
        floors = [
            {"what": floor.what, "value": floor.value, "floor": floor.floor, "reach": floor.reach, "met": floor.met}
            for floor in self.floors
        ]
        return _without_nan({**self.figures, "floors": floors})


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
