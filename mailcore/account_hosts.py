"""ACCOUNT_HOSTS: where the accounts of the database may be connected to, so that whoever may add them cannot look
around in our network. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

ANY: Final = "*"
_NAT64: Final = ip_network("64:ff9b::/96")  # RFC 6052 §2.1


def admits(hosts: Iterable[str], host: str, address: str) -> bool:
    """Whether an account at `host` may be connected to `address`, which is what is dialled.

    `*` stands for any public address. Every other glob names what it fits: a host, whatever its address is, or
    addresses, public or not; `10.0.0.0/8` is one, too.
    """
    numeric = address.partition("%")[0]
    host = host.rstrip(".").lower()
    return any(_is_public(numeric) if glob == ANY else _names(glob.lower(), host, numeric) for glob in hosts)


def _names(glob: str, host: str, address: str) -> bool:
    if not glob.strip("*?.:"):
        return False  # it names nobody; `*` alone has a meaning of its own
    if "/" in glob:
        try:
            return _plain(address) in ip_network(glob, strict=False)
        except ValueError:
            return False
    if fnmatchcase(str(_plain(address)), glob) or fnmatchcase(address.lower(), glob):
        return True
    # A glob of addresses is none of names: whoever owns a zone may call a host 10.0.0.1.evil.example.
    return not _is_address(host) and not _is_of_addresses(glob) and fnmatchcase(host, glob)


def _is_of_addresses(glob: str) -> bool:
    return not glob.strip("0123456789.*?") or ":" in glob


def _is_address(text: str) -> bool:
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def _is_public(address: str) -> bool:
    plain = _plain(address)
    return plain.is_global and not (plain.is_multicast or plain.is_reserved or plain.is_unspecified)


def _plain(address: str) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, wherever it does."""
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        if found in _NAT64:
            return IPv4Address(int(found) & 0xFFFFFFFF)
        embedded = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if embedded is not None:
            return embedded
    return found
