"""An OpenID provider on loopback, and a Dovecot that asks it (introspection, RFC 7662) whether an access token is good.

It rotates refresh tokens: the one before is good until the new one, or the access token that came with it, was used
once. What is used afterwards all the same ends the whole sign-in (RFC 9700 §4.14.2): whoever lost one is locked out.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from tests.support.dovecot import Dovecot
from tests.support.programs import free_port, need_program

SCOPE = "imap"

_DOVECOT = """
auth_mechanisms = plain login xoauth2 oauthbearer
auth_cache_size = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {home}/oauth2.conf
}}
{more}
"""
_OAUTH2 = """
introspection_url = {url}/introspect
introspection_mode = post
username_attribute = username
active_attribute = active
active_value = true
scope = imap
"""


@dataclass
class Grant:
    """One sign-in of a user. `refresh` is the newest refresh token, `before` the one that it replaces."""

    user: str
    scope: str
    refresh: str = ""
    before: str = ""
    revoked: bool = False


@dataclass
class Access:
    user: str
    scope: str
    active: bool = True
    grant: Grant | None = None


@dataclass
class OpenId:
    """`asked` has the form of each token request, `introspected` every token that Dovecot was given."""

    port: int = field(default_factory=free_port)
    host: str = "127.0.0.1"
    asked: list[dict[str, str]] = field(default_factory=list)
    introspected: list[str] = field(default_factory=list)
    accesses: dict[str, Access] = field(default_factory=dict)
    expires_in: int = 3600

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    # ---- what a test does ----

    def issue(self, user: str, scope: str = SCOPE) -> str:
        """An access token out of thin air."""
        token = f"at-{user.partition('@')[0]}-{secrets.token_urlsafe(24)}"
        self.accesses[token] = Access(user, scope)
        return token

    def expire(self) -> None:
        """Every access token that is out."""
        for access in self.accesses.values():
            access.active = False

    # ---- what is asked over HTTP ----

    async def introspect(self, request: web.Request) -> web.StreamResponse:
        token = str((await request.post()).get("token", ""))
        self.introspected.append(token)
        access = self.accesses.get(token)
        if access is None or not access.active:
            return web.json_response({"active": False})
        if access.grant is not None:
            access.grant.before = ""
        return web.json_response({"active": True, "username": access.user, "scope": access.scope})

    # ---- running ----

    def start(self) -> OpenId:
        began = threading.Event()

        async def serve() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            app = web.Application()
            app.router.add_post("/introspect", self.introspect)
            self.routes(app)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, self.host, self.port).start()
            began.set()
            await self._stop.wait()
            await runner.cleanup()

        def run() -> None:
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as loop:
                loop.run(serve())

        self._thread = threading.Thread(target=run, name="openid")
        self._thread.start()
        assert began.wait(10)
        return self

    def routes(self, app: web.Application) -> None:
        """More of them."""

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


@pytest.fixture
def openid() -> Iterator[OpenId]:
    """A started provider."""
    provider = OpenId().start()
    yield provider
    provider.stop()


MakeDovecot = Callable[..., Dovecot]


@pytest.fixture
def make_oauth_dovecot(openid: OpenId) -> Iterator[MakeDovecot]:
    """`make_oauth_dovecot(extra=…)`: a started Dovecot that takes access tokens of `openid`, and passwords."""
    need_program("dovecot", "dovecot-imapd")
    made: list[Dovecot] = []

    def make(extra: str = "") -> Dovecot:
        server = Dovecot()
        server.extra = _DOVECOT.format(home=server.home, more=extra)
        (server.home / "oauth2.conf").write_text(_OAUTH2.format(url=openid.url))
        made.append(server)
        return server.start()

    yield make
    for server in made:
        server.close()
