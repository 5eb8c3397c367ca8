"""`/admin/messages/{id}/pictures/{part}/`: the pictures that a message's HTML shows, at signed addresses."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import BinaryIO, Final

import structlog
from aiohttp import web

from api.dependencies import DEPENDENCIES
from api.guard.session import SESSIONS
from api.http.download import send_file
from api.http.existing import existing
from api.http.problem import Problem
from mailcore.descent import open_file
from mailcore.store import AttachmentDetail, MessageDetail

log = structlog.get_logger(__name__)
routes = web.RouteTableDef()

_MOST: Final = 1_000
_LARGEST_ID: Final = 2**63 - 1
_BEGINNINGS: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_LONGEST_BEGINNING: Final = 12
_HEADERS: Final = {
    # The frame is of no origin, so that every request of it comes from another one.
    "Cross-Origin-Resource-Policy": "cross-origin",
    # Several references to a picture are one request.
    "Cache-Control": "private, max-age=300",
    "Content-Disposition": "inline",
    "Referrer-Policy": "no-referrer",
}


def path(message_id: int) -> str:
    """What the addresses of all of a message's pictures begin with."""
    return f"/admin/messages/{message_id}/pictures/"


def addresses(request: web.Request, message: MessageDetail) -> dict[str, str]:
    """Where its parts are, by their Content-ID; whether they are pictures is seen when they are asked for."""
    named = [part for part in message.attachments if part.content_id][:_MOST]
    sessions, below = request.app[SESSIONS], path(message.summary.id)
    return {part.content_id.strip("<>"): sessions.signed(f"{below}{part.id}/") for part in named}


async def part_of(request: web.Request, absent: str) -> AttachmentDetail:
    """The attachment that `{part}` names of the message that `{id}` names. Raises Problem, 404 with `absent`."""
    message, part = int(request.match_info["id"]), int(request.match_info["part"])
    found = await existing(request.app[DEPENDENCIES].store.attachment(min(part, _LARGEST_ID)), absent)
    if found.message_id != message:
        raise Problem(404, absent)
    return found


def kind_of(beginning: bytes) -> str:
    """The media type of a picture, by its first bytes; "" for what is none that is shown. Pure."""
    if beginning.startswith(b"RIFF") and beginning[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for begins, kind in _BEGINNINGS if beginning.startswith(begins)), "")


@routes.get(r"/admin/messages/{id:\d{1,19}}/pictures/{part:\d{1,19}}/")
async def picture(request: web.Request) -> web.StreamResponse:
    """Inert, whatever it is: sandboxed, of the type that its bytes are of, nothing sniffed."""
    dependencies = request.app[DEPENDENCIES]
    found = await part_of(request, "There is no such picture.")
    file, kind = await asyncio.to_thread(_opened, dependencies.settings.media_root, found)
    if not kind:
        await asyncio.to_thread(file.close)
        raise Problem(404, "This is no picture that is shown.")
    return await send_file(request, file, {**_HEADERS, "Content-Type": kind}, f'"{found.sha256}"')


def _opened(root: Path, part: AttachmentDetail) -> tuple[BinaryIO, str]:
    """Raises Problem 404."""
    try:
        file = open_file(root, part.file)
    except (OSError, ValueError) as error:
        log.warning("picture unreadable", attachment=part.id, error=str(error))
        raise Problem(404, f"The file of attachment {part.id} is not in MEDIA_ROOT.") from None
    return file, kind_of(os.pread(file.fileno(), _LONGEST_BEGINNING, 0))
