"""Spark MLlib's ALS model, which ranks all titles for all users, as Nightrank does."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tests.benchmarks.peers import environment
from tests.benchmarks.setting import Setting, cores

RANK = 32
MEMORY = "8g"
JAVA = (8, 17)
"""The oldest and the newest Java that this Spark supports."""


def missing(peers: Path | None) -> str:
    """Why Spark cannot run here, in a few words; empty if it can."""
    if peers is None:
        return environment.NOT_INSTALLED
    if not shutil.which("java"):
        return "no Java: Spark needs 17"
    version = java_version(subprocess.run(["java", "-version"], check=False, capture_output=True, text=True).stderr)
    return "" if version in range(JAVA[0], JAVA[1] + 1) else f"Java is {version or 'of no version'}: Spark needs 17"


def java_version(text: str) -> int | None:
    """The major version in the output of `java -version`: 17 for `17.0.15`, 8 for `1.8.0_292`."""
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found[1]) if found else None


def time_recommend(setting: Setting, users: Sequence[int], titles: int, k: int) -> list[float]:
    """The seconds of `recommendForAllUsers` to Parquet for each number of users, after a run that is not timed."""
    assert setting.peers
    with tempfile.TemporaryDirectory(dir=setting.scratch) as folder:
        _write_factors(Path(folder) / "titles.parquet", titles)
        for count in users:
            _write_factors(Path(folder) / f"users-{count}.parquet", count)
        done = environment.run(setting.peers, "spark_script.py", folder, k, len(cores()), MEMORY, RANK, *users)
        if done["rows"] != users[-1] * min(k, titles):
            raise RuntimeError(f"Spark wrote {done['rows']} rows for {users[-1]} users")
    seconds: list[float] = done["seconds"]
    return seconds


def _write_factors(path: Path, count: int) -> None:
    vectors = np.random.default_rng(count).standard_normal(count * RANK, np.float32)
    splits = pa.array(np.arange(count + 1, dtype=np.int32) * RANK)
    columns = [pa.array(np.arange(count, dtype=np.int32)), pa.ListArray.from_arrays(splits, pa.array(vectors))]
    parquet.write_table(pa.table(columns, names=["id", "features"]), path)
