"""One request to a provider over HTTP. What is sent stands in no error and no log."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import ResolveResult

from mailcore.account_hosts import admits
from mailcore.oauth.answer import Answer

WITHIN: Final = 15.0  # seconds
_LARGEST: Final = 256 << 10
_NOT_ADMITTED: Final = "it has no address that accounts may be connected to; see ACCOUNT_HOSTS"


class Unreachable(Exception):
    """There was no answer; the text says why."""


class _Admitted(aiohttp.ThreadedResolver):
    """Gives those addresses alone that accounts may be connected to."""

    def __init__(self, hosts: Sequence[str]) -> None:
        super().__init__()
        self._hosts = hosts

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = [one for one in await super().resolve(host, port, family) if admits(self._hosts, host, one["host"])]
        if not found:
            raise OSError(errno.EHOSTUNREACH, _NOT_ADMITTED)
        return found


def _connector(url: str, hosts: Sequence[str] | None) -> aiohttp.TCPConnector | None:
    """None: anywhere. aiohttp asks its resolver for names alone. Raises Unreachable."""
    if hosts is None:
        return None
    host = urlsplit(url).hostname or ""
    try:
        admitted = admits(hosts, host, str(ip_address(host)))
    except ValueError:
        admitted = True  # a name
    if not admitted:
        raise Unreachable(_NOT_ADMITTED)
    return aiohttp.TCPConnector(resolver=_Admitted(hosts))


async def post(
    url: str,
    form: Mapping[str, str],
    *,
    within: float = WITHIN,
    now: Callable[[], datetime],
    hosts: Sequence[str] | None = None,
) -> Answer:
    """`hosts` is where this may be sent, as in Account; None: anywhere. Raises Unreachable. No redirect is followed:
    secrets go to nobody else."""
    connector = _connector(url, hosts)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=within),
                trust_env=hosts is None,  # a proxy would look up the name itself
                headers={"Accept": "application/json"},
            ) as session,
            session.post(url, data=form, allow_redirects=False) as response,
        ):
            content = await response.content.read(_LARGEST)
            return Answer(
                response.status,
                _json(content),
                _seconds(response.headers.get("Retry-After"), now()),
                _skew(response.headers.get("Date"), now()),
            )
    except TimeoutError:
        raise Unreachable(f"nothing within {within:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Unreachable(str(error)[:200] or type(error).__name__) from None


def _json(content: bytes) -> Mapping[str, Any]:
    """{} for what is no JSON object: some proxy's page."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(value: str | None, now: datetime) -> float | None:
    """Retry-After (RFC 9110 §10.2.3); a day at most."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return min(float(value), 86400.0)
    ahead = _skew(value, now)
    return None if ahead is None else min(max(0.0, -ahead), 86400.0)


def _skew(value: str | None, now: datetime) -> float | None:
    """By how many seconds `now` is ahead of an HTTP date."""
    try:
        then = parsedate_to_datetime(value) if value else None
    except ValueError:
        return None
    if then is None:
        return None
    return (now - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()
