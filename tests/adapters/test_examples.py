"""The programs in examples/, run as a reader would run them, against a real nats-server."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import nats
import pytest

from mailcore.bus import Bus
from mailcore.events.message import FoundBy, Kind
from mailcore.events.thin import Stored
from tests.support.events import NOW, message
from tests.support.nats import NatsServer

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def stored(uid: int) -> Stored:
    return Stored(
        account="default",
        mailbox="INBOX",
        at=NOW,
        uidvalidity=7,
        uid=uid,
        row_id=uid + 100,
        sha256="0" * 64,
        size=23,
        attachments=0,
        subject="Grüße",
        from_name="Anna" if uid % 2 else "",
        from_email="anna@example.org",
        kind=Kind.NEW,
        found_by=FoundBy.PUSH,
    )


class Running:
    """An example that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self.process = process
        self._lines = process.stdout

    async def line(self) -> str:
        """The next line that it prints."""
        async with asyncio.timeout(30):
            return (await self._lines.readline()).decode().rstrip("\n")

    async def printed(self, wanted: str) -> None:
        """Until it prints exactly this; what it logs in between is passed over."""
        while (line := await self.line()) != wanted:
            assert "INFO" in line, line


@asynccontextmanager
async def running(*arguments: str, **environment: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        env={**os.environ, **environment},
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Running(process)
    finally:
        process.kill()
        await process.communicate()


def test_every_example_is_run_by_a_test_and_named_in_the_documentation() -> None:
    text, page = Path(__file__).read_text(), (ROOT / "docs" / "events.md").read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f'"examples/{path.name}' in text, path.name
        assert f"[{path.name}](../examples/{path.name})" in page, path.name


@pytest.mark.asyncio
async def test_the_live_example_tells_what_is_stored_from_now_on(bus: Bus, nats_server: NatsServer) -> None:
    await bus.publish(stored(1))
    async with running("examples/live.py", NATS_URL=nats_server.url) as example:
        assert await example.line() == "listening"
        await bus.publish(stored(2))
        assert await example.line() == "default/INBOX: anna@example.org: Grüße (row 102)"


@pytest.mark.asyncio
async def test_the_durable_example_goes_on_where_it_was_killed_and_does_nothing_twice(
    bus: Bus, nats_server: NatsServer, tmp_path: Path
) -> None:
    settings = {"NATS_URL": nats_server.url, "DONE": str(tmp_path / "done.db")}
    await bus.publish(message(1, b"Subject: one\r\n\r\n"))
    async with running("examples/durable.py", **settings) as example:
        assert await example.line() == "done default/INBOX/7/1: one"
    await bus.publish(message(2, b"Subject: two\r\n\r\n"))
    async with running("examples/durable.py", **settings) as example:
        told = {await example.line()}
        if "done default/INBOX/7/2: two" not in told:  # killed before its ack was sent: delivered again, and known
            told.add(await example.line())
    assert told - {"known default/INBOX/7/1: one"} == {"done default/INBOX/7/2: two"}


@pytest.mark.asyncio
async def test_the_durable_example_fetches_a_large_message_from_the_object_store(
    bus: Bus, nats_server: NatsServer, tmp_path: Path
) -> None:
    raw = b"Subject: large\r\n\r\n" + b"x" * 300_000
    spooled = tmp_path / "body"
    spooled.write_bytes(raw)
    event = message(9, raw)
    # A name that needs its percent-encoding, as that of any mailbox that is no plain ASCII.
    await bus.put_body("default/Entw%C3%BCrfe/7/9", spooled)
    await bus.publish(replace(event, body=b"", object_name="default/Entw%C3%BCrfe/7/9"))

    async with running("examples/durable.py", NATS_URL=nats_server.url, DONE=str(tmp_path / "done.db")) as example:
        assert await example.line() == "done default/INBOX/7/9: large"


@pytest.mark.asyncio
async def test_the_headers_only_example_tells_sizes_without_taking_bodies(bus: Bus, nats_server: NatsServer) -> None:
    raw = b"Subject: x\r\n\r\n" + b"x" * 100_000
    await bus.publish(message(3, raw))
    async with running("examples/headers_only.py", NATS_URL=nats_server.url) as example:
        line = await example.line()
    assert line == f"default/INBOX/7/3 {len(raw)} bytes, received 2024-05-06T07:08:09.123456Z"

    client = await nats.connect(nats_server.url)
    info = await client.jetstream().consumer_info("MAIL", "sizes-example")
    await client.close()
    assert info.config.headers_only is True


@pytest.mark.asyncio
async def test_the_faststream_example_gets_typed_events(bus: Bus, nats_server: NatsServer) -> None:
    await bus.publish(stored(5))
    async with running("examples/faststream_app.py", NATS_URL=nats_server.url) as example:
        await example.printed("INBOX UID 5: Anna: Grüße, row 105")
        await bus.publish(stored(6))
        await example.printed("INBOX UID 6: anna@example.org: Grüße, row 106")
