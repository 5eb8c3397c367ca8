"""The access tokens of all accounts that a process opens, and the signing in that begins them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final, Self

from mailcore.account import Account
from mailcore.errors import ImapError, Retry, Scope
from mailcore.oauth.answer import Answer, granted, refused
from mailcore.oauth.command import CommandTokens
from mailcore.oauth.provider import endpoints
from mailcore.oauth.request import authorize_url, code_form, device_form, device_token_form
from mailcore.oauth.sign_in import SignIn
from mailcore.oauth.source import TokenSource
from mailcore.secrets import Cipher
from mailcore.settings import Settings
from mailcore.store import Store

_VERIFIER_BYTES: Final = 48  # 64 characters (RFC 7636 §4.1: 43 to 128)
_INTERVAL: Final = 5.0  # RFC 8628 §3.2, where none is told
_SLOWER: Final = 5.0  # §3.5
_DEVICE_LIFETIME: Final = 900.0


class Tokens:
    """One per process, so that the connections of an account share what they log in with."""

    def __init__(self, store: Store | None, settings: Settings) -> None:
        """Without a store there is no OAuth."""
        self._store = store
        self._settings = settings
        self._sources: dict[str, tuple[Account, TokenSource]] = {}

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings, accounts: Iterable[Account]) -> AsyncIterator[Self]:
        """With a database connection of their own if one of the accounts needs it. Raises SettingsError."""
        by_oauth = any(account.auth == "oauth" for account in accounts)
        store = await Store.open(settings.database_url) if by_oauth else None
        tokens = cls(store, settings)
        try:
            yield tokens
        finally:
            await tokens.ended()
            if store is not None:
                await store.close()

    def of(self, account: Account) -> TokenSource | None:
        """None for one that logs in with a password."""
        if account.auth == "password":
            return None
        before, source = self._sources.get(account.name, (None, None))
        if source is None or before != account:
            source = CommandTokens(account) if account.auth == "command" else self._sign_in(account)
            self._sources[account.name] = account, source
        return source

    async def ended(self) -> None:
        """When no request to a provider is under way any more, each of which is bounded."""
        for _, source in list(self._sources.values()):
            if isinstance(source, SignIn):
                await source.ended()

    # -- signing in ----------------------------------------------------------------------------------------------------

    def authorize_url(self, account: Account, redirect_uri: str, state: str) -> tuple[str, str]:
        """(where a browser signs in, the verifier that redeem() takes with the code that comes back)."""
        assert account.oauth is not None
        verifier = secrets.token_urlsafe(_VERIFIER_BYTES)
        return authorize_url(account.oauth, account.user, redirect_uri, state, verifier), verifier

    async def redeem(self, account: Account, code: str, verifier: str, redirect_uri: str) -> None:
        """Keep what the code is good for. Raises ImapError."""
        assert account.oauth is not None
        await self._redeem(account, code_form(account.oauth, code, verifier, redirect_uri))

    async def by_device(
        self,
        account: Account,
        tell: Callable[[str, str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """RFC 8628: `tell` gets the address and the code that a person types there. Raises ImapError."""
        assert account.oauth is not None
        oauth, sign_in = account.oauth, self._sign_in(account)
        answer = await sign_in.post(endpoints(oauth).device_url, device_form(oauth))
        device_code, user_code = answer.body.get("device_code"), answer.body.get("user_code")
        address = answer.body.get("verification_uri") or answer.body.get("verification_url")
        if answer.status != 200 or not (device_code and user_code and address):
            raise refused(answer, sign_in.whose)
        tell(str(address), str(user_code))
        interval, left = (
            _number(answer.body.get("interval"), _INTERVAL),
            _number(answer.body.get("expires_in"), _DEVICE_LIFETIME),
        )
        while left > 0:
            await sleep(interval)
            left -= interval
            answer = await sign_in.post(endpoints(oauth).token_url, device_token_form(oauth, str(device_code)))
            error = answer.body.get("error")
            if error == "slow_down":
                interval += _SLOWER
            elif error == "expired_token":
                break
            elif error != "authorization_pending":
                await self._keep(account, sign_in, answer)
                return
        raise ImapError("Nobody has typed the code in time; begin again", scope=Scope.ACCOUNT, retry=Retry.NEVER)

    async def _redeem(self, account: Account, form: dict[str, str]) -> None:
        assert account.oauth is not None
        sign_in = self._sign_in(account)
        await self._keep(account, sign_in, await sign_in.post(endpoints(account.oauth).token_url, form))

    async def _keep(self, account: Account, sign_in: SignIn, answer: Answer) -> None:
        found = granted(answer, sign_in.whose)
        if not found.refresh_token:
            raise ImapError(
                f"{sign_in.whose.provider} gave no refresh token, so this sign-in would end within the hour. Check "
                f"{account.setting('scope')} (offline_access, where there is that) and the kind of the application",
                scope=Scope.ACCOUNT,
                retry=Retry.NEVER,
            )
        await sign_in.keep(found)
        self._sources[account.name] = account, sign_in

    def _sign_in(self, account: Account) -> SignIn:
        assert self._store is not None
        return SignIn(account, self._store, lambda: Cipher.open(self._settings, make=True))


def _number(value: object, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < 1e6 else otherwise
