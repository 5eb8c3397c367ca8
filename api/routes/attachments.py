"""`GET /api/attachments/{id}/`: the bytes of an attachment."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from aiohttp import web
from pydantic import Field

from api.dependencies import DEPENDENCIES
from api.http.download import MEDIA_TYPE, send_file, to_save
from api.http.existing import existing
from api.http.problem import Problem
from api.schema.operation import Content, operation
from api.schema.values import Query, RowId
from mailcore.descent import open_file
from mailcore.mime.safename import nameless

log = structlog.get_logger(__name__)
routes = web.RouteTableDef()

_NOTABLE: Final = {
    "Content-Disposition": "`attachment`, with the sender's name made safe.",
    "ETag": "The SHA-256 of the bytes.",
    "Accept-Ranges": "`bytes`.",
}


class AttachmentPath(Query):
    id: RowId


class AttachmentHeaders(Query):
    range: str | None = Field(None, alias="Range", description="One byte range, like `bytes=0-1023`.")


@routes.get("/api/attachments/{id}/")
@operation(
    "messages",
    "An attachment's bytes",
    description="To be saved, never to be shown: the media type is always the same.",
    scopes=("read",),
    answers={
        200: Content(MEDIA_TYPE, "The whole file.", _NOTABLE),
        206: Content(MEDIA_TYPE, "The bytes asked for.", {**_NOTABLE, "Content-Range": "Which bytes these are."}),
    },
    problems={
        404: "There is no such attachment, or its file is gone.",
        416: "The file has no such bytes.",
        503: "The database does not answer.",
    },
)
async def attachment(request: web.Request, path: AttachmentPath, headers: AttachmentHeaders) -> web.StreamResponse:
    dependencies = request.app[DEPENDENCIES]
    found = await existing(dependencies.store.attachment(path.id), f"There is no attachment {path.id}.")
    try:
        file = await asyncio.to_thread(open_file, dependencies.settings.media_root, found.file)
    except (OSError, ValueError) as error:
        log.warning("attachment unreadable", attachment=found.id, error=str(error))
        raise Problem(404, f"The file of attachment {found.id} is not in MEDIA_ROOT.") from None
    fallback = nameless(f"attachment-{found.id}", found.content_type)
    return await send_file(request, file, to_save(found.filename, fallback), f'"{found.sha256}"')
