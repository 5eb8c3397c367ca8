"""X-Forwarded-For: who the client is, whatever was sent."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.guard.forwarded import client, is_trusted, parse

PROXIES = (ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("127.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        # Two proxies of ours, one after the other, in one line and in two.
        ("127.0.0.1", ["198.51.100.7, 10.1.2.3"], "198.51.100.7"),
        ("127.0.0.1", ["198.51.100.7", "10.1.2.3"], "198.51.100.7"),
        # What stands to the left of the client is its own invention, also an address of ours.
        ("127.0.0.1", ["10.9.9.9, 198.51.100.7, 10.1.2.3"], "198.51.100.7"),
        ("127.0.0.1", ["127.0.0.1", "198.51.100.7"], "198.51.100.7"),
        # All are ours: it comes from one of them.
        ("127.0.0.1", ["10.1.2.3"], "10.1.2.3"),
        # Nobody of ours said it.
        ("198.51.100.7", ["192.0.2.1"], "198.51.100.7"),
        ("198.51.100.7", ["10.1.2.3"], "198.51.100.7"),
        # No address: whoever sent it counts.
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.1, _hidden, 10.1.2.3"], "10.1.2.3"),
        # With a port, in brackets, with a zone, mapped.
        ("127.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("127.0.0.1", ["[2001:db8:2::1]:443"], "2001:db8:2::1"),
        ("::ffff:10.0.0.1", ["2001:db8:2::1"], "2001:db8:2::1"),
        ("2001:db8:1::5%eth0", ["198.51.100.7"], "198.51.100.7"),
    ],
)
def test_the_client_is_the_last_that_is_no_proxy_of_ours(peer: str, forwarded: list[str], expected: str) -> None:
    assert client(peer, forwarded, PROXIES) == expected


@given(forwarded=st.lists(st.text(max_size=60), max_size=4))
def test_whatever_a_stranger_sends_he_stays_who_he_is(forwarded: list[str]) -> None:
    assert client("198.51.100.7", forwarded, PROXIES) == "198.51.100.7"
    assert client("127.0.0.1", [*forwarded, "198.51.100.7"], PROXIES) == "198.51.100.7"


@given(forwarded=st.lists(st.text("0123456789abcdef.:,[]% ", max_size=60), max_size=4))
def test_the_client_is_always_an_address(forwarded: list[str]) -> None:
    assert parse(client("127.0.0.1", forwarded, PROXIES)) is not None


def test_without_proxies_of_ours_nobody_is_believed() -> None:
    assert not is_trusted("127.0.0.1", ())
    assert not is_trusted(None, PROXIES)
    assert client("127.0.0.1", ["198.51.100.7"], ()) == "127.0.0.1"
