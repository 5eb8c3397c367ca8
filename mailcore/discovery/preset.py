"""The providers whose servers are known; docs/providers.md tells people the same, and a test holds it to this. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Way = Literal["password", "google", "microsoft"]


@dataclass(frozen=True)
class Preset:
    """`domains` are those of its addresses, `exchangers` the ends of the MX names of domains that it hosts. `way` is
    how to log in: by a password (of whatever kind), or by OAuth. `connections` and `daily_mb` are what the provider
    allows one account, None where it does not say."""

    name: str
    host: str
    way: Way
    domains: tuple[str, ...] = ()
    exchangers: tuple[str, ...] = ()
    connections: int | None = None
    daily_mb: int | None = None


_MICROSOFT: Final = "outlook.office365.com"

PRESETS: Final = (
    Preset("Google", "imap.gmail.com", "google", ("gmail.com", "googlemail.com"), (), 15, 2500),
    Preset("Google Workspace", "imap.gmail.com", "google", (), ("google.com", "googlemail.com"), 15, 2500),
    Preset("Microsoft 365", _MICROSOFT, "microsoft", (), ("mail.protection.outlook.com", "mx.microsoft")),
    Preset("Outlook.com", _MICROSOFT, "microsoft", ("outlook.com", "hotmail.com", "live.com", "msn.com")),
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


def of_exchanger(name: str) -> Preset | None:
    """By the name of an MX record."""
    name = name.lower().rstrip(".")
    return next((one for one in PRESETS if any(f".{name}".endswith(f".{end}") for end in one.exchangers)), None)
