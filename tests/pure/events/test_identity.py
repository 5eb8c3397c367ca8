from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.errors import EventError
from mailcore.events.identity import Identity, MailboxKey
from tests.pure.events.strategies import identities, names_with_surrogates, numbers


@pytest.mark.invariant("I1")
@given(st.builds(Identity, names_with_surrogates, names_with_surrogates, numbers, numbers))
def test_an_identity_is_printable_ascii_and_comes_back(identity: Identity) -> None:
    text = str(identity)
    assert text.isascii()
    assert text.isprintable()
    assert Identity.parse(text) == identity


@pytest.mark.invariant("I1")
@given(identities, identities)
def test_different_identities_have_different_names(one: Identity, other: Identity) -> None:
    assert (str(one) == str(other)) == (one == other)


@given(st.text())
def test_what_is_no_identity_is_refused_and_nothing_else_raised(text: str) -> None:
    try:
        identity = Identity.parse(text)
    except EventError:
        return
    assert str(identity) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "default/INBOX/1",
        "default/INBOX/0/1",
        "default/INBOX/1/4294967296",
        "default/INBOX/1/01",
        "default/INBOX/1/+1",
        "default/INBOX/1/1/stored",
        "default/IN BOX/1/1",
        "default/%49NBOX/1/1",
        "default/%FF/1/1",
        "default/INBOX/1/" + "9" * 5_000,
    ],
)
def test_near_misses_are_refused(text: str) -> None:
    with pytest.raises(EventError, match="not a message identity"):
        Identity.parse(text)


def test_names_are_told_in_uris() -> None:
    assert MailboxKey("a/b", "Entwürfe").source == "/accounts/a%2Fb/mailboxes/Entw%C3%BCrfe"
