"""A Flink session cluster on this machine: JobManager, TaskManagers and Beam's job server.

Each TaskManager starts its own Python worker, and ends when that worker is killed. A lost TaskManager is replaced, as a
cluster manager would do, and Flink repeats the tasks that ran on it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from beam_jobs.engines import workers
from beam_jobs.engines.java import find_jars, find_java
from beam_jobs.engines.processes import POLL_SECONDS, Process, Processes, free_ports, listens

RESTARTS = 5
"""Failed tasks that a job survives. An error in the job itself is repeated that often before it is reported."""
RESTART_DELAY_SECONDS = 3
WORKER_KEPT_MILLISECONDS = 2_000
"""How long an idle worker is kept, so that the next task need not start Python. Shorter than the delay of a restart."""
SECONDS_TO_START = 90.0

_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_JOB_SERVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"

_JVM = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
"""The JVMs only move bytes. They should start fast and leave the cores to Python."""
_OPENED = [
    *("java.lang", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.text", "java.time", "sun.nio.ch"),
    *("java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks"),
]
"""Packages of the JDK that Flink uses by reflection. Flink's own scripts open them too."""
_HEAP_MIB, _DIRECT_MIB, _METASPACE_MIB = 1024, 512, 256
"""Memory of a TaskManager. Its heap holds all values of one key in a shuffle, several times over."""
_TASK_MANAGER_MEMORY = {
    "task.heap.size": f"{_HEAP_MIB - 128}m",
    "framework.heap.size": "128m",
    "managed.size": "128m",
    "network.min": "64m",
    "network.max": "64m",
    "task.off-heap.size": "0b",
    "framework.off-heap.size": "64m",
    "jvm-metaspace.size": f"{_METASPACE_MIB}m",
    "jvm-overhead.min": "64m",
    "jvm-overhead.max": "64m",
}
"""Every part of that memory. Flink's start scripts compute these, and a TaskManager does not start without them."""


@dataclass(frozen=True)
class Ports:
    """The ports of one cluster."""

    rpc: int
    rest: int
    job: int
    artifact: int


