"""A Flink session cluster on this machine: JobManager, TaskManagers and Beam's job server.

Each TaskManager starts its own Python worker, and ends when that is killed. A TaskManager that is lost is replaced, as
a cluster manager would do, and Flink starts what ran on it again.
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
"""Failures of tasks that a job survives. A mistake in the job fails at every one of them before it is told."""
RESTART_DELAY_SECONDS = 3
WORKER_KEPT_MILLISECONDS = 2_000
"""Between the tasks of a job, so that each need not start Python anew; less than the delay of a restart."""
SECONDS_TO_START = 90.0

_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_JOB_SERVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"

_JVM = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
"""The JVMs move bytes while Python works: they should start fast and leave the cores alone."""
_OPENED = [
    *("java.lang", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.text", "java.time", "sun.nio.ch"),
    *("java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks"),
]
"""Packages of the JDK that Flink reaches into, as its own scripts open them."""
_HEAP_MIB, _DIRECT_MIB, _METASPACE_MIB = 1024, 512, 256
"""Of a TaskManager. On its heap lies all that meets in a shuffle by one key, several times over."""
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
"""All of it: what Flink's start scripts would work out, and without which a TaskManager does not start."""


@dataclass(frozen=True)
class Ports:
    """Of one cluster."""

    rpc: int
    rest: int
    job: int
    artifact: int


class SessionCluster:
    """A running cluster. Made by `session_cluster`."""

    def __init__(self, folder: Path, ports: Ports, processes: Processes, task_managers: Processes) -> None:
        self.flags: list[str] = []
        """For Beam jobs."""
        self.processes = processes
        """Those without which no job can go on."""
        self._task_managers, self._folder, self._ports = task_managers, folder, ports
        self._java, self._jars = find_java(), _out_of_uploads(find_jars(), folder)
        self._made = 0
        self._lock = threading.Lock()

    @property
    def task_managers(self) -> list[Process]:
        """Those that run, the longest first."""
        return [process for process in self._task_managers if process.running()]

    def start_task_manager(self) -> Process:
        """Add a TaskManager, with one slot. It registers with the JobManager some seconds later."""
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
          RunError: one of them did not start.
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
            # Beam keeps the worker of a task that failed, dead or alive, so it takes its TaskManager along.
            *workers.write_program(self._folder, takes_parent_along=True),
        ]

    def replace_lost(self, stopping: threading.Event) -> None:
        """Until told to stop, start a TaskManager for each one that has ended."""
        while not stopping.wait(POLL_SECONDS):
            for process in self._task_managers:
                if not process.running():
                    self._task_managers.forget(process)
                    self.start_task_manager()

    def _registered(self) -> int:
        """TaskManagers that the JobManager knows of; 0 while it does not answer."""
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
    """A cluster, as long as the block lasts.

    Args:
      folder: gets the logs and `config.yaml`, and scratch files that are deleted in the end.
      task_managers: with one slot each.
      restarts: failures of tasks that a job survives, a lost TaskManager or worker being one or two.

    Raises:
      InputError: something that it needs is not on this machine.
      RunError: it did not start.
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
            # A child is bound to the thread that starts it, and this one ends after them all.
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
    """Write `config.yaml`, which JobManager and TaskManagers read."""
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
        # All nodes have all classes.
        "classloader.resolve-order": "parent-first",
        # A lost TaskManager is noticed in seconds; the default is most of a minute.
        "heartbeat.interval": 2_000,
        "heartbeat.timeout": 10_000,
        # On a batch job Beam's --number_of_execution_retries has no effect; this has.
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": restarts,
        "restart-strategy.fixed-delay.delay": f"{RESTART_DELAY_SECONDS} s",
    }
    lines = [f"{key}: {json.dumps(value)}\n" for key, value in settings.items()]
    (folder / "config.yaml").write_text("".join(lines), encoding="utf-8")


def _out_of_uploads(jars: Path, folder: Path) -> Path:
    """The same jars in a folder that Beam leaves out of what it uploads with every job.

    All nodes have them already, and to upload and spread 150 MB takes longer than a small job. Of the class path Beam
    uploads all but what has `gradle/wrapper` in its path (`PipelineResources.isStageable`), and offers no other way.
    """
    left_out = folder / "scratch" / "gradle" / "wrapper"
    left_out.mkdir(parents=True)
    for jar in jars.glob("*.jar"):
        try:
            # A symbolic link is followed before the path is looked at.
            (left_out / jar.name).hardlink_to(jar)
        except OSError:
            shutil.copy2(jar, left_out)
    return left_out
