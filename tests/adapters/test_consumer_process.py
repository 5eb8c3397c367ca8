"""The consumer as a process: started with settings from the environment, ended by signals."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailcore.bus import MAIL, Bus
from mailcore.store import Store
from tests.support.consumers import Ear, event, kept_files, mail, temporary_files, until
from tests.support.nats import NatsServer
from tests.support.stores import KEY, query

# What a killed consumer had comes again after one second instead of sixty.
_HASTY = """
import runpy
from mailcore.bus.layout.durables import DURABLES
for _, config in DURABLES.values():
    config["ack_wait"] = 1_000_000_000
runpy.run_module("consumers", run_name="__main__")
"""


@contextmanager
def consumer(nats_url: str, database_url: str, home: Path, *program: str) -> Iterator[subprocess.Popen[str]]:
    environment = {
        "PATH": os.environ["PATH"],
        "NATS_URL": nats_url,
        "DATABASE_URL": database_url,
        "DATA_DIR": str(home / "data"),
        "MEDIA_ROOT": str(home / "media"),
        "PYTHONPATH": str(Path.cwd()),
    }
    process = subprocess.Popen(
        [sys.executable, "-W", "error", *(program or ("-m", "consumers"))],
        cwd=home,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.asyncio
async def test_it_makes_its_tables_stores_says_so_in_one_line_and_ends_on_sigterm(
    bus: Bus, ear: Ear, nats_server: NatsServer, store_url: str, tmp_path: Path
) -> None:
    with consumer(nats_server.url, store_url, tmp_path) as process:
        store = await Store.open(store_url)
        await store.upgrade()
        await store.save_mailbox(KEY, uidvalidity=7)
        await bus.publish(event(1))
        await ear.count(1)
        process.send_signal(signal.SIGTERM)
        _, said = await asyncio.to_thread(process.communicate, timeout=5)
        await store.close()
    assert process.returncode == 0, said
    (line,) = [line for line in said.splitlines() if "identity=" in line]
    for fact in (
        "stored",
        "identity=default/INBOX/7/1",
        f"size={event(1).size}",
        "attachments=1",
        "push_to_stored_ms=",
    ):
        assert fact in line
    assert nats_server.token not in said
    assert "Traceback" not in said


@pytest.mark.asyncio
async def test_killed_again_and_again_it_stores_all_and_leaves_no_temporary_file(
    bus: Bus, ear: Ear, nats_server: NatsServer, store_url: str, tmp_path: Path
) -> None:
    store = await Store.open(store_url)
    await store.upgrade()
    await store.save_mailbox(KEY, uidvalidity=7)
    content = os.urandom(50_000)
    for number in range(1, 301):
        await bus.publish(event(number, body=mail(number, attachment=content)))
    killed = 0
    while await store.count_messages() < 300 and killed < 5:
        before = await store.count_messages()

        async def more(before: int = before) -> bool:
            return await store.count_messages() > before

        with consumer(nats_server.url, store_url, tmp_path, "-c", _HASTY):
            await until(more, "some more are stored", within=30)
        killed += 1
    with consumer(nats_server.url, store_url, tmp_path, "-c", _HASTY) as process:

        async def all_there() -> bool:
            return await store.count_messages() == 300 and await bus.ack_floor(MAIL) == 300

        await until(all_there, "300 rows, all settled", within=60)
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 5)
    assert killed >= 2
    assert await query(store_url, "SELECT count(*), count(DISTINCT uid) FROM mailbox_app_mailmessage") == [(300, 300)]
    files = {path for (path,) in await query(store_url, "SELECT file FROM mailbox_app_mailattachment")}
    assert kept_files(tmp_path / "media") == files
    assert len(files) == 300
    assert all((tmp_path / "media" / path).read_bytes() == content for path in files)
    assert temporary_files(tmp_path / "media") == set()
    await store.close()
