"""The tokens that are kept, under another key."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mailcore.errors import SettingsError
from mailcore.secrets import Cipher
from mailcore.store import Store

_WITHIN: Final = 30.0


def lock_of(account: str) -> str:
    """Whoever writes the tokens of that account holds it."""
    return f"token {account}"


async def encrypt_again(store: Store, cipher: Cipher) -> list[str]:
    """The accounts whose tokens no key of `cipher` opens, so that somebody must sign in again. Raises StoreError."""
    unreadable = []
    for account in [kept.account for kept in await store.load_tokens()]:
        async with store.lock(lock_of(account), _WITHIN):
            kept = await store.load_token(account)
            if kept is None:
                continue
            try:
                again = [
                    cipher.encrypt(cipher.decrypt(text)) if text else ""
                    for text in (kept.refresh_token, kept.access_token)
                ]
            except SettingsError:
                unreadable.append(account)
                continue
            await store.save_token(replace(kept, refresh_token=again[0], access_token=again[1]))
    return unreadable
