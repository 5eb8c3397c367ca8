"""`make bench`: latency, backfill and looks against a private Dovecot, beside a raw socket, mbsync and what else people
use; rounds in turn, medians and their spread."""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bench import baseline, page, report
from bench.machine import describe
from bench.parts import ORDER, Parts

# What a size stands for; each may be set by itself.
SIZES = {
    "smallest": {
        "messages": 60,
        "megabytes": 2,
        "rounds": 1,
        "singles": 2,
        "burst": 3,
        "arrivals": 0,
        "others": 20,
        "small": 60,
        "link_rounds": 1,
        "traced": 60,
        "large": 10,
    },
    "quick": {
        "messages": 2_000,
        "megabytes": 150,
        "rounds": 3,
        "singles": 12,
        "burst": 100,
        "arrivals": 2,
        "others": 300,
        "small": 1_500,
        "link_rounds": 1,
        "traced": 600,
        "large": 50,
    },
    "full": {
        "messages": 20_000,
        "megabytes": 1_500,
        "rounds": 3,
        "singles": 35,
        "burst": 200,
        "arrivals": 20,
        "others": 1_000,
        "small": 6_000,
        "link_rounds": 1,
        "traced": 2_000,
        "large": 200,
    },
}
MEANINGS = {
    "messages": "in the mailbox of the backfill",
    "megabytes": "of that mailbox",
    "rounds": "of latency and backfill",
    "singles": "messages of the latency measurement",
    "burst": "messages delivered back to back",
    "arrivals": "messages that arrive during a backfill",
    "others": "messages for what else people use",
    "small": "messages of 6 kB behind a slow link",
    "link_rounds": "of them",
    "traced": "messages whose system calls are counted",
    "large": "MB of the one large message",
}


def _arguments(words: list[str] | None) -> argparse.Namespace:
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--size", choices=SIZES, default="quick", help="what the numbers below begin with (%(default)s)")
    size, _ = first.parse_known_args(words)
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, parents=[first])
    for name, number in SIZES[size.size].items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=int, default=number, help=f"{MEANINGS[name]} (%(default)s)"
        )
    parser.add_argument("--only", choices=ORDER, action="append", help="leave the other parts out; may be repeated")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append", help="of the backfill (both)")
    parser.add_argument("--no-sweep", dest="sweep", action="store_false", help="no looks after the backfill")
    parser.add_argument("--trace", action="store_true", help="latency hop by hop, which costs a write a line")
    parser.add_argument("--scratch", type=Path, help="a directory on the disk to measure (the system's temporary one)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="for mozzart's environment")
    parser.add_argument("--save", action="store_true", help="keep the figures of this size in bench/baseline.json")
    parser.add_argument("--check", action="store_true", help="fail where a ratio is a quarter worse than what is kept")
    arguments = parser.parse_args(words)
    arguments.database = arguments.database or ["sqlite", "postgresql"]
    return arguments


def main(words: list[str] | None = None) -> int:
    """The exit code: 1 if a part failed or `--check` found something."""
    arguments = _arguments(words)
    with tempfile.TemporaryDirectory(prefix="mz-bench-", dir=arguments.scratch) as scratch:
        machine = describe(Path(scratch))
        parts = Parts(arguments, Path(scratch))
        failed = parts.run(set(arguments.only or ORDER))
    options = {name: getattr(arguments, name) for name in MEANINGS}
    run = baseline.Run(f"{datetime.now(UTC):%Y-%m-%d}", machine, options, parts.figures)
    print()
    report.show(run)
    if arguments.size == "full":
        report.show_goals(run.figures)
    print(f"also in {report.write(arguments.size, run)}")
    if arguments.save:
        baseline.save(arguments.size, run)
        if arguments.size == "full":
            page.write(baseline.load()[arguments.size])  # as it is kept, with its digits
    if failed:
        print(f"failed: {', '.join(failed)}")
    return int(bool(failed)) or (_check(arguments.size, run) if arguments.check else 0)


def _check(size: str, run: baseline.Run) -> int:
    kept = baseline.load().get(size)
    if kept is None:
        print(f"nothing is kept of the size {size}: `make bench-check BENCH_ARGS=--save` keeps this run")
        return 1
    found, compared = baseline.worse(kept.figures, run.figures)
    for one in found:
        print(f"WORSE {one}")
    print(f"{len(found)} of {compared} ratios are more than a quarter worse than on {kept.at}")
    return 1 if found or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
