"""Where the accounts come from: the settings (environment and ACCOUNTS_FILE) and the database, whose changes reach us
by a notice, and by a look every now and then, so that nothing depends on the notice."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import structlog
import trio

from mailcore import log as log_setup
from mailcore.account_row import Opened, open_rows, unseal
from mailcore.aio import aio
from mailcore.errors import MozzartError, SettingsError
from mailcore.events.control import AccountLive, AccountStates
from mailcore.secrets import Cipher
from mailcore.settings import Account, Settings, load_settings
from mailcore.store import AccountRow, Store
from syncer.accounts import Accounts

log = structlog.get_logger(__name__)
LOOK_EVERY: Final = 20.0
_DELETING_EVERY: Final = 2.0  # while mail is deleted
PATIENCE: Final = 5.0  # seconds that a notice waits for the database


class Sources:
    """`accounts` becomes what both together name. `settings` are those of the last start or reload."""

    def __init__(self, settings: Settings, accounts: Accounts) -> None:
        self.accounts = accounts
        self._settings = settings
        self._store: Store | None = None
        self._rows: tuple[AccountRow, ...] = ()
        self._opened = Opened()
        self._faults_since: dict[str, datetime] = {}
        self._asked = trio.Event()
        self._looked = trio.Event()
        self._error = ""
        self._deleting: frozenset[str] = frozenset()  # the mail of accounts that had these names

    async def reload(self) -> None:
        """Read the settings again; a fault in any of them changes nothing and is logged."""
        try:
            fresh = await trio.to_thread.run_sync(load_settings)
        except SettingsError as error:
            log.error("accounts not reloaded, nothing is changed", error=str(error))
            return
        for secret in fresh.secrets():
            log_setup.hide(secret)
        for account in fresh.accounts:
            log_setup.hide_account(account)
        warn(fresh)
        self._settings = fresh
        self._become()
        self._asked.set()  # one of the database may have the name of a new one

    async def open(self, store: Store) -> None:
        """The database can be asked from here on."""
        self._store = store
        await self._look()

    async def run(self) -> None:
        """For ever."""
        while True:
            with trio.move_on_after(_DELETING_EVERY if self._deleting else LOOK_EVERY):
                await self._asked.wait()
            self._asked, looked, self._looked = trio.Event(), self._looked, trio.Event()
            await self._look()
            looked.set()

    async def look(self) -> None:
        """Look now; returns when that was done, or the database does not answer soon."""
        looked = self._looked
        self._asked.set()
        with trio.move_on_after(PATIENCE):
            await looked.wait()

    def states(self) -> AccountStates:
        """Of all that the settings and the database name."""
        now = datetime.now(UTC)
        found = [tasks.live_state() for tasks in self.accounts]
        named = {one.account for one in found}
        for row in self._opened.paused:
            since = row.paused_at or now
            found.append(
                AccountLive(
                    account=row.name, source="database", state="paused", reason="paused by a person", since=since
                )
            )
        faults = dict(self._opened.faults)
        for account in self._settings.accounts:
            if account.name in self._deleting:
                faults[account.name] = (
                    "the mail of an account of this name, which was removed, is being deleted; then it begins"
                )
        for name, fault in faults.items():
            if name not in named:
                since = self._faults_since.get(name, now)
                source = next((one.source for one in self._settings.accounts if one.name == name), "database")
                found.append(AccountLive(account=name, source=source, state="failing", reason=fault, since=since))
        return AccountStates(accounts=tuple(sorted(found, key=lambda one: one.account)))

    def account(self, name: str) -> Account | None:
        """One that may be tried, also while it is paused. Raises SettingsError when its secrets cannot be read."""
        everywhere = (*self._settings.accounts, *self._opened.accounts)
        if (found := next((one for one in everywhere if one.name == name), None)) is not None:
            return found
        row = next((one for one in self._rows if one.name == name and one.removed_at is None), None)
        return None if row is None else unseal(row, Cipher.open(self._settings), self._settings.account_hosts)

    @property
    def paused(self) -> frozenset[str]:
        return frozenset(row.name for row in self._opened.paused)

    async def _look(self) -> None:
        assert self._store is not None
        try:
            rows = tuple(await aio(self._store.accounts))
            self._deleting = frozenset(await aio(self._store.deleting))
            self._take(rows)
        except MozzartError as error:
            if self._error != str(error):
                log.warning("accounts of the database not read; those that were known go on", error=str(error))
            self._error = str(error)
            return
        self._error = ""
        if self._wanted() != self.accounts.wanted:
            self._become()
        await self._delete_mailboxes()

    async def _delete_mailboxes(self) -> None:
        """Of accounts that were removed with their mail, once the consumers have deleted that."""
        assert self._store is not None
        for name in sorted(row.name for row in self._rows if row.removed_at is not None and row.deletes_mail):
            if not self.accounts.left(name):
                continue
            try:
                if await aio(self._store.delete_mailboxes, name):
                    self.accounts.forget(name)
                    log.info("mailboxes of a removed account deleted", account=name)
            except MozzartError as error:
                log.warning("mailboxes of a removed account not deleted yet", account=name, error=str(error))

    def _wanted(self) -> tuple[Account, ...]:
        taken = {account.name for account in self._settings.accounts}
        found = (*self._settings.accounts, *(one for one in self._opened.accounts if one.name not in taken))
        return tuple(one for one in found if one.name not in self._deleting)

    def _become(self) -> None:
        self.accounts.become(self._wanted(), self.paused)

    def _take(self, rows: tuple[AccountRow, ...]) -> None:
        opened = open_rows(
            rows,
            Cipher.open(self._settings) if rows else Cipher(()),
            self._settings.account_hosts,
            [account.name for account in self._settings.accounts],
        )
        for account in opened.accounts:
            log_setup.hide_account(account)
        _tell_faults(self._opened.faults, opened.faults)
        now = datetime.now(UTC)
        self._faults_since = {name: self._faults_since.get(name, now) for name in opened.faults}
        self._rows, self._opened = rows, opened


def warn(settings: Settings) -> None:
    for sentence in settings.warnings:
        log.warning(sentence)


def _tell_faults(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    for name, fault in now.items():
        if before.get(name) != fault:
            log.error("account not synced", account=name, error=fault)
