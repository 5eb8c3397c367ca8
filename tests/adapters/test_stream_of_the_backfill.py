"""The backfill's stream: made out of the one that a version before had, and cut back by a power cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from mailcore.aio import aio
from mailcore.bus import MAIL, MAIL_BACKFILL, BodyMissing, Bus
from mailcore.bus.layout.durables import DURABLES
from mailcore.bus.layout.streams import Limits, streams
from mailcore.events.message import Kind, MessageEvent
from mailcore.media import Media
from mailcore.store import Store
from tests.adapters.test_syncer_publishes import idling, settings_for, syncing, until
from tests.support.consumers import acknowledged, consuming, event
from tests.support.consumers import until as eventually_asked
from tests.support.disks import PowerCut
from tests.support.dovecot import Dovecot
from tests.support.events import message
from tests.support.hostile_imap import HostileImap
from tests.support.mail import make_mail
from tests.support.nats import NatsServer
from tests.support.pipeline import running, settings_of

KINDS = ("new", "backfill", "copy", "rebind")


def old(number: int, body: bytes | None = None) -> MessageEvent:
    made = event(number) if body is None else message(number, body)
    return replace(made, kind=Kind.BACKFILL)


async def as_before(bus: Bus) -> None:
    """The streams and durables of the version before."""
    for name, config in streams(Limits(max_bytes=512 << 20)).items():
        if name != MAIL_BACKFILL:
            changed = {"subjects": [f"mail.*.*.{kind}" for kind in KINDS]} if name == MAIL else {}
            await bus._jetstream.call(f"STREAM.CREATE.{name}", {**config, **changed})
    for name in ("store", "backfill"):
        request = {"stream_name": MAIL, "config": DURABLES[name][1]}
        await bus._jetstream.call(f"CONSUMER.DURABLE.CREATE.{MAIL}.{name}", request)


@pytest.mark.asyncio
@pytest.mark.invariant("I3")
async def test_what_the_version_before_has_not_stored_stays_where_it_is_and_is_stored(
    nats_server: NatsServer, store: Store, mailbox_id: int, tmp_path: Path
) -> None:
    bus = await Bus.connect(nats_server.url, name="test")
    await as_before(bus)
    for number in (1, 2, 3):
        assert (await bus.publish(old(number))).stream == MAIL
    await bus.ensure(max_bytes=512 << 20)
    position = await bus.position(MAIL)
    assert (position.messages, position.last_seq) == (3, 3)
    assert [(one.stream, one.seq, one.identity.uid) async for one in bus.unsettled()] == [
        (MAIL, seq, seq) for seq in (1, 2, 3)
    ]
    assert (await bus.publish(old(4))).stream == MAIL_BACKFILL
    assert (await bus.publish(event(5))).stream == MAIL
    assert await bus.waiting() == {"store": 1, "backfill": 4, "expunge": 0, "flags": 0}

    async with consuming(bus, store, Media.open(tmp_path / "media")):
        await acknowledged(bus, 4)

        async def all_stored() -> bool:
            return (await bus.waiting())["backfill"] == 0

        await eventually_asked(all_stored, "the backfill is stored")
    assert await store.count_messages() == 5
    assert [one async for one in bus.unsettled()] == []
    assert await bus.pull_former("backfill") is None
    await bus.ensure(max_bytes=512 << 20)
    await bus.close()


@pytest.mark.asyncio
async def test_bytes_are_read_from_the_stream_that_has_them_under_that_sequence(bus: Bus, tmp_path: Path) -> None:
    new, before = message(1, b"new"), old(2, b"from before")
    assert ((await bus.publish(new)).seq, (await bus.publish(before)).seq) == (1, 1)
    for one in (new, before):
        await bus.message_body(1, one.sha256, tmp_path / "body")
        assert (tmp_path / "body").read_bytes() == one.body
    with pytest.raises(BodyMissing):
        await bus.message_body(1, message(3, b"others").sha256, tmp_path / "body")


@pytest.mark.asyncio
async def test_a_server_that_cannot_acknowledge_before_it_syncs_is_not_asked_to(bus: Bus) -> None:
    config = (await bus._jetstream.call(f"STREAM.INFO.{MAIL_BACKFILL}"))["config"]
    assert config["persist_mode"] == "async"
    # As of replicas, which this server has not: what goes with no such promise.
    wanted = {"name": "S", "subjects": ["s"], "max_bytes": 1 << 20, "allow_atomic": True, "persist_mode": "async"}
    await bus._jetstream._create_stream(wanted, lambda *_, **__: None)
    assert "persist_mode" not in (await bus._jetstream.call("STREAM.INFO.S"))["config"]
    await bus._jetstream._ensure_stream(wanted, lambda *_, **__: None)


@pytest.fixture
def durable_nats(power_cut: PowerCut) -> Iterator[NatsServer]:
    with closing(NatsServer(home=power_cut.path, sync_interval="always")) as server:
        yield server.start()


@pytest.mark.trio
@pytest.mark.invariant("I2", "I3", "I4")
async def test_a_power_cut_takes_of_what_is_in_flight_the_backfill_alone_which_is_published_again(
    power_cut: PowerCut, durable_nats: NatsServer, dovecot: Dovecot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.in_flight.EVERY", 0.2)
    for number in range(20):
        dovecot.append(make_mail(number).raw)
    settings = settings_for(dovecot, durable_nats, tmp_path)
    async with syncing(settings) as seen:
        await until(lambda: len(seen.messages) == 20, "published")
        await idling(seen)
        for number in range(20, 23):
            dovecot.append(make_mail(number).raw)
        await until(lambda: len(seen.messages) == 23, "pushed")
        await trio.sleep(0.5)  # the look at what is in flight has seen the streams

        durable_nats.kill()
        power_cut.cut()
        power_cut.restore()
        durable_nats.start()
        await until(lambda: len(seen.messages) >= 43, "what was lost is published again", within=30)
        assert (await aio(seen.bus.position, MAIL)).messages == 3, "synced before its PubAck"
        assert (await aio(seen.bus.position, MAIL_BACKFILL)).messages == 20


@pytest.mark.trio
@pytest.mark.invariant("I3", "I4")
async def test_a_power_cut_at_nats_while_mail_is_stored_loses_and_doubles_nothing(
    power_cut: PowerCut, durable_nats: NatsServer, tmp_path: Path
) -> None:
    server = HostileImap(count=23)
    async with running(settings_of(server, durable_nats, tmp_path)) as pipeline:
        await pipeline.until(lambda: pipeline.messages(), "the first are stored")
        durable_nats.kill()
        power_cut.cut()
        power_cut.restore()
        durable_nats.start()
        await pipeline.until(lambda: len(pipeline.messages()) == 23, "all are stored", within=40)
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")
        assert (await pipeline.sync()).status == "ok"  # it may join the run that stored them
        assert (await pipeline.sync()).found == 0
        assert len(pipeline.uids()) == len(pipeline.messages()) == 23
    server.close()
