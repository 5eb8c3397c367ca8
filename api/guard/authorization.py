"""Sign-ins at OAuth providers that are under way: each belongs to the session that began it, is good once, and not for
long (RFC 9700 §2.1). They are kept here: no browser sees the verifier, and a restart ends them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from mailcore.account import Account

LIFETIME: Final = 600.0  # seconds for a person and a provider
_MOST: Final = 100


@dataclass(frozen=True)
class Authorization:
    """`values` are the settings of an account that is to be added, None where there is one already. `given` is the form
    that it was begun with, without secrets."""

    session_id: str
    account: Account
    redirect_uri: str
    verifier: str = field(repr=False)
    values: Mapping[str, Any] | None = field(repr=False)
    given: Mapping[str, str]


class Authorizations:
    """By `state`, which nobody can guess."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._begun: dict[str, tuple[float, Authorization]] = {}

    def begin(self, state: str, authorization: Authorization) -> None:
        now = self._now()
        alive = [(key, one) for key, one in self._begun.items() if one[0] > now]
        self._begun = dict(alive[1 - _MOST :])
        self._begun[state] = now + LIFETIME, authorization

    def take(self, state: str, session_id: str) -> Authorization | None:
        """The one with that state, which is over with that; None if there is none, if it lasted too long, or if another
        session began it."""
        until, found = self._begun.get(state, (0.0, None))
        if found is None or found.session_id != session_id:
            return None
        del self._begun[state]
        return found if self._now() < until else None


AUTHORIZATIONS: Final = web.AppKey("authorizations", Authorizations)
