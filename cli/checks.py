"""The checks of `mozzart doctor` that need nothing of ours to run: settings, IMAP, database, directories."""

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

from cli.finding import Finding
from cli.imap_account import connected, endpoint, mailboxes
from cli.words import counted, size
from mailcore.errors import ImapError, SettingsError, StoreError
from mailcore.settings import NOT_CONFIGURED, Account, Settings
from mailcore.store import Store
from syncer.imap.connection import ImapConnection

_WITHIN: Final = 20.0
_LITTLE_SPACE: Final = 1_000_000_000


async def settings(settings: Settings) -> AsyncIterator[Finding]:
    if (mode := await asyncio.to_thread(_mode, Path(".env"))) & 0o077:
        yield Finding(
            "note", "settings", f".env is open to other users of this machine (mode {mode:04o})", "chmod 600 .env"
        )
    if not settings.imap_configured:
        names = {
            "IMAP_HOST": settings.imap_host,
            "IMAP_USER": settings.imap_user,
            "IMAP_PASSWORD": settings.imap_password.get_secret_value(),
        }
        missing = " and ".join(name for name, value in names.items() if not value)
        yield Finding("failed", "settings", NOT_CONFIGURED, f"Set {missing} in .env or in the environment.")
        return
    names_of_accounts = ", ".join(account.name for account in settings.accounts)
    yield Finding("ok", "settings", f"accounts: {names_of_accounts}; a sweep every {settings.sync_interval:g} s")
    for account in settings.accounts:
        if not (account.use_ssl or account.starttls or _is_here(account.host)):
            yield Finding(
                "note",
                "settings",
                f"{account.name}: the password goes to {account.host} in clear text",
                "Set IMAP_USE_SSL=True (port 993) or IMAP_STARTTLS=True (port 143).",
            )


async def imap(settings: Settings) -> AsyncIterator[Finding]:
    for account in settings.accounts:
        try:
            async with asyncio.timeout(_WITHIN), connected(account) as connection:
                async for finding in _mailboxes(account, connection):
                    yield finding
        except TimeoutError:
            yield _imap_failed(account, f"no answer from {endpoint(account)} within {_WITHIN:.0f} s")
        except ImapError as error:
            yield _imap_failed(account, str(error))


async def _mailboxes(account: Account, connection: ImapConnection) -> AsyncIterator[Finding]:
    way = "TLS" if account.use_ssl else "STARTTLS" if account.starttls else "no TLS"
    wanted = ("IDLE", "CONDSTORE", "ESEARCH")
    offered = ", ".join(name for name in wanted if name in connection.capabilities) or "plain IMAP"
    where = f"{account.host}:{account.port} ({way})"
    yield Finding(
        "ok",
        "IMAP",
        f"{account.name}: logged in at {where}; offers {offered}",
    )
    if not connection.supports_idle:
        yield Finding(
            "note",
            "IMAP",
            f"{account.name}: the server has no IDLE, so mail is found by the sweep alone",
            "Lower SYNC_INTERVAL if that is too slow.",
        )
    for pattern in account.mailboxes:
        names = await mailboxes(connection, pattern)
        if not names:
            yield Finding(
                "failed",
                "IMAP",
                f"{account.name}: there is no mailbox {pattern!r}",
                "Names are as the server has them, with its hierarchy; `*` lists them all. See IMAP_MAILBOX.",
            )
        for name in names:
            status = await connection.status(name)
            yield Finding(
                "ok",
                "IMAP",
                f"{account.name}/{name}: {counted(status.messages, 'message')}, UIDVALIDITY {status.uidvalidity}",
            )


def _imap_failed(account: Account, text: str) -> Finding:
    return Finding(
        "failed",
        "IMAP",
        f"{account.name}: {text}",
        "Check IMAP_HOST, IMAP_PORT, IMAP_USE_SSL, IMAP_USER and IMAP_PASSWORD (many providers want an app password).",
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
    except StoreError as error:
        yield Finding("failed", "database", str(error), "Check DATABASE_URL, and that the database runs.")
    except TimeoutError:
        yield Finding(
            "failed", "database", f"no answer within {_WITHIN:.0f} s", "Check DATABASE_URL, and that it runs."
        )
    finally:
        await store.close()


async def directories(settings: Settings) -> AsyncIterator[Finding]:
    for name, path in (("DATA_DIR", settings.data_dir), ("MEDIA_ROOT", settings.media_root)):
        yield await asyncio.to_thread(_directory, name, path)


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
