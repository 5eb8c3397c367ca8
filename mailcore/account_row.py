"""An account and its row in the database: which of its settings are secret, encrypted and not.

Secret is what the model of an account declares as such (SecretStr), wherever it lies in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import SecretStr, TypeAdapter, ValidationError

from mailcore.account import IMAP_PORT, IMAPS_PORT, Account
from mailcore.errors import SettingsError
from mailcore.log import hide_account
from mailcore.secrets import Cipher
from mailcore.setting_value import fault_lines
from mailcore.settings import Settings
from mailcore.store import AccountRow, Store

# Not of the row's settings: its name is a column, the others follow from where it lies.
APART: Final = ("name", "source", "hosts")
# Whoever changes where the secrets go to has to know them.
DESTINATION: Final = ("host", "port", "use_ssl", "starttls", "ca_file")
SECRETS_OF_OAUTH: Final = ("client_secret", "refresh_token")
PROVIDER: Final = ("provider", "tenant", "token_url", "authorize_url", "device_url")
_ANYTHING: Final = TypeAdapter(dict[str, Any])


@dataclass(frozen=True)
class Sealed:
    """What goes into the columns of a row."""

    settings: dict[str, Any]
    secrets: str = field(repr=False)


@dataclass(frozen=True)
class Opened:
    """The accounts of the database: those that may be synced, those that are paused, and what is wrong with others, by
    name, in words."""

    accounts: tuple[Account, ...] = ()
    paused: tuple[AccountRow, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)


def new_account(name: str, values: Mapping[str, Any], hosts: Iterable[str]) -> Account:
    """Raises SettingsError: each key that is wrong, and what is wrong with it."""
    if values.get("token_command"):  # whoever may add an account may not run programs here
        raise SettingsError("token_command: is for the accounts of the settings alone (environment, ACCOUNTS_FILE)")
    if isinstance(oauth := values.get("oauth"), Mapping) and oauth.get("service_account_file"):  # nor read our files
        raise SettingsError("service_account_file: is for the accounts of the settings alone")
    try:
        return Account.model_validate({**values, "name": name, "source": "database", "hosts": tuple(hosts)})
    except ValidationError as error:
        lines = [line.replace("field required", "is missing") for line in fault_lines(error, upper=False)]
        raise SettingsError("; ".join(lines)) from None


def changed(account: Account, changes: Mapping[str, Any]) -> Account:
    """The account with some settings changed, each one alone, also those of `oauth`; with another `auth` those of the
    one before are gone. Raises SettingsError, also when secrets would go elsewhere than they were entered for."""
    public, secret = _parted(account)
    if changes.get("auth", account.auth) != account.auth:
        public.pop("oauth", None)
        secret = {}
    wanted = _merged(public, _way(public, changes))
    after = new_account(account.name, _merged(secret, wanted), account.hosts or ())
    elsewhere = [name for name in DESTINATION if getattr(after, name) != getattr(account, name)]
    if account.oauth is not None and after.oauth is not None:
        elsewhere += [name for name in PROVIDER if getattr(after.oauth, name) != getattr(account.oauth, name)]
    taken_along = [name for name in _leaves(secret) if name not in _leaves(changes)]
    if elsewhere and taken_along:
        names = " and ".join(taken_along)
        raise SettingsError(f"{', '.join(elsewhere)}: where the {names} goes to changes; enter the {names} again")
    return after


def secrets_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the settings that are secret."""
    oauth = values.get("oauth") or {}
    found = {name: oauth[name] for name in SECRETS_OF_OAUTH if oauth.get(name)}
    return {
        **({"password": values["password"]} if values.get("password") else {}),
        **({"oauth": found} if found else {}),
    }


def with_secrets_of(row: AccountRow, values: Mapping[str, Any], hosts: Iterable[str]) -> Account:
    """The account of a row whose own secrets are lost. Raises SettingsError."""
    return new_account(row.name, _merged(row.settings, secrets_of(values)), hosts)


def seal(account: Account, cipher: Cipher) -> Sealed:
    public, secret = _parted(account)
    return Sealed(public, cipher.encrypt(json.dumps(secret, ensure_ascii=False)))


def unseal(row: AccountRow, cipher: Cipher, hosts: Iterable[str]) -> Account:
    """Raises SettingsError."""
    return new_account(row.name, _merged(json.loads(cipher.decrypt(row.secrets)), row.settings), hosts)


def open_rows(rows: Iterable[AccountRow], cipher: Cipher, hosts: Iterable[str], taken: Iterable[str]) -> Opened:
    """`taken` are the names of the accounts of the settings."""
    accounts, paused, faults, taken = [], [], {}, set(taken)
    for row in rows:
        if row.removed_at is not None:
            continue
        if row.name in taken:
            faults[row.name] = (
                f"the name {row.name!r} is that of an account of the settings (IMAP_* or ACCOUNTS_FILE) and of one of "
                "the database, and must be of one; the one of the database is not synced: remove one of them"
            )
        elif row.paused_at is not None:
            paused.append(row)
        else:
            try:
                accounts.append(unseal(row, cipher, hosts))
            except SettingsError as error:
                faults[row.name] = str(error)
    return Opened(tuple(accounts), tuple(paused), faults)


def _parted(account: Account) -> tuple[dict[str, Any], dict[str, Any]]:
    """What may be seen, as JSON has it, and what is secret."""
    values = account.model_dump(exclude=set(APART), exclude_none=True)
    return _ANYTHING.dump_python(_pick(values, secret=False), mode="json"), _pick(values, secret=True)


def _pick(values: Mapping[str, Any], *, secret: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            if inner := _pick(value, secret=secret):
                found[name] = inner
        elif isinstance(value, SecretStr):
            if secret and value.get_secret_value():
                found[name] = value.get_secret_value()
        elif not secret:
            found[name] = value
    return found


def _leaves(values: Mapping[str, Any]) -> list[str]:
    """The names of all values, also of those inside."""
    inner = (_leaves(value) if isinstance(value, Mapping) else [name] for name, value in values.items())
    return [leaf for leaves in inner for leaf in leaves]


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both; where they name the same, the second one's."""
    both = {**first, **second}
    for name in first.keys() & second.keys():
        if isinstance(first[name], Mapping) and isinstance(second[name], Mapping):
            both[name] = _merged(first[name], second[name])
    return both


def _way(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """One way of connecting ends the other, and a port that nobody chose follows it."""
    wanted = dict(changes)
    if wanted.get("starttls"):
        wanted.setdefault("use_ssl", False)
    elif wanted.get("use_ssl"):
        wanted["starttls"] = False
    tls = wanted.get("use_ssl", before["use_ssl"])
    if tls != before["use_ssl"] and before["port"] in (IMAPS_PORT, IMAP_PORT):
        wanted.setdefault("port", IMAPS_PORT if tls else IMAP_PORT)
    return wanted


async def opened(settings: Settings, store: Store) -> Opened:
    """The accounts of the database as they are now. Raises StoreError, SettingsError."""
    rows = [row for row in await store.accounts() if row.removed_at is None]
    cipher = Cipher.open(settings) if rows else Cipher(())
    taken = [account.name for account in settings.accounts if account.source != "database"]
    found = open_rows(rows, cipher, settings.account_hosts, taken)
    for account in found.accounts:
        hide_account(account)
    return found
