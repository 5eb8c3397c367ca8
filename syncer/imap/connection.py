"""One IMAP connection of ours. Plain asyncio: it runs under asyncio and inside a trio_asyncio loop."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Iterable
from typing import Final, Literal

from mailcore.errors import CommandFailed, ConnectionLost, ImapError, Retry, Scope
from mailcore.imap import name as mailbox_name
from mailcore.imap.quote import Text, text
from mailcore.imap.response import (
    Condition,
    ESearch,
    Exists,
    Fetch,
    ListItem,
    Response,
    Search,
    Section,
    StatusItem,
    Tagged,
)
from mailcore.imap.sequence import UidSet
from mailcore.imap.session import State
from syncer.imap.command import FetchCommand, ImapCommand
from syncer.imap.link import Link
from syncer.imap.model import Endpoint, FetchedMessage, Listed, MailboxStatus, MessageGone, Push, Selected
from syncer.imap.stream import MessageStream, message

__all__ = [
    "Endpoint",
    "FetchedMessage",
    "ImapConnection",
    "Listed",
    "MailboxStatus",
    "MessageGone",
    "MessageStream",
    "Push",
    "Selected",
]

DONE_DEADLINE: Final = 10.0  # seconds from DONE to the end of IDLE
SEQUENCE_CHARS: Final = 7000  # RFC 7162 §4: a command line of at most 8,192 octets
_FACTS: Final = b"(UID FLAGS INTERNALDATE RFC822.SIZE)"
_OPEN_RANGE: Final = re.compile(r"[1-9][0-9]{0,9}:\*\Z")
_CRITERIA: Final = re.compile(r"[\x20-\x7e]+\Z")


class ImapConnection(Link):
    """`open()` gives a logged-in connection; `kill()` ends it at any moment.

    Every method raises ImapError: ConnectionLost or ProtocolError when the connection is gone (then it is `closed`),
    CommandFailed when the server refused.
    """

    async def noop(self) -> None:
        self._ok("NOOP", await self._run("NOOP"))

    # ---- mailboxes ----

    async def list_mailboxes(self, pattern: str) -> list[Listed]:
        """LIST "" pattern; `*` and `%` are wildcards (RFC 9051 §6.3.9). INBOX is always written so."""
        command = self._command("LIST", b'""', Text(mailbox_name.encode(pattern)))
        self._ok("LIST", await self._protocol.execute(command))
        return [_listed(item) for item in command.untagged if isinstance(item, ListItem)]

    async def select(self, mailbox: str) -> Selected:
        """SELECT, with CONDSTORE where offered. We only ever fetch with PEEK, so nothing is changed by it."""
        condstore = (b"(CONDSTORE)",) if "CONDSTORE" in self.capabilities else ()
        self._selected = mailbox
        command = self._command("SELECT", Text(mailbox_name.encode(mailbox)), *condstore)
        self._ok("SELECT", await self._protocol.execute(command))
        codes = _codes(command.untagged)
        if "UIDVALIDITY" not in codes:
            raise CommandFailed(f"{self.endpoint}: the server has no UIDVALIDITY for {mailbox!r}, so no stable UIDs")
        exists = [item.count for item in command.untagged if isinstance(item, Exists)]
        return Selected(
            uidvalidity=codes["UIDVALIDITY"],
            uidnext=codes.get("UIDNEXT"),
            exists=exists[-1] if exists else 0,
            highestmodseq=codes.get("HIGHESTMODSEQ"),
        )

    async def unselect(self) -> None:
        """Leave the mailbox; never expunges."""
        if self.capabilities & {"UNSELECT", "IMAP4REV2"}:
            self._ok("UNSELECT", await self._run("UNSELECT"))
            return
        # A failed EXAMINE leaves no mailbox selected (RFC 3501 §6.3.1); CLOSE would expunge.
        tagged = await self._run("EXAMINE", text(f"mozzart-none-{secrets.token_hex(8)}"))
        if tagged.status == "OK":
            self._ok("CLOSE", await self._run("CLOSE"))  # of an EXAMINEd mailbox: removes nothing (§6.4.2)

    async def status(self, mailbox: str) -> MailboxStatus:
        """STATUS in one round trip; in two for the selected mailbox, of which servers may tell what they told last
        (RFC 9051 §6.3.11)."""
        if mailbox == self._selected and self.state is State.SELECTED:
            await self.noop()
        items = [b"MESSAGES", b"UIDNEXT", b"UIDVALIDITY"]
        if "CONDSTORE" in self.capabilities:
            items.append(b"HIGHESTMODSEQ")
        command = self._command("STATUS", Text(mailbox_name.encode(mailbox)), b"(" + b" ".join(items) + b")")
        self._ok("STATUS", await self._protocol.execute(command))
        values = next((item.values for item in command.untagged if isinstance(item, StatusItem)), {})
        try:
            return MailboxStatus(
                uidvalidity=values["UIDVALIDITY"],
                uidnext=values["UIDNEXT"],
                messages=values["MESSAGES"],
                highestmodseq=values.get("HIGHESTMODSEQ"),
            )
        except KeyError as error:
            raise CommandFailed(f"{self.endpoint}: STATUS of {mailbox!r} came without {error.args[0]}") from None

    # ---- messages ----

    async def uid_search(self, criteria: str = "ALL") -> UidSet:
        """UIDs in the selected mailbox; a compact ESEARCH (RFC 4731) where offered. `criteria` is ASCII: no CHARSET is
        sent, as some servers refuse any."""
        if not _CRITERIA.match(criteria):
            raise ImapError(f"not search criteria: {criteria[:80]!r}")
        extended = (b"RETURN", b"(ALL)") if self.capabilities & {"ESEARCH", "IMAP4REV2"} else ()
        command = self._command("UID", b"SEARCH", *extended, criteria.encode("ascii"))
        self._ok("UID SEARCH", await self._protocol.execute(command))
        found = UidSet()
        for item in command.untagged:
            if isinstance(item, ESearch) and item.all is not None and item.tag in ("", command.tag):
                found |= item.all
            elif isinstance(item, Search):
                found |= UidSet(item.numbers)
        return found

    async def uid_fetch_facts(self, uids: UidSet) -> list[FetchedMessage]:
        """Flags, date and size of each; those that are gone are missing. `body` is None."""
        found: list[FetchedMessage] = []
        for part in uids.lines(SEQUENCE_CHARS):
            command = self._fetch(str(part), _FACTS, part, _has_size, lambda fetch: found.append(message(fetch, 0)))
            tagged = await self._protocol.execute(command)
            if tagged.code != "EXPUNGEISSUED":
                self._ok("UID FETCH", tagged)
        return found

    def uid_fetch_messages(self, uids: str | UidSet, *, limit: int) -> MessageStream:
        """Facts and the first `limit` bytes of each body, each message as soon as it has come. The command is sent at
        once: several streams are pipelined. `uids` may be `n:*`; the server may then give a UID below n."""
        stream = MessageStream(self._protocol, limit, lambda tagged: self._refused("UID FETCH", tagged))
        items = b"(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[]<0.%d>)" % limit
        if isinstance(uids, str) and _OPEN_RANGE.match(uids):
            stream.send(self._fetch(uids, items, None, _has_body, stream.take))
            return stream
        for part in (UidSet.parse(uids) if isinstance(uids, str) else uids).lines(SEQUENCE_CHARS):
            stream.send(self._fetch(str(part), items, part, _has_body, stream.take))
        return stream

    async def uid_fetch_part(self, uid: int, offset: int, count: int) -> bytes:
        """`count` bytes of the body from `offset` on; fewer at the end, b"" behind it. Raises MessageGone."""
        found: list[Section] = []

        def complete(fetch: Fetch) -> bool:
            section = fetch.sections.get("")
            return section is not None and section.origin in (offset, None)

        uids = UidSet((uid,))
        items = b"(UID BODY.PEEK[]<%d.%d>)" % (offset, count)
        command = self._fetch(str(uid), items, uids, complete, lambda fetch: found.append(fetch.sections[""]))
        self._protocol.flow.keep(count)
        try:
            tagged = await self._protocol.execute(command)
        finally:
            self._protocol.flow.unkeep(count)
        section = found[0] if found else None
        if section is not None and section.data is not None:
            if section.origin is None and (offset or section.size > count):
                raise CommandFailed(
                    f"{self.endpoint}: the server cannot fetch a part of message {uid}",
                    scope=Scope.MESSAGE,
                    retry=Retry.NEVER,
                )
            return section.data[:count]
        if tagged.status == "OK" or tagged.code in ("EXPUNGEISSUED", "NONEXISTENT"):
            raise MessageGone(f"{self.endpoint}: message {uid} was expunged before we had all of it", code=tagged.code)
        raise self._refused("UID FETCH", tagged, Scope.MESSAGE)

    def _fetch(
        self,
        sequence: str,
        items: bytes,
        uids: UidSet | None,
        complete: Callable[[Fetch], bool],
        take: Callable[[Fetch], None],
    ) -> FetchCommand:
        return FetchCommand(
            self._protocol.new_tag(), sequence, items, loop=self._loop, uids=uids, complete=complete, take=take
        )

    # ---- push ----

    async def idle(self, *, refresh: float) -> Push:
        """IDLE (RFC 2177) until the first hint, `interrupt_idle()` or `refresh` seconds. Hints that came at any moment
        since the last idle() end it at once, without a command."""
        protocol = self._protocol
        if protocol.failure is not None:
            raise protocol.failure_now()
        if not protocol.news and not self._idle_interrupted:
            command = self._command("IDLE")
            command.future.add_done_callback(lambda _: protocol.poke())
            protocol.idle_wake = self._loop.create_future()
            try:
                protocol.submit(command)
                await self._sleep(protocol.idle_wake, refresh)
                protocol.finish_idle()
                if command.sent or command.future.done():
                    self._ok("IDLE", await self._end_of_idle(command))
            finally:
                protocol.idle_wake = None
                command.future.cancel()  # not yet sent: never will be
                protocol.finish_idle()  # cancelled meanwhile: the connection stays usable, IDLE ends by itself
        interrupted, self._idle_interrupted = self._idle_interrupted, False
        hints, at = protocol.news.take()
        reason: Literal["push", "refresh", "interrupted"] = "interrupted" if interrupted else "refresh"
        return Push(hints, "push" if hints else reason, at)

    async def _sleep(self, wake: asyncio.Future[None], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await wake
        except TimeoutError:
            pass

    async def _end_of_idle(self, command: ImapCommand) -> Tagged:
        try:
            async with asyncio.timeout(DONE_DEADLINE):
                return await command.future
        except TimeoutError:
            self._protocol.fail(
                ConnectionLost(
                    f"{self.endpoint}: IDLE did not end within {DONE_DEADLINE:g} s of DONE, while {self.state.value}"
                )
            )
            raise self._protocol.failure_now() from None

    def interrupt_idle(self) -> None:
        """Makes a running idle() end early; called before one, it counts for the next."""
        self._idle_interrupted = True
        self._protocol.poke()


def _has_size(fetch: Fetch) -> bool:
    return fetch.size is not None


def _has_body(fetch: Fetch) -> bool:
    return "" in fetch.sections


def _listed(item: ListItem) -> Listed:
    name = "INBOX" if item.name.upper() == "INBOX" else item.name  # RFC 9051 §5.1: case-insensitive
    selectable = not {flag.lower() for flag in item.flags} & {"\\noselect", "\\nonexistent"}
    return Listed(name, frozenset(item.flags), selectable)


def _codes(responses: Iterable[Response]) -> dict[str, int]:
    """The response codes that carry a number."""
    conditions = (item for item in responses if isinstance(item, Condition))
    return {item.code: int(item.argument) for item in conditions if re.fullmatch(r"[0-9]{1,20}", item.argument)}
