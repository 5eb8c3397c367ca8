"""The password of the admin pages, checked with argon2id (RFC 9106)."""

from __future__ import annotations

import asyncio
from typing import Final

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from mailcore.errors import SettingsError

HASH_BEGINS: Final = "$argon2"
_LONGEST: Final = 4096
# Each check takes tens of MB and all of a core for a moment: one at a time, and nobody piles them up.
_MOST_WAITING: Final = 8


class TooBusy(Exception):
    """So many checks wait already that another one is refused unseen."""


class Password:
    """`configured` is the password, or an argon2 hash of it; raises SettingsError for a hash that is none."""

    def __init__(self, configured: str) -> None:
        self._hasher = argon2.PasswordHasher()
        self._plain: str | None = configured
        self._hash = ""
        self._turn = asyncio.Lock()
        self._waiting = 0
        if configured.startswith(HASH_BEGINS):
            try:
                argon2.extract_parameters(configured)
            except InvalidHashError:
                raise SettingsError(
                    "ADMIN_PASSWORD begins like an argon2 hash and is none: make one with `mozzart hash-password`, and "
                    "mind that `$` must be quoted in shells and doubled in docker-compose.yml."
                ) from None
            self._plain, self._hash = None, configured

    def __repr__(self) -> str:
        return "Password(…)"

    async def matches(self, given: str) -> bool:
        """Off the event loop, in the same time for each wrong one. Raises TooBusy."""
        if self._waiting >= _MOST_WAITING:
            raise TooBusy
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(self._check, given)
        finally:
            self._waiting -= 1

    def _check(self, given: str) -> bool:
        if self._plain is not None:
            self._hash, self._plain = hash_of(self._plain), None
        try:
            return len(given) <= _LONGEST and self._hasher.verify(self._hash, _bytes(given))
        except (VerificationError, InvalidHashError):
            return False


def hash_of(password: str) -> str:
    """A fresh argon2id hash with the library's parameters (RFC 9106 §4, low memory)."""
    return argon2.PasswordHasher().hash(_bytes(password))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
