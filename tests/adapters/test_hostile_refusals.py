"""Servers that refuse and say for how long: nothing is asked of them before then, and their words are shown.

Accounts at servers of their own share a test, and so its seconds.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

import pytest

from mailcore.events.thin import Synced
from tests.support.hostile_imap import Command, HostileImap, Refused, Session, mail
from tests.support.pipeline import NOT_WELL, Mirror, Pipeline

pytestmark = pytest.mark.trio
COMMANDS: Final = ("LOGIN", "SELECT", "STATUS", "UID SEARCH", "UID FETCH")
FOR_EVER: Final = 3600.0
GOODBYES: Final = ("CONNECT", "LOGOUT", "UNSELECT", "CLOSE")  # nothing is asked for by them
# Words, and for how many seconds at least nothing may be asked.
PAUSES: Final = {
    "yahoo": ("NO [LIMIT] Rate limit hit. Please try again in 5 minutes", 300),
    "exchange": ("BAD Request is throttled. Suggested Backoff Time: 60000 milliseconds", 60),
    "throttled": ("NO [THROTTLED] Too much. Suggested Backoff Time: 45321 milliseconds", 45),
    "gmail": ("NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)", 60),
}
# Those that say nothing of the kind are left alone by growing pauses.
UNTIMED: Final = {
    "unavailable": "NO [UNAVAILABLE] Temporary failure, the backend is away",
    "inuse": "NO [INUSE] Mailbox in use by another process",
    "serverbug": "NO [SERVERBUG] Internal error occurred",
    "plain": "NO not now",
    "bad": "BAD Internal server error",
}


class Refusing(HostileImap):
    """Says `answer` to every `command` (of UID FETCH: those for bodies) for `seconds` from the first one on."""

    command = "UID FETCH"
    answer = "NO"
    seconds = FOR_EVER
    first = 0.0

    def check(self, command: str) -> None:
        if command != self.command:
            return
        self.first = self.first or time.monotonic()
        if time.monotonic() < self.first + self.seconds:
            raise Refused(self.answer)

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

    def questions(self, since: float) -> list[Command]:
        return [one for one in self.asked(since=since) if one.name not in GOODBYES]


def refusing(command: str, answer: str, *, seconds: float = FOR_EVER, count: int = 20, host: int = 1) -> Refusing:
    server = Refusing(count=count, host=f"127.0.0.{host}")
    server.command, server.answer, server.seconds = command, answer, seconds
    return server


async def all_refused(pipeline: Pipeline, servers: dict[str, Refusing]) -> None:
    for name, server in servers.items():
        await pipeline.until(lambda server=server: server.first, f"{name} has refused")


@pytest.mark.invariant("I9")
@pytest.mark.parametrize("command", COMMANDS)
async def test_a_pause_that_the_server_names_is_kept_for_all_that_is_asked(mirror: Mirror, command: str) -> None:
    servers = {
        name: refusing(command, answer, host=2 + index) for index, (name, (answer, _)) in enumerate(PAUSES.items())
    }
    async with mirror(servers, sync_interval=0.5) as pipeline:
        await all_refused(pipeline, servers)
        began = max(server.first for server in servers.values()) + 1.0  # what was on its way is refused, too
        run = await pipeline.start_sync()  # nor does it help that somebody asks
        for server in servers.values():
            server.deliver()
        await pipeline.stays(lambda: True, "time passes", began + 5 - time.monotonic())
        asked = {name: server.questions(began) for name, server in servers.items()}
        assert not {name: len(commands) for name, commands in asked.items() if len(commands) > 1}, asked
        assert not {name for name, server in servers.items() if len(server.asked("CONNECT")) > 6}
        for name, (answer, seconds) in PAUSES.items():
            words = answer.split("] ")[-1].removeprefix("BAD ")
            assert words in await pipeline.words(name), "the server's words"
            assert pipeline.log.warnings(words, name)
            paused_until = (await pipeline.live(name)).paused_until
            assert paused_until is not None
            left = (paused_until - datetime.now(UTC)).total_seconds()
            assert seconds - 30 <= left <= 24 * 3600
            if pipeline.state(name):
                await pipeline.until(lambda name=name: pipeline.status(name) in NOT_WELL, "told")
        result = await pipeline.result(run, within=2)
        assert result.status == "failed", "a run over accounts that are left alone ends, and says why"
        assert all(one.error for one in result.results)


@pytest.mark.invariant("I9")
@pytest.mark.parametrize("command", COMMANDS)
async def test_a_refusal_without_a_time_is_followed_by_growing_pauses(mirror: Mirror, command: str) -> None:
    kinds = {name: answer for name, answer in UNTIMED.items() if command != "LOGIN" or name not in ("plain", "bad")}
    if command == "STATUS":  # a server without a STATUS is mirrored by SELECT and SEARCH: test_hostile_status.py
        kinds = {name: answer for name, answer in kinds.items() if name == "unavailable"}
    servers = {name: refusing(command, answer, host=2 + index) for index, (name, answer) in enumerate(kinds.items())}
    async with mirror(servers, sync_interval=60) as pipeline:
        await all_refused(pipeline, servers)
        began = max(server.first for server in servers.values())
        await pipeline.stays(lambda: True, "time passes", began + 8 - time.monotonic())
        counts = {
            name: len([one for one in server.asked(command) if one.body or command != "UID FETCH"])
            for name, server in servers.items()
        }
        assert not {name: count for name, count in counts.items() if count > 8}, counts
        connections = {name: len(server.asked("CONNECT")) for name, server in servers.items()}
        assert not {name: count for name, count in connections.items() if count > 6}, connections
        for name, answer in kinds.items():
            assert answer.split("] ")[-1].split(" ", 1)[-1] in await pipeline.words(name), "the server's words"


@pytest.mark.parametrize("command", COMMANDS)
async def test_when_a_short_pause_is_over_all_is_fetched(mirror: Mirror, command: str) -> None:
    answer = "NO [THROTTLED] Request is throttled. Suggested Backoff Time: 3000 milliseconds"
    server = refusing(command, answer, seconds=2.5)
    async with mirror(server) as pipeline:
        await pipeline.until(lambda: server.first, "refused")
        await pipeline.until(lambda: len(pipeline.uids()) == 20, "all stored", within=15)
        early = [one for one in server.questions(server.first + 0.5) if one.at < server.first + 2.9]
        assert len(early) <= 1, early
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")
        assert (await pipeline.live()).paused_until is None


async def test_a_pushed_mail_that_is_put_off_is_stored_when_the_pause_is_over(mirror: Mirror) -> None:
    server = refusing("UID FETCH", "NO [LIMIT] Slow down. Please retry after 3 seconds", seconds=0)
    async with mirror(server, sync_interval=60) as pipeline:
        await pipeline.until(lambda: len(pipeline.uids()) == 20, "all stored")
        await pipeline.idling()
        server.first, server.seconds = time.monotonic(), 2.5
        server.deliver(mail(21))
        began = time.monotonic()
        await pipeline.until(lambda: len(pipeline.uids()) == 21, "stored after the pause", within=15)
        assert len([one for one in server.asked(since=began, body=True) if 21 in one.uids]) <= 3


async def test_nobody_else_waits_for_an_account_that_is_left_alone(mirror: Mirror) -> None:
    healthy = HostileImap(count=3)
    servers = {"left": refusing("UID FETCH", PAUSES["yahoo"][0], host=2), "healthy": healthy}
    async with mirror(servers) as pipeline:
        await pipeline.stored(1, 2, 3, account="healthy")
        await pipeline.idling("healthy")
        healthy.deliver(mail(4))
        await pipeline.stored(1, 2, 3, 4, account="healthy", within=2)
        run = await pipeline.sync("healthy", within=5)
        assert run.status == "ok"


async def test_a_refused_sync_does_not_fill_the_log(mirror: Mirror) -> None:
    server = refusing("UID FETCH", "NO [SERVERBUG] Internal error occurred", count=100)
    async with mirror(server) as pipeline:
        await pipeline.until(lambda: server.first, "refused")
        await pipeline.stays(lambda: len(pipeline.log.records) < 60, "few lines", 4)


async def test_a_login_that_is_put_off_blames_no_password_and_recovers(mirror: Mirror) -> None:
    answers = (
        "BAD User is authenticated but not connected.",
        "NO [UNAVAILABLE] Temporary authentication failure",
        "NO Server Busy, please try again later",
    )
    servers = {
        f"a{at}": refusing("LOGIN", answer, seconds=2.0, count=3, host=2 + at) for at, answer in enumerate(answers)
    }
    async with mirror(servers) as pipeline:
        for name, server in servers.items():
            await pipeline.stored(1, 2, 3, account=name, within=60)
            assert len(server.asked("LOGIN")) <= 8
        assert not pipeline.log.warnings("IMAP_PASSWORD")


async def test_a_wrong_password_is_called_one(mirror: Mirror) -> None:
    server = refusing("LOGIN", "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", count=3)
    async with mirror(server) as pipeline:
        await pipeline.until(lambda: server.first, "refused")
        await pipeline.until(lambda: pipeline.log.warnings("IMAP_PASSWORD"), "a person is told what to check")
        await pipeline.stays(lambda: len(server.asked("LOGIN")) <= 2, "not hammered", 3)


async def test_a_mailbox_that_fails_is_one_line_and_one_event_and_so_is_its_end(mirror: Mirror) -> None:
    class Down(Refusing):
        tries = 0

        def select(self, session: Session) -> list[str]:
            self.tries += 1
            self.answer = f"NO not now (0.{self.tries:03} secs)"
            return super().select(session)

    server = Down(count=3)
    server.command = "SELECT"
    async with mirror(server, sync_interval=0.5) as pipeline:

        def lines() -> list[str]:
            return [one["event"] for one in pipeline.log.records if one.get("mailbox") == "INBOX"]

        def failed() -> list[bool]:
            return [event.status == "failed" for event in pipeline.thin if isinstance(event, Synced)]

        await pipeline.until(lambda: server.tries >= 8, "several tries")
        assert lines() == ["mailbox failing"]
        server.seconds = 0
        await pipeline.stored(1, 2, 3)
        await pipeline.until(lambda: "mailbox works again" in lines(), "the end is told")
        await pipeline.until(lambda: failed()[-1:] == [False], "the events tell the end")
        assert lines().count("mailbox works again") == lines().count("mailbox failing") == 1
        assert failed().count(True) == 1
        (end,) = (one for one in pipeline.log.records if one["event"] == "mailbox works again")
        assert end["failed_tries"] >= 4
