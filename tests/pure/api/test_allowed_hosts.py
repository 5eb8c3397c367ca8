"""ALLOWED_HOSTS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.guard.allowed_hosts import hosts, is_allowed

DEFAULT = ("localhost", "127.0.0.1", "[::1]")


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:8000", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8000", "localhost."]
)
def test_the_hosts_of_this_machine_are_served_with_any_port(host: str) -> None:
    assert is_allowed(host, DEFAULT)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil",
        "localhost:80:80",
        "[::1",
        "::1",
        "a b",
        "local host",
        "localhost/x",
        "x@localhost",
        "localhost:x",
        "[localhost]",
    ],
)
def test_any_other_host_is_not(host: str) -> None:
    assert not is_allowed(host, DEFAULT)


def test_a_leading_dot_takes_the_name_and_its_subdomains() -> None:
    assert is_allowed("example.com", [".example.com"])
    assert is_allowed("a.b.EXAMPLE.com:443", [".example.com"])
    assert not is_allowed("badexample.com", [".example.com"])


def test_a_star_takes_every_name_but_no_nonsense() -> None:
    assert is_allowed("anything.example", ["*"])
    assert not is_allowed("", ["*"])
    assert not is_allowed("a b", ["*"])


@given(st.text(), st.lists(st.text(min_size=1)))
def test_no_header_breaks_it(host: str, patterns: list[str]) -> None:
    is_allowed(host, patterns)


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("/admin/", ("h",)),
        ("//evil.example/", ("h",)),
        ("*", ("h",)),
        ("http://a.example/admin/", ("h", "a.example")),
        ("HTTPS://a.example:8443?q=/", ("h", "a.example:8443")),
        ("http://a.example#/", ("h", "a.example")),
        ("http://[::1]:8000/", ("h", "[::1]:8000")),
        ("a.example:443", ("h", "a.example:443")),
        ("", ("h", "")),
    ],
)
def test_a_target_may_name_a_host_of_its_own(target: str, named: tuple[str, ...]) -> None:
    assert hosts(target, "h") == named


@pytest.mark.parametrize("target", ["gopher://127.0.0.1/", "http:/127.0.0.1/", "http://u@127.0.0.1/", "http:127.0.0.1"])
def test_what_a_strange_target_names_is_no_host_that_is_served(target: str) -> None:
    assert not all(is_allowed(name, DEFAULT) for name in hosts(target, "127.0.0.1"))
