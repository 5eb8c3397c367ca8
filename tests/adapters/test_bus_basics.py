"""The bus against a real nats-server: what it makes, publishes, pulls, hears and answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from mailcore.bus import MAIL, MAIL_BACKFILL, MAIL_EVENTS, BodyMissing, Bus, DeadLetterMissing, Delivery
from mailcore.bus.layout.durables import DURABLES
from mailcore.bus.layout.streams import Limits, streams
from mailcore.errors import BusError, Retry, Scope
from mailcore.events.message import Kind, MessageEvent
from mailcore.settings import Settings
from tests.support.consumers import limit_bodies, until
from tests.support.events import expunged, message
from tests.support.nats import NatsServer


@pytest_asyncio.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    bus = await Bus.connect(nats_server.url, name="test")
    await bus.ensure(max_bytes=256 << 20)
    yield bus
    await bus.close()


@pytest.mark.asyncio
async def test_a_published_message_is_delivered_as_it_was(bus: Bus) -> None:
    event = message(1)
    pull = await bus.pull("store")
    ack = await bus.publish(event)
    assert ack == (MAIL, 1, False)
    (delivery,) = await pull.next(timeout=5)
    assert MessageEvent.decode(delivery.headers, delivery.data) == event
    assert (delivery.subject, delivery.seq, delivery.deliveries, delivery.pending) == (event.nats_subject, 1, 1, 0)
    assert abs(delivery.published_at - datetime.now(UTC)) < timedelta(seconds=60)
    delivery.ack()


@pytest.mark.asyncio
async def test_a_second_publish_of_the_same_identity_is_a_duplicate(bus: Bus) -> None:
    assert await bus.publish(message(1)) == (MAIL, 1, False)
    assert await bus.publish(message(1)) == (MAIL, 1, True)
    position = await bus.position(MAIL)
    assert (position.first_seq, position.last_seq, position.messages) == (1, 1, 1)


@pytest.mark.asyncio
async def test_ensure_again_changes_nothing_and_other_limits_are_taken_over(bus: Bus, nats_server: NatsServer) -> None:
    await bus.publish(message(1))
    before = await bus.position(MAIL)
    await bus.ensure(max_bytes=256 << 20)
    await bus.ensure(max_bytes=128 << 20, max_age=timedelta(days=1))
    assert await bus.position(MAIL) == before


@pytest.mark.asyncio
async def test_where_the_server_has_little_room_the_streams_are_smaller() -> None:
    server = NatsServer(max_file_store="300M")
    try:
        bus = await Bus.connect(server.start().url, name="test")
        await bus.ensure()
        sizes = {
            name: (await bus._jetstream.call(f"STREAM.INFO.{name}"))["config"]["max_bytes"]
            for name in streams(Limits())
        }
        assert sizes[MAIL] == sizes["OBJ_mail-bodies"] == 64 << 20
        assert sum(sizes.values()) < 300_000_000
        await bus.publish(message(1))
        await bus.close()
    finally:
        server.close()


@pytest.mark.asyncio
async def test_an_event_larger_than_a_small_server_takes_is_told_by_max_inline() -> None:
    server = NatsServer(max_payload=1 << 20)
    try:
        bus = await Bus.connect(server.start().url, name="test")
        await bus.ensure(max_bytes=64 << 20)
        assert bus.max_inline == (1 << 20) - (64 << 10)
        await bus.publish(message(1, bytes(bus.max_inline)))
        await bus.close()
    finally:
        server.close()


@pytest.mark.asyncio
async def test_credentials_are_not_sent_in_the_clear_when_the_url_says_tls(nats_server: NatsServer) -> None:
    with pytest.raises(BusError, match="says tls:// and the server offers no TLS"):
        await Bus.connect(nats_server.url.replace("nats://", "tls://"), name="test", connect_timeout=0.3)


@pytest.mark.asyncio
async def test_acked_is_settled_nak_comes_again_and_term_never(bus: Bus) -> None:
    pull = await bus.pull("store")
    for uid in (1, 2, 3):
        await bus.publish(message(uid))
    got = await pull.next(timeout=5)
    while len(got) < 3:
        got += await pull.next(timeout=5)
    got[0].ack()
    got[1].nak()
    got[2].term()
    (again,) = await pull.next(timeout=5)
    assert (again.seq, again.deliveries) == (2, 2)
    again.nak(delay=0.2)
    (again,) = await pull.next(timeout=5)
    assert (again.seq, again.deliveries) == (2, 3)
    again.in_progress()
    again.ack()
    assert await pull.next(timeout=0.2) == []
    assert await bus.ack_floor(MAIL) == 3


@pytest.mark.asyncio
async def test_what_is_on_its_way_to_a_pull_that_closes_is_given_back(bus: Bus, nats_server: NatsServer) -> None:
    async def publish_20() -> None:
        publisher = await Bus.connect(nats_server.url, name="publisher")
        for number in range(1, 21):
            await publisher.publish(message(number))
        await publisher.close()

    pull = await bus.pull("store")
    asking = asyncio.ensure_future(pull.next())
    await asyncio.sleep(0.1)  # its request waits at the server
    publishing = threading.Thread(target=asyncio.run, args=(publish_20(),))
    publishing.start()
    publishing.join()  # meanwhile this loop reads nothing: all 20 are in the socket
    asking.cancel()
    await pull.close()

    other = await Bus.connect(nats_server.url, name="other")
    again = await other.pull("store")
    found: set[int] = set()
    async with asyncio.timeout(10):  # not after ack_wait
        while len(found) < 20:
            for delivery in await again.next():
                found.add(delivery.seq)
                delivery.ack()
    await other.close()


@pytest.mark.asyncio
async def test_listeners_hear_thin_events_and_a_raising_callback_stops_nobody(bus: Bus) -> None:
    heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    def raises(subject: str, data: bytes, headers: Mapping[str, str]) -> None:
        raise RuntimeError("of the test")

    def takes(subject: str, data: bytes, headers: Mapping[str, str]) -> None:
        heard.put_nowait((headers["ce-id"], data))

    await bus.listen(["mail.*.*.expunged"], raises)
    await bus.listen(["mail.*.*.expunged", "mail.*.*.dead"], takes)
    for uid in (1, 2):
        await bus.publish(expunged(uid))
        async with asyncio.timeout(5):
            assert (await heard.get())[0] == f"default/INBOX/7/{uid}/expunged"


@pytest.mark.asyncio
async def test_requests_are_answered_refused_and_given_up(bus: Bus) -> None:
    async def double(data: bytes) -> bytes:
        return data * 2

    async def fail(data: bytes) -> bytes:
        raise ValueError("a secret that must not travel")

    async def never(data: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    await bus.respond("mozzart.test.double", double)
    await bus.respond("mozzart.test.fail", fail)
    await bus.respond("mozzart.test.never", never)
    assert await bus.request("mozzart.test.double", b"ab", 5) == b"abab"
    with pytest.raises(BusError, match=r"mozzart\.test\.fail failed where it was asked: ValueError$"):
        await bus.request("mozzart.test.fail", b"", 5)
    with pytest.raises(BusError, match=r"no answer to mozzart\.test\.never within 0\.1 s$"):
        await bus.request("mozzart.test.never", b"", 0.1)
    with pytest.raises(BusError, match=r"nobody answers mozzart\.test\.nobody"):
        await bus.request("mozzart.test.nobody", b"", 5)


@pytest.mark.asyncio
async def test_a_bug_in_an_answer_is_told_once_with_its_traceback_and_each_time_in_words(bus: Bus) -> None:
    async def fail(data: bytes) -> bytes:
        raise TypeError("planted")

    await bus.respond("mozzart.test.fail", fail)
    with capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(BusError):
                await bus.request("mozzart.test.fail", b"", 5)
    (told,) = [line for line in lines if line["event"] == "fault"]
    assert 'raise TypeError("planted")' in told["exception"]
    words = [line["error"] for line in lines if line["event"] == "request-failed"]
    assert len(words) == 3
    assert all("a fault of ours (TypeError: planted)" in each for each in words)


@pytest.mark.asyncio
async def test_gather_takes_all_answers(bus: Bus, nats_server: NatsServer) -> None:
    async def one(data: bytes) -> bytes:
        return b"1"

    async def two(data: bytes) -> bytes:
        return b"2"

    await bus.respond("mozzart.test.many", one)
    await bus.respond("mozzart.test.many", two)
    assert sorted(await bus.gather("mozzart.test.many", b"", 0.3)) == [b"1", b"2"]
    assert await bus.gather("mozzart.test.nobody", b"", 30) == []


@pytest.mark.asyncio
async def test_a_body_goes_through_the_object_store_and_again_changes_nothing(bus: Bus, tmp_path: Path) -> None:
    source, copy = tmp_path / "in", tmp_path / "out"
    source.write_bytes(bytes(range(256)) * 8_000)
    await bus.put_body("default/INBOX/7/1", source)
    size = (await bus.position("OBJ_mail-bodies")).last_seq
    await bus.put_body("default/INBOX/7/1", source)
    assert (await bus.position("OBJ_mail-bodies")).last_seq == size
    await bus.get_body("default/INBOX/7/1", copy)
    assert copy.read_bytes() == source.read_bytes()
    source.write_bytes(b"")
    await bus.put_body("default/INBOX/7/1", source)
    await bus.get_body("default/INBOX/7/1", copy)
    assert copy.read_bytes() == b""
    with pytest.raises(BodyMissing, match="has no object 'nothing'"):
        await bus.get_body("nothing", copy)


@pytest.mark.asyncio
async def test_the_largest_body_is_whole_in_a_full_bucket(bus: Bus, tmp_path: Path) -> None:
    await limit_bodies(bus, 3 << 20)
    largest = await bus.largest_body()
    assert 3_000_000 < largest < 3 << 20
    source, copy = tmp_path / "in", tmp_path / "out"
    for name, fill in (("before", b"1"), (f"default/{'x' * 1_000}/7/1", b"2")):
        source.write_bytes(fill * largest)
        await bus.put_body(name, source)
        await bus.get_body(name, copy)
        assert copy.read_bytes() == source.read_bytes()

    source.write_bytes(b"3" * (3 << 20))
    await bus.put_body("larger", source)
    with pytest.raises(BodyMissing):  # without a word from NATS when it was put
        await bus.get_body("larger", copy)

    await limit_bodies(bus, -1)
    assert await bus.largest_body() > 1 << 60


@pytest.mark.asyncio
async def test_what_is_too_large_or_badly_named_is_refused_at_once(bus: Bus) -> None:
    with pytest.raises(BusError, match="max_payload 8388608") as caught:
        await bus.publish(message(1, bytes(bus.max_inline + (64 << 10))))
    assert (caught.value.scope, caught.value.retry) == (Scope.MESSAGE, Retry.NEVER)
    await bus.publish(message(2, bytes(bus.max_inline)))
    with pytest.raises(BusError, match="the mailbox name is too long") as caught:
        await bus.publish(message(3, mailbox="ж" * 1_000))
    assert (caught.value.scope, caught.value.retry) == (Scope.MAILBOX, Retry.NEVER)
    assert bus.connected


@pytest.mark.asyncio
async def test_copies_come_to_a_durable_that_the_version_before_has_made(bus: Bus) -> None:
    config = {**DURABLES["backfill"][1], "filter_subject": "mail.*.*.backfill"}
    del config["filter_subjects"]
    request = {"stream_name": MAIL_BACKFILL, "config": config}
    await bus._jetstream.call(f"CONSUMER.DELETE.{MAIL_BACKFILL}.backfill")
    await bus._jetstream.call(f"CONSUMER.DURABLE.CREATE.{MAIL_BACKFILL}.backfill", request)
    await bus.publish(replace(message(1), kind=Kind.BACKFILL))
    pull = await bus.pull("backfill")
    (first,) = await pull.next(max_messages=1, timeout=5)
    first.ack()
    await bus.ensure(max_bytes=512 << 20)
    await bus.publish(replace(message(2), kind=Kind.COPY, origin=message(1).identity))
    (second,) = await pull.next(max_messages=1, timeout=5)
    assert MessageEvent.decode(second.headers, second.data).origin == message(1).identity


@pytest.mark.asyncio
async def test_unsettled_tells_what_is_in_flight(bus: Bus) -> None:
    assert [item async for item in bus.unsettled()] == []
    for uid in range(1, 6):
        await bus.publish(message(uid))
    pull = await bus.pull("store")
    got = await pull.next(max_messages=2, timeout=5)
    while len(got) < 2:
        got += await pull.next(max_messages=1, timeout=5)
    for delivery in got:
        delivery.ack()
    await pull.next(timeout=5)
    found = [item async for item in bus.unsettled()]
    assert [(item.identity.uid, item.seq, item.size) for item in found] == [(uid, uid, 21) for uid in (3, 4, 5)]
    assert {(item.sha256, item.origin) for item in found} == {(message(3).sha256, None)}


@pytest.mark.asyncio
async def test_dead_letters_keep_bytes_error_and_identity(bus: Bus, tmp_path: Path) -> None:
    event = message(9)
    await bus.publish_dead(event.headers(), event.body, "broken: \x00 100 % žž\r\nsecond line", 5)
    large = tmp_path / "large"
    large.write_bytes(b"x" * 3_000_000)
    await bus.publish_dead(message(10).headers(), large, "too large", 6)
    assert (await bus.dead_identities()).keys() == {message(9).identity, message(10).identity}


@pytest.mark.asyncio
async def test_a_dead_letter_is_found_with_its_bytes(bus: Bus, tmp_path: Path) -> None:
    event, large = message(9), tmp_path / "large"
    large.write_bytes(b"x" * 3_000_000)
    await bus.publish_dead(event.headers(), event.body, "first", 5)
    await bus.publish_dead(message(10).headers(), large, "second", 6)
    assert [letter.seq async for letter in bus.dead_letters()] == [1, 2]
    assert [letter.seq async for letter in bus.dead_letters(1)] == [2]
    letter = await bus.dead_letter(1)
    assert (letter.identity, letter.error, letter.size) == (event.identity, "first", len(event.body))
    assert letter.died_at is not None
    assert abs(datetime.now(UTC) - letter.died_at) < timedelta(minutes=1)
    for seq, content in ((1, event.body), (2, large.read_bytes())):
        await bus.dead_body(seq, tmp_path / "body")
        assert (tmp_path / "body").read_bytes() == content
    for missing in (bus.dead_letter(3), bus.dead_body(3, tmp_path / "body"), bus.redrive(3), bus.discard(3)):
        with pytest.raises(DeadLetterMissing, match="no dead letter 3"):
            await missing


@pytest.mark.asyncio
async def test_a_redriven_letter_is_published_within_the_duplicate_window_and_is_gone(bus: Bus, tmp_path: Path) -> None:
    event, large = message(9), tmp_path / "large"
    large.write_bytes(b"x" * 3_000_000)
    claim = replace(message(10), body=b"", object_name="a/b", size=3_000_000)
    for each in (event, claim):
        await bus.publish(each)
    await bus.publish_dead(event.headers(), event.body, "first", 5)
    await bus.publish_dead(claim.headers(), large, "second", 6)
    for seq in (1, 2):
        assert not (await bus.redrive(seq)).duplicate
    assert await bus.dead_identities() == {}
    pull = await bus.pull("store")
    got: list[Delivery] = []
    while len(got) < 4:
        got += await pull.next(timeout=5)
    again, claimed = (MessageEvent.decode(each.headers, each.data) for each in got[2:])
    assert again.pushed_at > event.pushed_at, "how long it takes counts from now"
    assert replace(again, pushed_at=event.pushed_at) == event
    await bus.get_body(claimed.object_name, tmp_path / "body")
    assert (claimed.identity, (tmp_path / "body").stat().st_size) == (claim.identity, 3_000_000)
    # It dies again at once: that is a letter again, and not one that the stream had.
    await bus.publish_dead(got[2].headers, got[2].data, "again", 5)
    (letter,) = [each async for each in bus.dead_letters()]
    assert (letter.seq, letter.error) == (3, "again")


@pytest.mark.asyncio
async def test_the_beginning_of_a_letter_is_read_without_the_rest_and_a_discarded_one_is_gone(
    bus: Bus, tmp_path: Path
) -> None:
    event = message(9)
    await bus.publish_dead(event.headers(), event.body, "small", 1)
    (tmp_path / "large").write_bytes(large := b"Subject: large\r\n\r\n" + b"x" * 3_000_000)
    claim = replace(message(10), body=b"", object_name="a/b", size=len(large))
    await bus.publish_dead(claim.headers(), tmp_path / "large", "large", 1)
    small, other = [each async for each in bus.dead_letters()]

    assert await bus.dead_beginning(small) == event.body
    beginning = await bus.dead_beginning(other)
    assert large.startswith(beginning)
    assert 1000 < len(beginning) <= 512 << 10

    assert (await bus.discard(small.seq)).identity == event.identity
    assert [each.seq async for each in bus.dead_letters()] == [other.seq]
    assert await bus.dead_beginning(small) == b""
    await bus.discard(other.seq)
    assert await bus.dead_identities() == {}


@pytest.mark.asyncio
async def test_what_nothing_stores_cannot_be_redriven(bus: Bus) -> None:
    await bus.publish_dead({**message(9).headers(), "ce-type": "something.else"}, b"x", "error", 1)
    thin = {"ce-type": "mozzart.mail.stored.v1", "mozzart-redriven": "1"}
    await bus.publish_dead(message(9).headers() | thin, b"x", "", 1)
    for seq in (1, 2):
        with pytest.raises(BusError, match="cannot be redriven"):
            await bus.redrive(seq)
    assert len([each async for each in bus.dead_letters()]) == 2


@pytest.mark.asyncio
async def test_tail_shows_the_past_and_then_what_comes(bus: Bus) -> None:
    for uid in (1, 2, 3):
        await bus.publish(message(uid))
    tail = bus.tail("mail.>", since=2)
    first = [await anext(tail), await anext(tail)]
    assert [(d.seq, d.data) for d in first] == [(2, b""), (3, b"")]
    await bus.publish(expunged(1))
    async with asyncio.timeout(5):
        event = await anext(tail)
    assert (event.stream, event.headers["ce-id"]) == (MAIL_EVENTS, "default/INBOX/7/1/expunged")
    await tail.aclose()
    everything = bus.tail("mail.*.*.new", since="all", bodies=True)
    assert [(await anext(everything)).data for _ in range(3)] == [message(1).body] * 3
    await everything.aclose()
    with pytest.raises(BusError, match="no stream of ours"):
        await anext(bus.tail("other.subject"))


@pytest.mark.asyncio
async def test_nothing_of_the_bus_is_left_after_close(nats_server: NatsServer) -> None:
    before = asyncio.all_tasks()
    bus = await Bus.connect(nats_server.url, name="test")
    await bus.ensure(max_bytes=256 << 20)
    pull = await bus.pull("store")
    tail = bus.tail("mail.>", since="all")
    waiting = asyncio.ensure_future(anext(tail))
    await bus.publish(message(1))
    await waiting
    await pull.next(timeout=5)
    await bus.close()
    assert asyncio.all_tasks() == before
    with pytest.raises(BusError, match="is closed"):
        await pull.next()


@pytest.mark.asyncio
async def test_no_server_and_wrong_credentials_are_told_without_the_secret(nats_server: NatsServer) -> None:
    wrong = nats_server.url.replace(nats_server.token, "sesame-secret")
    with pytest.raises(BusError, match=r"refused the credentials: check NATS_URL$") as caught:
        await Bus.connect(wrong, name="test", connect_timeout=5)
    assert "sesame" not in str(caught.value)
    nats_server.kill()
    with pytest.raises(BusError, match=r"no NATS server answered at nats://127\.0\.0\.1:\d+ within 0\.3 s") as caught:
        await Bus.connect(nats_server.url, name="test", connect_timeout=0.3)
    assert nats_server.token not in str(caught.value)


@pytest.mark.asyncio
async def test_tail_goes_on_after_a_sequence_of_each_stream(bus: Bus) -> None:
    for uid in (1, 2, 3):
        await bus.publish(message(uid))
    await bus.publish(expunged(1))

    async with aclosing(bus.tail("mail.>", since={MAIL: 2, MAIL_EVENTS: 0})) as tail:
        seen = {(event.stream, event.seq) for event in [await anext(tail), await anext(tail)]}

    assert seen == {(MAIL, 3), (MAIL_EVENTS, 1)}


@pytest.mark.asyncio
async def test_the_past_of_several_streams_is_told_in_the_order_of_time(bus: Bus) -> None:
    for uid in range(1, 151):  # more than a stream gives ahead
        await bus.publish(message(uid))
        if uid % 3 == 0:
            await bus.publish(expunged(uid))

    async with aclosing(bus.tail("mail.>", since="all")) as tail, asyncio.timeout(20):
        seen = [await anext(tail) for _ in range(200)]
        times = [event.published_at for event in seen]
        assert times == sorted(times)
        assert {event.stream for event in seen[:10]} == {MAIL, MAIL_EVENTS}
        # Then nobody waits for anybody.
        for _ in range(5):
            began = asyncio.get_running_loop().time()
            await bus.publish(expunged(900 + _))
            await anext(tail)
            assert asyncio.get_running_loop().time() - began < 0.4


@pytest.mark.asyncio
async def test_a_sequence_that_the_stream_never_had_is_from_one_that_was_deleted_so_tail_begins_anew(bus: Bus) -> None:
    await bus.publish(message(1))

    async with aclosing(bus.tail("mail.*.*.new", since={MAIL: 900})) as tail:
        assert (await anext(tail)).seq == 1


@pytest.mark.asyncio
async def test_the_settings_say_how_long_and_how_much_the_streams_keep(bus: Bus) -> None:
    facts = {"mail_max_age": 1.5, "mail_max_bytes": 256 << 20, "events_max_age": 9, "events_max_bytes": 128 << 20}
    await bus.ensure(**Settings(_env_file=None, **facts).retention)
    day = 24 * 3600 * 1_000_000_000
    for stream, age, size in ((MAIL, 1.5, 256 << 20), (MAIL_EVENTS, 9, 128 << 20)):
        config = (await bus._jetstream.call(f"STREAM.INFO.{stream}"))["config"]
        assert (config["max_age"], config["max_bytes"]) == (age * day, size)
        assert (await bus.position(stream)).max_size == size


@pytest.mark.asyncio
async def test_what_waits_is_what_no_consumer_has_settled(bus: Bus) -> None:
    for number in (1, 2, 3):
        await bus.publish(message(number))
    pull = await bus.pull("store")
    deliveries = await pull.next(timeout=5)
    assert await bus.waiting() == {"store": 3, "backfill": 0, "expunge": 0, "flags": 0}, "delivered is not settled"
    for delivery in deliveries:
        delivery.ack()

    async def settled() -> bool:
        return (await bus.waiting())["store"] == 3 - len(deliveries)

    await until(settled, "what was acknowledged waits no more")
