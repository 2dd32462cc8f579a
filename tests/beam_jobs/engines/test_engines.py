"""The engines: messages about what is missing, nothing left running, and the rows of DirectRunner."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import dataset

from beam_jobs import prepare, score
from beam_jobs.engines import cache, flink, java, prism, workers
from beam_jobs.engines.__main__ import Engine, write_flags
from beam_jobs.engines.processes import Processes, free_ports, listens
from model.cli import InputError, RunError
from tests import jobs

TOP = Path(__file__).parents[3]
DATE = "2024-02-29"


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose path has only the returned folder, which is empty, and whose cache is empty."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("JAVA_HOME", java.JARS, prism.PROGRAM):
        monkeypatch.delenv(name, raising=False)
    return programs


def install(programs: Path, name: str, script: str) -> Path:
    program = programs / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that has ended stays listed until its parent waits for it.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def wait_for(what: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_is_missing_is_reported_with_the_remedy(bare: Path) -> None:
    with pytest.raises(InputError, match=r"no java on this machine.*install Java 11 or later"):
        java.find_java()
    with pytest.raises(InputError, match=f"mvn is not on this machine.*{java.JARS}="):
        java.find_jars()
    with pytest.raises(InputError, match=f"go is not on this machine.*{prism.PROGRAM}="):
        prism.find_program()


@pytest.mark.parametrize(
    ("version", "old"), [("1.8.0_402", True), ("10.0.2", True), ("11.0.2", False), ("17.0.15", False), ("25", False)]
)
def test_a_java_that_is_too_old_is_refused(bare: Path, version: str, old: bool) -> None:
    program = install(bare, "java", f"echo 'openjdk version \"{version}\" 2025-04-15' >&2")
    if old:
        with pytest.raises(InputError, match=r"is Java (8|10); install Java 11"):
            java.find_java()
    else:
        assert java.find_java() == str(program)


def test_java_home_comes_before_the_path(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(bare, "java", "echo 'openjdk version \"17\"'")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    with pytest.raises(InputError, match="no java in JAVA_HOME="):
        java.find_java()


def test_named_jars_and_programs_are_used_or_refused(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(java.JARS, str(tmp_path))
    with pytest.raises(InputError, match=f"{java.JARS}={tmp_path}: no beam-runners-flink"):
        java.find_jars()
    (tmp_path / "beam-runners-flink-1.19-2.70.0.jar").touch()
    assert java.find_jars() == tmp_path
    monkeypatch.setenv(prism.PROGRAM, str(tmp_path / "none"))
    with pytest.raises(InputError, match=f"{prism.PROGRAM}=.*: no program"):
        prism.find_program()
    program = install(bare, "mine", "exit 0")
    monkeypatch.setenv(prism.PROGRAM, str(program))
    assert prism.find_program() == program


def test_what_is_downloaded_is_kept(bare: Path) -> None:
    install(bare, "go", 'echo built >"$GOBIN/prism"')
    program = prism.find_program()
    assert program.read_text() == "built\n"
    (bare / "go").unlink()
    assert prism.find_program() == program


def test_a_download_that_fails_leaves_nothing(bare: Path) -> None:
    install(
        bare,
        "mvn",
        "for word; do case $word in -DoutputDirectory=*) echo half >${word#*=}/half.jar;; esac; done\n"
        "echo '[ERROR] no such host'; echo help; exit 1",
    )
    with pytest.raises(RunError, match=r"mvn could not download .*: \[ERROR\] no such host; install Maven, or"):
        java.find_jars()
    assert list(cache.folder().iterdir()) == []


def test_the_first_of_two_downloads_is_kept(bare: Path) -> None:
    def fetch(folder: Path) -> None:
        if not (cache.folder() / "thing").exists():
            cache.keep("thing", lambda other: (other / "which").write_text("first") and None)
        (folder / "which").write_text("second")

    # The cache is empty when `fetch` starts, and full when it ends.
    assert (cache.keep("thing", fetch) / "which").read_text() == "first"
    assert [path.name for path in cache.folder().iterdir()] == ["thing"]


def test_processes_and_what_they_started_end_with_the_block(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        process = processes.start("parent", ["sh", "-c", "sleep 300 & echo $!; wait"])
        stubborn = processes.start("stubborn", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
        wait_for(lambda: process.log.read_text() != "" and stubborn.log.read_text() != "")
        pids = [process.pid, stubborn.pid, int(process.log.read_text())]
        assert all(map(alive, pids))
    assert not any(map(alive, pids))


def test_processes_end_when_a_later_one_does_not_start(tmp_path: Path) -> None:
    pids = []

    def start() -> None:
        with Processes(tmp_path) as processes:
            pids.append(processes.start("first", ["sleep", "300"]).pid)
            processes.start("second", ["sh", "-c", "echo some reason; exit 3"])
            processes.wait_until("it is ready", lambda: False, 10)

    with pytest.raises(RunError, match=r"(?s)second has ended; the end of .*second.log:\nsome reason$"):
        start()
    assert len(pids) == 1
    assert not alive(pids[0])


def test_a_process_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("slow", ["sleep", "300"])
        with pytest.raises(RunError, match="it is ready: not in 0 s"):
            processes.wait_until("it is ready", lambda: False, 0.2)


def test_processes_end_when_this_one_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom beam_jobs.engines.processes import Processes\n"
        "with Processes(Path(sys.argv[1])) as all:\n"
        "    print(all.start('child', ['sleep', '300']).pid, flush=True)\n    time.sleep(300)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout
        child = int(starter.stdout.readline())
        # Once the child runs the command, the system will kill it with its parent.
        wait_for(lambda: b"sleep" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[0])
        starter.kill()
    wait_for(lambda: not alive(child))


def test_free_ports_differ_and_are_free() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert not any(map(listens, ports))


def test_the_worker_program_works_with_any_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    python = install(folder, "a python", 'printf "%s|" "$PYTHONPATH" "$@"')
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    flags = workers.write_program(folder)
    assert flags[:2] == ["--environment_type=PROCESS", f'--environment_config={{"command": "{folder}/worker"}}']
    subprocess.run([folder / "worker", "--id=1"], check=True)
    assert (folder / "workers.log").read_text() == f"{TOP}|-m|beam_jobs.engines.boot|--id=1|"


@pytest.mark.parametrize("ends_parent", [False, True])
@pytest.mark.parametrize(("ends", "killed"), [("exit 1", False), ("kill -KILL $$", True)])
def test_a_killed_worker_ends_its_parent_if_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_parent: bool, ends: str, killed: bool
) -> None:
    monkeypatch.setattr(sys, "executable", str(install(tmp_path, "python", ends)))
    workers.write_program(tmp_path, ends_parent)
    # The shell has another command to run, so it starts the worker as a child.
    done = subprocess.run(["sh", "-c", f"{tmp_path}/worker --id=1; exit 7"], check=False)
    assert done.returncode == (-signal.SIGKILL if killed and ends_parent else 7)


def test_a_worker_ends_when_the_engine_asks_it_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(install(tmp_path, "python", "echo $$; exec sleep 300")))
    workers.write_program(tmp_path, ends_parent=True)
    log = tmp_path / "workers.log"
    with subprocess.Popen([tmp_path / "worker", "--id=1"]) as starter:
        wait_for(lambda: log.exists() and log.read_text() != "")
        starter.terminate()
        assert starter.wait(10) == 0
    wait_for(lambda: not alive(int(log.read_text())))


def test_flags_are_written_one_a_line(tmp_path: Path) -> None:
    write_flags(["--a=b", "--c=d e"], tmp_path / "flags")
    assert (tmp_path / "flags").read_text() == "--a=b\n--c=d e\n"
    assert [path.name for path in tmp_path.iterdir()] == ["flags"]


def test_the_command_says_what_is_missing_and_ends_with_2(bare: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "beam_jobs.engines", "flink", "--folder", tmp_path / "f", "--flags_file", "flags"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: no java on this machine")


def test_the_command_writes_flags_while_the_engine_runs(bare: Path, tmp_path: Path) -> None:
    listening = (
        "import socket, sys\nport = int(sys.argv[1].partition('=')[2])\n"
        "server = socket.create_server(('localhost', port))\nwhile True: server.accept()"
    )
    (tmp_path / "engine.py").write_text(listening)
    program = install(bare, "mine", f'exec {sys.executable} {tmp_path}/engine.py "$@"')
    flags = tmp_path / "flags"
    command = [sys.executable, "-m", "beam_jobs.engines", "prism", "--folder", tmp_path / "f", "--flags_file", flags]
    environment = {**os.environ, prism.PROGRAM: str(program)}
    with subprocess.Popen(command, cwd=TOP, env=environment) as engine:
        wait_for(flags.exists)
        assert "--runner=PortableRunner" in flags.read_text().splitlines()
        engine.send_signal(signal.SIGTERM)
        assert engine.wait(20) == 0
    assert not flags.exists()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and tables, of MovieLens if it is available. `direct` has the rows that DirectRunner makes of them."""
    folder = tmp_path_factory.mktemp("work")
    if movielens := os.environ.get("MOVIELENS_100K_DIR"):
        jobs.write_movielens(folder, Path(movielens))
        prepare.main([f"--dataset={folder / 'ratings'}", f"--output={folder}"])
        score.main(flags_of(folder, folder / "direct"))
        return folder
    jobs.write_model(folder / "model")
    users = jobs.some_users()
    jobs.write_users(folder / "users" / "a.parquet", users[:15])
    jobs.write_users(folder / "users" / "b.parquet", users[15:])
    jobs.write_candidates(folder / "candidates" / "c.parquet", jobs.some_titles())
    score.main(flags_of(folder, folder / "direct"))
    return folder


