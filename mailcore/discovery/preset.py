"""The providers whose servers are known; docs/providers.md tells people the same, and a test holds it to this. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Way = Literal["password", "google", "microsoft"]


@dataclass(frozen=True)
class Preset:
    """`domains` are those of its addresses, `exchangers` the ends of the MX names of domains that it hosts. `way` is
    how to log in: by a password (of whatever kind), or by OAuth. `connections` and `daily_mb` are what the provider
    allows one account, None where it does not say.

    `zones` are the domains of its servers, where it counts connections and logins by account, whatever address these
    come from: how many accounts there are is nothing to it. Empty: it counts by the client's address, as servers do, or
    does not say."""

    name: str
    host: str
    way: Way
    domains: tuple[str, ...] = ()
    exchangers: tuple[str, ...] = ()
    connections: int | None = None
    daily_mb: int | None = None
    zones: tuple[str, ...] = ()


_MICROSOFT: Final = "outlook.office365.com"
_GOOGLES: Final = ("gmail.com", "googlemail.com")
_MICROSOFTS: Final = ("office365.com", "outlook.com", "hotmail.com")

PRESETS: Final = (
    Preset("Google", "imap.gmail.com", "google", _GOOGLES, (), 15, 2500, _GOOGLES),
    Preset("Google Workspace", "imap.gmail.com", "google", (), ("google.com", "googlemail.com"), 15, 2500, _GOOGLES),
    Preset("Microsoft 365", _MICROSOFT, "microsoft", (), ("mail.protection.outlook.com", "mx.microsoft"),
           zones=_MICROSOFTS),
    Preset("Outlook.com", _MICROSOFT, "microsoft", ("outlook.com", "hotmail.com", "live.com", "msn.com"),
           zones=_MICROSOFTS),
    Preset("Yahoo", "imap.mail.yahoo.com", "password", ("yahoo.com", "ymail.com", "rocketmail.com"), ("yahoodns.net",)),
    Preset("iCloud", "imap.mail.me.com", "password", ("icloud.com", "me.com", "mac.com"), ("mail.icloud.com",)),
    Preset("Fastmail", "imap.fastmail.com", "password", ("fastmail.com", "fastmail.fm"), ("messagingengine.com",)),
    Preset("Zoho", "imap.zoho.com", "password", ("zoho.com", "zohomail.com")),
    Preset("Yandex", "imap.yandex.com", "password", ("yandex.com", "yandex.ru", "ya.ru"), ("mx.yandex.net",)),
    Preset("GMX", "imap.gmx.net", "password", ("gmx.net", "gmx.de", "gmx.at", "gmx.ch")),
    Preset("GMX.com", "imap.gmx.com", "password", ("gmx.com", "gmx.us", "gmx.co.uk")),
    Preset("Hostinger", "imap.hostinger.com", "password", (), ("mx1.hostinger.com", "mx2.hostinger.com")),
)  # fmt: skip


def of_domain(domain: str) -> Preset | None:
    return next((one for one in PRESETS if domain in one.domains), None)


def counts_by_account(host: str) -> bool:
    """Whether the server is one of a provider that counts by account and not by the client's address."""
    host = host.rstrip(".").lower()
    return any(one.zones and _is_server(one, host) for one in PRESETS)


def daily_mb(host: str) -> int | None:
    """What the provider whose server this is lets one account fetch, in megabytes a day; None where that is not
    known."""
    host = host.rstrip(".").lower()
    return next((one.daily_mb for one in PRESETS if one.daily_mb and _is_server(one, host)), None)


def _is_server(preset: Preset, host: str) -> bool:
    return host == preset.host or any(f".{host}".endswith(f".{zone}") for zone in preset.zones)


def of_host(host: str) -> Preset | None:
    """By the name of its server."""
    return next((one for one in PRESETS if host.lower().rstrip(".") == one.host), None)


def of_exchanger(name: str) -> Preset | None:
    """By the name of an MX record."""
    name = name.lower().rstrip(".")
    return next((one for one in PRESETS if any(f".{name}".endswith(f".{end}") for end in one.exchangers)), None)
