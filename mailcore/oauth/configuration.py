"""OAUTH_*: how an account gets its access tokens from a provider."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr, model_validator

Provider = Literal["google", "microsoft", "custom"]
Grant = Literal["authorization_code", "device_code", "client_credentials", "service_account"]
PROVIDERS: Final[tuple[Provider, ...]] = ("google", "microsoft", "custom")
GRANTS: Final[tuple[Grant, ...]] = ("authorization_code", "device_code", "client_credentials", "service_account")
SIGN_INS: Final = ("authorization_code", "device_code")  # a person signs in, and a refresh token is kept
CALLBACK: Final = "/admin/oauth/callback/"  # where a browser comes back to from a provider
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def _folded(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _url(value: str) -> str:
    """A secret goes there: over TLS, or to this machine."""
    if not value:
        return value
    try:
        parts = urlsplit(value)
        whole = bool(parts.hostname) and not parts.username and not parts.fragment and parts.port != 0
    except ValueError:
        whole = False
    if not whole or not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)):
        raise ValueError("must look like https://host/path")
    return value


def _redirect_uri(value: str) -> str:
    if _url(value) and urlsplit(value)[2:] != (CALLBACK, "", ""):
        raise ValueError(f"must end with {CALLBACK}")
    return value


Url = Annotated[str, AfterValidator(_url)]
RedirectUri = Annotated[str, AfterValidator(_redirect_uri)]
ProviderName = Annotated[Provider, BeforeValidator(_folded)]
GrantName = Annotated[Grant, BeforeValidator(_folded)]


class OAuth(BaseModel):
    """`provider` knows its addresses and its scope; what is given here comes before them. `refresh_token` is where a
    sign-in begins that was made elsewhere; what it is replaced by is kept in the database."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    provider: ProviderName = "custom"
    grant: GrantName = "authorization_code"
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    tenant: str = ""
    refresh_token: SecretStr = SecretStr("")
    service_account_file: Path | None = None
    token_url: Url = ""
    authorize_url: Url = ""
    device_url: Url = ""
    scope: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Each grant has what it needs."""
        if self.tenant and not all(char.isalnum() or char in "-." for char in self.tenant):
            raise ValueError("tenant: must be a tenant's id or domain")
        needed: dict[str, bool] = {}
        if self.grant == "service_account":
            needed["service_account_file"] = self.service_account_file is not None
        else:
            needed["client_id"] = bool(self.client_id)
        if self.grant == "client_credentials":
            needed["client_secret"] = bool(self.client_secret.get_secret_value())
            needed["tenant"] = bool(self.tenant) or self.provider != "microsoft"
        if self.provider == "custom":
            needed["token_url"] = bool(self.token_url) or self.grant == "service_account"
            if not self.refresh_token.get_secret_value():
                needed["authorize_url"] = bool(self.authorize_url) or self.grant != "authorization_code"
                needed["device_url"] = bool(self.device_url) or self.grant != "device_code"
        for name, given in needed.items():
            if not given:
                raise ValueError(f"{name}: is missing; the grant {self.grant} of the provider {self.provider} needs it")
        return self

    @property
    def signs_in(self) -> bool:
        """Whether a person signs in, and may have to again."""
        return self.grant in SIGN_INS

    def secrets(self) -> tuple[str, ...]:
        return tuple(
            one for one in (self.client_secret.get_secret_value(), self.refresh_token.get_secret_value()) if one
        )
