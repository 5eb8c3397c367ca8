"""`mozzart hand-out-secrets`, the first service of docker-compose.yml: it makes the secrets that nobody has to know and
gives each role those that it needs, as files in a volume of its own.

It alone sees all of .env; no secret stands in the environment of a service that stays.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from mailcore.errors import SettingsError
from mailcore.settings import Settings
from supervisor.nats_server import write_private

log = structlog.get_logger(__name__)

NATS_USERS: Final = ("syncer", "consumer", "api", "webhook", "operator", "downstream")
# The api has to know that there are credentials, not which.
ELSEWHERE: Final = "the-syncer-has-it"
_POSTGRES: Final = "postgres"
_WEBHOOK: Final = "webhook"
_READABLE: Final = 0o644  # by the user of PostgreSQL's image; nobody else has that volume


def write_role_secrets(settings: Settings, directory: Path, *, profiles: str = "", rotate: bool = False) -> None:
    """Write `directory`/ROLE/NAME for each role; `directory`/keys keeps what was made. `profiles` is COMPOSE_PROFILES;
    `rotate` makes the NATS passwords anew. Raises SettingsError when a file cannot be written."""
    chosen = {profile.strip() for profile in profiles.split(",")}
    own_database = _POSTGRES in chosen
    try:
        nats = {user: _kept(directory / "keys" / user, anew=rotate) for user in NATS_USERS}
        postgres = _kept(directory / "keys" / _POSTGRES)
        handed = files(settings, nats, postgres if own_database else "")
        for (role, name), text in handed.items():
            path = directory / role / name
            write_private(path, text)
            if role == _POSTGRES:
                path.chmod(_READABLE)
    except OSError as error:
        raise SettingsError(
            f"Secrets cannot be kept in {error.filename} ({error.strerror}): this process must own it."
        ) from None
    log.info("secrets handed out", files=len(handed), database=_POSTGRES if own_database else "as DATABASE_URL says")
    if settings.webhook_url and _WEBHOOK not in chosen:
        log.warning("WEBHOOK_URL is set and nobody sends: add `webhook` to COMPOSE_PROFILES in .env")
    if not settings.webhook_url and _WEBHOOK in chosen:
        log.warning("the profile `webhook` is chosen and WEBHOOK_URL is empty: its container ends with code 78")


def files(settings: Settings, nats: Mapping[str, str], postgres: str) -> dict[tuple[str, str], str]:
    """(role, file) → its text. `nats` are the passwords by user; `postgres` that of the composition's own database, ""
    without one. An empty file is a setting that is not set. Pure."""
    if postgres:
        database = f"postgresql+asyncpg://mozzart:{postgres}@postgres:5432/mozzart"
    else:
        database = settings.database_url if "database_url" in settings.model_fields_set else ""
    secret_key = settings.secret_key.get_secret_value()
    credentials = {
        "imap_user": settings.imap_user,
        "imap_password": settings.imap_password.get_secret_value(),
        "secret_key": secret_key,
    }
    tokens = {
        "oauth_client_secret": settings.oauth_client_secret.get_secret_value(),
        "oauth_refresh_token": settings.oauth_refresh_token.get_secret_value(),
    }
    elsewhere = ELSEWHERE if settings.imap_configured else ""
    return {
        ("nats", "passwords.conf"): "".join(f'{user.upper()}_PASSWORD: "{word}"\n' for user, word in nats.items()),
        (_POSTGRES, "password"): postgres,
        **_of("syncer", nats_url=_nats_url("syncer", nats), database_url=database, **credentials, **tokens),
        **_of("consumer", nats_url=_nats_url("consumer", nats), database_url=database),
        **_of(
            "api",
            nats_url=_nats_url("api", nats),
            database_url=database,
            secret_key=secret_key,
            imap_user=elsewhere,
            imap_password=elsewhere,
            # Accounts that are added on the page log in with it.
            oauth_client_secret=settings.oauth_client_secret.get_secret_value(),
            oauth_refresh_token=ELSEWHERE if settings.oauth_refresh_token.get_secret_value() else "",
            api_token=settings.api_token.get_secret_value(),
            admin_password=settings.admin_password.get_secret_value(),
        ),
        **_of(
            _WEBHOOK,
            nats_url=_nats_url("webhook", nats),
            webhook_url=settings.webhook_url,
            webhook_secret=settings.webhook_secret.get_secret_value(),
        ),
        **_of(
            "tools",
            nats_url=_nats_url("operator", nats),
            downstream_url=f"nats://downstream:{nats['downstream']}@127.0.0.1:4222",
            database_url=database,
            **credentials,
            **tokens,
        ),
    }


def _of(role: str, **files: str) -> dict[tuple[str, str], str]:
    return {(role, name): text for name, text in files.items()}


def _nats_url(user: str, passwords: Mapping[str, str]) -> str:
    """Its answers come to inboxes that no other user may listen to (docker/nats-server.conf)."""
    return f"nats://{user}:{passwords[user]}@nats:4222?inbox_prefix=_INBOX_{user}"


def _kept(path: Path, *, anew: bool = False) -> str:
    """The secret in this file, or a random one that is in it from now on. Raises OSError."""
    with suppress(FileNotFoundError):
        if not anew and (kept := path.read_text(encoding="utf-8")):
            return kept
    made = secrets.token_urlsafe(24)
    write_private(path, made)
    return made
