"""Pages: what stands on one, and the cursor of the next page of messages, in letters that mean nothing to others."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from api.http.problem import Problem
from mailcore.store import Cursor

T = TypeVar("T")

# Messages are counted so far, so that a list of millions is as quick as one of few: what is filtered costs a look each,
# all of them are counted in an index alone.
COUNTED: Final = 10_000
COUNTED_OF_ALL: Final = 200_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FORM: Final = struct.Struct(">qq")


def encode_cursor(cursor: Cursor) -> str:
    """22 characters of base64url."""
    packed = _FORM.pack((cursor.received_at - _EPOCH) // _MICROSECOND, cursor.id)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def cursor_of(text: str) -> Cursor | None:
    """What a request's `cursor` says; None for none. Raises Problem 400."""
    try:
        return decode_cursor(text) if text else None
    except ValueError:
        raise Problem(
            400, "Parameter 'cursor': send `next` of the page before as it is, or begin with the first page."
        ) from None


def decode_cursor(text: str) -> Cursor:
    """The inverse; raises ValueError."""
    try:
        microseconds, row_id = _FORM.unpack(base64.b64decode(f"{text}==", altchars=b"-_", validate=True))
        cursor = Cursor(_EPOCH + microseconds * _MICROSECOND, row_id)
    except (binascii.Error, struct.error, OverflowError, ValueError):
        raise ValueError("not a cursor") from None
    if cursor.id < 1 or encode_cursor(cursor) != text:
        raise ValueError("not a cursor")
    return cursor


async def take(entries: AsyncGenerator[T, None], limit: int) -> tuple[list[T], bool]:
    """Up to `limit` of them, and whether there are more; what is behind is not read. Raises what reading raises."""
    found: list[T] = []
    async with aclosing(entries):
        async for entry in entries:
            if len(found) == limit:
                return found, True
            found.append(entry)
    return found, False
