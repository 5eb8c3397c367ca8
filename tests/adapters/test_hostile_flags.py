"""Flags, on servers without CONDSTORE, without MODSEQs for a mailbox, and on such that contradict themselves."""

from __future__ import annotations

import json
import time

import pytest

import mailcore.sync.flags as decisions
from mailcore.events.thin import Flags
from tests.support.hostile_imap import Counters, HostileImap, Refused, Session, mail
from tests.support.pipeline import Mirror, Pipeline

pytestmark = pytest.mark.trio

CONDSTORE = "IMAP4rev1 IDLE UNSELECT UIDPLUS ESEARCH ENABLE CONDSTORE"
PLAIN = "IMAP4rev1 IDLE UNSELECT"
POLLED = "IMAP4rev1"


class Condstore(HostileImap):
    capabilities = CONDSTORE


def flags(pipeline: Pipeline) -> dict[int, list[str]]:
    return {row["uid"]: json.loads(row["flags"]) for row in pipeline.messages()}


def told(pipeline: Pipeline) -> list[tuple[int, tuple[str, ...], tuple[str, ...]]]:
    """UID, what was added and what removed, in the order of the events."""
    return [(one.uid, one.added, one.removed) for one in pipeline.thin if isinstance(one, Flags)]


async def follows(pipeline: Pipeline, uid: int, *wanted: str, within: float = 10.0) -> None:
    await pipeline.until(lambda: flags(pipeline)[uid] == sorted(wanted), f"flags of {uid} are {wanted}", within)


async def ready(pipeline: Pipeline, count: int, word: str = "idling") -> None:
    await pipeline.stored(*range(1, count + 1))
    await pipeline.connection(word)


@pytest.mark.parametrize("capabilities", [CONDSTORE, PLAIN])
async def test_a_pushed_change_is_one_event_within_a_moment(mirror: Mirror, capabilities: str) -> None:
    server = HostileImap(count=5)
    server.capabilities = capabilities
    async with mirror(server, sync_interval=60) as pipeline:
        await ready(pipeline, 5)
        began = time.monotonic()
        server.mark(3, "\\Seen", "$Forwarded")
        await follows(pipeline, 3, "$Forwarded", "\\Seen", within=3)
        server.mark(3, "$Forwarded")
        await follows(pipeline, 3, "$Forwarded", within=3)
        await pipeline.hears(lambda: told(pipeline), [(3, ("$Forwarded", "\\Seen"), ()), (3, (), ("\\Seen",))])
        assert len(server.asked("UID FETCH", since=began)) <= 4
        (event, _) = (one for one in pipeline.thin if isinstance(one, Flags))
        assert bool(event.modseq) == (capabilities == CONDSTORE)
        assert pipeline.rows("SELECT flags_at FROM mailbox_app_mailmessage WHERE uid = 3")[0]["flags_at"]
        assert pipeline.state()["flags_modseq"] if capabilities == CONDSTORE else True


async def test_numbers_that_moved_meanwhile_are_not_taken_for_another_message(mirror: Mirror) -> None:
    server = HostileImap(count=5)
    server.capabilities = PLAIN
    async with mirror(server, sync_interval=60) as pipeline:
        await ready(pipeline, 5)
        with server.lock:  # told in one go: FETCH 5, then EXPUNGE 2
            server.mark(5, "\\Seen")
            server.expunge(2)
        await follows(pipeline, 5, "\\Seen")
        await pipeline.hears(lambda: told(pipeline), [(5, ("\\Seen",), ())])


async def test_seen_unseen_seen_within_the_duplicate_window_are_three_events(mirror: Mirror) -> None:
    server = HostileImap(count=2)
    server.capabilities = PLAIN
    async with mirror(server, sync_interval=60) as pipeline:
        await ready(pipeline, 2)
        for wanted in (("\\Seen",), (), ("\\Seen",)):
            server.mark(2, *wanted)
            await follows(pipeline, 2, *wanted)
        await pipeline.until(lambda: len(told(pipeline)) == 3, "three events")
        ids = [one.id for one in pipeline.thin if isinstance(one, Flags)]
        assert len(set(ids)) == 3


