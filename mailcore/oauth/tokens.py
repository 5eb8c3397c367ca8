"""The access tokens of all accounts that a process opens."""

from __future__ import annotations

from mailcore.account import Account
from mailcore.oauth.command import CommandTokens
from mailcore.oauth.source import TokenSource


class Tokens:
    """One per process, so that the connections of an account share what they log in with."""

    def __init__(self) -> None:
        self._sources: dict[str, tuple[Account, TokenSource]] = {}

    def of(self, account: Account) -> TokenSource | None:
        """None for one that logs in with a password."""
        if account.auth == "password":
            return None
        before, source = self._sources.get(account.name, (None, None))
        if source is None or before != account:
            source = CommandTokens(account)
            self._sources[account.name] = account, source
        return source
