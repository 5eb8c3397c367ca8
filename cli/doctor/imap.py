"""The check of `mozzart doctor` of the IMAP accounts: a line for each mailbox, or for each of several accounts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from cli.doctor.finding import Finding
from cli.imap_account import connected, mailboxes
from cli.quantity import counted
from mailcore.errors import ImapError, SettingsError
from mailcore.oauth.tokens import Tokens
from mailcore.settings import Account, Settings
from syncer.imap import trace
from syncer.imap.connection import ImapConnection, MailboxStatus

_WITHIN: Final = 20.0
_AT_ONCE: Final = 5  # accounts; servers mind many logins in one second
_WANTED: Final = ("IDLE", "CONDSTORE", "ESEARCH")


@dataclass
class Looked:
    """What one account looked like. `absent` are the names and patterns that no mailbox fits."""

    account: Account
    error: str = ""
    capabilities: frozenset[str] = frozenset()
    idle: bool = False
    mailboxes: dict[str, MailboxStatus] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        account = self.account
        way = "TLS" if account.use_ssl else "STARTTLS" if account.starttls else "no TLS"
        return f"{account.host}:{account.port} ({way})"


async def imap(settings: Settings) -> AsyncIterator[Finding]:
    """In the order of the settings; several are looked at at once, so that one that is silent holds up none."""
    try:
        trace.begin(settings.imap_trace)
    except SettingsError as error:
        yield Finding("failed", "IMAP", str(error))
    async with AsyncExitStack() as stack:
        try:
            tokens = await stack.enter_async_context(Tokens.opened(settings, settings.accounts))
        except SettingsError as error:
            yield Finding("failed", "IMAP", str(error))
            return
        async for finding in _looked(settings, tokens):
            yield finding


async def _looked(settings: Settings, tokens: Tokens) -> AsyncIterator[Finding]:
    turns = asyncio.Semaphore(_AT_ONCE)
    looks = [asyncio.create_task(_look(account, turns, tokens)) for account in settings.accounts]
    try:
        for look in looks:
            looked = await look
            if len(looks) == 1:
                for finding in details(looked):
                    yield finding
            else:
                yield line(looked)
    finally:
        for look in looks:
            look.cancel()


async def _look(account: Account, turns: asyncio.Semaphore, tokens: Tokens) -> Looked:
    looked = Looked(account)
    async with turns:
        try:
            async with asyncio.timeout(_WITHIN), connected(account, tokens) as connection:
                await _look_inside(looked, connection)
        except TimeoutError:
            looked.error = f"no answer from {looked.place} within {_WITHIN:.0f} s"
        except ImapError as error:
            looked.error = str(error)
    return looked


async def _look_inside(looked: Looked, connection: ImapConnection) -> None:
    looked.capabilities = connection.capabilities
    looked.idle = connection.supports_idle
    for pattern in looked.account.mailboxes:
        names = await mailboxes(connection, pattern)
        if not names:
            looked.absent.append(pattern)
        for name in names:
            looked.mailboxes[name] = await connection.status(name)


def details(looked: Looked) -> list[Finding]:
    """Several lines for one account. Pure."""
    account = looked.account
    found = []
    if looked.capabilities:
        offered = ", ".join(name for name in _WANTED if name in looked.capabilities) or "plain IMAP"
        found.append(Finding("ok", "IMAP", f"{account.name}: logged in at {looked.place}; offers {offered}"))
        if not looked.idle:
            text = f"{account.name}: the server has no IDLE, so mail is found by the sweep alone"
            found.append(Finding("note", "IMAP", text, "Lower SYNC_INTERVAL if that is too slow."))
    for name, status in looked.mailboxes.items():
        if status.messages is None or status.uidvalidity is None:
            text = f"{account.name}/{name}: the server answers STATUS with too little; SELECT tells the rest"
            found.append(Finding("note", "IMAP", text))
            continue
        text = f"{account.name}/{name}: {counted(status.messages, 'message')}, UIDVALIDITY {status.uidvalidity}"
        found.append(Finding("ok", "IMAP", text))
    found += [
        Finding("failed", "IMAP", f"{account.name}: there is no mailbox {pattern!r}", _absent_remedy(account))
        for pattern in looked.absent
    ]
    if looked.error:
        found.append(Finding("failed", "IMAP", f"{account.name}: {looked.error}", _remedy(account)))
    return found


def line(looked: Looked) -> Finding:
    """One line for one account of several. Pure."""
    account = looked.account
    if looked.error:
        return Finding("failed", "IMAP", f"{account.name}: {looked.error}", _remedy(account))
    if looked.absent:
        names = ", ".join(repr(pattern) for pattern in looked.absent)
        return Finding("failed", "IMAP", f"{account.name}: there is no mailbox {names}", _absent_remedy(account))
    messages = sum(status.messages or 0 for status in looked.mailboxes.values())
    text = (
        f"{account.name}: logged in at {looked.place}; {counted(len(looked.mailboxes), 'mailbox')}, "
        f"{counted(messages, 'message')}"
    )
    if not looked.idle:
        return Finding("note", "IMAP", f"{text}; no IDLE, so mail is found by the sweep alone")
    return Finding("ok", "IMAP", text)


def _absent_remedy(account: Account) -> str:
    key = account.setting("mailbox" if account.source == "environment" else "mailboxes")
    return f"Names are as the server has them, with its hierarchy; `*` lists them all. See {key}."


def _remedy(account: Account) -> str:
    secret = {"password": "password", "command": "token_command", "oauth": "scope"}[account.auth]
    names = [account.setting(name) for name in ("host", "port", "use_ssl", "user", secret)]
    where = {
        "file": f" of the table {account.name!r} in ACCOUNTS_FILE",
        "database": f" of the account {account.name!r}",
    }
    of = where.get(account.source, "")
    hint = " (many providers want an app password)" if account.auth == "password" else ""
    return f"Check {', '.join(names[:-1])} and {names[-1]}{of}{hint}."
