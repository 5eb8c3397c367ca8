"""The subscriber of docs/events.md, run as a reader would run it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from mailcore.bus import Bus
from tests.support.events import message
from tests.support.nats import NatsServer

PAGE = Path(__file__).parents[2] / "docs" / "events.md"


@pytest.mark.asyncio
async def test_the_subscriber_in_the_documentation_prints_each_subject(nats_server: NatsServer, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    program = tmp_path / "subscriber.py"
    program.write_text(code)
    bus = await Bus.connect(nats_server.url, name="test")
    await bus.ensure(max_bytes=64 << 20)
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, env={**os.environ, "NATS_URL": nats_server.url}, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            for uid in (1, 2):
                await bus.publish(message(uid, b"Subject: number %d\r\n\r\n" % uid))
                assert await process.stdout.readline() == b"number %d\n" % uid
    finally:
        process.kill()
        await process.communicate()
        await bus.close()
