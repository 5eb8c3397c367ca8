"""Listening sockets that bear a process without free descriptors.

At each turn of its loop asyncio accepts as many connections as its `backlog`, and goes on also when one fails for want
of a descriptor: each failure is told, and each brings another turn. So it is told to accept one at a time; how many the
system keeps waiting is another number.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from aiohttp import web

_WAITING: Final = 128  # connections that the system keeps for us


async def listen(runner: web.AppRunner, host: str, port: int) -> None:
    """On every address of `host`; `runner` is set up. Raises OSError."""
    for one in await _sockets(host, port):
        await web.SockSite(runner, one, backlog=1).start()
        one.listen(_WAITING)


async def _sockets(host: str, port: int) -> list[socket.socket]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    opened: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            opened.append(socket.create_server(address, family=family, backlog=_WAITING))
    except OSError:
        for one in opened:
            one.close()
        raise
    return opened
