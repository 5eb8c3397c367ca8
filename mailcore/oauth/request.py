"""What is sent to a provider: the address of a sign-in, the forms of the token endpoint (RFC 6749, 7523, 7636, 8628).
Pure."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mailcore.oauth.configuration import OAuth
from mailcore.oauth.provider import endpoints

DEVICE: Final = "urn:ietf:params:oauth:grant-type:device_code"
JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_LIFETIME: Final = 3600  # seconds, the most that Google takes

Form = dict[str, str]


def authorize_url(oauth: OAuth, user: str, redirect_uri: str, state: str, verifier: str) -> str:
    """Where a browser signs `user` in; it comes back to `redirect_uri` with a code that is good with `verifier`
    alone (PKCE)."""
    found = endpoints(oauth)
    query = {
        "response_type": "code",
        "client_id": oauth.client_id,
        "redirect_uri": redirect_uri,
        "scope": found.scope,
        "state": state,
        "code_challenge": challenge(verifier),
        "code_challenge_method": "S256",
        **({"login_hint": user} if "@" in user else {}),
        **found.extra,
    }
    parts = urlsplit(found.authorize_url)
    given = f"{parts.query}&" if parts.query else ""
    return urlunsplit(parts._replace(query=given + urlencode(query)))


def challenge(verifier: str) -> str:
    """RFC 7636 §4.2, S256."""
    return _base64url(hashlib.sha256(verifier.encode("ascii")).digest())


def code_form(oauth: OAuth, code: str, verifier: str, redirect_uri: str) -> Form:
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": redirect_uri}
    return form | _client(oauth)


def refresh_form(oauth: OAuth, refresh_token: str) -> Form:
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    # Google gives what was granted and takes no other scope; Entra ID asks which of its resources is meant.
    return form | ({"scope": endpoints(oauth).scope} if oauth.provider == "microsoft" else {}) | _client(oauth)


def device_form(oauth: OAuth) -> Form:
    return {"client_id": oauth.client_id, "scope": endpoints(oauth).scope}


def device_token_form(oauth: OAuth, device_code: str) -> Form:
    return {"grant_type": DEVICE, "device_code": device_code} | _client(oauth)


def client_credentials_form(oauth: OAuth) -> Form:
    scope = endpoints(oauth).scope
    return {"grant_type": "client_credentials", **({"scope": scope} if scope else {})} | _client(oauth)


def service_account_form(oauth: OAuth, key: Mapping[str, Any], user: str, now: float) -> tuple[str, Form]:
    """(token endpoint, form) for `key`, the JSON that Google gives for a service account, which speaks for `user`.
    Raises ValueError, which shows nothing of the key."""
    try:
        issuer, pem = str(key["client_email"]), str(key["private_key"])
    except KeyError as error:
        raise ValueError(f"it has no {error}; it must be the JSON key of a service account") from None
    url = oauth.token_url or str(key.get("token_uri") or endpoints(oauth).token_url)
    header = {"alg": "RS256", "typ": "JWT"} | ({"kid": str(key["private_key_id"])} if "private_key_id" in key else {})
    claims = {
        "iss": issuer,
        "sub": user,
        "scope": endpoints(oauth).scope,
        "aud": url,
        "iat": int(now),
        "exp": int(now) + ASSERTION_LIFETIME,
    }
    return url, {"grant_type": JWT_BEARER, "assertion": _signed(header, claims, pem)}


def _signed(header: Mapping[str, Any], claims: Mapping[str, Any], pem: str) -> str:
    """A JWS (RFC 7515 §3.1), RS256."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("its private_key cannot be read") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("its private_key is no RSA key")
    text = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{_base64url(key.sign(text.encode(), PKCS1v15(), SHA256()))}"


def _client(oauth: OAuth) -> Form:
    """In the form and not in a header: every provider here takes it there (RFC 6749 §2.3.1)."""
    secret = oauth.client_secret.get_secret_value()
    return {"client_id": oauth.client_id} | ({"client_secret": secret} if secret else {})


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
