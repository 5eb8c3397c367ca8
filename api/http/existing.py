"""What an address names, from the database."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from api.http.problem import Problem
from mailcore.errors import StoreError

T = TypeVar("T")


async def existing(looked_up: Awaitable[T | None], absent: str) -> T:
    """Raises Problem: 404 with the sentence `absent` when there is none, 503 when the database does not answer."""
    try:
        found = await looked_up
    except StoreError as error:
        raise Problem(503, f"The database does not answer: {error}") from None
    if found is None:
        raise Problem(404, absent)
    return found
