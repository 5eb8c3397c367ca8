"""One request to a provider over HTTP. What is sent stands in no error and no log."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp

from mailcore.oauth.answer import Answer

WITHIN: Final = 15.0  # seconds
_LARGEST: Final = 256 << 10


class Unreachable(Exception):
    """There was no answer; the text says why."""


async def post(url: str, form: Mapping[str, str], *, within: float = WITHIN, now: Callable[[], datetime]) -> Answer:
    """Raises Unreachable. No redirect is followed: secrets go to nobody else."""
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=within), trust_env=True, headers={"Accept": "application/json"}
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
