"""How a machine's cores and memory are shared out: threads for each process, users for each batch."""

from __future__ import annotations

import os

from apache_beam.options.pipeline_options import DebugOptions, DirectOptions, PipelineOptions, StandardOptions

IN_PROCESS_RUNNER = "FnApiRunner"
"""What DirectRunner chooses for a batch pipeline, after it has tried to download another engine."""

ROWS_A_BATCH = 1 << 16
"""Recommendations that a process of one thread makes, writes as a row group, or audits at a time."""
USERS_A_BATCH = (64, 1 << 14)
"""Fewest and most users in a batch."""


def threads_a_process(options: PipelineOptions) -> int | None:
    """Cores for each worker process, so that processes x threads = cores; None means all that the process finds.

    On a cluster each machine runs one process for each core. With the experiment `no_use_multiple_sdk_containers` it
    runs a single process, for a model so large that the machine cannot hold it twice.
    """
    if options.view_as(StandardOptions).runner != IN_PROCESS_RUNNER:
        one_process = options.view_as(DebugOptions).lookup_experiment("no_use_multiple_sdk_containers")
        return None if one_process else 1
    direct = options.view_as(DirectOptions)
    processes = (direct.direct_num_workers or cores()) if direct.direct_running_mode == "multi_processing" else 1
    return max(1, cores() // processes)


def users_a_batch(top_n: int, threads: int | None) -> int:
    """How many users a process of `threads` threads works on at a time, where each gets `top_n` recommendations.

    A machine runs many processes of one thread, so each must take little memory. The threads of a larger process wait
    for each other around every call, so its calls must be few.

    The number is a power of two, like the rows of a row group and the model's blocks, so that batches never cut one
    unevenly. Writers and readers of recommendations use the same number, because each row group holds one batch.
    """
    least, most = USERS_A_BATCH
    users = max(1, ROWS_A_BATCH * (1 if threads == 1 else 4) // top_n)
    return min(max(least, 1 << users.bit_length() - 1), most)


def use_all_cores(options: PipelineOptions) -> None:
    """Run in this process, on one thread more than there are cores.

    The threads share one model, and start-up is paid once. With no more threads than cores, a tenth of the cores' time
    is lost while threads wait for each other; the extra one reads and writes while a model call computes.
    """
    if cores() > 1:
        direct = options.view_as(DirectOptions)
        direct.direct_running_mode, direct.direct_num_workers = "multi_threading", cores() + 1


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
