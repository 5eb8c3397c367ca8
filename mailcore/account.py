"""One IMAP account as the settings describe it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from mailcore.setting_value import Backfill, Names, Port

IMAPS_PORT: Final = 993  # RFC 8314 §7.3
IMAP_PORT: Final = 143  # RFC 9051 §2.1
CONNECTIONS: Final = 10  # what Dovecot allows one user from one address unless told otherwise; Gmail allows 15


def _nameable(name: str) -> str:
    """It stands in subjects, event ids, log lines and addresses of pages, for ever."""
    if name != name.strip() or not name.isprintable():
        raise ValueError("cannot be an account's name: no control characters, no white space at its ends")
    return name


def _named(mailboxes: tuple[str, ...]) -> tuple[str, ...]:
    if not all(name.strip() and name.isprintable() for name in mailboxes):
        raise ValueError("a mailbox's name is empty or holds a control character")
    return tuple(dict.fromkeys(mailboxes))


AccountName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_nameable)]
Mailboxes = Annotated[Names, AfterValidator(_named)]
Connections = Annotated[int, Field(ge=3)]  # one to listen, one to look, one to fetch


class Account(BaseModel):
    """One IMAP account.

    `mailboxes` are names or LIST patterns (`*`, `%`); `backfill` is `all`, `none` or a number of days.
    `port` follows the way of connecting when it is not given: 993 with TLS from the start, 143 otherwise.
    `connections` is the most that are open at once. `from_file`: its settings are keys of a table in ACCOUNTS_FILE.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: AccountName
    host: Annotated[str, Field(min_length=1)]
    port: Port = IMAPS_PORT
    user: Annotated[str, Field(min_length=1)]
    password: SecretStr
    use_ssl: bool = True
    starttls: bool = False
    ca_file: Path | None = None
    mailboxes: Mailboxes = ("INBOX",)
    backfill: Backfill = "all"
    connections: Connections = CONNECTIONS
    from_file: bool = False

    @model_validator(mode="before")
    @classmethod
    def _follow_the_way_of_connecting(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if data.get("starttls", False) and data.setdefault("use_ssl", False):
            raise ValueError("use_ssl and starttls exclude each other; keep the one that your server offers")
        data.setdefault("port", IMAPS_PORT if data.get("use_ssl", True) else IMAP_PORT)
        return data

    @model_validator(mode="after")
    def _password_is_set(self) -> Self:
        if not self.password.get_secret_value():
            raise ValueError("password: it is empty")
        return self

    def setting(self, name: str) -> str:
        """What a person sets to change `name` of this account: `IMAP_HOST`, or the key `host` of its table."""
        return f"`{name}`" if self.from_file else f"IMAP_{name.upper()}"
