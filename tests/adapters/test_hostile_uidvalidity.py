"""UIDVALIDITY is 1 … 2³²−1 (RFC 9051 §9, nz-number), the same on every connection, and may change at any moment.

A value that cannot be is never written down; a new one is noticed where mail is pushed, too.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

import pytest

from mailcore.events.thin import Reset
from tests.support.hostile_imap import Counters, HostileImap, Session, mail
from tests.support.pipeline import NOT_WELL, Mirror, Pipeline

pytestmark = pytest.mark.trio


class Disagreeing(HostileImap):
    """`wrong` many SELECTs tell `value` for UIDVALIDITY; STATUS does as well with `everywhere`."""

    value: int | None = 0
    wrong = 0
    everywhere = False

    def counters(self, session: Session, command: str) -> Counters:
        told = super().counters(session, command)
        if self.wrong and (command == "SELECT" or self.everywhere):
            self.wrong -= command == "SELECT"
            return replace(told, uidvalidity=self.value)
        return told


def disagreeing(value: int | None, *, wrong: int, count: int = 5, everywhere: bool = False) -> Disagreeing:
    server = Disagreeing(count=count)
    server.value, server.wrong, server.everywhere = value, wrong, everywhere
    return server


def subjects(count: int) -> list[str]:
    return sorted(f"mail {number}" for number in range(1, count + 1))


def doubled(pipeline: Pipeline) -> list[str]:
    """Subjects of more than one present row."""
    return [subject for subject, rows in Counter(pipeline.subjects()).items() if rows > 1]


@pytest.mark.parametrize("value", [99_999_999_999, 4_294_967_296, 0, None], ids=str)
async def test_an_impossible_value_told_twice_is_forgotten(mirror: Mirror, value: int | None) -> None:
    server = disagreeing(value, wrong=2)
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 3, 4, 5, within=20)
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")
        assert pipeline.state()["uidvalidity"] == server.uidvalidity
        assert not pipeline.log.tracebacks()


@pytest.mark.parametrize("value", [99_999_999_999, 0, None], ids=str)
async def test_an_impossible_value_told_once_a_mailbox_is_known_expunges_nothing(
    mirror: Mirror, value: int | None
) -> None:
    server = disagreeing(value, wrong=0)
    async with mirror(server, sync_interval=0.5) as pipeline:
        await pipeline.stored(1, 2, 3, 4, 5)
        server.wrong = 2
        server.add(mail(6))
        await pipeline.sync(within=3)
        await pipeline.stored(1, 2, 3, 4, 5, 6, within=20)
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")
        assert len(pipeline.messages()) == 6
        assert not [event for event in pipeline.thin if isinstance(event, Reset)]
        assert not pipeline.log.tracebacks()


@pytest.mark.parametrize("value", [0, 99_999_999_999, None], ids=str)
async def test_an_impossible_value_told_always_is_told_of_and_does_not_storm(mirror: Mirror, value: int | None) -> None:
    server = disagreeing(value, wrong=1 << 30, everywhere=True)
    async with mirror(server) as pipeline:
        await pipeline.until(lambda: pipeline.status() in NOT_WELL, "told")
        assert "UIDVALIDITY" in await pipeline.words()
        began = time.monotonic()
        await pipeline.stays(lambda: len(server.asked(since=began)) <= 30, "few commands", 5)
        assert not pipeline.announced, "nothing that a consumer cannot read"
        assert not pipeline.log.tracebacks()


@pytest.mark.invariant("I7")
async def test_a_change_behind_idle_does_not_end_push(mirror: Mirror) -> None:
    server = HostileImap(count=5)
    async with mirror(server, sync_interval=60) as pipeline:
        await pipeline.stored(1, 2, 3, 4, 5)
        await pipeline.idling()
        server.renumber()
        await pipeline.sync(within=5)
        await pipeline.until(lambda: pipeline.state()["uidvalidity"] == server.uidvalidity, "the change is noticed")
        await pipeline.until(lambda: pipeline.subjects() == subjects(5), "and nothing is doubled")
        for number in (6, 7):
            server.deliver(mail(number))
            await pipeline.until(lambda number=number: pipeline.subjects() == subjects(number), "at once", 3)


async def test_a_change_behind_idle_that_only_a_push_can_tell_loses_nothing(mirror: Mirror) -> None:
    """Nobody sweeps: the pushed mail has a UID below those that the old generation had."""
    server = HostileImap(count=5)
    async with mirror(server, sync_interval=3) as pipeline:
        await pipeline.stored(1, 2, 3, 4, 5)
        await pipeline.idling()
        server.renumber()
        server.expunge(1, 2, 3)
        server.deliver(mail(6))
        await pipeline.until(lambda: pipeline.subjects() == ["mail 4", "mail 5", "mail 6"], "what is there", 15)
        assert len(pipeline.messages()) == 6, "rows are rebound, not doubled"


async def test_connections_that_disagree_do_not_storm(mirror: Mirror) -> None:
    class Cluster(HostileImap):
        another = False
        odd = 0

        def counters(self, session: Session, command: str) -> Counters:
            if self.another and not self.odd and command == "SELECT":
                self.odd = session.number
            told = super().counters(session, command)
            return replace(told, uidvalidity=self.uidvalidity + 1) if session.number == self.odd else told

    server = Cluster(count=5)
    async with mirror(server, sync_interval=5) as pipeline:
        await pipeline.stored(1, 2, 3, 4, 5)
        await pipeline.idling()
        server.another = True
        server.cut()
        await pipeline.until(lambda: server.odd, "another UIDVALIDITY on the live connection")
        began = time.monotonic()
        await pipeline.stays(lambda: len(server.asked(since=began)) <= 60, "few commands", 5)
        server.odd = -1  # all agree again
        server.deliver(mail(6))
        await pipeline.until(lambda: pipeline.subjects() == subjects(6), "the next one", 20)
        assert not doubled(pipeline)


@pytest.mark.invariant("I7")
async def test_a_value_that_goes_back_doubles_and_loses_nothing(mirror: Mirror) -> None:
    server = HostileImap(count=5)
    first = server.uidvalidity
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 3, 4, 5)
        server.renumber()
        await pipeline.until(lambda: pipeline.state()["uidvalidity"] == first + 1, "the change is noticed")
        await pipeline.until(lambda: pipeline.status() == "ok", "and healed")
        server.renumber(first)
        await pipeline.until(lambda: pipeline.state()["uidvalidity"] == first, "back again")
        server.deliver(mail(6))
        await pipeline.until(lambda: pipeline.subjects() == subjects(6), "all is there once")
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")
        assert sorted(pipeline.uids()) == [1, 2, 3, 4, 5, 6]
        assert len(pipeline.messages()) == 6


async def test_a_value_that_changes_with_every_select_ends_when_it_ends(mirror: Mirror) -> None:
    class Fickle(HostileImap):
        fickle = True

        def counters(self, session: Session, command: str) -> Counters:
            if self.fickle and command == "SELECT":
                self.uidvalidity += 1
            return super().counters(session, command)

    server = Fickle(count=5)
    async with mirror(server, sync_interval=2) as pipeline:
        await pipeline.until(lambda: pipeline.state(), "seen")
        began = time.monotonic()
        await pipeline.stays(lambda: len(server.asked(since=began)) <= 100, "few commands", 4)
        server.fickle = False
        await pipeline.until(lambda: pipeline.subjects() == subjects(5), "all is there once", 20)
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well", 20)
        assert not doubled(pipeline)


async def test_a_change_in_the_middle_of_a_backlog_takes_all(mirror: Mirror) -> None:
    """Bytes that are on their way when a generation ends do not count for ever: 6 × 24 MB are more than may be out."""

    class Changing(HostileImap):
        changes = 0

        def fetch(self, session: Session, uids: list[int], items: str) -> None:
            if self.changes and "BODY" in items and len(uids) > 1:
                self.changes -= 1
                self.renumber()

    server = Changing(*(mail(number, 2 << 20) for number in range(1, 13)))
    server.changes = 6
    async with mirror(server, sync_interval=0.3) as pipeline:
        await pipeline.until(lambda: not server.changes, "six changes", 20)
        await pipeline.until(lambda: pipeline.subjects() == subjects(12), "all is there once", 30)
        assert not doubled(pipeline)
