"""Backpressure and silence of one connection: when to stop reading, and when to give up waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from mailcore.imap.framing import KEEP, Framer

HOLD: Final = 8 << 20  # bytes of messages that wait for their takers before reading pauses


class Flow:
    """Reading pauses when more than HOLD bytes wait for their takers, but never while somebody waits for the server:
    what he waits for may lie behind them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, silence: float, on_silence: Callable[[], None]) -> None:
        """`on_silence` is called when the server owes an answer and has sent nothing for `silence` seconds."""
        self._loop = loop
        self.silence = silence
        self._on_silence = on_silence
        self._transport: asyncio.Transport | None = None
        self._held = 0
        self._waiting = 0
        self._keeps: list[int] = []
        self._paused = False
        self._owed: Callable[[], bool] = lambda: False
        self._last_byte = loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self.framer = Framer()

    def attach(self, transport: asyncio.Transport, owed: Callable[[], bool]) -> None:
        """Begin with a (new) transport; `owed` says whether the server owes an answer."""
        self._transport = transport
        self._owed = owed
        self._paused = False
        self.framer = Framer()

    def stop(self) -> None:
        """The connection is gone."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def heard(self) -> None:
        """Bytes came, or the server has just been asked something."""
        self._last_byte = self._loop.time()

    def watch(self) -> None:
        """From now on the server's silence counts, as long as it owes an answer."""
        if self._timer is None:
            self._timer = self._loop.call_later(self.silence, self._check)

    def expect(self, silence: float) -> None:
        """From now on so many seconds of silence are too many."""
        self.silence = silence
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.watch()

    def _check(self) -> None:
        self._timer = None
        if not self._owed():
            return
        left = self.silence if self._paused else self._last_byte + self.silence - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check)
        else:
            self._on_silence()

    def hold(self, size: int) -> None:
        """`size` more bytes wait for a taker (negative: were taken)."""
        self._held += size
        self._balance()

    def keep(self, size: int) -> None:
        """Literals may be held up to `size` bytes until `unkeep(size)`; the longest such wish counts."""
        self._keeps.append(size)
        self.framer.keep = max(KEEP, *self._keeps)

    def unkeep(self, size: int) -> None:
        self._keeps.remove(size)
        self.framer.keep = max([KEEP, *self._keeps])

    def __enter__(self) -> None:
        """Somebody waits for the server."""
        self._waiting += 1
        self._balance()

    def __exit__(self, *_: object) -> None:
        self._waiting -= 1
        self._balance()

    def _balance(self) -> None:
        if self._transport is None:
            return
        if not self._paused and self._held > HOLD and not self._waiting:
            self._paused = True
            self._transport.pause_reading()
        elif self._paused and (self._held <= HOLD // 2 or self._waiting):
            self._paused = False
            self.heard()
            self._transport.resume_reading()
