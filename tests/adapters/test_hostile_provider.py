"""Three hundred accounts at one host that is named like a provider which counts by account."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from mailcore.settings import Settings
from syncer.accounts import Accounts
from syncer.sources import Sources
from tests.support.hostile_imap import HostileImap
from tests.support.nats import NatsServer
from tests.support.pipeline import Pipeline, running, settings_of

HOST: Final = "imap.gmail.com"
COUNT: Final = 300


@pytest.fixture
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """HOST is on loopback; nothing else changes, and nothing leaves the machine."""
    of = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **named: Any) -> Any:
        return of("127.0.0.1" if host == HOST else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def settings(server: HostileImap, nats: NatsServer, home: Path) -> Settings:
    """The bounds of a server that counts by address are the defaults, which 300 accounts could not share."""
    given = settings_of(server, nats, home, sync_interval=3600, host_logins=5.0)
    account = given.accounts[0].model_copy(update={"host": HOST})
    given._accounts = tuple(
        account.model_copy(update={"name": name, "user": name})
        for name in (f"user-{number}" for number in range(COUNT))
    )
    return given


async def idling(pipeline: Pipeline) -> dict[str, Any]:
    """Since when each account idles, once all of them do."""
    with trio.fail_after(100):
        while True:
            found = {one.account: one for one in await pipeline.lives()}
            if len(found) == COUNT and all(one.connection == "idling" for one in found.values()):
                return {name: one.since for name, one in found.items()}
            await trio.sleep(0.2)


@pytest.mark.trio
@pytest.mark.usefixtures("_at_home")
async def test_three_hundred_accounts_at_one_provider_are_all_pushed_and_one_that_changes_touches_no_other(
    nats_server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = HostileImap()
    given = settings(server, nats_server, tmp_path)
    sources = Sources(given, Accounts(given.accounts))
    try:
        async with running(given, sources=sources) as pipeline:
            await idling(pipeline)
            server.deliver()
            count = "SELECT count(*) AS n FROM mailbox_app_mailmessage"
            await pipeline.until(lambda: pipeline.rows(count)[0]["n"] == COUNT, "pushed to everybody", 60)

            before = await idling(pipeline)
            await pipeline.until(lambda: len(server.idling) == COUNT, "all idle again")
            connected = server.idling
            changed = given.accounts[7].model_copy(update={"connections": 5})
            fresh = given.model_copy()
            fresh._accounts = (*given.accounts[:7], changed, *given.accounts[8:])
            monkeypatch.setattr("syncer.sources.load_settings", lambda: fresh)
            await sources.reload()
            await pipeline.until(lambda: any(one not in server.open for one in connected), "it leaves")
            await pipeline.until(lambda: len(server.idling) == COUNT, "it comes back")
            after = await idling(pipeline)

            assert {name for name in before if before[name] != after[name]} == {"user-7"}, "the others' same IDLE"
            assert {one.user for one in connected if one not in server.open} == {"user-7"}, "on the same connections"
    finally:
        server.close()
