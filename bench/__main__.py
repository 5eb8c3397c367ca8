"""`make bench`: latency, backfill and sweep against a private Dovecot, beside a raw socket, mbsync and a script."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from bench import backfill, latency, mailbox, rivals, sweep
from bench.report import Report
from tests.support.dovecot import Dovecot
from tests.support.processes import Mozzart

RESULTS = Path(__file__).parent / "results"
PARTS = ("latency", "backfill", "sweep")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--messages", type=int, default=4_000, help="in the mailbox of the backfill (%(default)s)")
    parser.add_argument("--megabytes", type=int, default=300, help="of that mailbox (%(default)s)")
    parser.add_argument("--singles", type=int, default=60, help="messages of the latency measurement (%(default)s)")
    parser.add_argument("--burst", type=int, default=200, help="messages delivered back to back (%(default)s)")
    parser.add_argument("--script", type=int, default=1_000, help="messages for the imaplib script (%(default)s)")
    parser.add_argument("--only", choices=PARTS, action="append", help="leave the other parts out; may be repeated")
    parser.add_argument("--scratch", type=Path, help="a directory on the disk to measure (the system's temporary one)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="for mozzart's environment")
    return parser.parse_args()


def _measure_latency(report: Report, home: Path, arguments: argparse.Namespace) -> None:
    home.mkdir()
    dovecot = Dovecot(store="sdbox").start()
    mozzart = Mozzart(home, dict(word.split("=", 1) for word in arguments.set), executed=True).use(dovecot)
    try:
        mozzart.start().wait_ready().wait_live("idling")
        say(f"latency: {arguments.singles} single messages, then {arguments.burst} at once …")
        report.latency = asyncio.run(
            latency.measure(dovecot, mozzart, messages=arguments.singles, burst=arguments.burst)
        )
    finally:
        mozzart.stop()
        dovecot.close()


def _measure_mailbox(report: Report, home: Path, arguments: argparse.Namespace, parts: set[str]) -> None:
    home.mkdir()
    dovecot = Dovecot().start()
    mozzart = Mozzart(home, dict(word.split("=", 1) for word in arguments.set), executed=True).use(dovecot)
    try:
        say(f"writing a mailbox of {arguments.messages:,} messages, {arguments.megabytes:,} MB …")
        report.filled = mailbox.fill(dovecot, arguments.messages, arguments.megabytes)
        say("raw socket …")
        report.floor = backfill.floor(dovecot)
        say("mbsync …")
        report.mbsync = rivals.mbsync(dovecot, home / "mbsync")
        if arguments.script:
            say("imaplib script …")
            report.script = rivals.imaplib_script(dovecot, home / "script", arguments.script)
        say("mozzart up …")
        report.backfill = backfill.measure(dovecot, mozzart, report.filled.messages)
        mozzart.stop(within=30)
        if "sweep" in parts:
            say("looks that find no change …")
            rivals.mbsync(dovecot, home / "mbsync")  # the messages that arrived during our backfill
            report.sweep = sweep.measure(dovecot, mozzart, home)
    finally:
        mozzart.stop(within=30)
        dovecot.close()


def say(what: str) -> None:
    print(what, flush=True)


def main() -> None:
    arguments = _arguments()
    parts = set(arguments.only or PARTS)
    report = Report()
    with tempfile.TemporaryDirectory(prefix="mz-bench-", dir=arguments.scratch) as scratch:
        if "latency" in parts:
            _measure_latency(report, Path(scratch, "latency"), arguments)
        if parts & {"backfill", "sweep"}:
            _measure_mailbox(report, Path(scratch, "mailbox"), arguments, parts)
    print()
    report.show()
    print(f"also in {report.write(RESULTS).relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
