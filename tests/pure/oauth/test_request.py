"""What is sent to a provider."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr, ValidationError

from mailcore.oauth.configuration import OAuth
from mailcore.oauth.provider import endpoints
from mailcore.oauth.request import (
    authorize_url,
    challenge,
    client_credentials_form,
    code_form,
    refresh_form,
    service_account_form,
)


def oauth(**given: Any) -> OAuth:
    return OAuth(**{"provider": "google", "client_id": "id", "client_secret": SecretStr("secret"), **given})


def test_the_challenge_is_that_of_the_specification() -> None:
    assert challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_browser_is_sent_with_all_that_comes_back_and_no_secret() -> None:
    url = authorize_url(oauth(), "anna@example.com", "http://127.0.0.1:1", "a state", "verifier")
    query = {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}
    assert urlsplit(url).netloc == "accounts.google.com"
    assert query["scope"] == "https://mail.google.com/"
    assert (query["state"], query["redirect_uri"]) == ("a state", "http://127.0.0.1:1")
    assert (query["access_type"], query["prompt"], query["login_hint"]) == ("offline", "consent", "anna@example.com")
    assert "verifier" not in url
    assert "secret" not in url


def test_an_address_with_a_query_of_its_own_keeps_it() -> None:
    own = oauth(provider="custom", token_url="https://h/t", authorize_url="https://h/a?realm=x")
    assert authorize_url(own, "anna", "http://127.0.0.1:1", "s", "v").startswith(
        "https://h/a?realm=x&response_type=code&"
    )


def test_microsofts_addresses_have_the_tenant_and_its_scope_the_grant() -> None:
    person, tenant = (
        oauth(provider="microsoft"),
        oauth(provider="microsoft", tenant="t.example", grant="client_credentials"),
    )
    assert endpoints(person).token_url == "https://login.microsoftonline.com/common/oauth2/v2.0/token"
    assert endpoints(person).scope == "https://outlook.office.com/IMAP.AccessAsUser.All offline_access"
    assert endpoints(tenant).token_url == "https://login.microsoftonline.com/t.example/oauth2/v2.0/token"
    assert client_credentials_form(tenant)["scope"] == "https://outlook.office365.com/.default"
    assert refresh_form(person, "rt")["scope"] == endpoints(person).scope
    assert "scope" not in refresh_form(oauth(), "rt")


def test_a_client_without_a_secret_sends_none() -> None:
    public = oauth(client_secret=SecretStr(""))
    assert code_form(public, "c", "v", "http://127.0.0.1:1") == {
        "grant_type": "authorization_code",
        "code": "c",
        "code_verifier": "v",
        "redirect_uri": "http://127.0.0.1:1",
        "client_id": "id",
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"client_id": ""}, "client_id: is missing"),
        ({"grant": "client_credentials", "client_secret": SecretStr("")}, "client_secret: is missing"),
        ({"grant": "client_credentials", "provider": "microsoft"}, "tenant: is missing"),
        ({"grant": "service_account"}, "service_account_file: is missing"),
        ({"provider": "custom"}, "token_url: is missing"),
        ({"provider": "custom", "token_url": "https://h/t"}, "authorize_url: is missing"),
        ({"provider": "custom", "token_url": "https://h/t", "grant": "device_code"}, "device_url: is missing"),
        ({"tenant": "a/../b"}, "tenant: must be"),
        ({"token_url": "http://example.com/token"}, "must look like https"),
        ({"token_url": "https://user:pw@example.com/token"}, "must look like https"),
    ],
)
def test_what_a_grant_lacks_is_told(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        oauth(**given)


def test_what_is_wrong_with_a_key_is_told_without_the_key() -> None:
    with pytest.raises(ValueError, match="private_key cannot be read") as caught:
        service_account_form(oauth(), {"client_email": "a", "private_key": "hidden"}, "anna", 0)
    assert "hidden" not in str(caught.value)
