"""The bus while nats-server is killed, frozen or emptied, and while callers are cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import structlog.testing

from mailcore.bus import MAIL, Bus, Pull
from mailcore.bus.core import wire
from mailcore.errors import BusError, Retry
from tests.support.events import BODY, expunged, message
from tests.support.nats import NatsServer
from tests.support.proxy import Proxy


@pytest_asyncio.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    bus = await Bus.connect(nats_server.url, name="test")
    await bus.ensure(max_bytes=256 << 20)
    try:
        yield bus
    finally:
        await bus.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead connection is noticed within half a second, not within half a minute."""
    monkeypatch.setattr(wire, "_PING_SECONDS", 0.1)


@contextlib.contextmanager
def complaints() -> Iterator[list[dict[str, Any]]]:
    """What reaches the loop's exception handler."""
    found: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: found.append(context))
    try:
        yield found
    finally:
        loop.set_exception_handler(None)


async def until(condition: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110  # the condition is the server's or the library's: no event tells
                await asyncio.sleep(0.005)
    except TimeoutError:
        pytest.fail(f"not within 20 s: {what}")


async def in_threads(action: Callable[[], object]) -> None:
    await asyncio.to_thread(action)


async def take(pull: Pull, count: int, within: float = 20) -> list[int]:
    """Ack that many deliveries; their UIDs."""
    uids: list[int] = []
    async with asyncio.timeout(within):
        while len(uids) < count:
            for delivery in await pull.next():
                uids.append(int(delivery.headers["ce-id"].rpartition("/")[2]))
                delivery.ack()
    return uids


@pytest.mark.asyncio
async def test_kills_of_the_server_lose_and_double_no_acknowledged_message(bus: Bus, nats_server: NatsServer) -> None:
    count, stop = 3_000, asyncio.Event()
    acks: dict[int, int] = {}
    window = asyncio.Semaphore(64)

    async def one(uid: int) -> None:
        async with window:
            acks[uid] = (await bus.publish(message(uid, BODY * 100))).seq

    def published(at_least: int) -> bool:
        return len(acks) >= at_least

    async def kills() -> None:
        for part, end in ((1, nats_server.kill), (2, nats_server.stop), (3, nats_server.kill)):
            await until(functools.partial(published, part * count // 5), "some are published")
            await in_threads(end)
            await until(lambda: not bus.connected, "the loss is noticed")
            await in_threads(nats_server.start)
        stop.set()

    pull = await bus.pull("store")
    seen: set[int] = set()

    async def consume() -> None:
        while len(seen) < count:
            seen.update(await take(pull, 1))

    with complaints() as found:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for uid in range(1, count + 1):
                group.create_task(one(uid))
            group.create_task(kills())
            group.create_task(consume())
    assert stop.is_set()
    assert seen == set(range(1, count + 1))
    assert len(set(acks.values())) == count
    assert (await bus.position(MAIL)).messages == count
    assert found == []


@pytest.mark.asyncio
async def test_listening_and_answering_go_on_after_a_restart(bus: Bus, nats_server: NatsServer) -> None:
    heard: list[str] = []

    def note(subject: str, data: bytes, headers: Mapping[str, str]) -> None:
        heard.append(headers["ce-id"])

    async def echo(data: bytes) -> bytes:
        return data

    changes: list[bool] = []
    await bus.listen(["mail.*.*.expunged"], note)
    await bus.respond("mozzart.test", echo)
    bus.watch(changes.append)
    nats_server.kill()
    await until(lambda: not bus.connected, "the loss is noticed")
    with pytest.raises(BusError, match=r"no answer to mozzart\.test within 0\.05 s \(the connection to .* is down\)"):
        await bus.request("mozzart.test", b"", 0.05)
    nats_server.start()
    await until(lambda: bus.connected, "the reconnect")
    assert await bus.request("mozzart.test", b"again", 5) == b"again"
    await bus.publish(expunged(1))
    await until(lambda: heard == ["default/INBOX/7/1/expunged"], "the event is heard")
    assert changes == [False, True]


@pytest.mark.asyncio
async def test_a_publish_without_a_server_waits_for_it_and_gives_up_in_words(bus: Bus, nats_server: NatsServer) -> None:
    nats_server.kill()
    await until(lambda: not bus.connected, "the loss is noticed")
    with pytest.raises(
        BusError, match=r"default/INBOX/7/1: no PubAck .* within 0\.2 s: the connection is down"
    ) as caught:
        await bus.publish(message(1), deadline=0.2)
    assert caught.value.retry is Retry.LATER
    waiting = asyncio.ensure_future(bus.publish(message(2)))
    await in_threads(nats_server.start)
    assert (await waiting).duplicate is False


@pytest.mark.asyncio
async def test_a_request_in_flight_fails_when_the_connection_is_lost(bus: Bus, nats_server: NatsServer) -> None:
    asked = asyncio.Event()

    async def never(data: bytes) -> bytes:
        asked.set()
        await asyncio.Event().wait()
        return b""

    await bus.respond("mozzart.test", never)
    request = asyncio.ensure_future(bus.request("mozzart.test", b"", 30))
    await asked.wait()
    nats_server.kill()
    with pytest.raises(BusError, match="was lost while waiting for an answer"):
        await request


@pytest.mark.asyncio
async def test_streams_deleted_by_hand_are_made_again_and_everything_goes_on(bus: Bus, nats_server: NatsServer) -> None:
    pull = await bus.pull("store")
    await bus.publish(message(1))
    (old,) = await pull.next(timeout=5)
    waiting = asyncio.ensure_future(pull.next(timeout=20))
    await asyncio.sleep(0)
    with structlog.testing.capture_logs() as logs:
        await bus._jetstream.call("STREAM.DELETE.MAIL")
        ack = await bus.publish(message(2))
        async with asyncio.timeout(10):
            (new,) = await waiting
    assert (ack.seq, new.seq) == (1, 1)
    assert {"event": "stream-created", "stream": "MAIL", "max_bytes": 256 << 20, "log_level": "warning"} in logs
    # An acknowledgement for the old stream's sequence 1 must not settle the new stream's.
    old.ack()
    new.nak()
    (again,) = await pull.next(timeout=10)
    assert (again.seq, again.deliveries, again.headers["ce-id"]) == (1, 2, "default/INBOX/7/2")
    again.ack()


@pytest.mark.asyncio
async def test_a_durable_deleted_by_hand_is_made_again(bus: Bus) -> None:
    pull = await bus.pull("store")
    await bus.publish(message(1))
    assert await take(pull, 1) == [1]
    waiting = asyncio.ensure_future(take(pull, 2))
    await asyncio.sleep(0.05)  # the request is at the server
    with structlog.testing.capture_logs() as logs:
        await bus._jetstream.call("CONSUMER.DELETE.MAIL.store")
        await bus.publish(message(2))
        assert sorted(await waiting) == [1, 2]
    assert "consumer-created" in {line["event"] for line in logs}


@pytest.mark.asyncio
async def test_a_process_that_makes_no_streams_says_what_to_start(nats_server: NatsServer) -> None:
    bus = await Bus.connect(nats_server.url, name="test")
    with pytest.raises(BusError, match="start the syncer or a consumer"):
        await bus.pull("store")
    with pytest.raises(BusError, match="no stream takes this subject"):
        await bus.publish(message(1), deadline=0.3)
    await bus.close()


@pytest.mark.asyncio
async def test_a_frozen_server_costs_a_reconnect_and_nothing_else(impatient: None, nats_server: NatsServer) -> None:
    bus = await Bus.connect(nats_server.url, name="test")
    await bus.ensure(max_bytes=256 << 20)
    nats_server.freeze()
    body = bytes(1 << 20)  # more than the socket takes: a dead peer must not be waited for
    waiting = [asyncio.ensure_future(bus.publish(message(uid, body))) for uid in range(1, 33)]
    await until(lambda: not bus.connected, "the dead connection is noticed")
    nats_server.thaw()
    acks = await asyncio.gather(*waiting)
    assert len({ack.seq for ack in acks}) == 32
    assert (await bus.position(MAIL)).messages == 32
    await bus.close()


@pytest.mark.asyncio
async def test_a_connection_gone_silent_is_replaced(
    impatient: None, nats_server: NatsServer, make_proxy: Callable[[int], Proxy]
) -> None:
    proxy = make_proxy(nats_server.port)
    bus = await Bus.connect(nats_server.url.replace(str(nats_server.port), str(proxy.port)), name="test")
    await bus.ensure(max_bytes=256 << 20)
    pull = await bus.pull("store")
    taking = asyncio.ensure_future(take(pull, 1))
    await asyncio.sleep(0)
    assert proxy.go_silent() == 1
    assert (await bus.publish(message(1))).seq == 1
    assert await taking == [1]
    await bus.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("nonsense", [b"NONSENSE\r\n", b"SUB\r\n", b"PUB a.b 99999999\r\n"])
async def test_what_the_server_calls_an_error_leads_to_a_reconnect(bus: Bus, nonsense: bytes) -> None:
    changes: list[bool] = []
    bus.watch(changes.append)
    bus._connection.wire.send(nonsense)
    await until(lambda: changes == [False, True], "the reconnect")
    assert (await bus.publish(message(1))).seq == 1


@pytest.mark.asyncio
async def test_an_exception_in_the_read_loop_leads_to_a_reconnect(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[bool] = []
    bus.watch(changes.append)

    async def broken(*_: object) -> None:
        monkeypatch.undo()
        raise LookupError("of the test")

    monkeypatch.setattr(bus._connection.wire, "_process_msg", broken)
    assert (await bus.publish(message(1))).seq == 1
    assert changes == [False, True]


@pytest.mark.asyncio
async def test_other_credentials_after_a_restart_keep_the_bus_trying(bus: Bus, nats_server: NatsServer) -> None:
    right, nats_server.token = nats_server.token, "changed"
    nats_server.restart()
    await until(bus._connection.wire.refused.is_set, "the refusal")
    assert not bus.connected
    nats_server.token = right
    nats_server.restart()
    assert (await bus.publish(message(1))).seq == 1


async def cancelled(task: asyncio.Future[Any]) -> None:
    """Cancel once: it must be enough."""
    task.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.asyncio
async def test_a_cancelled_publish_ends_at_once_and_gives_back_its_place(bus: Bus, nats_server: NatsServer) -> None:
    nats_server.freeze()
    body = bytes(4 << 20)
    stuck = [asyncio.ensure_future(bus.publish(message(uid, body))) for uid in range(1, 41)]
    await until(lambda: bus._publisher._window.used[0] >= 15, "the window is full")
    for task in reversed(stuck):
        await cancelled(task)
    assert bus._publisher._window.used == (0, 0)
    nats_server.thaw()
    assert (await bus.publish(message(99))).duplicate is False


@pytest.mark.asyncio
async def test_a_cancelled_pull_keeps_what_had_arrived(bus: Bus) -> None:
    pull = await bus.pull("store")
    for round_ in range(20):
        waiting = asyncio.ensure_future(pull.next())
        await asyncio.sleep(0)
        publishing = asyncio.ensure_future(bus.publish(message(round_ + 1)))
        if round_ % 2:
            await publishing
        await cancelled(waiting) if not waiting.done() else None
        if waiting.done() and not waiting.cancelled():
            for delivery in waiting.result():
                delivery.nak()
        await publishing
    assert sorted(await take(pull, 20)) == list(range(1, 21))


@pytest.mark.asyncio
async def test_what_a_closed_pull_had_not_handed_over_goes_to_another_at_once(
    bus: Bus, nats_server: NatsServer
) -> None:
    for uid in range(1, 11):
        await bus.publish(message(uid))
    greedy = await bus.pull("store")
    first = await greedy.next(max_messages=10, max_bytes=1, timeout=5)
    first[0].ack()
    await until(lambda: len(greedy._buffer) == 9, "the others have arrived as well")
    other = await Bus.connect(nats_server.url, name="other")
    pull = await other.pull("store")
    taking = asyncio.ensure_future(take(pull, 9, within=5))
    await greedy.close()
    assert sorted(await taking) == list(range(2, 11))
    await other.close()


@pytest.mark.asyncio
async def test_tail_goes_on_after_a_restart_without_gap_or_repetition(bus: Bus, nats_server: NatsServer) -> None:
    tail = bus.tail("mail.*.*.expunged")
    seen: list[int] = []

    async def watch() -> None:
        async for delivery in tail:
            seen.append(delivery.seq)  # noqa: PERF401  # looked at while it grows

    watching = asyncio.ensure_future(watch())
    uid = 0

    async def publish_until(count: int) -> None:
        nonlocal uid
        async with asyncio.timeout(20):
            while len(seen) < count:
                uid += 1
                await bus.publish(expunged(uid))

    await publish_until(20)
    nats_server.kill()
    await in_threads(nats_server.start)
    await publish_until(40)
    await until(lambda: len(seen) > 0 and seen[-1] == uid, "all have come")
    assert seen == list(range(seen[0], uid + 1))
    watching.cancel()
    await asyncio.wait({watching})
    await tail.aclose()


@pytest.mark.asyncio
async def test_a_reader_that_missed_a_delivery_goes_back(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    arrived = Pull._arrived
    count = 0

    def third_is_lost(pull: Pull, subject: str, reply: str, block: bytes, data: bytes) -> None:
        nonlocal count
        count += 1
        if count != 3:
            arrived(pull, subject, reply, block, data)

    monkeypatch.setattr(Pull, "_arrived", third_is_lost)
    for uid in range(1, 6):
        await bus.publish(message(uid))
    assert [item.seq async for item in bus.unsettled()] == [1, 2, 3, 4, 5]
    assert count > 5


@pytest.mark.asyncio
async def test_a_peer_that_takes_nothing_any_more_is_left_at_once(impatient: None) -> None:
    """A real server that hangs frees our buffer when it ends; a machine that vanished never does."""
    connections: list[asyncio.StreamWriter] = []
    again = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        writer.write(b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576,"headers":true}\r\n')
        while not (await reader.readline()).startswith(b"PING"):
            pass
        writer.write(b"PONG\r\n")
        if len(connections) > 1:
            again.set()
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a socket it is a transport that can

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 12)
    bus = await Bus.connect(f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", name="test")
    for _ in range(64):
        bus._connection.wire.publish_parts("a", "", b"", bytes(1 << 19))
    async with asyncio.timeout(10):
        await again.wait()
    await bus.close()
    for writer in connections:
        writer.transport.abort()
    server.close()
    await server.wait_closed()


@pytest.mark.asyncio
async def test_a_body_survives_restarts_on_its_way_in_and_out(
    bus: Bus, nats_server: NatsServer, tmp_path: Path
) -> None:
    source, copy = tmp_path / "in", tmp_path / "out"
    source.write_bytes(bytes(range(251)) * 80_000)

    async def with_restarts(work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        for _ in range(3):
            await asyncio.sleep(0.02)
            await in_threads(nats_server.restart)
        await task

    await with_restarts(bus.put_body("b", source))
    await with_restarts(bus.get_body("b", copy))
    assert copy.read_bytes() == source.read_bytes()


@pytest.mark.asyncio
async def test_closing_without_a_server_does_not_hang(nats_server: NatsServer) -> None:
    before = asyncio.all_tasks()
    bus = await Bus.connect(nats_server.url, name="test")
    await bus.ensure(max_bytes=256 << 20)
    await bus.pull("store")
    nats_server.freeze()
    waiting = asyncio.ensure_future(bus.publish(message(1, bytes(8_000_000))))
    await asyncio.sleep(0)
    async with asyncio.timeout(6):
        await bus.close()
    with pytest.raises(BusError, match="is closed"):
        await waiting
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("end", ["kill", "freeze"])
@pytest.mark.asyncio
async def test_a_pull_closes_soon_though_nobody_takes_what_it_gives_back(
    bus: Bus, nats_server: NatsServer, end: str
) -> None:
    pull = await bus.pull("store")
    asking = asyncio.ensure_future(pull.next())
    await asyncio.sleep(0.05)
    getattr(nats_server, end)()
    try:
        async with asyncio.timeout(3):
            await pull.close()
        with pytest.raises(BusError, match="closed"):
            await asking
    finally:
        nats_server.restart()
