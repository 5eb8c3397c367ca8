"""Signing in and out over real HTTP, as a browser and as `curl` with a cookie jar do it; NATS is away."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
import structlog
from aiohttp import ClientSession, CookieJar, DummyCookieJar, web
from argon2 import PasswordHasher

from api.dependencies import Dependencies
from api.guard.access import ACCESS
from api.guard.password import Password, hash_of
from api.main import application
from mailcore.errors import SettingsError
from mailcore.settings import NOT_CONFIGURED, Settings

TOKEN = "a-token-that-nobody-can-guess-0123456789"
PASSWORD = "correct horse battery staple ä"
# As somebody may have made it elsewhere; a cheap one, for the sake of the tests' time.
HASH = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
LOGIN = "/admin/login/"
LOGOUT = "/admin/logout/"
SYNC = "/api/mailbox/sync/"
# What a request for a sync gets here once it is let in: NATS and IMAP are away.
LET_IN = 503

Answer = tuple[int, str, dict[str, str]]


class Browser:
    """A client with a cookie jar; follows nothing."""

    def __init__(self, port: int, app: web.Application) -> None:
        self.port = port
        self.app = app
        # `unsafe`: it keeps cookies of an address, too.
        self._session = ClientSession(cookie_jar=CookieJar(unsafe=True, quote_cookie=False))
        self._bare = ClientSession(cookie_jar=DummyCookieJar())

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def cookies(self) -> dict[str, str]:
        return {morsel.key: morsel.value for morsel in self._session.cookie_jar}

    async def close(self) -> None:
        await self._session.close()
        await self._bare.close()

    async def ask(self, method: str, path: str, *, form: dict[str, str] | None = None, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
            data = urlencode(form).encode()
        # Cookies that a test names are the only ones sent.
        client = self._bare if "Cookie" in sent else self._session
        async with client.request(method, self.origin + path, headers=sent, data=data, allow_redirects=False) as got:
            return got.status, await got.text(), dict(got.headers)

    async def sign_in(self, password: str = PASSWORD, user: str = "admin", target: str = "/admin/") -> Answer:
        _, page, _ = await self.ask("GET", LOGIN)
        form = {"username": user, "password": password, "next": target, "csrfmiddlewaretoken": _field(page)}
        return await self.ask("POST", LOGIN, form=form)

    async def sync(self, **headers: str) -> int:
        return (await self.ask("POST", SYNC, **headers))[0]


def _field(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found, page
    return found[1]


async def eventually(reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        for pause in itertools.repeat(0.05):
            if await reached():
                return
            await asyncio.sleep(pause)


Open = Callable[..., Any]


@pytest_asyncio.fixture
async def browse(tmp_path: Path) -> AsyncIterator[Open]:
    """`await browse(NAME=value)`: a browser in front of an api with these settings."""
    closing: list[Callable[[], Any]] = []

    async def start(**more: Any) -> Browser:
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]  # pydantic-settings takes it, its plugin does not know
            nats_url="nats://127.0.0.1:1",
            data_dir=tmp_path,
            **{"admin_password": HASH, **more},
        )
        dependencies = await Dependencies.open(settings)
        app = application(dependencies, TOKEN)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        browser = Browser(runner.addresses[0][1], app)
        closing.extend((dependencies.close, runner.cleanup, browser.close))
        return browser

    yield start
    for close in reversed(closing):
        await close()


@pytest.mark.asyncio
async def test_a_cookie_jar_and_the_header_sync_as_they_did_with_django(browse: Open) -> None:
    browser = await browse()

    status, _, headers = await browser.sign_in(target="/admin/messages/?q=x")
    assert (status, headers["Location"]) == (303, "/admin/messages/?q=x")
    token = browser.cookies["csrftoken"]
    status, body, _ = await browser.ask("POST", SYNC, X_CSRFToken=token)
    assert (status, NOT_CONFIGURED in body) == (LET_IN, True)
    assert (await browser.ask("POST", SYNC, form={"csrfmiddlewaretoken": token}))[0] in (LET_IN, 400), "or as a field"


@pytest.mark.asyncio
async def test_without_the_header_or_with_a_wrong_one_it_is_403(browse: Open) -> None:
    browser = await browse()
    stranger = (await browser.ask("GET", LOGIN)) and browser.cookies["csrftoken"]
    await browser.sign_in()

    assert await browser.sync() == 403
    assert await browser.sync(X_CSRFToken="x" * 64) == 403
    assert await browser.sync(X_CSRFToken=stranger) == 403, "the one from before signing in"
    assert (await browser.ask("POST", SYNC, form={"csrfmiddlewaretoken": "x"}))[0] == 403
    planted = f"sessionid={browser.cookies['sessionid']}; csrftoken={'a' * 64}"
    assert await browser.sync(Cookie=planted, X_CSRFToken="a" * 64) == 403, "a cookie planted from elsewhere"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
async def test_a_post_from_another_site_is_403_even_with_the_token(browse: Open, headers: dict[str, str]) -> None:
    browser = await browse()
    await browser.sign_in()
    token = browser.cookies["csrftoken"]

    assert await browser.sync(X_CSRFToken=token, **headers) == 403
    assert await browser.sync(X_CSRFToken=token, Origin=browser.origin, Sec_Fetch_Site="same-origin") == LET_IN


@pytest.mark.asyncio
async def test_another_site_can_neither_sign_somebody_in_nor_out(browse: Open) -> None:
    browser = await browse()
    form = {"username": "admin", "password": PASSWORD}
    assert (await browser.ask("POST", LOGIN, form=form))[0] == 403
    assert "sessionid" not in browser.cookies
    await browser.sign_in()

    assert (await browser.ask("POST", LOGOUT))[0] == 403
    assert (await browser.ask("GET", "/api/mailbox/states/"))[0] != 401


@pytest.mark.asyncio
async def test_the_token_needs_no_csrf_and_wins_over_the_cookie(browse: Open) -> None:
    browser = await browse()
    assert await browser.sync(Authorization=f"Bearer {TOKEN}", Origin="https://evil.example") == LET_IN
    await browser.sign_in()

    token = browser.cookies["csrftoken"]
    assert await browser.sync(Authorization="Bearer wrong", X_CSRFToken=token) == 401


@pytest.mark.asyncio
async def test_a_wrong_password_or_user_gets_the_form_again_and_no_session(browse: Open) -> None:
    browser = await browse()

    for user, password in (("admin", "hunter-2"), ("admin", ""), ("root", PASSWORD), ('"><script>', "\0" * 2000)):
        status, page, _ = await browser.sign_in(password, user)
        assert (status, "User or password is wrong." in page) == (403, True)
        assert "sessionid" not in browser.cookies
        assert "<script>" not in page
        assert not password or password not in page


@pytest.mark.asyncio
@pytest.mark.parametrize("configured", [PASSWORD, HASH, hash_of(PASSWORD)], ids=["plain", "cheap hash", "our hash"])
async def test_the_password_is_configured_as_it_is_or_as_its_argon2_hash(browse: Open, configured: str) -> None:
    browser = await browse(admin_user="Ädä", admin_password=configured)

    assert (await browser.sign_in("wrong", "Ädä"))[0] == 403
    assert (await browser.sign_in(PASSWORD, "Ädä"))[0] == 303


@pytest.mark.asyncio
async def test_signing_out_ends_the_session_wherever_its_cookie_is(browse: Open) -> None:
    browser = await browse()
    await browser.sign_in()
    copy = f"sessionid={browser.cookies['sessionid']}"

    form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    status, _, headers = await browser.ask("POST", LOGOUT, form=form)
    assert (status, headers["Location"]) == (303, LOGIN)
    assert "sessionid" not in browser.cookies
    assert (await browser.ask("GET", "/api/mailbox/states/", Cookie=copy))[0] == 401


@pytest.mark.asyncio
async def test_signing_in_anew_ends_the_session_before(browse: Open) -> None:
    browser = await browse()
    await browser.sign_in()
    before = browser.cookies["sessionid"]
    form = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}

    assert (await browser.ask("POST", LOGIN, form=form))[0] == 303
    assert browser.cookies["sessionid"] != before
    assert (await browser.ask("GET", "/api/mailbox/states/", Cookie=f"sessionid={before}"))[0] == 401


@pytest.mark.asyncio
async def test_a_person_is_led_to_the_sign_in_page_and_back(browse: Open) -> None:
    browser = await browse()

    status, _, headers = await browser.ask("GET", "/admin/messages/?q=a%26b")
    assert (status, headers["Location"]) == (303, f"{LOGIN}?next=/admin/messages/?q%3Da%2526b")
    assert 'value="/admin/messages/?q=a%26b"' in (await browser.ask("GET", headers["Location"]))[1]
    assert (await browser.ask("GET", "/"))[0] == 303
    await browser.sign_in()
    assert (await browser.ask("GET", headers["Location"]))[2]["Location"] == "/admin/messages/?q=a%26b"


@pytest.mark.asyncio
async def test_errors_of_pages_are_pages_and_errors_of_the_api_are_not(browse: Open) -> None:
    browser = await browse()
    await browser.sign_in()

    status, page, headers = await browser.ask("GET", "/admin/nowhere/")
    assert (status, headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "There is no such page" in page
    assert (await browser.ask("POST", LOGOUT))[2]["Content-Type"].startswith("text/html")
    assert (await browser.ask("GET", "/api/nowhere/"))[2]["Content-Type"].startswith("application/problem+json")


@pytest.mark.asyncio
async def test_guessing_the_password_is_429_even_when_the_guess_is_right(browse: Open) -> None:
    browser = await browse()
    before = 0
    async with asyncio.timeout(60):
        while (status := (await browser.sign_in("wrong"))[0]) == 403:
            before += 1

    assert status == 429
    assert 10 <= before < 20
    status, page, headers = await browser.sign_in()
    assert (status, "Too many attempts" in page) == (429, True)
    assert 0 < int(headers["Retry-After"]) <= 6
    assert await browser.sync(Authorization=f"Bearer {TOKEN}") == LET_IN, "whoever has the token is not locked out"


@pytest.mark.asyncio
async def test_guessing_the_token_is_429_and_one_log_line(browse: Open) -> None:
    browser = await browse()

    with structlog.testing.capture_logs() as lines:
        found = [await browser.sync(Authorization=f"Bearer {number}") for number in range(30)]
        told = [line for line in lines if line["event"] == "credentials refused"]
        assert len(told) == 1, "the others are told within a minute"
        browser.app[ACCESS].refusals.close()

    assert found[0] == 401
    assert found[-1] == 429
    told = [line for line in lines if line["event"] == "credentials refused"]
    assert sum(line.get("tokens", 0) + line.get("tokens_unseen", 0) for line in told) == 30
    assert len(told) == 2
    assert await browser.sync(Authorization=f"Bearer {TOKEN}") == LET_IN, "a long token cannot be guessed"


@pytest.mark.asyncio
async def test_a_session_ends_after_its_idle_time_and_its_cookie_is_written_anew_before(browse: Open) -> None:
    browser = await browse(session_idle=1.2)
    await browser.sign_in()
    first = browser.cookies["sessionid"]

    async def renewed() -> bool:
        await browser.ask("GET", "/api/docs/", Sec_Fetch_Mode="navigate")
        return bool(browser.cookies["sessionid"] != first)

    async def ended() -> bool:
        # What a script asks for keeps nobody signed in.
        return bool((await browser.ask("GET", "/api/mailbox/states/", Sec_Fetch_Mode="cors"))[0] == 401)

    await eventually(renewed)
    await eventually(ended)


@pytest.mark.asyncio
@pytest.mark.parametrize("path", [LOGIN, "/healthz", "/api/nowhere/", "/admin/", "/static/mozzart.css"])
async def test_every_answer_forbids_what_a_browser_should_not_do(browse: Open, path: str) -> None:
    browser = await browse()

    _, page, headers = await browser.ask("GET", path)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["Server"] == "mozzart"
    assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=", page), "the policy forbids what is inline"
    assert path.startswith("/static/") or headers["Cache-Control"] == "no-store"


@pytest.mark.asyncio
async def test_cookies_are_only_for_https_where_the_client_speaks_it_to_a_proxy_of_ours(browse: Open) -> None:
    browser = await browse(trusted_proxies="127.0.0.1")

    assert "Secure" not in (await browser.ask("GET", LOGIN))[2]["Set-Cookie"]
    headers = (await browser.ask("GET", LOGIN, X_Forwarded_Proto="https", Cookie="csrftoken=stale"))[2]
    assert "Secure" in headers["Set-Cookie"]


@pytest.mark.asyncio
async def test_over_https_a_page_of_the_same_host_over_http_is_another_site(browse: Open) -> None:
    browser = await browse(trusted_proxies="127.0.0.1")
    headers = {"X_Forwarded_Proto": "https", "Origin": browser.origin, "X_CSRFToken": "x", "Cookie": "csrftoken=x"}

    assert "another site" in (await browser.ask("POST", LOGIN, **headers))[1]
    assert "another site" not in (await browser.ask("POST", LOGIN, **(headers | {"X_Forwarded_Proto": "http"})))[1]


@pytest.mark.asyncio
@pytest.mark.parametrize("trusted", ["", "192.0.2.1, 10.0.0.0/8"])
async def test_who_is_no_proxy_of_ours_can_write_what_he_likes_into_the_headers(browse: Open, trusted: str) -> None:
    browser = await browse(trusted_proxies=trusted)

    headers = (await browser.ask("GET", LOGIN, X_Forwarded_Proto="https"))[2]
    assert "Secure" not in headers["Set-Cookie"]
    for guess in range(10):
        answer = await browser.ask("GET", SYNC, Authorization="Bearer wrong", X_Forwarded_For=f"198.51.100.{guess}")
        assert answer[0] == 401
    assert (await browser.ask("GET", SYNC, Authorization="Bearer wrong", X_Forwarded_For="203.0.113.9"))[0] == 429


@pytest.mark.asyncio
async def test_that_a_proxy_is_not_trusted_is_told_once(browse: Open) -> None:
    browser = await browse()

    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            await browser.ask("GET", LOGIN, X_Forwarded_For="198.51.100.7")
    assert [(line["event"], line["peer"]) for line in lines] == [("X-Forwarded-For is not believed", "127.0.0.1")]


@pytest.mark.asyncio
async def test_behind_a_proxy_of_ours_each_client_has_guesses_of_its_own(browse: Open) -> None:
    browser = await browse(trusted_proxies="127.0.0.0/8")
    ask = partial(browser.ask, "GET", SYNC, Authorization="Bearer wrong")

    for guess in range(10):
        # The client writes a part of the header itself; what the proxy appended counts.
        assert (await ask(X_Forwarded_For=f"192.0.2.{guess}, 198.51.100.7"))[0] == 401
    assert (await ask(X_Forwarded_For="192.0.2.99, 198.51.100.7"))[0] == 429
    assert (await ask(X_Forwarded_For="198.51.100.8"))[0] == 401
    assert (await ask())[0] == 401, "the proxy itself is another client"


@pytest.mark.asyncio
async def test_static_files_are_kept_by_their_content_and_lead_nowhere_else(browse: Open) -> None:
    browser = await browse()
    href = re.search(r'href="(/static/mozzart\.css\?v=\w+)"', (await browser.ask("GET", LOGIN))[1])
    assert href

    status, _, headers = await browser.ask("GET", href[1])
    assert (status, "immutable" in headers["Cache-Control"]) == (200, True)
    assert (await browser.ask("GET", href[1], If_None_Match=headers["Etag"]))[0] == 304
    assert "immutable" not in (await browser.ask("GET", "/static/mozzart.css?v=old"))[2]["Cache-Control"]
    for path in ("/static/", "/static/..%2fmain.py", "/static/%2e%2e/main.py", "/static//etc/passwd"):
        assert (await browser.ask("GET", path))[0] in (401, 404)


@pytest.mark.asyncio
async def test_made_credentials_are_told_once_and_let_their_owner_in(browse: Open, tmp_path: Path) -> None:
    browser = await browse(admin_password="")
    made = (tmp_path / "admin.password").read_text().strip()

    assert [made in line for line in browser.app[ACCESS].news] == [True]
    assert (await browser.sign_in(made))[0] == 303
    again = await browse(admin_password="")
    assert again.app[ACCESS].news == ()
    assert (await again.sign_in(made))[0] == 303


@pytest.mark.asyncio
async def test_another_password_ends_the_sessions_of_the_old_one(browse: Open) -> None:
    browser = await browse()
    await browser.sign_in()
    cookie = f"sessionid={browser.cookies['sessionid']}"

    assert (await (await browse()).ask("GET", "/api/docs/", Cookie=cookie))[0] == 200, "a restart does not"
    assert (await (await browse(admin_password="another")).ask("GET", "/api/docs/", Cookie=cookie))[0] == 303


@pytest.mark.asyncio
async def test_many_guesses_at_once_are_limited_like_others(browse: Open) -> None:
    browser = await browse()
    _, page, _ = await browser.ask("GET", LOGIN)
    form = {"username": "admin", "password": "wrong", "csrfmiddlewaretoken": _field(page)}

    found = await asyncio.gather(*(browser.ask("POST", LOGIN, form=form) for _ in range(40)))
    assert {status for status, _, _ in found} == {403, 429}
    assert sum(status == 403 for status, _, _ in found) <= 11


def test_what_only_looks_like_a_hash_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="ADMIN_PASSWORD"):
        Password("$argon2id$v=19$")
