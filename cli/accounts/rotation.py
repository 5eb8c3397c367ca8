"""`mozzart accounts rotate-key`: the secrets of all accounts under another key, while everything runs."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from cli import exit_code
from cli.audited import note
from mailcore.errors import MozzartError
from mailcore.oauth.rotation import encrypt_again
from mailcore.secrets import Cipher, new_key, read_keys, write_keys
from mailcore.settings import Settings
from mailcore.store import Store

_ATTEMPTS = 10


async def rotate(settings: Settings) -> int:
    """In this order: the file has the new key beside the old one before anything is encrypted under it. The key before
    stays, as a backup may need it, and as somebody who read the file before may just be writing."""
    configured = bool(settings.secret_key.get_secret_value())
    path = settings.secret_key_path
    if not configured:
        write_keys(path, [new_key(), *read_keys(path)[:1]])
    cipher = Cipher.open(settings)
    store = await Store.open(settings.database_url, 20.0)
    try:
        await store.check()
        count = await _encrypt_again(store, cipher)
        unreadable = await encrypt_again(store, cipher)
    finally:
        await store.close()
    await note(settings, "key-rotated")
    after = (
        "the other keys of SECRET_KEY may go" if configured else f"the key before stays in {path} until the next time"
    )
    sys.stdout.write(f"{count} accounts are encrypted under the first key; {after}, as backups may need them.\n")
    for name in unreadable:
        sys.stdout.write(
            f"The tokens of {name} cannot be decrypted: sign in again, `mozzart accounts authorize {name}`.\n"
        )
    return exit_code.OK


async def _encrypt_again(store: Store, cipher: Cipher) -> int:
    """How many there are. Raises SettingsError for one that cannot be decrypted, MozzartError for one that somebody
    changes all the time."""
    for _ in range(_ATTEMPTS):
        rows = [row for row in await store.accounts() if row.removed_at is None]
        old = [row for row in rows if not cipher.is_current(row.secrets)]
        if not old:
            return len(rows)
        for row in old:
            secrets = cipher.encrypt(cipher.decrypt(row.secrets))
            await store.change_account(row, row.settings, secrets, datetime.now(UTC))
    raise MozzartError("The accounts are being changed by somebody else; run it again.")
