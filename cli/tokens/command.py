"""`mozzart tokens` as click has it."""

from __future__ import annotations

from datetime import datetime

import click

from cli.process import run_asyncio, settings
from cli.timestamp import Deadline
from mailcore.api_token import SCOPES


@click.group(short_help="The api's tokens: list, add, revoke.")
def tokens() -> None:
    """Tokens for programs that use the api, each with a name and with what it may do. API_TOKEN, or the one in
    DATA_DIR/api.token, is none of these: it may do everything."""


@tokens.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_tokens(as_json: bool) -> int:
    """All of them, with what each may do, until when, and when it was last used."""
    from cli.tokens.run import show_all

    return run_asyncio(show_all(settings("tokens", quiet=True), as_json=as_json))


@tokens.command(short_help="Make one, and print it.")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="What it may do; may be repeated.")
@click.option("--expires", type=Deadline(), help="When it ends: `90d` from now, or a time (ISO 8601); never.")
def add(name: str, scopes: tuple[str, ...], expires: datetime | None) -> int:
    """Make the token NAME and print it on standard output: this once, as its hash alone is kept."""
    if not scopes:
        raise click.UsageError(f"--scope is missing: what may it do? {', '.join(SCOPES)}")
    from cli.tokens.run import add as run

    return run_asyncio(run(settings("tokens", quiet=True), name, scopes, expires))


@tokens.command(short_help="From now on it is good for nothing.")
@click.argument("name")
def revoke(name: str) -> int:
    """Revoke the token NAME: its name, or what it begins with (`mz_` and eight digits), which a text that has leaked
    shows."""
    from cli.tokens.run import revoke as run

    return run_asyncio(run(settings("tokens", quiet=True), name))
