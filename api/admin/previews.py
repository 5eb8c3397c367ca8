"""`/admin/messages/{id}/attachments/{part}/`: an attachment that is looked at without being saved: a picture, a PDF, or
the beginning of a text. It is what its bytes are, whatever the sender calls it."""

from __future__ import annotations

import asyncio
import codecs
import os
from pathlib import Path
from typing import BinaryIO, Final

import structlog
from aiohttp import web

from api.admin.message_filter import here
from api.admin.pictures import kind_of, part_of
from api.admin.portion import beginning
from api.admin.templates import render
from api.dependencies import DEPENDENCIES
from api.guard import security_headers
from api.http.download import send_file
from api.http.page import page
from api.http.problem import Problem
from mailcore.descent import open_file
from mailcore.mime.charset import decode
from mailcore.mime.defects import Defects
from mailcore.store import AttachmentDetail

log = structlog.get_logger(__name__)
routes = web.RouteTableDef()

_PATH: Final = r"/admin/messages/{id:\d{1,19}}/attachments/{part:\d{1,19}}/"
_LARGEST: Final = 50_000_000  # bytes of a picture or a PDF that a browser is asked to show
_READ: Final = 256 << 10  # bytes of a text
_LONGEST: Final = 300_000  # bytes of a page
_LOOKED_AT: Final = 4_000
_PDF: Final = b"%PDF-"
_TEXT: Final = "text/plain"
_BYTE_ORDER_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# What no text has: controls, but for tab, line ends, form feed and the escape of ISO-2022 and of terminals.
_NO_TEXT: Final = bytes(set(range(0x20)) - set(b"\t\n\r\f\x1b")) + b"\x7f"
_TYPES: Final = frozenset(
    "application/pdf application/x-pdf application/json application/xml application/javascript application/sql "
    "application/yaml application/x-yaml application/toml application/x-sh message/rfc822".split()
)
_PICTURES: Final = frozenset("image/png image/jpeg image/jpg image/pjpeg image/gif image/webp".split())
_EXTENSIONS: Final = frozenset(
    "png jpg jpeg gif webp pdf txt text log md csv tsv json xml yaml yml toml ini cfg conf diff patch html htm ics vcf "
    "eml py js ts css sql sh tex srt".split()
)


def may_be_shown(content_type: str, filename: str) -> bool:
    """By what its sender says of it: whether it is worth a look. Pure."""
    kind = content_type.lower()
    _, dot, extension = filename[-20:].lower().rpartition(".")
    return kind in _PICTURES or kind in _TYPES or kind.startswith("text/") or (dot + extension)[1:] in _EXTENSIONS


def media_type(content: bytes) -> str:
    """By its first bytes: of a picture, `application/pdf`, `text/plain`; "" for what is not shown. Pure."""
    if picture := kind_of(content):
        return picture
    if content.startswith(_PDF):
        return "application/pdf"
    is_text = content.startswith(_BYTE_ORDER_MARKS) or content.translate(None, _NO_TEXT) == content
    return _TEXT if is_text and content else ""


def text_of(content: bytes) -> str:
    """The text of its first bytes; what they cut is left out. Pure."""
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(content, final=False).replace("\0", "")
    except UnicodeDecodeError:
        return decode(content, "", Defects())


@routes.get(_PATH)
@page
async def preview(request: web.Request) -> web.StreamResponse:
    part, file = await _open(request)
    with file:
        kind, size, content = await asyncio.to_thread(_look, file)
    text = beginning(await asyncio.to_thread(text_of, content), _LONGEST) if kind == _TEXT else ""
    return render(
        request,
        "admin/preview.html",
        part=part,
        here=here(request.query),
        kind="" if size > _LARGEST and kind != _TEXT else kind,
        too_large=bool(kind) and kind != _TEXT and size > _LARGEST,
        text=text,
        text_cut=kind == _TEXT and (size > len(content) or len(text.encode(errors="replace")) >= _LONGEST),
    )


@routes.get(_PATH + "file")
@page
async def file(request: web.Request) -> web.StreamResponse:
    """A picture or a PDF, to be shown in the page: sandboxed, of the type that its bytes are of, nothing sniffed."""
    part, opened = await _open(request)
    with opened:
        kind, size, _ = await asyncio.to_thread(_look, opened)
        if kind in ("", _TEXT) or size > _LARGEST:
            raise Problem(404, "This is nothing that is shown.")
        headers = {
            "Content-Type": kind,
            "Content-Disposition": "inline",
            "Content-Security-Policy": security_headers.PREVIEW,
            "Referrer-Policy": "no-referrer",
        }
        return await send_file(request, opened, headers, f'"{part.sha256}"')


async def _open(request: web.Request) -> tuple[AttachmentDetail, BinaryIO]:
    """Raises Problem."""
    dependencies = request.app[DEPENDENCIES]
    found = await part_of(request, "There is no such attachment.")
    return found, await asyncio.to_thread(_opened, dependencies.settings.media_root, found)


def _opened(root: Path, part: AttachmentDetail) -> BinaryIO:
    """Raises Problem 404."""
    try:
        return open_file(root, part.file)
    except (OSError, ValueError) as error:
        log.warning("attachment unreadable", attachment=part.id, error=str(error))
        raise Problem(404, f"The file of attachment {part.id} is not in MEDIA_ROOT.") from None


def _look(file: BinaryIO) -> tuple[str, int, bytes]:
    """Its media type and size, and the beginning of what is a text."""
    descriptor = file.fileno()
    kind = media_type(os.pread(descriptor, _LOOKED_AT, 0))
    content = os.pread(descriptor, _READ, 0) if kind == _TEXT else b""
    return kind, os.fstat(descriptor).st_size, content
