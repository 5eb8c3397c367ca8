"""`mozzart dead-letters` as click has it."""

from __future__ import annotations

from typing import Final

import click

from cli.process import run_asyncio, settings

_webhook: Final = click.option("--webhook", is_flag=True, help="Events that the webhook's receiver did not take.")


@click.group("dead-letters", short_help="What could not be stored, or not be delivered.")
def dead_letters() -> None:
    """What could not be stored, or not be delivered to the webhook: list it, show one, try again, give it up."""


@dead_letters.command("list")
@_webhook
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_dead_letters(webhook: bool, as_json: bool) -> int:
    """All of them, the oldest first, with the reason."""
    from cli.dead_letters import undelivered, unstored

    found = settings("dead-letters", quiet=True, nats=True)
    show_all = undelivered.show_all if webhook else unstored.show_all
    return run_asyncio(show_all(found, as_json=as_json))


@dead_letters.command("show")
@click.argument("number", type=click.IntRange(min=1))
@_webhook
@click.option("--raw", is_flag=True, help="Print the message's (or the event's) bytes, and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, without the bytes.")
def show_dead_letter(number: int, webhook: bool, raw: bool, as_json: bool) -> int:
    """One of them, by its NUMBER in the list."""
    from cli.dead_letters import undelivered, unstored

    if raw and as_json:
        raise click.UsageError("--raw and --json exclude each other.")
    found = settings("dead-letters", quiet=True, nats=True)
    show = undelivered.show if webhook else unstored.show
    return run_asyncio(show(found, number, raw=raw, as_json=as_json))


@dead_letters.command(short_help="Send them on their way again.")
@click.argument("numbers", nargs=-1, type=click.IntRange(min=1))
@_webhook
@click.option("--all", "every_one", is_flag=True, help="All that there are.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds to wait for what becomes of each.",
)
def redrive(numbers: tuple[int, ...], webhook: bool, every_one: bool, wait: float) -> int:
    """Send them (by their NUMBERS in the list) on their way again, and tell whether they were stored, or taken by the
    webhook's receiver, this time."""
    from cli.dead_letters import undelivered, unstored

    if bool(numbers) == every_one:
        raise click.UsageError("Name the numbers of dead letters, or --all.")
    found = settings("dead-letters", quiet=True, nats=True)
    again = undelivered.redrive if webhook else unstored.redrive
    return run_asyncio(again(found, numbers, every_one=every_one, wait=wait))


@dead_letters.command(short_help="Give them up.")
@click.argument("numbers", nargs=-1, type=click.IntRange(min=1))
@_webhook
@click.option("--all", "every_one", is_flag=True, help="All that there are.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def discard(numbers: tuple[int, ...], webhook: bool, every_one: bool, yes: bool) -> int:
    """Remove them (by their NUMBERS in the list) with their bytes, for good. A message stays on its server: the syncer
    fetches it once more when it is started the next time."""
    from cli.dead_letters import undelivered, unstored

    if bool(numbers) == every_one:
        raise click.UsageError("Name the numbers of dead letters, or --all.")
    found = settings("dead-letters", quiet=True, nats=True)
    if every_one and not yes:
        click.confirm("Discard all of them, for good?", abort=True, err=True)
    away = undelivered.discard if webhook else unstored.discard
    return run_asyncio(away(found, numbers, every_one=every_one))
