"""SHA-256 of messages as the server gives them, in parts: no message is ever whole in memory."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from cli.verify.session import Session
from mailcore.errors import CommandFailed, ImapError, Scope
from mailcore.imap.placeholder import retrieval_failed
from mailcore.imap.sequence import UidSet
from syncer.imap.connection import FetchedMessage, ImapConnection, MessageGone

HEAD: Final = 256 << 10  # bytes of each message that come with the first command
PART: Final = 1 << 20
_TOGETHER: Final = 50  # messages of one command


@dataclass(frozen=True, slots=True)
class Given:
    """What the server gave of a message: its RFC822.SIZE, and the number and SHA-256 of the bytes; or the words for
    why it is no message."""

    uid: int
    announced: int | None = None
    size: int = 0
    sha256: str = ""
    error: str = ""


async def digests(session: Session, mailbox: str, uidvalidity: int, uids: UidSet) -> AsyncIterator[Given]:
    """Of each of `uids` that is still there, in their order. A message that ends the connection, or is refused, stops
    no other. Raises ImapError when the server cannot be reached, or the mailbox not be opened as it was."""
    for chunk in uids.chunks(_TOGETHER):
        try:
            found = await _together(await _selected(session, mailbox, uidvalidity), chunk)
        except ImapError as error:
            if error.scope is Scope.ACCOUNT:
                raise
            found = [one for uid in chunk for one in await _alone(session, mailbox, uidvalidity, uid)]
        for one in sorted(found, key=lambda each: each.uid):
            yield one


async def _selected(session: Session, mailbox: str, uidvalidity: int) -> ImapConnection:
    connection = await session.connection()
    selected = await connection.select(mailbox)
    if selected.uidvalidity != uidvalidity:
        raise CommandFailed(f"{connection.endpoint}: UIDVALIDITY of {mailbox!r} changed while its messages were read")
    return connection


async def _alone(session: Session, mailbox: str, uidvalidity: int, uid: int) -> Sequence[Given]:
    connection = await _selected(session, mailbox, uidvalidity)
    try:
        return await _together(connection, UidSet((uid,)))
    except ImapError as error:
        if error.scope is Scope.ACCOUNT:
            raise
        return [Given(uid, error=str(error))]


async def _together(connection: ImapConnection, uids: UidSet) -> Sequence[Given]:
    found: dict[int, Given] = {}
    begun: dict[int, tuple[FetchedMessage, hashlib._Hash]] = {}
    async with aclosing(connection.uid_fetch_messages(uids, limit=HEAD)) as stream:
        async for message in stream:
            body, message.body = message.body, None
            if body is None or message.uid not in uids:
                continue
            if words := _no_message(message, body):
                found[message.uid] = Given(message.uid, message.size, error=words)
                continue
            digest = hashlib.sha256(body)
            if len(body) < HEAD:
                found[message.uid] = Given(message.uid, message.size, len(body), digest.hexdigest())
            else:
                begun[message.uid] = message, digest
    for uid, (message, digest) in begun.items():
        size = HEAD
        try:
            while part := await connection.uid_fetch_part(uid, size, PART):
                digest.update(part)
                size += len(part)
                if len(part) < PART:
                    break
        except MessageGone:
            continue
        found[uid] = Given(uid, message.size, size, digest.hexdigest())
    doubtful = UidSet(uid for uid in uids if uid not in found)
    if doubtful:
        for uid in doubtful & await connection.uid_search(f"UID {doubtful}"):
            found[uid] = Given(uid, error="the server lists it and gives nothing of it")
    return list(found.values())


def _no_message(message: FetchedMessage, body: bytes) -> str:
    """Why the body is none, "" if it may be one."""
    if not body and message.size:
        return f"the server gives no byte of it and says that it has {message.size} (RFC822.SIZE)"
    return retrieval_failed(body) or ""
