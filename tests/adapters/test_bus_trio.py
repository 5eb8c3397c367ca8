"""The bus inside a trio-asyncio loop, as the syncer uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio_asyncio

from mailcore.bus import MAIL, Bus
from tests.support.events import expunged, message
from tests.support.nats import NatsServer


@asynccontextmanager
async def bus_in_trio(server: NatsServer) -> AsyncIterator[Bus]:
    """A bus in a loop whose exception handler must hear nothing and which must be empty in the end."""
    complaints: list[dict[str, Any]] = []
    async with trio_asyncio.open_loop() as loop:
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        bus: Bus = await trio_asyncio.aio_as_trio(Bus.connect)(server.url, name="trio")
        await trio_asyncio.aio_as_trio(bus.ensure)(max_bytes=256 << 20)
        try:
            yield bus
        finally:
            with trio.CancelScope(shield=True):
                await trio_asyncio.aio_as_trio(bus.close)()
        left = {task for task in asyncio.all_tasks(loop) if not task.done()}
    assert complaints == []
    assert left == set()


@pytest.mark.trio
async def test_publishing_listening_and_restarts_under_trio(nats_server: NatsServer) -> None:
    heard: set[str] = set()

    def note(subject: str, data: bytes, headers: Mapping[str, str]) -> None:
        heard.add(headers["ce-id"])

    async with bus_in_trio(nats_server) as bus:
        await trio_asyncio.aio_as_trio(bus.listen)(["mail.*.*.expunged"], note)
        done: list[int] = []

        async def one(uid: int) -> None:
            ack = await trio_asyncio.aio_as_trio(bus.publish)(message(uid))
            done.append(ack.seq)

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                for uid in range(1, 301):
                    nursery.start_soon(one, uid)
                nursery.start_soon(trio.to_thread.run_sync, nats_server.restart)
            assert len(set(done)) == 300
            assert (await trio_asyncio.aio_as_trio(bus.position)(MAIL)).messages == 300
            await trio_asyncio.aio_as_trio(bus.publish)(expunged(1))
            while not heard:  # noqa: ASYNC110  # it is set by a callback of the asyncio side
                await trio.sleep(0.005)
    assert heard == {"default/INBOX/7/1/expunged"}


@pytest.mark.trio
async def test_trio_cancels_a_publish_once_and_it_ends(nats_server: NatsServer) -> None:
    async with bus_in_trio(nats_server) as bus:
        nats_server.freeze()
        with trio.fail_after(10):
            for _ in range(20):
                with trio.move_on_after(0.02) as scope:
                    async with trio.open_nursery() as nursery:
                        for uid in range(1, 9):
                            nursery.start_soon(trio_asyncio.aio_as_trio(bus.publish), message(uid, bytes(1 << 20)))
                assert scope.cancelled_caught
        nats_server.thaw()
        with trio.fail_after(30):
            await trio_asyncio.aio_as_trio(bus.publish)(message(99))


@pytest.mark.trio
async def test_trio_cancels_a_connect_that_finds_nobody(nats_server: NatsServer) -> None:
    nats_server.kill()
    async with trio_asyncio.open_loop() as loop:
        with trio.fail_after(10):
            for _ in range(20):
                with trio.move_on_after(0.03) as scope:
                    await trio_asyncio.aio_as_trio(Bus.connect)(nats_server.url, name="trio")
                assert scope.cancelled_caught
        assert {task for task in asyncio.all_tasks(loop) if not task.done()} == set()
