"""Batches of thin events against a real nats-server: all at once, or none and each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

import pytest

from mailcore.bus import MAIL_EVENTS, Bus, PubAck
from mailcore.bus.jetstream.batch import MOST
from mailcore.errors import BusError
from mailcore.events.thin import ThinEvent
from tests.support import events


def expunged(count: int, first: int = 1) -> list[ThinEvent]:
    return [events.expunged(number) for number in range(first, first + count)]


async def stored(bus: Bus) -> list[str]:
    """The ids of the events in the stream, in order."""
    if not (await bus.position(MAIL_EVENTS)).last_seq:
        return []
    found = []
    async with aclosing(bus.tail("mail.*.*.expunged", since="all")) as tail:
        async for delivery in tail:
            found.append(delivery.headers["ce-id"])
            if not delivery.pending:
                break
    return found


async def each_by_itself(bus: Bus, wanted: Sequence[ThinEvent]) -> list[PubAck | BusError]:
    return await bus.publish_all(wanted)


@pytest.mark.asyncio
async def test_a_batch_is_stored_whole_and_in_order(bus: Bus) -> None:
    wanted = expunged(MOST)

    assert await bus.publish_batch(wanted)

    assert await stored(bus) == [event.id for event in wanted]


@pytest.mark.asyncio
async def test_a_batch_with_one_that_is_there_already_is_refused_and_doubles_nothing(bus: Bus) -> None:
    await bus.publish(expunged(1, first=3)[0])
    wanted = expunged(5)

    assert not await bus.publish_batch(wanted)

    outcomes = await each_by_itself(bus, wanted)
    assert [isinstance(one, PubAck) and one.duplicate for one in outcomes] == [False, False, True, False, False]
    assert sorted(await stored(bus)) == sorted(event.id for event in wanted)
    assert await bus.publish_batch(expunged(2, first=6)), "the next one may be had together again"


@pytest.mark.asyncio
async def test_a_batch_that_was_stored_is_not_stored_again(bus: Bus) -> None:
    wanted = expunged(4)

    assert await bus.publish_batch(wanted)
    assert not await bus.publish_batch(wanted)

    assert all(isinstance(one, PubAck) and one.duplicate for one in await each_by_itself(bus, wanted))
    assert await stored(bus) == [event.id for event in wanted]


@pytest.mark.asyncio
async def test_a_stream_that_takes_no_batches_is_not_asked_again(bus: Bus) -> None:
    jetstream = bus._jetstream
    config = (await jetstream.call(f"STREAM.INFO.{MAIL_EVENTS}"))["config"]
    assert config["allow_atomic"]
    await jetstream.call(f"STREAM.UPDATE.{MAIL_EVENTS}", {**config, "allow_atomic": False})
    wanted = expunged(3)

    assert not await bus.publish_batch(wanted)
    await jetstream.call(f"STREAM.UPDATE.{MAIL_EVENTS}", config)
    assert not await bus.publish_batch(wanted)

    assert not any(isinstance(one, BusError) for one in await each_by_itself(bus, wanted))
    assert await stored(bus) == [event.id for event in wanted]


@pytest.mark.asyncio
async def test_one_event_and_more_than_a_server_takes_are_no_batch(bus: Bus) -> None:
    assert not await bus.publish_batch(expunged(1))
    assert not await bus.publish_batch(expunged(MOST + 1))

    assert await stored(bus) == []
