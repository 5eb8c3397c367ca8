"""Admin sessions: a signed cookie, ended by idleness, by age, by signing out, and by a change of the password."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web
from itsdangerous import BadData, URLSafeSerializer
from pydantic import BaseModel, ConfigDict, ValidationError

from api.guard import csrf, signed

COOKIE: Final = "sessionid"  # as Django names it
# How old `seen` may become before the cookie is written anew.
_RENEW_AFTER: Final = 60.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Session:
    """Times are seconds since the epoch; `seen` is when its user was last active."""

    id: str
    user: str
    began: float
    seen: float


class _Claims(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    i: str
    u: str
    b: float
    s: float


class Sessions:
    """Issues and reads sessions. `idle` and `lifetime` are seconds; `ended_path` keeps what was signed out.

    `secret` signs; whoever changes it (or the password that is mixed in) ends every session.
    """

    def __init__(
        self,
        secret: bytes,
        ended_path: Path,
        *,
        idle: float,
        lifetime: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.csrf_key = hmac.digest(secret, b"csrf", hashlib.sha256)
        self._signed_key = hmac.digest(secret, b"signed", hashlib.sha256)
        self._signer = URLSafeSerializer(
            hmac.digest(secret, b"session", hashlib.sha256), signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._ended_path = ended_path
        self._idle = idle
        self._lifetime = lifetime
        self._now = now
        self._ended = self._read_ended()

    def begin(self, user: str) -> Session:
        """A new session of somebody who proved to be `user`."""
        now = self._now()
        return Session(secrets.token_urlsafe(16), user, now, now)

    def of(self, request: web.Request) -> Session | None:
        """The session of the request's cookie, if it is signed by us and still valid."""
        return self.read(request.cookies.get(COOKIE, ""))

    def read(self, value: str) -> Session | None:
        """The session that this cookie value stands for, if it is still one."""
        if not value or len(value) > 1024 or not value.isascii():
            return None
        try:
            claims = _Claims.model_validate(self._signer.loads(value))
        except (BadData, ValidationError, RecursionError):
            return None
        session = Session(claims.i, claims.u, claims.b, claims.s)
        return None if self.is_over(session) else session

    def is_over(self, session: Session) -> bool:
        """Whether it was signed out, or has lasted too long."""
        return session.id in self._ended or self.expires_at(session) <= self._now()

    def expires_at(self, session: Session) -> float:
        """When it ends if its user does nothing more; seconds since the epoch."""
        return min(session.began + self._lifetime, session.seen + self._idle)

    def renewed(self, session: Session) -> Session | None:
        """The session with its user seen now, or None while the old cookie will do."""
        now = self._now()
        return replace(session, seen=now) if now - session.seen >= min(_RENEW_AFTER, self._idle / 4) else None

    def put(self, response: web.StreamResponse, session: Session, *, secure: bool) -> None:
        """Set the session's cookie."""
        claims = _Claims(i=session.id, u=session.user, b=session.began, s=session.seen)
        response.set_cookie(
            COOKIE,
            str(self._signer.dumps(claims.model_dump())),
            max_age=max(0, int(session.began + self._lifetime - self._now())),
            path="/",
            httponly=True,
            samesite="Lax",
            secure=secure,
        )

    def end(self, session: Session) -> None:
        """From now on its cookie, wherever it was copied to, is worth nothing; also after a restart."""
        now = self._now()
        self._ended = {one: until for one, until in self._ended.items() if until > now}
        self._ended[session.id] = session.began + self._lifetime
        text = "".join(f"{one} {until:.0f}\n" for one, until in self._ended.items())
        temporary = self._ended_path.with_name(self._ended_path.name + ".new")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(text)
            temporary.replace(self._ended_path)
        except OSError as error:
            log.warning("signing out not kept", path=str(self._ended_path), error=str(error))

    def csrf_token(self, session: Session | None, cookie: str) -> str:
        """The request's own token while it is good for this session, else a new one."""
        session_id = session.id if session else ""
        if csrf.belongs(self.csrf_key, session_id, cookie):
            return cookie
        return csrf.make(self.csrf_key, session_id, secrets.token_bytes(csrf.NONCE_BYTES))

    def put_csrf(self, response: web.StreamResponse, token: str, *, secure: bool) -> None:
        """Set the cookie that our pages' scripts repeat; not HttpOnly for that reason."""
        response.set_cookie(csrf.COOKIE, token, max_age=int(self._lifetime), path="/", samesite="Lax", secure=secure)

    def signed(self, path: str) -> str:
        """An address of `path` that needs no cookie for a while (api/guard/signed.py)."""
        return signed.sign(self._signed_key, path, self._now())

    def is_signed(self, request: web.Request) -> bool:
        """Whether it only reads, at an address that `signed` made and that is still good."""
        signature = request.query.get(signed.PARAMETER, "")
        is_reading = request.method in csrf.SAFE_METHODS and signature
        return bool(is_reading) and signed.is_signed(self._signed_key, request.path, signature, self._now())

    def _read_ended(self) -> dict[str, float]:
        try:
            lines = self._ended_path.read_text(encoding="ascii", errors="replace").splitlines()
        except FileNotFoundError:
            return {}
        except OSError as error:
            log.warning("what was signed out is not known", path=str(self._ended_path), error=str(error))
            return {}
        pairs = (line.split() for line in lines)
        return {pair[0]: float(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


SESSIONS: Final = web.AppKey("sessions", Sessions)
# Set for every request that came in with a valid session cookie; None otherwise.
SESSION: Final = web.RequestKey("session", Session)


def of(request: web.Request) -> Session | None:
    """Who is signed in, as the middleware found."""
    return request.get(SESSION)
