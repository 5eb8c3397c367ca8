"""The time zone of all pages: the browser's, which static/zone.js tells in a cookie; without it UTC."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from aiohttp import web

from api.http.zone import zone as found

COOKIE: Final = "zone"


def of(request: web.Request) -> tzinfo:
    return named(request.cookies.get(COOKIE, ""))


def named(name: str) -> tzinfo:
    """The zone of that name in the time zone database, UTC where there is none."""
    return found(name) or UTC


def key(zone: tzinfo) -> str:
    """Its name, as the browser knows it."""
    return zone.key if isinstance(zone, ZoneInfo) else "UTC"


def told(zone: tzinfo, now: datetime) -> dict[str, object]:
    """What templates need of it."""
    return {"zone": zone, "zone_key": key(zone), "zone_words": words(zone, now)}


def words(zone: tzinfo, now: datetime) -> str:
    """As the page tells it: UTC, or Asia/Kolkata (UTC+05:30), as it is now."""
    name = key(zone)
    return name if name == "UTC" else f"{name.replace('_', ' ')} (UTC{now.astimezone(zone).isoformat()[-6:]})"
