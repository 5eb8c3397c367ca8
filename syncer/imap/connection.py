"""One IMAP connection of ours. Plain asyncio: it runs under asyncio and inside a trio_asyncio loop."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from mailcore.errors import CommandFailed, ConnectionLost, ImapError, Retry, Scope
from mailcore.imap import name as mailbox_name
from mailcore.imap.fetch import MAX_MODSEQ
from mailcore.imap.quote import Text, quoted, text
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
    Unreadable,
)
from mailcore.imap.sequence import MAX_UID, UidSet
from mailcore.imap.session import State
from mailcore.sync.flags import Told
from syncer.imap.command import FetchCommand, FlagsCommand, ImapCommand, UidsCommand
from syncer.imap.link import Link
from syncer.imap.model import (
    Endpoint,
    FetchedMessage,
    IdleRefused,
    Listed,
    Listing,
    MailboxesListed,
    MailboxStatus,
    MessageGone,
    Push,
    Selected,
)
from syncer.imap.stream import MessageStream, message

__all__ = [
    "Endpoint",
    "FetchedMessage",
    "IdleRefused",
    "ImapConnection",
    "Listed",
    "Listing",
    "MailboxStatus",
    "MailboxesListed",
    "MessageGone",
    "MessageStream",
    "Push",
    "Selected",
]

DONE_DEADLINE: Final = 10.0  # seconds from DONE to the end of IDLE
SEQUENCE_CHARS: Final = 7000  # RFC 7162 §4: a command line of at most 8,192 octets
_FACTS: Final = b"UID FLAGS INTERNALDATE RFC822.SIZE"
# By capability; EMAILID (RFC 8474 §5.1) is named again for all of its mailboxes, as X-GM-MSGID is.
_IDS: Final = {"X-GM-EXT-1": b" X-GM-MSGID X-GM-THRID X-GM-LABELS", "OBJECTID": b" EMAILID THREADID"}
# Flags of others are told by HIGHESTMODSEQ, where CONDSTORE is on (RFC 5465 §5.3).
_NOTIFY: Final = (
    b"SET (SELECTED (MessageNew MessageExpunge FlagChange))"
    b" (PERSONAL (MessageNew MessageExpunge FlagChange MailboxName))"
)
_OPEN_RANGE: Final = re.compile(r"[1-9][0-9]{0,9}:\*\Z")
# RFC 5530 §3; before it servers gave no code at all.
_NO_MAILBOX: Final = frozenset(("", "NONEXISTENT", "TRYCREATE"))
_CRITERIA: Final = re.compile(r"[\x20-\x7e]+\Z")


class ImapConnection(Link):
    """`open()` gives a logged-in connection; `kill()` ends it at any moment.

    Every method raises ImapError: ConnectionLost or ProtocolError when the connection is gone (then it is `closed`),
    CommandFailed when the server refused.
    """

    @property
    def exists(self) -> int | None:
        """The number of messages in the selected mailbox, as EXISTS and EXPUNGE have told it so far."""
        return self._protocol.news.exists

    @contextmanager
    def silence(self, seconds: float) -> Iterator[None]:
        """For the time of the block the server may owe an answer for so long without sending a byte."""
        flow = self._protocol.flow
        before = flow.silence
        flow.expect(seconds)
        try:
            yield
        finally:
            flow.expect(before)

    async def noop(self) -> None:
        self._ok("NOOP", await self._run("NOOP"))

    # ---- mailboxes ----

    async def list_mailboxes(self, *patterns: str, status: bool = False) -> MailboxesListed:
        """LIST; `*` and `%` are wildcards (RFC 9051 §6.3.9). INBOX is always written so. `status`: with the counters of
        each in the same answer (RFC 5819), where the server offers that and does not refuse it."""
        items: list[Response] = []
        names = [mailbox_name.encode(pattern) for pattern in patterns]
        what: list[bytes | Text] = [Text(name) for name in names]
        together = [form for name in names if (form := quoted(name)) is not None]
        if len(together) == len(names) > 1 and self.capabilities & {"LIST-EXTENDED", "IMAP4REV2"}:
            what = [b"(" + b" ".join(together) + b")"]  # RFC 5258 §3: several patterns at once
        status = status and bool(self.capabilities & {"LIST-STATUS", "IMAP4REV2"})
        tail = (b"RETURN", b"(STATUS (" + b" ".join(self._status_items()) + b"))") if status else ()
        for one in what:
            command = self._command("LIST", b'""', one, *tail)
            tagged = await self._protocol.execute(command)
            if tagged.status != "OK" and status and self._refused("LIST", tagged).scope is not Scope.ACCOUNT:
                return await self.list_mailboxes(*patterns)
            self._ok("LIST", tagged)
            items += command.untagged
        told = {item.name: _mailbox_status(item) for item in items if isinstance(item, StatusItem)}
        whole = not any(isinstance(item, Unreadable) and item.name == "LIST" for item in items)
        mailboxes = {item.name: item for item in items if isinstance(item, ListItem)}
        return MailboxesListed(tuple(_listed(item, told.get(item.name)) for item in mailboxes.values()), whole)

    def _status_items(self) -> list[bytes]:
        items = [b"MESSAGES", b"UIDNEXT", b"UIDVALIDITY"]
        if "CONDSTORE" in self.capabilities:
            items.append(b"HIGHESTMODSEQ")
        if "OBJECTID" in self.capabilities:
            items.append(b"MAILBOXID")
        return items

    async def select(self, mailbox: str) -> Selected:
        """SELECT, with CONDSTORE where offered. We only ever fetch with PEEK, so nothing is changed by it."""
        condstore = (b"(CONDSTORE)",) if "CONDSTORE" in self.capabilities else ()
        self._selected = mailbox
        command = self._command("SELECT", Text(mailbox_name.encode(mailbox)), *condstore)
        self._ok("SELECT", await self._protocol.execute(command))
        codes = {item.code: item.argument for item in command.untagged if isinstance(item, Condition)}
        uidvalidity = _number(codes.get("UIDVALIDITY"), MAX_UID)
        if uidvalidity is None:
            told = f"UIDVALIDITY {codes['UIDVALIDITY'][:40]!r}" if "UIDVALIDITY" in codes else "no UIDVALIDITY"
            raise CommandFailed(
                f"{self.endpoint}: the server has {told} for {mailbox!r}, so no UIDs to rely on; "
                f"it must be 1 to {MAX_UID} (RFC 9051 §9)",
                retry=Retry.LATER,
            )
        exists = [item.count for item in command.untagged if isinstance(item, Exists)]
        return Selected(
            uidvalidity=uidvalidity,
            uidnext=_number(codes.get("UIDNEXT"), MAX_UID + 1),
            exists=exists[-1] if exists else None,
            highestmodseq=_number(codes.get("HIGHESTMODSEQ"), MAX_MODSEQ),
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

    async def is_gone(self, mailbox: str) -> bool:
        """Whether STATUS says that there is no such mailbox. A refusal for any other reason proves nothing."""
        command = self._command("STATUS", Text(mailbox_name.encode(mailbox)), b"(MESSAGES)")
        tagged = await self._protocol.execute(command)
        if tagged.status == "OK" or any(isinstance(item, StatusItem) for item in command.untagged):
            return False
        if (error := self._refused("STATUS", tagged)).scope is Scope.ACCOUNT:
            raise error
        return tagged.status == "NO" and tagged.code in _NO_MAILBOX and error.retry_after is None

    async def status(self, mailbox: str) -> MailboxStatus:
        """STATUS in one round trip; in two for the selected mailbox, of which servers may tell what they told last
        (RFC 9051 §6.3.11). A refusal of STATUS alone is no error: SELECT and SEARCH tell as much."""
        if mailbox == self._selected and self.state is State.SELECTED:
            await self.noop()
        items = b"(" + b" ".join(self._status_items()) + b")"
        command = self._command("STATUS", Text(mailbox_name.encode(mailbox)), items)
        tagged = await self._protocol.execute(command)
        if tagged.status != "OK" and (error := self._refused("STATUS", tagged)).scope is Scope.ACCOUNT:
            raise error
        told = [_mailbox_status(item) for item in command.untagged if isinstance(item, StatusItem)]
        return told[0] if told else MailboxStatus(None, None, None, None)

    # ---- messages ----

    async def uid_search(self, criteria: str = "ALL") -> UidSet:
        """UIDs in the selected mailbox; a compact ESEARCH (RFC 4731) where offered. `criteria` is ASCII: no CHARSET is
        sent, as some servers refuse any."""
        return (await self._search(criteria)).uids

    async def uid_search_all(self) -> Listing:
        """All UIDs, with the number of messages that they should be."""
        return await self._search("ALL")

    async def _search(self, criteria: str) -> Listing:
        if not _CRITERIA.match(criteria):
            raise ImapError(f"not search criteria: {criteria[:80]!r}")
        extended = (b"RETURN", b"(ALL)") if self.capabilities & {"ESEARCH", "IMAP4REV2"} else ()
        command = self._command("UID", b"SEARCH", *extended, criteria.encode("ascii"))
        self._ok("UID SEARCH", await self._protocol.execute(command))
        self._check_readable("UID SEARCH", command, "SEARCH", "ESEARCH")
        found = UidSet()
        for item in command.untagged:
            if isinstance(item, ESearch) and item.all is not None and item.tag in ("", command.tag):
                found |= item.all
            elif isinstance(item, Search):
                found |= UidSet(item.numbers)
        return Listing(found, command.exists)

    async def uid_fetch_uids(self, first: int = 1) -> UidSet:
        """The UIDs from `first` on by UID FETCH, which asks another part of the server than SEARCH does: a second
        witness where that one contradicts EXISTS. Beyond the last UID a server gives the last message (RFC 9051
        §6.4.9)."""
        command = UidsCommand(self._protocol.new_tag(), first, loop=self._loop)
        self._ok("UID FETCH (UID)", await self._protocol.execute(command))
        self._check_readable("UID FETCH (UID)", command, "FETCH")
        if not command.whole:
            raise CommandFailed(f"{self.endpoint}: UID FETCH (UID) gave a message without its UID")
        return UidSet(uid for uid in command.uids if uid >= first)

    async def fetch_uids(self, numbers: UidSet) -> UidSet:
        """The UIDs of messages by their sequence numbers, which mean something between two commands of this connection
        alone (RFC 9051 §2.3.1.2)."""
        command = UidsCommand(self._protocol.new_tag(), numbers, loop=self._loop)
        self._ok("FETCH (UID)", await self._protocol.execute(command))
        return UidSet(command.uids)

    async def uid_fetch_flags(self, uids: UidSet | None, since: int | None = None) -> Told:
        """Flags, of these (None: of all) or of those that changed since that MODSEQ (RFC 7162 §3.1.4.1)."""
        modifier = (b"(CHANGEDSINCE %d)" % since,) if since is not None else ()
        told = Told()
        for sequence in ["1:*"] if uids is None else [str(part) for part in uids.lines(SEQUENCE_CHARS)]:
            command = FlagsCommand(self._protocol.new_tag(), sequence, modifier, loop=self._loop, told=told)
            tagged = await self._protocol.execute(command)
            if tagged.code != "EXPUNGEISSUED":
                self._ok("UID FETCH (FLAGS)", tagged)
            told.whole &= not any(isinstance(item, Unreadable) for item in command.untagged)
        return told

    def _check_readable(self, what: str, command: ImapCommand, *names: str) -> None:
        """A list that lacks what we could not read would look as if that were gone."""
        for item in command.untagged:
            if isinstance(item, Unreadable) and item.name in names:
                raise CommandFailed(f"{self.endpoint}: {what}: {item.fault}")

    @property
    def _facts(self) -> bytes:
        """What is asked for of each message besides its body."""
        return _FACTS + next((items for name, items in _IDS.items() if name in self.capabilities), b"")

    async def uid_fetch_facts(self, uids: UidSet) -> list[FetchedMessage]:
        """Flags, date and size of each; those that are gone are missing. `body` is None."""
        found: list[FetchedMessage] = []
        items = b"(" + self._facts + b")"
        for part in uids.lines(SEQUENCE_CHARS):
            command = self._fetch(
                str(part), items, part, None, _has_facts, lambda _: True, lambda fetch: found.append(message(fetch, 0))
            )
            tagged = await self._protocol.execute(command)
            if tagged.code != "EXPUNGEISSUED":
                self._ok("UID FETCH", tagged)
        return found

    def uid_fetch_messages(self, uids: str | UidSet, *, limit: int) -> MessageStream:
        """Facts and the first `limit` bytes of each body, each message as soon as it has come. The command is sent at
        once: several streams are pipelined. `uids` may be `n:*`; the server may then give a UID below n."""
        stream = MessageStream(self._protocol, limit, lambda tagged: self._refused("UID FETCH", tagged))
        items = b"(%b BODY.PEEK[]<0.%d>)" % (self._facts, limit)
        if isinstance(uids, str) and _OPEN_RANGE.match(uids):
            stream.send(self._fetch(uids, items, None, 0, _has_all, _has_body, stream.take))
            return stream
        for part in (UidSet.parse(uids) if isinstance(uids, str) else uids).lines(SEQUENCE_CHARS):
            stream.send(self._fetch(str(part), items, part, 0, _has_all, _has_body, stream.take))
        return stream

    async def uid_fetch_part(self, uid: int, offset: int, count: int) -> bytes:
        """`count` bytes of the body from `offset` on; fewer at the end, b"" behind it. Raises MessageGone."""
        found: list[Section] = []
        items = b"(UID BODY.PEEK[]<%d.%d>)" % (offset, count)
        command = self._fetch(
            str(uid), items, UidSet((uid,)), offset, _has_body, _has_body, lambda got: found.append(got.sections[""])
        )
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
        raise self._refused("UID FETCH", tagged)

    def _fetch(
        self,
        sequence: str,
        items: bytes,
        uids: UidSet | None,
        origin: int | None,
        complete: Callable[[Fetch], bool],
        enough: Callable[[Fetch], bool],
        take: Callable[[Fetch], None],
    ) -> FetchCommand:
        return FetchCommand(
            self._protocol.new_tag(),
            sequence,
            items,
            loop=self._loop,
            uids=uids,
            origin=origin,
            complete=complete,
            enough=enough,
            take=take,
        )

    # ---- push ----

    async def notify(self) -> bool:
        """NOTIFY (RFC 5465): from here on idle() gives what happens in every mailbox of the account, a StatusItem or
        ListItem each, besides the hints of the selected one. False where it is not offered, or refused."""
        if "NOTIFY" not in self.capabilities:
            return False
        tagged = await self._run("NOTIFY", _NOTIFY)
        if tagged.status != "OK" and (error := self._refused("NOTIFY", tagged)).scope is Scope.ACCOUNT:
            raise error
        return tagged.status == "OK"

    async def idle(self, *, refresh: float) -> Push:
        """IDLE (RFC 2177) until the first hint, `interrupt_idle()` or `refresh` seconds. Hints that came at any moment
        since the last idle() end it at once, without a command. Raises IdleRefused as well."""
        protocol = self._protocol
        if protocol.failure is not None:
            raise protocol.failure_now()
        ended = False
        if not protocol.news and not self._idle_interrupted:
            command = self._command("IDLE")
            command.future.add_done_callback(lambda _: protocol.poke())
            protocol.idle_wake = self._loop.create_future()
            try:
                protocol.submit(command)
                await self._sleep(protocol.idle_wake, refresh)
                ended = command.future.done()
                protocol.finish_idle()
                if command.sent or ended:
                    tagged = await self._end_of_idle(command)
                    if tagged.status != "OK":
                        raise self._refused("IDLE", tagged, IdleRefused)
            finally:
                protocol.idle_wake = None
                command.future.cancel()  # not yet sent: never will be
                protocol.finish_idle()  # cancelled meanwhile: the connection stays usable, IDLE ends by itself
        interrupted, self._idle_interrupted = self._idle_interrupted, False
        hints, at = protocol.news.take()
        if hints:
            return Push(hints, "push", at)
        return Push((), "interrupted" if interrupted else "ended" if ended else "refresh")

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


def _has_facts(fetch: Fetch) -> bool:
    return fetch.flags is not None and fetch.internaldate is not None and fetch.size is not None


def _has_body(fetch: Fetch) -> bool:
    return "" in fetch.sections


def _has_all(fetch: Fetch) -> bool:
    return _has_body(fetch) and _has_facts(fetch)


def _mailbox_status(item: StatusItem) -> MailboxStatus:
    values = item.values
    return MailboxStatus(
        uidvalidity=_within(values.get("UIDVALIDITY"), 1, MAX_UID),
        uidnext=_within(values.get("UIDNEXT"), 1, MAX_UID + 1),
        messages=_within(values.get("MESSAGES"), 0, MAX_UID),
        highestmodseq=_within(values.get("HIGHESTMODSEQ"), 1, MAX_MODSEQ),
        objectid=item.objectid,
    )


def _listed(item: ListItem, status: MailboxStatus | None) -> Listed:
    selectable = not {flag.lower() for flag in item.flags} & {"\\noselect", "\\nonexistent"}
    return Listed(mailbox_name.canonical(item.name), frozenset(item.flags), selectable, item.delimiter, status)


def _number(digits: str | None, most: int) -> int | None:
    """A response code's number, 1 to `most`."""
    return _within(int(digits), 1, most) if digits is not None and re.fullmatch(r"[0-9]{1,20}", digits) else None


def _within(number: int | None, least: int, most: int) -> int | None:
    return number if number is not None and least <= number <= most else None