def flags_of(work: Path, output: Path) -> list[str]:
    given = {"users": work / "users" / "*.parquet", "candidates": work / "candidates" / "*.parquet", "output": output}
    return [f"--model={work / 'model'}", f"--run_date={DATE}", *(f"--{name}={value}" for name, value in given.items())]


def rows(output: Path) -> pa.Table:
    table = dataset.dataset(output / "recommendations", partitioning="hive").to_table()
    return table.sort_by([("user_id", "ascending"), ("rank", "ascending")])


@pytest.mark.engine
@pytest.mark.parametrize(
    ("start", "programs", "instead"),
    [
        pytest.param(flink.session_cluster, ("java", "mvn"), java.JARS, id="flink"),
        pytest.param(prism.server, ("go",), prism.PROGRAM, id="prism"),
    ],
)
def test_an_engine_gives_the_rows_of_the_direct_runner(
    start: Callable[[Path], AbstractContextManager[Engine]],
    programs: tuple[str, ...],
    instead: str,
    work: Path,
    tmp_path: Path,
) -> None:
    for program in programs:
        if shutil.which(program) is None and (program == "java" or instead not in os.environ):
            pytest.skip(f"{program} is not on this machine")
    with start(tmp_path / "engine") as engine:
        pids = [process.pid for process in engine.processes]
        score.main([*flags_of(work, tmp_path / "out"), *engine.flags])
    assert not any(map(alive, pids))
    expected = rows(work / "direct")
    assert expected.num_rows > 100
    assert rows(tmp_path / "out").equals(expected)
