"""ACCOUNTS_FILE: several accounts in a TOML file, one `[[account]]` table each.

Every fault of the file is told at once, each with its table and key; no error and no warning holds a secret.
"""

from __future__ import annotations

import difflib
import stat
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from mailcore.account import Account
from mailcore.oauth.configuration import OAuth
from mailcore.setting_value import fault_lines, read_secret

TABLE: Final = "account"
# Exactly one of them; `password_file` and `password_env` keep the secret out of this file.
PASSWORD_KEYS: Final = ("password_file", "password_env", "password")
OAUTH_SECRETS: Final = ("client_secret", "refresh_token")
OAUTH_KEYS: Final = frozenset(
    (*OAuth.model_fields, *(f"{name}{kind}" for name in OAUTH_SECRETS for kind in ("_file", "_env")))
)
KEYS: Final = frozenset((*PASSWORD_KEYS, *Account.model_fields)) - {"source", "hosts"}


@dataclass(frozen=True)
class AccountsFile:
    """What a file without faults holds; `warnings` are sentences for people."""

    accounts: tuple[Account, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """From some accounts to others, by name. Who is in none of the three goes on untouched."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


def change(old: Iterable[Account], new: Iterable[Account]) -> Change:
    """What is different; an account is the same when everything about it is, the password included. Pure."""
    before = {account.name: account for account in old}
    after = {account.name: account for account in new}
    return Change(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed=tuple(name for name, account in after.items() if before.get(name, account) != account),
    )


def read_accounts(path: Path, environment: Mapping[str, str]) -> AccountsFile:
    """`environment` is where `password_env` looks. Raises ValueError: file, table, key, what is wrong."""
    where = f"ACCOUNTS_FILE {path}"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise ValueError(f"{where}: cannot be read ({error.strerror}); check path and permissions") from None
    except ValueError as error:
        raise ValueError(f"{where}: not valid TOML ({error})") from None
    accounts, faults = _read(document, environment)
    if faults:
        raise ValueError("; ".join(f"{where}: {fault}" for fault in faults))
    return AccountsFile(accounts, tuple(_warnings(where, mode, document)))


def _read(document: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[tuple[Account, ...], list[str]]:
    faults = [f"{key}: unknown{_meant(key, (TABLE,))}" for key in document if key != TABLE]
    tables = document.get(TABLE)
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        return (), [*faults, f"expected one [[{TABLE}]] table (in double brackets) for each account"]
    accounts: list[Account] = []
    for number, table in enumerate(tables, 1):
        name = table.get("name")
        title = f"[[{TABLE}]] {number}" + (f" ({name})" if isinstance(name, str) and name.isprintable() else "")
        found = _account(table, environment)
        if isinstance(found, Account):
            if found.name in {account.name for account in accounts}:
                faults.append(f"{title}: name: account names must differ, and {found.name!r} is that of another table")
            accounts.append(found)
        else:
            faults += [f"{title}: {fault}" for fault in found]
    return tuple(accounts), faults


def _account(table: Mapping[str, Any], environment: Mapping[str, str]) -> Account | list[str]:
    """The account, or what is wrong with its table."""
    faults = [f"{key}: unknown{_meant(key, sorted(KEYS))}" for key in table if key not in KEYS]
    values = {key: value for key, value in table.items() if key in KEYS and key not in PASSWORD_KEYS}
    try:
        if table.get("auth", "password") == "password" or any(key in table for key in PASSWORD_KEYS):
            values["password"] = _secret(table, "password", environment)
    except ValueError as error:
        faults.append(str(error))
        values["password"] = "?"  # so that the faults of the other keys are told too
    if "oauth" in table:
        values["oauth"], wrong = _oauth(table["oauth"], environment)
        faults += [f"oauth: {fault}" for fault in wrong]
        if wrong:
            values.pop("auth", None)  # no fault of its own
            values |= {"oauth": None, "password": "?"}
    try:
        account = Account.model_validate({**values, "source": "file"})
    except ValidationError as error:
        return [*faults, *(fault.replace("field required", "is missing") for fault in fault_lines(error, upper=False))]
    return faults or account


def _oauth(table: Any, environment: Mapping[str, str]) -> tuple[OAuth | None, list[str]]:
    """What `[account.oauth]` says, or what is wrong with it."""
    if not isinstance(table, Mapping):
        return None, ["must be a table: [account.oauth] below its [[account]]"]
    faults = [f"{key}: unknown{_meant(key, sorted(OAUTH_KEYS))}" for key in table if key not in OAUTH_KEYS]
    values = {key: table[key] for key in table if key in OAuth.model_fields and key not in OAUTH_SECRETS}
    for name in OAUTH_SECRETS:
        try:
            values[name] = _secret(table, name, environment, required=False)
        except ValueError as error:
            faults.append(str(error))
            values[name] = "?"
    try:
        found = OAuth.model_validate(values)
    except ValidationError as error:
        return None, [*faults, *fault_lines(error, upper=False)]
    return (None if faults else found), faults


def _secret(table: Mapping[str, Any], name: str, environment: Mapping[str, str], *, required: bool = True) -> str:
    """What one of `name`, `name_file` and `name_env` says. Raises ValueError, which names the key."""
    keys = (f"{name}_file", f"{name}_env", name)
    given = [key for key in keys if key in table]
    if not given and not required:
        return ""
    if not given:
        raise ValueError(f"{name}: is missing; set {keys[0]}, {keys[1]} or {name}")
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} are set; keep one of them")
    (key,) = given
    value = table[key]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key}: must be text in quotes, and not empty")
    if key == keys[0]:
        secret = read_secret(key, Path(value))
        if not secret:
            raise ValueError(f"{key}: {value} is empty")
        return secret
    if key == keys[1]:
        if not environment.get(value):
            raise ValueError(f"{key}: {value!r} is not set, neither in the environment nor in .env")
        return environment[value]
    return value


def _meant(key: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(key.lower().removeprefix("imap_"), known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known are {', '.join(known)}"


def _warnings(where: str, mode: int, document: Mapping[str, Any]) -> Iterable[str]:
    if mode & stat.S_IROTH and any(_holds_a_secret(table) for table in document[TABLE]):
        yield (
            f"{where} holds passwords and every user of this machine may read it (mode {mode:04o}): "
            "chmod 600, or use password_file"
        )


def _holds_a_secret(table: Mapping[str, Any]) -> bool:
    oauth = table.get("oauth", {})
    return "password" in table or any(name in oauth for name in OAUTH_SECRETS)
