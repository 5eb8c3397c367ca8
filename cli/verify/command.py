"""`mozzart verify` as click has it."""

from __future__ import annotations

import click

from cli.process import run_asyncio, settings


@click.command(short_help="Compare the server with database and files.")
@click.option("--account", help="Only this account.")
@click.option("--mailbox", help="Only this mailbox.")
@click.option("--files/--no-files", default=True, help="Whether to read every attachment (default: yes).")
@click.option(
    "--deep",
    is_flag=True,
    help="Also fetch every message and compare its bytes; goes on where an interrupted run was.",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="Seconds that a difference must last: mail comes and goes meanwhile.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify(account: str | None, mailbox: str | None, files: bool, deep: bool, wait: float, as_json: bool) -> int:
    """Compare the server with the database, and the attachments with their rows; changes nothing of both.

    Each message that the server has must be stored, once, and each stored one must be on the server or be marked as
    expunged; each attachment must be on disk with its SHA-256, and nothing else beside them.
    """
    from cli.verify.run import Scope, run

    found = settings("verify", quiet=True, accounts=True)
    return run_asyncio(run(found, Scope(account, mailbox, files, wait, deep), as_json=as_json))
