"""One mail that ends the connection, is never answered or cannot be read: the others are stored, it alone is refused.

A real Dovecot ends the connection at a mail whose size it has wrong; others say BYE, fall silent, or answer with what
nobody can parse. Who else was asked for by the same command is not to blame.
"""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from tests.support.hostile_imap import HangUp, HostileImap, Refused, Session, Silence, mail
from tests.support.pipeline import Mirror, Pipeline, present

pytestmark = pytest.mark.trio


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


def poisoned(*poison: int, count: int, kind: str = "hang up") -> Poisoned:
    server = Poisoned(count=count)
    server.poison, server.kind = frozenset(poison), kind
    return server


async def isolated(pipeline: Pipeline, server: Poisoned, within: float = 25) -> None:
    """All but the culprits are stored; each culprit is told of and waits for about a minute, and is not asked for."""
    await pipeline.stored(*present(server.uids, *server.poison), within=within)
    for uid in server.poison:
        await pipeline.told(uid)
        entry = pipeline.refused()[uid]
        assert entry["tries"] >= 1
        pause = datetime.fromisoformat(entry["next_try"]) - datetime.fromisoformat(entry["since"])
        assert 30 <= pause.total_seconds() <= 24 * 3600, "asked for again after a minute, at the soonest"
    assert not pipeline.expunged()


@pytest.mark.parametrize(
    "poison", [(1,), (10,), (30,), (10, 11), (1, 30), (3, 17, 29)], ids=lambda uids: "-".join(map(str, uids))
)
async def test_the_others_are_stored_wherever_the_poison_is(mirror: Mirror, poison: tuple[int, ...]) -> None:
    server = poisoned(*poison, count=30)
    async with mirror(server) as pipeline:
        await isolated(pipeline, server)


@pytest.mark.parametrize("kind", ["BYE", "no message", "garbage", "half a body"])
async def test_the_others_are_stored_however_the_poison_kills(mirror: Mirror, kind: str) -> None:
    server = poisoned(5, count=12, kind=kind)
    async with mirror(server) as pipeline:
        await isolated(pipeline, server)


async def test_the_others_are_stored_when_one_is_never_answered(mirror: Mirror) -> None:
    server = poisoned(3, count=8, kind="silence")
    async with mirror(server, command_timeout=1.0) as pipeline:
        await isolated(pipeline, server, within=40)


async def test_the_newest_are_stored_though_one_of_them_is_poison(mirror: Mirror) -> None:
    server = poisoned(590, count=600)
    async with mirror(server) as pipeline:
        await isolated(pipeline, server)
        assert len(server.asked("CONNECT")) <= 20, "halving, not one connection for each neighbour"


async def test_a_mailbox_of_nothing_but_poison_is_told_of_and_does_not_storm(mirror: Mirror) -> None:
    server = poisoned(1, 2, 3, count=3)
    async with mirror(server) as pipeline:
        await isolated(pipeline, server)
        began = time.monotonic()
        await pipeline.stays(lambda: len(server.asked("CONNECT", since=began)) <= 1, "hardly any connection", 4)


async def test_what_is_refused_is_never_again_asked_for_in_company(mirror: Mirror) -> None:
    server = poisoned(4, count=8)
    async with mirror(server) as pipeline:
        await isolated(pipeline, server)
        began = time.monotonic()
        fresh = server.deliver(mail(9), mail(10))
        await pipeline.stored(*present(server.uids, 4), within=5)
        server.add(mail(11))
        await pipeline.sync(within=5)
        await pipeline.stored(*present(server.uids, 4), within=5)
        asked = server.asked(since=began, body=True)
        assert not [one for one in asked if 4 in one.uids and len(one.uids) > 1]
        assert {uid for one in asked for uid in one.uids} >= {*fresh}


async def test_a_large_poison_stands_alone(mirror: Mirror) -> None:
    server = poisoned(21, count=20)
    server.add(mail(21, 9 << 20))
    async with mirror(server) as pipeline:
        await isolated(pipeline, server)


async def test_a_large_mail_whose_second_part_kills_stands_alone(mirror: Mirror) -> None:
    class Torn(Poisoned):
        def give(self, session: Session, number: int, uid: int, items: str) -> list[bytes]:
            if uid in self.poison and "<0." in items:
                return HostileImap.give(self, session, number, uid, items)
            return super().give(session, number, uid, items)

    server = Torn(*(mail(number) for number in range(1, 6)), mail(6, 9 << 20), mail(7))
    server.poison = frozenset((6,))
    async with mirror(server) as pipeline:
        await isolated(pipeline, server)


@pytest.mark.parametrize("kind", ["hang up", "no message"])
async def test_good_mail_in_one_push_with_a_bad_one_is_stored(mirror: Mirror, kind: str) -> None:
    server = poisoned(4, 7, count=3, kind=kind)
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 3)
        await pipeline.idling()
        server.deliver(mail(4), mail(5))
        await pipeline.stored(1, 2, 3, 5)
        server.deliver(mail(6), mail(7))
        await isolated(pipeline, server)
        server.deliver(mail(8))
        await isolated(pipeline, server, within=5)


async def test_a_mail_whose_size_kills_stands_alone(mirror: Mirror) -> None:
    class Facts(Poisoned):
        def facts(self, uid: int, items: str) -> list[bytes]:
            if uid in self.poison and "SIZE" in items:
                raise HangUp
            return super().facts(uid, items)

    server = Facts(count=12)
    server.poison = frozenset((5,))
    async with mirror(server) as pipeline:
        await isolated(pipeline, server)


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


async def test_what_was_refused_is_stored_when_it_is_given_at_last(mirror: Mirror) -> None:
    """The only test here that waits for the minute."""
    server = poisoned(2, count=3)
    async with mirror(server) as pipeline:
        await isolated(pipeline, server)
        server.poison = frozenset()
        await pipeline.stored(1, 2, 3, within=80)
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well again")
        assert not pipeline.refused()
