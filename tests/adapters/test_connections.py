"""How connections are opened: one try for all who wait, a pace for each host, room made by those that rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from pydantic import SecretStr
from trio.testing import MockClock

from mailcore import aio as bridge
from mailcore.errors import ConnectionLost, ImapError
from mailcore.settings import Account
from syncer.connections import Connections
from syncer.imap.connection import Endpoint
from syncer.login import Logins
from syncer.server import Permit, Server, Servers
from tests.support.dovecot import Dovecot
from tests.support.scripted_imap import ScriptedImap, Session

pytestmark = pytest.mark.trio
Serve = Callable[..., ScriptedImap]


async def test_many_accounts_at_one_host_do_not_log_in_in_the_same_second(autojump_clock: MockClock) -> None:
    server = Server(200, rate=5)
    sat: list[float] = []

    async def come(name: str) -> None:
        await server.permit(name, live=False, troubled=False)
        sat.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(come, f"account {number}")

    assert len(sat) == 50
    assert max(sum(began <= moment < began + 1 for moment in sat) for began in sat) <= 8
    assert 9 < sat[-1] - sat[0] < 10, "three at once, then five a second"


async def test_another_host_has_a_pace_and_places_of_its_own(autojump_clock: MockClock) -> None:
    servers = Servers(3, rate=0.001)
    slow, other = (Endpoint(host=name, port=993, user="a", password=SecretStr("x")) for name in ("slow", "other"))
    assert servers.of(slow) is servers.of(Endpoint(host="SLOW", port=993, user="b", password=SecretStr("x")))
    for number in range(3):
        await servers.of(slow).permit(str(number), live=False, troubled=False)

    began = trio.current_time()
    await servers.of(other).permit("a", live=False, troubled=False)

    assert trio.current_time() == began


async def test_who_gives_up_waiting_leaves_the_place_to_the_next(autojump_clock: MockClock) -> None:
    server = Server(3, rate=1000)
    taken = [await server.permit("greedy", live=False, troubled=False) for _ in range(3)]
    permits: list[Permit] = []

    async def come(name: str) -> None:
        permits.append(await server.permit(name, live=False, troubled=False))

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(1):
            await come("impatient")
        nursery.start_soon(come, "patient")
        await trio.sleep(1)
        assert not permits
        taken[0].leave()
        taken[0].leave()

    assert [permit.account for permit in permits] == ["patient"]
    with trio.move_on_after(1) as scope:
        await come("one too many")
    assert scope.cancelled_caught, "a permit is left once, however often one says so"


async def test_a_server_that_says_nothing_costs_one_deadline_for_all_who_wait(scripted_imap: Serve) -> None:
    greeted: list[Session] = []

    def script(session: Session) -> None:
        greeted.append(session)
        session.until_closed()

    server = scripted_imap(script)
    errors: list[ImapError] = []
    async with bridge.open_loop():
        logins = Logins("anna", server.endpoint(connect_timeout=0.5), Server(50, rate=1000))

        async def come(live: bool) -> None:
            with pytest.raises(ConnectionLost) as caught:
                await (logins.to_idle(lambda: None) if live else logins.to_look())
            errors.append(caught.value)

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(come, number % 2 == 0)
        assert len(greeted) <= 2
        assert len({id(error) for error in errors}) == 20, "each its own: a traceback is not shared"
        assert {str(error) for error in errors} == {str(errors[0])}

        await come(False)  # who comes later tries again
        assert len(greeted) <= 3


async def test_whoever_waits_while_somebody_gets_in_gets_in_too(dovecot: Dovecot) -> None:
    async with bridge.open_loop():
        logins = Logins("anna", endpoint(dovecot), Server(50, rate=1000))
        made = []

        async def come() -> None:
            made.append(await logins.to_look())

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(come)
        assert len(made) == 5
        for connection in made:
            connection.kill()


async def test_a_connection_that_rests_makes_room_for_another_account(dovecot: Dovecot) -> None:
    async with bridge.open_loop():
        server = Server(3, rate=1000)
        every = [Connections(account(dovecot, name), server) for name in ("anna", "bert", "carl", "dora")]
        for one in every[:3]:
            async with one.look() as connection:
                assert connection.capabilities
        with trio.fail_after(10):
            async with every[3].look() as connection, every[0].look() as another:
                assert not connection.closed
                assert not another.closed
        with trio.fail_after(10):
            for one in every:
                async with one.look() as connection:
                    assert not connection.closed
        for one in every:
            await one.close()
        for name in ("anna", "bert", "carl"):
            await server.permit(name, live=False, troubled=False)  # every place was given back


async def test_idling_never_takes_the_last_places(dovecot: Dovecot, autojump_clock: MockClock) -> None:
    server = Server(6, rate=1000)
    for number in range(4):
        await server.permit(str(number), live=True, troubled=False)
    assert server.full_for_live

    with trio.move_on_after(5) as scope:
        await server.permit("one more", live=True, troubled=False)
    assert scope.cancelled_caught

    await server.permit("one that looks", live=False, troubled=False)


def endpoint(dovecot: Dovecot) -> Endpoint:
    return Endpoint.of(account(dovecot, dovecot.user))


def account(dovecot: Dovecot, user: str) -> Account:
    return Account(
        name=user,
        host=dovecot.host,
        port=dovecot.port,
        user=user,
        password=SecretStr(dovecot.password),
        use_ssl=False,
    )
