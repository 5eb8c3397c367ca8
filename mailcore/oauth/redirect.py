"""What a browser brings back from a provider (RFC 6749 §4.1.2). Pure."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from mailcore.errors import ImapError, Retry, Scope
from mailcore.visible import one_line


@dataclass(frozen=True)
class Back:
    code: str = field(repr=False)


def read_back(query: Mapping[str, str], state: str) -> Back | None:
    """None for a request that is not of our sign-in. Raises ImapError when the provider refused it."""
    if not hmac.compare_digest(query.get("state", "").encode(), state.encode()):
        return None  # RFC 6749 §10.12: somebody else's page may send a browser here
    if error := query.get("error"):
        said = one_line(f"{error}: {query.get('error_description', '')}".rstrip(": "))[:300]
        raise ImapError(f"The provider refused the sign-in: {said}", scope=Scope.ACCOUNT, retry=Retry.NEVER)
    return Back(query["code"]) if query.get("code") else None
