"""Where the access tokens of one account come from."""

from __future__ import annotations

from typing import Protocol


class TokenSource(Protocol):
    """One for all connections of an account in this process."""

    async def token(self, refused: str = "") -> str:
        """An access token; another one than `refused`, which the server did not take, where another one may help.
        Raises ImapError of the account's scope."""
