"""Settings from the environment, from `.env` and from secret files.

Precedence: environment variable, then `.env` in the working directory, then the default; an empty value counts as not
set. docs/configuration.md lists them all and a test holds it to this module.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self, TypedDict

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict

from mailcore.account import CONNECTIONS, IMAP_PORT, IMAPS_PORT, Account, Connections, DailyMb, Mailboxes
from mailcore.accounts import AccountsFile, read_accounts
from mailcore.errors import SettingsError
from mailcore.oauth.configuration import GrantName, OAuth, ProviderName, RedirectUri, Url
from mailcore.setting_value import (
    Auth,
    Backfill,
    DatabaseUrl,
    Days,
    LogFormat,
    LogLevel,
    Names,
    NatsUrl,
    Networks,
    Port,
    SecretKey,
    StreamBytes,
    WebhookEvents,
    WebhookUrl,
    fault_lines,
    misspelt,
    read_secret,
    url_secrets,
)

__all__ = ["DEFAULT_ACCOUNT", "NOT_CONFIGURED", "SECRETS", "Account", "Settings", "load_settings", "url_secrets"]

NOT_CONFIGURED: Final = "IMAP settings not configured; skipping sync."
DEFAULT_ACCOUNT: Final = "default"

# Their values are never shown in an error, and NAME_FILE may hold them.
SECRETS: Final = (
    "imap_user",
    "imap_password",
    "nats_url",
    "database_url",
    "api_token",
    "admin_password",
    "webhook_url",
    "webhook_secret",
    "secret_key",
    "oauth_client_secret",
    "oauth_refresh_token",
)


class Retention(TypedDict):
    """How long and how much the streams keep: those of messages, and as `events_…` MAIL_EVENTS."""

    max_age: timedelta
    max_bytes: int
    events_max_age: timedelta
    events_max_bytes: int


class Settings(BaseSettings):
    """Every setting; the environment name is the field's name in capitals."""

    reads_accounts_file: ClassVar[bool] = True

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    imap_host: str = ""
    imap_port: Port = IMAPS_PORT
    imap_user: str = ""
    imap_password: SecretStr = SecretStr("")
    imap_auth: Auth = "password"
    token_command: str = Field(default="", repr=False)
    oauth_provider: ProviderName = "custom"
    oauth_grant: GrantName = "authorization_code"
    oauth_client_id: str = ""
    oauth_client_secret: SecretStr = SecretStr("")
    oauth_tenant: str = ""
    oauth_refresh_token: SecretStr = SecretStr("")
    oauth_service_account_file: Path | None = None
    oauth_token_url: Url = ""
    oauth_authorize_url: Url = ""
    oauth_device_url: Url = ""
    oauth_scope: str = ""
    oauth_redirect_uri: RedirectUri = ""
    imap_use_ssl: bool = True
    imap_starttls: bool = False
    imap_ca_file: Path | None = None
    imap_mailbox: Mailboxes = ("INBOX",)
    imap_backfill: Backfill = "all"
    imap_connections: Connections = CONNECTIONS
    imap_daily_mb: DailyMb | None = None
    accounts_file: Path | None = None
    account_hosts: Names = ("*",)
    secret_key: SecretKey = SecretStr("")
    host_connections: Connections = 200
    host_logins: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0

    nats_url: NatsUrl = ""
    database_url: DatabaseUrl = ""
    data_dir: Path = Path("data")
    media_root: Path = Path("media")
    file_group_readable: bool = False
    sync_interval: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60.0

    verify_interval: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    verify_deep: bool = False

    mail_max_age: Days = 3.0
    mail_max_bytes: StreamBytes = 4 << 30
    events_max_age: Days = 3.0
    events_max_bytes: StreamBytes = 512 << 20
    messages_max_age: Days | None = None
    audit_max_age: Days = 365.0

    api_host: str = "127.0.0.1"
    api_port: Annotated[int, Field(ge=0, le=65535)] = 8000
    api_token: SecretStr = SecretStr("")
    admin_user: str = "admin"
    admin_password: SecretStr = SecretStr("")
    session_idle: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2 * 3600.0
    session_lifetime: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 24 * 3600.0
    allowed_hosts: Names = ("localhost", "127.0.0.1", "[::1]")
    trusted_proxies: Networks = ()

    webhook_url: WebhookUrl = ""
    webhook_secret: SecretStr = SecretStr("")
    webhook_events: WebhookEvents = ("stored", "expunged", "reset", "dead")

    log_format: LogFormat = "console"
    log_level: LogLevel = "INFO"
    imap_trace: Path | None = None

    imap_user_file: Path | None = None
    imap_password_file: Path | None = None
    nats_url_file: Path | None = None
    database_url_file: Path | None = None
    api_token_file: Path | None = None
    admin_password_file: Path | None = None
    webhook_url_file: Path | None = None
    webhook_secret_file: Path | None = None
    secret_key_file: Path | None = None
    oauth_client_secret_file: Path | None = None
    oauth_refresh_token_file: Path | None = None

    _accounts: tuple[Account, ...] = PrivateAttr(default=())
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        for name in SECRETS:
            if path := data.get(f"{name}_file"):
                if data.get(name):
                    raise ValueError(f"{name.upper()} and {name.upper()}_FILE are both set; keep one of them")
                data[name] = read_secret(f"{name.upper()}_FILE", Path(path))
        return data

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.database_url:
            self._put("database_url", f"sqlite+aiosqlite:///{self.data_dir / 'mozzart.db'}")
        if self.imap_starttls and "imap_use_ssl" in self.model_fields_set and self.imap_use_ssl:
            raise ValueError("IMAP_USE_SSL and IMAP_STARTTLS exclude each other; set IMAP_USE_SSL=False for STARTTLS")
        if self.imap_starttls:
            self._put("imap_use_ssl", False)
        if "imap_port" not in self.model_fields_set and not self.imap_use_ssl:
            self._put("imap_port", IMAP_PORT)
        if self.imap_auth == "command" and not self.token_command:
            raise ValueError("TOKEN_COMMAND must be set with IMAP_AUTH=command: it prints an access token")
        file = self._read_accounts_file()
        self._accounts = (*self._account_of_imap_settings(), *file.accounts)
        self._warnings = (*self._misspelt_names(), *file.warnings)
        if sum(account.name == DEFAULT_ACCOUNT for account in self.accounts) > 1:
            raise ValueError(
                f"ACCOUNTS_FILE {self.accounts_file}: name: {DEFAULT_ACCOUNT!r} is the account of IMAP_HOST, IMAP_USER "
                "and IMAP_PASSWORD; unset those or choose another name"
            )
        return self

    @model_validator(mode="after")
    def _webhook_is_whole(self) -> Self:
        if self.webhook_url and not self.webhook_secret.get_secret_value():
            raise ValueError(
                "WEBHOOK_SECRET must be set with WEBHOOK_URL, and the receiver must know it; "
                'make one with: echo "whsec_$(openssl rand -base64 32)"'
            )
        return self

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The account of IMAP_* (named `default`) if it is complete, then those of ACCOUNTS_FILE."""
        return self._accounts

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for people about settings that work and are not wise."""
        return self._warnings

    @property
    def imap_configured(self) -> bool:
        """False: say NOT_CONFIGURED, keep the api up."""
        return bool(self.accounts) or self.accounts_file is not None

    def with_accounts(self, more: Iterable[Account]) -> Settings:
        """These settings with those of the database, too."""
        settings = self.model_copy()
        settings._accounts = (*self._accounts, *more)
        return settings

    @property
    def retention(self) -> Retention:
        """What `Bus.ensure` takes."""
        return {
            "max_age": timedelta(days=self.mail_max_age),
            "max_bytes": self.mail_max_bytes,
            "events_max_age": timedelta(days=self.events_max_age),
            "events_max_bytes": self.events_max_bytes,
        }

    @property
    def nats_url_path(self) -> Path:
        """Where `mozzart up` leaves the address of its embedded nats-server for commands in other terminals."""
        return self.data_dir / "nats.url"

    @property
    def api_token_path(self) -> Path:
        """Where the api leaves the token that it made because none was configured."""
        return self.data_dir / "api.token"

    @property
    def admin_password_path(self) -> Path:
        """Where the api leaves the admin password that it made because none was configured."""
        return self.data_dir / "admin.password"

    @property
    def session_key_path(self) -> Path:
        """What signs the cookies of the admin pages; made by the api."""
        return self.data_dir / "session.key"

    @property
    def secret_key_path(self) -> Path:
        """What encrypts the secrets of the accounts in the database where SECRET_KEY is not set."""
        return self.data_dir / "secret.key"

    @property
    def ended_sessions_path(self) -> Path:
        """The sessions that were signed out before they ended by themselves."""
        return self.data_dir / "sessions.ended"

    def with_nats_url(self) -> Settings:
        """These settings with an empty `nats_url` filled in from DATA_DIR; raises SettingsError if nobody left one."""
        if self.nats_url:
            return self
        try:
            url = self.nats_url_path.read_text().strip()
        except OSError:
            raise SettingsError(
                f"No NATS server is known: NATS_URL is empty and {self.nats_url_path} does not exist. "
                "Start `mozzart up` in this directory (or with the same DATA_DIR), or set NATS_URL."
            ) from None
        return self.model_copy(update={"nats_url": url})

    def secrets(self) -> tuple[str, ...]:
        """Every value that no log line may hold."""
        found = [self.imap_password, self.api_token, self.admin_password, *(a.password for a in self.accounts)]
        found += [self.oauth_client_secret, self.oauth_refresh_token]
        values = [secret.get_secret_value() for secret in found]
        values += [secret for one in self.accounts if one.oauth is not None for secret in one.oauth.secrets()]
        values += [self.webhook_url, *self.webhook_secret.get_secret_value().split()]
        values += self.secret_key.get_secret_value().replace(",", " ").split()
        for url in (self.nats_url, self.database_url):
            values += url_secrets(url)
        return tuple(dict.fromkeys(value for value in values if value))

    def _put(self, name: str, value: object) -> None:
        # Frozen for everybody else; the validator completes what was left open.
        self.__dict__[name] = value

    def _account_of_imap_settings(self) -> Iterable[Account]:
        password = self.imap_password if self.imap_auth == "password" else SecretStr("")
        if not (self.imap_host and self.imap_user):
            return ()
        if self.imap_auth == "password" and not password.get_secret_value():
            return ()
        return (
            Account(
                name=DEFAULT_ACCOUNT,
                host=self.imap_host,
                port=self.imap_port,
                user=self.imap_user,
                auth=self.imap_auth,
                password=password,
                token_command=self.token_command if self.imap_auth == "command" else "",
                oauth=self._oauth() if self.imap_auth == "oauth" else None,
                use_ssl=self.imap_use_ssl,
                starttls=self.imap_starttls,
                ca_file=self.imap_ca_file,
                mailboxes=self.imap_mailbox,
                backfill=self.imap_backfill,
                connections=self.imap_connections,
                daily_mb=self.imap_daily_mb,
            ),
        )

    def _oauth(self) -> OAuth:
        """Raises ValueError, which names the variable."""
        try:
            return OAuth(**{name: getattr(self, f"oauth_{name}") for name in OAuth.model_fields})
        except ValidationError as error:
            faults = [fault.partition(":") for fault in fault_lines(error, upper=False)]
            raise ValueError("; ".join(f"OAUTH_{name.upper()}:{text}" for name, _, text in faults)) from None

    def _read_accounts_file(self) -> AccountsFile:
        if self.accounts_file is None or not self.reads_accounts_file:
            return AccountsFile(())
        return read_accounts(self.accounts_file, {**self._dotenv(), **os.environ})

    def _dotenv(self) -> dict[str, str]:
        found = DotEnvSettingsSource(type(self), case_sensitive=True).env_vars
        return {name: value or "" for name, value in found.items()}

    def _misspelt_names(self) -> Iterable[str]:
        known = [name.upper() for name in type(self).model_fields]
        for where, names in ((".env", self._dotenv()), ("the environment", os.environ)):
            for name, meant in misspelt(names, known):
                yield f"{name} in {where} is not a setting; did you mean {meant}?"


class WithoutAccounts(Settings):
    """For whoever opens no mailbox: ACCOUNTS_FILE and the password files that it names are not read."""

    reads_accounts_file: ClassVar[bool] = False


def load_settings(*, accounts: bool = True) -> Settings:
    """Raises SettingsError: the variable's name, what is wrong, what to do; never the value of a secret. Without
    `accounts` those of ACCOUNTS_FILE are left out."""
    try:
        return Settings() if accounts else WithoutAccounts()
    except ValidationError as error:
        raise SettingsError(
            f"Settings: {'; '.join(fault_lines(error, upper=True))}. docs/configuration.md explains each one."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"Settings: .env cannot be read: {error}") from None
