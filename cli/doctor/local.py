"""The checks of `mozzart doctor` that need nothing of ours to run: settings, database, directories."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from cli.doctor.finding import Finding
from cli.quantity import counted, size
from mailcore import descriptors, modes
from mailcore.account_row import opened
from mailcore.errors import SettingsError, StoreError
from mailcore.settings import NOT_CONFIGURED, Settings
from mailcore.store import Store

_WITHIN: Final = 20.0
_LITTLE_SPACE: Final = 1_000_000_000


async def with_accounts(settings: Settings) -> Settings:
    """With those of the database, where it can be asked; whether it can is a check of its own."""
    try:
        store = await Store.open(settings.database_url, _WITHIN)
    except (StoreError, SettingsError):
        return settings
    try:
        await store.check()
        return settings.with_accounts((await opened(settings, store)).accounts)
    except (StoreError, SettingsError):
        return settings
    finally:
        await store.close()


async def settings(settings: Settings) -> AsyncIterator[Finding]:
    if (mode := await asyncio.to_thread(_mode, Path(".env"))) & 0o077:
        yield Finding(
            "note", "settings", f".env is open to other users of this machine (mode {mode:04o})", "chmod 600 .env"
        )
    for sentence in settings.warnings:
        yield Finding("note", "settings", sentence)
    if not settings.imap_configured:
        names = {
            "IMAP_HOST": settings.imap_host,
            "IMAP_USER": settings.imap_user,
            "IMAP_PASSWORD": settings.imap_password.get_secret_value(),
        }
        if settings.imap_auth != "password":
            del names["IMAP_PASSWORD"]
        missing = " and ".join(name for name, value in names.items() if not value)
        remedy = f"Set {missing} in .env or in the environment, or add an account: `mozzart accounts add`."
        yield Finding("failed", "settings", NOT_CONFIGURED, remedy)
        return
    accounts = ", ".join(account.name for account in settings.accounts)
    yield Finding("ok", "settings", f"accounts: {accounts}; a sweep every {settings.sync_interval:g} s")
    needed, allowed = descriptors.needed(settings.accounts, settings.host_connections), descriptors.hard_limit()
    if allowed < needed:
        yield Finding(
            "failed",
            "settings",
            f"these accounts may need {needed:,} file descriptors at once, and the hard limit here is {allowed:,}",
            "Raise it where the syncer is started (ulimit -Hn, LimitNOFILE= of the unit, --ulimit nofile of the "
            "container), or lower IMAP_CONNECTIONS or HOST_CONNECTIONS.",
        )
    for account in settings.accounts:
        secret = "password" if account.auth == "password" else "access token"
        if not (account.use_ssl or account.starttls or _is_here(account.host)):
            yield Finding(
                "note",
                "settings",
                f"{account.name}: the {secret} goes to {account.host} in clear text",
                f"Set {account.setting('use_ssl')} (port 993) or {account.setting('starttls')} (port 143).",
            )


async def database(settings: Settings) -> AsyncIterator[Finding]:
    where = make_url(settings.database_url).render_as_string(hide_password=True)
    try:
        store = await Store.open(settings.database_url)
    except (StoreError, SettingsError) as error:
        yield Finding("failed", "database", str(error), "Check DATABASE_URL.")
        return
    try:
        async with asyncio.timeout(_WITHIN):
            if await store.current() is None:
                yield Finding(
                    "note", "database", f"{where}: no tables yet", "`mozzart up` makes them, or `mozzart db upgrade`."
                )
                return
            await store.check()
            yield Finding("ok", "database", f"{where}: {counted(await store.count_messages(), 'message')}")
            for name, fault in (await opened(settings, store)).faults.items():
                yield Finding("failed", "accounts", f"{name}: {fault}")
    except (StoreError, SettingsError) as error:
        yield Finding("failed", "database", str(error), "Check DATABASE_URL, and that the database runs.")
    except TimeoutError:
        yield Finding(
            "failed", "database", f"no answer within {_WITHIN:.0f} s", "Check DATABASE_URL, and that it runs."
        )
    finally:
        await store.close()


async def directories(settings: Settings) -> AsyncIterator[Finding]:
    for name, path in (("DATA_DIR", settings.data_dir), ("MEDIA_ROOT", settings.media_root)):
        found = await asyncio.to_thread(_directory, name, path)
        yield found
        if found.verdict != "failed" and await asyncio.to_thread(modes.is_open, path.resolve()):
            yield Finding(
                "note",
                found.what,
                f"{path} is open to other users of this machine",
                "The next start closes it, unless something of others lies there: docs/configuration.md.",
            )


def _directory(name: str, path: Path) -> Finding:
    what = "data" if name == "DATA_DIR" else "media"
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path, prefix=".doctor-") as file:
            file.write(b"doctor")
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(path).free
    except OSError as error:
        remedy = f"Make it writable for this user, or set another {name}."
        return Finding("failed", what, f"{path} cannot be written ({error.strerror})", remedy)
    if free < _LITTLE_SPACE:
        return Finding("note", what, f"{path} is writable, but only {size(free)} are free", "Make room.")
    return Finding("ok", what, f"{path} is writable, {size(free)} free")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _mode(path: Path) -> int:
    """Its permission bits; 0 when it is not there."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0
