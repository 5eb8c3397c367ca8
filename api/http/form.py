"""Form fields of a request, whatever was sent."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from api.http.connections import body
from api.http.problem import Problem

_MOST_FIELDS: Final = 300


async def fields(request: web.Request) -> dict[str, str]:
    """The first of each name. Raises what `pairs` does."""
    return dict(reversed(await pairs(request)))


async def pairs(request: web.Request) -> list[tuple[str, str]]:
    """The fields of an application/x-www-form-urlencoded body; none of any other body.

    Raises Problem: 400 when there are too many, 408 when they do not come; HTTPRequestEntityTooLarge when they are too
    long.
    """
    if request.content_type != "application/x-www-form-urlencoded":
        return []
    text = (await body(request)).decode("utf-8", "replace")
    try:
        return parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Problem(400, "The form has too many fields.") from None
