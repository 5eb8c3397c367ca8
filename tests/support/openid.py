"""An OpenID provider on loopback, and a Dovecot that asks it (introspection, RFC 7662) whether an access token is good.

It rotates refresh tokens: the one before is good until the new one, or the access token that came with it, was used
once. What is used afterwards all the same ends the whole sign-in (RFC 9700 §4.14.2): whoever lost one is locked out.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from mailcore.oauth.request import DEVICE, JWT_BEARER
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
    used: set[str] = field(default_factory=set)
    rotations: int = 0
    revoked: bool = False


@dataclass
class Access:
    user: str
    scope: str
    active: bool = True
    grant: Grant | None = None
    refresh: str = ""  # what came with it
    ends: float = math.inf  # of time.monotonic()


@dataclass
class OpenId:
    """`asked` has the form of each token request, `introspected` every token that Dovecot was given. `refusal`, when
    set, is what token requests are answered with: (status, JSON or text, header fields). `delay` seconds go by before
    and after a rotation takes place; `busy` counts the requests in that time, `crowd` the most of them at once."""

    port: int = field(default_factory=free_port)
    host: str = "127.0.0.1"
    asked: list[dict[str, str]] = field(default_factory=list)
    introspected: list[str] = field(default_factory=list)
    accesses: dict[str, Access] = field(default_factory=dict)
    refreshed: list[str] = field(default_factory=list)  # every refresh token that was given out
    expires_in: float = 3600  # seconds that it tells
    lives: float | None = None  # seconds that access tokens are good for, if not that
    refusal: tuple[int, object, dict[str, str]] | None = None
    delay: float = 0.0
    busy: int = 0
    crowd: int = 0
    grants: list[Grant] = field(default_factory=list)
    codes: dict[str, tuple[Grant, str, str]] = field(default_factory=dict)  # code → grant, challenge, redirect
    devices: dict[str, Grant | None] = field(default_factory=dict)  # None: nobody has typed it yet
    types: str = ""  # who types a code as soon as a device shows it
    service_keys: dict[str, Any] = field(default_factory=dict)  # issuer → public key
    clients: dict[str, str] = field(default_factory=lambda: {"client": "a-client-secret-only-for-tests"})

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

    def sign_in(self, user: str, scope: str = SCOPE) -> Grant:
        """Somebody has."""
        grant = Grant(user, scope, refresh=f"rt-{user}-{secrets.token_urlsafe(24)}")
        self.grants.append(grant)
        return grant

    def type_code(self, user: str) -> None:
        """The person does what the device told."""
        for code in self.devices:
            self.devices[code] = self.sign_in(user)

    # ---- what is asked over HTTP ----

    async def introspect(self, request: web.Request) -> web.StreamResponse:
        token = str((await request.post()).get("token", ""))
        self.introspected.append(token)
        access = self.accesses.get(token)
        if access is None or not access.active or time.monotonic() > access.ends:
            return web.json_response({"active": False})
        if access.grant is not None and access.refresh == access.grant.refresh:
            self._used(access.grant)
        return web.json_response({"active": True, "username": access.user, "scope": access.scope})

    async def authorize(self, request: web.Request) -> web.StreamResponse:
        """Whoever comes here is signed in as the one who is hinted at."""
        asked = request.query
        if asked.get("client_id") not in self.clients or asked.get("code_challenge_method") != "S256":
            return web.Response(status=400, text="no such client, or no PKCE")
        code = secrets.token_urlsafe(16)
        grant = self.sign_in(asked.get("login_hint", "anna"), asked["scope"])
        self.codes[code] = grant, asked["code_challenge"], asked["redirect_uri"]
        query = urlencode({"code": code, "state": asked["state"]})
        raise web.HTTPFound(f"{asked['redirect_uri']}?{query}")

    async def device(self, request: web.Request) -> web.StreamResponse:
        code = secrets.token_urlsafe(16)
        self.devices[code] = self.sign_in(self.types) if self.types else None
        told = {"device_code": code, "user_code": "ABCD-EFGH", "verification_uri": f"{self.url}/type", "interval": 1}
        return web.json_response(told | {"expires_in": 60})

    async def token(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(form)
        if self.refusal is not None:
            status, said, fields = self.refusal
            if isinstance(said, str):
                return web.Response(status=status, text=said, headers=fields)
            return web.json_response(said, status=status, headers=fields)
        kind = form["grant_type"]
        if kind == JWT_BEARER:
            return self._by_assertion(form["assertion"])
        if form.get("client_id") not in self.clients or form.get("client_secret") != self.clients[form["client_id"]]:
            return self._refuse("invalid_client", 401)
        if kind == "client_credentials":
            return self._tokens(None, form.get("scope", SCOPE), self.tenant_user)
        if kind == "authorization_code":
            grant, challenge, redirect = self.codes.pop(form["code"], (None, "", ""))
            given = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
            if grant is None or given.decode() != challenge or form["redirect_uri"] != redirect:
                return self._refuse("invalid_grant")
            return self._tokens(grant, grant.scope, grant.user)
        if kind == DEVICE:
            if form["device_code"] not in self.devices:
                return self._refuse("invalid_grant")
            typed = self.devices[form["device_code"]]
            return self._refuse("authorization_pending") if typed is None else self._tokens(typed, SCOPE, typed.user)
        self.busy += 1
        self.crowd = max(self.crowd, self.busy)
        try:
            await asyncio.sleep(self.delay)
            answer = self._refresh(form["refresh_token"])
            await asyncio.sleep(self.delay)
            return answer
        finally:
            self.busy -= 1

    tenant_user = "anna"

    def _refresh(self, token: str) -> web.StreamResponse:
        for grant in self.grants:
            if token in grant.used:
                grant.revoked = True  # reuse: somebody stole it (RFC 9700 §4.14.2)
            if token in (grant.refresh, grant.before) and token and not grant.revoked:
                if token == grant.refresh:
                    self._used(grant)
                    grant.before = token
                grant.refresh = f"rt-{grant.user}-{secrets.token_urlsafe(24)}"
                grant.rotations += 1
                return self._tokens(grant, grant.scope, grant.user)
        return self._refuse("invalid_grant", description="Token has been expired or revoked.")

    def _used(self, grant: Grant) -> None:
        """Its newest token was: the one before is good no more."""
        if grant.before:
            grant.used.add(grant.before)
            grant.before = ""

    def _by_assertion(self, assertion: str) -> web.StreamResponse:
        """RFC 7523, as Google has it."""
        head, body, signature = (base64.urlsafe_b64decode(part + "==") for part in assertion.split("."))
        claims = json.loads(body)
        key = self.service_keys.get(claims["iss"])
        if key is None or json.loads(head)["alg"] != "RS256" or claims["aud"] != f"{self.url}/token":
            return self._refuse("invalid_grant", description="Invalid grant: account not found")
        key.verify(signature, assertion.rpartition(".")[0].encode(), PKCS1v15(), SHA256())
        if not claims["iat"] - 300 <= time.time() <= claims["exp"]:
            words = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
            return self._refuse("invalid_grant", description=words)
        return self._tokens(None, claims["scope"], claims["sub"])

    def _tokens(self, grant: Grant | None, scope: str, user: str) -> web.StreamResponse:
        token = self.issue(user, scope)
        self.accesses[token].ends = time.monotonic() + (self.expires_in if self.lives is None else self.lives)
        said = {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in}
        if grant is not None:
            self.accesses[token].grant, self.accesses[token].refresh = grant, grant.refresh
            said["refresh_token"] = grant.refresh
            self.refreshed.append(grant.refresh)
        return web.json_response(said)

    def _refuse(self, error: str, status: int = 400, description: str = "") -> web.StreamResponse:
        said = {"error": error} | ({"error_description": description} if description else {})
        return web.json_response(said, status=status)

    # ---- running ----

    def start(self) -> OpenId:
        began = threading.Event()

        async def serve() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            app = web.Application()
            app.router.add_post("/introspect", self.introspect)
            app.router.add_get("/authorize", self.authorize)
            app.router.add_post("/token", self.token)
            app.router.add_post("/device", self.device)
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
