"""How many users a call of the model gets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from beam_jobs.scoring.loaded_model import Ranked

FIRST_CALL = 1_024
"""Users of the first call."""
SECONDS_A_CALL = 8.0
"""About how long a call should take. It prepares the candidates first: a quarter of a second for a million of them."""


class ModelCalls:
    """Cuts users into calls of the model that take some seconds each, so that progress shows.

    Each call looks the candidates up and computes what its users share, so it should have many users. How many take
    some seconds depends on the model, the candidates and the machine, so that is measured. The results do not depend
    on it.

    Args:
      report: is told the users, the pairs and the seconds of each call.
      clock: gives seconds; replaced in tests.
    """

    def __init__(
        self, report: Callable[[int, int, float], None] = lambda *_: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._report, self._clock = report, clock
        self._users = FIRST_CALL

    def slices(self, users: int) -> Iterator[slice]:
        """Consecutive slices of `users` users, at least one. Each is as long as the calls before it suggest."""
        first = 0
        while first < users or not users:
            past = min(users, first + self._users)
            yield slice(first, past)
            if past == users:
                return
            first = past

    def call(self, rank: Callable[[slice], Ranked], some: slice, candidates: int) -> Ranked:
        """Call `rank` and measure it, so that later slices take longer where this one was quick."""
        began = self._clock()
        ranked = rank(some)
        seconds, users = self._clock() - began, some.stop - some.start
        if users == self._users and seconds < SECONDS_A_CALL / 2:
            self._users *= 2
        self._report(users, users * candidates, seconds)
        return ranked
