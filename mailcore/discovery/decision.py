"""What was found out about a mail address → its IMAP server, and how that is known. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mailcore.discovery.preset import Preset, Way, of_domain, of_exchanger

IMAPS: Final = 993
IMAP: Final = 143
_NAME: Final = re.compile(r"(?=.{1,253}\Z)(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)+(?!-)[a-z0-9-]{2,63}(?<!-)")
_SERVER: Final = re.compile(r"<incomingServer\b[^>]*\btype\s*=\s*[\"']imap[\"'][^>]*>(.*?)</incomingServer>", re.DOTALL)


@dataclass(frozen=True)
class Service:
    """An SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True)
class Heard:
    """`exchangers` in the order of preference; `configuration` is Mozilla's format, "" where there is none; `imaps` and
    `imap` are the records of _imaps._tcp and _imap._tcp."""

    exchangers: Sequence[str] = ()
    configuration: str = ""
    imaps: Sequence[Service] = ()
    imap: Sequence[Service] = ()


@dataclass(frozen=True)
class Found:
    """`source` is how it is known, in words. `preset` is the provider, if it is one of those that are known."""

    host: str
    port: int
    tls: str  # `tls` or `starttls`
    user: str
    source: str
    preset: Preset | None = None

    @property
    def way(self) -> Way:
        return self.preset.way if self.preset is not None else "password"


def domain_of(address: str) -> str | None:
    """In ASCII (RFC 5890); None for what is no address."""
    local, at, domain = address.strip().rpartition("@")
    try:
        ascii_name = domain.lower().rstrip(".").encode("idna").decode("ascii")
    except UnicodeError:
        return None
    return ascii_name if local and at and _NAME.fullmatch(ascii_name) else None


def by_address(address: str) -> Found | None:
    """Without asking anybody."""
    preset = of_domain(domain_of(address) or "")
    return _of(preset, address, f"{preset.name} is known") if preset is not None else None


def decide(address: str, heard: Heard) -> Found | None:
    """The provider that takes the domain's mail, if it is known; else what the domain says itself (SRV, RFC 6186), else
    Mozilla's format. None: nobody knows."""
    for exchanger in heard.exchangers[:1]:
        if (preset := of_exchanger(exchanger)) is not None:
            return _of(preset, address, f"the mail of this domain goes to {preset.name} (MX {exchanger.rstrip('.')})")
    for name, services, tls in (("_imaps._tcp", heard.imaps, "tls"), ("_imap._tcp", heard.imap, "starttls")):
        for service in sorted(services, key=lambda one: (one.priority, -one.weight)):
            host = service.target.lower().rstrip(".")
            if host and _NAME.fullmatch(host) and 0 < service.port < 1 << 16:  # `.`: not offered (RFC 6186 §3.4)
                return Found(host, service.port, tls, address, f"the domain says so in DNS (SRV {name})")
    return _configured(address, heard.configuration)


def _of(preset: Preset, address: str, source: str) -> Found:
    return Found(preset.host, IMAPS, "tls", address, source, preset)


def _configured(address: str, text: str) -> Found | None:
    """The first server of the file that is encrypted. Read without an XML parser: a stranger wrote it, and four
    elements are all that is looked for."""
    local, _, domain = address.rpartition("@")
    for server in _SERVER.findall(text):
        host, port, socket, user = (_element(server, name) for name in ("hostname", "port", "socketType", "username"))
        host = host.replace("%EMAILDOMAIN%", domain).lower()
        tls = {"ssl": "tls", "starttls": "starttls"}.get(socket.lower())
        if tls is None or not _NAME.fullmatch(host):
            continue
        number = int(port) if re.fullmatch(r"[0-9]{1,5}", port) else IMAPS if tls == "tls" else IMAP
        name = user.replace("%EMAILADDRESS%", address).replace("%EMAILLOCALPART%", local) or address
        if 0 < number < 1 << 16 and name.isprintable():
            name = name.replace("%EMAILDOMAIN%", domain)
            return Found(host, number, tls, name, "Mozilla's autoconfig has it")
    return None


def _element(text: str, name: str) -> str:
    found = re.search(rf"<{name}>\s*([^<]{{0,253}}?)\s*</{name}>", text)
    return found[1] if found else ""
