"""Pipelines against a real nats-server: each message is told of once, whatever happens on the way."""

from __future__ import annotations

import asyncio

import pytest

from mailcore.bus import MAIL, MAIL_EVENTS, Bus, PubAck
from mailcore.errors import BusError
from mailcore.events.message import MessageEvent
from tests.support import events
from tests.support.consumers import until
from tests.support.nats import NatsServer

Outcome = tuple[int, PubAck | BusError]


def mails(count: int, size: int = 100) -> list[MessageEvent]:
    return [events.message(number, body=b"%06d" % number + b"x" * size) for number in range(1, count + 1)]


async def acknowledged(bus: Bus, sent: list[MessageEvent]) -> list[Outcome]:
    """What a pipeline of them tells, tagged by their places."""
    told: list[Outcome] = []
    async with bus.pipeline(lambda tag, outcome: told.append((tag, outcome))) as pipeline:
        for number, event in enumerate(sent):
            await pipeline.send(number, event)
    return told


@pytest.mark.asyncio
async def test_every_message_is_told_of_in_order_with_its_own_sequence(bus: Bus) -> None:
    told = await acknowledged(bus, mails(1000))

    assert [tag for tag, _ in told] == list(range(1000))
    assert [outcome for _, outcome in told] == [PubAck(MAIL, seq, False) for seq in range(1, 1001)]


@pytest.mark.asyncio
async def test_who_sends_another_one_or_flushes_hears_what_became_of_those_before(bus: Bus) -> None:
    told: list[int] = []
    first, second, third = mails(3)
    async with bus.pipeline(lambda tag, _: told.append(tag)) as pipeline:

        async def told_at_the_next_one() -> bool:
            await pipeline.send(2, second)
            return bool(told)

        await pipeline.send(1, first)
        await until(told_at_the_next_one, "the first one is told of")
        assert told[0] == 1
        await pipeline.send(3, third)
        assert await pipeline.flush()
        assert told[-1] == 3
        assert not await pipeline.flush()


@pytest.mark.asyncio
async def test_messages_larger_than_all_its_room_go_one_by_one(bus: Bus) -> None:
    told = await acknowledged(bus, mails(9, size=7 << 20))

    assert [outcome for _, outcome in told] == [PubAck(MAIL, seq, False) for seq in range(1, 10)]


@pytest.mark.asyncio
async def test_a_killed_server_costs_time_and_nothing_else(bus: Bus, nats_server: NatsServer) -> None:
    sent = mails(600, size=20_000)

    async def some_are_there() -> bool:
        return (await bus.position(MAIL)).last_seq >= 100

    async def kill_it() -> None:
        await until(some_are_there, "the stream has some")
        await asyncio.to_thread(nats_server.kill)
        await asyncio.to_thread(nats_server.start)

    killing = asyncio.ensure_future(kill_it())
    told: list[Outcome] = []
    async with bus.pipeline(lambda tag, outcome: told.append((tag, outcome))) as pipeline:
        for number, event in enumerate(sent):
            await pipeline.send(number, event)
            if number == 300:
                await killing

    assert [tag for tag, _ in told] == list(range(600))
    assert all(isinstance(outcome, PubAck) for _, outcome in told)
    assert (await bus.position(MAIL)).messages == 600


@pytest.mark.asyncio
async def test_a_stream_that_was_deleted_is_made_again_and_takes_them(bus: Bus) -> None:
    await bus._jetstream.call(f"STREAM.DELETE.{MAIL}")

    told = await acknowledged(bus, mails(20))

    assert all(isinstance(outcome, PubAck) for _, outcome in told)
    assert (await bus.position(MAIL)).messages == 20


@pytest.mark.asyncio
async def test_leaving_early_tells_of_each_one_that_was_sent(bus: Bus, nats_server: NatsServer) -> None:
    told: list[Outcome] = []

    async def leave_early() -> None:
        async with bus.pipeline(lambda tag, outcome: told.append((tag, outcome))) as pipeline:
            for number, event in enumerate(mails(5)):
                await pipeline.send(number, event)
            raise RuntimeError("of the test")

    nats_server.freeze()
    with pytest.raises(RuntimeError, match="of the test"):
        await leave_early()
    nats_server.thaw()

    assert [tag for tag, _ in told] == [0, 1, 2, 3, 4]
    assert all(isinstance(outcome, BusError) for _, outcome in told)


@pytest.mark.asyncio
async def test_what_the_stream_refuses_is_told_and_stops_no_other(bus: Bus) -> None:
    # Room for three of them: what does not fit into a stream that discards nothing is refused for good.
    config = (await bus._jetstream.call(f"STREAM.INFO.{MAIL}"))["config"]
    await bus._jetstream.call(f"STREAM.UPDATE.{MAIL}", {**config, "max_msg_size": 5_000})
    sent = mails(6)
    sent[2] = events.message(3, body=b"y" * 9_000)

    told = await acknowledged(bus, sent)

    assert [type(outcome) for _, outcome in told] == [PubAck, PubAck, BusError, PubAck, PubAck, PubAck]


@pytest.mark.asyncio
async def test_publish_all_gives_the_outcomes_in_order(bus: Bus) -> None:
    thin = [events.expunged(number) for number in range(1, 301)]

    assert await bus.publish_all(thin) == [PubAck(MAIL_EVENTS, seq, False) for seq in range(1, 301)]
    assert await bus.publish_all(thin[:2]) == [PubAck(MAIL_EVENTS, 1, True), PubAck(MAIL_EVENTS, 2, True)]
    assert (await bus.position(MAIL_EVENTS)).messages == 300
