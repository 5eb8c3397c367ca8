"""Where accounts of the database may be connected to is decided on the address that is dialled."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.account_hosts import admits

ANYTHING = ("*",)
INSIDE = (
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
    *("::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1"),
)


@pytest.mark.parametrize("address", INSIDE)
def test_no_address_of_ours_is_public(address: str) -> None:
    assert not admits(ANYTHING, "mail.example", address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_any_public_address_is_admitted_by_default(address: str) -> None:
    assert admits(ANYTHING, "mail.example", address)


@given(st.ip_addresses(v=4, network="10.0.0.0/8"), st.sampled_from(["*", "*.*", "**", "?*", "*.*.*.*"]))
def test_what_names_nobody_admits_nothing_private(address: ipaddress.IPv4Address, glob: str) -> None:
    assert not admits((glob,), "mail.example", str(address))


@pytest.mark.parametrize(
    ("glob", "host", "address"),
    [
        ("127.0.0.1", "localhost", "127.0.0.1"),
        ("localhost", "localhost", "127.0.0.1"),
        ("10.1.*", "imap.corp.example", "10.1.2.3"),
        ("10.0.0.0/8", "imap.corp.example", "10.1.2.3"),
        ("10.0.0.0/8", "imap.corp.example", "::ffff:10.1.2.3"),
        ("*.corp.example", "IMAP.Corp.Example.", "10.1.2.3"),
        ("fd00::*", "imap.corp.example", "fd00::1"),
    ],
)
def test_what_is_named_is_admitted(glob: str, host: str, address: str) -> None:
    assert admits((glob,), host, address)


@pytest.mark.parametrize(
    ("glob", "host", "address"),
    [
        ("10.1.*", "10.1.evil.example", "192.168.0.1"),
        ("*.corp.example", "corp.example", "10.1.2.3"),
        ("*.corp.example", "mail.example", "8.8.8.8"),
        ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
    ],
)
def test_nothing_else_is(glob: str, host: str, address: str) -> None:
    assert not admits((glob,), host, address)
