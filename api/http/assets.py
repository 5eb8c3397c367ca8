"""`/static/`: style sheets, scripts and pictures, read once, served from memory; their URLs name their content."""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from aiohttp import web

routes = web.RouteTableDef()

PREFIX: Final = "/static/"
_ROOT: Final = Path(__file__).resolve().parents[1] / "static"
_FOR_EVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """`version` is a digest of `content`."""

    content: bytes
    content_type: str
    version: str


@cache
def assets() -> dict[str, Asset]:
    """Every file of api/static, by its path there."""
    found = {}
    for path in sorted(_ROOT.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            found[path.relative_to(_ROOT).as_posix()] = Asset(content, kind, hashlib.sha256(content).hexdigest()[:12])
    return found


def url(name: str) -> str:
    """The address of that file; it changes with the content, so that browsers may keep it. Raises KeyError."""
    return f"{PREFIX}{name}?v={assets()[name].version}"


@routes.get(PREFIX + "{name:.+}")
async def static(request: web.Request) -> web.Response:
    asset = assets().get(request.match_info["name"])
    if asset is None:
        raise web.HTTPNotFound
    etag = f'"{asset.version}"'
    kept = _FOR_EVER if request.query.get("v") == asset.version else "no-cache"
    headers = {"Cache-Control": kept, "ETag": etag}
    if etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    charset = "utf-8" if asset.content_type.startswith("text/") else None
    return web.Response(body=asset.content, content_type=asset.content_type, charset=charset, headers=headers)
