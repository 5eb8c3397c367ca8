"""An account that logs in by OAuth: every grant, the tokens that are kept and replaced, and what fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from mailcore.account import Account
from mailcore.account_row import changed, new_account
from mailcore.errors import AuthenticationFailed, ImapError, Retry, Scope, SettingsError
from mailcore.oauth.configuration import OAuth
from mailcore.oauth.post import Unreachable, post
from mailcore.oauth.rotation import encrypt_again
from mailcore.oauth.sign_in import SignIn, utc_now
from mailcore.oauth.tokens import Tokens
from mailcore.secrets import Cipher, new_key
from mailcore.settings import Settings
from mailcore.store import Store
from syncer.imap.connection import ImapConnection
from syncer.imap.model import Endpoint
from tests.support.dovecot import Dovecot
from tests.support.openid import MakeDovecot, OpenId

pytestmark = pytest.mark.asyncio


@dataclass
class House:
    """One database, and processes that use it. `clock` is ours; it moves when a test says so."""

    openid: OpenId
    home: Path
    store_url: str
    clock: datetime = field(default_factory=lambda: datetime.now(UTC))
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def settings(self) -> Settings:
        return Settings(_env_file=None, data_dir=self.home, database_url=self.store_url)

    def account(self, grant: str = "authorization_code", **oauth: Any) -> Account:
        given = {
            "client_id": "client",
            "client_secret": SecretStr(self.openid.clients["client"]),
            "token_url": f"{self.openid.url}/token",
            "authorize_url": f"{self.openid.url}/authorize",
            "device_url": f"{self.openid.url}/device",
            "scope": "imap",
        }
        return Account(name="a", host="h", user="anna", auth="oauth", oauth=OAuth(**{"grant": grant, **given, **oauth}))

    async def process(self) -> Tokens:
        store = await Store.open(self.store_url)
        self.stack.push_async_callback(store.close)
        return Tokens(store, self.settings)

    async def source(self, account: Account | None = None) -> SignIn:
        """As another process has it."""
        store = await Store.open(self.store_url)
        self.stack.push_async_callback(store.close)
        return SignIn(
            account or self.account(), store, lambda: Cipher.open(self.settings, make=True), now=lambda: self.clock
        )


@asynccontextmanager
async def opened(openid: OpenId, home: Path, store_url: str) -> AsyncIterator[House]:
    house = House(openid, home, store_url)
    store = await Store.open(store_url)
    await store.upgrade()
    await store.close()
    async with house.stack:
        yield house


@pytest_asyncio.fixture
async def house(openid: OpenId, tmp_path: Path) -> AsyncIterator[House]:
    async with opened(openid, tmp_path / "data", f"sqlite+aiosqlite:///{tmp_path}/data/mozzart.db") as house:
        yield house


@pytest_asyncio.fixture
async def any_house(openid: OpenId, tmp_path: Path, store_url: str) -> AsyncIterator[House]:
    """On SQLite and on PostgreSQL."""
    async with opened(openid, tmp_path / "data", store_url) as house:
        yield house


async def log_in(dovecot: Dovecot, source: Any) -> None:
    endpoint = Endpoint(dovecot.host, dovecot.port, "anna", SecretStr(""), use_ssl=False, tokens=source)
    connection = await ImapConnection.open(endpoint)
    await connection.select("INBOX")
    await connection.logout()


# -- grants ------------------------------------------------------------------------------------------------------------


async def test_a_code_with_pkce_signs_in_and_the_refresh_token_is_kept(
    house: House, make_oauth_dovecot: MakeDovecot
) -> None:
    tokens, account = await house.process(), house.account()
    with pytest.raises(
        AuthenticationFailed, match=r"nobody has signed in as 'anna' yet\. Do so: `mozzart accounts auth"
    ):
        await tokens.of(account).token()  # type: ignore[union-attr]
    url, verifier = tokens.authorize_url(account, "http://127.0.0.1:9/back", "a-state")
    async with aiohttp.ClientSession() as browser, browser.get(url, allow_redirects=False) as response:
        back = parse_qs(urlsplit(response.headers["Location"]).query)
    assert back["state"] == ["a-state"]
    with pytest.raises(AuthenticationFailed, match="Sign in again"):
        await tokens.redeem(account, back["code"][0], "another-verifier", "http://127.0.0.1:9/back")

    url, verifier = tokens.authorize_url(account, "http://127.0.0.1:9/back", "a-state")
    async with aiohttp.ClientSession() as browser, browser.get(url, allow_redirects=False) as response:
        back = parse_qs(urlsplit(response.headers["Location"]).query)
    await tokens.redeem(account, back["code"][0], verifier, "http://127.0.0.1:9/back")
    await log_in(make_oauth_dovecot(), await house.source())


async def test_a_device_code_is_typed_elsewhere(house: House, make_oauth_dovecot: MakeDovecot) -> None:
    tokens, account = await house.process(), house.account("device_code")
    told: list[tuple[str, str]] = []
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            house.openid.type_code("anna")

    await tokens.by_device(account, lambda *words: told.append(words), sleep)
    assert told == [(f"{house.openid.url}/type", "ABCD-EFGH")]
    assert waits == [1, 1, 1]
    await log_in(make_oauth_dovecot(), await house.source(account))


async def test_a_code_that_nobody_types_is_given_up(house: House) -> None:
    async def sleep(seconds: float) -> None:
        pass

    tokens = await house.process()
    with pytest.raises(ImapError, match="Nobody has typed the code in time"):
        await tokens.by_device(house.account("device_code"), lambda *words: None, sleep)


async def test_client_credentials_need_nobody(house: House, make_oauth_dovecot: MakeDovecot) -> None:
    await log_in(make_oauth_dovecot(), await house.source(house.account("client_credentials")))
    assert house.openid.asked[-1]["grant_type"] == "client_credentials"


@pytest.fixture
def service_account(house: House) -> Path:
    """The file that Google gives."""
    key = rsa.generate_private_key(65537, 2048)
    house.openid.service_keys["robot@project.example"] = _Verifier(key.public_key())
    path = house.home.parent / "service-account.json"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    told = {"client_email": "robot@project.example", "private_key": pem, "private_key_id": "1"}
    path.write_text(json.dumps(told | {"token_uri": f"{house.openid.url}/token"}))
    return path


@dataclass
class _Verifier:
    key: rsa.RSAPublicKey

    def verify(self, *arguments: Any) -> None:
        self.key.verify(*arguments)


async def test_a_service_account_speaks_for_a_user(
    house: House, make_oauth_dovecot: MakeDovecot, service_account: Path
) -> None:
    account = house.account("service_account", service_account_file=service_account, client_id="", token_url="")
    await log_in(make_oauth_dovecot(), await house.source(account))


async def test_a_clock_that_is_wrong_is_told_with_how_much(house: House, service_account: Path) -> None:
    house.clock -= timedelta(hours=3)
    source = await house.source(house.account("service_account", service_account_file=service_account))
    with pytest.raises(ImapError, match="Clock skew: set the clock of this machine, which is 3 hours behind") as caught:
        await source.token()
    assert (caught.value.code, caught.value.scope, caught.value.retry) == ("CLOCK", Scope.ACCOUNT, Retry.LATER)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"client_email": "a", "private_key": "no key"}'])
async def test_a_file_that_is_no_key_is_named(house: House, tmp_path: Path, content: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)
    source = await house.source(house.account("service_account", service_account_file=path))
    with pytest.raises(ImapError, match=r"OAUTH_SERVICE_ACCOUNT_FILE .*key\.json cannot be used"):
        await source.token()


# -- replacing ---------------------------------------------------------------------------------------------------------


async def test_a_token_is_replaced_before_it_expires_and_the_rotated_one_is_used_next(any_house: House) -> None:
    grant = any_house.openid.sign_in("anna")
    account = any_house.account(refresh_token=SecretStr(grant.refresh))
    source = await any_house.source(account)
    first = await source.token()
    assert await source.token() == first
    assert await (await any_house.source(account)).token() == first  # another process, or this one again
    for round_ in range(3):
        any_house.clock += timedelta(seconds=3301)
        assert await source.token() != first
        assert grant.rotations == round_ + 2
    assert not grant.revoked


async def test_a_refused_token_is_replaced_once_and_a_young_one_not_at_all(house: House) -> None:
    grant = house.openid.sign_in("anna")
    source = await house.source(house.account(refresh_token=SecretStr(grant.refresh)))
    first = await source.token()
    assert await source.token(first) == first
    house.clock += timedelta(seconds=60)
    second = await source.token(first)
    assert second != first
    assert await source.token(first) == second
    assert grant.rotations == 2


async def test_of_many_at_once_in_several_processes_one_asks_and_all_get_the_same(any_house: House) -> None:
    grant = any_house.openid.sign_in("anna")
    any_house.openid.delay = 0.1
    account = any_house.account(refresh_token=SecretStr(grant.refresh))
    sources = [await any_house.source(account) for _ in range(5)]
    found = await asyncio.gather(*(source.token() for source in sources for _ in range(3)))
    assert len(set(found)) == 1
    assert (grant.rotations, any_house.openid.crowd) == (1, 1)


async def test_whoever_gives_up_waiting_loses_no_token(any_house: House) -> None:
    grant = any_house.openid.sign_in("anna")
    any_house.openid.delay = 0.2
    account = any_house.account(refresh_token=SecretStr(grant.refresh))
    source = await any_house.source(account)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await source.token()
    await source.ended()
    assert grant.rotations == 1
    assert await (await any_house.source(account)).token() == await source.token()


async def test_another_configuration_or_refresh_token_leaves_the_kept_ones_alone(house: House) -> None:
    old, new = house.openid.sign_in("anna"), house.openid.sign_in("anna")
    first = await (await house.source(house.account(refresh_token=SecretStr(old.refresh)))).token()
    second = await (await house.source(house.account(refresh_token=SecretStr(new.refresh)))).token()
    assert first != second
    assert (old.rotations, new.rotations) == (1, 1)


async def test_a_provider_that_is_away_stops_nobody_whose_token_is_good(house: House) -> None:
    grant = house.openid.sign_in("anna")
    source = await house.source(house.account(refresh_token=SecretStr(grant.refresh)))
    first = await source.token()
    house.openid.refusal = 503, "<html>busy</html>", {}
    house.clock += timedelta(seconds=3400)
    assert await source.token() == first
    house.clock += timedelta(seconds=300)
    with pytest.raises(ImapError) as caught:
        await source.token()
    assert (caught.value.code, caught.value.retry) == ("UNAVAILABLE", Retry.LATER)
    house.openid.refusal = None
    assert await source.token() != first


async def test_tokens_that_no_key_opens_are_told_and_a_new_sign_in_mends_it(house: House) -> None:
    grant = house.openid.sign_in("anna")
    account = house.account(refresh_token=SecretStr(grant.refresh))
    await (await house.source(account)).token()
    (house.home / "secret.key").unlink()
    with pytest.raises(ImapError, match="cannot be decrypted"):
        await (await house.source(account)).token()


async def test_what_is_kept_is_encrypted(house: House) -> None:
    grant = house.openid.sign_in("anna")
    first = grant.refresh
    token = await (await house.source(house.account(refresh_token=SecretStr(first)))).token()
    store = await Store.open(house.store_url)
    kept = await store.load_token("a")
    await store.close()
    assert kept is not None
    for secret in (first, grant.refresh, token):
        assert secret not in f"{kept}{kept.access_token}{kept.refresh_token}{kept.configuration}"
    assert (house.home / "secret.key").stat().st_mode & 0o777 == 0o600


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "said", "code", "retry", "words"),
    [
        (400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}, "REVOKED",
         Retry.NEVER, "Sign in again: `mozzart accounts authorize a`"),
        (400, {"error": "invalid_grant", "error_description": "AADSTS700082: It has expired."}, "EXPIRED",
         Retry.NEVER, "has expired"),
        (400, {"error": "invalid_grant", "error_description": "AADSTS65001: The user has not consented"}, "CONSENT",
         Retry.NEVER, "consent was withdrawn"),
        (400, {"error": "invalid_scope", "error_description": "AADSTS70011: x"}, "SCOPE", Retry.NEVER, "Wrong scope"),
        (400, {"error": "invalid_request", "error_description": "AADSTS90002: Tenant 'x' not found."}, "TENANT",
         Retry.NEVER, "Wrong tenant"),
        (401, {"error": "invalid_client"}, "CLIENT", Retry.NEVER, "OAUTH_CLIENT_SECRET"),
        (429, {}, "THROTTLED", Retry.LATER, "status 429"),
        (502, "<html>", "UNAVAILABLE", Retry.LATER, "status 502"),
        (200, {"nothing": "here"}, "", Retry.NEVER, "status 200"),
        (302, "elsewhere", "", Retry.NEVER, "status 302"),
    ],
)  # fmt: skip
async def test_a_refusal_of_the_provider_is_told_in_words(
    house: House, status: int, said: object, code: str, retry: Retry, words: str
) -> None:
    grant = house.openid.sign_in("anna")
    source = await house.source(house.account(refresh_token=SecretStr(grant.refresh)))
    house.openid.refusal = status, said, {"Location": "http://127.0.0.1:9/"} if status == 302 else {}
    with pytest.raises(ImapError) as caught:
        await source.token()
    assert (caught.value.code, caught.value.retry, caught.value.scope) == (code, retry, Scope.ACCOUNT)
    assert words in str(caught.value)
    for secret in (grant.refresh, house.openid.clients["client"]):
        assert secret not in str(caught.value)


async def test_a_provider_that_does_not_answer_is_told(house: House) -> None:
    source = await house.source(house.account(refresh_token=SecretStr("x"), token_url="http://127.0.0.1:9/token"))
    with pytest.raises(ImapError, match="the token endpoint does not answer") as caught:
        await source.token()
    assert (caught.value.code, caught.value.retry) == ("UNAVAILABLE", Retry.LATER)


async def test_a_refresh_token_that_is_used_up_locks_out_and_a_new_sign_in_mends_it(house: House) -> None:
    """The control of the tests above: this provider does lock out."""
    grant = house.openid.sign_in("anna")
    first = grant.refresh
    source = await house.source(house.account(refresh_token=SecretStr(first)))
    await source.token()
    house.clock += timedelta(hours=2)
    await source.token()
    thief = await house.source(house.account(refresh_token=SecretStr(first), scope="imap other"))
    with pytest.raises(AuthenticationFailed):
        await thief.token()
    house.clock += timedelta(hours=2)
    with pytest.raises(AuthenticationFailed):
        await source.token()


# -- beside other things -----------------------------------------------------------------------------------------------


async def test_tokens_are_encrypted_again_under_a_new_key_and_what_no_key_opens_is_named(house: House) -> None:
    grant = house.openid.sign_in("anna")
    account = house.account(refresh_token=SecretStr(grant.refresh))
    token = await (await house.source(account)).token()
    store = (await house.process())._store
    assert store is not None
    old, new = (house.home / "secret.key").read_text().strip(), new_key()
    assert await encrypt_again(store, Cipher([new, old])) == []
    (house.home / "secret.key").write_text(new)
    assert await (await house.source(account)).token() == token
    assert await encrypt_again(store, Cipher([new_key()])) == ["a"]


async def test_an_account_that_is_removed_leaves_no_token(house: House) -> None:
    grant = house.openid.sign_in("anna")
    await (await house.source(house.account(refresh_token=SecretStr(grant.refresh)))).token()
    store = (await house.process())._store
    assert store is not None
    assert await store.load_tokens() != []
    now = datetime.now(UTC)
    await store.add_account("a", {}, "", now)
    assert await store.remove_account("a", now, deletes_mail=False)
    assert await store.load_tokens() == []


async def test_an_account_of_the_database_sends_no_secret_to_another_provider_and_reads_no_file(house: House) -> None:
    oauth = {"client_id": "x", "token_url": "https://a/t", "authorize_url": "https://a/s"}
    values = {"host": "h", "user": "anna", "auth": "oauth", "oauth": {**oauth, "client_secret": "s"}}
    elsewhere = {**oauth, "token_url": "https://elsewhere/t"}
    account = new_account("a", values, ["*"])
    with pytest.raises(SettingsError, match="token_url: where the client_secret goes to changes"):
        changed(account, {"oauth": elsewhere})
    assert changed(account, {"oauth": {**elsewhere, "client_secret": "other"}}).oauth is not None
    with pytest.raises(SettingsError, match="service_account_file"):
        new_account(
            "b", {**values, "oauth": {"grant": "service_account", "service_account_file": "/etc/passwd"}}, ["*"]
        )


@pytest.mark.parametrize(
    ("hosts", "name", "reached"),
    [
        (None, "127.0.0.1", True),
        (("*",), "127.0.0.1", False),
        (("*",), "localhost", False),
        (("127.0.0.1",), "127.0.0.1", True),
        (("localhost",), "localhost", True),
    ],
)
async def test_a_token_endpoint_of_the_databases_is_bound_by_account_hosts(
    openid: OpenId, hosts: tuple[str, ...] | None, name: str, reached: bool
) -> None:
    url = f"http://{name}:{openid.port}/token"
    form = {"grant_type": "client_credentials", "client_id": "client", "client_secret": openid.clients["client"]}
    if reached:
        assert (await post(url, form, now=utc_now, hosts=hosts)).status == 200
    else:
        with pytest.raises(Unreachable, match="ACCOUNT_HOSTS"):
            await post(url, form, now=utc_now, hosts=hosts)
    assert len(openid.asked) == reached
