"""One mail that ends the connection, is never answered or cannot be read: the others are stored, it alone is refused.

A real Dovecot ends the connection at a mail whose size it has wrong; others say BYE, fall silent, or answer with what
nobody can parse. Who else was asked for by the same command is not to blame.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final

import pytest

from mailcore.settings import DEFAULT_ACCOUNT
from tests.support.hostile_imap import HangUp, HostileImap, Refused, Session, Silence, mail
from tests.support.pipeline import Mirror, Pipeline, present

pytestmark = [pytest.mark.trio, pytest.mark.timeout(240)]
INTERVAL: Final = 75.0  # seconds; others are stored within one interval of a minute, whatever the pauses between tries


class Poisoned(HostileImap):
    """Whoever is given the body of one of `poison` gets `do` instead."""

    poison: frozenset[int] = frozenset()
    kind = "hang up"

    def give(self, session: Session, number: int, uid: int, items: str) -> list[bytes]:
        if uid not in self.poison or "BODY" not in items:
            return super().give(session, number, uid, items)
        match self.kind:
            case "hang up":
                raise HangUp
            case "BYE":
                raise HangUp("* BYE Internal error occurred. Refer to server log for more information.")
            case "no message":
                return [b"* 0 FETCH (UID %d FLAGS (\\Seen))" % uid]
            case "garbage":
                return [b"* %d FETCH (UID %d BODY[] (((" % (number, uid)]
            case "half a body":
                whole = b" ".join((*self.facts(uid, items), *self.body(uid, items)))
                session.socket.sendall(b"* %d FETCH (%s" % (number, whole[: -len(self.mails[uid]) // 2]))
                raise HangUp
            case "silence":
                raise Silence
        raise AssertionError(self.kind)


def poisoned(*poison: int, count: int, kind: str = "hang up", host: int = 1) -> Poisoned:
    server = Poisoned(count=count, host=f"127.0.0.{host}")
    server.poison, server.kind = frozenset(poison), kind
    return server


async def isolated(
    pipeline: Pipeline, server: Poisoned, account: str = DEFAULT_ACCOUNT, within: float = INTERVAL
) -> None:
    """All but the culprits are stored; each culprit is told of and waits for about a minute, and is not asked for."""
    await pipeline.stored(*present(server.uids, *server.poison), account=account, within=within)
    for uid in server.poison:
        await pipeline.told(uid, account, within)
        entry = pipeline.refused(account)[uid]
        assert entry["tries"] >= 1
        pause = datetime.fromisoformat(entry["next_try"]) - datetime.fromisoformat(entry["since"])
        assert 30 <= pause.total_seconds() <= 24 * 3600, "asked for again after a minute, at the soonest"
    assert not pipeline.expunged(account)


@pytest.mark.invariant("I3", "I5")
async def test_the_others_are_stored_wherever_the_poison_is(mirror: Mirror) -> None:
    places = {
        "first": (1,),
        "middle": (10,),
        "last": (30,),
        "adjacent": (10, 11),
        "ends": (1, 30),
        "three": (3, 17, 29),
    }
    servers = {name: poisoned(*uids, count=30, host=2 + at) for at, (name, uids) in enumerate(places.items())}
    async with mirror(servers) as pipeline:
        for name, server in servers.items():
            await isolated(pipeline, server, name)


@pytest.mark.invariant("I5")
async def test_the_others_are_stored_however_the_poison_kills(mirror: Mirror) -> None:
    kinds = ("BYE", "no message", "garbage", "half a body")
    servers = {kind: poisoned(5, count=12, kind=kind, host=2 + at) for at, kind in enumerate(kinds)}
    async with mirror(servers) as pipeline:
        for kind, server in servers.items():
            await isolated(pipeline, server, kind)


async def test_the_others_are_stored_when_one_is_never_answered(mirror: Mirror) -> None:
    server = poisoned(3, count=8, kind="silence")
    async with mirror(server, command_timeout=1.0) as pipeline:
        await isolated(pipeline, server)


async def test_the_newest_are_stored_though_one_of_them_is_poison(mirror: Mirror) -> None:
    server = poisoned(590, count=600)
    async with mirror(server) as pipeline:
        await isolated(pipeline, server)
        assert len(server.asked("CONNECT")) <= 20, "halving, not one connection for each neighbour"


async def test_a_mailbox_of_nothing_but_poison_is_told_of_and_does_not_storm(mirror: Mirror) -> None:
    server = poisoned(1, 2, 3, 4, 5, 6, count=6)
    async with mirror(server) as pipeline:
        await pipeline.told(within=INTERVAL)
        assert "closed" in await pipeline.words(), "and why"
        began = time.monotonic()
        await pipeline.stays(lambda: len(server.asked("CONNECT", since=began)) <= 1, "hardly any connection", 4)


async def test_what_is_refused_is_never_again_asked_for_in_company(mirror: Mirror) -> None:
    server = poisoned(4, count=8)
    async with mirror(server) as pipeline:
        await isolated(pipeline, server)
        began = time.monotonic()
        fresh = server.deliver(mail(9), mail(10))
        await pipeline.stored(*present(server.uids, 4))
        server.add(mail(11))
        await pipeline.sync(within=5)
        await pipeline.stored(*present(server.uids, 4))
        asked = server.asked(since=began, body=True)
        assert not [one for one in asked if 4 in one.uids and len(one.uids) > 1]
        assert {uid for one in asked for uid in one.uids} >= {*fresh}


class Torn(Poisoned):
    """Gives the beginning of a large mail, and dies of its second part."""

    def give(self, session: Session, number: int, uid: int, items: str) -> list[bytes]:
        if uid in self.poison and "<0." in items:
            return HostileImap.give(self, session, number, uid, items)
        return super().give(session, number, uid, items)


class Unweighable(Poisoned):
    """Dies of RFC822.SIZE already."""

    def facts(self, uid: int, items: str) -> list[bytes]:
        if uid in self.poison and "SIZE" in items:
            raise HangUp
        return super().facts(uid, items)


async def test_a_large_poison_and_one_that_kills_by_its_size_alone_stand_alone(mirror: Mirror) -> None:
    large, torn = poisoned(11, count=10, host=2), Torn(count=5, host="127.0.0.3")
    for server in (large, torn):
        server.add(mail(server.uidnext, 9 << 20), mail(server.uidnext + 1))
    torn.poison = frozenset((6,))
    unweighable = Unweighable(count=12, host="127.0.0.4")
    unweighable.poison = frozenset((5,))
    servers = {"large": large, "torn": torn, "unweighable": unweighable}
    async with mirror(servers) as pipeline:
        for name, server in servers.items():
            await isolated(pipeline, server, name)


async def test_good_mail_in_one_push_with_a_bad_one_is_stored(mirror: Mirror) -> None:
    kinds = ("hang up", "no message", "BYE")
    servers = {kind: poisoned(4, 7, count=3, kind=kind, host=2 + at) for at, kind in enumerate(kinds)}
    async with mirror(servers) as pipeline:
        for kind, server in servers.items():
            await pipeline.stored(1, 2, 3, account=kind)
            await pipeline.idling(kind)
            server.deliver(mail(4), mail(5))
        for kind in servers:
            await pipeline.stored(1, 2, 3, 5, account=kind, within=INTERVAL)
        for server in servers.values():
            server.deliver(mail(6), mail(7))
        for kind, server in servers.items():
            await isolated(pipeline, server, kind)
        for kind, server in servers.items():
            await pipeline.idling(kind, within=INTERVAL)
            server.deliver(mail(8))
            await isolated(pipeline, server, kind, within=10)


async def test_poison_that_is_expunged_is_refused_no_longer(mirror: Mirror) -> None:
    server = poisoned(2, count=4)
    async with mirror(server) as pipeline:
        await isolated(pipeline, server)
        server.expunge(2)
        await pipeline.until(lambda: pipeline.status() == "ok", "all that is listed is stored")
        assert not pipeline.refused()


async def test_one_refused_mail_is_asked_for_more_and_more_seldom(mirror: Mirror) -> None:
    class Refusing(HostileImap):
        def fetch(self, session: Session, uids: list[int], items: str) -> None:
            if 6 in uids and "BODY" in items:
                raise Refused("NO [SERVERBUG] Internal error occurred. Refer to server log for more information.")

    server = Refusing(count=5)
    async with mirror(server, sync_interval=60) as pipeline:
        await pipeline.stored(1, 2, 3, 4, 5)
        await pipeline.idling()
        server.deliver(mail(6))
        await pipeline.told(6)
        began, lines = time.monotonic(), len(pipeline.log.records)
        await pipeline.stays(lambda: len(server.asked(since=began)) <= 6, "hardly a command", 5)
        assert len(pipeline.log.records) - lines <= 5
        server.deliver(mail(7))
        await pipeline.stored(1, 2, 3, 4, 5, 7, within=5)
        assert "SERVERBUG" in pipeline.refused()[6]["reason"]


async def test_what_was_refused_is_stored_when_it_is_given_at_last(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailcore.sync.mailbox.REFUSED_FIRST", 8.0)
    server = poisoned(2, count=3)
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 3)
        await pipeline.told(2)
        server.poison = frozenset()
        await pipeline.stored(1, 2, 3, within=30)
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well again")
        assert not pipeline.refused()
