"""What is kept in the database and must not be read there: encrypted by Fernet, under the keys of SECRET_KEY or, where
that is not set, of DATA_DIR/secret.key, which is made when it is first needed. The first key encrypts, all decrypt."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from mailcore.errors import SettingsError
from mailcore.settings import Settings


class Cipher:
    """`keys` are 32 bytes each in URL-safe base64; without any nothing can be encrypted, and nothing decrypted."""

    def __init__(self, keys: Sequence[str], where: str = "SECRET_KEY") -> None:
        self._all = MultiFernet([Fernet(key) for key in keys]) if keys else None
        self._first = Fernet(keys[0]) if keys else None
        self._where = where

    @classmethod
    def open(cls, settings: Settings, *, make: bool = False) -> Self:
        """With the keys as they are now; another process may rotate them at any time. `make`: the file, if nothing else
        has one. Raises SettingsError."""
        if configured := keys_in(settings.secret_key.get_secret_value()):
            return cls(configured)
        path = settings.secret_key_path
        if make:
            _make(path)
        return cls(read_keys(path), str(path))

    def __repr__(self) -> str:
        return f"<Cipher {self._where}>"

    def encrypt(self, text: str) -> str:
        if self._all is None:
            raise SettingsError(f"There is no key to encrypt with in {self._where}.")
        return self._all.encrypt(text.encode()).decode()

    def decrypt(self, token: str) -> str:
        """Raises SettingsError when no key fits."""
        if self._all is None:
            raise SettingsError(f"its secrets cannot be decrypted: there is no key in {self._where}; bring it back")
        try:
            return self._all.decrypt(token).decode()
        except InvalidToken:
            raise SettingsError(
                f"its secrets cannot be decrypted: {self._where} does not have the key that they were encrypted with; "
                "bring that key back, or enter the secrets again"
            ) from None

    def is_current(self, token: str) -> bool:
        """Whether the first key encrypted it."""
        if self._first is None:
            return False
        try:
            self._first.decrypt(token)
        except InvalidToken:
            return False
        return True


def new_key() -> str:
    return Fernet.generate_key().decode()


def keys_in(text: str) -> list[str]:
    """The keys of SECRET_KEY or of a file, by white space or commas, in either alphabet of base64. Pure."""
    return [key.replace("+", "-").replace("/", "_") for key in text.replace(",", " ").split()]


def read_keys(path: Path) -> list[str]:
    """Those of the file; [] if there is none. Raises SettingsError."""
    try:
        keys = keys_in(path.read_text(encoding="ascii"))
        MultiFernet([Fernet(key) for key in keys])
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}: no key can be read from it ({error}); bring back the file that was there"
        ) from None
    return keys


def write_keys(path: Path, keys: Sequence[str]) -> None:
    """All or nothing, on disk when it returns. Raises SettingsError."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        try:
            _write(temporary, keys)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _to_disk(path.parent)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written ({error.strerror}); mend DATA_DIR, or set SECRET_KEY.") from None


def _make(path: Path) -> None:
    """Written elsewhere and linked: of two that start at once, one wins and the other one reads a whole key."""
    if path.exists():
        return
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(temporary, [new_key()])
            with suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _to_disk(path.parent)
    except OSError as error:
        raise SettingsError(f"{path} cannot be made ({error.strerror}); mend DATA_DIR, or set SECRET_KEY.") from None


def _write(path: Path, keys: Sequence[str]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write("".join(f"{key}\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())


def _to_disk(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
