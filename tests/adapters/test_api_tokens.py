"""Tokens with scopes over real HTTP, kept in both databases; NATS is away."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession, web

from api.dependencies import Dependencies
from api.guard.tokens import TOKENS, Tokens
from api.main import application
from api.schema.document import declared, document
from mailcore import api_token
from mailcore.api_token import SCOPES, ApiToken
from mailcore.errors import StoreError
from mailcore.settings import Settings
from mailcore.store import Store
from tests.support.stores import query

API_TOKEN = "a-token-that-nobody-can-guess-0123456789"
TEXTS = [api_token.text_of(bytes([number]) * api_token.RANDOM_BYTES) for number in range(12)]
MINUTE = timedelta(minutes=1)
NOW = datetime.now(UTC)


def row(number: int = 0, name: str = "", scopes: tuple[str, ...] = ("read",), **more: Any) -> ApiToken:
    made = api_token.new(TEXTS[number], name or f"token {number}", scopes, datetime.now(UTC), None)
    return replace(made, **more)


class Api:
    """An api of the test's own, and a client without cookies."""

    def __init__(self, app: web.Application, store: Store, port: int, client: ClientSession) -> None:
        self.app = app
        self.store = store
        self._base = f"http://127.0.0.1:{port}"
        self._client = client

    async def ask(self, token: str, path: str, method: str = "GET") -> tuple[int, dict[str, Any], dict[str, str]]:
        headers = {"Authorization": f"Bearer {token}"}
        async with self._client.request(method, self._base + path, headers=headers, allow_redirects=False) as answer:
            is_json = answer.content_type.endswith("json")
            return answer.status, await answer.json(content_type=None) if is_json else {}, dict(answer.headers)

    async def status(self, token: str, path: str, method: str = "GET") -> int:
        return (await self.ask(token, path, method))[0]


@pytest_asyncio.fixture
async def api(store: Store, store_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]  # pydantic-settings takes it, its plugin does not know
        nats_url="nats://127.0.0.1:1",
        database_url=store_url,
        data_dir=tmp_path,
        media_root=tmp_path / "media",
        admin_password="for-tests-alone",
    )
    dependencies = await Dependencies.open(settings)
    app = application(dependencies, API_TOKEN)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with ClientSession() as client:
        yield Api(app, store, runner.addresses[0][1], client)
    await runner.cleanup()
    await dependencies.close()


@pytest.mark.asyncio
async def test_only_its_hash_is_kept_and_a_name_is_free_again_when_it_is_revoked(store: Store, store_url: str) -> None:
    first = row(0, "grafana")
    assert await store.add_api_token(first)
    assert await store.add_api_token(first), "said again, as after a cut connection"
    assert not await store.add_api_token(row(1, "grafana"))
    assert await store.api_token(first.key) == first

    revoked = await store.revoke_api_token("grafana", NOW)
    assert revoked == replace(first, revoked_at=NOW)
    assert await store.revoke_api_token("grafana", NOW) is None
    assert await store.add_api_token(row(1, "grafana"))
    assert [one.key for one in await store.api_tokens()] == [row(1).key, first.key]
    assert (await store.revoke_api_token(api_token.shown(row(1).key), NOW)) is not None
    assert TEXTS[0][12:] not in str(await query(store_url, "SELECT * FROM mailbox_app_apitoken"))


@pytest.mark.asyncio
async def test_what_ended_long_ago_is_forgotten_when_another_is_made(store: Store) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=91)
    await store.add_api_token(row(0, made_at=long_ago, expires_at=long_ago))
    await store.add_api_token(row(1, made_at=long_ago))
    await store.revoke_api_token("token 1", long_ago)
    await store.add_api_token(row(2, made_at=long_ago, expires_at=datetime.now(UTC)))
    await store.add_api_token(row(3))
    assert [one.name for one in await store.api_tokens()] == ["token 3", "token 2"]


def paths(app: web.Application) -> list[tuple[str, str, tuple[str, ...]]]:
    """Each operation that needs credentials, at an address that leads to it."""
    every = [one for one in declared(app) if not one.operation.public]
    return [(one.method, re.sub(r"{\w+}", "7", one.path), one.operation.scopes) for one in every]


@pytest.mark.asyncio
async def test_every_route_names_its_scopes_and_refuses_a_token_that_has_all_the_others(api: Api) -> None:
    routes = paths(api.app)
    assert [one for one in routes if not one[2]] == [], "without a scope no token can use it"
    # What only tells how to ask is for whoever may ask anything.
    bounded = [one for one in routes if set(one[2]) != set(SCOPES)]
    assert len(routes) - len(bounded) == 1
    for number, needed in enumerate({scopes for _, _, scopes in bounded}):
        others = tuple(scope for scope in SCOPES if scope not in needed)
        await api.store.add_api_token(row(number, scopes=others))
        for method, path, scopes in bounded:
            if scopes == needed:
                status, problem, headers = await api.ask(TEXTS[number], path, method)
                assert (status, problem["scopes"]) == (403, list(needed)), f"{method} {path}"
                assert all(f"`{scope}`" in problem["detail"] for scope in needed)
                assert f'scope="{" ".join(needed)}"' in headers["WWW-Authenticate"]


@pytest.mark.asyncio
async def test_each_scope_opens_every_route_that_names_it(api: Api) -> None:
    for number, scope in enumerate(SCOPES):
        await api.store.add_api_token(row(number, scopes=(scope,)))
        for method, path, scopes in paths(api.app):
            if scope in scopes:
                assert await api.status(TEXTS[number], path, method) not in (401, 403, 429), f"{scope}: {method} {path}"
        assert await api.status(TEXTS[number], "/api/nowhere/") == 404