@pytest.mark.parametrize("capabilities", [CONDSTORE, POLLED])
async def test_what_nobody_tells_is_found_by_the_sweep_and_after_a_start(
    mirror: Mirror, capabilities: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "WHOLE_EVERY", 1.0)
    server = HostileImap(count=5)
    server.capabilities = capabilities
    word = "idling" if "IDLE" in capabilities else "polling"
    async with mirror(server) as pipeline:
        await ready(pipeline, 5, word)
        server.mark(1, "\\Flagged", quietly=True)
        await follows(pipeline, 1, "\\Flagged")
    server.mark(2, "\\Seen", quietly=True)
    async with mirror(server) as pipeline:
        await follows(pipeline, 2, "\\Seen")
        await pipeline.hears(lambda: told(pipeline), [(1, ("\\Flagged",), ()), (2, ("\\Seen",), ())])
        await pipeline.stays(lambda: len(told(pipeline)) == 2, "no event is told twice", 2.5)


async def test_a_change_of_flags_costs_no_search(mirror: Mirror) -> None:
    server = Condstore(count=5)
    async with mirror(server) as pipeline:
        await ready(pipeline, 5)
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")
        began = time.monotonic()
        server.mark(1, "\\Seen", quietly=True)
        await follows(pipeline, 1, "\\Seen")
        names = [one.name for one in server.asked(since=began)]
        assert "UID SEARCH" not in names
        assert names.count("UID FETCH") == 1


