"""The setting of a run: where to write, which sizes, how many repeats, which cores and peers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Setting:
    """The setting that all benchmarks of a run share."""

    scratch: Path
    """A folder for tables and models, so that each is made once. It is deleted at the end."""
    quick: bool = False
    """Use sizes that show that a benchmark works, but measure nothing."""
    repeats: int = 2
    """How often to take each measurement. The best of each size counts."""
    peers: Path | None = None
    """The Python of the peers' environment; None if that is not installed."""

    def size(self, full: T, quick: T) -> T:
        """The size to use: `full`, or `quick` in a quick run."""
        return quick if self.quick else full

    @property
    def turns(self) -> int:
        """`repeats`, or 1 in a quick run."""
        return self.size(self.repeats, 1)


def cores() -> list[int]:
    """The numbers of the cores that this process may use, in rising order."""
    return sorted(os.sched_getaffinity(0))
