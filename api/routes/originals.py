"""`GET /api/messages/{id}/raw`: the bytes of a message as the server gave them."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Final

from aiohttp import web
from pydantic import Field

from api.dependencies import DEPENDENCIES
from api.http.download import as_mail, send_file
from api.http.existing import existing
from api.http.problem import Problem
from api.schema.operation import Content, operation
from api.schema.values import Query, RowId
from mailcore.errors import BusError
from mailcore.original import OriginalGone, write_original
from mailcore.store import Portion

routes = web.RouteTableDef()

_WITHIN: Final = 300.0
AT_ONCE: Final = 4  # each may fill the disk with a large message for a while
READING: Final = web.AppKey("originals_reading", asyncio.Semaphore)
_NOTABLE: Final = {
    "Content-Disposition": "`attachment`, with a name.",
    "ETag": "The SHA-256 of the bytes.",
    "Accept-Ranges": "`bytes`.",
}


class OriginalPath(Query):
    id: RowId


class OriginalHeaders(Query):
    range: str | None = Field(None, alias="Range", description="One byte range, like `bytes=0-1023`.")


@routes.get("/api/messages/{id}/raw")
@operation(
    "messages",
    "A message as the server gave it",
    description="From the stream while it has it, else fetched again from the server by the syncer; its SHA-256 is "
    "always that of the row.",
    scopes=("read",),
    answers={
        200: Content("message/rfc822", "All bytes.", _NOTABLE),
        206: Content("message/rfc822", "The bytes asked for.", {**_NOTABLE, "Content-Range": "Which bytes these are."}),
    },
    problems={
        404: "There is no such message.",
        410: "Nobody has its bytes any more; `detail` says why.",
        416: "It has no such bytes.",
        503: "The database, NATS, the syncer or the server does not answer.",
    },
)
async def original(request: web.Request, path: OriginalPath, headers: OriginalHeaders) -> web.StreamResponse:
    dependencies = request.app[DEPENDENCIES]
    found = await existing(dependencies.store.message(path.id, Portion()), f"There is no message {path.id}.")
    async with request.app[READING]:
        with tempfile.TemporaryDirectory(prefix="mozzart-", ignore_cleanup_errors=True) as directory:
            file = Path(directory) / "message"
            try:
                async with asyncio.timeout(_WITHIN):
                    await write_original(dependencies.bus, found, file)
            except OriginalGone as gone:
                raise Problem(410, str(gone)) from None
            except (BusError, TimeoutError) as error:
                words = str(error) or "no answer in time"
                raise Problem(503, f"It cannot be had now: {words}", {"Retry-After": "5"}) from None
            opened = await asyncio.to_thread(file.open, "rb")
            return await send_file(request, opened, as_mail(f"message-{path.id}.eml"), f'"{found.sha256}"')
