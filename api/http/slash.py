"""A path with a slash at its end too few or too many: what is asked for is sent to the right one."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from api.http.problem import Problem


@web.middleware
async def right_path(request: web.Request, handler: Handler) -> web.StreamResponse:
    """GET and HEAD are redirected. What changes something is not: some clients would repeat it without its body."""
    if not isinstance(request.match_info.http_exception, web.HTTPNotFound):
        return await handler(request)
    path = request.rel_url.raw_path
    other = path[:-1] if path.endswith("/") else f"{path}/"
    if not other or not await _is_served(request, other):
        return await handler(request)
    if request.method in ("GET", "HEAD"):
        query = request.rel_url.raw_query_string
        raise web.HTTPPermanentRedirect(f"{other}?{query}" if query else other)
    raise Problem(404, f"There is nothing at {path[:200]}; it is {other[:200]}.")


async def _is_served(request: web.Request, path: str) -> bool:
    found = await request.app.router.resolve(request.clone(rel_url=request.rel_url.with_path(path, encoded=True)))
    return found.http_exception is None
