"""The values that settings take, and what is said of those that they do not take. Never a secret in an error."""

from __future__ import annotations

import base64
import difflib
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import NoDecode

_NATS_SCHEMES: Final = ("nats", "tls", "ws", "wss")
_DATABASE_SCHEMES: Final = {
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}


def misspelt(names: Iterable[str], known: Sequence[str]) -> list[tuple[str, str]]:
    """Names that are almost one of `known`, each with the one that was meant. What is longer by a word of its own
    (`IMAP_PASSWORD_ANNA`) is somebody's own name. Pure."""
    found = []
    for name in names:
        upper = name.upper()
        close = [] if upper in known else difflib.get_close_matches(upper, known, n=1, cutoff=0.84)
        if close and not upper.startswith(f"{close[0]}_"):
            found.append((name, close[0]))
    return found


def _split(value: object) -> object:
    """`a, b` → ("a", "b"), each once; anything that is no string passes through."""
    if not isinstance(value, str):
        return value
    return tuple(dict.fromkeys(part for part in (piece.strip() for piece in value.split(",")) if part))


def _networks(value: object) -> object:
    """Addresses and CIDR networks; `10.0.0.1/8` means the network that it lies in."""
    found = _split(value)
    if not isinstance(found, tuple):
        return found
    try:
        return tuple(ip_network(one, strict=False) for one in found)
    except ValueError as error:
        raise ValueError(f"must be addresses or networks like 10.0.0.0/8, separated by commas: {error}") from None


def _backfill(value: object) -> object:
    word = value.strip().lower() if isinstance(value, str) else value
    if word in ("all", "none"):
        return word
    try:
        days = int(str(word))
    except ValueError:
        days = 0
    if days <= 0:
        raise ValueError("must be `all`, `none` or a number of days")
    return days


def _database_url(value: object) -> object:
    """The driver is ours to choose: a plain postgresql:// or sqlite:// is understood."""
    if not isinstance(value, str) or not value:
        return value
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in _DATABASE_SCHEMES:
        raise ValueError("must begin with sqlite+aiosqlite:/// or postgresql+asyncpg://")
    return f"{_DATABASE_SCHEMES[scheme]}://{rest}"


def _nats_url(value: object) -> object:
    """One server or several, separated by commas; nats:// may be left out."""
    if not isinstance(value, str) or not value:
        return value
    urls = [url if "://" in url else f"nats://{url}" for url in (part.strip() for part in value.split(","))]
    if any(urlsplit(url).scheme not in _NATS_SCHEMES or not urlsplit(url).hostname for url in urls):
        raise ValueError("must look like nats://host:4222 (or tls://, ws://, wss://)")
    return ",".join(urls)


def _folded(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _webhook_url(value: object) -> object:
    """It may hold a password or a token: no error shows it."""
    if not isinstance(value, str) or not value:
        return value
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        raise ValueError("must look like https://host/path")
    return value


def _webhook_events(value: object) -> object:
    events = _split(value)
    if not isinstance(events, tuple) or not events or not set(events) <= set(WEBHOOK_EVENTS):
        raise ValueError(f"must be some of {', '.join(WEBHOOK_EVENTS)}, separated by commas")
    return events


def _secret_keys(value: SecretStr) -> SecretStr:
    """Of Fernet: 32 bytes each."""
    for key in value.get_secret_value().replace(",", " ").split():
        try:
            whole = len(base64.b64decode(key.translate(_STANDARD), validate=True)) == _KEY_BYTES
        except ValueError:
            whole = False
        if not whole:
            raise ValueError("must be 32 random bytes in base64; make them with: openssl rand -base64 32")
    return value


_KEY_BYTES: Final = 32
_STANDARD: Final = str.maketrans("-_", "+/")
# `stored` is new mail alone; `backfill` is the stored event of what was there before, `copy` of what is elsewhere, too.
WEBHOOK_EVENTS: Final = (
    *("stored", "backfill", "copy", "flags", "expunged", "reset", "dead", "synced"),
    *("mailbox-created", "mailbox-renamed", "mailbox-deleted", "account"),
)

Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), Field(min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535)]
# Of a stream: longer than its duplicate window; twice what may be in flight, so that it drops nothing that is.
Days = Annotated[float, Field(ge=0.05, le=36500, allow_inf_nan=False)]
StreamBytes = Annotated[int, Field(ge=128 << 20)]
Network = IPv4Network | IPv6Network
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]
Backfill = Annotated[Literal["all", "none"] | int, BeforeValidator(_backfill)]
Auth = Annotated[Literal["password", "oauth", "command"], BeforeValidator(_folded)]
NatsUrl = Annotated[str, BeforeValidator(_nats_url), Field(repr=False)]
DatabaseUrl = Annotated[str, BeforeValidator(_database_url), Field(repr=False)]
WebhookUrl = Annotated[str, BeforeValidator(_webhook_url), Field(repr=False)]
SecretKey = Annotated[SecretStr, AfterValidator(_secret_keys)]
WebhookEvents = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_webhook_events)]
LogFormat = Annotated[Literal["console", "json"], BeforeValidator(_folded)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)]


def read_secret(name: str, path: Path) -> str:
    """The file's text without the line end; raises ValueError, which names the setting and the file."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"{name}: {path} cannot be read ({error.strerror}); check path and permissions") from None
    except UnicodeDecodeError:
        raise ValueError(f"{name}: {path} is not UTF-8 text") from None


def url_secrets(urls: str) -> list[str]:
    """The passwords (or tokens, which NATS puts in the user's place) in these URLs, as written and as decoded."""
    secrets: list[str] = []
    for url in urls.split(","):
        try:
            parts = urlsplit(url)
        except ValueError:
            continue
        if found := parts.password or (parts.username if parts.scheme in _NATS_SCHEMES else None):
            secrets += [found, unquote(found)]
    return secrets


def fault_lines(error: ValidationError, *, upper: bool) -> list[str]:
    """What pydantic found, one sentence a fault, with the setting's name and without its value."""
    lines: list[Any] = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        place = str(fault["loc"][0]) if fault["loc"] else ""
        message = fault["msg"].removeprefix("Value error, ")
        name = place.upper() if upper else place
        lines.append(f"{name}: {message[:1].lower()}{message[1:]}" if name else message)
    return list(dict.fromkeys(lines))
