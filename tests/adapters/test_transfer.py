"""What becomes of a message that JetStream does not take, and of bytes that two mailboxes have at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from mailcore.bus import MAIL, MESSAGE_STREAMS, Bus
from mailcore.errors import BusError
from mailcore.events.identity import MailboxKey
from mailcore.events.message import FoundBy, MessageEvent
from mailcore.imap.sequence import UidSet
from mailcore.sync.generation import Birth
from mailcore.sync.mailbox import Mailbox
from mailcore.sync.statuses import Octets
from syncer.imap.connection import FetchedMessage, ImapConnection
from syncer.origins import Origins
from syncer.transfer import Transfer
from tests.support.consumers import eventually, limit_bodies
from tests.support.nats import NatsServer

NOW = datetime.now(UTC)
WITHIN = 20.0


class Server:
    """A connection that gives these bodies as UIDs 1, 2, …; before `slow` it waits until `go` is set."""

    def __init__(self, *bodies: bytes, slow: int = 0) -> None:
        self.bodies = dict(enumerate(bodies, 1))
        self.slow = slow
        self.go = asyncio.Event()
        self.parts: list[tuple[int, int]] = []

    async def uid_fetch_messages(self, *_: Any, **__: Any) -> AsyncIterator[FetchedMessage]:
        for uid, body in self.bodies.items():
            if uid == self.slow:
                await self.go.wait()
            yield FetchedMessage(uid, (), NOW, len(body), body, True)

    async def uid_fetch_part(self, uid: int, offset: int, count: int) -> bytes:
        self.parts.append((offset, count))
        return self.bodies[uid][offset : offset + count]


class Box:
    """A mailbox with all that its server gives claimed, and its transfer."""

    def __init__(self, bus: Bus, origins: Origins, name: str, server: Server, spool: Path) -> None:
        birth = Birth(NOW, NOW, 1)
        self.server = server
        self.mailbox = Mailbox(MailboxKey("default", name), Octets(), 60.0)
        self.mailbox.opened(7, birth, 0.0)
        self.mailbox.announced(7, UidSet(server.bodies))
        wish = self.mailbox.claim(0.0, 100)
        assert wish is not None
        self.uids = wish.uids
        connection = cast("ImapConnection", server)
        self.transfer = Transfer(connection, bus, self.mailbox, birth, origins, spool / name, FoundBy.SWEEP, NOW)

    def in_flight(self) -> list[int]:
        return sorted(self.mailbox.uids.in_flight)


Boxes = Callable[..., Box]


@pytest.fixture
def boxes(bus: Bus, tmp_path: Path) -> Boxes:
    origins = Origins()
    return lambda name, *bodies, slow=0: Box(bus, origins, name, Server(*bodies, slow=slow), tmp_path)


async def announced(bus: Bus) -> list[tuple[str, str]]:
    """Kind and identity of each message event, without account and UIDVALIDITY; with the origin of a copy."""
    out = []
    for stream in MESSAGE_STREAMS:
        async for delivery in bus._reader.read(stream, ()):
            event = MessageEvent.decode(delivery.headers, delivery.data)
            place = f"{event.identity.mailbox}/{event.identity.uid}"
            out.append(
                (event.kind.value, f"{place} < {event.origin.mailbox}/{event.origin.uid}" if event.origin else place)
            )
    return sorted(out)


async def limit(bus: Bus, octets: int) -> None:
    """From here on MAIL refuses larger messages for good."""
    config = (await bus._jetstream.call(f"STREAM.INFO.{MAIL}"))["config"]
    await bus._jetstream.call(f"STREAM.UPDATE.{MAIL}", {**config, "max_msg_size": octets})


@pytest.mark.invariant("I2")
@pytest.mark.asyncio
async def test_what_got_no_puback_is_missing_again_and_what_got_one_is_in_flight(bus: Bus, boxes: Boxes) -> None:
    await limit(bus, 5_000)
    box = boxes("INBOX", b"small", b"x" * 9_000)

    with pytest.raises(BusError, match="refused"):
        await box.transfer.batch(box.uids)
    box.mailbox.give_back(7, box.uids, 0.0)

    assert box.mailbox.uids.missing == UidSet([2])
    assert box.in_flight() == [1]


@pytest.mark.asyncio
async def test_equal_bytes_in_one_batch_are_one_message_and_its_copies(bus: Bus, boxes: Boxes) -> None:
    box = boxes("INBOX", b"one", b"two", b"one", b"one", b"two")

    async with asyncio.timeout(WITHIN):
        await box.transfer.batch(box.uids)

    assert box.in_flight() == [1, 2, 3, 4, 5]
    assert await announced(bus) == [
        ("copy", "INBOX/3 < INBOX/1"),
        ("copy", "INBOX/4 < INBOX/1"),
        ("copy", "INBOX/5 < INBOX/2"),
        ("new", "INBOX/1"),
        ("new", "INBOX/2"),
    ]


@pytest.mark.asyncio
async def test_two_mailboxes_that_have_each_others_bytes_under_way_do_not_wait_for_ever(bus: Bus, boxes: Boxes) -> None:
    one = boxes("A", b"one", b"two", b"end of a", slow=3)
    two = boxes("B", b"two", b"one", b"end of b", slow=3)

    async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
        for box in (one, two):
            group.create_task(box.transfer.batch(box.uids))
            box.server.go.set()

    assert one.in_flight() == two.in_flight() == [1, 2, 3]
    found = await announced(bus)
    assert [kind for kind, _ in found] == ["copy", "copy", "new", "new", "new", "new"]


@pytest.mark.asyncio
async def test_who_waited_for_a_publish_that_failed_is_new_itself(
    bus: Bus, boxes: Boxes, nats_server: NatsServer
) -> None:
    nats_server.freeze()
    first = boxes("A", b"mail", b"x" * 9_000, slow=2)
    second = boxes("B", b"mail")
    claims = first.transfer.origins._claims
    async with asyncio.TaskGroup() as group, asyncio.timeout(WITHIN):
        failing = group.create_task(first.transfer.batch(first.uids))
        await eventually(lambda: bool(claims), "the first has the bytes")
        waiting = group.create_task(second.transfer.batch(second.uids))
        waited = next(iter(claims.values()))
        await eventually(lambda: bool(waited._waiting), "the second waits")
        failing.cancel()
        await asyncio.wait([failing])
        nats_server.thaw()
        await waiting
    assert second.in_flight() == [1]
    assert ("new", "B/1") in await announced(bus)


@pytest.mark.asyncio
async def test_a_push_does_not_wait_for_another_mailbox_and_gives_the_message_back(bus: Bus, boxes: Boxes) -> None:
    slow = boxes("A", b"mail", b"other", slow=2)
    pushed = boxes("B", b"mail", b"mine", b"mine")
    pushed.mailbox.give_back(7, pushed.uids, 0.0)
    claims = slow.transfer.origins._claims
    async with asyncio.TaskGroup() as group, asyncio.timeout(WITHIN):
        group.create_task(slow.transfer.batch(slow.uids))
        await eventually(lambda: bool(claims), "the first has the bytes")
        await pushed.transfer.push(1)
        assert pushed.transfer.given == {2, 3}
        pushed.mailbox.give_back(7, pushed.transfer.claimed - pushed.transfer.given, 0.0)
        assert pushed.mailbox.uids.missing == UidSet([1])
        slow.server.go.set()
    wish = pushed.mailbox.claim(0.0, 10)
    assert wish is not None
    await pushed.transfer.batch(wish.uids)
    assert await announced(bus) == [
        ("copy", "B/1 < A/1"),
        ("copy", "B/3 < B/2"),
        ("new", "A/1"),
        ("new", "A/2"),
        ("new", "B/2"),
    ]


@pytest.mark.asyncio
async def test_large_messages_with_equal_bytes_are_copies_with_objects_of_their_own(
    bus: Bus, boxes: Boxes, tmp_path: Path
) -> None:
    body = b"Subject: x\r\n\r\n" + b"0123456789" * 900_000
    both = [boxes("A", body), boxes("B", body)]

    async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
        for box in both:
            group.create_task(box.transfer.large(FetchedMessage(1, (), NOW, len(body), None, False)))

    (_, copy), (kind, _) = await announced(bus)
    assert (copy, kind) in (("A/1 < B/1", "new"), ("B/1 < A/1", "new"))
    for box in both:
        await bus.get_body(str(box.mailbox.identity(1)), tmp_path / "body")
        assert (tmp_path / "body").read_bytes() == body


@pytest.mark.asyncio
async def test_a_message_that_is_published_again_is_no_copy_of_itself(bus: Bus, boxes: Boxes) -> None:
    box = boxes("A", b"one", b"one")
    await box.transfer.batch(box.uids)
    before = await announced(bus)
    await bus._jetstream.call(f"STREAM.PURGE.{MAIL}")
    box.mailbox.lost(7, box.uids)
    wish = box.mailbox.claim(0.0, 10)
    assert wish is not None
    box.transfer.given.clear()
    await box.transfer.batch(wish.uids)
    assert before == [("copy", "A/2 < A/1"), ("new", "A/1")]
    assert box.in_flight() == [1, 2]


@pytest.mark.parametrize(
    ("size", "asked"), [(5 << 20, 1), (7 << 30, 1), (100, 3), (None, 3)], ids=["right", "high", "low", "none"]
)
@pytest.mark.asyncio
async def test_what_nats_has_no_room_for_is_refused_whatever_its_size_is_said_to_be(
    bus: Bus, boxes: Boxes, size: int | None, asked: int
) -> None:
    await limit_bodies(bus, 3 << 20)
    box = boxes("INBOX", b"x" * (5 << 20), b"small")
    await box.transfer.large(FetchedMessage(1, (), NOW, size, None, False))

    assert len(box.server.parts) == asked, "not read to its end"
    assert "MAIL_MAX_BYTES" in box.transfer.not_given[1]
    assert (await bus.position("OBJ_mail-bodies")).messages == 0
    box.mailbox.not_given(7, box.transfer.not_given, 0.0)
    assert "MAIL_MAX_BYTES" in box.mailbox.uids.refused[1].words
    await box.transfer.batch(UidSet((2,)))
    assert box.in_flight() == [2]
    assert not list(box.transfer.spool.glob("*"))


@pytest.mark.asyncio
async def test_what_is_said_to_be_too_large_and_is_not_comes_through(bus: Bus, boxes: Boxes) -> None:
    await limit_bodies(bus, 3 << 20)
    box = boxes("INBOX", b"x" * (2 << 20))
    await box.transfer.large(FetchedMessage(1, (), NOW, 4 << 20, None, False))
    assert box.in_flight() == [1]
