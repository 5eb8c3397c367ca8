"""The same connection inside a trio_asyncio loop, as the syncer runs it: trio's deadlines and cancels hold."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial

import pytest
import trio
from pydantic import SecretStr

from mailcore.aio import aio, open_loop
from mailcore.errors import AuthenticationFailed, ConnectionLost, ImapError
from mailcore.imap.response import Exists
from mailcore.imap.sequence import UidSet
from mailcore.imap.session import State
from syncer.imap.connection import Endpoint, FetchedMessage, ImapConnection
from tests.support.dovecot import Dovecot
from tests.support.scripted_imap import ScriptedImap, Session

Serve = Callable[..., ScriptedImap]
pytestmark = pytest.mark.trio


def endpoint_of(dovecot: Dovecot, way: str) -> Endpoint:
    return Endpoint(
        dovecot.host,
        dovecot.tls_port if way == "tls" else dovecot.port,
        dovecot.user,
        SecretStr(dovecot.password),
        use_ssl=way == "tls",
        starttls=way == "starttls",
        ca_file=dovecot.ca_file,
    )


async def every(connection: ImapConnection, uids: UidSet) -> list[FetchedMessage]:
    return [found async for found in connection.uid_fetch_messages(uids, limit=1 << 20)]


async def in_thread(function: Callable[..., object], *arguments: object) -> None:
    await trio.to_thread.run_sync(function, *arguments)


@pytest.mark.parametrize("way", ["plain", "tls", "starttls"])
async def test_everything_works_from_trio(dovecot: Dovecot, way: str) -> None:
    bodies = [b"x: %d\r\n\r\n" % n + b"a" * 50_000 for n in range(200)]
    await trio.to_thread.run_sync(dovecot.append_many, bodies)
    async with open_loop():
        connection = await aio(ImapConnection.open, endpoint_of(dovecot, way))
        await aio(connection.select, "INBOX")
        uids = await aio(connection.uid_search)
        found: list[FetchedMessage] = []

        async def fetch(part: UidSet) -> None:
            found.extend(await aio(every, connection, part))

        async with trio.open_nursery() as nursery:
            for part in uids.chunks(50):
                nursery.start_soon(fetch, part)
        assert [message.body for message in sorted(found, key=lambda message: message.uid)] == bodies
        assert await aio(connection.uid_fetch_part, 1, 5, 3) == bodies[0][5:8]

        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_thread, dovecot.append, b"x: y\r\n\r\n")
            push = await aio(partial(connection.idle, refresh=20))
        assert Exists(201) in push.hints
        await aio(connection.logout)
        assert connection.closed


async def test_a_trio_deadline_ends_an_idle_and_the_connection_stays_usable(dovecot: Dovecot) -> None:
    async with open_loop():
        connection = await aio(ImapConnection.open, endpoint_of(dovecot, "plain"))
        await aio(connection.select, "INBOX")
        for _ in range(20):
            with trio.move_on_after(0.05) as scope:
                await aio(partial(connection.idle, refresh=60))
            assert scope.cancelled_caught
        await aio(connection.noop)
        assert connection.state is State.SELECTED
        connection.kill()


async def test_a_trio_deadline_ends_an_open_that_hangs_and_leaves_nothing(scripted_imap: Serve) -> None:
    came, left = threading.Event(), threading.Event()

    def script(session: Session) -> None:
        came.set()
        session.until_closed()  # no greeting ever
        left.set()

    for use_ssl in (False, True):
        came.clear()
        left.clear()
        endpoint = scripted_imap(script).endpoint(use_ssl=use_ssl)
        async with open_loop() as loop, trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:

                async def end_it(scope: trio.CancelScope = scope) -> None:
                    assert await trio.to_thread.run_sync(came.wait, 10)
                    scope.deadline = trio.current_time() + 0.1

                nursery.start_soon(end_it)
                await aio(ImapConnection.open, endpoint)
            assert scope.cancelled_caught
            assert await trio.to_thread.run_sync(left.wait, 10)
            assert not asyncio.all_tasks(loop)


async def test_kill_from_trio_wakes_whoever_waits(scripted_imap: Serve) -> None:
    accepted = threading.Event()

    def script(session: Session) -> None:
        accepted.set()
        session.until_closed()

    failures: list[ImapError] = []

    async def start(connection: ImapConnection) -> None:
        try:
            await aio(connection.start)
        except ImapError as error:
            failures.append(error)

    async with open_loop():

        async def make() -> ImapConnection:
            return ImapConnection(scripted_imap(script).endpoint())

        connection = await aio(make)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(start, connection)
            assert await trio.to_thread.run_sync(accepted.wait, 10)
            connection.kill()
    assert [type(error) for error in failures] == [ConnectionLost]


async def test_errors_cross_as_they_are_and_the_loop_survives_them(dovecot: Dovecot, scripted_imap: Serve) -> None:
    def bye(session: Session) -> None:
        session.say("* BYE go away")

    def gibberish(session: Session) -> None:
        session.begin()
        session.idle()
        session.send(b"\xff\x00\r\n* 9 FETCH (((\r\n")
        session.until_closed()

    async with open_loop():
        with pytest.raises(ConnectionLost, match="go away"):
            await aio(ImapConnection.open, scripted_imap(bye).endpoint())
        connection = await aio(ImapConnection.open, scripted_imap(gibberish).endpoint())
        await aio(connection.select, "INBOX")
        with pytest.raises(ImapError):
            await aio(partial(connection.idle, refresh=60))
        connection = await aio(ImapConnection.open, endpoint_of(dovecot, "plain"))
        await aio(connection.select, "INBOX")
        # Last, as Dovecot makes whoever comes after a failed login wait.
        wrong = Endpoint(dovecot.host, dovecot.port, "anna", SecretStr("wrong"), use_ssl=False)
        with pytest.raises(AuthenticationFailed):
            await aio(ImapConnection.open, wrong)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_thread, dovecot.stop)
            with pytest.raises(ConnectionLost):
                await aio(partial(connection.idle, refresh=60))
