"""Servers that do not let us in and say why: their words are shown, and they are asked seldom.

Each server is a host of its own, so that they share a test and its seconds.
"""

from __future__ import annotations

import time
from typing import Final

import pytest

from tests.support.hostile_imap import HangUp, HostileImap, Refused, Session, mail
from tests.support.pipeline import Mirror

pytestmark = pytest.mark.trio
GREETINGS: Final = {
    "icewarp": " NO LOGOUT Intrusion prevention active for 127.0.0.1",
    "bye": "* BYE Too many bad logins from your address, wait a while",
    "no": "* NO Maintenance until noon",
    "http": "HTTP/1.1 400 Bad Request",
    "smtp": "220 mail.example.com ESMTP not an IMAP server",
    "connections": "* BYE [UNAVAILABLE] Maximum number of connections from user+IP exceeded",
}
WORDS: Final = {name: line.split("] ")[-1].split(" ", 1)[-1].removeprefix("BYE ") for name, line in GREETINGS.items()}


class Guarded(HostileImap):
    line = ""

    def greeting(self) -> str:
        return self.line or super().greeting()


async def test_the_words_of_a_refused_greeting_are_shown_and_few_connections_are_made(mirror: Mirror) -> None:
    servers = {name: Guarded(count=1, host=f"127.0.0.{2 + index}") for index, name in enumerate(GREETINGS)}
    for name, server in servers.items():
        server.line = GREETINGS[name]
    async with mirror(servers) as pipeline:
        await pipeline.stays(lambda: True, "time passes", 20)
        connections = {name: len(server.asked("CONNECT")) for name, server in servers.items()}
        assert not {name: count for name, count in connections.items() if not 1 <= count <= 6}, connections
        silent = {name for name in GREETINGS if not pipeline.log.warnings(WORDS[name].rsplit(" ", 1)[-1], name)}
        assert not silent, "not in the log"
        unsaid = [name for name in GREETINGS if WORDS[name][-12:] not in await pipeline.words(name)]
        assert not unsaid, "not where a person looks"


async def test_a_server_that_lets_us_in_again_is_mirrored_soon(mirror: Mirror) -> None:
    server = Guarded(count=3)
    server.line = "* BYE Server shutting down"
    async with mirror(server) as pipeline:
        await pipeline.until(lambda: server.asked("CONNECT"), "a connection")
        await pipeline.stays(lambda: True, "time passes", 1)
        server.line = ""
        await pipeline.stored(1, 2, 3, within=40)
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")


@pytest.mark.parametrize(
    "farewell", ["* BYE Autologout; idle for too long", "* BYE [UNAVAILABLE] going down for maintenance"]
)
async def test_a_server_that_says_bye_behind_the_login_is_asked_seldom(mirror: Mirror, farewell: str) -> None:
    class Leaving(HostileImap):
        def select(self, session: Session) -> list[str]:
            raise HangUp(farewell)

        def status(self, session: Session, items: str) -> list[str]:
            raise HangUp(farewell)

    server = Leaving(count=1)
    async with mirror(server) as pipeline:
        await pipeline.stays(lambda: True, "time passes", 10)
        assert 1 <= len(server.asked("CONNECT")) <= 10
        assert farewell[-12:] in await pipeline.words()


async def test_a_login_that_ends_in_bye_tells_the_words(mirror: Mirror) -> None:
    class Guard(HostileImap):
        def login(self, session: Session) -> str:
            raise HangUp("* BYE Please log in via your web browser first")

    server = Guard(count=1)
    async with mirror(server) as pipeline:
        await pipeline.until(lambda: pipeline.log.warnings("web browser"), "in the log")
        began = time.monotonic()
        await pipeline.stays(lambda: len(server.asked("CONNECT", since=began)) <= 6, "few connections", 6)
        assert "web browser" in await pipeline.words()


async def test_connections_that_are_too_many_stop_at_what_the_server_allows(mirror: Mirror) -> None:
    """A login beyond the second connection is refused; those two suffice."""

    class Narrow(HostileImap):
        def login(self, session: Session) -> str:
            if len([one for one in self.open if one is not session]) >= 2:
                raise Refused("NO [LIMIT] Too many simultaneous connections. (Failure)")
            return super().login(session)

    server = Narrow(count=5)
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 3, 4, 5, within=20)
        server.deliver(mail(6))
        await pipeline.stored(1, 2, 3, 4, 5, 6, within=15)
