"""The api's secrets: as configured, or else made at the first start and kept in DATA_DIR for its owner alone."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mailcore.errors import SettingsError
from mailcore.settings import Settings


@dataclass(frozen=True)
class Kept:
    """`made`: it was made just now, and nobody knows it yet."""

    secret: str = field(repr=False)
    made: bool = False


def token(settings: Settings) -> Kept:
    """API_TOKEN, or the one in DATA_DIR/api.token. Raises SettingsError when that file can be neither read nor made."""
    configured = settings.api_token.get_secret_value()
    return Kept(configured) if configured else _kept(settings.api_token_path, "token", "set API_TOKEN")


def admin_password(settings: Settings) -> Kept:
    """ADMIN_PASSWORD (or its argon2 hash), or the one in DATA_DIR/admin.password. Raises SettingsError likewise."""
    configured = settings.admin_password.get_secret_value()
    path = settings.admin_password_path
    return Kept(configured) if configured else _kept(path, "admin password", "set ADMIN_PASSWORD", 15)


def session_secret(settings: Settings) -> Kept:
    """What signs the cookies; only ever in DATA_DIR/session.key. Raises SettingsError likewise."""
    return _kept(settings.session_key_path, "session key", "make it writable")


def _kept(path: Path, what: str, remedy: str, size: int = 32) -> Kept:
    """The secret in this file, or `size` random bytes, as text, that are in it from now on."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            if kept := path.read_text(encoding="utf-8").strip():
                return Kept(kept)
            path.unlink()  # a disk that was full
        made = secrets.token_urlsafe(size)
        # Written elsewhere and linked: of two that start at once, one wins and the other one reads a whole secret.
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(made + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)
        except FileExistsError:
            return Kept(path.read_text(encoding="utf-8").strip())
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The api's {what} cannot be kept in {path} ({error}); {remedy} or mend DATA_DIR."
        ) from None
    return Kept(made, made=True)