async def test_a_mailbox_without_modseqs_is_compared_as_a_whole(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoModseq(Condstore):
        def counters(self, session: Session, command: str) -> Counters:
            return Counters(len(self.mails), self.uidnext, self.uidvalidity)

        def select(self, session: Session) -> list[str]:
            return [*super().select(session), "* OK [NOMODSEQ] not here"]  # RFC 7162 §3.1.2.2

        def fetch(self, session: Session, uids: list[int], items: str) -> None:
            if "CHANGEDSINCE" in items:
                raise Refused("BAD [CLIENTBUG] NOMODSEQ was said")

    monkeypatch.setattr(decisions, "WHOLE_EVERY", 1.0)
    server = NoModseq(count=5)
    async with mirror(server) as pipeline:
        await ready(pipeline, 5)
        server.mark(4, "\\Answered", quietly=True)
        await follows(pipeline, 4, "\\Answered")
        assert pipeline.state()["flags_modseq"] is None
        assert not pipeline.log.warnings("flags")


async def test_a_server_that_refuses_changedsince_loses_no_mail_and_no_change(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refuses(Condstore):
        def fetch(self, session: Session, uids: list[int], items: str) -> None:
            if "CHANGEDSINCE" in items:
                raise Refused("BAD what is CHANGEDSINCE?")

    monkeypatch.setattr(decisions, "WHOLE_EVERY", 1.0)
    server = Refuses(count=3)
    async with mirror(server) as pipeline:
        await ready(pipeline, 3)
        server.mark(1, "\\Seen")
        await follows(pipeline, 1, "\\Seen")
        server.deliver()
        await pipeline.stored(1, 2, 3, 4)
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")
        assert len(pipeline.log.warnings("CHANGEDSINCE refused")) == 1


class Odd(Condstore):
    """Answers for UID 2 in another way than it should."""

    def odd(self, number: int, uid: int) -> bytes:
        raise NotImplementedError

    def give(self, session: Session, number: int, uid: int, items: str) -> list[bytes]:
        if uid == 2 and "BODY" not in items and "RFC822" not in items and "FLAGS" in items:
            return [self.odd(number, uid)]
        return super().give(session, number, uid, items)


class WithoutUid(Odd):
    def odd(self, number: int, uid: int) -> bytes:
        return b"* %d FETCH (FLAGS (\\Deleted) MODSEQ (9))" % number


class FlagsNil(Odd):
    def odd(self, number: int, uid: int) -> bytes:
        return b"* %d FETCH (UID %d FLAGS NIL MODSEQ (9))" % (number, uid)


class ModseqZero(Odd):
    def odd(self, number: int, uid: int) -> bytes:
        return b"* %d FETCH (UID %d FLAGS (\\Seen) MODSEQ (0))" % (number, uid)


class ModseqBeyond63Bits(Odd):
    def odd(self, number: int, uid: int) -> bytes:
        return b"* %d FETCH (UID %d FLAGS (\\Seen) MODSEQ (18446744073709551615))" % (number, uid)


class ModseqFarTooHigh(Odd):
    def odd(self, number: int, uid: int) -> bytes:
        return b"* %d FETCH (UID %d FLAGS (\\Seen) MODSEQ (9223372036854775807))" % (number, uid)


class Unreadable(Odd):
    def odd(self, number: int, uid: int) -> bytes:
        return b"* %d FETCH UID %d FLAGS" % (number, uid)


@pytest.mark.parametrize("kind", [WithoutUid, FlagsNil, ModseqZero, ModseqBeyond63Bits, ModseqFarTooHigh, Unreadable])
async def test_an_odd_answer_costs_what_it_speaks_of_alone(mirror: Mirror, kind: type[Odd]) -> None:
    server = kind(count=4)
    readable = kind.__name__.startswith("Modseq")
    async with mirror(server) as pipeline:
        await ready(pipeline, 4)
        server.mark(2, "\\Seen")
        server.mark(3, "\\Flagged")
        await follows(pipeline, 3, "\\Flagged")
        if readable:
            await follows(pipeline, 2, "\\Seen")
        server.mark(4, "\\Answered")
        await follows(pipeline, 4, "\\Answered")
        assert flags(pipeline)[2] == (["\\Seen"] if readable else [])
        server.deliver()
        await pipeline.stored(1, 2, 3, 4, 5)
        began = time.monotonic()
        await pipeline.stays(lambda: True, "it comes to rest", 3)
        assert len(server.asked(since=began)) < 40, "no hot loop"
        assert not pipeline.log.tracebacks()


async def test_modseqs_that_go_back_lead_to_a_comparison_of_all(mirror: Mirror) -> None:
    server = Condstore(count=4)
    async with mirror(server) as pipeline:
        await ready(pipeline, 4)
        server.mark(1, "\\Seen")
        await follows(pipeline, 1, "\\Seen")
        with server.lock:  # restored from a backup: what was seen is unseen, and nothing tells when
            server.modseq, server.flags = 2, {}
            server.modseqs = dict.fromkeys(server.modseqs, 2)
        await follows(pipeline, 1)
        await pipeline.hears(lambda: told(pipeline), [(1, ("\\Seen",), ()), (1, (), ("\\Seen",))])


async def test_a_change_while_the_message_is_on_its_way_is_not_lost(mirror: Mirror) -> None:
    class ChangesMeanwhile(Condstore):
        """The flags are told first, then they change, then the text comes."""

        def give(self, session: Session, number: int, uid: int, items: str) -> list[bytes]:
            answer = super().give(session, number, uid, items)
            if uid == 4 and "BODY" in items and uid not in self.flags:
                self.mark(4, "\\Seen", quietly=True)
            return answer

    server = ChangesMeanwhile(count=3)
    async with mirror(server) as pipeline:
        await ready(pipeline, 3)
        server.deliver()
        await pipeline.stored(1, 2, 3, 4)
        await follows(pipeline, 4, "\\Seen")
        await pipeline.hears(lambda: told(pipeline), [(4, ("\\Seen",), ())])


async def test_a_new_uidvalidity_tells_the_flags_that_changed_with_it(mirror: Mirror) -> None:
    server = Condstore(count=3)
    async with mirror(server) as pipeline:
        await ready(pipeline, 3)
        with server.lock:
            server.mark(2, "\\Seen", quietly=True)
            server.renumber()
        await pipeline.sync(within=20)
        await follows(pipeline, 2, "\\Seen", within=20)
        assert pipeline.uids() == [1, 2, 3]


async def test_a_mass_of_changes_is_published_in_parts_and_all_rows_follow(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.flags.AT_ONCE", 20)
    servers = {"many": Condstore(count=150), "one": Condstore(mail(1), host="127.0.0.2")}
    async with mirror(servers) as pipeline:
        await pipeline.stored(*range(1, 151), account="many")
        await pipeline.stored(1, account="one")
        with servers["many"].lock:
            for uid in range(1, 151):
                servers["many"].mark(uid, "\\Seen", quietly=True)
        await pipeline.until(
            lambda: all("Seen" in row["flags"] for row in pipeline.messages("many")), "all are read", within=20
        )
        await pipeline.hears(lambda: sorted(one[0] for one in told(pipeline)), range(1, 151))
