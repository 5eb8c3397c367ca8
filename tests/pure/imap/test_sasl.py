"""What is sent with an access token, and what a server's error says."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.imap.sasl import bearer, refusal

NAMES = st.text(st.characters(exclude_characters="\x00\x01", exclude_categories=("Cs",)), min_size=1, max_size=40)
TOKENS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)


@given(NAMES, TOKENS)
def test_a_server_reads_the_same_user_and_token(user: str, token: str) -> None:
    found = bearer({"AUTH=OAUTHBEARER", "AUTH=XOAUTH2"}, user, "h", 993, token)
    assert found is not None
    assert found.mechanism == "OAUTHBEARER"
    header, host, port, auth, *end = found.initial.decode().split("\x01")
    n, name, rest = header.split(",")
    assert (n, rest, host, port, auth, end) == ("n", "", "host=h", "port=993", f"auth=Bearer {token}", ["", ""])
    assert name.removeprefix("a=").replace("=2C", ",").replace("=3D", "=") == user
    other = bearer({"AUTH=XOAUTH2"}, user, "h", 993, token)
    assert other is not None
    assert other.initial.decode() == f"user={user}\x01auth=Bearer {token}\x01\x01"
    assert repr(found) == "Bearer(OAUTHBEARER)"


def test_neither_is_offered() -> None:
    assert bearer({"AUTH=PLAIN", "IMAP4REV1"}, "anna", "h", 993, "t") is None


@pytest.mark.parametrize(("user", "token"), [("a\x01b", "t"), ("a\0b", "t"), ("a", "t\x01auth=Bearer x"), ("a", "tök")])
def test_what_neither_can_carry_is_refused_and_not_shown(user: str, token: str) -> None:
    with pytest.raises(ValueError, match="SASL cannot carry"):
        bearer({"AUTH=XOAUTH2"}, user, "h", 993, token)


def coded(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    ("challenge", "words"),
    [
        (coded({"status": "400", "schemes": "Bearer", "scope": "https://mail.google.com/"}),
         "status 400; it wants the scope https://mail.google.com/"),
        (coded({"status": 401}), "status 401"),
        (coded({"scope": "x\x07y"}), "it wants the scope x?y"),
        (coded({}), ""),
        (coded([1]), ""),
        (coded({"status": {"a": 1}}), ""),
        ("", ""),
        ("not base64!", ""),
        ("dGV4dA==", ""),
    ],
)  # fmt: skip
def test_the_error_of_a_server_in_words(challenge: str, words: str) -> None:
    assert str(refusal(challenge)) == words


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: base64.b64encode(data).decode()))
def test_whatever_a_server_says_is_no_error_of_ours(challenge: str) -> None:
    assert str(refusal(challenge)).isprintable()
