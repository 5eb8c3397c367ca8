"""`mozzart messages` as click has it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from cli.process import run_asyncio, settings
from cli.timestamp import Timestamp


@click.group(short_help="What is stored: search, show, save.")
def messages() -> None:
    """What is stored: search it, show one message, save its attachments."""


class _Search(click.Command):
    """`-word` is no option, also where it has an h; `-h` alone is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, ["--help" if each == "-h" else each for each in args[:end]] + args[end:])


@messages.command(cls=_Search, context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("words", nargs=-1)
@click.option("--account", help="Only this account.")
@click.option("--mailbox", help="Only this mailbox.")
@click.option("--from", "sender", default="", help="Words in the sender's name or address.")
@click.option("--since", type=Timestamp(), help="Received at this time or later: `2d` ago, or ISO 8601.")
@click.option("--until", type=Timestamp(), help="Received before this time.")
@click.option("--attachments/--no-attachments", default=None, help="Only with, or only without attachments.")
@click.option("--expunged/--present", default=False, help="Those gone from the server, or those there (default).")
@click.option("--seen/--unseen", default=None, help="Only those that are read, or unread.")
@click.option("--flagged/--unflagged", default=None, help="Only those that are flagged, or not.")
@click.option("--answered/--unanswered", default=None, help="Only those that are answered, or not.")
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
    seen: bool | None,
    flagged: bool | None,
    answered: bool | None,
    limit: int,
    as_json: bool,
) -> int:
    """List messages, the newest first.

    All WORDS must be in the subject, the sender, the recipients, the text or the names of attachments, and those after
    a - must not; those of one "quoted argument" must stand side by side, and begin* may go on. from:, to:, subject:,
    has:attachment, is:unread, before:, after:, in: and account: may stand among them.
    """
    if options := [word for word in words if word.startswith("--")]:
        raise click.NoSuchOption(options[0], ctx=click.get_current_context())
    from cli.messages.run import search as run
    from mailcore.store.page import MessageFilter
    from mailcore.store.query import together

    wanted = MessageFilter(
        account=account,
        mailbox=mailbox,
        sender=sender,
        since=since,
        until=until,
        has_attachments=attachments,
        query=" ".join(map(together, words)),
        expunged=expunged,
        seen=seen,
        flagged=flagged,
        answered=answered,
    )
    return run_asyncio(run(settings("messages", quiet=True), wanted, limit=limit, as_json=as_json))


@messages.command("show", short_help="Show one message.")
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
    from cli.messages.run import show as run

    return run_asyncio(run(settings("messages", quiet=True), message_id, part=part, as_json=as_json))


@messages.command(short_help="Write a message as the server gave it.")
@click.argument("message_id", metavar="ID", type=click.IntRange(min=1))
def raw(message_id: int) -> int:
    """Write the message with this ID to standard output as the server gave it, byte by byte.

    It comes from NATS while the stream has it, else the syncer fetches it again from the server; its SHA-256 is
    checked.
    """
    from cli.messages.run import raw as run

    return run_asyncio(run(settings("messages", quiet=True), message_id))


@messages.command(short_help="Save the attachments of a message.")
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
    from cli.messages.run import save as run

    return run_asyncio(run(settings("messages", quiet=True), message_id, directory=directory, parts=parts))
