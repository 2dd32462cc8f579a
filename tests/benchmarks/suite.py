"""The command that runs benchmarks: `./run_local.sh bench [NAME ..]`."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from model.cli import FlagParser, InputError
from tests.benchmarks import (
    catalogue,
    dense_layers,
    dense_peak,
    kernels,
    limits,
    picture,
    processes,
    products,
    scale,
    users,
)
from tests.benchmarks.outcome import Outcome
from tests.benchmarks.peers import environment
from tests.benchmarks.setting import Setting

BENCHMARKS: Mapping[str, Callable[[Setting], Outcome]] = {
    module.__name__.rpartition(".")[2]: module.measure
    for module in (limits, dense_layers, dense_peak, products, kernels, catalogue, users, processes, scale)
}
SLOWS_OPENBLAS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that some machines set for old builds. They would slow NumPy and implicit down."""


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(
        prog="./run_local.sh bench",
        description="Measure speed, as ratios within one run.",
        example="./run_local.sh bench dense_layers kernels --json bench.json",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"benchmarks to run; default: all of {', '.join(BENCHMARKS)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="file that gets the figures")
    parser.add_argument("--output", type=Path, default=Path("runs/bench"), help="folder that gets pictures")
    parser.add_argument("--repeats", type=int, default=2, help="how often to measure each system")
    parser.add_argument("--quick", action="store_true", help="use small sizes, to see that all works; no floor counts")
    parser.add_argument("--peers", action="store_true", help="first install implicit and Spark into .venv-peers")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the benchmarks. Returns 0 if every floor is met, 1 if one is missed or a benchmark failed."""
    args = build_parser().parse_args(argv)
    check_flags(args)
    for name in SLOWS_OPENBLAS:
        os.environ.pop(name, None)
    peers = environment.install() if args.peers else environment.find()
    began = time.monotonic()
    outcomes: dict[str, Outcome] = {}
    failed = []
    with tempfile.TemporaryDirectory(prefix="nightrank-bench-") as scratch:
        setting = Setting(Path(scratch), args.quick, args.repeats, peers)
        for name in args.names or BENCHMARKS:
            print(f"\n== {name} ({time.monotonic() - began:.0f} s)", flush=True)
            try:
                outcomes[name] = BENCHMARKS[name](setting)
            except RuntimeError as error:
                failed.append(f"FAILED: {name}: {error}")
                print(failed[-1], flush=True)
                continue
            print(f"\n{outcomes[name].render()}", flush=True)
    pictures = [picture.draw(each, args.output) for outcome in outcomes.values() for each in outcome.pictures]
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(as_document(outcomes, args.quick), indent=2) + "\n", encoding="utf-8")
    missed = [floor.line() for outcome in outcomes.values() for floor in outcome.floors if not floor.met]
    print(f"\n{len(outcomes)} benchmarks in {time.monotonic() - began:.0f} s", *map(str, pictures), sep="\n")
    if args.quick:
        print("sizes were small: the figures mean nothing, and no floor counts")
        return 1 if failed else 0
    print(*missed, *failed, sep="\n" if missed or failed else "")
    return 1 if missed or failed else 0


def check_flags(args: argparse.Namespace) -> None:
    """Raises InputError if there is no such benchmark or number of repeats."""
    unknown = [name for name in args.names if name not in BENCHMARKS]
    if unknown:
        raise InputError(f"bench {unknown[0]}: there is no such benchmark; name some of {', '.join(BENCHMARKS)}")
    if args.repeats < 1:
        raise InputError(f"--repeats is {args.repeats}; give a whole number of at least 1")


def as_document(outcomes: Mapping[str, Outcome], quick: bool) -> dict[str, Any]:
    """The document that `--json` writes."""
    return {
        "machine": limits.describe_machine(),
        "quick": quick,
        "benchmarks": {name: outcome.as_dict() for name, outcome in outcomes.items()},
    }
