"""Access for people: who may sign in, who is signed in, how often one may guess."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Final

from aiohttp import web

from api.guard import credentials
from api.guard.password import Password
from api.guard.ratelimit import Budget, Refusals, client_of
from api.guard.session import Session, Sessions
from mailcore.settings import Settings


class Access:
    """`news` are lines for the owner's eyes: what was made just now and must be told once, never in a log.
    `installation` is the key that the api of the same DATA_DIR alone knows."""

    def __init__(
        self, user: str, password: Password, sessions: Sessions, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.sessions = sessions
        self.refusals = Refusals("credentials refused")
        self.news: tuple[str, ...] = ()
        self.secrets: tuple[str, ...] = ()
        self.installation = ""
        self._user = user
        self._password = password
        self._tokens = Budget()
        self._passwords = Budget()
        self._now = now

    @classmethod
    def open(cls, settings: Settings) -> Access:
        """With the settings' credentials, or those in DATA_DIR. Raises SettingsError."""
        password = credentials.admin_password(settings)
        key = credentials.session_secret(settings)
        # With the password mixed in, changing it ends every session.
        secret = hmac.digest(key.secret.encode(), password.secret.encode(), hashlib.sha256)
        sessions = Sessions(
            secret, settings.ended_sessions_path, idle=settings.session_idle, lifetime=settings.session_lifetime
        )
        access = cls(settings.admin_user, Password(password.secret), sessions)
        access.secrets = (password.secret, key.secret)
        access.installation = key.secret
        if password.made:
            access.news = (
                f"Admin password, made now and kept in {settings.admin_password_path} "
                f"(user {settings.admin_user}): {password.secret}",
            )
        return access

    async def sign_in(self, request: web.Request, user: str, password: str) -> Session | float | None:
        """A new session; or None: wrong; or the seconds to wait, without a look at what was given. Raises TooBusy."""
        client = client_of(request.remote)
        if wait := self._passwords.wait(client, self._now()):
            self.refusals.note("passwords_unseen", client)
            return wait
        # Spent before the check, as many may be under way at once.
        self._passwords.spend(client, self._now())
        # Both are always compared, so that the time says nothing about the name.
        is_user = hmac.compare_digest(user.encode(errors="replace"), self._user.encode(errors="replace"))
        if not (await self._password.matches(password) and is_user):
            self.refusals.note("passwords", client)
            return None
        self._passwords.refund(client)
        return self.sessions.begin(self._user)

    def token_wait(self, request: web.Request) -> float:
        """Seconds until this client may try another token; 0 when it may now."""
        return self._tokens.wait(client_of(request.remote), self._now())

    def token_refused(self, request: web.Request, *, unseen: bool) -> None:
        """It had a wrong one, or so many before that this one was not looked at."""
        client = client_of(request.remote)
        if not unseen:
            self._tokens.spend(client, self._now())
        self.refusals.note("tokens_unseen" if unseen else "tokens", client)


ACCESS: Final = web.AppKey("access", Access)
