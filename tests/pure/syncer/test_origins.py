"""Which message had which bytes first: exactly one for all equal ones, whoever fails, waits or comes again."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.events.identity import Identity, MailboxKey
from syncer.origins import Claim, Origins

INBOX, ARCHIVE = MailboxKey("a", "INBOX"), MailboxKey("a", "Archive")
BYTES = [hashlib.sha256(bytes([number])).hexdigest() for number in range(4)]


@dataclass
class Message:
    """`origin` is what its last event says; itself unless it was announced as a copy."""

    identity: Identity
    sha256: str
    under_way: bool = False
    origin: Identity | None = None
    acked: bool = False


@dataclass
class Account:
    """Some mailboxes, as their transfers see them; each message may be published again after a loss."""

    messages: list[Message]
    origins: Origins = field(default_factory=Origins)
    announced: list[tuple[str, Identity]] = field(default_factory=list)  # that are no copies, by bytes

    def begin(self, one: Message) -> None:
        if one.under_way:
            return
        found = self.origins.first(one.identity, one.sha256)
        if isinstance(found, Claim):
            assert any(other.under_way and other.identity == found.identity for other in self.messages)
            return  # it waits
        if one.acked:
            assert found == one.origin, "what is published again keeps its kind"
        one.under_way, one.origin = True, found or one.identity

    def ack(self, one: Message) -> None:
        if one.under_way:
            self.origins.published(one.identity, one.sha256)
            if one.origin == one.identity and not one.acked:
                self.announced.append((one.sha256, one.identity))
            one.under_way, one.acked = False, True

    def fail(self, one: Message) -> None:
        if one.under_way:
            self.origins.failed(one.identity, one.sha256)
            one.under_way = False

    def restart(self, _: Message) -> None:
        """What was under way is not known; what has its PubAck is read again, in any order."""
        self.origins = Origins()
        for one in reversed(self.messages):
            one.under_way = False
            if one.acked and one.origin is not None:
                self.origins.add(one.sha256, one.origin)


MESSAGES = st.lists(st.sampled_from(BYTES), min_size=1, max_size=8).map(
    lambda hashes: [
        Message((INBOX, ARCHIVE, MailboxKey("a", "Ж"))[number % 3].message(7, number + 1), sha256)
        for number, sha256 in enumerate(hashes)
    ]
)
STEPS = st.lists(st.tuples(st.sampled_from(("begin", "ack", "fail", "restart")), st.integers(0, 7)), max_size=60)


@given(MESSAGES, STEPS)
def test_of_equal_bytes_exactly_one_is_no_copy_once_all_is_published(
    messages: list[Message], steps: list[tuple[str, int]]
) -> None:
    account = Account(messages)
    for step, which in steps:
        getattr(account, step)(messages[which % len(messages)])
    while not all(one.acked for one in messages):
        for one in messages:
            account.begin(one)
        for one in messages:
            account.ack(one)
    assert sorted(sha256 for sha256, _ in account.announced) == sorted({one.sha256 for one in messages})
    first = dict(account.announced)
    assert all(one.origin == first[one.sha256] for one in messages)


def test_equal_bytes_of_two_accounts_are_no_copies() -> None:
    origins = Origins()
    origins.add(BYTES[0], Identity("a", "INBOX", 7, 1))
    assert origins.first(Identity("b", "INBOX", 7, 1), BYTES[0]) is None


def test_a_claim_of_somebody_else_is_neither_settled_nor_given_up() -> None:
    origins = Origins()
    assert origins.first(INBOX.message(7, 1), BYTES[0]) is None
    origins.failed(ARCHIVE.message(7, 1), BYTES[0])
    origins.published(ARCHIVE.message(7, 1), BYTES[0])
    assert isinstance(origins.first(ARCHIVE.message(7, 1), BYTES[0]), Claim)


def test_a_new_uidvalidity_makes_no_copy_of_the_message_itself() -> None:
    origins = Origins()
    origins.add(BYTES[0], INBOX.message(7, 1))
    origins.add(BYTES[1], ARCHIVE.message(7, 1))
    origins.rebound(BYTES[0], INBOX.message(7, 1), INBOX.message(8, 5))
    origins.rebound(BYTES[1], INBOX.message(7, 2), INBOX.message(8, 6))  # that one was a copy
    assert origins.first(INBOX.message(8, 5), BYTES[0]) == INBOX.message(8, 5)
    assert origins.first(INBOX.message(8, 6), BYTES[1]) == ARCHIVE.message(7, 1)


def test_a_renamed_mailbox_is_named_by_its_new_name() -> None:
    origins = Origins()
    origins.add(BYTES[0], INBOX.message(7, 1))
    origins.renamed(INBOX, ARCHIVE)
    origins.renamed(MailboxKey("a", "of which nothing is known"), INBOX)
    assert origins.first(INBOX.message(9, 1), BYTES[0]) == ARCHIVE.message(7, 1)


@pytest.mark.asyncio
@pytest.mark.parametrize("acked", [True, False])
async def test_who_waits_hears_of_the_end_whatever_it_is(acked: bool) -> None:
    origins = Origins()
    origins.first(INBOX.message(7, 1), BYTES[0])
    claim = origins.first(ARCHIVE.message(7, 1), BYTES[0])
    assert isinstance(claim, Claim)
    waiting = [asyncio.create_task(claim.end()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    (origins.published if acked else origins.failed)(INBOX.message(7, 1), BYTES[0])
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting[1:])
    found = origins.first(ARCHIVE.message(7, 1), BYTES[0])
    assert found == (INBOX.message(7, 1) if acked else None)
