"""Clients that are slow, silent or many, over real sockets."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from api.dependencies import Dependencies
from api.http.connections import CONNECTIONS, Connections, Limits
from api.main import application
from mailcore.settings import Settings

TOKEN = "a-token-that-nobody-can-guess-0123456789"
QUICK = Limits(header=0.2, body=0.2, stalled=0.3, most=4)
HEAD = f"Host: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
# More than the system keeps for a connection on loopback.
LARGE = 64 << 20


class Server:
    def __init__(self, port: int, runner: web.AppRunner) -> None:
        self.port = port
        self._runner = runner
        self.writers: list[asyncio.StreamWriter] = []

    @property
    def open(self) -> int:
        assert self._runner.server is not None
        return len(self._runner.server.connections)

    async def connect(self, sent: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 16)
        self.writers.append(writer)
        writer.write(sent.encode())
        return reader, writer

    async def until_open(self, count: int) -> None:
        async with asyncio.timeout(10):
            for pause in itertools.repeat(0.02):
                if self.open == count:
                    return
                await asyncio.sleep(pause)


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    settings = Settings(_env_file=None, nats_url="nats://127.0.0.1:1", data_dir=tmp_path)
    dependencies = await Dependencies.open(settings)
    app = application(dependencies, TOKEN)
    app[CONNECTIONS].limits = QUICK

    async def large(request: web.Request) -> web.Response:
        return web.Response(body=bytes(LARGE))

    app.router.add_get("/api/large/", large)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made = Server(runner.addresses[0][1], runner)
    async with app[CONNECTIONS].watching(runner):
        yield made
    for writer in made.writers:
        writer.close()
    await runner.cleanup()
    await dependencies.close()


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What came until the other side closed."""
    found = bytearray()
    async with asyncio.timeout(10):
        try:
            while data := await reader.read(1 << 16):
                found += data
        except ConnectionResetError:
            pass
    return bytes(found)


@pytest.mark.asyncio
@pytest.mark.parametrize("sent", ["", "GET /healthz HTTP/1.1\r\nHost: 127", "G"])
async def test_who_sends_no_whole_request_is_cut_off(server: Server, sent: str) -> None:
    reader, _ = await server.connect(sent)

    assert await ended(reader) == b""
    await server.until_open(0)


@pytest.mark.asyncio
async def test_who_asked_once_may_stay_quiet(server: Server) -> None:
    ask = f"GET /healthz HTTP/1.1\r\n{HEAD}\r\n"
    reader, writer = await server.connect(ask)
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        silent, _ = await server.connect()
        await ended(silent)  # by now the limit has passed for both
        await reader.readuntil(b"}")
        writer.write(ask.encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "kind"),
    [("/api/mailbox/sync/", "application/json"), ("/admin/login/", "application/x-www-form-urlencoded")],
)
async def test_a_body_that_does_not_come_is_408(server: Server, path: str, kind: str) -> None:
    reader, _ = await server.connect(
        f"POST {path} HTTP/1.1\r\n{HEAD}Content-Type: {kind}\r\nContent-Length: 99\r\n\r\n{{"
    )

    async with asyncio.timeout(10):
        line = await reader.readline()
    assert b" 408 " in line


@pytest.mark.asyncio
async def test_who_takes_nothing_of_an_answer_is_cut_off_and_who_takes_it_slowly_gets_it_whole(server: Server) -> None:
    ask = f"GET /api/large/ HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n"
    deaf, _ = await server.connect(ask)
    slow, _ = await server.connect(ask)

    async def take() -> int:
        count = 0
        while data := await slow.read(1 << 20):
            count += len(data)
            await asyncio.sleep(0.002)
        return count

    async with asyncio.timeout(30):
        assert await take() > LARGE
    await server.until_open(0)
    assert len(await ended(deaf)) < LARGE


@pytest.mark.asyncio
async def test_a_crowd_is_sent_away_and_those_before_it_stay(server: Server) -> None:
    ask = f"GET /healthz HTTP/1.1\r\n{HEAD}\r\n"
    first, writer = await server.connect(ask)
    async with asyncio.timeout(10):
        await first.readuntil(b"}")
    for _ in range(8):
        await server.connect(ask)

    await server.until_open(QUICK.most)
    writer.write(ask.encode())
    async with asyncio.timeout(10):
        assert (await first.readline()).startswith(b"HTTP/1.1 200")


def test_what_ended_is_forgotten() -> None:
    connections = Connections()
    connections._asked.add(object())  # type: ignore[arg-type]  # whatever it is, it is not among those that are open

    connections.look([], 0.0)

    assert connections._asked == set()
