"""The addresses and scopes of the providers that we know. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mailcore.oauth.configuration import OAuth

_GOOGLE: Final = "https://mail.google.com/"
_MICROSOFT: Final = "https://outlook.office.com/IMAP.AccessAsUser.All offline_access"
_MICROSOFT_TENANT: Final = "https://outlook.office365.com/.default"  # with IMAP.AccessAsApp consented to


@dataclass(frozen=True)
class Endpoints:
    """`extra` goes with the request for a sign-in; `loopback` is the host of a redirect to a command."""

    token_url: str
    authorize_url: str
    device_url: str
    scope: str
    extra: Mapping[str, str] = field(default_factory=dict)
    loopback: str = "127.0.0.1"  # RFC 8252 §7.3


def endpoints(oauth: OAuth) -> Endpoints:
    """What is configured, else what the provider has."""
    found = _of_provider(oauth)
    return Endpoints(
        oauth.token_url or found.token_url,
        oauth.authorize_url or found.authorize_url,
        oauth.device_url or found.device_url,
        oauth.scope or found.scope,
        found.extra,
        found.loopback,
    )


def _of_provider(oauth: OAuth) -> Endpoints:
    if oauth.provider == "google":
        return Endpoints(
            "https://oauth2.googleapis.com/token",
            "https://accounts.google.com/o/oauth2/v2/auth",
            "https://oauth2.googleapis.com/device/code",
            _GOOGLE,
            {"access_type": "offline", "prompt": "consent"},  # else a second sign-in brings no refresh token
        )
    if oauth.provider == "microsoft":
        root = f"https://login.microsoftonline.com/{oauth.tenant or 'common'}/oauth2/v2.0"
        scope = _MICROSOFT_TENANT if oauth.grant == "client_credentials" else _MICROSOFT
        # Entra ID takes any port behind `localhost` alone.
        return Endpoints(
            f"{root}/token",
            f"{root}/authorize",
            f"{root}/devicecode",
            scope,
            {"prompt": "select_account"},
            "localhost",
        )
    return Endpoints("", "", "", "")
