"""The commands that ask and change nothing but what they say: each imports what it needs when it runs."""

from __future__ import annotations

from typing import Final

import click

from cli.process import run_asyncio, settings


@click.command()
def status() -> int:
    """What is running, what is connected, how many messages are where."""
    from cli.status import run

    return run_asyncio(run(settings("status", quiet=True)))


@click.command()
def doctor() -> int:
    """Check settings, IMAP, NATS, database and media, one line each, with what to do about it."""
    from cli.doctor import run

    return run_asyncio(run(settings("doctor", quiet=True)))


@click.command()
@click.option("--since", metavar="WHEN", help="Also older events: `all`, a number of events, or a time (ISO 8601).")
@click.option("--subject", default="mail.>", show_default=True, help="NATS subject filter.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def tail(since: str | None, subject: str, as_json: bool) -> int:
    """Live events, one line each, until Ctrl-C."""
    from cli.tail import run

    return run_asyncio(run(settings("tail", quiet=True, nats=True), since=since, subject=subject, as_json=as_json))


COMMANDS: Final[tuple[click.Command, ...]] = (status, doctor, tail)
