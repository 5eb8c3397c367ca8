"""NATS away while mail is pushed: it is stored soon after NATS is back, whatever ended meanwhile and whoever swept."""

from __future__ import annotations

import pytest
import trio

from tests.support.hostile_imap import HostileImap, mail
from tests.support.nats import NatsServer
from tests.support.pipeline import Mirror, Pipeline

pytestmark = pytest.mark.trio


async def ready(pipeline: Pipeline) -> None:
    await pipeline.stored(1, 2, 3)
    await pipeline.idling()
    await pipeline.until(lambda: pipeline.status() == "ok", "one sweep that finds all in step")


async def back(pipeline: Pipeline, nats_server: NatsServer, expected: int) -> None:
    await trio.to_thread.run_sync(nats_server.start)
    await pipeline.stored(*range(1, expected + 1), within=15)
    await pipeline.until(lambda: pipeline.status() == "ok", "all is well")
    assert len(pipeline.messages()) == expected, "once each"


@pytest.mark.invariant("I3")
async def test_mail_that_is_pushed_while_nats_is_away_is_stored_when_it_is_back(
    mirror: Mirror, nats_server: NatsServer
) -> None:
    server = HostileImap(count=3)
    async with mirror(server) as pipeline:
        await ready(pipeline)
        nats_server.kill()
        server.deliver(*(mail(number) for number in range(4, 9)))
        await trio.sleep(5)  # five sweeps meanwhile
        await back(pipeline, nats_server, 8)


async def test_a_push_that_ends_while_nats_is_away_leaves_nothing_to_the_tenth_sweep(
    mirror: Mirror, nats_server: NatsServer
) -> None:
    """The connection that pushed is cut behind the fetch: what it claimed is missing again, though every sweep since
    found the counters as they were."""
    server = HostileImap(count=3)
    async with mirror(server, sync_interval=0.5) as pipeline:
        await ready(pipeline)
        nats_server.kill()
        server.deliver(*(mail(number) for number in range(4, 9)))
        await pipeline.until(lambda: server.asked("UID FETCH", body=True), "fetched")
        await trio.sleep(2)
        for session in list(server.open):
            session.hang_up()
        await trio.sleep(3)
        await back(pipeline, nats_server, 8)


async def test_a_server_that_stops_while_nats_is_away_loses_nothing(mirror: Mirror, nats_server: NatsServer) -> None:
    server = HostileImap(count=3)
    async with mirror(server, sync_interval=30) as pipeline:
        await ready(pipeline)
        nats_server.kill()
        server.deliver(mail(4))
        await trio.sleep(1)
        server.deliver(mail(5))
        server.cut()
        server.add(mail(6))
        await trio.sleep(3)
        await back(pipeline, nats_server, 6)


@pytest.mark.invariant("I2", "I4")
async def test_a_nats_that_freezes_for_a_while_during_a_backlog_loses_and_doubles_nothing(
    mirror: Mirror, nats_server: NatsServer
) -> None:
    """PubAcks are out when it freezes, and the mailbox is numbered anew meanwhile."""
    server = HostileImap(*(mail(number, 1 << 20) for number in range(1, 21)))
    async with mirror(server, sync_interval=0.5) as pipeline:
        await pipeline.until(lambda: server.asked("UID FETCH", body=True), "fetched")
        nats_server.freeze()
        server.renumber()
        await trio.sleep(3)
        nats_server.thaw()
        # What was in flight under the old number may be stored beside its copy, until the next sweep ends it.
        each = sorted(f"mail {number}" for number in range(1, 21))
        await pipeline.until(lambda: sorted(pipeline.subjects()) == each, "each is stored once", within=40)
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")
        assert (await pipeline.sync()).status == "ok"  # it may join the run that stored them
        assert (await pipeline.sync()).found == 0
        await pipeline.until(lambda: sorted(pipeline.subjects()) == each, "each is stored once in the end")
