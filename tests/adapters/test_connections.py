"""How connections are opened: one try for all who wait, a pace for each host, room made by those that rest."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

import pytest
import trio
from pydantic import SecretStr
from trio.testing import MockClock, wait_all_tasks_blocked

from mailcore import aio as bridge
from mailcore.errors import AuthenticationFailed, CommandFailed, ConnectionLost, ImapError, ProtocolError, Scope
from mailcore.settings import Account
from mailcore.sync.admission import AT_ONCE, TROUBLED_AT_ONCE
from syncer.connections import UNUSED, Connections
from syncer.imap.connection import Endpoint, ImapConnection
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


class _Steps(trio.abc.Instrument):
    """How often any task was run."""

    count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


async def test_a_thousand_who_wait_wake_nobody_but_the_next(autojump_clock: MockClock) -> None:
    number, steps = 1000, _Steps()
    server = Server(10 * number, rate=100)
    trio.lowlevel.add_instrument(steps)

    async def come(place: int) -> None:
        (await server.permit(str(place), live=place % 2 == 0, troubled=False)).logged_in()

    async with trio.open_nursery() as nursery:
        for place in range(number):
            nursery.start_soon(come, place)

    assert number <= steps.count <= 8 * number, "each is woken a few times; all by each other would be a million"


async def test_logins_that_hang_are_few_at_once_and_leave_room_for_accounts_that_are_not_in_trouble(
    autojump_clock: MockClock,
) -> None:
    server = Server(10_000, rate=math.inf)
    hanging: list[Permit] = []
    healthy: list[Permit] = []

    async def come(permits: list[Permit], name: str, troubled: bool) -> None:
        permits.append(await server.permit(name, live=False, troubled=troubled))

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(come, hanging, f"broken {number}", True)
        await wait_all_tasks_blocked()
        assert len(hanging) == TROUBLED_AT_ONCE
        for number in range(100):
            nursery.start_soon(come, healthy, f"sound {number}", False)
        await wait_all_tasks_blocked()
        assert len(healthy) == AT_ONCE - TROUBLED_AT_ONCE
        healthy[0].logged_in()
        healthy[0].logged_in()
        hanging[0].leave()
        await wait_all_tasks_blocked()
        assert len(healthy) == AT_ONCE - TROUBLED_AT_ONCE + 2, "one for each login that ended"
        assert len(hanging) == TROUBLED_AT_ONCE
        nursery.cancel_scope.cancel()


async def test_who_waits_to_idle_is_told_once_that_no_more_may(autojump_clock: MockClock) -> None:
    server, told = Server(4, rate=1000), Counter[str]()

    async def come(name: str) -> None:
        await server.permit(name, live=True, troubled=False, full=lambda: told.update([name]))

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(come, str(number))
        await trio.sleep(1)
        assert sorted(told.values()) == [1, 1, 1], "two of four may idle"
        nursery.start_soon(come, "late")
        await trio.sleep(1)
        assert told["late"] == 1
        assert max(told.values()) == 1
        nursery.cancel_scope.cancel()


async def test_what_looks_idles_afterwards_if_somebody_wants_to_idle(dovecot: Dovecot) -> None:
    idling: list[ImapConnection] = []
    async with bridge.open_loop():
        one = Connections(account(dovecot, "anna"), Server(50, rate=1000))

        async def idle() -> None:
            async with one.live(lambda _: None) as connection:
                idling.append(connection)
                assert connection.capabilities

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery, one.look() as looked:
                nursery.start_soon(idle)
                await wait_all_tasks_blocked()
                assert not idling
        assert idling == [looked]
        assert looked.closed, "logged out by whoever idled"


async def test_a_connection_that_nobody_needed_for_long_is_given_up(dovecot: Dovecot, mock_clock: MockClock) -> None:
    made: list[ImapConnection] = []

    async def look() -> None:
        async with one.look() as connection:
            made.append(connection)
            await until(lambda: len(made) == 2)

    async with bridge.open_loop():
        one = Connections(account(dovecot, "anna"), Server(50, rate=1000))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            nursery.start_soon(look)
        async with one.look():
            assert not any(connection.closed for connection in made)
            mock_clock.jump(UNUSED + 1)
        assert sorted(connection.closed for connection in made) == [False, True], "the one that was needed stays"
        await one.close()


class Pretended:
    """A connection without a server."""

    capabilities = frozenset(("IDLE",))
    closed = False

    def when_closed(self, tell: Callable[[], None]) -> None:
        self.tell = tell

    async def logout(self) -> None:
        self.kill()

    def kill(self) -> None:
        if not self.closed:
            self.closed = True
            self.tell()


@pytest.fixture
def crowded(dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch) -> Connections:
    """Of an account whose server allows four connections and tells so when a fifth logs in."""
    opened: list[Pretended] = []

    class Connection(Pretended):
        @classmethod
        async def open(cls, _: Endpoint) -> Connection:
            if sum(not one.closed for one in opened) >= 4:
                raise CommandFailed("login put off: [LIMIT] too many", code="LIMIT", scope=Scope.ACCOUNT)
            opened.append(one := cls())
            return one

    monkeypatch.setattr("syncer.login.ImapConnection", Connection)
    return Connections(account(dovecot, "anna"), Server(50, rate=math.inf))


async def test_who_comes_while_more_idle_than_the_server_allows_is_told_that_there_is_no_room(
    crowded: Connections, autojump_clock: MockClock
) -> None:
    told: list[str] = []

    async def idle() -> None:
        async with crowded.live(told.append):
            await trio.sleep_forever()

    async with bridge.open_loop(), trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(idle)
        await trio.sleep(1)
        with pytest.raises(CommandFailed, match="with 4 open"):
            async with crowded.look():
                pass
        assert not told
        nursery.start_soon(idle)
        await trio.sleep(1)

        assert told == ["all 4 connections that the server allows the account"]
        nursery.cancel_scope.cancel()


async def test_who_waited_to_idle_from_before_the_server_was_found_to_allow_fewer_gives_way(
    crowded: Connections, autojump_clock: MockClock
) -> None:
    first: list[ImapConnection] = []
    late: list[ImapConnection] = []
    enough = trio.Event()

    async def look() -> None:
        async with crowded.look():
            await enough.wait()

    async def idle(connections: list[ImapConnection]) -> None:
        async with crowded.live(lambda _: None) as connection:
            connections.append(connection)
            await trio.sleep_forever()

    async with bridge.open_loop(), trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(idle, first)
        await trio.sleep(1)
        nursery.start_soon(look)
        await trio.sleep(1)
        nursery.start_soon(idle, late)
        await trio.sleep(1)
        with pytest.raises(CommandFailed, match="with 4 open"):
            async with crowded.look():
                pass
        await trio.sleep(1)
        with pytest.raises(ConnectionLost):
            async with crowded.look():
                raise ConnectionLost("one that looked")
        enough.set()
        await trio.sleep(1)

        assert [connection.closed for connection in first] == [False, False, True]
        assert [connection.closed for connection in late] == [True]
        nursery.cancel_scope.cancel()


REFUSED = CommandFailed("UID FETCH refused: [LIMIT] slow down", code="LIMIT", scope=Scope.ACCOUNT)


async def test_while_the_account_is_refused_nobody_gets_a_connection_not_even_one_that_rests(
    dovecot: Dovecot, mock_clock: MockClock
) -> None:
    async with bridge.open_loop():
        one = Connections(account(dovecot, "anna"), Server(50, rate=math.inf))
        async with one.look() as connection:
            pass
        assert one.paused is None
        one.pause(REFUSED)

        paused = one.paused
        assert paused is not None
        assert paused.words == one.refused == str(REFUSED)
        left = paused.until - trio.current_time()
        assert 2.5 <= left <= 5
        assert abs((paused.until_at - datetime.now(UTC)).total_seconds() - left) < 1
        for refused in (one.look(), one.bulk(), one.live(lambda _: None)):
            with pytest.raises(ImapError, match="slow down") as caught:
                async with refused:
                    pass
            assert caught.value.scope is Scope.ACCOUNT
            assert caught.value.retry_after == pytest.approx(left, abs=0.1)

        mock_clock.jump(left)
        assert one.paused is None
        assert one.refused, "until a command has worked"
        async with one.look() as again:
            one.accepted()
        assert again is connection
        assert not one.refused
        await one.close()


async def test_after_a_refusal_one_at_a_time_tries_and_who_idles_comes_last(
    dovecot: Dovecot, mock_clock: MockClock
) -> None:
    inside: list[str] = []
    enough = trio.Event()

    async def come(name: str, way: AbstractAsyncContextManager[ImapConnection]) -> None:
        async with way:
            inside.append(name)
            await enough.wait()

    async with bridge.open_loop():
        one = Connections(account(dovecot, "anna"), Server(50, rate=math.inf))
        one.pause(REFUSED)
        assert one.paused is not None
        mock_clock.jump(5)
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(come, "live", one.live(lambda _: None))
                nursery.start_soon(come, "look", one.look())
                await until(lambda: bool(inside))
                nursery.start_soon(come, "another look", one.look())
                await wait_all_tasks_blocked()
                assert inside == ["look"]
                one.accepted()
                await until(lambda: inside == ["look", "another look"])
                enough.set()
        assert inside == ["look", "another look", "live"]
        await one.close()


async def test_who_waited_for_a_try_that_was_refused_is_told_and_asks_nothing(
    dovecot: Dovecot, mock_clock: MockClock
) -> None:
    told: list[ImapError] = []

    async def come(way: AbstractAsyncContextManager[ImapConnection]) -> None:
        with pytest.raises(ImapError) as caught:
            async with way:
                pass
        told.append(caught.value)

    async with bridge.open_loop():
        one = Connections(account(dovecot, "anna"), Server(50, rate=math.inf))
        one.pause(REFUSED)
        mock_clock.jump(5)
        async with trio.open_nursery() as nursery, one.look():
            nursery.start_soon(come, one.look())
            nursery.start_soon(come, one.live(lambda _: None))
            await wait_all_tasks_blocked()
            one.pause(REFUSED)
        assert [error.scope for error in told] == [Scope.ACCOUNT] * 2
        await one.close()


@pytest.mark.parametrize(
    "refusal",
    [
        CommandFailed("login put off: [LIMIT] too many", code="LIMIT", scope=Scope.ACCOUNT),
        CommandFailed("login put off", code="UNAVAILABLE", scope=Scope.ACCOUNT, retry_after=1.0),
        AuthenticationFailed("login refused"),
        ConnectionLost("the server said BYE: go away", scope=Scope.ACCOUNT),
        ProtocolError("the server did not begin with an IMAP greeting"),
        None,
    ],
    ids=lambda error: "every command" if error is None else type(error).__name__,
)
async def test_a_refused_account_makes_six_connections_a_minute_at_most_however_many_mailboxes_it_has(
    refusal: ImapError | None, dovecot: Dovecot, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`None`: the login works, and then every command is refused."""
    opened: list[float] = []

    class Connection(Pretended):
        @classmethod
        async def open(cls, _: Endpoint) -> Connection:
            opened.append(trio.current_time())
            if refusal is not None:
                raise refusal
            return cls()

    monkeypatch.setattr("syncer.login.ImapConnection", Connection)
    one = Connections(account(dovecot, "anna"), Server(50, rate=math.inf))

    async def mailbox(way: Callable[[], AbstractAsyncContextManager[ImapConnection]]) -> None:
        while True:
            try:
                async with way():
                    one.pause(REFUSED)
                    raise REFUSED
            except ImapError as error:
                await trio.sleep(max(0.5, error.retry_after or 0))

    async def somebody_in_a_hurry() -> None:
        while True:
            await trio.sleep(0.7)
            one.hurry()

    async with bridge.open_loop():
        with trio.move_on_after(600):
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(mailbox, one.look)
                    nursery.start_soon(mailbox, one.bulk)
                    nursery.start_soon(mailbox, lambda: one.live(lambda _: None))
                nursery.start_soon(somebody_in_a_hurry)

    assert len(opened) > (3 if refusal is not None else 0)  # a connection on which a command was refused goes on
    assert max(sum(began <= moment < began + 60 for moment in opened) for began in opened) <= 6


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await trio.lowlevel.checkpoint()


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
