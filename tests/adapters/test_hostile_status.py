"""Servers that leave things out: SELECT and SEARCH tell all that is needed, so mail is stored."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.hostile_imap import CAPABILITIES, Counters, HostileImap, Refused, Session, mail
from tests.support.pipeline import Mirror, Pipeline

pytestmark = pytest.mark.trio


async def mirrored(pipeline: Pipeline, server: HostileImap) -> None:
    """What is there, what is pushed, what nobody is told of, and what is expunged."""
    await pipeline.stored(1, 2, 3, 4, 5)
    await pipeline.idling()
    server.deliver(mail(6))
    await pipeline.stored(1, 2, 3, 4, 5, 6, within=5)
    server.add(mail(7))
    await pipeline.stored(1, 2, 3, 4, 5, 6, 7)
    server.expunge(2)
    await pipeline.stored(1, 3, 4, 5, 6, 7)
    await pipeline.until(lambda: pipeline.status() == "ok", "all is well")
    await pipeline.sync()  # it may join the run that found what was expunged
    run = await pipeline.sync()
    assert (run.status, run.found, run.expunged) == ("ok", 0, 0)
    assert not pipeline.log.tracebacks()


class Short(HostileImap):
    lines: tuple[str, ...] = ()

    def status(self, session: Session, items: str) -> list[str]:
        return list(self.lines)


@pytest.mark.parametrize(
    "lines",
    [
        ('* STATUS "INBOX" ()',),
        (),
        ("* STATUS INBOX (MESSAGES 5 UIDVALIDITY 1700000000)",),
        ("* STATUS INBOX (UIDNEXT 6 UIDVALIDITY 1700000000)",),
        ("* STATUS INBOX (MESSAGES 5 UIDNEXT 6)",),
        ("* STATUS Drafts (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 3)",),
    ],
    ids=["empty", "none", "without UIDNEXT", "without MESSAGES", "without UIDVALIDITY", "of another mailbox"],
)
async def test_a_status_that_says_too_little_or_nothing_new_delays_nobody(
    mirror: Mirror, lines: tuple[str, ...]
) -> None:
    server = Short(count=5)
    server.lines = lines
    async with mirror(server, sync_interval=0.5) as pipeline:
        await mirrored(pipeline, server)


@pytest.mark.parametrize("answer", ["BAD unknown command", "NO STATUS not supported", "NO [CANNOT] not here"])
async def test_a_status_that_is_refused_delays_nobody(mirror: Mirror, answer: str) -> None:
    class Refusing(HostileImap):
        def status(self, session: Session, items: str) -> list[str]:
            raise Refused(answer)

    server = Refusing(count=5)
    async with mirror(server, sync_interval=0.5) as pipeline:
        await mirrored(pipeline, server)


@pytest.mark.parametrize(
    "capabilities", [CAPABILITIES, CAPABILITIES.replace(" ESEARCH", "")], ids=["ESEARCH", "SEARCH"]
)
async def test_a_select_without_uidnext_delays_nobody(mirror: Mirror, capabilities: str) -> None:
    """RFC 3501 §6.3.1 made it optional; Courier leaves it out."""

    class Courier(HostileImap):
        def counters(self, session: Session, command: str) -> Counters:
            told = super().counters(session, command)
            return replace(told, uidnext=None) if command == "SELECT" else told

    server = Courier(count=5)
    server.capabilities = capabilities
    async with mirror(server, sync_interval=0.5) as pipeline:
        await mirrored(pipeline, server)


async def test_a_uid_of_zero_is_left_out(mirror: Mirror) -> None:
    """RFC 9051 §9, nz-number."""

    class Zero(HostileImap):
        capabilities = CAPABILITIES.replace(" ESEARCH", "")

        def found(self, session: Session, uids: list[int], options: str | None) -> list[str]:
            return ["* SEARCH 0" + "".join(f" {uid}" for uid in uids)]

    server = Zero(count=5)
    async with mirror(server, sync_interval=0.5) as pipeline:
        await mirrored(pipeline, server)


@pytest.mark.parametrize("first", ["* SEARCH", "* SEARCH 4294967296", "* ESEARCH"])
async def test_numbers_that_are_no_uids_are_left_out(mirror: Mirror, first: str) -> None:
    class Odd(HostileImap):
        capabilities = CAPABILITIES.replace(" ESEARCH", "")

        def found(self, session: Session, uids: list[int], options: str | None) -> list[str]:
            return [first, *super().found(session, uids, options)]

    server = Odd(count=5)
    async with mirror(server, sync_interval=0.5) as pipeline:
        await mirrored(pipeline, server)
