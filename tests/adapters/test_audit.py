"""What people and programs do over HTTP is in the audit table, of both databases; NATS is away."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
import structlog
from aiohttp import ClientSession, CookieJar, web

from api.dependencies import Dependencies
from api.main import application
from mailcore import api_token
from mailcore.audit import Actor, entry
from mailcore.errors import StoreError
from mailcore.settings import Settings
from mailcore.store import Store

API_TOKEN = "a-token-that-nobody-can-guess-0123456789"
PASSWORD = "for-tests-alone"
NOW = datetime.now(UTC)
YEAR = timedelta(days=365)
PRETENDING = "ro\u202eot"


class Api:
    """An api of the test's own, and a browser's cookies."""

    def __init__(self, dependencies: Dependencies, port: int, client: ClientSession) -> None:
        self.dependencies = dependencies
        self._base = f"http://127.0.0.1:{port}"
        self._client = client

    async def ask(self, method: str, path: str, form: dict[str, str] | None = None, **headers: str) -> tuple[int, str]:
        data = None
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            data = urlencode(form).encode()
        async with self._client.request(
            method, self._base + path, data=data, headers=headers, allow_redirects=False
        ) as got:
            return got.status, await got.text()

    async def post(self, path: str, **form: str) -> int:
        """As a form of a page does it."""
        _, page = await self.ask("GET", "/admin/login/" if path == "/admin/login/" else "/admin/tokens/")
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found
        return (await self.ask("POST", path, form | {"csrfmiddlewaretoken": found[1]}))[0]

    async def sign_in(self, password: str = PASSWORD, user: str = "admin") -> int:
        return await self.post("/admin/login/", username=user, password=password)

    async def kept(self, query: str = "") -> list[dict[str, Any]]:
        status, text = await self.ask("GET", f"/api/audit/{query}", Authorization=f"Bearer {API_TOKEN}")
        assert status == 200, text
        entries: list[dict[str, Any]] = json.loads(text)["entries"]
        return entries


@pytest_asyncio.fixture
async def api(store: Store, store_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]  # pydantic-settings takes it, its plugin does not know
        nats_url="nats://127.0.0.1:1",
        database_url=store_url,
        data_dir=tmp_path,
        media_root=tmp_path / "media",
        admin_password=PASSWORD,
        account_hosts="127.0.0.1",
    )
    dependencies = await Dependencies.open(settings)
    runner = web.AppRunner(application(dependencies, API_TOKEN), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with ClientSession(cookie_jar=CookieJar(unsafe=True, quote_cookie=False)) as client:
        yield Api(dependencies, runner.addresses[0][1], client)
    await runner.cleanup()
    await dependencies.close()


def said(entries: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    return [(one["action"], one["by"], one["who"], one["object"]) for one in entries]


@pytest.mark.asyncio
async def test_what_people_and_programs_do_is_kept_with_who_and_from_where(api: Api, store: Store) -> None:
    assert await api.sign_in("a wrong one", PRETENDING) == 403
    assert await api.sign_in() == 303
    assert await api.post("/admin/tokens/", name="robot", scope="accounts", expires="30") == 200
    text = api_token.text_of(bytes(api_token.RANDOM_BYTES))
    await store.add_api_token(api_token.new(text, "adder", ["accounts"], NOW, None))
    new = {"name": "anna", "host": "127.0.0.1", "user": "anna", "password": "hidden-8864"}
    bearer = {"Authorization": f"Bearer {text}", "Content-Type": "application/json"}
    async with api._client.post(f"{api._base}/api/accounts/", data=json.dumps(new), headers=bearer) as got:
        assert got.status == 201, await got.text()
    for verb in ("pause", "resume", "remove"):
        assert await api.post(f"/admin/accounts/anna/{verb}/", sure="yes", mail="keep") == 303
    robot = next(one for one in await store.api_tokens() if one.name == "robot")
    assert await api.post(f"/admin/tokens/{robot.key}/revoke/") == 303
    assert await api.post("/admin/logout/") == 303

    entries = await api.kept()
    assert said(entries) == [
        ("signed-out", "user", "admin", ""),
        ("token-revoked", "user", "admin", "robot"),
        ("account-removed", "user", "admin", "anna"),
        ("account-resumed", "user", "admin", "anna"),
        ("account-paused", "user", "admin", "anna"),
        ("account-added", "token", "adder", "anna"),
        ("token-made", "user", "admin", "robot: accounts"),
        ("signed-in", "user", "admin", ""),
        ("sign-in-failed", "stranger", PRETENDING, ""),
    ]
    assert {one["address"] for one in entries} == {"127.0.0.1"}
    everything = json.dumps(entries)
    assert not [secret for secret in ("hidden-8864", PASSWORD, "a wrong one", text[12:]) if secret in everything]


@pytest.mark.asyncio
async def test_the_page_shows_and_exports_it_filtered_and_nothing_in_it_pretends(api: Api) -> None:
    await api.sign_in("wrong", PRETENDING)
    await api.sign_in("wrong", "=1+1")
    await api.sign_in()
    _, page = await api.ask("GET", "/admin/audit/")
    assert "\u202e" not in page
    assert "ro\\u202eot" in page
    _, page = await api.ask("GET", "/admin/audit/?action=signed-in&who=nobody")
    assert "Nothing of that kind." in page
    status, table = await api.ask("GET", "/admin/audit/audit.csv?action=sign-in-failed")
    assert status == 200
    assert [line.split(",")[3] for line in table.splitlines()] == ["who", "'=1+1", "ro\\u202eot"]
    assert len(await api.kept("?who=admin")) == 1


@pytest.mark.asyncio
async def test_failed_sign_ins_do_not_flood_the_table(api: Api) -> None:
    for number in range(25):
        await api.dependencies.audit.note_failed_sign_in(f"user {number}", "192.0.2.1")
    await api.dependencies.audit.close()
    entries = await api.kept("?action=sign-in-failed")
    assert sum(one["count"] for one in entries) == 25
    assert len(entries) <= 23, "a minute may have ended meanwhile"


@pytest.mark.asyncio
async def test_its_pages_follow_each_other_and_shift_by_nothing(api: Api, store: Store) -> None:
    for number in range(5):
        await store.add_audit_entry(entry(NOW, "synced", Actor("command", "command line"), str(number)), NOW - YEAR)
    first = await api.kept("?limit=2")
    await store.add_audit_entry(entry(NOW, "synced", Actor("command", "command line"), "late"), NOW - YEAR)
    second = await api.kept(f"?limit=9&before={first[-1]['id']}")
    assert [one["object"] for one in first + second] == ["4", "3", "2", "1", "0"]


@pytest.mark.asyncio
async def test_what_is_older_than_its_age_goes_some_with_each_new_one(store: Store) -> None:
    old = entry(NOW - YEAR - timedelta(days=1), "synced", Actor("user", "x\0\ud800"))
    for _ in range(25):
        await store.add_audit_entry(old, old.at - YEAR)
    assert (await store.audit_entries(100))[0] == replace(old, id=25)
    new = replace(old, at=NOW)
    await store.add_audit_entry(new, NOW - YEAR)
    assert len(await store.audit_entries(100)) == 6
    await store.add_audit_entry(new, NOW - YEAR)
    assert [one.at for one in await store.audit_entries(100)] == [NOW, NOW]


@pytest.mark.asyncio
async def test_without_its_table_what_is_done_stays_done_and_the_log_says_it(api: Api, store: Store) -> None:
    async def down(*_: object) -> None:
        raise StoreError("it is down")

    api.dependencies.store.add_audit_entry = down  # type: ignore[method-assign]
    with structlog.testing.capture_logs() as lines:
        assert await api.sign_in() == 303
    (told,) = (one for one in lines if one["event"] == "not in the audit table")
    assert (told["action"], told["who"], told["error"]) == ("signed-in", "admin", "it is down")
