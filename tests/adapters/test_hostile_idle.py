"""IDLE that is offered and not held: the mailbox is swept instead, on connections that stay, without a storm."""

from __future__ import annotations

import time

import pytest

from tests.support.hostile_imap import HangUp, HostileImap, Refused, Session, Silence, mail
from tests.support.pipeline import Mirror

pytestmark = pytest.mark.trio


class Restless(HostileImap):
    """IDLE ends by `kind`, always or from the `after`th on."""

    kind = "NO"
    after = 1

    def idle(self, session: Session) -> None:
        if len(self.asked("IDLE")) < self.after:
            super().idle(session)
            return
        match self.kind:
            case "NO":
                raise Refused("NO IDLE is not available")
            case "BAD":
                raise Refused("BAD unknown command IDLE")
            case "ended at once":
                session.say("+ idling")
                raise Refused("OK IDLE terminated")
            case "NO behind the continuation":
                session.say("+ idling")
                raise Refused("NO [UNAVAILABLE] no notifications now")
            case "OK without a continuation":
                raise Refused("OK IDLE terminated")
            case "hang up":
                raise HangUp("* BYE no IDLE here")
            case "silence":
                raise Silence
        raise AssertionError(self.kind)


def restless(kind: str, after: int = 1) -> Restless:
    server = Restless(count=3)
    server.kind, server.after = kind, after
    return server


@pytest.mark.parametrize("kind", ["NO", "BAD"])
async def test_where_idle_is_refused_the_sweep_finds_mail_on_a_connection_that_stays(mirror: Mirror, kind: str) -> None:
    server = restless(kind)
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 3)
        await pipeline.connection("polling", within=15)
        began = time.monotonic()
        await pipeline.stays(lambda: not server.asked("LOGIN", since=began), "no login", 4)
        assert (await pipeline.live()).connection == "polling"
        server.deliver(mail(4))
        await pipeline.stored(1, 2, 3, 4, within=4)
        await pipeline.until(lambda: pipeline.status() == "ok", "the mailbox is well")
        assert len(server.asked("IDLE")) <= 4


@pytest.mark.parametrize("kind", ["ended at once", "OK without a continuation", "NO behind the continuation"])
async def test_an_idle_that_ends_at_once_is_not_asked_for_again_and_again(mirror: Mirror, kind: str) -> None:
    server = restless(kind)
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 3)
        began = time.monotonic()
        await pipeline.stays(lambda: len(server.asked("IDLE", since=began)) <= 6, "few IDLEs", 5)
        assert len(server.asked("CONNECT")) <= 6
        server.deliver(mail(4))
        await pipeline.stored(1, 2, 3, 4, within=4)
        await pipeline.until(lambda: pipeline.status() == "ok", "the mailbox is well")


@pytest.mark.parametrize("kind", ["NO", "ended at once", "hang up", "silence"])
async def test_an_idle_that_fails_later_loses_no_mail(mirror: Mirror, kind: str) -> None:
    server = restless(kind, after=3)
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 3)
        await pipeline.idling()
        for number in (4, 5, 6, 7):
            server.deliver(mail(number))
            await pipeline.stored(*range(1, number + 1), within=5)
        began = time.monotonic()
        await pipeline.stays(lambda: len(server.asked("CONNECT", since=began)) <= 4, "few connections", 4)


async def test_an_expunge_and_a_lower_uid_that_are_pushed_are_found_at_once(mirror: Mirror) -> None:
    """The counters are the same before and after: MESSAGES 3, UIDNEXT 100."""
    server = HostileImap(mail(1), mail(2))
    server.uidnext = 99
    server.add(mail(99))
    async with mirror(server, sync_interval=60) as pipeline:
        await pipeline.stored(1, 2, 99)
        await pipeline.idling()
        with server.lock:
            server.mails[50] = mail(50)
            server.expunge(2)
        await pipeline.stored(1, 50, 99, within=5)
