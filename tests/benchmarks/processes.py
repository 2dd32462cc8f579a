"""The gain from a second core, in a process or in a thread, and the time from the command to the first rows.

./run_local.sh bench processes
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.benchmarks import models, score_command, scoring
from tests.benchmarks.comparison import in_turn, slope
from tests.benchmarks.outcome import Floor, Outcome, Table
from tests.benchmarks.setting import Setting, cores

TITLES = 1_700
SPEEDUP, SPEEDUP_REACH = 1.8, 1.95
START, START_REACH = 20.0, 8.0
"""Seconds."""


def measure(setting: Setting) -> Outcome:
    """Measure slopes of the whole command with trained dense layers: one core, two processes, two threads."""
    users = setting.size((16_000, 128_000), (300, 1_200))
    model = models.folder_of(models.make_trained, setting.scratch, users[1], TITLES)
    count = min(2, len(cores()))
    ways = {
        "one process on one core": score_command.Command.processes(1),
        f"{count} processes": score_command.Command.processes(count),
        f"{count} threads of one process": score_command.Command.threads(count),
    }
    starts: dict[str, list[float]] = {name: [] for name in ways}

    def runs_of(name: str) -> Callable[[], Sequence[float]]:
        def run() -> list[float]:
            done = [score_command.run(job, ways[name], cores()) for job in scoring.jobs(setting, model, users, TITLES)]
            starts[name] += [each.measurement.first_file for each in done]
            return [each.measurement.seconds for each in done]

        return run

    seconds = in_turn({name: runs_of(name) for name in ways}, setting.turns)
    rates = {name: TITLES * slope(users, taken) for name, taken in seconds.items()}
    one, two, _ = rates
    first = {name: min(found) for name, found in starts.items()}
    rows = [
        [name, f"{rate / 1e6:.2f}", f"{rate / rates[one]:.2f}x", f"{first[name]:.1f}"] for name, rate in rates.items()
    ]
    return Outcome(
        [Table([f"dense layers, {users[0]:,} to {users[1]:,} users", "M pairs/s", "speed-up", "first rows, s"], rows)],
        {"pairs_a_second": rates, "seconds_to_first_rows": first, "seconds": seconds},
        [
            Floor(f"{two} against one", rates[two] / rates[one], SPEEDUP, SPEEDUP_REACH),
            Floor(f"from command to first rows on disk, {two}", first[two], START, START_REACH, " s", at_most=True),
        ],
        notes=["First rows: the first part, scored and written, seen in the output folder; looked for every 50 ms."],
    )
