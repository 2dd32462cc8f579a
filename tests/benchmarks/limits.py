"""The limits of the machine: how fast it multiplies matrices and moves memory, on one core and on all at once.

./run_local.sh bench limits
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from model.tensorflow_start import import_tensorflow
from tests.benchmarks.comparison import Gate, at_once, in_new_process
from tests.benchmarks.outcome import Outcome, Table
from tests.benchmarks.setting import Setting, cores

SIDE = 1_024
"""Rows and columns of the matrices that are multiplied."""
ARRAY_BYTES = 512 << 20
"""Size of each array that is moved, many times the largest cache."""


def measure(setting: Setting) -> Outcome:
    """Measure the limits. There are no floors."""
    seconds = setting.size(2.0, 0.2)
    array_bytes = setting.size(ARRAY_BYTES, 8 << 20)
    alone = in_new_process(matrix_peak, None, seconds, on=cores()[:1])
    peak = machine_peak(seconds)
    copied = in_new_process(bandwidth, None, array_bytes, seconds, on=cores()[:1])
    moved = [sum(kind) for kind in zip(*at_once(bandwidth, array_bytes, seconds), strict=True)]
    machine = describe_machine()
    figures = {
        "machine": machine,
        "matrix_peak_gflops": {"one_core_alone": alone / 1e9, "all_cores_at_once": peak / 1e9},
        "memory_gb_a_second": {
            "copy": {"one_core_alone": copied[0] / 1e9, "all_cores_at_once": moved[0] / 1e9},
            "triad": {"one_core_alone": copied[1] / 1e9, "all_cores_at_once": moved[1] / 1e9},
        },
    }
    rows = [
        [f"float32 matrix product, {SIDE} x {SIDE}, GFLOP/s", f"{alone / 1e9:.1f}", f"{peak / 1e9:.1f}"],
        ["memory, copy, GB/s read and written", f"{copied[0] / 1e9:.1f}", f"{moved[0] / 1e9:.1f}"],
        ["memory, triad, GB/s read and written", f"{copied[1] / 1e9:.1f}", f"{moved[1] / 1e9:.1f}"],
    ]
    note = f"{machine['cores']} cores, {machine['cpu']}, {machine['memory_gib']:.0f} GiB; caches {machine['caches']}"
    return Outcome([Table(["limit", "one core alone", "all cores at once"], rows)], figures, notes=[note])


def machine_peak(seconds: float) -> float:
    """Float32 operations a second in matrix products, with one process of one thread on each core at once."""
    return sum(at_once(matrix_peak, seconds))


def matrix_peak(gate: Gate | None, seconds: float) -> float:
    """Operations a second of one thread, by TensorFlow's product or NumPy's, whichever is faster."""
    tf = import_tensorflow()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    left, right = (np.random.default_rng(seed).normal(size=(SIDE, SIDE)).astype(np.float32) for seed in (0, 1))
    of_tensors = (tf.constant(left), tf.constant(right))
    product = tf.function(tf.matmul)
    out = np.empty((SIDE, SIDE), np.float32)
    taken = (
        median_seconds(lambda: product(*of_tensors), seconds / 2, gate),
        median_seconds(lambda: np.matmul(left, right, out=out), seconds / 2),
    )
    return 2.0 * SIDE**3 / min(taken)


def bandwidth(gate: Gate | None, array_bytes: int, seconds: float) -> tuple[float, float]:
    """Bytes a second of `a = b` and of `a = b + s * c`. An array counts each time that it is read or written.

    NumPy computes the triad in two steps, which touch two and three arrays.
    """
    a, b, c = (np.full(array_bytes // 4, value, np.float32) for value in (0, 1, 2))

    def triad() -> None:
        np.multiply(c, np.float32(3), out=a)
        np.add(a, b, out=a)

    copy_seconds = median_seconds(lambda: np.copyto(a, b), seconds / 2, gate)
    return 2 * array_bytes / copy_seconds, 5 * array_bytes / median_seconds(triad, seconds / 2)


def median_seconds(call: Callable[[], Any], seconds: float, gate: Gate | None = None) -> float:
    """The median of the calls made in `seconds`, at least three. A first call and the wait at the gate do not count."""
    call()
    if gate:
        gate.wait()
    taken: list[float] = []
    while sum(taken) < seconds or len(taken) < 3:
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def describe_machine() -> dict[str, Any]:
    """Cores, CPU, memory and caches, as Linux reports them."""
    information = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.*)$", information, re.MULTILINE)
    instructions = [name for name in ("avx2", "avx512f", "amx_tile") if re.search(rf"\b{name}\b", information)]
    caches = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        caches.append(f"L{level} {kind.lower()} {size}")
    return {
        "cores": len(cores()),
        "cpu": f"{model[1] if model else 'unknown'} ({', '.join(instructions) or 'no wide instructions'})",
        "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30),
        "caches": ", ".join(caches) or "unknown",
    }
