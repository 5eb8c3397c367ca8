"""A time zone by its name in the time zone database."""

from __future__ import annotations

import re
from typing import Final
from zoneinfo import ZoneInfo

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")
_LONGEST: Final = 60


def zone(name: str) -> ZoneInfo | None:
    """`Europe/Berlin`; None where there is none of this name."""
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, no file of zones, a directory (`America`)
        return None
