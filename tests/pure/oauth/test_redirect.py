"""What a browser brings back from a provider."""

from __future__ import annotations

import pytest

from mailcore.errors import ImapError
from mailcore.oauth.redirect import Back, read_back


def test_a_code_with_our_state_is_taken() -> None:
    assert read_back({"state": "s", "code": "c"}, "s") == Back("c")


@pytest.mark.parametrize(
    "query", [{}, {"code": "c"}, {"state": "other", "code": "c"}, {"state": "ß", "error": "x"}, {"state": "s"}]
)
def test_what_is_not_of_our_sign_in_is_nothing(query: dict[str, str]) -> None:
    assert read_back(query, "s") is None


def test_a_refusal_is_told_in_one_line() -> None:
    with pytest.raises(ImapError, match=r"refused the sign-in: access_denied: no\\nthank you"):
        read_back({"state": "s", "error": "access_denied", "error_description": "no\nthank you"}, "s")
