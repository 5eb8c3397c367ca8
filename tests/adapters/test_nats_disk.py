"""A nats-server whose disk is small, full for a moment, or nearly full when it starts."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import structlog
import trio
from prometheus_client import REGISTRY

from mailcore.bus import MAIL, Bus
from mailcore.errors import BusError
from mailcore.plain_nats import NatsRefused, PlainNats
from mailcore.waits import WAITS
from supervisor.children import Child, Supervisor
from supervisor.nats_health import failed_writes, has_room, watch
from supervisor.nats_server import NatsServer as Embedded
from syncer import streams
from tests.support.disks import Disk
from tests.support.events import message
from tests.support.nats import NatsServer
from tests.support.programs import wait_until

SMALL = 64 << 20
NO_SPACE = "no space left on device"


def put(url: str, subject: str, size: int = 1000) -> bool:
    """Whether JetStream took it; it may be silent for a second."""
    try:
        with PlainNats(url, name="test", within=1) as nats:
            return "error" not in json.loads(nats.answer(subject, b"x" * size))
    except (NatsRefused, OSError):
        return False


@pytest.mark.asyncio
async def test_a_store_in_error_is_told_without_a_publish_until_the_server_is_started_again(
    make_disk: Callable[[int], Disk],
) -> None:
    disk = make_disk(SMALL)
    server = NatsServer(home=disk.path, max_file_store="40M")
    try:
        server.start()
        bus = await Bus.connect(server.url, name="test")
        with pytest.raises(BusError, match=r"NATS has not even .* MiB for our streams .*max_file_store"):
            await bus.ensure(max_bytes=24 << 20)
        server.max_file_store = "56M"
        server.restart()
        await bus.ensure()  # of 4 GiB: less is asked for
        assert (await bus.position(MAIL)).max_size == 16 << 20
        assert await bus.write_errors() == {} == failed_writes(server.url)

        disk.fill()
        with pytest.raises(BusError, match="no PubAck"):
            await bus.publish(message(1, b"x" * 100_000), deadline=1)
        disk.free()
        found = await bus.write_errors()
        assert found.keys() == {MAIL}
        assert NO_SPACE in found[MAIL]
        assert failed_writes(server.url) == found

        assert bus.unacknowledged
        assert NO_SPACE in WAITS._reasons[bus._publisher].words
        streams.tell((), found)
        try:
            assert REGISTRY.get_sample_value("mozzart_stream_in_error", {"stream": MAIL}) == 1
        finally:
            streams.tell(found, {})
        assert REGISTRY.get_sample_value("mozzart_stream_in_error", {"stream": MAIL}) is None

        server.restart()
        assert (await bus.publish(message(1, b"x" * 100_000))).seq
        assert await bus.write_errors() == {}
        assert not bus.unacknowledged
        assert bus._publisher not in WAITS._reasons
        await bus.close()
    finally:
        server.close()


@pytest.mark.trio
async def test_the_embedded_server_is_started_again_once_there_is_room_and_only_then(
    make_disk: Callable[[int], Disk],
) -> None:
    disk = make_disk(SMALL)
    server = Embedded(disk.path / "nats")
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, None)
        child = Child("nats-server", server.command, ready=server.ready)
        await supervisor.start(child)
        stream = {"name": "S", "subjects": ["s"], "storage": "file", "max_bytes": 40 << 20}

        def make() -> None:
            with PlainNats(server.url, name="test", within=5) as nats:
                answer = json.loads(nats.answer("$JS.API.STREAM.CREATE.S", json.dumps(stream).encode()))
                assert "error" not in answer, answer

        make()
        assert await trio.to_thread.run_sync(put, server.url, "s")
        with structlog.testing.capture_logs() as logs:
            nursery.start_soon(watch, server, supervisor, 0.05)
            disk.fill()
            assert not has_room(disk.path)
            assert not await trio.to_thread.run_sync(put, server.url, "s", 100_000)
            with trio.fail_after(10):
                while not any("is started again once there is room" in one["event"] for one in logs):  # noqa: ASYNC110 - another process has no event to set for us
                    await trio.sleep(0.01)
            assert not any(one["event"] == "ended" for one in logs)
            disk.free()
            with trio.fail_after(20):
                while not await trio.to_thread.run_sync(put, server.url, "s", 100_000):  # noqa: ASYNC110 - another process has no event to set for us
                    await trio.sleep(0.05)
        told = [one for one in logs if one["event"].startswith("started again")]
        assert len(told) == 1
        assert NO_SPACE in told[0]["why"]
        nursery.cancel_scope.cancel()


def test_started_on_a_disk_that_is_nearly_full_it_takes_what_its_streams_were_promised(
    make_disk: Callable[[int], Disk],
) -> None:
    disk = make_disk(SMALL)
    server = Embedded(disk.path / "nats")

    async def once(act: Callable[[], None]) -> None:
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(nursery, None)
            await supervisor.start(Child("nats-server", server.command, ready=server.ready))
            await trio.to_thread.run_sync(act)
            await supervisor.stop("nats-server", grace=3)

    def make() -> None:
        stream = {"name": "S", "subjects": ["s"], "storage": "file", "max_bytes": 40 << 20}
        with PlainNats(server.url, name="test", within=5) as nats:
            answer = json.loads(nats.answer("$JS.API.STREAM.CREATE.S", json.dumps(stream).encode()))
            assert "error" not in answer, answer
        for _ in range(10):
            assert put(server.url, "s", 1 << 20)

    trio.run(once, make)
    (disk.path / "others").write_bytes(b"x" * (45 << 20))
    trio.run(once, lambda: wait_until(lambda: put(server.url, "s", 1 << 20), "it takes a message"))
