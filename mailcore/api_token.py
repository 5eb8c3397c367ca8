"""The tokens that people make for programs that use the api: their text, what of it is kept, what each may do. Pure.

`mz_`, eight hexadecimal digits that name it, `_`, 48 that nobody can guess: whoever finds one in a log or a repository
can look for it (`PATTERN`), and its owner knows by the name which one to revoke.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from mailcore.visible import one_line

Scope = Literal["read", "sync", "redrive", "accounts", "metrics"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
MEANING: Final[dict[Scope, str]] = {
    "read": "what is stored, what happens, how mailboxes and accounts are",
    "sync": "start a sync and hear what it found",
    "redrive": "see dead letters, try them once more, or give them up",
    "accounts": "see, add, change, test, pause and remove accounts",
    "metrics": "the metrics of all processes",
}
Standing = Literal["valid", "expired", "revoked"]

BEGINNING: Final = "mz_"
OF_SETTINGS: Final = "API_TOKEN"
PATTERN: Final = re.compile(r"mz_([0-9a-f]{8})_([0-9a-f]{48})")
RANDOM_BYTES: Final = 28
LONGEST_NAME: Final = 60
LAST_USE_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class ApiToken:
    """A token as it is kept. `key` is the part of it that names it, `digest` the SHA-256 of the whole; times are aware,
    in UTC."""

    key: str
    name: str
    scopes: tuple[str, ...]
    digest: str = field(repr=False)
    made_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True)
class Presented:
    """A token as somebody has it: what names it, and the hash of the whole."""

    key: str
    digest: str = field(repr=False)


def text_of(random: bytes) -> str:
    """The token that RANDOM_BYTES of them make."""
    key, secret = random[:4].hex(), random[4:].hex()
    return f"{BEGINNING}{key}_{secret}"


def read(text: str) -> Presented | None:
    """None for what is no token of this kind. Its secret has 192 bits, so that a quick hash of it is enough."""
    found = PATTERN.fullmatch(text)
    return None if found is None else Presented(found[1], hashlib.sha256(text.encode()).hexdigest())


def struck_out(line: str, instead: str) -> str:
    """The line with the secret of each token replaced; what names the token stays."""
    return PATTERN.sub(rf"{BEGINNING}\1_{instead}", line) if BEGINNING in line else line


def new(text: str, name: str, scopes: Sequence[str], now: datetime, expires_at: datetime | None) -> ApiToken:
    """The row of a token that is made now."""
    presented = read(text)
    if presented is None:
        raise ValueError("not a token")
    return ApiToken(presented.key, name, tuple(scopes), presented.digest, now, expires_at)


def key_or_name(text: str) -> str:
    """What to look for when somebody names a token: of a whole one, or of its beginning, what names it."""
    found = re.match(rf"{BEGINNING}[0-9a-f]{{8}}(?![0-9a-f])", text)
    return found[0] if found else text


def shown(key: str) -> str:
    """How a token is called where it is not told."""
    return f"{BEGINNING}{key}"


def standing(expires_at: datetime | None, revoked_at: datetime | None, now: datetime) -> Standing:
    if revoked_at is not None:
        return "revoked"
    return "expired" if expires_at is not None and expires_at <= now else "valid"


def permits(has: Collection[str] | None, needed: Collection[Scope]) -> bool:
    """Whether whoever has these scopes (None: all, as people and API_TOKEN have) may ask for what one of `needed` is
    enough for. What needs none of them is not for tokens that have scopes."""
    return has is None or not set(has).isdisjoint(needed)


def fault_of_name(name: str) -> str:
    """Why a token may not be called so, as a sentence; "" when it may."""
    if not name or name != name.strip():
        return "A token needs a name that neither begins nor ends with a blank."
    if len(name) > LONGEST_NAME:
        return f"The name is longer than {LONGEST_NAME} characters."
    if one_line(name) != name:
        return "The name has characters that cannot be seen."
    if name == OF_SETTINGS:
        return f"{OF_SETTINGS} is the name of the one of the settings."
    return f"A name does not begin with {BEGINNING}: tokens do." if name.startswith(BEGINNING) else ""


def fault_of_scopes(scopes: Collection[str]) -> str:
    """The same of scopes."""
    if not scopes:
        return f"Choose what the token may do: {', '.join(SCOPES)}."
    unknown = sorted(set(scopes) - set(SCOPES))
    return f"There is no scope {one_line(unknown[0][:50])!r}; there are {', '.join(SCOPES)}." if unknown else ""
