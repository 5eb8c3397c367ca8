"""One HTTP POST to the receiver."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final, Self
from urllib.parse import urlsplit

import aiohttp

from webhooks.disposition import Answer
from webhooks.notice import Notice
from webhooks.signature import signed

# Standard Webhooks recommends 15 to 30 seconds.
TIMEOUT: Final = 15.0
_DISTRIBUTION: Final = "mozzart-mailbox-sync"


class Receiver:
    """Use as an async context manager. Its name in logs is the host: the rest of the URL may be a secret."""

    def __init__(self, url: str, keys: tuple[bytes, ...], *, timeout: float = TIMEOUT) -> None:
        self._url = url
        self._keys = keys
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            headers={"User-Agent": f"{_DISTRIBUTION}/{version(_DISTRIBUTION)}", "Content-Type": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
            # aiohttp's own was made when it was imported, and trusts nobody (mailcore/imports.py).
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context()),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, notice: Notice) -> Answer:
        """Never raises for what the network or the receiver does. The answer's body is nobody's business."""
        assert self._session is not None, "send() outside of the context"
        headers = signed(notice.id, notice.body, datetime.now(UTC), self._keys)
        try:
            async with self._session.post(
                self._url, data=notice.body, headers=headers, allow_redirects=False
            ) as response:
                return Answer(response.status, retry_after=_seconds(response.headers.get("Retry-After", "")))
        except TimeoutError:
            return Answer(None, f"no answer within {self._timeout:g} s")
        except aiohttp.ClientConnectorError as error:
            return Answer(None, f"no connection: {_reason(error.os_error)}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(None, f"no answer: {type(error).__name__}")


def _reason(error: OSError) -> str:
    """What the system says; asyncio's own words repeat the address, and those of the resolver have no such number."""
    number = error.errno or 0
    return os.strerror(number) if number > 0 else error.strerror or type(error).__name__


def _seconds(retry_after: str) -> float | None:
    """RFC 9110 §10.2.3; the form with a date is not worth its clock."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 9 else None
