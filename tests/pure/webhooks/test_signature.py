"""Signatures, checked by the reference implementation of Standard Webhooks."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from mailcore.errors import SettingsError
from webhooks.signature import keys, signed


def secret(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


@given(st.binary(min_size=24, max_size=64), st.text("abcXYZ/%0123456789", min_size=1), st.text())
def test_the_reference_implementation_accepts_what_we_sign(key: bytes, identity: str, text: str) -> None:
    body = json.dumps({"a": text}).encode()
    headers = signed(identity, body, datetime.now(UTC), keys(secret(key)))
    assert Webhook(secret(key)).verify(body, headers) == {"a": text}


def test_it_refuses_another_body_another_id_another_key_and_an_old_time() -> None:
    ours, other, now = secret(b"o" * 32), secret(b"x" * 32), datetime.now(UTC)
    headers = signed("id", b'{"a": 1}', now, keys(ours))
    for body, changed, key in (
        (b'{"a": 2}', headers, ours),
        (b'{"a": 1}', {**headers, "webhook-id": "other"}, ours),
        (b'{"a": 1}', headers, other),
        (b'{"a": 1}', signed("id", b'{"a": 1}', now - timedelta(minutes=6), keys(ours)), ours),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(body, changed)


def test_while_one_secret_replaces_another_both_are_good() -> None:
    old, new = secret(b"o" * 32), secret(b"n" * 32)
    headers = signed("id", b"{}", datetime.now(UTC), keys(f"{new} {old}"))
    for key in (old, new):
        assert Webhook(key).verify(b"{}", headers) == {}


@pytest.mark.parametrize("wrong", ["", "whsec_", "whsec_!!!", secret(b"short"), secret(b"x" * 65), "x" * 40])
def test_a_secret_that_is_none_is_refused_without_showing_it(wrong: str) -> None:
    with pytest.raises(SettingsError, match="WEBHOOK_SECRET") as refused:
        keys(wrong)
    assert not wrong or wrong == "whsec_" or wrong not in str(refused.value)
