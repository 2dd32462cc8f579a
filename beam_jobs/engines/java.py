"""What Flink needs: Java, and the jars of Flink and of Beam's runner, which Maven downloads once."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from beam_jobs.engines import cache
from model.cli import InputError

JARS = "NIGHTRANK_FLINK_JARS"
"""The environment variable with a folder of jars to use instead of a download."""
OLDEST = 11
"""The oldest Java that both Flink 1.19 and Beam's runner support."""

_POM = Path(__file__).with_name("pom.xml")
_RUNNER = "beam-runners-flink*.jar"
_RESOLVER = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


def find_java() -> str:
    """The `java` of `JAVA_HOME`, or else the one on the path.

    Raises:
      InputError: there is no Java, or it is older than `OLDEST`.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home, "bin")) if home else None)
    if java is None:
        where = f"in JAVA_HOME={home}" if home else "on this machine"
        raise InputError(f"no java {where}, and Flink runs on it; install Java {OLDEST} or later, such as 17")
    done = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    # Up to Java 8 the version is written "1.8.0_402", since then "17.0.15".
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    if not found or int(found[1]) < OLDEST:
        version = f"Java {found[1]}" if found else "of no known version"
        raise InputError(f"{java} is {version}; install Java {OLDEST} or later, or name it with JAVA_HOME=...")
    return java


def find_jars() -> Path:
    """The folder of the jars: the one that `NIGHTRANK_FLINK_JARS` names, or else the one in the cache.

    Downloads the jars into the cache if they are not there.

    Raises:
      InputError: the named folder lacks Beam's runner, or Maven is not on this machine.
      RunError: the download failed.
    """
    named = os.environ.get(JARS)
    if named:
        if not any(Path(named).glob(_RUNNER)):
            raise InputError(f"{JARS}={named}: no {_RUNNER} in it; name a folder with the jars of {_POM}, or unset it")
        return Path(named).resolve()

    def copy_jars(folder: Path) -> None:
        cache.download(
            ["mvn", "-q", "-B", "-f", str(_POM), _RESOLVER, f"-DoutputDirectory={folder}", "-DincludeScope=runtime"],
            "the jars of Flink and Beam's runner",
            f"install Maven, or name a folder that has them with {JARS}=...",
        )

    return cache.keep(f"flink-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]}", copy_jars)
