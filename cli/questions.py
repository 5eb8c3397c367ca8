"""The commands with which people look at what runs and what is stored: each imports what it needs when it runs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import click

from cli.moment import Moment, Start
from cli.process import run_asyncio, settings

_TYPES: Final = ("new", "backfill", "rebind", "stored", "expunged", "flags", "reset", "dead", "synced")


@click.command()
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option(
    "--every", type=click.FloatRange(min=0.2), default=2.0, show_default=True, help="With --watch: seconds between."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each look.")
def status(watch: bool, every: float, as_json: bool) -> int:
    """What is running, what is connected, how many messages are where."""
    from cli.status import run

    found = settings("status", quiet=True)
    return run_asyncio(run(found, every=every if watch else None, as_json=as_json))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each check.")
def doctor(as_json: bool) -> int:
    """Check settings, IMAP, NATS, database and media, one line each, with what to do about it."""
    from cli.doctor import run

    return run_asyncio(run(settings("doctor", quiet=True, accounts=True), as_json=as_json))


@click.command()
@click.option("--account", help="Only this account.")
@click.option("--mailbox", help="Only this mailbox.")
@click.option("--type", "types", multiple=True, type=click.Choice(_TYPES), help="Only this type; may be repeated.")
@click.option("--subject", help="NATS subject filter, instead of those three.")
@click.option(
    "--since",
    type=Start(),
    help="Also older events: from a time on (`1h` ago, or ISO 8601), `all`, or the last so many of each stream.",
)
@click.option("--count", type=click.IntRange(min=1), help="End after so many events.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def tail(
    account: str | None,
    mailbox: str | None,
    types: tuple[str, ...],
    subject: str | None,
    since: datetime | Literal["all"] | int | None,
    count: int | None,
    as_json: bool,
) -> int:
    """Live events, one line each, until Ctrl-C."""
    from cli.tail import Filter, run
    from mailcore.bus.layout import filters_by_stream

    if subject is not None and (account is not None or mailbox is not None or types):
        raise click.UsageError("--subject says it all; leave --account, --mailbox and --type away.")
    wanted = Filter(account, mailbox, types, subject)
    if not filters_by_stream(wanted.subjects):
        raise click.UsageError(f"No stream of ours has subjects like {wanted.subjects!r}; docs/events.md names them.")
    found = settings("tail", quiet=True, nats=True)
    return run_asyncio(run(found, wanted=wanted, since=since, count=count, as_json=as_json))


@click.command()
@click.option("--account", help="Only this account.")
@click.option("--mailbox", help="Only this mailbox.")
@click.option("--files/--no-files", default=True, help="Whether to read every attachment (default: yes).")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="Seconds that a difference must last: mail comes and goes meanwhile.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify(account: str | None, mailbox: str | None, files: bool, wait: float, as_json: bool) -> int:
    """Compare the server with the database, and the attachments with their rows; changes nothing.

    Each message that the server has must be stored, once, and each stored one must be on the server or be marked as
    expunged; each attachment must be on disk with its SHA-256.
    """
    from cli.verify import run

    found = settings("verify", quiet=True, accounts=True)
    return run_asyncio(
        run(found, account=account, mailbox=mailbox, files=files, patience=wait, as_json=as_json),
    )


@click.group()
def messages() -> None:
    """What is stored: search it, show one message, save its attachments."""


@messages.command()
@click.argument("words", nargs=-1)
@click.option("--account", help="Only this account.")
@click.option("--mailbox", help="Only this mailbox.")
@click.option("--from", "sender", default="", help="Words in the sender's name or address.")
@click.option("--since", type=Moment(), help="Received at this time or later: `2d` ago, or ISO 8601.")
@click.option("--until", type=Moment(), help="Received before this time.")
@click.option("--attachments/--no-attachments", default=None, help="Only with, or only without attachments.")
@click.option("--expunged/--present", default=False, help="Those gone from the server, or those there (default).")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many, the newest.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def search(
    words: tuple[str, ...],
    account: str | None,
    mailbox: str | None,
    sender: str,
    since: datetime | None,
    until: datetime | None,
    attachments: bool | None,
    expunged: bool,
    limit: int,
    as_json: bool,
) -> int:
    """List messages, the newest first.

    All WORDS must be in the subject, the sender, the recipients or the text; those of one "quoted argument" must stand
    side by side, and begin* may go on.
    """
    from cli.messages import search as run
    from mailcore.store.page import MessageFilter

    wanted = MessageFilter(
        account=account,
        mailbox=mailbox,
        sender=sender,
        since=since,
        until=until,
        has_attachments=attachments,
        # What the shell kept together belongs together.
        query=" ".join(f'"{word}"' if " " in word and '"' not in word else word for word in words),
        expunged=expunged,
    )
    return run_asyncio(run(settings("messages", quiet=True), wanted, limit=limit, as_json=as_json))


@messages.command("show")
@click.argument("message_id", metavar="ID", type=click.IntRange(min=1))
@click.option(
    "--part",
    type=click.Choice(("all", "text", "html", "headers")),
    default="all",
    show_default=True,
    help="Only the text, the HTML source or the headers.",
)
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object.")
def show_message(message_id: int, part: str, as_json: bool) -> int:
    """Show the message with this ID: its headers, its way, its attachments, its text."""
    from cli.messages import show as run

    return run_asyncio(run(settings("messages", quiet=True), message_id, part=part, as_json=as_json))


@messages.command()
@click.argument("message_id", metavar="ID", type=click.IntRange(min=1))
@click.option(
    "--to",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Into this directory, made if it is not there (default: the working directory).",
)
@click.option("--part", "parts", multiple=True, help="Only the attachment of this part; may be repeated.")
def save(message_id: int, directory: Path, parts: tuple[str, ...]) -> int:
    """Save the attachments of the message with this ID, under safe names; overwrites no file."""
    from cli.messages import save as run

    return run_asyncio(run(settings("messages", quiet=True), message_id, directory=directory, parts=parts))


_webhook: Final = click.option("--webhook", is_flag=True, help="Events that the webhook's receiver did not take.")


@click.group("dead-letters")
def dead_letters() -> None:
    """What could not be stored, or not be delivered to the webhook: list it, show one, try again."""


@dead_letters.command("list")
@_webhook
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_dead_letters(webhook: bool, as_json: bool) -> int:
    """All of them, the oldest first, with the reason."""
    from cli import dead_letters, undelivered

    found = settings("dead-letters", quiet=True, nats=True)
    show_all = undelivered.show_all if webhook else dead_letters.show_all
    return run_asyncio(show_all(found, as_json=as_json))


@dead_letters.command("show")
@click.argument("number", type=click.IntRange(min=1))
@_webhook
@click.option("--raw", is_flag=True, help="Print the message's (or the event's) bytes, and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, without the bytes.")
def show_dead_letter(number: int, webhook: bool, raw: bool, as_json: bool) -> int:
    """One of them, by its NUMBER in the list."""
    from cli import dead_letters, undelivered

    if raw and as_json:
        raise click.UsageError("--raw and --json exclude each other.")
    found = settings("dead-letters", quiet=True, nats=True)
    show = undelivered.show if webhook else dead_letters.show
    return run_asyncio(show(found, number, raw=raw, as_json=as_json))


@dead_letters.command()
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
    from cli import dead_letters, undelivered

    if bool(numbers) == every_one:
        raise click.UsageError("Name the numbers of dead letters, or --all.")
    found = settings("dead-letters", quiet=True, nats=True)
    again = undelivered.redrive if webhook else dead_letters.redrive
    return run_asyncio(again(found, numbers, every_one=every_one, wait=wait))


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print a script that makes the SHELL complete commands and options.

    \b
    bash: eval "$(mozzart completion bash)"     in ~/.bashrc
    zsh:  eval "$(mozzart completion zsh)"      in ~/.zshrc
    fish: mozzart completion fish | source      in ~/.config/fish/config.fish
    """
    from cli.completion import run

    return run(context.find_root().command, shell)


COMMANDS: Final[tuple[click.Command, ...]] = (status, doctor, tail, verify, messages, dead_letters, completion)
