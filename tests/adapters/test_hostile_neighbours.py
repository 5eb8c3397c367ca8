"""One account whose server answers nothing: it holds up nobody, and every run ends and says what became of it."""

from __future__ import annotations

import time

import pytest

from tests.support.hostile_imap import HostileImap, Session, Silence, mail
from tests.support.pipeline import NOT_WELL, Mirror, Pipeline

pytestmark = pytest.mark.trio


class Mute(HostileImap):
    """Never answers `command` (of UID FETCH: those for bodies)."""

    command = "UID FETCH"

    def check(self, command: str) -> None:
        if command == self.command:
            raise Silence

    def login(self, session: Session) -> str:
        self.check("LOGIN")
        return super().login(session)

    def select(self, session: Session) -> list[str]:
        self.check("SELECT")
        return super().select(session)

    def status(self, session: Session, items: str) -> list[str]:
        self.check("STATUS")
        return super().status(session, items)

    def search(self, session: Session, criteria: str) -> list[int]:
        self.check("UID SEARCH")
        return super().search(session, criteria)

    def fetch(self, session: Session, uids: list[int], items: str) -> None:
        if "BODY" in items:
            self.check("UID FETCH")


def pair(command: str) -> tuple[Mute, HostileImap]:
    stuck = Mute(count=3, host="127.0.0.2")
    stuck.command = command
    return stuck, HostileImap(count=3, host="127.0.0.3")


async def healthy_is_stored(pipeline: Pipeline) -> None:
    await pipeline.stored(1, 2, 3, account="healthy")
    await pipeline.until(lambda: pipeline.status("healthy") == "ok", "the healthy one is well")


@pytest.mark.parametrize("command", ["LOGIN", "SELECT", "STATUS", "UID SEARCH", "UID FETCH"])
async def test_a_sync_of_a_healthy_account_does_not_join_a_stuck_run(mirror: Mirror, command: str) -> None:
    stuck, healthy = pair(command)
    async with mirror({"stuck": stuck, "healthy": healthy}, sync_interval=600) as pipeline:
        await healthy_is_stored(pipeline)
        await pipeline.until(lambda: stuck.asked(command), "the stuck one is stuck")
        everybody = await pipeline.start_sync()
        healthy.add(mail(4))
        began = time.monotonic()
        run = await pipeline.sync("healthy", within=5)
        assert (run.status, run.found) == ("ok", 1)
        assert time.monotonic() - began < 4
        assert [one.account for one in run.results] == ["healthy"]
        assert pipeline.uids("healthy") == [1, 2, 3, 4]
        assert (await pipeline.result(everybody, within=0)).status == "running"


@pytest.mark.parametrize("command", ["LOGIN", "SELECT", "UID SEARCH", "UID FETCH"])
async def test_a_run_over_an_account_that_is_never_answered_ends(mirror: Mirror, command: str) -> None:
    stuck, healthy = pair(command)
    servers = {"stuck": stuck, "healthy": healthy}
    async with mirror(servers, sync_interval=600, command_timeout=1.0) as pipeline:
        await healthy_is_stored(pipeline)
        await pipeline.until(lambda: stuck.asked(command), "the stuck one is stuck")
        run = await pipeline.sync(within=75)
        assert run.status == "partial"
        assert {one.account: one.status for one in run.results} == {"stuck": "failed", "healthy": "ok"}
        assert all(one.error for one in run.results if one.status == "failed")
        if pipeline.state("stuck"):
            await pipeline.until(lambda: pipeline.status("stuck") in NOT_WELL, "told")


async def test_push_at_a_healthy_account_takes_no_longer_beside_a_stuck_one(mirror: Mirror) -> None:
    stuck, healthy = pair("UID FETCH")
    async with mirror({"stuck": stuck, "healthy": healthy}, sync_interval=600) as pipeline:
        await healthy_is_stored(pipeline)
        await pipeline.idling("healthy")
        for number in range(4, 8):
            healthy.deliver(mail(number))
            await pipeline.stored(*range(1, number + 1), account="healthy", within=2)


async def test_two_requests_for_a_healthy_account_are_one_run_beside_a_stuck_one(mirror: Mirror) -> None:
    stuck, healthy = pair("UID FETCH")

    class Slow(HostileImap):
        def search(self, session: Session, criteria: str) -> list[int]:
            time.sleep(0.5)
            return super().search(session, criteria)

    healthy = Slow(count=3, host="127.0.0.3")
    async with mirror({"stuck": stuck, "healthy": healthy}, sync_interval=600) as pipeline:
        await healthy_is_stored(pipeline)
        first = await pipeline.start_sync("healthy")
        second = await pipeline.start_sync("healthy")
        assert first.run_id == second.run_id
        assert (await pipeline.result(first)).status == "ok"
