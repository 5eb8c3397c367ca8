"""Who may ask: whoever has the token (RFC 6750 §2.1)."""

from __future__ import annotations

import hmac
import os
import secrets
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from api.problem import Problem
from mailcore.errors import SettingsError
from mailcore.settings import Settings

PUBLIC: Final = frozenset({"/healthz", "/readyz"})


def token(settings: Settings) -> tuple[str, bool]:
    """API_TOKEN, or else the one kept in DATA_DIR/api.token, made now if there is none; and whether it was made now.

    Raises SettingsError when the file can be neither read nor made.
    """
    if configured := settings.api_token.get_secret_value():
        return configured, False
    path = settings.api_token_path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            if kept := path.read_text(encoding="utf-8").strip():
                return kept, False
            descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
        made = secrets.token_urlsafe(32)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(made + "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The api's token cannot be kept in {path} ({error}); set API_TOKEN or mend DATA_DIR."
        ) from None
    return made, True


def only_with_token(expected: str) -> Middleware:
    """The middleware: 401 without the token, wherever the path leads, so that nobody can probe what exists."""
    wanted = expected.encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in PUBLIC and not _bears(request.headers.get("Authorization", ""), wanted):
            raise Problem(
                401,
                "Send the header `Authorization: Bearer TOKEN`; the token is API_TOKEN, or in DATA_DIR/api.token.",
                {"WWW-Authenticate": 'Bearer realm="mozzart"'},
            )
        return await handler(request)

    return check


def _bears(header: str, wanted: bytes) -> bool:
    scheme, _, given = header.partition(" ")
    # surrogateescape is how aiohttp hands over bytes that are no UTF-8; the comparison takes the same time for all.
    given_bytes = given.strip().encode("utf-8", "surrogateescape")
    return hmac.compare_digest(given_bytes, wanted) and scheme.lower() == "bearer"