class SessionCluster:
    """A running cluster. `session_cluster` makes it."""

    def __init__(self, folder: Path, ports: Ports, processes: Processes, task_managers: Processes) -> None:
        self.flags: list[str] = []
        """The Beam flags of a job that is to run here."""
        self.processes = processes
        """The processes that every job needs: JobManager and job server."""
        self._task_managers, self._folder, self._ports = task_managers, folder, ports
        self._java, self._jars = find_java(), _link_jars(find_jars(), folder)
        self._made = 0
        self._lock = threading.Lock()

    @property
    def task_managers(self) -> list[Process]:
        """The TaskManagers that run, the oldest first."""
        return [process for process in self._task_managers if process.running()]

    def start_task_manager(self) -> Process:
        """Add a TaskManager with one slot. It registers with the JobManager a few seconds later."""
        with self._lock:
            self._made += 1
            name = f"taskmanager-{self._made}"
        settings = {
            "taskmanager.resource-id": name,
            "taskmanager.cpu.cores": "1.0",
            **{f"taskmanager.memory.{key}": value for key, value in _TASK_MANAGER_MEMORY.items()},
        }
        given = [word for key, value in settings.items() for word in ("-D", f"{key}={value}")]
        sizes = {"-Xmx": _HEAP_MIB, "-XX:MaxDirectMemorySize=": _DIRECT_MIB, "-XX:MaxMetaspaceSize=": _METASPACE_MIB}
        memory = [f"{flag}{mebibytes}m" for flag, mebibytes in sizes.items()]
        command = self._command(memory, _TASK_MANAGER, ["--configDir", str(self._folder), *given])
        return self._task_managers.start(name, command)

    def start(self, task_managers: int, restarts: int) -> None:
        """Start all processes and wait until jobs can be submitted; see `session_cluster`.

        Raises:
          RunError: a process did not start.
        """
        write_configuration(self._folder, self._ports, task_managers, restarts)
        self.processes.start(
            "jobmanager", self._command(["-Xmx512m"], _JOB_MANAGER, ["--configDir", str(self._folder)])
        )
        for _ in range(task_managers):
            self.start_task_manager()
        arguments = [
            *("--job-host", "localhost", "--job-port", str(self._ports.job)),
            *("--artifact-port", str(self._ports.artifact), "--artifacts-dir", str(self._folder / "scratch")),
            *("--expansion-port", "-1", "--flink-master", f"localhost:{self._ports.rest}"),
        ]
        self.processes.start("jobserver", self._command(["-Xmx512m"], _JOB_SERVER, arguments))
        self.processes.wait_until("Beam's job server listened", lambda: listens(self._ports.job), SECONDS_TO_START)
        self._task_managers.wait_until(
            "the TaskManagers registered", lambda: self._registered() == task_managers, SECONDS_TO_START
        )
        self.flags = [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{self._ports.job}",
            f"--parallelism={task_managers}",
            f"--environment_cache_millis={WORKER_KEPT_MILLISECONDS}",
            # Beam goes on with the worker of a failed task even if it is dead, so a killed worker ends its TaskManager.
            *workers.write_program(self._folder, ends_parent=True),
        ]

    def replace_lost(self, stopping: threading.Event) -> None:
        """Start a TaskManager for each one that has ended, until told to stop."""
        while not stopping.wait(POLL_SECONDS):
            for process in self._task_managers:
                if not process.running():
                    self._task_managers.forget(process)
                    self.start_task_manager()

    def _registered(self) -> int:
        """The number of TaskManagers that the JobManager knows; 0 while it does not answer."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(f"http://localhost:{self._ports.rest}/overview", timeout=5) as answer:
                return int(json.load(answer)["taskmanagers"])
        except (OSError, ValueError, KeyError):
            return 0

    def _command(self, memory: Sequence[str], main: str, arguments: Sequence[str]) -> list[str]:
        opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED]
        scratch = f"-Djava.io.tmpdir={self._folder / 'scratch'}"
        return [self._java, *_JVM, *memory, *opened, scratch, "-cp", f"{self._jars}/*", main, *arguments]


@contextlib.contextmanager
def session_cluster(folder: Path, task_managers: int = 2, restarts: int = RESTARTS) -> Iterator[SessionCluster]:
    """Run a cluster as long as the block lasts.

    Args:
      folder: where to write logs, `config.yaml` and scratch files; the scratch files are deleted at the end.
      task_managers: how many to start, with one slot each.
      restarts: how many failed tasks a job survives; a lost TaskManager or worker counts as one or two.

    Raises:
      InputError: something that the cluster needs is not on this machine.
      RunError: the cluster did not start.
    """
    folder = folder.resolve()
    scratch = folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    stopping = threading.Event()
    try:
        with Processes(folder) as processes, Processes(folder) as task_manager_processes:
            cluster = SessionCluster(folder, Ports(*free_ports(4)), processes, task_manager_processes)
            cluster.start(task_managers, restarts)
            # A child is killed when the thread that started it ends; this thread outlives every TaskManager.
            watcher = threading.Thread(target=cluster.replace_lost, args=[stopping], name="replace lost", daemon=True)
            watcher.start()
            try:
                yield cluster
            finally:
                stopping.set()
                watcher.join()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_configuration(folder: Path, ports: Ports, parallelism: int, restarts: int) -> None:
    """Write `config.yaml`, which the JobManager and the TaskManagers read."""
    settings = {
        "jobmanager.rpc.address": "localhost",
        "jobmanager.rpc.port": ports.rpc,
        "jobmanager.bind-host": "localhost",
        "jobmanager.memory.process.size": "1g",
        "taskmanager.host": "localhost",
        "taskmanager.bind-host": "localhost",
        "taskmanager.numberOfTaskSlots": 1,
        "parallelism.default": parallelism,
        "rest.address": "localhost",
        "rest.bind-address": "localhost",
        "rest.port": ports.rest,
        "io.tmp.dirs": str(folder / "scratch"),
        # Every node has all classes.
        "classloader.resolve-order": "parent-first",
        # Notice a lost TaskManager within seconds; by default it takes most of a minute.
        "heartbeat.interval": 2_000,
        "heartbeat.timeout": 10_000,
        # Beam's --number_of_execution_retries has no effect on a batch job, so the cluster sets it.
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": restarts,
        "restart-strategy.fixed-delay.delay": f"{RESTART_DELAY_SECONDS} s",
    }
    lines = [f"{key}: {json.dumps(value)}\n" for key, value in settings.items()]
    (folder / "config.yaml").write_text("".join(lines), encoding="utf-8")


def _link_jars(jars: Path, folder: Path) -> Path:
    """Link the jars into a folder that Beam does not upload with every job, and return that folder.

    Every node has the jars already, and to upload and distribute 150 MB takes longer than a small job. Beam uploads the
    whole class path except paths that contain `gradle/wrapper` (`PipelineResources.isStageable`). It has no option.
    """
    left_out = folder / "scratch" / "gradle" / "wrapper"
    left_out.mkdir(parents=True)
    for jar in jars.glob("*.jar"):
        try:
            # Not a symbolic link: Beam resolves it before it looks at the path.
            (left_out / jar.name).hardlink_to(jar)
        except OSError:
            shutil.copy2(jar, left_out)
    return left_out
