"""One IMAP account as the settings describe it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from mailcore.setting_value import Backfill, Names, Port, read_secret

IMAPS_PORT: Final = 993  # RFC 8314 §7.3
IMAP_PORT: Final = 143  # RFC 9051 §2.1


class Account(BaseModel):
    """One IMAP account.

    `mailboxes` are names or LIST patterns (`*`, `%`); `backfill` is `all`, `none` or a number of days.
    `port` follows the way of connecting when it is not given: 993 with TLS from the start, 143 otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    host: Annotated[str, Field(min_length=1)]
    port: Port = IMAPS_PORT
    user: Annotated[str, Field(min_length=1)]
    password: SecretStr
    use_ssl: bool = True
    starttls: bool = False
    ca_file: Path | None = None
    mailboxes: Names = ("INBOX",)
    backfill: Backfill = "all"

    @model_validator(mode="before")
    @classmethod
    def _follow_the_way_of_connecting(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if "password_file" in data:
            if "password" in data:
                raise ValueError("password and password_file are both set; keep one of them")
            data["password"] = read_secret("password_file", Path(str(data.pop("password_file"))))
        if data.get("starttls", False) and data.setdefault("use_ssl", False):
            raise ValueError("use_ssl and starttls exclude each other; keep the one that your server offers")
        data.setdefault("port", IMAPS_PORT if data.get("use_ssl", True) else IMAP_PORT)
        return data

    @model_validator(mode="after")
    def _password_is_set(self) -> Self:
        if not self.password.get_secret_value():
            raise ValueError("the password is empty; set password or password_file")
        return self
