"""Many messages: pipelined, each when it is complete, with bounded memory; and all fail at once when they must."""

from __future__ import annotations

import asyncio
import select
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
import structlog

import syncer.imap.command
import syncer.imap.protocol
from mailcore.errors import ConnectionLost, ImapError, ProtocolError
from mailcore.imap.response import Exists
from mailcore.imap.sequence import UidSet
from syncer.imap.connection import FetchedMessage, ImapConnection, MessageGone
from syncer.imap.flow import HOLD
from tests.support.scripted_imap import ScriptedImap, Session, message

Serve = Callable[..., ScriptedImap]
pytestmark = pytest.mark.asyncio


async def opened(server: ScriptedImap, **changes: object) -> ImapConnection:
    connection = await ImapConnection.open(server.endpoint(**changes))
    await connection.select("INBOX")
    return connection


async def every(stream: AsyncIterator[FetchedMessage]) -> list[FetchedMessage]:
    return [found async for found in stream]


async def test_two_thousand_short_lines_in_one_chunk_break_nothing(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin(exists=1)
        session.expect("UID FETCH .*")
        lines = [f"* {n} EXISTS\r\n* {n} FETCH (FLAGS (\\Seen))\r\n" for n in range(2, 2002)]
        session.send("".join(lines) + message(1, "abc") + f"\r\n{session.tag} OK\r\n")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    assert [found.body for found in await every(connection.uid_fetch_messages("1", limit=9))] == [b"abc"]
    push = await connection.idle(refresh=60)
    assert len(push.hints) == 4000
    connection.kill()


async def test_each_message_is_there_before_the_command_ends(scripted_imap: Serve) -> None:
    taken = threading.Event()

    def script(session: Session) -> None:
        session.begin()
        session.expect("UID FETCH .*")
        session.say(message(1, "first"))
        assert taken.wait(10)  # the server goes on only when the client has the first one
        session.send(message(2, "second")[:-3])
        session.send(message(2, "second")[-3:] + "\r\n")
        session.say("TAG OK")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    stream = connection.uid_fetch_messages(UidSet([1, 2]), limit=100)
    assert (await anext(stream)).body == b"first"
    taken.set()
    assert (await anext(stream)).body == b"second"
    assert [found async for found in stream] == []
    connection.kill()


async def test_several_fetches_are_in_flight_and_answered_by_tag_in_any_order(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        tags = []
        for _ in range(3):  # all three come before any is answered
            session.expect("UID FETCH .*")
            tags.append(session.tag)
        session.say(
            message(30), message(10), f"{tags[2]} OK", message(20), f"{tags[0]} OK", message(21), f"{tags[1]} OK"
        )
        session.until_closed()

    connection = await opened(scripted_imap(script))
    streams = [connection.uid_fetch_messages(UidSet(uids), limit=9) for uids in ([10, 11], [20, 21], [30])]
    assert [[found.uid for found in await every(stream)] for stream in streams] == [[10], [20, 21], [30]]
    connection.kill()


async def test_the_same_message_asked_for_twice_comes_twice(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        tags = []
        for _ in range(3):
            session.expect("UID FETCH .*")
            tags.append(session.tag)
        session.say(message(1, "abcdef"), f"{tags[0]} OK", "* 1 FETCH (UID 1 BODY[]<2> {2}\r\ncd)", f"{tags[1]} OK")
        session.say(message(1, "abcdef"), f"{tags[2]} OK")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    first = connection.uid_fetch_messages("1", limit=9)
    part = asyncio.create_task(connection.uid_fetch_part(1, 2, 2))
    await asyncio.sleep(0)
    last = connection.uid_fetch_messages("1", limit=9)
    assert [found.body for found in await every(first)] == [b"abcdef"]
    assert await part == b"cd"
    assert [found.body for found in await every(last)] == [b"abcdef"]
    connection.kill()


async def test_at_most_eight_fetches_are_in_flight_and_others_wait_their_turn(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        tags = []
        for _ in range(8):
            session.expect("UID FETCH .*")
            tags.append(session.tag)
        session.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            session.line()
        session.socket.settimeout(10)
        session.say(*(f"{tag} OK" for tag in tags))
        session.answer("UID FETCH .*")
        session.answer("NOOP")  # alone, behind them all
        session.answer("UID FETCH .*", message(99))
        session.until_closed()

    connection = await opened(scripted_imap(script))
    streams = [connection.uid_fetch_messages(UidSet([n]), limit=9) for n in range(1, 10)]
    nooping = asyncio.create_task(connection.noop())
    await asyncio.sleep(0)
    last = connection.uid_fetch_messages("99", limit=9)
    for stream in streams:
        assert await every(stream) == []
    assert [found.uid for found in await every(last)] == [99]
    await nooping
    connection.kill()


async def test_items_of_one_message_may_come_in_several_responses(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.answer(
            "UID FETCH .*",
            '* 1 FETCH (UID 1 INTERNALDATE "01-Jan-2026 00:00:00 +0000" RFC822.SIZE 3)',
            "* 1 FETCH (UID 1 FLAGS (\\Flagged))",
            "* 1 FETCH (BODY[]<0> {3}\r\nabc UID 1)",
        )
        session.until_closed()

    connection = await opened(scripted_imap(script))
    (found,) = await every(connection.uid_fetch_messages("1", limit=9))
    assert (found.body, found.size, found.flags) == (b"abc", 3, ("\\Flagged",))
    assert found.internaldate == datetime(2026, 1, 1, tzinfo=UTC)
    connection.kill()


DATE = 'INTERNALDATE "01-Jan-2026 00:00:00 +0000"'


@pytest.mark.parametrize("name", ["UID 1 ", ""])
async def test_the_date_of_a_message_may_come_after_its_body(scripted_imap: Serve, name: str) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.answer(
            "UID FETCH .*",
            "* 7 FETCH (UID 1 BODY[]<0> {3}\r\nabc)",
            "* 8 FETCH (UID 2 BODY[]<0> {3}\r\nxyz)",
            f"* 7 FETCH ({name}FLAGS () {DATE} RFC822.SIZE 4)",
        )
        session.until_closed()

    connection = await opened(scripted_imap(script))
    found = await every(connection.uid_fetch_messages("1:2", limit=9))
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert [(one.uid, one.body, one.internaldate, one.size) for one in found] == [
        (1, b"abc", moment, 4),
        (2, b"xyz", None, None),
    ]
    connection.kill()


async def test_what_has_no_uid_is_never_taken_for_another_message(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.answer("UID FETCH 3 .*", f"* 3 FETCH (FLAGS () {DATE} RFC822.SIZE 3 BODY[]<0> {{3}}\r\nabc)")
        session.answer("UID FETCH 3 .*", f"* 3 FETCH (UID 4 FLAGS () {DATE} RFC822.SIZE 3 BODY[]<0> {{3}}\r\nabc)")
        session.answer("UID FETCH 3 .*", "* 3 FETCH (BODY[]<0> {3}\r\nabc)")
        session.answer(  # after an EXPUNGE the number is another message's
            "UID FETCH 3:4 .*",
            "* 3 FETCH (UID 3 BODY[]<0> {3}\r\nabc)",
            "* 2 EXPUNGE",
            f"* 3 FETCH (FLAGS () {DATE} RFC822.SIZE 99)",
        )
        session.until_closed()

    connection = await opened(scripted_imap(script))
    assert await every(connection.uid_fetch_messages("3", limit=9)) == []
    assert await every(connection.uid_fetch_messages("3", limit=9)) == []
    with pytest.raises(MessageGone):
        await connection.uid_fetch_part(3, 0, 9)
    (found,) = await every(connection.uid_fetch_messages("3:4", limit=9))
    assert (found.uid, found.size, found.internaldate) == (3, None, None)
    connection.kill()


async def test_bodies_that_wait_for_their_date_take_no_more_than_a_bounded_room(
    scripted_imap: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncer.imap.command, "MAX_BEGUN", 100)
    first = threading.Event()

    def script(session: Session) -> None:
        session.begin()
        session.expect("UID FETCH .*")
        session.say(*(f"* {n} FETCH (UID {n} BODY[]<0> {{60}}\r\n{'x' * 60})" for n in (1, 2)))
        assert first.wait(10)
        session.say("TAG OK")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    stream = connection.uid_fetch_messages("1:2", limit=99)
    assert (await anext(stream)).uid == 1
    first.set()
    assert [found.uid for found in await every(stream)] == [2]
    connection.kill()


async def test_parts_of_one_message_answered_out_of_order_reach_whoever_asked(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        tags = []
        for _ in range(2):
            session.expect("UID FETCH 1 .*")
            tags.append(session.tag)
        session.say("* 1 FETCH (UID 1 BODY[]<2> {2}\r\ncd)", "* 1 FETCH (UID 1 BODY[]<0> {2}\r\nab)")
        session.say(*(f"{tag} OK" for tag in tags))
        session.until_closed()

    connection = await opened(scripted_imap(script))
    assert await asyncio.gather(*(connection.uid_fetch_part(1, at, 2) for at in (0, 2))) == [b"ab", b"cd"]
    connection.kill()


@pytest.mark.parametrize(
    "unreadable",
    [
        "* 0 FETCH (UID 2 BODY[]<0> {6}\r\nsecret)",
        "* 2 FETCH (UID x secret)",
        '* 2 FETCH (UID 2 BODY[]<0> "secret" oops',
        "* 2 FETCH secret",
    ],
)
async def test_a_response_that_cannot_be_read_costs_its_message_alone_and_is_told_of_once(
    scripted_imap: Serve, unreadable: str
) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.answer("UID FETCH 1:3 .*", message(1), unreadable, unreadable, message(3))
        session.answer("NOOP")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    with structlog.testing.capture_logs() as logs:
        assert [found.uid for found in await every(connection.uid_fetch_messages("1:3", limit=9))] == [1, 3]
    await connection.noop()
    assert len([entry for entry in logs if entry["event"] == "imap-unreadable"]) == 1
    assert "secret" not in repr(logs)
    connection.kill()


async def test_a_taker_that_lags_stops_the_server_and_nothing_is_lost(scripted_imap: Serve) -> None:
    size, count = 1 << 20, 60
    stalled = threading.Event()
    sent_when_stalled: list[int] = []

    def script(session: Session) -> None:
        data = b"".join(message(uid, "x" * size).encode() + b"\r\n" for uid in range(1, count + 1))
        session.begin()
        session.expect("UID FETCH .*")
        data += f"{session.tag} OK\r\n".encode()
        sent = 0
        while sent < len(data):
            if not select.select([], [session.socket], [], 1.2)[1] and not stalled.is_set():
                sent_when_stalled.append(sent)
                stalled.set()
            session.socket.setblocking(False)
            try:
                sent += session.socket.send(data[sent : sent + 65536])
            except BlockingIOError:
                continue
            finally:
                session.socket.settimeout(20)
        session.until_closed()

    connection = await opened(scripted_imap(script), command_timeout=1)
    stream = connection.uid_fetch_messages(UidSet.from_ranges([(1, count)]), limit=size)
    assert (await anext(stream)).uid == 1
    assert await asyncio.to_thread(stalled.wait, 20)  # longer than command_timeout: our own pause is no silence
    assert sent_when_stalled[0] < HOLD + 20 * size  # what we hold and what the sockets do
    uids = []
    async for found in stream:
        assert len(found.body or b"") == size
        uids.append(found.uid)
    assert uids == list(range(2, count + 1))
    connection.kill()


async def test_a_wait_for_something_behind_the_held_messages_ends(scripted_imap: Serve) -> None:
    size, count = 1 << 20, 12

    def script(session: Session) -> None:
        session.begin()
        session.expect("UID FETCH .*")
        for uid in range(1, count + 1):
            session.say(message(uid, "x" * size))
        session.say("TAG OK")
        session.answer("UID FETCH 1 .*", "* 1 FETCH (UID 1 BODY[]<0> {2}\r\nxx)")
        session.answer("NOOP")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    stream = connection.uid_fetch_messages(UidSet.from_ranges([(1, count)]), limit=size)
    assert (await anext(stream)).uid == 1
    async with asyncio.timeout(20):
        assert await connection.uid_fetch_part(1, 0, 2) == b"xx"
        await connection.noop()
    assert len(await every(stream)) == count - 1
    connection.kill()


async def test_a_stream_left_early_leaves_the_connection_usable(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.expect("UID FETCH 1:12 .*")
        for uid in range(1, 13):
            session.say(message(uid, "x" * (1 << 20)))
        session.say("TAG OK", "* 9 EXISTS")
        session.answer("UID FETCH 3 .*", message(3, "abc"))
        session.until_closed()

    connection = await opened(scripted_imap(script))
    stream = connection.uid_fetch_messages("1:12", limit=1 << 20)
    await anext(stream)
    await stream.aclose()
    assert await every(stream) == []
    assert [found.body for found in await every(connection.uid_fetch_messages("3", limit=9))] == [b"abc"]
    assert (await connection.idle(refresh=60)).hints == (Exists(9),)
    connection.kill()


async def test_the_late_answer_to_a_cancelled_command_harms_nobody(scripted_imap: Serve) -> None:
    asked, cancelled = threading.Event(), threading.Event()

    def script(session: Session) -> None:
        session.begin()
        session.expect("UID SEARCH .*")
        asked.set()
        assert cancelled.wait(10)
        session.say(f'* ESEARCH (TAG "{session.tag}") UID ALL 1:9', "TAG OK late")
        session.answer("UID SEARCH .*", "* SEARCH 3")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    searching = asyncio.create_task(connection.uid_search())
    assert await asyncio.to_thread(asked.wait, 10)
    searching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await searching
    cancelled.set()
    assert await connection.uid_search() == UidSet([3])
    connection.kill()


async def test_bytes_that_are_no_utf8_harm_nobody(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.expect("NOOP")
        session.send(b"* OK [ALERT] sch\xf6n\r\n* X-\xff\xfe\r\n* 1 FETCH (FLAGS (\xff))\r\n")
        session.send(session.tag.encode() + b" OK fertig \xfc\r\n")
        session.answer("NOOP")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    await connection.noop()
    await connection.noop()
    connection.kill()


async def waiters(connection: ImapConnection) -> list[BaseException]:
    """A stream, its followers and commands behind them, all waiting; what each of them got."""
    streams = [connection.uid_fetch_messages(UidSet([n]), limit=9) for n in range(1, 12)]
    tasks = [
        *(asyncio.ensure_future(every(stream)) for stream in streams),
        asyncio.ensure_future(connection.noop()),
        asyncio.ensure_future(connection.uid_search()),
        asyncio.ensure_future(connection.idle(refresh=60)),
    ]
    async with asyncio.timeout(10):
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, BaseException) for result in results)
    return [result for result in results if isinstance(result, BaseException)]


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        (b"", ConnectionLost),
        (b"* BYE shutting down\r\n", ConnectionLost),
        (b"* 1 FETCH (UID 1 FLAGS () BODY[]<0> {10}\r\nabc", ConnectionLost),
        (b"hello?\r\n", ProtocolError),
        (b"ZZZ99 OK never asked\r\n", ProtocolError),
    ],
)
async def test_whatever_ends_the_connection_fails_all_waiters_at_once(
    scripted_imap: Serve, ending: bytes, error: type[ImapError]
) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.expect("UID FETCH .*")
        session.send(ending)
        if error is ProtocolError:
            session.until_closed()  # by the client

    connection = await opened(scripted_imap(script))
    failures = await waiters(connection)
    assert {type(failure) for failure in failures} == {error}
    assert len({id(failure) for failure in failures}) == len(failures)  # each has a traceback of its own
    assert connection.closed


async def test_kill_fails_all_waiters_at_once(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.until_closed()

    connection = await opened(scripted_imap(script))
    asyncio.get_running_loop().call_later(0.05, connection.kill)
    assert {type(failure) for failure in await waiters(connection)} == {ConnectionLost}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_server_that_falls_silent_fails_all_waiters_by_the_deadline(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.expect("UID FETCH .*")
        session.send("* 1 FETCH (UID 1 ")
        session.until_closed()

    connection = await opened(scripted_imap(script), command_timeout=0.3)
    began = time.monotonic()
    failures = await waiters(connection)
    assert 0.2 < time.monotonic() - began < 5
    assert all("no answer to UID FETCH within 0.3 s" in str(failure) for failure in failures)


async def test_a_slow_server_that_goes_on_sending_is_not_silent(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.expect("UID FETCH .*")
        for char in message(1, "x" * 20) + "\r\n":
            session.send(char)
            time.sleep(0.01)
        session.say("TAG OK")
        session.until_closed()

    connection = await opened(scripted_imap(script), command_timeout=0.3)
    assert [found.body for found in await every(connection.uid_fetch_messages("1", limit=99))] == [b"x" * 20]
    connection.kill()


async def test_a_flood_of_untagged_responses_cannot_grow_our_memory(
    scripted_imap: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncer.imap.protocol, "MAX_UNTAGGED", 1000)

    def script(session: Session) -> None:
        session.begin()
        session.expect("NOOP")
        session.send("* OK and on\r\n" * 1001)
        session.until_closed()

    connection = await opened(scripted_imap(script))
    with pytest.raises(ProtocolError, match="1000 untagged"):
        await connection.noop()


async def test_a_command_of_aioimaplibs_own_is_refused_as_its_repr_shows_its_arguments(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        assert session.until_closed() == b""

    connection = await opened(scripted_imap(script))
    with pytest.raises(ImapError, match="ImapConnection") as caught:
        await connection._protocol.capability()
    assert not connection.closed
    assert "CAPABILITY" in str(caught.value)
    connection.kill()
