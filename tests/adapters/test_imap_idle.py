"""IDLE: hints come at once, none is lost whenever it comes, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

import syncer.imap.connection
from mailcore.errors import ConnectionLost, ImapError, ProtocolError, Scope
from mailcore.imap.response import Exists, Expunge, Fetch, Response, Vanished
from mailcore.imap.sequence import UidSet
from mailcore.imap.session import State
from syncer.imap.connection import Endpoint, IdleRefused, ImapConnection, Push
from tests.support.dovecot import Dovecot
from tests.support.programs import wait_until
from tests.support.scripted_imap import ScriptedImap, Session, message

Serve = Callable[..., ScriptedImap]
pytestmark = pytest.mark.asyncio


async def opened(server: ScriptedImap, **changes: object) -> ImapConnection:
    connection = await ImapConnection.open(server.endpoint(**changes))
    await connection.select("INBOX")
    return connection


async def until(connection: ImapConnection, state: State) -> None:
    await asyncio.to_thread(wait_until, lambda: connection.state is state, state.value)


async def test_dovecot_tells_of_mail_flags_and_expunges(dovecot: Dovecot) -> None:
    connection = await ImapConnection.open(
        Endpoint(dovecot.host, dovecot.port, dovecot.user, SecretStr(dovecot.password), use_ssl=False)
    )
    await connection.select("INBOX")
    expected: list[tuple[Callable[[], object], Callable[[Response], bool]]] = [
        (lambda: dovecot.append(b"x: y\r\n\r\n"), lambda hint: hint == Exists(1)),
        (
            lambda: dovecot.set_flags(1, "\\Seen"),
            lambda hint: isinstance(hint, Fetch) and "\\Seen" in (hint.flags or ()),
        ),
        (lambda: dovecot.expunge(1), lambda hint: hint == Expunge(1)),
    ]
    for act, is_it in expected:
        idling = asyncio.create_task(connection.idle(refresh=20))
        await until(connection, State.IDLING)
        before = datetime.now(UTC)
        await asyncio.to_thread(act)
        push = await idling
        while not any(is_it(hint) for hint in push.hints):  # each may take several looks of the server
            assert push.reason == "push"
            push = await connection.idle(refresh=20)
        assert push.at is not None
        assert before <= push.at <= datetime.now(UTC)
    assert await connection.idle(refresh=0.1) == Push((), "refresh", None)
    await connection.logout()


async def test_an_exists_in_one_segment_with_the_end_of_idle_is_kept(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin(exists=3)
        session.idle()
        assert session.line() == "DONE"
        session.say("* 4 EXISTS", "TAG OK idle done")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    push = await connection.idle(refresh=0.1)
    assert (push.hints, push.reason) == ((Exists(4),), "push")
    connection.kill()


async def test_one_behind_the_end_of_idle_is_kept_for_the_next(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin(exists=3)
        session.idle()
        assert session.line() == "DONE"
        session.say("TAG OK idle done", "* 4 EXISTS")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    hints = (await connection.idle(refresh=0.1)).hints  # there already if both came in one segment
    assert hints or (await connection.idle(refresh=10)).hints == (Exists(4),)
    assert hints in ((), (Exists(4),))
    connection.kill()


async def test_hints_between_and_during_commands_end_the_next_idle_without_a_command(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin(exists=3)
        session.answer("NOOP", "* 4 EXISTS", "* 2 EXPUNGE")
        session.answer(
            "UID FETCH .*",
            "* 5 EXISTS",
            message(1),
            "* VANISHED 7",
            "* 2 FETCH (FLAGS (\\Seen))",
            end="OK\r\n* 9 EXISTS",
        )
        # In one piece with the answer: what came later would find the client idling.
        session.answer("UID SEARCH .*", "* 1 EXPUNGE", end="OK\r\n* 10 EXISTS")
        assert session.until_closed() == b""  # neither IDLE nor DONE

    connection = await opened(scripted_imap(script))
    await connection.noop()
    assert [found.uid async for found in connection.uid_fetch_messages("1", limit=9)] == [1]
    await connection.uid_search()
    seen: list[Response] = []
    while Exists(10) not in seen:
        push = await connection.idle(refresh=10)
        assert push.reason == "push"
        seen += push.hints
    assert seen == [
        Exists(4),
        Expunge(2),
        Exists(5),
        Vanished(UidSet([7])),
        Fetch(2, flags=("\\Seen",)),
        Exists(9),
        Expunge(1),
        Exists(10),
    ]
    connection.kill()


async def test_an_exists_that_repeats_the_number_known_is_no_push(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin(exists=3)
        session.expect("IDLE")
        session.say("+ idling", "* 3 EXISTS", "* OK Still here")
        assert session.line() == "DONE"
        session.say("TAG OK")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    assert (await connection.idle(refresh=0.2)).reason == "refresh"
    connection.kill()


async def test_a_hint_before_the_continuation_waits_with_done_until_the_server_idles(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin(exists=3)
        session.expect("IDLE")
        session.say("* 4 EXISTS")
        session.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            session.line()  # no DONE yet: the server has not agreed
        session.socket.settimeout(10)
        session.say("+ idling")
        assert session.line() == "DONE"
        session.say("TAG OK")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    assert (await connection.idle(refresh=20)).hints == (Exists(4),)
    connection.kill()


async def test_interrupt_idle_ends_it_early_also_when_it_comes_first(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.idle()
        assert session.line() == "DONE"
        session.say("TAG OK")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    idling = asyncio.create_task(connection.idle(refresh=60))
    await until(connection, State.IDLING)
    connection.interrupt_idle()
    assert await idling == Push((), "interrupted", None)
    connection.interrupt_idle()
    assert await connection.idle(refresh=60) == Push((), "interrupted", None)
    connection.kill()


async def test_a_connection_closed_wakes_idle_at_once(scripted_imap: Serve) -> None:
    for continued in (True, False):

        def script(session: Session, continued: bool = continued) -> None:
            session.begin()
            session.expect("IDLE")
            if continued:
                session.say("+ idling")

        connection = await opened(scripted_imap(script))
        began = time.monotonic()
        with pytest.raises(ConnectionLost):
            await connection.idle(refresh=60)
        assert time.monotonic() - began < 5
        assert connection.closed


async def test_a_bye_wakes_idle_at_once_with_its_text(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.idle()
        session.say("* BYE [UNAVAILABLE] going down, retry after 30 seconds")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    with pytest.raises(ConnectionLost, match="going down") as caught:
        await connection.idle(refresh=60)
    assert caught.value.retry_after == 30


async def test_gibberish_wakes_idle_at_once(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.idle()
        session.send(b"\xff\xfe what\r\n")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    with pytest.raises(ProtocolError):
        await connection.idle(refresh=60)


async def test_done_that_is_not_answered_ends_by_its_deadline(
    scripted_imap: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncer.imap.connection, "DONE_DEADLINE", 0.2)
    for continued in (True, False):

        def script(session: Session, continued: bool = continued) -> None:
            session.begin()
            session.expect("IDLE")
            if continued:
                session.say("+ idling")
            session.until_closed()

        connection = await opened(scripted_imap(script))
        with pytest.raises(ConnectionLost, match="IDLE did not end"):
            await connection.idle(refresh=0.1)
        assert connection.closed


@pytest.mark.parametrize("end", ["NO not today", "BAD not today", "NO [LIMIT] not today"])
async def test_idle_refused_is_told_apart_and_the_connection_lives_on(scripted_imap: Serve, end: str) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.answer("IDLE", end=end)
        session.answer("NOOP")
        session.idle()
        assert session.line() == "DONE"
        session.say("TAG NO not today")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    with pytest.raises(IdleRefused, match="not today") as caught:
        await connection.idle(refresh=60)
    assert caught.value.scope is (Scope.ACCOUNT if "LIMIT" in end else Scope.MAILBOX)
    await connection.noop()
    with pytest.raises(IdleRefused, match="not today"):
        await connection.idle(refresh=0.1)
    connection.kill()


async def test_a_server_that_ends_idle_by_itself_wakes_it(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.idle()
        session.say("TAG OK enough")
        session.answer("NOOP")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    assert await connection.idle(refresh=60) == Push((), "ended", None)
    await connection.noop()
    connection.kill()


async def test_a_server_that_ends_idle_to_tell_of_mail_has_told_of_mail(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin(exists=3)
        session.idle()
        session.say("* 4 EXISTS", "TAG OK enough")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    push = await connection.idle(refresh=60)
    assert (push.hints, push.reason) == ((Exists(4),), "push")
    connection.kill()


async def test_a_cancelled_idle_leaves_the_connection_usable(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin(exists=3)
        session.idle()
        assert session.line() == "DONE"
        session.say("* 4 EXISTS", "TAG OK")
        session.answer("NOOP")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    idling = asyncio.create_task(connection.idle(refresh=60))
    await until(connection, State.IDLING)
    idling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await idling
    await connection.noop()
    assert (await connection.idle(refresh=60)).hints == (Exists(4),)
    connection.kill()


async def test_an_idle_that_was_never_sent_never_will_be(scripted_imap: Serve) -> None:
    ended = threading.Event()

    def script(session: Session) -> None:
        session.begin(exists=3)
        session.expect("UID FETCH .*")
        session.say("* 4 EXISTS")
        assert ended.wait(10)
        session.say("TAG OK")
        session.answer("NOOP")
        session.until_closed()

    connection = await opened(scripted_imap(script))
    stream = connection.uid_fetch_messages("1", limit=9)  # in flight, so IDLE must wait for it
    assert (await connection.idle(refresh=10)).hints == (Exists(4),)
    ended.set()
    await connection.noop()
    assert [found async for found in stream] == []
    connection.kill()


async def test_kill_wakes_idle(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.idle()
        session.until_closed()

    connection = await opened(scripted_imap(script))
    idling = asyncio.create_task(connection.idle(refresh=60))
    await until(connection, State.IDLING)
    connection.kill()
    with pytest.raises(ConnectionLost, match="ended by us"):
        await idling
    with pytest.raises(ImapError):
        await connection.idle(refresh=60)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_quiet_idle_is_no_silence(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.idle()
        assert session.line() == "DONE"
        session.say("TAG OK")
        session.until_closed()

    connection = await opened(scripted_imap(script), command_timeout=0.1)
    assert (await connection.idle(refresh=0.5)).reason == "refresh"
    connection.kill()
