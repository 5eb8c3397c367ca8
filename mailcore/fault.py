"""A bug of ours, met at work: the log has its traceback, and whoever goes on has it in words.

The traceback is without locals, and each of its lines is cut: they hold mail. A bug that is met again and again is told
once an hour; that it was met is for whoever met it to say.
"""

from __future__ import annotations

import time
import traceback
from pathlib import Path
from typing import Final

import structlog

from mailcore.errors import Fault, MozzartError

log = structlog.get_logger(__name__)

_AGAIN: Final = 3600.0  # seconds
_MOST: Final = 200  # places that are remembered
_LINE: Final = 300  # characters

_told: dict[tuple[str, str], float] = {}


def told(error: Exception, doing: str) -> MozzartError | OSError:
    """`error` itself when it speaks of the world; else it is logged, and the Fault that stands for it is returned.
    `doing` is what was tried, in words."""
    if isinstance(error, MozzartError | OSError):
        return error
    name = type(error).__name__
    words = " ".join(str(error).split())[:_LINE]
    where = _where(error)
    said = f"{name}: {words}" if words else name
    if _is_news((name, where), time.monotonic()):
        log.error("fault", doing=doing, error=said, where=where, exception=_traceback(error))
    fault = Fault(f"{doing}: a fault of ours ({said}) in {where}, see the log")
    fault.__cause__ = error
    return fault


def _is_news(place: tuple[str, str], now: float) -> bool:
    last = _told.get(place)
    if last is not None and now - last < _AGAIN:
        return False
    _told.pop(place, None)
    while len(_told) >= _MOST:
        del _told[next(iter(_told))]  # the one that was told the longest time ago
    _told[place] = now
    return True


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "an unknown place"
    return f"{'/'.join(Path(frames[-1].filename).parts[-2:])}:{frames[-1].lineno}"


def _traceback(error: Exception) -> str:
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(line if len(line) <= _LINE else line[:_LINE] + "…" for line in lines)
