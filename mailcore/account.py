"""One IMAP account as the settings describe it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from mailcore.discovery.preset import daily_mb
from mailcore.oauth.configuration import OAuth
from mailcore.setting_value import Auth, Backfill, Names, Port

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
NAMES_OF_THEIR_OWN: Final = frozenset(("token_command",))  # their variables begin without IMAP_
Source = Literal["environment", "file", "database"]
Connections = Annotated[int, Field(ge=3)]  # one to listen, one to look, one to fetch
DailyMb = Annotated[int, Field(ge=0, le=1_000_000_000)]


class Account(BaseModel):
    """One IMAP account.

    `mailboxes` are names or LIST patterns (`*`, `%`); `backfill` is `all`, `none` or a number of days.
    `port` follows the way of connecting when it is not given: 993 with TLS from the start, 143 otherwise.
    `connections` is the most that are open at once, `daily_mb` the most that is fetched in a day as long as older mail
    is among it: 0 for no such bound, None for what is known of the provider. `auth` is how it logs in: with `password`,
    or with an access token that `token_command` prints (`command`) or that `oauth` gets. `source` is where its settings
    stand; `hosts`, for those of the database, where it may be connected to (mailcore/account_hosts.py), None where that
    is not restricted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: AccountName
    host: Annotated[str, Field(min_length=1)]
    port: Port = IMAPS_PORT
    user: Annotated[str, Field(min_length=1)]
    auth: Auth = "password"
    password: SecretStr = SecretStr("")
    token_command: str = Field(default="", repr=False)
    oauth: OAuth | None = None
    use_ssl: bool = True
    starttls: bool = False
    ca_file: Path | None = None
    mailboxes: Mailboxes = ("INBOX",)
    backfill: Backfill = "all"
    connections: Connections = CONNECTIONS
    daily_mb: DailyMb | None = None
    source: Source = "environment"
    hosts: tuple[str, ...] | None = None

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
    def _can_log_in(self) -> Self:
        """Each way of logging in has what it needs, and nothing of the others."""
        if self.auth == "password" and not self.password.get_secret_value():
            raise ValueError("password: it is empty")
        if self.auth == "command" and not self.token_command:
            raise ValueError("token_command: is missing; auth = command needs it")
        if self.auth == "oauth" and self.oauth is None:
            raise ValueError("oauth: is missing; auth = oauth needs it")
        given = {"password": self.password.get_secret_value(), "token_command": self.token_command, "oauth": self.oauth}
        for name, value in given.items():
            if value and name != {"command": "token_command"}.get(self.auth, self.auth):
                raise ValueError(f"{name}: is not used with auth = {self.auth}; remove it")
        return self

    def setting(self, name: str) -> str:
        """What a person sets to change `name` of this account: `IMAP_HOST`, or the key `host` of its table."""
        return setting(self.source, name)

    @property
    def budget(self) -> int:
        """The bytes of a day, 0 where there is no bound."""
        return 1_000_000 * ((daily_mb(self.host) or 0) if self.daily_mb is None else self.daily_mb)

    @property
    def credentials(self) -> str:
        """What a person looks at when the server refuses the login."""
        if self.auth == "command":
            command = self.setting("token_command")
            return f"{self.setting('user')} and {command}, which must print a token of that user's for IMAP"
        if self.oauth is not None:
            again = f", or sign in again: `mozzart accounts authorize {self.name}`" if self.oauth.signs_in else ""
            return f"{self.setting('user')}, which must be who signed in, and {self.setting('scope')}{again}"
        return f"{self.setting('user')} and {self.setting('password')}"


def setting(source: Source, name: str) -> str:
    """As in Account.setting()."""
    if source != "environment":
        return f"`{name}`"
    if name in OAuth.model_fields:
        return f"OAUTH_{name.upper()}"
    return name.upper() if name in NAMES_OF_THEIR_OWN else f"IMAP_{name.upper()}"
