"""A server that is not hostile at all: where these fail, no other test in test_hostile_*.py says anything."""

from __future__ import annotations

import time

import pytest

from tests.support.hostile_imap import HostileImap, mail
from tests.support.pipeline import Mirror

pytestmark = pytest.mark.trio


@pytest.mark.parametrize(
    "capabilities",
    [
        "IMAP4rev1",
        "IMAP4rev1 IDLE",
        "IMAP4rev1 IDLE UNSELECT UIDPLUS ESEARCH",
        "IMAP4rev1 IDLE UNSELECT UIDPLUS ESEARCH ENABLE CONDSTORE LITERAL+",
    ],
    ids=lambda capabilities: capabilities.split()[-1],
)
async def test_a_decent_server_is_mirrored(mirror: Mirror, capabilities: str) -> None:
    server = HostileImap(count=5)
    server.capabilities = capabilities
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 3, 4, 5)
        await pipeline.connection("idling" if "IDLE" in capabilities else "polling")
        server.deliver()
        await pipeline.stored(1, 2, 3, 4, 5, 6)
        server.expunge(2)
        await pipeline.until(lambda: pipeline.expunged() == [2], "UID 2 is expunged")
        run = await pipeline.sync()
        assert (run.status, run.found) == ("ok", 0)
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")
        assert pipeline.uids() == [1, 3, 4, 5, 6]
        assert [row["subject"] for row in pipeline.messages()] == [f"mail {number}" for number in range(1, 7)]
        assert not pipeline.log.tracebacks()


async def test_two_accounts_and_a_large_mail(mirror: Mirror) -> None:
    servers = {"a": HostileImap(count=3), "b": HostileImap(mail(1, 9 << 20), host="127.0.0.2")}
    async with mirror(servers) as pipeline:
        await pipeline.stored(1, 2, 3, account="a")
        await pipeline.stored(1, account="b")
        assert pipeline.messages("b")[0]["size"] == len(servers["b"].mails[1])


async def test_a_second_start_goes_on_where_the_first_ended(mirror: Mirror) -> None:
    server = HostileImap(count=3)
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 3)
    server.add(mail(4))
    began = time.monotonic()
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 3, 4)
        assert {one.uids for one in server.asked(since=began, body=True)} == {(4,)}, (
            "what is stored is not fetched again"
        )
