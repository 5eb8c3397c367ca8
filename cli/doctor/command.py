"""`mozzart doctor` as click has it."""

from __future__ import annotations

import click

from cli.process import run_asyncio, settings


@click.command(short_help="Does everything work, and if not, what to do.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each check.")
def doctor(as_json: bool) -> int:
    """Check settings, IMAP, NATS, database and media, one line each, with what to do about it."""
    from cli.doctor.run import run

    return run_asyncio(run(settings("doctor", quiet=True, accounts=True), as_json=as_json))
