"""A file as an answer, as a rule one that a browser saves and never shows: RFC 6266 name, one byte range.

An attachment is always `application/octet-stream`: what the sender calls it is a fact of the attachment, not a promise
of ours. A whole message is `message/rfc822`, which no browser shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Mapping
from typing import BinaryIO, Final
from urllib.parse import quote

from aiohttp import web

from api.http.problem import Problem
from mailcore.mime.safename import safe_filename

MEDIA_TYPE: Final = "application/octet-stream"
_CHUNK: Final = 256 << 10
_RANGE: Final = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII | re.IGNORECASE)
_UNQUOTABLE: Final = re.compile(r'[^ -~]|["\\%]')
# RFC 8187 §3.2.1: attr-char besides letters and digits
_ATTR_CHAR: Final = "!#$&+-.^_`|~"


def disposition(filename: str, fallback: str) -> str:
    """Content-Disposition: the name in ASCII for old readers, and as it is (RFC 6266 §4.3, RFC 8187). Pure."""
    name = safe_filename(filename, fallback)
    ascii_name = _UNQUOTABLE.sub("_", name)
    if ascii_name == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe=_ATTR_CHAR)}"


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """The first byte and the one behind the last that a Range header asks for; None for the whole, also for what is no
    single byte range (RFC 9110 §14.2 lets us). Raises ValueError when none of these bytes exists. Pure."""
    found = _RANGE.fullmatch(header)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        first, end = max(size - int(found[2]), 0), size
    else:
        first, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < first:
            return None  # not a range at all
    if first >= size:
        raise ValueError(f"there are only {size} bytes")
    return first, end


def to_save(filename: str, fallback: str) -> dict[str, str]:
    """Headers of what is to be saved under this name. Pure."""
    return {"Content-Type": MEDIA_TYPE, "Content-Disposition": disposition(filename, fallback)}


def as_mail(filename: str) -> dict[str, str]:
    """Headers of a whole message that is to be saved under this name. Pure."""
    return {"Content-Type": "message/rfc822", "Content-Disposition": disposition(filename, filename)}


async def send_file(
    request: web.Request, file: BinaryIO, headers: Mapping[str, str], etag: str = ""
) -> web.StreamResponse:
    """Stream the regular file, from its beginning, and close it. `etag` is quoted. Raises Problem 416."""
    with file:
        descriptor = file.fileno()
        size = os.fstat(descriptor).st_size
        headers = {**headers, "Accept-Ranges": "bytes"}
        if etag:
            headers["ETag"] = etag
        first, end = _wanted(request, size, etag)
        status = 200
        if (first, end) != (0, size):
            status = 206
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = end - first
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        # Whoever has gone no longer needs the rest.
        with contextlib.suppress(ConnectionError):
            await _send(response, descriptor, first, end)
            return response
    if request.transport is not None:
        request.transport.abort()
    return response


async def _send(response: web.StreamResponse, descriptor: int, first: int, end: int) -> None:
    """Raises ConnectionError, also when the file became shorter: the reader must not take it for whole."""
    while first < end:
        data = await asyncio.to_thread(os.pread, descriptor, min(_CHUNK, end - first), first)
        if not data:
            raise ConnectionResetError
        await response.write(data)
        first += len(data)
    await response.write_eof()


def _wanted(request: web.Request, size: int, etag: str) -> tuple[int, int]:
    condition = request.headers.get("If-Range")
    if request.method != "GET" or (condition is not None and (not etag or condition.strip() != etag)):
        return 0, size
    try:
        return byte_range(request.headers.get("Range", ""), size) or (0, size)
    except ValueError as error:
        raise Problem(416, f"Range: {error}.", {"Content-Range": f"bytes */{size}"}) from None
