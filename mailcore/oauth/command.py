"""TOKEN_COMMAND: a program of the operator's that prints an access token."""

from __future__ import annotations

import asyncio
import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Final

from mailcore import log
from mailcore.account import Account
from mailcore.errors import ImapError, Retry, Scope

WITHIN: Final = 20.0  # seconds for the command
KEPT: Final = 60.0  # seconds for which what it printed is used again: an account's connections are made together
_LIMIT: Final = 64 << 10  # bytes, of each of its outputs
_SHOWN: Final = 200


class CommandTokens:
    """Runs the command at most once at a time, and again for a token that the server refused."""

    def __init__(self, account: Account, *, within: float = WITHIN, now: Callable[[], float] = time.monotonic) -> None:
        self._account = account
        self._within = within
        self._now = now
        self._turn = asyncio.Lock()
        self._token = ""
        self._until = 0.0

    async def token(self, refused: str = "") -> str:
        """Raises ImapError."""
        async with self._turn:
            if not self._token or self._token == refused or self._now() >= self._until:
                told = {"MOZZART_ACCOUNT": self._account.name, "MOZZART_USER": self._account.user}
                found = await asyncio.to_thread(run, self._account.token_command, told, self._within)
                self._take(read(found, f"{self._account.setting('token_command')} of account {self._account.name!r}"))
            return self._token

    def _take(self, token: str) -> None:
        if token != self._token:
            log.forget(self._token)
            log.hide(token)
        self._token, self._until = token, self._now() + KEPT


@dataclass(frozen=True)
class Ran:
    """`code` is None when it took too long or said too much, which `end` tells then, or why it could not be started."""

    code: int | None
    output: bytes = b""
    error: bytes = b""
    end: str = ""


def run(command: str, told: Mapping[str, str], within: float) -> Ran:
    """Run it without a shell, with `told` in its environment besides ours. Blocks for `within` seconds at most; what it
    started is ended with it."""
    try:
        child = subprocess.Popen(
            shlex.split(command),
            env={**os.environ, **told},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Ran(None, end=f"cannot be started ({getattr(error, 'strerror', None) or error})")
    assert child.stdout is not None
    assert child.stderr is not None
    found = {child.stdout: bytearray(), child.stderr: bytearray()}
    try:
        end = _read(child, found, time.monotonic() + within)
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for stream in found:
            stream.close()
    if end:
        return Ran(None, end=end.format(within=f"{within:g} s"), error=bytes(found[child.stderr]))
    return Ran(child.returncode, bytes(found[child.stdout]), bytes(found[child.stderr]))


def _read(child: subprocess.Popen[bytes], found: Mapping[IO[bytes], bytearray], deadline: float) -> str:
    """Until both outputs end or the command does; why it is to be ended before."""
    with selectors.DefaultSelector() as selector:
        for stream in found:
            selector.register(stream, selectors.EVENT_READ, stream)
        ended = False
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return "did not end within {within}"
            ready = selector.select(0 if ended else min(left, 0.05))
            for key, _ in ready:
                data = os.read(key.fd, 1 << 14)
                found[key.data].extend(data)
                if not data:
                    selector.unregister(key.data)
                elif len(found[key.data]) > _LIMIT:
                    return f"printed more than {_LIMIT >> 10} KiB"
            if ended and not ready:
                break  # something that it left behind holds its outputs open
            ended = child.poll() is not None
    try:
        child.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "did not end within {within}"
    return ""


def read(ran: Ran, what: str) -> str:
    """The token. Raises ImapError: what happened in words, with the last line of its standard error, and never with
    what may be a token. Pure."""
    token = ran.output.decode("utf-8", "replace").strip()
    lines = [line.strip() for line in ran.error.decode("utf-8", "replace").splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    for word in token.split():
        last = last.replace(word, log.STRUCK_OUT)
    shown = "".join(char if char.isprintable() else "?" for char in last[:_SHOWN])
    said = f": {shown}" if shown else ""
    if ran.end:
        raise _failed(f"{what} {ran.end}{said}")
    if ran.code:
        how = f"ended with code {ran.code}" if ran.code > 0 else f"was ended by signal {-ran.code}"
        raise _failed(f"{what} {how}{said}")
    if not token:
        raise _failed(f"{what} printed nothing; it must print an access token{said}")
    if len(token.split()) != 1 or not token.isascii() or not token.isprintable():
        raise _failed(f"{what} printed something else than one access token")
    return token


def _failed(text: str) -> ImapError:
    return ImapError(text, scope=Scope.ACCOUNT, retry=Retry.LATER)
