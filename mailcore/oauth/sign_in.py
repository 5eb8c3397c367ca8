"""The access tokens of an account at an OAuth provider: kept in the database, replaced before they expire.

1. Whoever replaces them holds the account's lock, across processes; the others take what it kept. So no refresh token
   is used twice.
2. What a provider gave is committed before it is used: a provider that rotates refresh tokens may take the old one for
   good until the new tokens are seen, and no longer. Killed in between, the old one is used again.
3. Once sent, a request is followed to its end, whoever gave up waiting: its answer may hold the only good token.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog

from mailcore import log as log_setup
from mailcore.account import Account
from mailcore.errors import ImapError, Retry, Scope, SettingsError, StoreError
from mailcore.oauth.answer import (
    Answer,
    Granted,
    Whose,
    good_until,
    granted,
    not_signed_in,
    unreachable,
    worth_replacing,
)
from mailcore.oauth.configuration import OAuth
from mailcore.oauth.post import Unreachable, post
from mailcore.oauth.provider import endpoints
from mailcore.oauth.request import Form, client_credentials_form, refresh_form, service_account_form
from mailcore.oauth.rotation import lock_of
from mailcore.secrets import Cipher
from mailcore.store import Store
from mailcore.store.row import KeptToken

log = structlog.get_logger(__name__)
LOCKED_WITHIN: Final = 25.0  # seconds to wait while another process replaces the tokens


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Held:
    """An access token, since when it is ours, and when it ends."""

    access_token: str = field(repr=False)
    since: datetime
    expires: datetime

    @property
    def until(self) -> datetime:
        """Then another one takes its place."""
        return self.since + timedelta(seconds=good_until((self.expires - self.since).total_seconds()))

    def serves(self, refused: str, now: datetime) -> bool:
        """Whether it is what to log in with. One that was refused so young is: another one would be refused, too."""
        age = (now - self.since).total_seconds()
        return now < self.until and (self.access_token != refused or not worth_replacing(age))


class SignIn:
    """Of one account. `cipher` gives the keys as they are now."""

    def __init__(
        self, account: Account, store: Store, cipher: Callable[[], Cipher], now: Callable[[], datetime] = utc_now
    ) -> None:
        assert account.oauth is not None
        self._account = account
        self._oauth: OAuth = account.oauth
        self._store = store
        self._cipher = cipher
        self._now = now
        self._held: Held | None = None
        self._turn = asyncio.Lock()
        self._under_way: set[asyncio.Task[str]] = set()

    async def token(self, refused: str = "") -> str:
        """Raises ImapError."""
        held = self._held
        if held is not None and held.serves(refused, self._now()):
            return held.access_token
        return await self._to_its_end(self._replace(refused))

    async def keep(self, granted: Granted) -> None:
        """What a sign-in brought; it replaces what was there. Raises ImapError."""

        async def kept() -> str:
            async with self._locked():
                await self._commit(granted, granted.refresh_token)
            return granted.access_token

        await self._to_its_end(kept())

    async def ended(self) -> None:
        """When nothing is under way any more."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _to_its_end(self, work: Any) -> str:
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._done)
        found: str = await asyncio.shield(task)
        return found

    def _done(self, task: asyncio.Task[str]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits gets it

    async def _replace(self, refused: str) -> str:
        async with self._turn:
            if self._held is not None and self._held.serves(refused, self._now()):
                return self._held.access_token
            async with self._locked():
                kept = await self._kept()
                held = self._of(kept) if kept is not None else None
                if held is not None and held.serves(refused, self._now()):
                    return self._hold(held)
                refresh_token = await self._refresh_token(kept)
                try:
                    answer = await self._ask(refresh_token)
                except ImapError as error:
                    still_good = held is not None and held.access_token != refused and self._now() < held.expires
                    if held is not None and still_good and error.retry is Retry.LATER:
                        log.warning("access token not replaced", account=self._account.name, error=str(error))
                        return held.access_token
                    raise
                return await self._commit(answer, answer.refresh_token or refresh_token)

    def _hold(self, held: Held) -> str:
        before = self._held.access_token if self._held is not None else ""
        if before != held.access_token:
            log_setup.forget(before)
            log_setup.hide(held.access_token)
        self._held = held
        return held.access_token

    async def _commit(self, answer: Granted, refresh_token: str) -> str:
        now = self._now()
        held = Held(answer.access_token, now, now + timedelta(seconds=answer.lifetime))
        cipher = self._cipher()
        row = KeptToken(
            account=self._account.name,
            configuration=configuration(self._account),
            refresh_token=cipher.encrypt(refresh_token) if refresh_token else "",
            access_token=cipher.encrypt(held.access_token),
            replaced_at=held.since,
            expires_at=held.expires,
        )
        try:
            await self._store.save_token(row)
        except StoreError as error:
            if not refresh_token:  # the next one is to be had as easily
                log.warning("access token not kept", account=self._account.name, error=str(error))
                return self._hold(held)
            raise self._later(f"the new tokens of {self._account.user!r} cannot be kept: {error}") from None
        return self._hold(held)

    # -- what is kept --------------------------------------------------------------------------------------------------

    async def _kept(self) -> KeptToken | None:
        """Of this configuration: with another application or another refresh token nothing of it is good."""
        try:
            if await self._store.current() is None:
                return None  # before the first start
            kept = await self._store.load_token(self._account.name)
        except StoreError as error:
            raise self._later(f"the tokens of {self._account.user!r} cannot be read: {error}") from None
        return kept if kept is not None and kept.configuration == configuration(self._account) else None

    def _of(self, kept: KeptToken) -> Held:
        return Held(self._decrypted(kept.access_token), kept.replaced_at, kept.expires_at)

    def _decrypted(self, text: str) -> str:
        try:
            return self._cipher().decrypt(text)
        except SettingsError as error:
            words = f"The tokens of account {self._account.name!r}: {error}. Or sign in again: {self.whose.again}"
            raise ImapError(words, scope=Scope.ACCOUNT, retry=Retry.NEVER) from None

    async def _refresh_token(self, kept: KeptToken | None) -> str:
        """ "" where the grant knows none. Raises ImapError when somebody must sign in first."""
        if not self._oauth.signs_in:
            return ""
        if kept is not None and kept.refresh_token:
            token = self._decrypted(kept.refresh_token)
        else:
            token = self._oauth.refresh_token.get_secret_value()
        if not token:
            raise not_signed_in(self.whose)
        return token

    def _locked(self) -> Any:
        return _Locked(self._store, self._account.name, self._later)

    # -- the provider --------------------------------------------------------------------------------------------------

    @property
    def whose(self) -> Whose:
        account = self._account
        names = ["client_id", "client_secret", "tenant", "scope"]
        if self._oauth.grant == "service_account":
            names = ["service_account_file", "scope"]
        configured = f"{', '.join(map(account.setting, names[:-1]))} and {account.setting(names[-1])}"
        again = f"`mozzart accounts authorize {account.name}`" if self._oauth.signs_in else f"check {configured}"
        if account.source == "database" and self._oauth.grant == "authorization_code":
            again = f"on the page of the account, or {again}"
        return Whose(self._oauth.provider.capitalize(), account.user, again, configured)

    async def _ask(self, refresh_token: str) -> Granted:
        url, form = await self._form(refresh_token)
        return granted(await self.post(url, form), self.whose)

    async def post(self, url: str, form: Form) -> Answer:
        """Raises ImapError."""
        try:
            own = self._oauth.token_url or self._oauth.device_url  # else the provider's, which we know
            return await post(url, form, now=self._now, hosts=self._account.hosts if own else None)
        except Unreachable as error:
            raise unreachable(str(error), self.whose) from None

    async def _form(self, refresh_token: str) -> tuple[str, Form]:
        oauth, url = self._oauth, endpoints(self._oauth).token_url
        if oauth.grant == "client_credentials":
            return url, client_credentials_form(oauth)
        if oauth.grant != "service_account":
            return url, refresh_form(oauth, refresh_token)
        assert oauth.service_account_file is not None
        path = oauth.service_account_file
        try:
            key = await asyncio.to_thread(_read_key, path)
            return service_account_form(oauth, key, self._account.user, self._now().timestamp())
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            words = f"{self._account.setting('service_account_file')} {path} cannot be used: {why}"
            raise ImapError(words, scope=Scope.ACCOUNT, retry=Retry.NEVER) from None

    def _later(self, words: str) -> ImapError:
        return ImapError(words, scope=Scope.ACCOUNT, retry=Retry.LATER)


class _Locked:
    """The account's lock; errors of the database are those of a login."""

    def __init__(self, store: Store, account: str, later: Callable[[str], ImapError]) -> None:
        self._lock = store.lock(lock_of(account), LOCKED_WITHIN)
        self._later = later

    async def __aenter__(self) -> None:
        try:
            await self._lock.__aenter__()
        except StoreError as error:
            raise self._later(f"the access token cannot be replaced now: {error}") from None

    async def __aexit__(self, *error: Any) -> None:
        await self._lock.__aexit__(*error)


def configuration(account: Account) -> str:
    """What tokens belong to: one that changes in it makes those that are kept worthless. Of secrets it holds a hash. (A
    new client secret does not: it is replaced while sign-ins go on.)"""
    oauth = account.oauth
    assert oauth is not None
    found = endpoints(oauth)
    parts: tuple[str | int, ...] = (
        account.user,
        oauth.provider,
        oauth.grant,
        oauth.client_id,
        found.token_url,
        found.scope,
    )
    secret = oauth.refresh_token.get_secret_value()
    if account.source == "database":  # whoever may change where it goes to did not sign in for that
        parts += (account.host, account.port, account.use_ssl, account.starttls, str(account.ca_file or ""))
    text = json.dumps((*parts, str(oauth.service_account_file or ""), secret))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _read_key(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError("it is no JSON") from None
    if not isinstance(found, dict):
        raise ValueError("it must be the JSON key of a service account")
    return found
