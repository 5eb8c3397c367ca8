"""The api's listening sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from typing import Any

import pytest
from aiohttp import web

from api.http.listening import listen


@pytest.mark.asyncio
async def test_without_a_free_descriptor_it_tries_once_a_second_and_then_accepts_whoever_waits() -> None:
    runner = web.AppRunner(web.Application(), shutdown_timeout=0.1)
    await runner.setup()
    await listen(runner, "127.0.0.1", 0)
    port = runner.addresses[0][1]
    refused: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: refused.append(context))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert runner.server is not None
    with contextlib.ExitStack() as crowd:
        for _ in range(20):
            crowd.enter_context(socket.create_connection(("127.0.0.1", port)))
        os.close(lowest := os.dup(0))
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 3, hard))
            await asyncio.sleep(0.3)  # nothing is to happen
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert len(refused) == 1
        async with asyncio.timeout(10):
            while len(runner.server.connections) < 20:  # noqa: ASYNC110 - aiohttp has no event to wait for
                await asyncio.sleep(0.01)
    assert len(refused) == 1
    await runner.cleanup()


@pytest.mark.asyncio
async def test_it_listens_on_every_address_of_a_name_and_says_which_it_cannot() -> None:
    runner = web.AppRunner(web.Application(), shutdown_timeout=0.1)
    await runner.setup()
    await listen(runner, "localhost", 0)
    assert {host for host, *_ in runner.addresses} <= {"127.0.0.1", "::1"}
    assert runner.addresses
    with pytest.raises(OSError, match="in use"):
        await listen(runner, *runner.addresses[0][:2])
    await runner.cleanup()
