"""What a benchmark found: a table to read, figures to keep, floors to hold and pictures to draw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Point = tuple[float, float]


@dataclass(frozen=True)
class Floor:
    """A figure, what is asked of it at least (or at most), and what is hoped for."""

    what: str
    value: float
    floor: float
    reach: float
    unit: str = "x"
    """Behind the number: `x`, `%`, ` s`, ` GiB`."""
    at_most: bool = False
    """Less is better."""

    @property
    def met(self) -> bool:
        """Whether the figure is on the right side of the floor; a figure that is no number is not."""
        return self.value <= self.floor if self.at_most else self.value >= self.floor

    @property
    def reached(self) -> bool:
        """Whether it is on the right side of what is hoped for."""
        return self.value <= self.reach if self.at_most else self.value >= self.reach

    def line(self) -> str:
        """One line: what, how much, and what was asked."""
        verdict = "MISSED" if not self.met else "reached" if self.reached else "met"
        bound = "at most" if self.at_most else "at least"
        figure, floor, reach = (f"{number:.4g}{self.unit}" for number in (self.value, self.floor, self.reach))
        return f"{verdict}: {self.what}: {figure}, {bound} {floor} asked, {reach} hoped for"


@dataclass(frozen=True)
class Table:
    """Rows under a header, all text."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def render(self) -> str:
        """As Markdown that is aligned too, the first column to the left and others to the right."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]

        def line(cells: Sequence[str]) -> str:
            first, *others = zip(cells, widths, strict=True)
            return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

        rule = "|".join(["", "-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:]), ""])
        return "\n".join([line(self.header), rule, *map(line, self.rows)])


@dataclass(frozen=True)
class Picture:
    """Lines over one axis, and level lines for the limits of the machine."""

    name: str
    """Of the file, without its ending."""
    title: str
    x_label: str
    y_label: str
    series: Mapping[str, Sequence[Point]]
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """Of one benchmark."""

    tables: Sequence[Table]
    figures: Mapping[str, Any]
    """Plain numbers, texts, lists and dictionaries, with units in their names."""
    floors: Sequence[Floor] = ()
    pictures: Sequence[Picture] = ()
    notes: Sequence[str] = ()
    """Lines below the tables: sizes, and what was left out."""

    def render(self) -> str:
        """Tables, notes and a line for each floor."""
        parts = [table.render() for table in self.tables]
        parts += ["\n".join(lines) for lines in (self.notes, [floor.line() for floor in self.floors]) if lines]
        return "\n\n".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which has no number for what could not be measured: it is null."""
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
