"""The fields of an account in a form. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from api.routes.provisioning import Account

LIST: Final = "/admin/accounts/"
FIELDS: Final = ("user", "name", "host", "port", "tls", "mailboxes", "backfill")
OAUTH_FIELDS: Final = (
    *("oauth_provider", "oauth_client_id", "oauth_client_secret", "oauth_tenant"),
    *("oauth_authorize_url", "oauth_token_url", "oauth_scope"),
)


def path_of(name: str) -> str:
    """The page of the account."""
    return f"{LIST}{quote(name, safe='')}/"


def given_of(account: Account) -> dict[str, str]:
    """The fields as the account has them; {} for one of the settings."""
    settings = account.settings
    if settings is None:
        return {}
    found = {
        "name": account.name,
        "user": settings.user,
        "host": settings.host,
        "port": str(settings.port),
        "tls": "tls" if settings.use_ssl else "starttls" if settings.starttls else "none",
        "mailboxes": ", ".join(settings.mailboxes),
        "backfill": str(settings.backfill),
    }
    oauth = settings.oauth
    return found | ({"oauth_client_id": oauth.client_id, "oauth_tenant": oauth.tenant} if oauth else {})


def values_of(given: Mapping[str, str]) -> dict[str, Any]:
    """Settings as the form has them; what is empty was not given."""
    values: dict[str, Any] = {
        key: given[key].strip()
        for key in ("host", "port", "user", "mailboxes", "backfill")
        if given.get(key, "").strip()
    }
    if given.get("password"):
        values["password"] = given["password"]
    if given.get("tls") in ("tls", "starttls", "none"):
        values |= {"use_ssl": given["tls"] == "tls", "starttls": given["tls"] == "starttls"}
    return values


def oauth_of(given: Mapping[str, str]) -> dict[str, str]:
    """What of the application may be changed; a tenant may be taken away."""
    found = {
        name: given[f"oauth_{name}"].strip() for name in ("client_id", "client_secret") if given.get(f"oauth_{name}")
    }
    return found | ({"tenant": given["oauth_tenant"].strip()} if "oauth_tenant" in given else {})
