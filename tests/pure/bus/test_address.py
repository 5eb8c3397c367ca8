from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.bus.core.address import parse_address
from mailcore.errors import SettingsError

secrets = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(secrets, secrets)
def test_any_user_and_password_come_through_and_are_never_shown(user: str, password: str) -> None:
    address = parse_address(f"nats://{quote(user, safe='')}:{quote(password, safe='')}@mail.example:4333")
    assert (address.user, address.password, address.token) == (user, password, "")
    assert str(address) == "nats://mail.example:4333"
    assert repr(address) == "Address(servers=('nats://mail.example:4333',), inbox_prefix='_INBOX')"


@given(secrets)
def test_a_token_stands_alone(token: str) -> None:
    address = parse_address(f"nats://{quote(token, safe='')}@[::1]")
    assert (address.user, address.password, address.token) == ("", "", token)
    assert str(address) == "nats://[::1]:4222"


def test_several_servers_share_the_first_credentials() -> None:
    address = parse_address("nats://a:b@one, two:4333,tls://c:d@three")
    assert address.servers == ("nats://one:4222", "nats://two:4333", "tls://three:4222")
    assert (address.user, address.password) == ("a", "b")


def test_the_prefix_of_inboxes_is_no_part_of_the_server() -> None:
    address = parse_address("nats://a:b@one?inbox_prefix=_INBOX_a.x, two:4333?inbox_prefix=other")
    assert address.servers == ("nats://one:4222", "nats://two:4333")
    assert address.inbox_prefix == "_INBOX_a.x"


@pytest.mark.parametrize("query", ["inbox_prefix=", "inbox_prefix=a.>", "inbox_prefix=a..b", "prefix=a", "sesame"])
def test_a_query_that_is_not_understood_is_refused(query: str) -> None:
    with pytest.raises(SettingsError, match=r"^NATS_URL: server 1 is not of the form") as caught:
        parse_address(f"nats://a:sesame@one?{query}")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "nats://", "http://x", "nats://sesame@x:port", "nats://one,,two", "nats://[sesame"]
)
def test_what_is_no_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^NATS_URL: server \d is not of the form") as caught:
        parse_address(url)
    assert "sesame" not in str(caught.value)
