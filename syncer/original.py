"""Parts of a stored message, fetched again for whoever asks for its original."""

from __future__ import annotations

from collections.abc import Iterable

import trio

from mailcore.aio import aio
from mailcore.errors import ImapError
from mailcore.events.control import MessagePart, PartRequest, Refusal
from syncer.account import AccountTasks
from syncer.imap.connection import MessageGone

WITHIN = 50.0  # seconds; who asks waits a little longer


async def part(accounts: Iterable[AccountTasks], request: PartRequest) -> MessagePart | Refusal:
    """Whatever goes wrong is a refusal: `message-gone` for good, `failed` for now."""
    tasks = next((each for each in accounts if each.account.name == request.account), None)
    if tasks is None:
        return Refusal(code="unknown-mailbox", message=f"This syncer holds no account {request.account[:80]!r}.")
    try:
        with trio.fail_after(WITHIN):
            return await _fetch(tasks, request)
    except MessageGone:
        return Refusal(code="message-gone", message="The server has it no more.")
    except ImapError as error:
        return Refusal(code="failed", message=str(error))
    except trio.TooSlowError:
        return Refusal(code="failed", message=f"The server did not give it within {WITHIN:g} s.")


async def _fetch(tasks: AccountTasks, request: PartRequest) -> MessagePart | Refusal:
    async with tasks.connections.look() as connection:
        selected = await aio(connection.select, request.mailbox)
        try:
            if selected.uidvalidity != request.uidvalidity:
                return Refusal(
                    code="message-gone",
                    message="The server has begun the mailbox anew: its UIDVALIDITY is another one.",
                )
            data = await aio(connection.uid_fetch_part, request.uid, request.offset, request.count)
        finally:
            await aio(connection.unselect)
    return MessagePart(data=data)
