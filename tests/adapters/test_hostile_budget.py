"""A server that gives an account so many bytes a day: the first backfill keeps below it, new mail never waits."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
import trio

import syncer.budget
from mailcore.sync.budget import DAY, HOUR
from mailcore.trouble import Kind, troubles
from tests.support.hostile_imap import HostileImap, mail
from tests.support.pipeline import Mirror, Pipeline

pytestmark = pytest.mark.trio

SIZE = 90_000
FIRST = 30  # that are there; 9 fit into nine tenths of a megabyte


def mails(first: int, count: int) -> list[bytes]:
    return [mail(number, SIZE) for number in range(first, first + count)]


def given(pipeline: Pipeline) -> None:
    """One megabyte a day."""
    accounts = pipeline.settings.accounts
    assert [account.budget for account in accounts] == [1_000_000]


async def waits(pipeline: Pipeline) -> Any:
    """The live state once older mail waits."""
    with trio.fail_after(20):
        while True:
            live = await pipeline.live()
            if live.older_left and not live.in_flight:
                return live
            await trio.sleep(0.05)


async def test_a_first_backfill_keeps_below_the_budget_and_goes_on_the_next_day_where_it_was(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = HostileImap(*mails(1, FIRST))
    async with mirror(server, daily_mb=1) as pipeline:
        given(pipeline)
        live = await waits(pipeline)
        await pipeline.until(lambda: len(pipeline.uids()) == FIRST - live.older_left, "what was fetched is stored")
        first = pipeline.uids()
        assert 7 <= len(first) <= 10
        assert first == list(range(FIRST - len(first) + 1, FIRST + 1)), "the newest"
        assert server.octets < 1_000_000

        hours = (live.older_at.timestamp() - time.time()) / 3600
        assert 23.9 < hours <= 25
        days = (live.older_done_at.timestamp() - time.time()) / 86400
        assert 2.5 < days < 5, "30 messages, 9 or 10 a day"
        row = SimpleNamespace(last_sync_status=pipeline.status(), last_error="", last_error_at=None, refused=())
        assert [one.kind for one in troubles(row, live, live.since)] == [Kind.BUDGET]
        assert "older messages to come, done in about" in troubles(row, live, live.since)[0].words

        server.deliver(mail(31))
        await pipeline.until(lambda: 31 in pipeline.uids(), "new mail does not wait")
        run = await pipeline.sync()
        assert f"{live.older_left} older message(s) wait" in run.results[0].error

    asked = server.octets
    async with mirror(server, daily_mb=1) as pipeline:
        assert (await waits(pipeline)).older_left == live.older_left, "a restart begins no new day"
        assert server.octets - asked < 20_000

    later = SimpleNamespace(time=lambda: time.time() + DAY + 2 * HOUR, monotonic=time.monotonic)
    monkeypatch.setattr(syncer.budget, "time", later)
    async with mirror(server, daily_mb=1) as pipeline:
        await pipeline.until(lambda: len(pipeline.uids()) > len(first) + 7, "the next day")
        again = await waits(pipeline)
        await pipeline.until(lambda: len(pipeline.uids()) == FIRST + 1 - again.older_left, "all of it is stored")
        assert pipeline.uids() == list(range(again.older_left + 1, FIRST + 2)), "where it was, and nothing twice"
        assert server.octets - asked < 1_000_000


async def test_without_a_bound_everything_comes_at_once(mirror: Mirror) -> None:
    server = HostileImap(*mails(1, FIRST))
    async with mirror(server, daily_mb=0) as pipeline:
        await pipeline.stored(*range(1, FIRST + 1))
        assert (await pipeline.live()).older_left == 0
        assert pipeline.rows("SELECT * FROM mailbox_app_budget") == []
