"""The bytes of a stored message as the server gave them, from whoever still has them: the stream, else the server."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from mailcore.bus import BodyMissing, Bus
from mailcore.errors import BusError, MozzartError, Retry, Scope
from mailcore.events import control
from mailcore.events.control import MessagePart, PartRequest, Refusal
from mailcore.store import MessageDetail

_PART: Final = 512 << 10  # as base64 in JSON well below the largest payload of NATS
_PART_WITHIN: Final = 60.0
_BLOCK: Final = 1 << 20
_GONE: Final = ("message-gone", "unknown-mailbox")


class OriginalGone(MozzartError):
    """Nobody has the bytes any more; the text says why, as a sentence."""

    scope = Scope.MESSAGE
    retry = Retry.NEVER


async def write_original(bus: Bus, message: MessageDetail, path: Path) -> None:
    """Write them into the file `path`; they have the SHA-256 of the row. Raises OriginalGone, OSError, and BusError
    when NATS or the syncer does not answer, or the server cannot be asked."""
    if message.stream_seq is not None:
        try:
            await bus.message_body(message.stream_seq, message.sha256, path)
        except BodyMissing:
            pass
        else:
            if await asyncio.to_thread(_digest, path) == message.sha256:
                return
    expunged_at = message.summary.expunged_at
    if expunged_at is not None:
        raise OriginalGone(_no_copy(expunged_at))
    await _fetch(bus, message, path)
    if await asyncio.to_thread(_digest, path) != message.sha256:
        raise OriginalGone(
            "The stream has it no more, and what the server gives now are other bytes than those that were stored "
            "(their SHA-256 differs)."
        )


def _no_copy(expunged_at: datetime) -> str:
    return (
        f"The stream has it no more, and the server neither: it was found gone at {expunged_at:%Y-%m-%d %H:%M:%S} UTC."
    )


async def _fetch(bus: Bus, message: MessageDetail, path: Path) -> None:
    """From the server, by parts; the end is where it gives less than was asked for."""
    summary, offset = message.summary, 0
    with await asyncio.to_thread(path.open, "wb") as file:
        while True:
            request = PartRequest(
                account=summary.account,
                mailbox=summary.mailbox.encode("utf-8", "replace").decode(),
                uidvalidity=summary.uidvalidity,
                uid=summary.uid,
                offset=offset,
                count=_PART,
            )
            part = await _part(bus, request)
            await asyncio.to_thread(file.write, part)
            offset += len(part)
            # A server that gives more than there was gives something else.
            if len(part) < _PART or offset > summary.size:
                return


async def _part(bus: Bus, request: PartRequest) -> bytes:
    answer = await bus.request(control.PART, request.model_dump_json().encode(), _PART_WITHIN)
    try:
        return MessagePart.model_validate_json(answer).data
    except ValidationError:
        pass
    try:
        refusal = Refusal.model_validate_json(answer)
    except ValidationError:
        raise BusError("the syncer's answer makes no sense; is it of another version?") from None
    if refusal.code in _GONE:
        raise OriginalGone(f"The stream has it no more. {refusal.message}")
    raise BusError(refusal.message)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
