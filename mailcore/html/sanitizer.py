"""Documents of messages' HTML, made in a process of its own: whatever a sender wrote, ours is not held up by it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import structlog

from mailcore.html.document import LONGEST, TOO_LONG, MailDocument, as_text
from mailcore.html.worker import encode

log = structlog.get_logger(__name__)

_WITHIN: Final = 2.0  # seconds; the worker's own limits are narrower, unless the machine stands still


class Sanitizer:
    """One document at a time; the worker is started for the first one. Call `close()` at the end."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._worker: _Worker | None = None

    async def document(self, html: str, pictures: Mapping[str, str], *, elsewhere: bool = False) -> MailDocument:
        """As `mailcore.html.document.document`; as text when that takes too much of time or memory."""
        html = html[: LONGEST + 1]  # so that it is seen whether there is more
        question = encode({"html": html, "pictures": dict(pictures), "elsewhere": elsewhere})
        async with self._turn:
            worker = await self._running()
            try:
                async with asyncio.timeout(_WITHIN):
                    return await worker.ask(question)
            except (TimeoutError, ConnectionError, asyncio.IncompleteReadError) as error:
                log.warning("the HTML of a message is shown as text", reason=repr(error))
                await self._end()
            except BaseException:  # nobody has read its answer: it is of no use for the next question
                await self._end()
                raise
        return as_text(html, TOO_LONG)

    async def close(self) -> None:
        """The worker is gone afterwards."""
        async with self._turn:
            await self._end()

    async def _running(self) -> _Worker:
        if self._worker is not None and self._worker.is_gone:
            await self._end()
        if self._worker is None:
            self._worker = await _Worker.start()
        return self._worker

    async def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.end()


class _Worker:
    """A subprocess by itself: asyncio's own need a child watcher, which is a matter of the loop's policy."""

    def __init__(
        self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = _start(theirs)
        return cls(process, *await asyncio.open_connection(sock=ours))

    @property
    def is_gone(self) -> bool:
        return self._process.poll() is not None

    async def ask(self, question: bytes) -> MailDocument:
        self._writer.write(question)
        await self._writer.drain()
        size = int.from_bytes(await self._reader.readexactly(4))
        return MailDocument(**json.loads(await self._reader.readexactly(size)))

    async def end(self) -> None:
        self._writer.close()
        with suppress(ProcessLookupError):  # with the process of this document
            os.killpg(self._process.pid, signal.SIGKILL)
        await asyncio.to_thread(self._process.wait)


def _start(end: socket.socket) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mailcore.html.worker"]
    return subprocess.Popen(command, stdin=end.fileno(), stdout=end.fileno(), start_new_session=True)