@pytest.mark.asyncio
async def test_only_the_token_of_the_settings_sees_pages(api: Api) -> None:
    await api.store.add_api_token(row(0, scopes=SCOPES))
    for path in ("/admin/", "/admin/tokens/", "/api/docs/", "/"):
        assert await api.status(TEXTS[0], path) == 403, path
        assert await api.status(API_TOKEN, path) in (200, 303), path
    assert await api.status(TEXTS[0], "/admin/tokens/", "POST") == 403


@pytest.mark.asyncio
async def test_expired_revoked_and_unknown_tokens_are_the_same_to_strangers(api: Api) -> None:
    await api.store.add_api_token(row(0, expires_at=datetime.now(UTC)))
    await api.store.add_api_token(row(1))
    assert await api.status(TEXTS[1], "/api/messages/") == 200
    await api.store.revoke_api_token("token 1", datetime.now(UTC))

    told = [await api.ask(text, "/api/messages/") for text in (TEXTS[0], TEXTS[1], TEXTS[2], TEXTS[1][:-1] + "f", "x")]
    assert {status for status, _, _ in told} == {401}
    assert len({problem["detail"] for _, problem, _ in told}) == 1
    assert {headers["WWW-Authenticate"] for _, _, headers in told} == {'Bearer realm="mozzart", error="invalid_token"'}
    assert "has expired or was revoked" in told[0][1]["detail"]


@pytest.mark.asyncio
async def test_the_last_use_is_written_once_a_minute(store: Store) -> None:
    clock = [NOW]
    tokens = Tokens(store, now=lambda: clock[0])
    await store.add_api_token(row(0))

    async def use() -> datetime | None:
        presented = api_token.read(TEXTS[0])
        assert presented
        token = await tokens.bearer(presented)
        assert isinstance(token, ApiToken)
        tokens.use(token)
        while tokens._under_way:
            await asyncio.gather(*tokens._under_way)
        found = await store.api_token(token.key)
        return found.last_used_at if found else None

    assert await use() == NOW
    clock[0] = NOW + MINUTE - timedelta(seconds=1)
    assert await use() == NOW
    clock[0] = NOW + MINUTE
    assert await use() == NOW + MINUTE
    await store.use_api_token(row(0).key, NOW + 2 * MINUTE, NOW + MINUTE)
    clock[0] = NOW + 2 * MINUTE + timedelta(seconds=59)
    assert await use() == NOW + 2 * MINUTE, "another api has just written it"


@pytest.mark.asyncio
async def test_without_a_database_what_it_said_within_the_hour_holds(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [datetime.now(UTC)]
    tokens = Tokens(store, now=lambda: clock[0])
    await store.add_api_token(row(0, expires_at=clock[0] + 50 * MINUTE))
    await store.add_api_token(row(1))
    known, unknown = api_token.read(TEXTS[0]), api_token.read(TEXTS[1])
    assert known
    assert unknown
    await tokens.bearer(known)

    async def down(*_: object) -> None:
        raise StoreError("it is down")

    monkeypatch.setattr(store, "api_token", down)
    clock[0] += 49 * MINUTE
    assert isinstance(await tokens.bearer(known), ApiToken)
    with pytest.raises(StoreError):
        await tokens.bearer(unknown)
    clock[0] += 2 * MINUTE
    assert await tokens.bearer(known) == "expired"
    clock[0] += 20 * MINUTE
    with pytest.raises(StoreError):
        await tokens.bearer(known)


@pytest.mark.asyncio
async def test_what_it_began_is_over_soon_after_it_was_revoked(store: Store) -> None:
    clock = [datetime.now(UTC)]
    tokens = Tokens(store, now=lambda: clock[0])
    token = row(0)
    await store.add_api_token(token)
    presented = api_token.read(TEXTS[0])
    assert presented
    await tokens.bearer(presented)
    assert not tokens.is_over(token)
    await store.revoke_api_token(token.name, clock[0])
    clock[0] += timedelta(seconds=5)
    tokens.is_over(token)
    await asyncio.gather(*tokens._under_way)
    assert tokens.is_over(token)


@pytest.mark.asyncio
async def test_guesses_are_bounded_and_whoever_was_let_in_before_stays(api: Api) -> None:
    await api.store.add_api_token(row(0))
    await api.store.add_api_token(row(1))
    assert await api.status(TEXTS[0], "/api/messages/") == 200
    found = [await api.status(TEXTS[5], "/api/messages/") for _ in range(20)]
    assert (found[0], found[-1]) == (401, 429)
    assert await api.status(TEXTS[0], "/api/messages/") == 200
    assert await api.status(TEXTS[1], "/api/messages/") == 429, "the database is asked about nobody else meanwhile"
    assert await api.status(API_TOKEN, "/api/messages/") == 200


@pytest.mark.asyncio
async def test_the_description_has_a_scope_as_role_for_each_way_in(api: Api) -> None:
    every = document(api.app)["paths"]
    assert every["/api/sync-runs/{run_id}/"]["get"]["security"] == [
        {"token": ["read"]},
        {"token": ["sync"]},
        {"session": []},
    ]
    assert every["/api/mailbox/sync/"]["post"]["security"] == [{"token": ["sync"]}, {"session": [], "csrf": []}]
    assert "scope" in every["/api/messages/"]["get"]["responses"]["403"]["description"]
    assert api.app[TOKENS] is not None
