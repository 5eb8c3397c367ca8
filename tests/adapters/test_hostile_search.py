"""A look that contradicts itself: what it lists is taken, what it does not list is not gone.

EXISTS is the number of messages (RFC 9051 §7.4.1), so UID SEARCH ALL of the same mailbox must give as many UIDs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from mailcore.events.thin import Expunged
from tests.support.hostile_imap import Counters, HostileImap, Session, mail, ranges
from tests.support.pipeline import NOT_WELL, Mirror, Pipeline

pytestmark = pytest.mark.trio
ALWAYS = 1 << 30
WITH_ESEARCH = "IMAP4rev1 IDLE UNSELECT ESEARCH"
WITHOUT_ESEARCH = "IMAP4rev1 IDLE UNSELECT"
LIES: dict[str, Callable[[list[int]], list[int]]] = {
    "nothing": lambda uids: [],
    "half": lambda uids: uids[len(uids) // 2 :],
    "the last only": lambda uids: uids[-1:],
    "the first only": lambda uids: uids[:1],
    "all but one": lambda uids: uids[:3] + uids[4:],
}


class Lying(HostileImap):
    """The next `lies` answers to SEARCH are `lie` of the truth; with `thorough` so is meanwhile what a FETCH lists that
    asks for no message."""

    lies = 0
    thorough = False

    @staticmethod
    def lie(uids: list[int]) -> list[int]:
        return []

    def search(self, session: Session, criteria: str) -> list[int]:
        uids = super().search(session, criteria)
        if not self.lies:
            return uids
        self.lies -= 1
        return self.lie(uids)

    def give(self, session: Session, number: int, uid: int, items: str) -> list[bytes]:
        lists = "BODY" not in items and "SIZE" not in items
        hidden = self.thorough and self.lies and lists and uid not in self.lie(self.uids)
        return [] if hidden else super().give(session, number, uid, items)


def lying(lie: str, *, count: int = 30, capabilities: str = WITH_ESEARCH) -> Lying:
    server = Lying(count=count)
    server.lie, server.capabilities = LIES[lie], capabilities
    return server


def nothing_gone(pipeline: Pipeline) -> bool:
    return not pipeline.expunged() and not [event for event in pipeline.thin if isinstance(event, Expunged)]


@pytest.mark.parametrize("capabilities", [WITH_ESEARCH, WITHOUT_ESEARCH], ids=["ESEARCH", "SEARCH"])
@pytest.mark.parametrize("lie", ["nothing", "half", "the last only"])
async def test_one_wrong_search_expunges_nothing(mirror: Mirror, lie: str, capabilities: str) -> None:
    server = lying(lie, capabilities=capabilities)
    async with mirror(server, sync_interval=600) as pipeline:
        await pipeline.until(lambda: len(pipeline.uids()) == 30, "all stored")
        await pipeline.idling()
        server.lies = 1
        await pipeline.sync(within=5)
        assert not server.lies, "the wrong answer was given"
        await pipeline.stays(lambda: nothing_gone(pipeline), "nothing is gone", 1)


async def test_one_wrong_search_is_made_good_by_the_next_look(mirror: Mirror) -> None:
    server = lying("half")
    async with mirror(server) as pipeline:
        await pipeline.until(lambda: len(pipeline.uids()) == 30, "all stored")
        server.lies = 1
        await pipeline.sync()
        server.add(mail(31))
        await pipeline.until(lambda: len(pipeline.uids()) == 31, "what comes is stored")
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")
        assert nothing_gone(pipeline)
        assert len(pipeline.messages()) == 31


@pytest.mark.invariant("I3")
@pytest.mark.parametrize("lie", LIES)
async def test_a_search_that_is_wrong_each_time_expunges_nothing_and_is_told(mirror: Mirror, lie: str) -> None:
    server = lying(lie, count=12)
    async with mirror(server, sync_interval=0.5) as pipeline:
        await pipeline.until(lambda: len(pipeline.uids()) == 12, "all stored")
        server.lies, server.thorough = ALWAYS, True
        run = await pipeline.sync(within=5)
        assert run.status != "ok", "nobody says that all is in step"
        await pipeline.until(lambda: pipeline.status() in NOT_WELL, "told")
        assert pipeline.state()["last_error"]
        server.deliver(mail(13))
        await pipeline.until(lambda: len(pipeline.uids()) == 13, "what is pushed is stored all the same")
        await pipeline.stays(lambda: nothing_gone(pipeline), "nothing is gone", 2)
        server.lies = 0
        await pipeline.until(lambda: pipeline.status() == "ok", "the truth heals", within=30)


async def test_looks_that_are_not_whole_do_not_become_a_storm(mirror: Mirror) -> None:
    server = lying("nothing")
    async with mirror(server, sync_interval=0.5) as pipeline:
        await pipeline.until(lambda: len(pipeline.uids()) == 30, "all stored")
        server.lies, server.thorough = ALWAYS, True
        server.deliver(mail(31))
        await pipeline.until(lambda: pipeline.status() in NOT_WELL, "told")
        began = time.monotonic()
        await pipeline.stays(lambda: len(server.asked("UID SEARCH", since=began)) <= 12, "at most two an interval", 3)


@pytest.mark.invariant("I3")
@pytest.mark.parametrize("lie", LIES)
async def test_a_first_look_that_lists_too_little_loses_nothing(mirror: Mirror, lie: str) -> None:
    server = lying(lie, count=12)
    server.lies = 1
    async with mirror(server) as pipeline:
        await pipeline.until(lambda: len(pipeline.uids()) == 12, "all stored")
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")


async def test_a_window_of_the_mailbox_is_taken_and_told_of(mirror: Mirror) -> None:
    """SEARCH gives the last mail alone from the first day on, as Yandex does under load."""
    server = lying("the last only", count=8)
    server.lies, server.thorough = ALWAYS, True
    async with mirror(server, sync_interval=0.5) as pipeline:
        await pipeline.until(lambda: 8 in pipeline.uids(), "what is listed is stored")
        await pipeline.until(lambda: pipeline.status() in NOT_WELL, "told")
        server.deliver(mail(9))
        await pipeline.until(lambda: 9 in pipeline.uids(), "the next one, too")
        await pipeline.stays(lambda: nothing_gone(pipeline), "nothing is gone", 2)


async def test_uids_said_twice_and_out_of_order_are_one_each(mirror: Mirror) -> None:
    class Twice(HostileImap):
        def found(self, session: Session, uids: list[int], options: str | None) -> list[str]:
            words = " ".join(str(uid) for uid in [*uids[::-1], *uids])
            return [f"* SEARCH {words}", f"* SEARCH {words}"]

    server = Twice(count=5)
    server.capabilities = WITHOUT_ESEARCH
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 3, 4, 5)
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")
        server.expunge(2)
        await pipeline.stored(1, 3, 4, 5)
        await pipeline.announces(5)


async def test_uids_said_twice_do_not_stand_for_those_that_are_left_out(mirror: Mirror) -> None:
    """As many numbers as EXISTS says, yet not as many messages."""

    class Doubling(Lying):
        def found(self, session: Session, uids: list[int], options: str | None) -> list[str]:
            return ["* SEARCH" + "".join(f" {uid} {uid}" for uid in uids)] if self.lies else ["* SEARCH" + words(uids)]

    def words(uids: list[int]) -> str:
        return "".join(f" {uid}" for uid in uids)

    server = Doubling(count=10)
    server.lie, server.capabilities = LIES["half"], WITHOUT_ESEARCH
    async with mirror(server) as pipeline:
        await pipeline.until(lambda: len(pipeline.uids()) == 10, "all stored")
        server.lies = 2
        await pipeline.sync(within=5)
        await pipeline.stays(lambda: nothing_gone(pipeline), "nothing is gone", 1)


async def test_an_esearch_whose_count_denies_its_uids_expunges_nothing(mirror: Mirror) -> None:
    class Denying(HostileImap):
        wrong = False

        def found(self, session: Session, uids: list[int], options: str | None) -> list[str]:
            if not self.wrong:
                return super().found(session, uids, options)
            return [f'* ESEARCH (TAG "{session.tag}") UID COUNT {len(uids)} ALL {ranges(uids[:4])}']

    server = Denying(count=10)
    async with mirror(server) as pipeline:
        await pipeline.until(lambda: len(pipeline.uids()) == 10, "all stored")
        server.wrong = True
        await pipeline.sync(within=3)
        await pipeline.stays(lambda: nothing_gone(pipeline), "nothing is gone", 2)


async def test_an_answer_to_another_question_is_not_believed(mirror: Mirror) -> None:
    """An ESEARCH with a strange tag (RFC 4731 §3.1) and none for ours."""

    class Strange(HostileImap):
        wrong = False

        def found(self, session: Session, uids: list[int], options: str | None) -> list[str]:
            return ['* ESEARCH (TAG "Z999") UID ALL 1:3'] if self.wrong else super().found(session, uids, options)

    server = Strange(count=10)
    async with mirror(server) as pipeline:
        await pipeline.until(lambda: len(pipeline.uids()) == 10, "all stored")
        server.wrong = True
        await pipeline.sync(within=3)
        await pipeline.stays(lambda: nothing_gone(pipeline), "nothing is gone", 2)


async def test_a_uid_beyond_uidnext_is_taken_and_stops_nobody(mirror: Mirror) -> None:
    class Beyond(HostileImap):
        def search(self, session: Session, criteria: str) -> list[int]:
            return [*super().search(session, criteria), 4_000_000_000]

    server = Beyond(count=5)
    async with mirror(server, sync_interval=0.5) as pipeline:
        await pipeline.stored(1, 2, 3, 4, 5)
        await pipeline.until(lambda: pipeline.status() in NOT_WELL, "told: it is listed and not given")
        server.deliver(mail(6))
        await pipeline.stored(1, 2, 3, 4, 5, 6, within=5)
        server.add(mail(7))
        await pipeline.sync(within=5)
        await pipeline.stored(1, 2, 3, 4, 5, 6, 7)


@pytest.mark.parametrize("exists", [0, 3, 40], ids=lambda exists: f"EXISTS {exists}")
async def test_an_exists_that_is_wrong_loses_and_expunges_nothing(mirror: Mirror, exists: int) -> None:
    class Miscounting(HostileImap):
        def counters(self, session: Session, command: str) -> Counters:
            told = super().counters(session, command)
            return replace(told, messages=exists) if command == "SELECT" else told

    server = Miscounting(count=10)
    async with mirror(server, sync_interval=0.5) as pipeline:
        await pipeline.until(lambda: len(pipeline.uids()) == 10, "what is listed is stored")
        server.deliver(mail(11))
        await pipeline.until(lambda: len(pipeline.uids()) == 11, "the next one, too")
        await pipeline.stays(lambda: nothing_gone(pipeline), "nothing is gone", 2)


@pytest.mark.parametrize(
    "told",
    [Counters(0, 1, 1_700_000_000), Counters(10, 11, 7), Counters(10, 1, 1_700_000_000)],
    ids=["no messages", "another UIDVALIDITY", "another UIDNEXT"],
)
async def test_a_status_that_denies_select_loses_and_expunges_nothing(mirror: Mirror, told: Counters) -> None:
    class Denying(HostileImap):
        def counters(self, session: Session, command: str) -> Counters:
            return told if command == "STATUS" else super().counters(session, command)

    server = Denying(count=10)
    async with mirror(server, sync_interval=0.5) as pipeline:
        await pipeline.until(lambda: len(pipeline.uids()) == 10, "stored")
        server.add(mail(11))
        await pipeline.until(lambda: len(pipeline.uids()) == 11, "the next one, too")
        await pipeline.stays(lambda: nothing_gone(pipeline), "nothing is gone", 1)
        assert len(pipeline.messages()) == 11


@pytest.mark.parametrize("capabilities", [WITH_ESEARCH, WITHOUT_ESEARCH], ids=["ESEARCH", "SEARCH"])
@pytest.mark.parametrize("left", [0, 10, 29])
async def test_what_is_truly_gone_is_expunged_soon(mirror: Mirror, left: int, capabilities: str) -> None:
    server = lying("nothing", capabilities=capabilities)
    async with mirror(server) as pipeline:
        await pipeline.until(lambda: len(pipeline.uids()) == 30, "all stored")
        await pipeline.idling()
        server.expunge(*range(left + 1, 31))
        await pipeline.until(lambda: len(pipeline.uids()) == left, "the rest is expunged", within=10)
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")
        run = await pipeline.sync()
        assert (run.status, run.expunged) == ("ok", 0)
        await pipeline.hears(
            lambda: sorted(event.uid for event in pipeline.thin if isinstance(event, Expunged)), range(left + 1, 31)
        )
