"""What a run of the suite gives every benchmark: a place to write, sizes, repeats, cores and peers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Setting:
    """Shared by all benchmarks of a run, so that tables and models are made once."""

    scratch: Path
    """A folder that is deleted in the end."""
    quick: bool = False
    """Sizes that show that a benchmark works, and measure nothing."""
    repeats: int = 2
    """Times that each side has its turn; of each size the best counts."""
    peers: Path | None = None
    """The Python of the peers' environment; None where that is not installed."""

    def size(self, full: T, quick: T) -> T:
        """One of two sizes."""
        return quick if self.quick else full

    @property
    def turns(self) -> int:
        """`repeats`, or 1 where nothing is measured."""
        return self.size(self.repeats, 1)


def cores() -> list[int]:
    """Numbers of the cores that this process may use, rising."""
    return sorted(os.sched_getaffinity(0))
